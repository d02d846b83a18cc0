"""Titles, composers, lyrics, file names, runs and links are text: nothing in them is executed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from bicinium.music.score import Score
from bicinium.render.export import write_score

if TYPE_CHECKING:
    from tests.studio.conftest import Acts

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright").expect

_HOSTILE = "<img src=x onerror=hacked=1>\"'><svg onload=hacked=1>"
_IN_XML = _HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
_FILE_NAME = "<img src=x onerror=hacked=1>"
_START = "window.hacked = 0"
_LYRIC = f"<lyric><syllabic>single</syllabic><text>{_IN_XML}</text></lyric></note>"


@pytest.fixture
def hostile_file(tmp_path: Path, made_up_score: Callable[..., Score]) -> Path:
    score = replace(made_up_score(3, 4, "3/4"), title=_HOSTILE, composer=_HOSTILE)
    path = tmp_path / f"{_FILE_NAME}.musicxml"
    write_score(score, path)
    path.write_text(path.read_text("utf-8").replace("</note>", _LYRIC), "utf-8")
    return path


@pytest.fixture
def hostile_run(run_folder: Path, made_up_score: Callable[..., Score]) -> Iterator[str]:
    """A run whose name, curves, events and samples are hostile."""
    run = run_folder / _FILE_NAME
    samples = run / "samples" / _FILE_NAME
    samples.mkdir(parents=True)
    write_score(made_up_score(1), samples / f"{_FILE_NAME}.mid")
    metrics = [
        {"step": step, f"live/valid{_HOSTILE}": step / 2, "live/valid": step / 2} for step in (1, 2)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    event = {"step": 1, "kind": "alert" + _HOSTILE, "message": _HOSTILE}
    (run / "events.jsonl").write_text(json.dumps(event) + "\n")
    yield run.name
    shutil.rmtree(run)


def _assert_harmless(page: Any) -> None:
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") == 0
    assert page.evaluate("document.querySelectorAll('[onerror], [onload]').length") == 0


def test_a_file_injects_nothing(
    open_page: Callable[..., Any], act: type[Acts], hostile_file: Path
) -> None:
    page = open_page("#add-voice", script=_START)
    act.drop(page, "add-voice", hostile_file)
    page.wait_for_selector(".sheet[data-engraved]")
    assert _HOSTILE in page.locator(".piece-view h2").inner_text()
    _assert_harmless(page)
    page.click(".actions >> text=Save here")
    expect(page.locator("#saved li")).to_have_count(1)
    _assert_harmless(page)
    again = open_page(act.link(page), script=_START)
    again.wait_for_selector(".sheet[data-engraved]")
    _assert_harmless(again)
    page.click("nav >> text=Analyse")
    act.drop(page, "analyse", hostile_file)
    page.wait_for_selector("#results >> text=/alid/")
    _assert_harmless(page)


def test_the_name_of_a_refused_file_injects_nothing(
    open_page: Callable[..., Any], act: type[Acts], tmp_path: Path
) -> None:
    path = tmp_path / f"{_FILE_NAME}.mid"
    path.write_bytes(b"MThd and then nothing")
    page = open_page("#add-voice", script=_START)
    act.drop(page, "add-voice", path)
    page.wait_for_selector("#notice:visible")
    assert "damaged" in page.locator("#notice").inner_text()
    _assert_harmless(page)


def test_a_training_run_injects_nothing(open_page: Callable[..., Any], hostile_run: str) -> None:
    page = open_page(f"#runs?name={quote(hostile_run)}", script=_START)
    page.wait_for_selector(".chart svg polyline")
    _assert_harmless(page)
    page.get_by_text(hostile_run).first.wait_for(state="attached")
    _assert_harmless(page)


def test_a_link_injects_nothing(open_page: Callable[..., Any]) -> None:
    for field in ("key", "meter", "style", "title", "constraints"):
        page = open_page(f"#compose?{field}={quote(_HOSTILE)}", script=_START)
        _assert_harmless(page)
