"""Scores, pieces and reports show themselves in notebooks."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

import bicinium
from bicinium.adapters.notebook import MAX_BARS, MAX_FAULTS
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.score import Meter, Note, Score, Voice

EXAMPLES = Path(__file__).parents[2] / "examples"


class Page(HTMLParser):
    """The parts of a display: its text, its images by their description, the notes it plays."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.images: dict[str, str] = {}
        self.notes: list[list[float]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        if tag == "img":
            kind, data = named["src"].split(",", 1)
            assert kind == "data:image/svg+xml;base64"
            self.images[named["alt"]] = b64decode(data).decode()
        if tag == "button":
            self.notes = json.loads(named["data-notes"])

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(value: object) -> Page:
    return Page(html_of(value))


def html_of(value: object) -> str:
    """Return what Jupyter shows of a value. What it saves as text is one line."""
    formatters = pytest.importorskip("IPython.core.formatters")
    bundle, _ = formatters.DisplayFormatter().format(value)
    assert set(bundle) == {"text/html", "text/plain"}
    assert "\n" not in bundle["text/plain"]
    assert len(bundle["text/plain"]) < 400
    return bundle["text/html"]


@pytest.fixture
def minuet() -> Score:
    return bicinium.read(EXAMPLES / "minuet.musicxml")


def test_a_score_has_an_engraving_a_player_and_a_roll(minuet) -> None:
    pytest.importorskip("verovio")
    page = shown(minuet)
    assert "Minuet in G (bars 1 to 8), Christian Petzold" in page.text
    assert "G major, 3/4, 8 bars, quarter = 120" in page.text
    for image in page.images.values():
        ElementTree.fromstring(image)
    assert set(page.images) == {"score", "piano roll"}
    assert page.images["piano roll"].count("<rect") == minuet.note_count + 1  # and the paper
    assert page.notes[:2] == [[0.0, 0.5, 74, 80], [0.5, 0.75, 67, 80]]
    assert len(page.notes) == minuet.note_count


def test_an_engraving_without_names_looks_the_same(minuet) -> None:
    pytest.importorskip("verovio")
    image = ElementTree.fromstring(shown(minuet).images["score"])
    ids = {element.get("id") for element in image.iter()}
    uses = [e.get("{http://www.w3.org/1999/xlink}href", "") for e in image.iter() if "use" in e.tag]
    assert len(uses) > minuet.note_count
    assert {use.removeprefix("#") for use in uses} <= ids


def test_text_of_files_is_escaped(minuet) -> None:
    evil = "<script>alert(\"1\")</script><img src=x onerror='alert(1)'>"
    page = shown(replace(minuet, title=evil, composer=evil))
    assert page.tags == {"div", "p", "b", "br", "button", "img", "details", "summary"}
    assert f"{evil}, {evil}" in page.text
    assert set(page.images) == {"score", "piano roll"}


def test_a_long_score_is_cut_and_stays_small() -> None:
    meter = Meter(4, 4)
    upper = Voice(tuple(Note(12 * i, 72 + i % 5, 12) for i in range(8 * 100)))
    lower = Voice(tuple(Note(24 * i, 48 + i % 5, 24) for i in range(4 * 100)))
    page = shown(Score((upper, lower), bars=100, meter=meter))
    assert f"The first {MAX_BARS} of 100 bars are shown." in page.text
    assert page.images["piano roll"].count("<rect") == MAX_BARS * 12 + 1
    assert len(page.notes) == 1200  # All are played.
    assert len(html_of(Score((upper, lower), bars=100, meter=meter))) < 400_000


def test_without_verovio_there_is_a_roll_and_the_name_of_the_extra(minuet, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "verovio", None)
    page = shown(minuet)
    assert set(page.images) == {"piano roll"}
    assert "bicinium[engraving]" in page.text


def test_a_score_that_notation_cannot_hold_has_a_roll() -> None:
    page = shown(Score((Voice((Note(0, 60, 24),)),), bars=1))
    assert set(page.images) == {"piano roll"}
    assert "A grand staff holds two voices" in page.text


def test_a_silent_score_says_what_it_is() -> None:
    page = shown(Score((Voice(), Voice()), bars=2))
    assert (page.images, page.notes) == ({}, [])
    assert "4/4, 2 bars" in page.text


def test_a_piece_shows_how_it_was_composed(tiny_model) -> None:
    piece = bicinium.compose(model=tiny_model, bars=2, seed=3, best_of=1)
    page = shown(piece)
    assert "seed 3" in page.text
    assert len(page.notes) == piece.score.note_count


def test_faults_of_counterpoint_are_marked_and_listed() -> None:
    report = bicinium.check(EXAMPLES / "exercise.musicxml", "species1")
    page = shown(report)
    (fault,) = report.faults
    assert fault.message in page.text
    assert "Rules species1: 1 fault" in page.text
    assert f"1. {fault.rule}" in page.images["piano roll"]
    if "score" in page.images:
        assert page.images["score"].upper().count("#C53030") >= 4  # notes and the number


def test_violations_of_a_file_are_marked_and_listed(tmp_path) -> None:
    path = tmp_path / "<b>.mid"
    score = Score((Voice((Note(0, 60, 24),)), Voice((Note(0, 40, 7),))), bars=1)
    bicinium.write(score, path)
    verdict = bicinium.validate(path)
    page = shown(verdict)
    assert str(path) in page.text
    assert set(page.images) == {"piano roll"}
    for violation in verdict.violations[:MAX_FAULTS]:
        assert violation.message in page.text


def test_a_file_that_cannot_be_read_says_why(tmp_path) -> None:
    path = tmp_path / "text.mid"
    path.write_text("no music")
    assert "is not a MIDI file" in shown(bicinium.validate(path)).text


def test_violations_of_tokens_are_listed_up_to_a_limit() -> None:
    result = MusicalGrammarValidator().validate_sequence([5] * 100)
    page = shown(result)
    assert result.violations[0].message in page.text
    assert f"and {len(result.violations) - MAX_FAULTS} more" in page.text
    assert result.hint in page.text
    assert "valid, grammar score 1.000" in shown(
        MusicalGrammarValidator().validate_sequence(piece_tokens())
    ).text  # fmt: skip


def piece_tokens() -> list[int]:
    from bicinium.tokenizer.codec import encode

    return list(encode(bicinium.read(EXAMPLES / "minuet.musicxml")))


def test_nothing_comes_from_the_network(minuet) -> None:
    html = html_of(minuet)
    page = Page(html)
    everything = [html, *page.images.values()]
    addresses = {url for text in everything for url in re.findall(r"https?://[^\s\"'<>]+", text)}
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
