"""The form of a piece: labels of bars, closes, and forms in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.errors import RequestError
from bicinium.music.form import BarKind, Close, Form, bar_label, degree_of, form_of, form_of_score
from bicinium.music.form_text import FORM_NAMES, form_from_json, form_to_json, parse_form, read_form
from bicinium.music.key import Key
from bicinium.music.score import COMMON_TIME, Meter, Note, Score, Voice

_C = Key(0, "major")


def _voice(bars: list[list[int]], ticks: int = 24) -> list[tuple[int, int]]:
    """Quarter notes, bar by bar of 4/4."""
    return [(96 * i + ticks * j, p) for i, bar in enumerate(bars) for j, p in enumerate(bar)]


def _labels(upper: list[list[int]], lower: list[list[int]] | None = None) -> list[str]:
    bars = len(upper)
    form = form_of([_voice(upper), _voice(lower or [[]] * bars)], COMMON_TIME, bars, _C)
    document = form_to_json(form)
    return document["lower" if lower else "upper"]


_BAR = [60, 62, 64, 65]


@pytest.mark.parametrize(
    ("bars", "labels"),
    [
        ([_BAR, []], ["new", "silent"]),
        ([_BAR, [60, 62]], ["new", "sparse"]),
        ([_BAR, _BAR], ["new", "literal 1"]),
        ([_BAR, [62, 64, 65, 67]], ["new", "transposed 1 +1"]),  # on the scale
        ([_BAR, [64, 66, 68, 69]], ["new", "transposed 1 +2"]),  # by semitones
        ([_BAR, [48, 50, 52, 53]], ["new", "transposed 1 -7"]),
        ([_BAR, [60, 62, 64, 72]], ["new", "varied 1"]),
        ([_BAR, [60, 62, 63, 65]], ["new", "varied 1"]),  # C minor is no transposition
        ([_BAR, [60, 59, 57, 72]], ["new", "new"]),
        ([_BAR, [67, 64, 72, 60], _BAR], ["new", "new", "literal 1"]),
    ],
)
def test_a_bar_is_labelled_by_what_it_is_like(bars: list[list[int]], labels: list[str]) -> None:
    assert _labels(bars) == labels


def test_a_phrase_returns_as_a_whole() -> None:
    other, third = [67, 64, 72, 60], [72, 71, 69, 67]
    # Bar 4 could return to bar 1 or 3; bar 5 goes on with the same return.
    found = _labels([_BAR, other, _BAR, _BAR, other, third])
    assert found == ["new", "new", "literal 1", "literal 3", "literal 2", "new"]


def test_a_voice_answers_the_other_one() -> None:
    lower = [[], [48, 50, 52, 53], [67, 64, 72, 60]]
    assert _labels([_BAR, [72, 67, 69, 64], _BAR], lower) == [
        "silent", "transposed 1 upper -7", "new",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bass", "close"),
    [
        ([43, 48], Close.FULL),
        ([47, 48], Close.FULL),
        ([48, 43], Close.HALF),
        ([50, 55], Close.HALF),
        ([52, 57], Close.OTHER),
        ([45, 52], Close.NONE),
    ],
)
def test_closes_are_named_by_the_bass(bass: list[int], close: Close) -> None:
    arrival = {48: 64, 43: 67, 55: 71, 57: 72, 52: 67}[bass[1]]
    upper = _voice([[72, 71, 72, 74], [arrival], [72, 71, 69, 67]])
    lower = _voice([[48, 50, 52, bass[0]], [bass[1]], [48, 50, 52, 53]])
    assert form_of([upper, lower], COMMON_TIME, 3, _C).closes[1] == close


def test_no_close_without_a_rest() -> None:
    upper = _voice([[72, 71, 72, 74], [64, 65, 67, 69], [72, 71, 69, 67]])
    lower = _voice([[48, 50, 52, 43], [48, 50, 52, 53], [48, 50, 52, 53]])
    assert form_of([upper, lower], COMMON_TIME, 3, _C).closes[1] == Close.NONE


def test_the_form_of_a_score_is_that_of_its_notes() -> None:
    notes = tuple(Note(onset, pitch, 24) for onset, pitch in _voice([_BAR, _BAR]))
    score = Score((Voice(notes), Voice(())), 2, COMMON_TIME, _C)
    assert [label.kind for label in form_of_score(score).labels[0]] == [
        BarKind.NEW, BarKind.LITERAL,
    ]  # fmt: skip


@given(st.integers(21, 108))
def test_degrees_rise_with_pitches(pitch: int) -> None:
    assert degree_of(pitch + 12) == degree_of(pitch) + 7
    assert degree_of(pitch) <= degree_of(pitch + 1) <= degree_of(pitch) + 1


# ------------------------------------------------------------------ in words


def test_letters_name_sections_of_equal_length() -> None:
    form = form_to_json(parse_form("A B A' C", 8))
    unknown = ["unknown"] * 2
    assert form["upper"] == [*unknown, *unknown, "varied 1", "varied 2", *unknown]
    assert form["upper"] == form["lower"]
    assert form["closes"][1] == "half"
    assert form["closes"][-1] == "full"


def test_an_invention_begins_with_a_subject_and_its_answer() -> None:
    form = form_to_json(parse_form("invention", 16))
    assert form["upper"][0] == "new"
    assert form["lower"][:2] == ["silent", "transposed 1 upper -7"]


@pytest.mark.parametrize("name", FORM_NAMES)
@pytest.mark.parametrize("bars", [12, 16, 23, 64])
def test_named_forms_fit_any_length(name: str, bars: int) -> None:
    form = parse_form(name, bars)
    assert form.bars == bars
    for voice in form.labels:
        assert all(0 <= label.back <= bar for bar, label in enumerate(voice))


_KINDS = st.sampled_from([kind for kind in BarKind if kind < BarKind.LITERAL])


@st.composite
def _forms(draw: st.DrawFn) -> Form:
    bars = draw(st.integers(1, 12))

    def label(bar: int):
        if bar == 0 or draw(st.booleans()):
            return bar_label(draw(_KINDS))
        kind = draw(st.sampled_from([BarKind.LITERAL, BarKind.TRANSPOSED, BarKind.VARIED]))
        back, step = draw(st.integers(1, bar)), draw(st.integers(-28, 28))
        return bar_label(kind, back, draw(st.booleans()), step)

    labels = tuple(tuple(label(bar) for bar in range(bars)) for _ in range(2))
    closes = draw(st.lists(st.sampled_from(Close), min_size=bars, max_size=bars))
    return Form(labels, tuple(closes))


@given(_forms())
def test_a_form_comes_back_from_json(form: Form) -> None:
    assert form_from_json(json.loads(json.dumps(form_to_json(form)))) == form


def test_lists_that_are_left_out_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "form.json"
    path.write_text('{"bars": 2, "lower": ["new", "literal 1"]}')
    form = read_form(path)
    assert form_to_json(form)["upper"] == ["unknown", "unknown"]
    assert parse_form(str(path), 2) == form


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], 'must be an object with "bars"'),
        ({"bars": 1, "middle": []}, "has an entry 'middle'"),
        ({"bars": 2, "upper": ["new"]}, "upper must be a list of 2 entries"),
        ({"bars": 1, "upper": ["old"]}, "bar 1 of the upper voice must begin with one of"),
        ({"bars": 1, "upper": ["literal 1"]}, "bar 1 of the upper voice cannot be 'literal 1'"),
        ({"bars": 2, "upper": ["new", "literal"]}, "bar 2 of the upper voice cannot be"),
        ({"bars": 2, "upper": ["new", "new 1"]}, "bar 2 of the upper voice cannot be"),
        ({"bars": 2, "upper": ["new", "varied 1 +99"]}, "bar 2 of the upper voice cannot be"),
        ({"bars": 1, "closes": ["soft"]}, "a close must be one of"),
    ],
)
def test_a_wrong_form_is_refused_in_a_sentence(document: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        form_from_json(document)


@pytest.mark.parametrize("text", ["", "sonata", "A B c", "a b", "A-B"])
def test_other_words_are_no_form(text: str) -> None:
    with pytest.raises(RequestError, match="form must be letters like"):
        parse_form(text, 8)


def test_a_form_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "form.json"
    path.write_text('{"bars": 2}')
    for text, bars, message in (
        (str(path), 4, "has 2 bars, and the piece 4"),
        ("A B A C A", 4, "has 5 sections, and the piece 4 bars"),
        ("invention", 2, "needs 4 bars or more"),
        (str(tmp_path / "no.json"), 4, "cannot be read as a form"),
    ):
        with pytest.raises(RequestError, match=message):
            parse_form(text, bars)


def test_unknown_labels_are_completed_from_another_form() -> None:
    asked, drawn = parse_form("A A", 4), parse_form("A B A C", 4)
    both = asked.completed(drawn)
    assert both.labels[0][2] == asked.labels[0][2]
    assert both.closes == asked.completed(drawn).closes
    assert Meter.parse("4/4") == COMMON_TIME
