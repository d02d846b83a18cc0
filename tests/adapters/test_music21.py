"""Scores become music21 streams and come back as they were."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

import bicinium
from bicinium.data.sources import find_sources
from bicinium.errors import MissingExtraError, ScoreError
from bicinium.formats.musicxml_writer import to_musicxml
from bicinium.formats.registry import find_music, read_score
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.music.signature import Signature

MINUET = Path(__file__).parents[2] / "examples" / "minuet.musicxml"


def assert_equal(found: Score, expected: Score) -> None:
    """Fail if any field differs, those that ``==`` leaves out, too, or if it is written so."""
    assert found.tempo_qpm == pytest.approx(expected.tempo_qpm, rel=1e-12)  # beats, not quarters
    found = replace(found, tempo_qpm=expected.tempo_qpm)
    for field in fields(Score):
        if field.name not in ("losses", "signature", "spellings"):
            assert getattr(found, field.name) == getattr(expected, field.name), field.name
    assert to_musicxml(found) == to_musicxml(expected)  # signature, spelling, ties, clefs


@pytest.fixture(scope="module")
def music21():
    return pytest.importorskip("music21")


@pytest.fixture
def difficult() -> Score:
    """A score with an upbeat, triplets, ties, odd spelling and velocities, without a title."""
    upper = [(60, 66, 12, 1), (72, 73, 100, 127), (176, 68, 8, 64), (184, 70, 8, 65)]
    lower = [(72, 42, 72, 33), (144, 78, 24, 80), (168, 79, 24, 80)]
    return Score(
        voices=(Voice(tuple(Note(*n) for n in upper)), Voice(tuple(Note(*n) for n in lower))),
        bars=4,
        meter=Meter(3, 4),
        key=Key(6, "major"),
        tempo_qpm=91.99998773,
        anacrusis_ticks=12,
        signature=Signature(-6, "major"),
        spellings={(60, 66): -6, (72, 73): -5, (176, 68): 8, (184, 70): 10, (144, 78): 6},
    )


def test_what_a_stream_holds(music21) -> None:
    stream = bicinium.read(MINUET).to_music21()
    upper, lower = stream.parts
    assert [note.nameWithOctave for note in upper.flatten().notes][:3] == ["D5", "G4", "A4"]
    assert str(upper.flatten().getElementsByClass("KeySignature").first()) == "G major"
    assert lower.recurse().getElementsByClass("TimeSignature").first().ratioString == "3/4"
    assert lower.recurse().getElementsByClass("Clef").first().name == "bass"
    assert (stream.metadata.title, stream.metadata.composer) == (
        "Minuet in G (bars 1 to 8)", "Christian Petzold",
    )  # fmt: skip


def test_a_round_trip_keeps_everything(music21, difficult) -> None:
    for score in (bicinium.read(MINUET), difficult, replace(difficult, title="<&>", composer="é")):
        assert_equal(bicinium.from_music21(score.to_music21()), score)


def test_a_rest_beside_a_rest_of_the_whole_bar_keeps_its_length(music21) -> None:
    score = Score(
        (Voice((Note(96, 67, 96),)), Voice()), bars=1, meter=Meter(4, 2), key=Key(7, "major")
    )
    assert_equal(bicinium.from_music21(score.to_music21()), score)


def test_ties_tuplets_and_velocities_are_those_of_music21(music21, difficult) -> None:
    notes = list(difficult.to_music21().parts[0].flatten().notes)
    assert [n.tie.type for n in notes if n.tie] == ["start", "continue", "stop"]
    assert any(n.duration.tuplets for n in notes)
    assert notes[0].volume.velocity == 1
    assert notes[0].nameWithOctave == "G-4"


def test_a_stream_that_was_made_by_hand(music21) -> None:
    """Without measures, parts or metadata, and unchanged by the conversion."""
    stream = music21.converter.parse("tinynotation: 3/4 c4 d8 e8 f#4 g2.")
    before = len(list(stream.recurse()))
    score = bicinium.from_music21(stream)
    assert [note.pitch for note in score.voices[0].notes] == [60, 62, 64, 66, 67]
    assert (score.bars, score.meter, score.title, score.composer) == (2, Meter(3, 4), "", "")
    assert len(list(stream.recurse())) == before
    flat = music21.stream.Stream([music21.note.Note("C4"), music21.note.Note("E-4")])
    assert [n.pitch for n in bicinium.from_music21(flat).voices[0].notes] == [60, 63]


def test_a_chorale_is_reduced_on_demand(music21) -> None:
    chorale = music21.corpus.parse("bach/bwv269")
    with pytest.raises(ScoreError, match=r"4 staves, not two voices. Pass reduce=True"):
        bicinium.from_music21(chorale)
    soprano = [n.pitch.midi for n in chorale.parts[0].flatten().stripTies().notes]
    reduced = bicinium.from_music21(chorale, reduce=True)
    assert [note.pitch for note in reduced.voices[0].notes] == soprano
    assert reduced.title == chorale.metadata.bestTitle


@pytest.mark.parametrize("wrong", ["piece.mid", None, 3])
def test_what_is_no_stream_is_refused(music21, wrong) -> None:
    with pytest.raises(ScoreError, match="takes a music21 stream"):
        bicinium.from_music21(wrong)


def test_a_stream_without_notes_is_refused(music21) -> None:
    for empty in (music21.stream.Stream(), music21.stream.Score(), music21.stream.Part()):
        with pytest.raises(ScoreError, match="The music21 stream"):
            bicinium.from_music21(empty)


def test_without_music21_the_error_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(MissingExtraError, match=r"bicinium\[notation\]"):
        bicinium.read(MINUET).to_music21()
    with pytest.raises(MissingExtraError, match=r"bicinium\[notation\]"):
        bicinium.from_music21(object())


@pytest.mark.slow
def test_pieces_of_the_corpora_come_back(music21, shared_corpus) -> None:
    """MIDI, and notation of music21's corpus, which states its spelling."""
    stated = [source.path for source in find_sources(["music21"])][::40]
    tested = 0
    for path in [*find_music(shared_corpus)[::16], *stated]:
        score = read_score(path, reduce=True)
        if score.note_count <= 1000:
            assert_equal(bicinium.from_music21(score.to_music21()), score)
            tested += 1
    assert tested >= 25
