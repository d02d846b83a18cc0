"""Models of a hub: published folders on a local server that plays the Hugging Face hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors import safe_open

import bicinium
from bicinium.errors import CheckpointError, MissingExtraError
from bicinium.model.checkpoint import load_checkpoint, resolve_model, save_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.hub import fetch_model
from bicinium.training.publish import publish

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "ada/two-voices"


class Hub:
    """A server of one repository: the files of a folder at ``main`` and at one commit."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                outer.answer(self, with_body=False)

            def do_GET(self) -> None:
                outer.answer(self, with_body=True)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler, with_body: bool) -> None:
        self.asked.append(f"{request.command} {request.path}")
        names = {f"/{NAME}/resolve/{revision}/" for revision in ("main", "v1.0", COMMIT)}
        start, _, file = request.path.rpartition("/")
        path = self.folder / file
        if f"{start}/" not in names or not path.is_file():
            known = f"{start}/" in names
            request.send_response(404)
            request.send_header("X-Error-Code", "EntryNotFound" if known else "RevisionNotFound")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        body = path.read_bytes()
        request.send_response(200)
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if with_body:
            request.wfile.write(body)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def folder(tmp_path: Path, tiny_config: ModelConfig, random_weights: Callable) -> Path:
    """A published model, with an accepted and a measured validation in its record."""
    model = tmp_path / "run" / "model.safetensors"
    model.parent.mkdir()
    record = {
        "steps": 1200,
        "training_pieces": 6,
        "config": {"data": {"prepared": "/home/ada/secret/prepared"}},
        "validation": {"step": 1100, "bits_per_note": 2.75, "grammar_score": None},
    }
    save_checkpoint(model, tiny_config, random_weights(tiny_config), record, np.float16)
    publish(model, tmp_path / "published", "cc-by-4.0")
    return tmp_path / "published"


@pytest.fixture
def hub(folder: Path) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    server = Hub(folder)
    yield server
    server.close()


def test_a_published_model_comes_back_as_it_was(tmp_path: Path, folder: Path, hub: Hub) -> None:
    path = fetch_model(f"{NAME}@main", hub.address, tmp_path / "cache")
    there, here = load_checkpoint(path), load_checkpoint(folder.parent / "run")
    assert there.config == here.config
    assert there.weights.keys() == here.weights.keys()
    for name, weight in here.weights.items():
        assert there.weights[name].dtype == weight.dtype
        np.testing.assert_array_equal(there.weights[name], weight)
    assert {entry.split("/")[1] for entry in hub.asked} == {"ada"}  # no request but for the model


def test_the_critic_and_the_quotation_index_of_the_built_in_model_come_along(
    tmp_path: Path,
) -> None:
    pytest.importorskip("huggingface_hub")
    publish(resolve_model(), tmp_path / "published", "cc-by-sa-4.0")
    server = Hub(tmp_path / "published")
    path = fetch_model(f"{NAME}@v1.0", server.address, tmp_path / "cache")
    server.close()
    request = {"bars": 4, "seed": 5, "key": "D minor", "best_of": 2}
    assert bicinium.compose(model=path, **request).score == bicinium.compose(**request).score
    assert bicinium.compose(model=path, max_quote=2, **request).score.bars == 4


def test_a_pinned_commit_that_is_cached_needs_no_server(tmp_path: Path, hub: Hub) -> None:
    first = fetch_model(f"{NAME}@{COMMIT}", hub.address, tmp_path / "cache")
    hub.asked.clear()
    assert fetch_model(f"{NAME}@{COMMIT}", hub.address, tmp_path / "cache") == first
    assert hub.asked == []


def test_without_a_connection_the_cached_files_of_a_branch_are_used(
    tmp_path: Path, folder: Path
) -> None:
    pytest.importorskip("huggingface_hub")
    server = Hub(folder)
    first = fetch_model(f"{NAME}@main", server.address, tmp_path / "cache")
    server.close()
    assert fetch_model(f"{NAME}@main", server.address, tmp_path / "cache") == first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{NAME}@none", r"config.json of ada/two-voices@none cannot be fetched from the hub: "),
        ("bob/other@main", r"config.json of bob/other@main cannot be fetched from the hub: "),
        (NAME, r"A model of the hub is named user/repo@revision \(got ada/two-voices\)"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    name: str, message: str, tmp_path: Path, hub: Hub, refuses: Callable
) -> None:
    with refuses(CheckpointError, message):
        fetch_model(name, hub.address, tmp_path / "cache")


@pytest.mark.parametrize("name", ["model.safetensors", "model.critic.json"])
def test_a_changed_file_is_refused(
    name: str, tmp_path: Path, folder: Path, hub: Hub, refuses: Callable
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["files"][name] = "0" * 64
    (folder / "config.json").write_text(json.dumps(config))
    (folder / name).write_bytes(b"{}")
    with refuses(CheckpointError, rf"{name} of .* does not have the sha256"):
        fetch_model(f"{NAME}@main", hub.address, tmp_path / "cache")


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"model_type": "llama"}',
        '{"model_type": "bicinium", "files": {}}',
        '{"model_type": "bicinium", "files": {"model.safetensors": "", "../../evil": ""}}',
        '{"model_type": "bicinium", "files": null}',
    ],
)
def test_a_repository_of_another_kind_is_refused(
    text: str, tmp_path: Path, folder: Path, hub: Hub, refuses: Callable
) -> None:
    (folder / "config.json").write_text(text)
    with refuses(CheckpointError, "is no model of bicinium"):
        fetch_model(f"{NAME}@main", hub.address, tmp_path / "cache")
    assert not any("safetensors" in entry for entry in hub.asked)


def test_every_command_takes_the_name_of_a_hub_model(tmp_path: Path, hub: Hub) -> None:
    environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}
    command = ["compose", "-n", "1", "--bars", "2", "--formats", "mid", "--out", "out"]
    ended = _run(tmp_path, environment, *command, "--model", f"{NAME}@v1.0")
    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "out").glob("*.mid"))) == 1
    for offline in ({"HF_HUB_OFFLINE": "1"}, {}):
        hub.asked.clear()
        name = f"{NAME}@v1.0" if offline else f"{NAME}@{COMMIT}"
        ended = _run(tmp_path, environment | offline, *command, "--force", "--model", name)
        assert ended.returncode == 0, ended.stderr
        assert hub.asked == []


def test_the_example_of_docs_hub_md_runs(tmp_path: Path, hub: Hub) -> None:
    text = (Path(__file__).parents[2] / "docs" / "hub.md").read_text(encoding="utf-8")
    _, program = text.split("```python\n")
    environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}
    program = program.split("```")[0] + "\nassert piece.score.bars == 16 and network.config"
    command = [sys.executable, "-c", program]
    ended = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_a_name_without_a_revision_never_asks_the_hub(tmp_path: Path, hub: Hub) -> None:
    environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}
    ended = _run(tmp_path, environment, "compose", "--model", NAME)
    assert ended.returncode == 2
    assert f"There is no model at {NAME}." in ended.stderr
    assert f"{NAME}@main would ask for a model of the hub." in ended.stderr
    assert hub.asked == []


def test_a_file_or_folder_of_that_name_comes_first(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / f"{NAME}@main"
    place.parent.mkdir()
    folder.rename(place)
    monkeypatch.chdir(tmp_path)
    assert resolve_model(f"{NAME}@main").parent == Path(f"{NAME}@main")


def test_without_the_library_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, refuses: Callable
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with refuses(MissingExtraError, r"ada/two-voices@main needs huggingface_hub: .*bicinium\[hub"):
        resolve_model(f"{NAME}@main")


def test_the_published_folder_tells_no_paths_of_its_author(folder: Path) -> None:
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        record = json.loads(file.metadata()["record"])
    assert record["config"]["data"]["prepared"] == "prepared"
    assert record["steps"] == 1200
    assert not any(b"secret" in path.read_bytes() for path in folder.iterdir())


def test_the_header_of_the_card_is_yaml_with_the_numbers_of_the_run(folder: Path) -> None:
    _, header, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    card = yaml.safe_load(header)
    assert card["license"] == "cc-by-4.0"
    assert card["library_name"] == "bicinium"
    (result,) = card["model-index"][0]["results"]
    assert [(metric["name"], metric["value"]) for metric in result["metrics"]] == [
        ("bits per note", 2.75)
    ]
    assert "| steps | 1,200 |" in text
    assert "| bits per note | 2.75 |" in text
    assert "The licences of the training pieces were not available." in text


def _run(
    folder: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bicinium", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
