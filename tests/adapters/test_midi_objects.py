"""Scores become objects of symusic and pretty_midi; those of symusic come back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import bicinium
from bicinium.errors import MissingExtraError, ScoreError
from bicinium.formats.registry import find_music, read_score
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice

MINUET = Path(__file__).parents[2] / "examples" / "minuet.musicxml"


@pytest.fixture
def upbeat() -> Score:
    """A score in a minor key with an upbeat, triplets and velocities."""
    upper = [(60, 66, 12, 1), (72, 73, 100, 127), (176, 68, 8, 64), (184, 70, 32, 65)]
    return Score(
        voices=(Voice(tuple(Note(*n) for n in upper)), Voice((Note(72, 42, 72, 33),))),
        bars=3,
        meter=Meter(3, 4),
        key=Key(6, "minor"),
        tempo_qpm=100.0,
        anacrusis_ticks=12,
    )


@pytest.fixture(scope="module")
def symusic():
    return pytest.importorskip("symusic")


def test_what_symusic_holds(symusic) -> None:
    score = bicinium.read(MINUET)
    converted = score.to_symusic()
    assert isinstance(converted, symusic.core.ScoreTick)
    assert [(t.name, len(t.notes)) for t in converted.tracks] == [("right", 32), ("left", 15)]
    assert [(n.time, n.duration, n.pitch, n.velocity) for n in converted.tracks[0].notes] == [
        (n.onset_tick, n.duration_ticks, n.pitch, n.velocity) for n in score.voices[0].notes
    ]
    (meter,), (key,) = converted.time_signatures, converted.key_signatures
    assert (meter.numerator, meter.denominator, key.key, key.tonality) == (3, 4, 1, 0)


@pytest.mark.parametrize("unit", ["tick", "quarter", "second"])
def test_a_round_trip_keeps_what_midi_holds(symusic, upbeat, unit) -> None:
    for score in (bicinium.read(MINUET), upbeat):
        assert bicinium.from_symusic(score.to_symusic().to(unit)) == score


def test_a_file_that_symusic_reads_is_the_file_that_we_read(symusic, shared_corpus) -> None:
    for path in find_music(shared_corpus)[::40]:
        expected = read_score(path, reduce=True)
        assert bicinium.from_symusic(symusic.Score(path), reduce=True) == expected, path


def test_more_than_two_voices_are_reduced_on_demand(symusic) -> None:
    chords = symusic.Score(24)
    track = symusic.Track()
    track.notes.extend(symusic.Note(24 * i, 24, 60 + 4 * j, 80) for i in range(4) for j in range(3))
    chords.tracks.append(track)
    with pytest.raises(ScoreError, match="Pass reduce=True"):
        bicinium.from_symusic(chords)
    assert [v.notes[0].pitch for v in bicinium.from_symusic(chords, reduce=True).voices] == [68, 60]


def test_what_is_no_score_of_symusic_is_refused(symusic) -> None:
    for wrong in ("piece.mid", None, bicinium.read(MINUET)):
        with pytest.raises(ScoreError, match=r"takes a symusic\.Score"):
            bicinium.from_symusic(wrong)
    with pytest.raises(ScoreError, match="The symusic score holds no notes"):
        bicinium.from_symusic(symusic.Score(24))


def test_what_pretty_midi_holds(upbeat) -> None:
    pytest.importorskip("pretty_midi")
    converted = upbeat.to_pretty_midi()
    upper, lower = converted.instruments
    assert (upper.name, lower.name, len(upper.notes), len(lower.notes)) == ("right", "left", 4, 1)
    tick = 60 / 100 / 24  # seconds
    first, second = upper.notes[:2]
    assert (first.start, first.velocity, first.pitch) == (0, 1, 66)
    assert second.start == pytest.approx(12 * tick)
    assert second.end == pytest.approx(112 * tick)
    assert converted.get_tempo_changes()[1] == pytest.approx([100])
    meters = [(m.numerator, m.denominator) for m in converted.time_signature_changes]
    assert meters == [(1, 8), (3, 4)]
    assert converted.key_signature_changes[0].key_number == 12 + 6  # F# minor


@pytest.mark.parametrize(
    ("module", "method"), [("symusic", "to_symusic"), ("pretty_midi", "to_pretty_midi")]
)
def test_without_the_library_the_error_names_the_extra(monkeypatch, module, method) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module}.*bicinium\[midi\]"):
        getattr(bicinium.read(MINUET), method)()
