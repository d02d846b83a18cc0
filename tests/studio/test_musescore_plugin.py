"""The plugin in MuseScore 3, without a display: selections are sent, composed and written back."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bicinium.music.score import Score, Voice
from bicinium.render.export import write_score
from bicinium.studio.access_control import AccessPolicy
from bicinium.studio.plugin_folder import install_plugin

TOKEN = "a-token-for-this-test"
PROGRAM = shutil.which("musescore3")
BARS = 12
EMPTY = (8, 11)  # bars without a lower voice, counted from 0; the end is exclusive
JOBS = [
    {"action": "rewrite", "bar": 1, "bars": 2, "staff": 0, "staves": 2},
    {"action": "rewrite", "bar": 4, "bars": 1, "staff": 0, "staves": 2},
    {"action": "secondVoice", "bar": 6, "bars": 2, "staff": 0, "staves": 1},
    {"action": "secondVoice", "bar": 8, "bars": 3, "staff": 0, "staves": 2},
    {"action": "rewrite", "bar": 6, "bars": 2, "staff": 0, "staves": 1},
]
METERS = ["4/4", "3/4", "6/8", "2/4"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs MuseScore 3 (apt-get install musescore3)"),
]

Symbols = dict[tuple[str, int, str, str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A studio that requires a token."""
    pytest.importorskip("uvicorn", reason="the tests of the studio need uvicorn")
    from bicinium.studio.server import StudioSettings, studio_server

    server = studio_server(StudioSettings(policy=AccessPolicy.for_host("127.0.0.1", TOKEN)))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def run_plugin(tmp_path: Path, address: str) -> Callable[..., list[dict[str, Any]]]:
    """Return a function: (score file, jobs, settings) → what the plugin said after each job.

    ``out-before.musicxml`` and ``out-N.musicxml`` are then in ``tmp_path``.
    """
    plugins = tmp_path / "home" / "Documents" / "MuseScore3" / "Plugins"
    plugins.mkdir(parents=True)
    (folder,) = install_plugin([plugins])
    shutil.copy(Path(__file__).parent / "musescore_roundtrip.qml", folder / "roundtrip.qml")

    def run(score: Path, jobs: list[dict[str, Any]], **changed: Any) -> list[dict[str, Any]]:
        settings = {"address": address, "token": TOKEN, "rules": "bach", "seed": 1}
        settings |= {"candidates": 1, "isSynchronous": True} | changed
        text = json.dumps({"out": str(tmp_path / "out"), "settings": settings, "jobs": jobs})
        (tmp_path / "bicinium-jobs.json").write_text(text, encoding="utf-8")
        environment = os.environ | {
            "HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path),
            "XDG_RUNTIME_DIR": str(tmp_path),
            "QT_QPA_PLATFORM": "offscreen",
        }
        command = [str(PROGRAM), "-p", "bicinium/roundtrip.qml", str(score)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        result = tmp_path / "out.json"
        assert result.exists(), done.stderr
        return json.loads(result.read_text(encoding="utf-8"))

    return run


def without_lower_notes(score: Score, first: int, end: int) -> Score:
    """The score without the notes of the lower voice in some bars."""
    bar = score.meter.bar_ticks
    kept = tuple(
        note
        for note in score.voices[1].notes
        if note.offset_tick <= first * bar or note.onset_tick >= end * bar
    )
    return replace(score, voices=(score.voices[0], Voice(kept)))


def within_bars(score: Score) -> Score:
    """The score without notes that cross a barline."""
    bar = score.meter.bar_ticks
    voices = (
        tuple(n for n in voice.notes if n.onset_tick // bar == (n.offset_tick - 1) // bar)
        for voice in score.voices
    )
    return replace(score, voices=tuple(map(Voice, voices)))


def symbols(path: Path) -> Symbols:
    """What is written, by part, measure, staff and voice: onset, pitch, duration, ties, colour."""
    found: Symbols = defaultdict(list)
    for part in ElementTree.parse(path).getroot().iter("part"):
        divisions = 1
        for number, measure in enumerate(part.iter("measure")):
            now = last = 0
            for item in measure:
                divisions = int(item.findtext("divisions") or divisions)
                length = int(item.findtext("duration") or 0)
                if item.tag == "backup":
                    now -= length
                elif item.tag == "forward":
                    now += length
                elif item.tag == "note":
                    onset = last if item.find("chord") is not None else now
                    if item.find("chord") is None:
                        last, now = now, now + length
                    pitch = item.find("pitch")
                    name = "rest" if pitch is None else "".join(pitch.itertext()).split()
                    ties = tuple(tie.get("type") for tie in item.iter("tie"))
                    key = part.get("id"), number, item.findtext("staff"), item.findtext("voice")
                    place = onset * 96 // divisions, tuple(name), length * 96 // divisions
                    found[key].append((*place, ties, item.get("color")))
    return dict(found)


def has_notes(written: list[tuple[Any, ...]]) -> bool:
    return any(symbol[1] != tuple("rest") for symbol in written)


def is_selected(key: tuple[str, int, str, str], job: dict[str, Any]) -> bool:
    part, measure, staff, _ = key
    staves = {str(job["staff"] + 1 + index) for index in range(job["staves"])}
    in_bars = job["bar"] <= measure < job["bar"] + job["bars"]
    return part == "P1" and in_bars and staff in staves


@pytest.mark.parametrize("number", range(len(METERS)))
def test_the_notes_outside_a_selection_stay(
    tmp_path: Path,
    run_plugin: Callable[..., list[dict[str, Any]]],
    made_up_score: Callable[..., Score],
    number: int,
) -> None:
    """Five selections in each of four pieces, two of them with another part below."""
    score = within_bars(made_up_score(number, BARS, METERS[number], "G major"))
    path = tmp_path / "piece.musicxml"
    write_score(without_lower_notes(score, *EMPTY), path)
    if number % 2:
        add_part(path)
    said = run_plugin(path, JOBS, seed=number)
    assert [one["problem"] for one in said] == [""] * len(JOBS)
    before = symbols(tmp_path / "out-before.musicxml")
    for index, job in enumerate(JOBS):
        after = symbols(tmp_path / f"out-{index}.musicxml")
        keys = before.keys() | after.keys()
        outside = [key for key in keys if not is_selected(key, job)]
        assert len(outside) > BARS
        assert {key: before.get(key) for key in outside} == {key: after.get(key) for key in outside}
        changed = {key for key in keys if before.get(key) != after.get(key)}
        assert any(has_notes(after[key]) for key in changed if key in after)
        if job["action"] == "secondVoice":  # the given voice stays as well
            upper = [key for key in keys if is_selected(key, job) and key[2:] == ("1", "1")]
            assert len(upper) == job["bars"]
            assert all(before[key] == after[key] for key in upper)
        before = after


def add_part(path: Path) -> None:
    """Add a copy of the first part below it."""
    tree = ElementTree.parse(path)
    root = tree.getroot()
    for parent, tag in ((root.find("part-list"), "score-part"), (root, "part")):
        assert parent is not None
        first = parent.find(tag)
        assert first is not None
        copy = ElementTree.fromstring(ElementTree.tostring(first))
        for item in copy.iter():
            if "id" in item.attrib:
                item.set("id", item.attrib["id"].replace("P1", "P2"))
        parent.append(copy)
    tree.write(path, encoding="utf-8", xml_declaration=True)


EXERCISE = Path(__file__).parents[2] / "examples" / "exercise.musicxml"


def test_faults_are_coloured_and_the_colours_go_again(
    tmp_path: Path, run_plugin: Callable[..., list[dict[str, Any]]]
) -> None:
    all_bars = {"bar": 0, "bars": 40, "staff": 0, "staves": 2}
    said = run_plugin(
        EXERCISE,
        [{"action": "check", **all_bars}, {"action": "clearColours", **all_bars}],
        rules="species1",
    )
    assert [one["problem"] for one in said] == ["", ""]
    assert any("fifth" in sentence for sentence in said[0]["sentences"])
    assert "#d00000" in {colour for _, _, colour in said[0]["colours"]}
    assert said[1]["colours"] == []
    before, after = (symbols(tmp_path / f"out-{name}.musicxml") for name in ("before", "1"))
    assert before == after


@pytest.mark.parametrize(
    ("job", "settings", "problem"),
    [
        ({"bar": 0, "bars": 1}, {"token": "wrong"}, "The studio wants its token"),
        ({"bar": 0, "bars": 1}, {"address": "http://127.0.0.1:1"}, "No studio answers at"),
        ({"bars": 0}, {}, "Select some bars first"),
        ({"action": "secondVoice", "bar": 0, "bars": 1}, {}, "Both voices have notes."),
        ({"bar": 0, "bars": 1, "staves": 1}, {}, "One voice of the selection is empty."),
    ],
)
def test_what_it_refuses_leaves_the_score_as_it_was(
    tmp_path: Path,
    run_plugin: Callable[..., list[dict[str, Any]]],
    made_up_score: Callable[..., Score],
    job: dict[str, Any],
    settings: dict[str, Any],
    problem: str,
) -> None:
    path = tmp_path / "piece.musicxml"
    write_score(within_bars(made_up_score(1, 4, "4/4", "G major")), path)
    said = run_plugin(path, [{"action": "rewrite", "staff": 0, "staves": 2} | job], **settings)
    assert said[0]["problem"].startswith(problem)
    assert symbols(tmp_path / "out-before.musicxml") == symbols(tmp_path / "out-0.musicxml")
