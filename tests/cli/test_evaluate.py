"""`bicinium evaluate` and `bicinium doctor`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    from bicinium.evaluation import audio_clips as clips
    from bicinium.evaluation import listening_test as listen

    def refuse(found: object) -> str:
        raise RequestError("there is nothing to listen to")

    monkeypatch.setattr(clips, "require_audio", lambda purpose: None)
    monkeypatch.setattr(listen, "render_listening_test", refuse)
    ran = run_cli(
        "evaluate", tiny_model, "--data", midi_folder, "--pieces", 1, "--listen", "--out", "there",
        *["--json"] * as_json,
    )  # fmt: skip
    assert ran.status == 2
    assert ran.err.strip() == "bicinium: there is nothing to listen to"
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
