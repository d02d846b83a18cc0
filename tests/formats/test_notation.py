"""Scores in signs: every tick is written, as engravers would write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.formats.notation.notate import notate
from bicinium.formats.notation.symbols import Bar, Symbol
from bicinium.music.score import Meter, Note, Score, Voice

METERS = ["2/4", "3/4", "4/4", "6/8", "9/8", "12/8", "3/8", "2/2", "3/2", "5/4", "7/8", "12/16",
          "5/8", "4/2", "9/32", "11/16", "1/4"]  # fmt: skip
NOTE_TYPE_TICKS = {"breve": 192, "whole": 96, "half": 48, "quarter": 24, "eighth": 12, "16th": 6,
              "32nd": 3, "64th": 1.5}  # fmt: skip


def line(*items: tuple[int, int], start: int = 0) -> Voice:
    """(pitch, duration), one after another; pitch 0 is a rest."""
    notes, tick = [], start
    for pitch, ticks in items:
        if pitch:
            notes.append(Note(tick, pitch, ticks))
        tick += ticks
    return Voice(tuple(notes))


def bars_of(voice: Voice, meter: str = "4/4", bars: int = 1, anacrusis: int = 0) -> list[Bar]:
    return notate(Score((voice, Voice()), bars, Meter.parse(meter), anacrusis_ticks=anacrusis))


def signs(*items: tuple[int, int], meter: str = "4/4") -> list[str]:
    """Return the first bar of a line in short form: ``quarter. ~`` is dotted and tied, ``(half)``
    a rest.
    """
    return [said(symbol) for symbol in bars_of(line(*items), meter)[0].voices[0]]


def said(symbol: Symbol) -> str:
    text = symbol.note_type + "." * symbol.dots
    text = text if symbol.note else f"({text})"
    triplet = "3:" if symbol.tuplet else ""
    return f"{triplet}{text}{' ~' if symbol.tied_to_next else ''}"


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Two voices of any durations in any metre, with or without an anacrusis."""
    meter = Meter.parse(draw(st.sampled_from(METERS)))
    bars = draw(st.integers(1, 3))
    anacrusis = draw(st.integers(0, meter.bar_ticks - 1)) if bars > 1 else 0
    start = meter.bar_ticks - anacrusis if anacrusis else 0
    items = st.lists(st.tuples(st.sampled_from((0, 60, 67)), st.integers(1, 60)), max_size=20)
    voices = []
    for _ in range(2):
        notes = line(*draw(items), start=start).notes
        voices.append(Voice(tuple(n for n in notes if n.offset_tick <= bars * meter.bar_ticks)))
    return Score(tuple(voices), bars, meter, anacrusis_ticks=anacrusis)


@given(scores())
def test_the_signs_fill_every_bar_and_spell_the_score(score):
    bars = notate(score)
    assert len(bars) == score.bars
    for part, voice in enumerate(score.voices):
        pieces: list[Symbol] = []
        for bar in bars:
            now = bar.start_tick
            for symbol in bar.voices[part]:
                assert symbol.onset_tick == now
                now = symbol.end_tick
                lasts = NOTE_TYPE_TICKS[symbol.note_type] * (2 - 0.5**symbol.dots)
                lasts *= 2 / 3 if symbol.tuplet else 1
                assert symbol.fills_bar or lasts == pytest.approx(symbol.duration_ticks)
            assert now == bar.end_tick
            pieces += [symbol for symbol in bar.voices[part] if symbol.note]
        for note in voice.notes:
            chain = [symbol for symbol in pieces if symbol.note is note]
            assert sum(symbol.duration_ticks for symbol in chain) == note.duration_ticks
            assert [s.tied_from_last for s in chain] == [False] + [True] * (len(chain) - 1)
            assert [s.tied_to_next for s in chain] == [True] * (len(chain) - 1) + [False]


@given(scores())
def test_beams_begin_and_end_and_never_cross_a_bar_or_a_rest(score):
    for bar in notate(score):
        for symbols in bar.voices:
            for level in range(4):
                is_open = False
                for symbol in symbols:
                    beam = symbol.beams[level] if level < len(symbol.beams) else None
                    if is_open:
                        assert beam in ("continue", "end")
                    else:
                        assert beam in (None, "begin", "forward hook", "backward hook")
                    is_open = beam in ("begin", "continue")
                assert not is_open


@given(scores())
def test_tuplets_are_complete_unless_the_bar_is(score):
    for bar in notate(score):
        for symbols in bar.voices:
            for tuplet in {s.tuplet for s in symbols if s.tuplet}:
                inside = [s for s in symbols if s.tuplet == tuplet]
                ticks = sum(s.duration_ticks for s in inside)
                assert ticks == tuplet.duration_ticks or tuplet.onset_tick < bar.start_tick


@pytest.mark.parametrize(
    ("items", "meter", "expected"),
    [
        ([(60, 24), (60, 48), (60, 24)], "4/4", ["quarter", "half", "quarter"]),
        ([(60, 12), (60, 24), (60, 12)], "2/4", ["eighth", "quarter", "eighth"]),
        ([(60, 36), (60, 60)], "4/4", ["quarter.", "eighth ~", "half"]),
        ([(60, 12), (60, 84)], "4/4", ["eighth", "quarter. ~", "half"]),
        ([(60, 96)], "4/4", ["whole"]),
        ([(60, 42), (60, 6), (60, 48)], "4/4", ["quarter..", "16th", "half"]),
        ([(60, 72)], "3/4", ["half."]),
        ([(60, 36), (60, 36)], "3/4", ["quarter.", "quarter."]),
        ([(60, 12), (60, 48), (60, 12)], "3/4", ["eighth", "eighth ~", "quarter.", "eighth"]),
        ([(60, 24), (60, 24), (60, 24)], "6/8", ["quarter", "eighth ~", "eighth", "quarter"]),
        ([(60, 18), (60, 18), (60, 36)], "6/8", ["eighth.", "eighth.", "quarter."]),
        ([(60, 18), (60, 36), (60, 18)], "6/8", ["eighth.", "eighth. ~", "eighth.", "eighth."]),
        ([(60, 72), (60, 36)], "9/8", ["half.", "quarter."]),
        ([(60, 120)], "5/4", ["whole ~", "quarter"]),
    ],
)  # fmt: skip
def test_notes_show_the_beats(items, meter, expected):
    assert signs(*items, meter=meter) == expected


@pytest.mark.parametrize(
    ("items", "meter", "expected"),
    [
        ([(60, 24), (0, 48), (60, 24)], "4/4", ["quarter", "(quarter)", "(quarter)", "quarter"]),
        ([(60, 48)], "4/4", ["half", "(half)"]),
        ([(60, 24)], "3/4", ["quarter", "(quarter)", "(quarter)"]),
        ([(60, 12)], "4/4", ["eighth", "(eighth)", "(quarter)", "(half)"]),
        ([(60, 36)], "6/8", ["quarter.", "(quarter.)"]),
        ([(0, 24), (60, 12)], "6/8", ["(quarter)", "eighth", "(quarter.)"]),
        ([(60, 12)], "6/8", ["eighth", "(eighth)", "(eighth)", "(quarter.)"]),
    ],
)
def test_rests_show_the_beats(items, meter, expected):
    assert signs(*items, meter=meter) == expected


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([(60, 8)] * 3, ["3:eighth"] * 3),
        ([(60, 4)] * 3 + [(60, 12)], ["3:16th"] * 3 + ["eighth"]),
        ([(60, 16)] * 3, ["3:quarter"] * 3),
        ([(60, 16), (60, 8)], ["3:quarter", "3:eighth"]),
        ([(60, 1)] * 3 + [(60, 21)], ["3:64th"] * 3 + ["16th. ~", "eighth"]),
        ([(60, 5), (60, 7)], ["3:16th ~", "3:64th", "3:32nd. ~", "3:16th"]),
    ],
)
def test_what_is_no_half_is_a_third(items, expected):
    assert signs(*items)[: len(expected)] == expected


def test_an_empty_bar_is_one_rest_whatever_its_length():
    for meter in ("3/4", "4/4", "5/8"):
        (symbol,) = bars_of(Voice(), meter)[0].voices[0]
        assert symbol.fills_bar


def test_an_anacrusis_is_written_in_its_place_of_the_bar():
    first, _ = bars_of(line((60, 12), (62, 12), (64, 96), start=72), bars=2, anacrusis=24)
    assert (first.start_tick, first.end_tick) == (72, 96)
    assert [s.onset_tick for s in first.voices[0]] == [72, 84]
    assert [said(s) for s in first.voices[1]] == ["(quarter)"]  # not a rest of a whole bar


@pytest.mark.parametrize(
    ("items", "meter", "expected"),
    [
        ([(60, 12)] * 8, "4/4", [4, 4]),
        ([(60, 12)] * 4 + [(60, 12), (60, 6), (60, 6), (60, 24)], "4/4", [4, 3]),
        ([(60, 12)] * 6, "3/4", [6]),
        ([(60, 12)] * 6, "6/8", [3, 3]),
        ([(60, 6)] * 12, "12/16", [3, 3, 3, 3]),
        ([(60, 12), (0, 12), (60, 12), (60, 12)], "2/4", [2]),
        ([(60, 12)] * 3, "3/8", [3]),
    ],
)
def test_beams_follow_the_metre(items, meter, expected):
    lengths = []
    for symbol in bars_of(line(*items), meter)[0].voices[0]:
        if symbol.beams[:1] == ("begin",):
            lengths.append(0)
        if symbol.beams:
            lengths[-1] += 1
    assert lengths == expected


def test_the_short_note_after_a_dotted_one_hooks_backwards():
    beams = [s.beams for s in bars_of(line((60, 18), (60, 6), (60, 72)))[0].voices[0]]
    assert beams[:2] == [("begin",), ("end", "backward hook")]


def test_clefs_follow_the_hand_but_not_every_note():
    low, high = [(48, 24)] * 4, [(76, 24)] * 4
    voices = (line(*[(72, 96)] * 6), line(*(low * 2 + high * 3 + low)))
    clefs = [bar.clefs[1] for bar in notate(Score(voices, 6))]
    assert clefs == ["bass", "bass", "treble", "treble", "treble", "bass"]
    voices = (line(*[(72, 96)] * 2), line(*low[:3], (64, 24), *low))
    assert {bar.clefs for bar in notate(Score(voices, 2))} == {("treble", "bass")}
