"""The HTTP interface is as its OpenAPI document and docs/http.md describe it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter

from bicinium.formats.midi import write_midi
from bicinium.music.score import Score
from bicinium.studio.openapi import openapi_document
from bicinium.studio.operations import OPERATIONS, UNVERSIONED, VERSIONED, Operation

if TYPE_CHECKING:
    from tests.studio.conftest import Served

DOCUMENT = Path(__file__).parents[2] / "docs" / "http.md"
WITH_EXAMPLE = [one for one in OPERATIONS if one.example]


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()


def _check(operation: Operation, value: Any) -> None:
    """Assert that a response has the described form. Raises pydantic.ValidationError."""
    TypeAdapter(operation.response).validate_json(json.dumps(value), strict=True)


def test_the_document_is_served_and_complete(served: Served) -> None:
    document = served.get(f"{VERSIONED}/openapi.json").json()
    assert document == json.loads(json.dumps(openapi_document()))
    assert document["paths"].keys() == {f"/{one.path}" for one in OPERATIONS}
    names = document["components"]["schemas"].keys()
    assert _references(document) == {f"#/components/schemas/{name}" for name in names}


def test_every_route_of_the_interface_is_described(served: Served) -> None:
    from bicinium.studio.server import StudioSettings, create_app

    routes = {route.path for route in create_app(StudioSettings()).routes}
    found = {path for path in routes if path.startswith(f"{UNVERSIONED}/")}
    described = {
        f"{prefix}/{one.path}" for prefix in (VERSIONED, UNVERSIONED) for one in OPERATIONS
    }
    assert found == described | {f"{VERSIONED}/openapi.json"}


@pytest.mark.parametrize("operation", WITH_EXAMPLE, ids=lambda one: one.path)
def test_the_example_of_each_operation_gets_a_response_of_its_form(
    served: Served, operation: Operation
) -> None:
    answer = served.post(f"{VERSIONED}/{operation.path}", operation.example)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].split(";")[0] in operation.media_types
    if operation.path == "compose":
        lines = [json.loads(line) for line in answer.text.splitlines()]
        for line in lines:
            _check(operation, line)
        assert {"started", "candidate", "piece", "done"} <= set().union(*lines)
    elif operation.response is not None:
        _check(operation, answer.json())
    old = served.post(f"{UNVERSIONED}/{operation.path}", operation.example)
    assert old.status_code == 200


def test_files_samples_and_capabilities_have_their_forms(
    served: Served, tmp_path: Path, made_up_score: Callable[..., Score]
) -> None:
    by_path = {one.path: one for one in OPERATIONS}
    write_midi(made_up_score(1, 4), tmp_path / "a.mid")
    upload = served.post(f"{VERSIONED}/import?name=a.mid", (tmp_path / "a.mid").read_bytes())
    _check(by_path["import"], upload.json())
    sample = served.get(f"{VERSIONED}/sample?name=first&step=000200&file=0.mid")
    _check(by_path["sample"], sample.json())
    _check(by_path["capabilities"], served.get(f"{VERSIONED}/capabilities").json())


def test_false_is_no_voice(served: Served) -> None:
    (check,) = (one for one in OPERATIONS if one.path == "check")
    assert check.example
    answer = served.post(f"{VERSIONED}/check", {**check.example, "cantus": False})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("cantus: ")


def test_another_method_is_not_allowed(served: Served) -> None:
    answer = served.get(f"{VERSIONED}/compose")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.json() == {"error": "this address does not take GET requests"}


# ------------------------------------------------------------------ examples of the document


def _blocks(language: str) -> list[str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    assert found, language
    return found


def _run(
    served: Served, folder: Path, command: list[str], program: str
) -> subprocess.CompletedProcess[str]:
    assert "localhost:8765" in program
    there = program.replace("localhost:8765", served.address.removeprefix("http://"))
    ended = subprocess.run(
        command, input=there, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def test_the_examples_with_curl_work(served: Served, tmp_path: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("there is no curl")
    _, composed, read = (
        _run(served, tmp_path, ["bash", "-e"], block).stdout for block in _blocks("bash")
    )
    assert json.loads((tmp_path / "openapi.json").read_text())["openapi"] == "3.1.0"
    assert json.loads(composed.splitlines()[-1]) == {"done": True}
    assert json.loads(read)["score"]["bars"] == 1


def _check_client(ended: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert re.fullmatch(
        r"8 bars, valid: [Tt]rue\n(bar \d+: [^\n]+\n)*saved piece.musicxml\n", ended.stdout
    ), ended.stdout
    import bicinium

    assert bicinium.read(folder / "piece.musicxml").bars == 8


def test_the_client_in_python_works(served: Served, tmp_path: Path) -> None:
    (program,) = _blocks("python")
    _check_client(_run(served, tmp_path, [sys.executable, "-"], program), tmp_path)


def test_the_client_in_javascript_works(served: Served, tmp_path: Path) -> None:
    if not shutil.which("node"):
        pytest.skip("there is no node")
    (program,) = _blocks("javascript")
    command = ["node", "--input-type=module", "-"]
    _check_client(_run(served, tmp_path, command, program), tmp_path)


# ------------------------------------------------------------------ generated requests


@pytest.mark.slow
def test_no_generated_request_breaks_the_server_or_the_description(
    served: Served, tmp_path: Path
) -> None:
    """schemathesis generates valid and invalid requests, and compares responses and schemas.

    A request of a valid form may still be no music. The streams of ``runs`` have no end, and a
    generated request to compose can ask for hours of work: ``compose`` has tests of its own.
    """
    pytest.importorskip("schemathesis")
    command = [
        sys.executable, "-m", "schemathesis.cli", "run",
        f"{served.address}{VERSIONED}/openapi.json", "--max-examples", "20", "--seed", "1",
        "--phases", "examples,coverage,fuzzing",
        "--exclude-path", "/runs", "--exclude-path", "/compose",
        "--exclude-checks", "positive_data_acceptance", "--no-color",
        "--request-timeout", "120",
    ]  # fmt: skip
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
    )
    assert ended.returncode == 0, ended.stdout[-5000:]
    assert re.search(r"[1-9]\d* generated", ended.stdout)
