"""Options and files become conditions, or give an error of one sentence."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.errors import (
    MidiFileError,
    NotationFileError,
    ReductionNeededError,
    RequestError,
    ScoreError,
)
from bicinium.formats.midi import write_midi
from bicinium.formats.musicxml_writer import write_musicxml
from bicinium.generation.conditions import Conditions
from bicinium.generation.fixed_notes import ALL_TICKS, fix_around_gap, fix_opening, fix_voice
from bicinium.generation.sampling import DEFAULT_SAMPLING
from bicinium.generation.subject import parse_subject
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.music.signature import Signature
from bicinium.render.export import write_score
from bicinium.request import ComposeRequest

Refuses = Callable[..., AbstractContextManager[None]]

_STYLES = ("bach", "classical")


def _one(seed: int = 0, **asked: Any) -> Conditions:
    (conditions,) = ComposeRequest(**asked).conditions([seed], _STYLES)
    return conditions


@pytest.fixture(scope="module")
def score(made_up_score: Callable[..., Score]) -> Score:
    """Eight bars of 3/4 in D minor."""
    return made_up_score(1, 8, "3/4", "D minor")


@pytest.fixture(scope="module")
def file(score: Score, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("given") / "piece.mid"
    write_midi(score, path)
    return path


# ------------------------------------------------------------------ what is left open


def test_what_is_left_open_is_drawn_by_the_seed() -> None:
    seeds = range(40)
    drawn = ComposeRequest().conditions(seeds, _STYLES)
    assert drawn == ComposeRequest().conditions(seeds, _STYLES)
    assert drawn[7:8] == ComposeRequest().conditions([7], _STYLES)
    assert len({str(one.key) for one in drawn}) > 6
    assert {str(one.meter) for one in drawn} == {"2/4", "3/4", "4/4", "6/8"}
    assert {one.style for one in drawn} == {"bach", "classical"}
    assert {(one.bars, one.tempo_qpm, one.fixed_notes) for one in drawn} == {(16, None, None)}


@pytest.mark.parametrize(
    ("asked", "name"),
    [({"key": "E minor"}, "key"), ({"meter": "5/4"}, "meter"), ({"style": "bach"}, "style"),
     ({"bars": 3}, "bars"), ({"tempo": 72.0}, "tempo_qpm")],
)  # fmt: skip
def test_naming_one_thing_leaves_what_the_seed_draws_of_the_others(
    asked: dict[str, object], name: str
) -> None:
    for seed in range(10):
        free, named = _one(seed), _one(seed, **asked)
        assert str(getattr(named, name)) == str(next(iter(asked.values())))
        assert replace(named, **{name: getattr(free, name)}) == free


# ------------------------------------------------------------------ subjects


def test_a_subject_is_read_note_by_note() -> None:
    read, ticks = parse_subject("D4:1/8 r:1/16 F#4:1/4 R:1 bb3:3/32 E♭5:1/24 C♯4:2")
    assert [(n.onset_tick, n.pitch, n.duration_ticks) for n in read.notes] == [
        (0, 62, 12), (18, 66, 24), (138, 58, 9), (147, 75, 4), (151, 61, 192),
    ]  # fmt: skip
    assert ticks == 343


@pytest.mark.parametrize(
    ("word", "pitch"),
    [("C4", 60), ("B#3", 60), ("Cb4", 59), ("A0", 21), ("C8", 108), ("B♯-1", None), ("c-1", None)],
)
def test_pitches_are_scientific(word: str, pitch: int | None, refuses: Refuses) -> None:
    if pitch is None:
        with refuses(RequestError, f"'{word}:1/4' .* off the keyboard, A0 to C8"):
            parse_subject(f"{word}:1/4")
    else:
        assert parse_subject(f"{word}:1/4")[0].notes[0].pitch == pitch


_STEPS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


@given(
    st.lists(
        st.tuples(st.none() | st.integers(21, 108), st.integers(1, 960)), min_size=1
    ).filter(lambda words: any(pitch for pitch, _ in words))
)  # fmt: skip
def test_a_subject_that_is_written_down_reads_back(words: list[tuple[int | None, int]]) -> None:
    text, notes, tick = [], [], 0
    for pitch, ticks in words:
        name = "r" if pitch is None else f"{_STEPS[pitch % 12]}{pitch // 12 - 1}"
        text.append(f"{name}:{ticks}/96")
        if pitch is not None:
            notes.append(Note(tick, pitch, ticks))
        tick += ticks
    assert parse_subject(" ".join(text))[0] == Voice(tuple(notes))


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", "The subject has no notes"),
        ("r:1/4", "The subject has no notes"),
        ("D4:1/8 H4:1/8", "'H4:1/8' in the subject is not a note. Write a note like D4:1/8"),
        ("D4", "'D4' in the subject is not a note"),
        ("D##4:1/8", "'D##4:1/8' in the subject is not a note"),
        ("D4:1/8,E4:1/8", "is not a note"),
        ("D4:-1/8", "is not a note"),
        ("D4:1/0", "is not a note"),
        ("D4:" + "9" * 5000, "is not a note"),
        ("D4:0", "off the grid of 96 to a whole note"),
        ("D4:1/7", "'D4:1/7' in the subject is off the grid of 96"),
        ("r:1/128", "off the grid"),
        ("D9:1/8", "'D9:1/8' in the subject is off the keyboard"),
    ],
)
def test_a_subject_that_is_none_is_refused(text: str, pattern: str, refuses: Refuses) -> None:
    with refuses(RequestError, pattern):
        _one(subject=text)


@given(text=st.text("ABCDEFG#b♭rR0123456789-:/ .x", max_size=30))
def test_any_text_is_a_subject_or_refused(text: str) -> None:
    with suppress(RequestError):
        assert _one(subject=text, bars=64).fixed_notes is not None


@pytest.mark.parametrize(("answer", "semitones"), [("octave", 0), ("fifth", 7)])
@pytest.mark.parametrize("octave", [3, 4, 6])
def test_the_answer_is_the_subject_lower_down(answer: str, semitones: int, octave: int) -> None:
    text = f"D{octave}:1/8 F{octave}:1/8 A{octave}:5/8"
    asked = _one(subject=text, answer=answer, meter="3/4", bars=5)  # no room for returns
    upper, lower = asked.fixed_notes.score.voices
    assert upper == parse_subject(text)[0]
    moves = {
        (below.onset_tick - above.onset_tick, below.pitch - above.pitch, below.duration_ticks)
        for above, below in zip(upper.notes, lower.notes, strict=True)
    }
    assert {later for later, _, _ in moves} == {144}  # the subject is one bar and a sixth long
    (interval,) = {interval for _, interval, _ in moves}
    assert interval < 0
    assert interval % 12 == semitones
    mean = sum(note.pitch for note in lower.notes) / 3
    assert abs(mean - 52) <= 6 or interval >= -12
    assert [n.duration_ticks for n in upper.notes] == [n.duration_ticks for n in lower.notes]


def test_a_subject_says_its_key_and_the_seed_the_rest() -> None:
    text = "A4:1/8 B4:1/8 C5:1/8 D5:1/8 E5:1/4 G#4:1/4 A4:1/2"
    drawn = ComposeRequest(subject=text).conditions(range(10), _STYLES)
    assert {str(one.key) for one in drawn} == {"A minor"}
    assert {str(one.meter) for one in drawn} == {"3/4"}  # which its six quarters fill
    assert len({one.style for one in drawn}) > 1
    assert str(_one(subject=text, key="C major").key) == "C major"


@pytest.mark.parametrize(
    ("asked", "pattern"),
    [
        (
            {"subject": "D4:1", "meter": "4/4", "bars": 2},
            "2 bars leave no room .* Choose 3 bars",
        ),
        (
            {"subject": "D4:3", "meter": "2/4", "bars": 9},
            "9 bars leave no room .* Choose 13 bars",
        ),
        ({"subject": "D4:1", "meter": "4/4", "bars": 0}, "got 0"),
        ({"subject": "B0:1/4", "bars": 8}, "too low for an answer"),
        ({"subject": "D4:11", "bars": 99}, "The subject cannot be composed with: .* at most 960"),
        ({"subject": "r:9 r:9 r:9 D4:1", "bars": 99}, "The subject cannot be composed with"),
        ({"subject": "D4:1", "answer": "third"}, "answer must be one of octave, fifth"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_subject_that_cannot_be_answered_is_refused(
    asked: dict[str, object], pattern: str, refuses: Refuses
) -> None:
    with refuses(RequestError, pattern):
        _one(**asked)


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("suffix", ["mid", "musicxml", "mxl"])
def test_a_file_says_key_metre_bars_and_tempo(score: Score, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"piece.{suffix}"
    write_score(score, path)
    for name, bars, given_ in [
        ("continue_from", 16, fix_opening(score, 16)),
        ("upper", 8, fix_voice(score.voices[0], 0, score)),
        ("lower", 8, fix_voice(score.voices[1], 1, score)),
    ]:
        asked = _one(**{name: path})
        assert (str(asked.key), str(asked.meter), asked.bars) == ("D minor", "3/4", bars)
        assert asked.tempo_qpm == pytest.approx(96, abs=0.01)
        expected = replace(given_, score=replace(given_.score, tempo_qpm=asked.tempo_qpm))
        assert asked.fixed_notes == expected
    asked = _one(rewrite=path, rewrite_bars=(3, 4))
    assert asked.bars == 8
    assert asked.fixed_notes.score.voices == fix_around_gap(score, 3, 4).score.voices
    assert asked.fixed_notes.fixed == fix_around_gap(score, 3, 4).fixed


def test_what_is_asked_for_beside_a_file_holds(file: Path) -> None:
    asked = _one(continue_from=file, key="F major", bars=11, tempo=50.0, style="bach")
    assert (str(asked.key), asked.bars, asked.tempo_qpm, asked.style) == ("F major", 11, 50, "bach")
    assert _one(upper=file, bars=8, meter="3/4").bars == 8


def test_all_seeds_are_given_the_same(file: Path) -> None:
    drawn = ComposeRequest(upper=file).conditions(range(12), _STYLES)
    assert all(one.fixed_notes == drawn[0].fixed_notes for one in drawn)
    assert {one.style for one in drawn} == {"classical"}  # of the simple manner
    drawn = ComposeRequest(upper=file, manner="invention").conditions(range(12), _STYLES)
    assert {one.style for one in drawn} == {"bach", "classical"}


def test_a_line_alone_is_the_voice_that_is_named(score: Score, tmp_path: Path) -> None:
    path = tmp_path / "line.musicxml"
    write_score(replace(score, voices=(score.voices[1], Voice(()))), path)
    for part, name in enumerate(("upper", "lower")):
        asked = _one(**{name: path})
        assert asked.fixed_notes.score.voices[part].notes == score.voices[1].notes
        assert not asked.fixed_notes.score.voices[1 - part].notes
        assert asked.fixed_notes.fixed[part] == (ALL_TICKS,)


def test_the_anacrusis_of_a_file_stays_empty_before_it(tmp_path: Path) -> None:
    lines = (Voice((Note(84, 72, 12), Note(96, 74, 96))), Voice((Note(96, 48, 96),)))
    path = tmp_path / "piece.musicxml"
    write_score(Score(lines, 2, Meter(4, 4), Key.parse("C major"), anacrusis_ticks=12), path)
    given_ = _one(upper=path).fixed_notes
    assert given_.score.anacrusis_ticks == 12
    assert given_.fixed == (((0, 2**30),), ((0, 84),))


# ------------------------------------------------------------------ what cannot be asked


@pytest.mark.parametrize(
    ("error", "asked", "pattern"),
    [
        (RequestError, {"bars": 0}, "bars must be between 1 and 256 .got 0"),
        (RequestError, {"bars": 257}, "got 257"),
        (RequestError, {"tempo": 0}, "tempo must be between 20 and 300 .* .got 0"),
        (ScoreError, {"key": "H"}, "'H' is not a key"),
        (ScoreError, {"meter": "5/7"}, "5/7 is not a metre"),
        (RequestError, {"rewrite_bars": (1, 2)}, "both a file and the bars, like 3-4"),
    ],
)
def test_wrong_words_are_refused(
    error: type[Exception], asked: dict[str, object], pattern: str, refuses: Refuses
) -> None:
    with refuses(error, pattern):
        _one(**asked)


@pytest.mark.parametrize(
    ("asked", "pattern"),
    [
        ({"continue_from": None, "bars": 0}, "0 bars cannot continue 8 bars"),
        ({"continue_from": None, "bars": 8}, "8 bars cannot continue 8 bars"),
        ({"continue_from": None, "bars": 300}, "got 300"),
        ({"continue_from": None, "tempo": 0}, "tempo must be between 20 and 300 .* .got 0"),
        ({"upper": None, "bars": 9}, "The given score has 8 bars, not 9"),
        ({"lower": None, "bars": 0}, "The given score has 8 bars, not 0"),
        ({"lower": None, "meter": "4/4"}, "The given score is in 3/4, not in 4/4"),
        ({"upper": None, "subject": "D4:1/4"}, "upper and subject cannot be combined"),
        ({"upper": None, "lower": None}, "upper and lower cannot be combined. Choose"),
        ({"rewrite": None}, "rewrite needs both a file and the bars"),
        ({"rewrite": None, "rewrite_bars": (8, 9)}, "Bars 8 to 9 cannot .* has bars 1"),
        ({"rewrite": None, "rewrite_bars": (4, 3)}, "Bars 4 to 3 cannot be rewritten"),
        ({"rewrite": None, "rewrite_bars": (1, 2), "bars": 4}, "has 8 bars, not 4"),
    ],
    ids=str,
)
def test_what_does_not_fit_a_file_is_refused(
    file: Path, asked: dict[str, object], pattern: str, refuses: Refuses
) -> None:
    """None stands for the file."""
    with refuses(RequestError, pattern):
        _one(**{name: file if value is None else value for name, value in asked.items()})


_ALL = ({"continue_from": None}, {"upper": None}, {"lower": None},
        {"rewrite": None, "rewrite_bars": (1, 1)})  # fmt: skip


def _each(path: Path, refuses: Refuses, error: type[Exception], pattern: str) -> None:
    for asked in _ALL:
        with refuses(error, pattern):
            _one(**{name: value or path for name, value in asked.items()})


def _musicxml(parts: list[str]) -> str:
    """One bar of 4/4 for each part; divisions are 12."""
    listed = "".join(f'<score-part id="P{i}"/>' for i in range(len(parts)))
    start = "<attributes><divisions>12</divisions></attributes>"
    bodies = "".join(
        f'<part id="P{i}"><measure number="1">{start}{part}</measure></part>'
        for i, part in enumerate(parts)
    )
    return f"<score-partwise><part-list>{listed}</part-list>{bodies}</score-partwise>"


def _note(octave: int, duration: str) -> str:
    pitch = f"<pitch><step>C</step><octave>{octave}</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration></note>"


def test_three_voices_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "three.musicxml"
    path.write_text(_musicxml([_note(octave, "48") for octave in (5, 4, 3)]))
    _each(path, refuses, ReductionNeededError, "has 3 staves, not two voices")


def test_notes_off_the_grid_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "fives.musicxml"
    path.write_text(_musicxml([_note(octave, "48/5") * 5 for octave in (5, 3)]))
    _each(path, refuses, ReductionNeededError, "notes off the grid of 24 ticks to the quarter note")
    path.write_text(_musicxml([_note(5, "48/5") * 5]))
    with refuses(ReductionNeededError, "notes off the grid"):
        _one(upper=path)


def test_empty_and_absent_files_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    (tmp_path / "empty.mid").write_bytes(b"")
    (tmp_path / "empty.musicxml").write_text("")
    (tmp_path / "silent.musicxml").write_text(
        _musicxml(["<note><rest/><duration>48</duration></note>"])
    )
    _each(tmp_path / "empty.mid", refuses, MidiFileError, "empty.mid")
    _each(tmp_path / "absent.mid", refuses, MidiFileError, "absent.mid")
    _each(tmp_path / "empty.musicxml", refuses, NotationFileError, "not well-formed XML")
    _each(tmp_path / "silent.musicxml", refuses, NotationFileError, "holds no notes")


def test_one_line_alone_is_gone_on_from_and_rewritten(score: Score, tmp_path: Path) -> None:
    path = tmp_path / "line.musicxml"
    write_score(replace(score, voices=(score.voices[0], Voice(()))), path)
    for asked in ({"continue_from": path}, {"rewrite": path, "rewrite_bars": (1, 2)}):
        assert _one(**asked).fixed_notes is not None


def test_the_bars_to_rewrite_are_those_on_the_page(tmp_path: Path, refuses: Refuses) -> None:
    """Print counts an upbeat as bar 0."""
    notes = tuple(Note(tick, 60, 24) for tick in range(48, 288, 24))
    score = Score((Voice(notes), Voice(())), 4, Meter(3, 4), anacrusis_ticks=24)
    path = tmp_path / "upbeat.musicxml"
    write_score(score, path)
    fixed = _one(rewrite=path, rewrite_bars=(2, 2)).fixed_notes
    assert fixed is not None
    onsets = {note.onset_tick for note in fixed.score.voices[0].notes}
    assert onsets == {note.onset_tick for note in notes} - {144, 168, 192}
    with refuses(RequestError, "has an upbeat, bar 0, and bars 1 to 3"):
        _one(rewrite=path, rewrite_bars=(4, 4))


def test_a_note_that_the_grammar_does_not_know_is_refused(tmp_path: Path, refuses: Refuses) -> None:
    long = Score((Voice((Note(0, 72, 1_000),)), Voice((Note(0, 48, 96),))), 11)
    write_midi(long, tmp_path / "long.mid")
    pattern = "long.mid cannot be composed with: .* a note lasts at most 960 ticks"
    for name in ("continue_from", "upper"):
        with refuses(RequestError, pattern):
            _one(**{name: tmp_path / "long.mid"})


# ------------------------------------------------------------------ options by name


def test_options_are_those_of_the_request_and_of_the_sampling(tiny_model: Path) -> None:
    request = ComposeRequest.from_options(n=2, seed=5, temperature=0.5, model=str(tiny_model))
    assert request.sampling == replace(DEFAULT_SAMPLING, temperature=0.5)
    assert (list(request.seeds), request.model) == ([5, 6], tiny_model)
    assert (request.candidates, ComposeRequest(use_grammar=False).candidates) == (12, 1)


def test_unknown_options_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(TypeError, match="unknown option 'metre'; the nearest is 'meter'"):
        ComposeRequest.from_options(metre="3/4")


def test_renamed_and_removed_options_are_reported(refuses: Refuses) -> None:
    with pytest.warns(DeprecationWarning, match="recurrence was renamed motif_strength"):
        assert ComposeRequest.from_options(recurrence=2.0).sampling.motif_strength == 2.0
    with pytest.warns(DeprecationWarning, match="repetition_penalty was removed"):
        assert ComposeRequest.from_options(repetition_penalty=0.0, seed=1) == ComposeRequest(seed=1)
    with refuses(RequestError, "repetition_penalty was removed"):
        ComposeRequest.from_options(repetition_penalty=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be 1 or more"),
        ({"best_of": 0}, "best_of must be 1 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"max_quote": -1}, "max_quote must be 0 or more"),
        ({"time_limit": 0.0}, r"time_limit must be over 0 seconds \(got 0.0\)"),
        ({"time_limit": float("nan")}, "time_limit must be over 0 seconds"),
        ({"max_quote": 3, "use_grammar": False}, "with the grammar on"),
        ({"answer": "fifth"}, "answer needs a subject"),
    ],
)
def test_contradictions_are_refused(options: dict, message: str, refuses: Refuses) -> None:
    with refuses(RequestError, message):
        ComposeRequest.from_options(**options)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("bars", 2.5, r"bars must be a whole number or None \(got 2.5\)"),
        ("bars", True, r"bars must be a whole number or None \(got True\)"),
        ("seed", "7", r"seed must be a whole number \(got '7'\)"),
        ("max_quote", float("nan"), r"max_quote must be a whole number or None"),
        ("top_k", 1.5, r"top_k must be a whole number"),
        ("top_p", float("nan"), r"--top-p must be over 0"),
        ("use_grammar", 1, r"use_grammar must be True or False"),
        ("constraints", {}, r"constraints must be a Constraints or None"),
        ("rewrite_bars", "3-4", r"rewrite_bars must be two whole numbers"),
        ("rewrite_bars", (1, 2, 3), r"rewrite_bars must be two whole numbers"),
        ("key", 3, r"key must be a text or None"),
        ("grammar", "mine", r"grammar must be a MusicalGrammar or None"),
    ],
)
def test_a_value_of_another_type_is_refused(option: str, value: object, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        ComposeRequest.from_options(**{option: value})


def test_a_tempo_that_is_no_number_is_refused() -> None:
    with pytest.raises(RequestError, match="tempo must be between"):
        _one(tempo=float("nan"))


def test_numbers_of_numpy_are_numbers() -> None:
    request = ComposeRequest.from_options(seed=np.int64(3), temperature=np.float32(0.5))
    assert next(iter(request.seeds)) == 3


# ------------------------------------------------------------------ key and metre of a given score


def _given(folder: Path, signature: Signature | None) -> Path:
    """A tune of four bars that begins and ends on G and has an F sharp."""
    line = Voice(tuple(Note(24 * i, p, 24) for i, p in enumerate((67, 69, 71, 72, 74, 71, 66, 67))))
    score = Score((line, Voice(())), 2, key=signature and signature.key, signature=signature)
    write_musicxml(score, folder / "tune.musicxml")
    return folder / "tune.musicxml"


@pytest.mark.parametrize("key", ["G major", "E minor"])
def test_a_key_may_be_that_of_the_tune_or_its_relative(key: str, tmp_path: Path) -> None:
    tune = _given(tmp_path, Signature.parse("G major"))
    assert _one(upper=tune, key=key).key == Key.parse(key)


def test_a_key_or_metre_that_contradicts_the_tune_is_refused(
    tmp_path: Path, refuses: Refuses
) -> None:
    for signature in (Signature.parse("G major"), None):
        tune = _given(tmp_path, signature)
        with refuses(RequestError, "are in G major, not in F# major. Leave the key out"):
            _one(upper=tune, key="F# major")
        with refuses(RequestError, "is in 4/4, not in 3/4. Leave the metre out"):
            _one(upper=tune, meter="3/4")


def test_a_mode_of_the_tune_is_that_of_the_piece(tmp_path: Path) -> None:
    tune = _given(tmp_path, Signature.parse("G lydian"))
    assert _one(upper=tune).signature == Signature(2, "lydian")
    assert _one(key="D dorian").display_title == "Bicinium in D dorian"


# ------------------------------------------------------------------ metre, key, use of subjects

_BAR_OF_C = "C4:1/8 D4:1/8 E4:1/8 F4:1/8 G4:1/4 E4:1/4"


@pytest.mark.parametrize(
    ("subject", "meter"),
    [
        (_BAR_OF_C, "4/4"),
        ("C4:1/4 E4:1/4 G4:1/4", "3/4"),
        ("C4:1/4 E4:1/8 r:1/8", "2/4"),
        ("C4:1/4 E4:1/4 G4:1/4 C5:3/4", "3/4"),
    ],
)
def test_a_subject_sets_metre_and_key(subject: str, meter: str) -> None:
    for seed in range(5):
        asked = _one(seed, subject=subject)
        assert (str(asked.meter), asked.key) == (meter, Key.parse("C major"))


def test_a_metre_or_key_that_contradicts_the_subject_is_refused(refuses: Refuses) -> None:
    with refuses(RequestError, "lasts 4 quarter notes, which are bars of 4/4 and not of 3/4"):
        _one(subject=_BAR_OF_C, meter="3/4")
    with refuses(RequestError, "are in C major, not in E major. Leave the key out"):
        _one(subject=_BAR_OF_C, key="E major")
    assert _one(subject="C4:1/4 E4:1/4", meter="4/4").meter == Meter(4, 4)


@pytest.mark.parametrize("bars", [1, 2, 3, 5])
def test_a_subject_of_any_length_is_answered_and_returns(bars: int) -> None:
    asked = _one(subject=" ".join([_BAR_OF_C] * bars), best_of=1)
    assert asked.bars == max(16, 6 * bars)
    melody = [0, 2, 4, 5, 7, 4] * bars
    for part, voice in enumerate(asked.fixed_notes.score.voices):
        entries = [voice.notes[i : i + len(melody)] for i in (0, len(melody))]
        assert [[n.pitch - e[0].pitch for n in e] for e in entries] == [melody, melody]
        starts = [entry[0].onset_tick // 96 for entry in entries]
        assert starts == ([0, asked.bars * 3 // 4] if part == 0 else [bars, asked.bars // 2])


@pytest.mark.parametrize(("meter", "qpm"), [("3/4", 60), ("6/8", 90), ("2/2", 120), ("3/8", 30)])
def test_the_tempo_counts_beats_of_the_metre(meter: str, qpm: float, refuses: Refuses) -> None:
    assert _one(meter=meter, tempo=60.0).tempo_qpm == qpm
    with refuses(RequestError, "tempo must be between .* notes a minute .got 900"):
        _one(meter=meter, tempo=900.0)


def test_a_manner_is_known_and_belongs_to_a_second_voice(file: Path, refuses: Refuses) -> None:
    with refuses(RequestError, r"manner must be one of simple, .* \(got 'plain'\)"):
        ComposeRequest(upper=file, manner="plain")
    with refuses(RequestError, "manner needs a given voice"):
        ComposeRequest(manner="simple")
    strengths = [
        ComposeRequest(upper=file, manner=manner).config.constraints
        for manner in ("simple", "chorale", "invention")
    ]
    assert [one and one.chords for one in strengths] == [1, 1, 0]
