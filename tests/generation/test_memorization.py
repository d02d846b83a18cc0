"""Quotations are found in any key, metre position and voice. Other music is not a quotation."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicinium.errors import CheckpointError
from bicinium.generation.memorization import Quotation, QuotationIndex
from bicinium.music.score import Meter, Note, Score, Voice

MakeScore = Callable[..., Score]
Refuses = Callable[..., AbstractContextManager[None]]

_METERS = ("2/4", "3/4", "4/4", "6/8")
_SOURCES = 24
_MIXTURE = settings(max_examples=60)


def _with_notes(score: Score, change: Callable[[int, int, Note], Note]) -> Score:
    """Return the score with each note replaced by ``change(voice, index, note)``."""
    voices = tuple(
        Voice(tuple(change(part, index, note) for index, note in enumerate(voice.notes)))
        for part, voice in enumerate(score.voices)
    )
    return replace(score, voices=voices)


def _later(score: Score, ticks: int) -> Score:
    """The same a bit later, in a piece of one bar more."""
    longer = replace(score, bars=score.bars + 1)
    return _with_notes(longer, lambda _p, _i, n: replace(n, onset_tick=n.onset_tick + ticks))


def _joined(*stretches: tuple[Score, int, int]) -> Score:
    """Join excerpts, each (score, first bar from 0, bars). Notes are cut at the end of their
    excerpt.
    """
    bar, start = stretches[0][0].meter.bar_ticks, 0
    voices: tuple[list[Note], ...] = ([], [])
    for score, first, bars in stretches:
        begin, end = first * bar, (first + bars) * bar
        for notes, voice in zip(voices, score.voices, strict=True):
            notes += [
                replace(n, onset_tick=n.onset_tick - begin + start,
                        duration_ticks=min(n.offset_tick, end) - n.onset_tick)
                for n in voice.notes if begin <= n.onset_tick < end
            ]  # fmt: skip
        start += bars * bar
    lines = tuple(Voice(tuple(notes)) for notes in voices)
    return Score(lines, start // bar, stretches[0][0].meter)


@pytest.fixture(scope="module")
def sources(made_up_score: MakeScore) -> list[Score]:
    """Pieces of sixteen bars in four metres, in major and minor."""
    keys = ("G major", "D minor", "Eb major")
    return [made_up_score(i, 16, _METERS[i % 4], keys[i % 3]) for i in range(_SOURCES)]


@pytest.fixture(scope="module")
def index(sources: list[Score]) -> QuotationIndex:
    return _index(sources)


def _index(scores: Sequence[Score]) -> QuotationIndex:
    return QuotationIndex.build((score, f"Nobody, Piece {i}") for i, score in enumerate(scores))


def test_every_piece_of_the_index_quotes_itself_in_full(
    index: QuotationIndex, sources: list[Score]
) -> None:
    for i, score in enumerate(sources):
        assert index.longest_quotation(score) == Quotation(16, f"Nobody, Piece {i}", 1, 1)


@pytest.mark.parametrize("semitones", [-12, -5, -1, 1, 2, 6, 11])
def test_in_another_key_it_is_the_same(
    index: QuotationIndex, sources: list[Score], semitones: int
) -> None:
    for i, score in enumerate(sources[:8]):
        found = index.longest_quotation(score.transpose(semitones))
        assert found == Quotation(16, f"Nobody, Piece {i}", 1, 1)


def test_from_another_beat_it_is_the_same(index: QuotationIndex, sources: list[Score]) -> None:
    for i, score in enumerate(sources[:8]):
        for ticks in range(0, score.meter.bar_ticks + 1, score.meter.beat_ticks):
            found = index.longest_quotation(_later(score, ticks))
            first_bar = 1 + ticks // score.meter.bar_ticks
            assert found == Quotation(16, f"Nobody, Piece {i}", first_bar, 1)


def test_other_lengths_velocities_and_tempo_hide_nothing(
    index: QuotationIndex, sources: list[Score]
) -> None:
    def staccato(_part: int, place: int, note: Note) -> Note:
        return replace(note, duration_ticks=3 + place % 4, velocity=40 + place % 50)

    for score in sources[:8]:
        assert index.longest_quotation(replace(_with_notes(score, staccato), tempo_qpm=50.0)) == (
            index.longest_quotation(score)
        )


@pytest.mark.parametrize("part", [0, 1])
def test_with_another_pitch_or_rhythm_in_every_bar_nothing_is_quoted(
    index: QuotationIndex, sources: list[Score], part: int
) -> None:
    for score in sources:
        bar = score.meter.bar_ticks
        onsets = [note.onset_tick for note in score.voices[part].notes]
        firsts = {min(o for o in onsets if o // bar == b) for b in {o // bar for o in onsets}}

        def higher(p: int, _i: int, note: Note, firsts: set[int] = firsts) -> Note:
            return replace(note, pitch=note.pitch + (p == part and note.onset_tick in firsts))

        def late(p: int, _i: int, note: Note, firsts: set[int] = firsts) -> Note:
            delay = 3 * (p == part and note.onset_tick in firsts)
            return replace(
                note, onset_tick=note.onset_tick + delay, duration_ticks=note.duration_ticks - delay
            )

        assert index.longest_quotation(_with_notes(score, higher)) == Quotation(0)
        assert index.longest_quotation(_with_notes(score, late)) == Quotation(0)


def test_voices_that_change_places_are_another_piece(
    index: QuotationIndex, sources: list[Score]
) -> None:
    for score in sources:
        assert index.longest_quotation(replace(score, voices=score.voices[::-1])).bars == 0


def test_the_length_of_a_bar_counts(index: QuotationIndex, sources: list[Score]) -> None:
    score = next(s for s in sources if s.meter == Meter(2, 4))
    assert index.longest_quotation(replace(score, meter=Meter(4, 4), bars=8)).bars == 0


def test_made_up_pieces_quote_none_of_the_others(
    index: QuotationIndex, made_up_score: MakeScore
) -> None:
    for seed in range(100, 140):
        found = index.longest_quotation(made_up_score(seed, 16, _METERS[seed % 4], "G major"))
        assert found == Quotation(0)


@_MIXTURE
@given(
    source=st.integers(0, _SOURCES - 1),
    bars=st.integers(0, 16),
    skipped=st.integers(0, 16),
    before=st.integers(0, 6),
    after=st.integers(0, 6),
    semitones=st.integers(-6, 6),
)
def test_quoted_bars_among_foreign_ones_are_counted(
    index: QuotationIndex, sources: list[Score], made_up_score: MakeScore,
    source: int, bars: int, skipped: int, before: int, after: int, semitones: int,
) -> None:  # fmt: skip
    theirs = sources[source]
    skipped = min(skipped, 16 - bars)
    own = made_up_score(1000 + source, 12, str(theirs.meter), "C minor")
    piece = _joined((own, 0, before), (theirs, skipped, bars), (own, before, after))
    found = index.longest_quotation(piece.transpose(semitones))
    if bars < 2:
        assert found == Quotation(0)
    else:
        assert found == Quotation(bars, f"Nobody, Piece {source}", before + 1, skipped + 1)


def test_the_longest_of_several_quotations_is_found(
    index: QuotationIndex, sources: list[Score]
) -> None:
    """Sources 0, 4 and 8 have the same metre."""
    first, second, third = sources[0], sources[4], sources[8]
    piece = _joined((first, 2, 3), (second, 5, 4), (third, 0, 4))
    assert index.longest_quotation(piece) == Quotation(4, "Nobody, Piece 4", 4, 6)


@pytest.mark.parametrize("order", [(8, 2, 12, 4, 0, 10), (0, 1, 2, 3, 4), (5, 4, 3, 2, 1)])
def test_bars_in_another_order_are_no_long_quotation(
    index: QuotationIndex, sources: list[Score], order: Sequence[int]
) -> None:
    """Pairs of bars, each of which is in the source."""
    piece = _joined(*((sources[0], first, 2) for first in order))
    assert index.longest_quotation(piece).bars == 2


def test_a_quotation_does_not_go_on_into_the_next_piece(sources: list[Score]) -> None:
    first, second = _joined((sources[0], 0, 8)), _joined((sources[0], 8, 8))
    found = _index([first, second]).longest_quotation(sources[0])
    assert found == Quotation(8, "Nobody, Piece 0", 1, 1)


def _line(pitches: Sequence[int], ticks: int) -> Voice:
    return Voice(tuple(Note(i * ticks, pitch, ticks) for i, pitch in enumerate(pitches)))


@pytest.mark.parametrize(
    "trivial",
    [
        Score((_line([72, 74, 76], 96), _line([48, 50, 52], 96)), 3),  # fewer than 8 notes in two
        Score((_line([72] * 48, 12), _line([48] * 6, 96)), 6),  # a drum
        Score((_line([72, 76] * 24, 12), _line([48] * 6, 96)), 6),
        Score((_line(range(60, 68), 12), _line([], 12)), 1),  # one bar
        Score((Voice(), Voice()), 16),
        Score((), 16),
        Score((), 0),
    ],
)
def test_what_is_trivial_short_or_empty_is_no_quotation(
    index: QuotationIndex, trivial: Score
) -> None:
    assert index.longest_quotation(trivial) == Quotation(0)
    assert _index([trivial]).longest_quotation(trivial) == Quotation(0)


def test_one_voice_alone_can_be_quoted() -> None:
    tune = Score((_line([60, 62, 64, 65, 67, 69, 71, 72] * 2, 24), Voice()), 4)
    assert _index([tune]).longest_quotation(tune).bars == 4


def test_an_index_of_nothing_finds_nothing(sources: list[Score], tmp_path: Path) -> None:
    _index([]).save(tmp_path / "empty.npz")
    loaded = QuotationIndex.load(tmp_path / "empty.npz")
    assert loaded.names == ()
    assert loaded.longest_quotation(sources[0]) == Quotation(0)


def test_a_saved_index_is_the_same_index(
    index: QuotationIndex, sources: list[Score], tmp_path: Path
) -> None:
    path = tmp_path / "index.npz"
    index.save(path)
    loaded = QuotationIndex.load(path)
    assert np.array_equal(loaded.fingerprints, index.fingerprints)
    assert np.array_equal(loaded.bars, index.bars)
    assert loaded.names == index.names
    assert [loaded.longest_quotation(s) for s in sources] == (
        [index.longest_quotation(s) for s in sources]
    )
    assert [path] == list(tmp_path.iterdir())


def test_names_of_all_kinds_come_back(sources: list[Score], tmp_path: Path) -> None:
    names = ("", "Antonín Dvořák, Op. 96", "two\nlines\u2028 and\ttabs", "")
    QuotationIndex.build(zip(sources, names, strict=False)).save(tmp_path / "index.npz")
    loaded = QuotationIndex.load(tmp_path / "index.npz")
    assert loaded.names == ("", names[1], "two lines and tabs", "")
    assert loaded.longest_quotation(sources[2]).source == "two lines and tabs"


_SAVE = """
import sys
from pathlib import Path
from bicinium.generation.memorization import QuotationIndex
from bicinium.music.score import Note, Score, Voice
voices = [Voice(tuple(Note(12 * i, low + i * i % 13, 12) for i in range(64))) for low in (60, 40)]
QuotationIndex.build([(Score(tuple(voices), 8), "Nobody, Squares")]).save(Path(sys.argv[1]))
"""


def test_every_process_and_machine_makes_the_same_file(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.npz" for seed in ("1", "2")]
    for path in paths:
        environment = os.environ | {"PYTHONHASHSEED": path.stem}
        subprocess.run([sys.executable, "-c", _SAVE, str(path)], check=True, env=environment)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    fingerprints = QuotationIndex.load(paths[0]).fingerprints
    # What every version must find in the files of earlier ones; else _FORMAT is another.
    assert (
        hashlib.sha256(fingerprints.astype("<u8").tobytes()).hexdigest()[:16] == "c27c418d74941efb"
    )


def _arrays(index: QuotationIndex, path: Path) -> dict[str, np.ndarray]:
    index.save(path)
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize(
    "damage",
    ["absent", "folder", "empty", "text", "cut", "array", "pickle", "part", "format", "rows",
     "names", "types", "shape"],
)  # fmt: skip
def test_what_is_not_such_a_file_is_refused_in_one_sentence(
    index: QuotationIndex, refuses: Refuses, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "index.npz"
    arrays = _arrays(index, path)
    whole = path.read_bytes()
    changed = {
        "pickle": {"names": np.array([{}, None])},
        "format": {"format": np.array(99)},
        "rows": {"fingerprints": arrays["fingerprints"][:-1]},
        "names": {"names": arrays["names"][:-20]},
        "types": {"bars": arrays["bars"].astype(float)},
        "shape": {"bars": arrays["bars"].reshape(2, -1)},
    }
    if damage in changed:
        np.savez(path, **(arrays | changed[damage]))
    elif damage == "part":
        np.savez(path, format=arrays["format"], bars=arrays["bars"])
    elif damage == "array":
        with path.open("wb") as file:
            np.save(file, arrays["bars"])
    elif damage in ("absent", "folder"):
        path.unlink()
        if damage == "folder":
            path.mkdir()
    else:
        path.write_bytes({"empty": b"", "text": b"PK, but no zip", "cut": whole[:-700]}[damage])
    with refuses(CheckpointError, "quotation index"):
        QuotationIndex.load(path)


def test_a_damaged_byte_is_refused_or_harmless(
    index: QuotationIndex, sources: list[Score], refuses: Refuses, tmp_path: Path
) -> None:
    path = tmp_path / "index.npz"
    index.save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 400).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            loaded = QuotationIndex.load(path)
        except CheckpointError:
            continue
        assert loaded.longest_quotation(sources[1]) == index.longest_quotation(sources[1])


def test_looking_up_a_piece_takes_little_time(index: QuotationIndex, sources: list[Score]) -> None:
    times = []
    for score in sources:
        start = time.process_time()
        index.longest_quotation(score)
        times.append(time.process_time() - start)
    assert np.median(times) < 0.02
