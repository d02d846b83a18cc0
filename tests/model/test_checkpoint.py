"""Checkpoints come back as they were written, and nothing else is taken for one."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from bicinium.errors import CheckpointError
from bicinium.model.checkpoint import (
    DEFAULT_MODEL,
    load_checkpoint,
    resolve_model,
    save_checkpoint,
)
from bicinium.model.config import ModelConfig

_RECORD = {"steps": 12, "metrics": {"bits": 3.5}, "command": "bicinium train – Übung"}


@pytest.fixture
def weights(
    tiny_config: ModelConfig, random_weights: Callable[..., dict[str, Any]]
) -> dict[str, np.ndarray]:
    return random_weights(tiny_config, 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_round_trip_returns_config_record_and_weights(
    tmp_path: Path, tiny_config: ModelConfig, weights: dict[str, np.ndarray], dtype: Any
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, tiny_config, weights, _RECORD, dtype)
    loaded = load_checkpoint(path)
    assert loaded.config == tiny_config
    assert loaded.record == _RECORD
    assert loaded.weights.keys() == weights.keys()
    for name, weight in weights.items():
        assert loaded.weights[name].dtype == dtype
        np.testing.assert_array_equal(loaded.weights[name], weight.astype(dtype))


def test_half_precision_halves_the_file(
    tmp_path: Path, tiny_config: ModelConfig, weights: dict[str, np.ndarray]
) -> None:
    whole, half = tmp_path / "32.safetensors", tmp_path / "16.safetensors"
    save_checkpoint(whole, tiny_config, weights, {})
    save_checkpoint(half, tiny_config, weights, {}, np.float16)
    assert half.stat().st_size < 0.55 * whole.stat().st_size


def test_transposed_weights_are_stored_as_they_read(
    tmp_path: Path, tiny_config: ModelConfig, weights: dict[str, np.ndarray]
) -> None:
    """safetensors would store the memory of a view, not its meaning."""
    weights["head.weight"] = np.ascontiguousarray(weights["head.weight"].T).T
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, tiny_config, weights, {})
    np.testing.assert_array_equal(
        load_checkpoint(path).weights["head.weight"], weights["head.weight"]
    )


def test_a_model_is_named_by_default_file_or_run(
    tmp_path: Path, tiny_config: ModelConfig, weights: dict[str, np.ndarray]
) -> None:
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    with pytest.raises(CheckpointError, match="There is no model at "):
        resolve_model(run)
    save_checkpoint(run / "model.safetensors", tiny_config, weights, {"steps": 3})
    assert resolve_model(run) == resolve_model(str(run)) == run / "model.safetensors"
    assert resolve_model(run / "model.safetensors") == run / "model.safetensors"
    assert resolve_model() == resolve_model("default") == DEFAULT_MODEL
    assert load_checkpoint(run).record == {"steps": 3}


def _refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(path) in sentence
    return sentence


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("wrong", "its training record is not an object"),
        ({"config": []}, "its training record is not an object"),
        ({"config": {"data": {"exclude_styles": 3}}}, "exclude_styles .* is not a list of styles"),
    ],
)
def test_a_record_of_another_form_is_refused(
    tmp_path: Path,
    tiny_config: ModelConfig,
    weights: dict[str, np.ndarray],
    record: Any,
    reason: str,
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, tiny_config, weights, record)
    assert re.search(reason, _refusal(path))


def test_a_model_of_a_billion_layers_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    path = tmp_path / "deep.safetensors"
    data = tiny_model.read_bytes()
    assert data.count(b'n_layers\\":2') == 1
    grown = data.replace(b'n_layers\\":2', b'n_layers\\":2000000000')
    size = struct.unpack("<Q", grown[:8])[0] + 9
    path.write_bytes(struct.pack("<Q", size) + grown[8:])
    assert "less than or equal to 256" in _refusal(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "There is no model" in _refusal(tmp_path / "none.safetensors")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "There is no model" in _refusal(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, tiny_model: Path, share: float) -> None:
    path = tmp_path / "cut.safetensors"
    data = tiny_model.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "is not a bicinium checkpoint" in _refusal(path)


@pytest.mark.parametrize(
    "data",
    [b"hello\n" * 100, b"\x80\x04\x95" + bytes(200), struct.pack("<Q", 2**60) + b"{}"],
    ids=["text", "pickle", "header of an exabyte"],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(data)
    assert "is not a bicinium checkpoint" in _refusal(path)


def test_weights_of_another_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"wte": np.zeros((4, 4), np.float32)}, path)
    assert "is not a bicinium checkpoint" in _refusal(path)


def test_weights_of_another_program_in_bfloat16_are_refused(tmp_path: Path) -> None:
    """numpy has no bfloat16; the header is enough to say no."""
    header = json.dumps({"wte": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    assert "is not a bicinium checkpoint" in _refusal(path)


def test_weights_that_are_no_numbers_are_refused(
    tmp_path: Path, tiny_model: Path, weights: dict[str, np.ndarray]
) -> None:
    path, head = tmp_path / "odd.safetensors", weights["head.weight"].copy()
    head[3, 1] = np.nan
    _rewrite(tiny_model, path, weights | {"head.weight": head})
    assert "head.weight has weights that are not finite" in _refusal(path)


def _rewrite(source: Path, target: Path, weights: dict[str, np.ndarray], **header: str) -> None:
    with safe_open(source, framework="numpy") as file:
        metadata = file.metadata() | header
    save_file(weights, target, metadata=metadata)


@pytest.mark.parametrize(
    "header",
    [
        {"config": "{"},
        {"config": '{"d_model": 30, "n_heads": 4}'},
        {"config": '{"experts": 8, "d_modell": 2}'},
        {"config": '{"vocab_size": 50257}'},
        {"record": "not JSON"},
    ],
    ids=["broken config", "odd width", "unknown fields", "another vocabulary", "broken record"],
)
def test_a_header_that_does_not_parse_is_refused_in_one_sentence(
    tmp_path: Path, tiny_model: Path, weights: dict[str, np.ndarray], header: dict[str, str]
) -> None:
    path = tmp_path / "odd.safetensors"
    _rewrite(tiny_model, path, weights, **header)
    assert "is not a bicinium checkpoint" in _refusal(path)


@pytest.mark.parametrize("name", ["vocabulary", "grammar"])
def test_another_hash_is_refused_and_both_are_named(
    tmp_path: Path, tiny_model: Path, weights: dict[str, np.ndarray], name: str
) -> None:
    path = tmp_path / "other.safetensors"
    _rewrite(tiny_model, path, weights, **{name: "0123456789abcdef"})
    with safe_open(tiny_model, framework="numpy") as file:
        here = file.metadata()[name]
    sentence = _refusal(path)
    assert f"another {name}" in sentence
    assert "0123456789abcdef" in sentence
    assert here in sentence


def test_weights_that_do_not_fit_the_configuration_are_refused(
    tmp_path: Path, tiny_model: Path, weights: dict[str, np.ndarray]
) -> None:
    lacking, bent = tmp_path / "lacking.safetensors", tmp_path / "bent.safetensors"
    _rewrite(tiny_model, lacking, {n: w for n, w in weights.items() if n != "norm.weight"})
    assert "norm.weight" in _refusal(lacking)
    _rewrite(tiny_model, bent, weights | {"head.weight": weights["head.weight"][:, :-2].copy()})
    assert "head.weight" in _refusal(bent)


@pytest.mark.parametrize("there", [True, False])
def test_heads_for_relative_pitch_are_there_if_and_only_if_the_configuration_has_them(
    tmp_path: Path,
    tiny_config: ModelConfig,
    random_weights: Callable[..., dict[str, Any]],
    there: bool,
) -> None:
    configs = [tiny_config.model_copy(update={"relative_pitch": on}) for on in (there, not there)]
    config, other = configs
    fits, does_not = tmp_path / "fits.safetensors", tmp_path / "does not.safetensors"
    weights = random_weights(config)
    save_checkpoint(fits, config, weights, {})
    heads = {"relative_head.weight", "ending_head.weight"}
    assert heads & load_checkpoint(fits).weights.keys() == (heads if there else set())
    of_other = random_weights(other)
    weights["embedding.weight"] = of_other["embedding.weight"]
    save_checkpoint(does_not, other, weights, {})
    assert "ending_head.weight" in _refusal(does_not)


def test_an_interrupted_write_leaves_the_old_checkpoint_whole(
    tmp_path: Path,
    tiny_config: ModelConfig,
    weights: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, tiny_config, weights, {"steps": 1})
    before = path.read_bytes()

    def fails_half_way(target: Path, data: bytes) -> int:
        with target.open("wb") as file:
            file.write(data[:10])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", fails_half_way)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, tiny_config, weights, {"steps": 2})
    assert path.read_bytes() == before
    assert load_checkpoint(path).record == {"steps": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_leaves_nothing_but_the_checkpoint(
    tmp_path: Path, tiny_config: ModelConfig, weights: dict[str, np.ndarray]
) -> None:
    save_checkpoint(tmp_path / "model.safetensors", tiny_config, weights, {})
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
