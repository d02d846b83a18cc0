"""Pieces are as requested, even from a model with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import cast

import mido
import numpy as np
import pytest

from bicinium.errors import RequestError
from bicinium.formats.midi import read_midi
from bicinium.generation.acceptance import (
    RejectReason,
    longest_repetition,
    longest_rest,
    min_share_of_bars_played,
)
from bicinium.generation.candidates import Finished, Rejected, rejection_message
from bicinium.generation.composer import Composer
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import MAX_BARS, Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints import Constraints
from bicinium.generation.constraints.cadence import draw_cadence_plan
from bicinium.generation.critic import Critic
from bicinium.generation.fixed_notes import fix_opening, fix_voice
from bicinium.generation.rerank import Selection
from bicinium.generation.sampling import Sampling
from bicinium.generation.streaming import NoteEvent
from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig, MusicalGrammarValidator
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.decoder import Decoder
from bicinium.music.counterpoint import has_authentic_bass, latest_final_onset_tick
from bicinium.music.descriptors import Description
from bicinium.music.key import ALL_KEYS, Key
from bicinium.music.logistic import LogisticRegression
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.reports.verdicts import validate_file
from bicinium.tokenizer.codec import decode, encode
from bicinium.tokenizer.vocabulary import END, KINDS, START, VALUES, Kind, tempo_bin, token_id

Refuses = Callable[..., AbstractContextManager[None]]

_METERS = ("2/4", "3/4", "4/4", "6/8")
_CONSTRAINED = GenerationConfig(constraints=Constraints())
_C, _D_MINOR = Key.parse("C major"), Key.parse("D minor")


@pytest.fixture(scope="module")
def composer(tiny_model: Path) -> Composer:
    return Composer(load_checkpoint(tiny_model))


def _asked(**differently: object) -> Conditions:
    values: dict[str, object] = {"key": _D_MINOR, "meter": Meter(3, 4), "bars": 4}
    return Conditions(**(values | differently))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pieces(composer: Composer) -> list[Composition]:
    """Every key, and every common metre six times, of one to nine bars."""
    conditions = [
        _asked(key=key, meter=Meter.parse(_METERS[i % 4]), bars=1 + i % 9)
        for i, key in enumerate(ALL_KEYS)
    ]
    return composer.compose(conditions, range(len(conditions)))


def test_every_piece_of_a_random_model_is_valid(pieces: list[Composition]) -> None:
    validator = MusicalGrammarValidator()
    for piece in pieces:
        asked = piece.conditions
        result = validator.validate_sequence(piece.tokens, asked.meter, asked.bars)
        assert result.valid, result.violations[:1]
        assert piece.result.valid
        assert piece.result.grammar_score == 1.0
        assert piece.result.notes == piece.score.note_count > 0


def test_pieces_have_exactly_the_bars_metre_and_key_that_were_asked_for(
    pieces: list[Composition],
) -> None:
    for piece in pieces:
        assert piece.score.bars == piece.conditions.bars
        assert piece.score.meter == piece.conditions.meter
        assert piece.score.key == piece.conditions.key
        assert len(piece.score.voices) == 2


def test_a_piece_that_begins_late_in_its_first_bar_has_an_upbeat(composer: Composer) -> None:
    asked = [_asked(bars=2, meter=Meter(2, 4))] * 60
    scores = [piece.score for piece in composer.compose(asked, range(60))]
    upbeats = [score for score in scores if score.anacrusis_ticks]
    assert upbeats
    for score in upbeats:
        assert min(v.notes[0].onset_tick for v in score.voices if v.notes) == score.start_tick
    assert all(score.with_anacrusis() == score for score in scores)


def test_a_piece_that_is_to_close_is_told_so_unless_its_end_is_given(composer: Composer) -> None:
    """At so little strength, what the constraint itself does is nothing."""
    line = Score((Voice((Note(0, 74, 48), Note(144, 74, 72))), Voice(())), 4, Meter(3, 4), _D_MINOR)
    closing = replace(Constraints.none(), close=1e-12)
    for given, told in ((None, True), (fix_voice(line.voices[0], 0, line), False)):
        both = [
            composer.compose([_asked(fixed_notes=given)], [3], GenerationConfig(constraints=one))[
                0
            ].tokens
            for one in (closing, Constraints.none())
        ]
        assert np.array_equal(*both) == (not told)


def test_all_candidates_are_drawn_again_if_none_is_valid(composer: Composer) -> None:
    """Three pieces of three candidates. Only the second piece needs three attempts."""
    meter = Meter(3, 4)
    asked = _asked(key=_C, meter=meter, bars=1)
    seen: list[int] = []

    def accept(piece: Composition) -> bool:
        seen.append(piece.seed % 2**64)
        return piece.seed % 2**64 != 1 or piece.draws == 3

    selection = Selection(best_of=3, accept=accept)
    results = list(composer.generate([asked] * 3, range(3), selection=selection))
    finished = {one.index: one for one in results if isinstance(one, Finished)}
    assert {i: one.draws for i, one in finished.items()} == {0: 3, 1: 9, 2: 3}
    assert {i: one.composition.draws for i, one in finished.items()} == {0: 1, 1: 3, 2: 1}
    assert {i: len(one.valid) for i, one in finished.items()} == {0: 3, 1: 3, 2: 3}
    assert sorted(seen) == [0] * 3 + [1] * 9 + [2] * 3


def test_a_piece_without_a_valid_candidate_is_rejected_with_the_reason(composer: Composer) -> None:
    selection = Selection(best_of=2, accept=lambda piece: piece.seed % 2**64 != 1)
    results = list(composer.generate([_asked(bars=1)] * 3, range(3), selection=selection))
    (rejected,) = (one for one in results if isinstance(one, Rejected))
    assert (rejected.index, rejected.seed) == (1, 1)
    assert rejected.reason is RejectReason.NOT_ACCEPTED
    assert sum(isinstance(one, Finished) for one in results) == 2
    assert rejection_message(rejected).startswith(
        "No acceptable piece with seed 1 after 8 attempts."
    )
    with pytest.raises(RequestError, match="No acceptable piece with seed 1"):
        composer.compose([_asked(bars=1)] * 3, range(3), selection=selection)


def test_pieces_close_when_their_plan_says(composer: Composer) -> None:
    """Pieces close on the last downbeat or by the middle of the bar. Chord notes may follow until
    then.
    """
    for meter in map(Meter.parse, _METERS):
        asked = [_asked(meter=meter, bars=3)] * 24
        late = 0
        for piece in composer.compose(asked, range(24), _CONSTRAINED):
            rng = np.random.default_rng([piece.seed, piece.draws - 1])
            plan = draw_cadence_plan(piece.conditions, Constraints(), rng)
            last = max(voice.notes[-1].onset_tick for voice in piece.score.voices)
            deadline = latest_final_onset_tick(meter, 3)
            if plan.on_downbeat and not plan.dies_away:
                deadline = 2 * meter.bar_ticks
            assert last <= deadline or piece.draws == 8  # the best of eight may be an earlier one
            late += last > 2 * meter.bar_ticks
            assert plan.on_downbeat or meter != Meter(3, 4)
        assert late > 0


def test_as_many_pieces_close_from_the_dominant_as_are_asked_for(composer: Composer) -> None:
    asked = [_asked(bars=4)] * 16
    rest = replace(Constraints(), parallels=0.0)
    for share, least, most in ((1.0, 16, 16), (0.5, 4, 13), (0.0, 0, 8)):
        constraints = replace(rest, authentic=share)
        pieces = composer.compose(asked, range(16), GenerationConfig(constraints=constraints))
        heard = [has_authentic_bass(one.score, one.conditions.key) for one in pieces]
        assert least <= sum(heard) <= most


def test_tokens_are_the_piece_moved_to_c_major_or_a_minor(pieces: list[Composition]) -> None:
    for piece in pieces:
        home = decode(piece.tokens, piece.conditions.meter)
        away = -piece.conditions.key.semitones_to_reference
        assert home.transpose(away).voices == piece.score.voices
        assert piece.tokens[0] == START
        assert piece.tokens[-1] == END


def test_under_constraints_a_piece_has_no_outliers_or_every_attempt_was_used(
    composer: Composer,
) -> None:
    asked = [_asked(key=key) for key in ALL_KEYS[::4]]
    for piece in composer.compose(asked, range(6), _CONSTRAINED):
        fine = (
            piece.score.profile_key == piece.conditions.key
            and longest_repetition(piece.score) <= 2
            and longest_rest(piece.score) <= 5
            and min_share_of_bars_played(piece.score) >= 0.5
        )
        assert fine or piece.draws == 8


def test_without_constraints_the_first_piece_is_taken(composer: Composer) -> None:
    asked = [_asked(key=key) for key in ALL_KEYS[::4]]
    for constraints in (None, Constraints.none()):
        free = composer.compose(asked, range(6), GenerationConfig(constraints=constraints))
        assert all(piece.draws == 1 for piece in free)
        assert any(piece.score.profile_key != piece.conditions.key for piece in free)


def test_without_grammar_a_random_model_breaks_rules(composer: Composer) -> None:
    drawn = composer.compose([_asked(bars=2)] * 3, range(3), GenerationConfig(use_grammar=False))
    for piece in drawn:
        assert not piece.result.valid
        assert piece.result.violations
        assert piece.result.grammar_score < 0.5
        assert piece.score is None
        assert piece.draws == 1


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_slips_on_purpose_are_as_frequent_as_asked_for(share: float) -> None:
    """Drawn from the model that ships, which hardly makes any by itself."""
    composer = Composer(load_checkpoint())
    asked = [_asked(bars=8)] * 12
    rngs = np.random.default_rng(3).spawn(len(asked))
    manner = GenerationConfig(use_grammar=False, max_tokens=150, error_probability=share)
    wrong = tokens = 0
    for piece in composer.draw(asked, rngs, manner):
        states = composer.grammar.states_along([piece], bar_ticks=96, bars=8)
        before = states.take(np.arange(1, len(piece)))
        wrong += int((composer.grammar.broken_rules(before, piece[1:]) >= 0).sum())
        tokens += len(piece) - 1
    assert 0.8 * share < wrong / tokens < 2 * share


def test_with_slips_some_notes_are_of_any_pitch() -> None:
    composer = Composer(load_checkpoint())
    asked = [_asked(bars=8)] * 12

    def steps(share: float) -> np.ndarray:
        """The semitones from each note of a voice to its next."""
        rngs = np.random.default_rng(3).spawn(len(asked))
        manner = GenerationConfig(use_grammar=False, max_tokens=150, error_probability=share)
        found = []
        for piece in composer.draw(asked, rngs, manner):
            states = composer.grammar.states_along([piece], bar_ticks=96, bars=8, spare_slots=3)
            begins = np.flatnonzero(KINDS[piece] == Kind.NOTE_ON)
            part = states.part[begins + 1]
            found += [np.diff(VALUES[piece[begins[part == voice]]]) for voice in (0, 1)]
        return np.abs(np.concatenate(found))

    as_it_is, astray = steps(0.0), steps(0.1)
    assert (as_it_is > 24).mean() < 0.02
    assert 0.05 < (astray > 24).mean() < 0.2  # to the note and from it, of 88 pitches


@pytest.mark.parametrize("away", [-5, -1, 0, 3, 6])
def test_ranges_hold_in_the_key_in_which_the_piece_sounds(composer: Composer, away: int) -> None:
    ranges = ((60, 67), (48, 55))
    narrow = composer.with_grammar(MusicalGrammar(MusicalGrammarConfig(ranges=ranges)))
    drawn = narrow.compose([_asked(key=_C.transpose(away), bars=8)] * 6, range(6))
    pitches = [[n.pitch for p in drawn for n in p.score.voices[part].notes] for part in (0, 1)]
    for part, (low, high) in enumerate(ranges):
        assert low <= min(pitches[part])
        assert max(pitches[part]) <= high
        assert len(set(pitches[part])) > 4  # the range is used, not only kept
    assert all(piece.result.valid for piece in drawn)


def test_another_grammar_leaves_the_first_composer_as_it_was(composer: Composer) -> None:
    before = composer.compose([_asked()], [1])[0]
    composer.with_grammar(MusicalGrammar(MusicalGrammarConfig(ranges=((60, 67), (48, 55)))))
    np.testing.assert_array_equal(composer.compose([_asked()], [1])[0].tokens, before.tokens)


@pytest.mark.parametrize("tempo", [20.0, 57.5, 120.0, 300.0])
def test_the_tempo_is_as_asked_and_its_token_the_nearest(composer: Composer, tempo: float) -> None:
    piece = composer.compose([_asked(tempo_qpm=tempo)], [0])[0]
    assert piece.score.tempo_qpm == tempo
    assert piece.tokens[1] == token_id(Kind.TEMPO, tempo_bin(tempo))
    assert piece.result.valid


def test_tempi_are_each_pieces_own(composer: Composer) -> None:
    slow, free, fast = composer.compose(
        [_asked(tempo_qpm=40), _asked(), _asked(tempo_qpm=200)], [0, 0, 0]
    )
    assert (slow.score.tempo_qpm, fast.score.tempo_qpm) == (40, 200)
    alone = composer.compose([_asked()], [0])[0]
    assert free.score.tempo_qpm == alone.score.tempo_qpm
    assert 29 < free.score.tempo_qpm < 241


def test_the_same_seed_gives_the_same_piece_and_another_another(composer: Composer) -> None:
    one, again, other = (composer.compose([_asked()], [seed])[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.tokens, again.tokens)
    assert one.score == again.score
    assert one.tokens.tolist() != other.tokens.tolist()


def test_a_piece_does_not_depend_on_its_company(composer: Composer) -> None:
    together = composer.compose([_asked(bars=b) for b in (1, 6, 3)], [3, 4, 5])
    alone = composer.compose([_asked(bars=6)], [4])[0]
    np.testing.assert_array_equal(together[1].tokens, alone.tokens)


def test_colder_sampling_is_tamer(composer: Composer) -> None:
    """At temperature near 0 the model says always the same, whatever the seed."""
    cold = Sampling(temperature=0.001)
    one, other = composer.compose([_asked(bars=1)] * 2, [1, 2], GenerationConfig(cold))
    np.testing.assert_array_equal(one.tokens, other.tokens)


@pytest.mark.parametrize("bars", [4, 1])  # of the short ones hardly any is in its key
def test_progress_counts_the_pieces_that_are_done(composer: Composer, bars: int) -> None:
    told: list[tuple[int, int]] = []
    composer.compose(
        [_asked(bars=bars)] * 3,
        range(3),
        GenerationConfig(constraints=Constraints()),
        progress=lambda *done: told.append(done),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("best_of", [1, 6])
def test_the_number_of_places_changes_no_piece(tiny_model: Path, best_of: int) -> None:
    """Six candidates all need a place, since some are stopped early."""
    conditions = [_asked(bars=bars) for bars in (1, 8, 16)]
    checkpoint = load_checkpoint(tiny_model)
    found = [
        Composer(checkpoint, places=places, threads=threads).compose(
            conditions, range(3), _CONSTRAINED, Selection(best_of)
        )
        for places, threads in ((7, 1), (64, 1), (64, 2))
    ]
    for pieces in found[1:]:
        for piece, same in zip(pieces, found[0], strict=True):
            assert piece.draws == same.draws
            np.testing.assert_array_equal(piece.tokens, same.tokens)


def test_less_promising_candidates_are_stopped_early(composer: Composer) -> None:
    """A judge that prefers high openings; it is asked after a quarter, a half, three quarters."""
    openings: list[int] = []

    class Judge(Critic):
        def log_odds(self, description: Description) -> float:
            openings.append(description.score.bars)
            return float(description.score.note_count)

    judge = Judge(cast(LogisticRegression, None))
    (result,) = [
        one
        for one in composer.generate([_asked(bars=16)], [0], selection=Selection(12, critic=judge))
        if isinstance(one, Finished)
    ]
    assert openings[:30] == [4] * 12 + [8] * 8 + [12] * 6 + [16] * 4
    assert len(result.valid) == 4
    assert result.draws == 12
    everything = composer.compose(
        [_asked(bars=16)], [0], selection=Selection(12, critic=judge, eliminate=False)
    )
    assert len(openings) > 30
    assert everything[0].score.note_count >= result.composition.score.note_count


@pytest.mark.parametrize(("best_of", "bars"), [(3, 16), (12, 4)])
def test_few_candidates_and_short_pieces_are_drawn_to_the_end(
    composer: Composer, best_of: int, bars: int
) -> None:
    results = composer.generate([_asked(bars=bars)], [0], selection=Selection(best_of))
    (result,) = [one for one in results if isinstance(one, Finished)]
    assert len(result.valid) == best_of


@pytest.mark.parametrize(("gives", "valid"), [("a voice", 2), ("an opening", 4)])
def test_candidates_whose_first_bars_are_given_are_drawn_to_the_end(
    composer: Composer, gives: str, valid: int
) -> None:
    line = Voice(tuple(Note(48 * i, 72, 48) for i in range(12)))
    score = Score((line, Voice()), 8, Meter(3, 4))
    if gives == "a voice":
        given = fix_voice(line, 0, replace(score, bars=16))
    else:
        given = fix_opening(score, 16)
    results = composer.generate([_asked(bars=16, fixed_notes=given)], [0], selection=Selection(4))
    (result,) = [one for one in results if isinstance(one, Finished)]
    assert len(result.valid) == valid


def test_seeds_must_be_as_many_as_pieces(composer: Composer, refuses: Refuses) -> None:
    with refuses(RequestError, r"There must be one seed for each piece \(got 1 for 2\)"):
        composer.compose([_asked()] * 2, [1])


def test_a_long_piece_slides_far_beyond_the_context(composer: Composer) -> None:
    piece = composer.compose([_asked(bars=MAX_BARS, meter=Meter(4, 4))], [0])[0]
    assert len(piece.tokens) > 3 * composer.config.context
    assert piece.result.valid
    assert piece.score.bars == MAX_BARS


# ------------------------------------------------------------------ what cannot be asked


@pytest.mark.parametrize("bars", [0, -1, MAX_BARS + 1])
def test_a_number_of_bars_that_cannot_be_is_refused(bars: int, refuses: Refuses) -> None:
    with refuses(RequestError, rf"bars must be between 1 and 256 \(got {bars}\)"):
        _asked(bars=bars)


@pytest.mark.parametrize("tempo", [0, 19.9, 301, float("nan")])
def test_a_tempo_that_cannot_be_is_refused(tempo: float, refuses: Refuses) -> None:
    with refuses(RequestError, "tempo"):
        _asked(tempo_qpm=tempo)


def test_a_metre_that_was_not_learned_is_refused(composer: Composer, refuses: Refuses) -> None:
    with refuses(RequestError, "not learned the metre 13/16. Choose one of 2/4, 3/4"):
        composer.compose([_asked(), _asked(meter=Meter(13, 16))], [0, 1])


def test_a_style_that_was_left_out_of_training_is_refused(
    tiny_model: Path, refuses: Refuses
) -> None:
    known = load_checkpoint(tiny_model)
    style = known.config.styles[0]
    record = {"config": {"data": {"exclude_styles": [style]}}}
    with refuses(RequestError, f"not learned the style '{style}'"):
        Composer(replace(known, record=record)).compose([_asked(style=style)], [0])


def test_a_style_that_was_not_learned_is_refused(composer: Composer, refuses: Refuses) -> None:
    with refuses(RequestError, "the style 'salieri'. Choose one of bach, classical"):
        composer.compose([_asked(style="salieri")], [0])
    assert composer.compose([_asked(style="bach")], [0])[0].result.valid


# ------------------------------------------------------------------ files


def test_a_saved_piece_reads_back_as_it_was(pieces: list[Composition], tmp_path: Path) -> None:
    for index, piece in enumerate(pieces[:8]):
        path = piece.save(tmp_path / f"{index}.mid")
        assert path == tmp_path / f"{index}.mid"
        content = read_midi(path)
        assert [staff.name for staff in content.staves] == ["right", "left"][: len(content.staves)]
        voices = [voice.notes for voice in piece.score.voices if voice.notes]
        assert [staff.notes for staff in content.staves] == voices
        assert content.notes_off_grid == 0
        assert content.meters == ((0, piece.conditions.meter),)
        assert content.tempo_qpm == pytest.approx(piece.score.tempo_qpm, abs=0.01)
        assert validate_file(path).valid


def test_mido_finds_every_note_of_a_saved_piece_paired(
    pieces: list[Composition], tmp_path: Path
) -> None:
    """A judge that is not ours."""
    for index, piece in enumerate(pieces[:8]):
        midi = mido.MidiFile(piece.save(tmp_path / f"{index}.mid"))
        begun = ended = 0
        for track in midi.tracks:
            tick, sounding = 0, {}
            for message in track:
                tick += message.time
                if message.type == "note_on" and message.velocity:
                    assert message.note not in sounding
                    sounding[message.note] = tick
                    begun += 1
                elif message.type in ("note_on", "note_off"):
                    assert sounding.pop(message.note) < tick
                    ended += 1
            assert not sounding
            assert tick == piece.score.end_tick
        assert begun == ended == piece.result.notes


def test_what_spells_no_score_is_saved_as_tokens(composer: Composer, tmp_path: Path) -> None:
    narrow = MusicalGrammar(MusicalGrammarConfig(ranges=((60, 84), (36, 60))))
    asked = _asked(key=_C.transpose(5), bars=2)
    piece = composer.with_grammar(narrow).compose(
        [asked], [0], GenerationConfig(use_grammar=False)
    )[0]
    path = piece.save(tmp_path / "wild.mid")
    assert path == tmp_path / "wild.tokens.json"
    assert [found.name for found in tmp_path.iterdir()] == ["wild.tokens.json"]
    about = json.loads(path.read_text())
    assert about == {
        "tokens": piece.tokens.tolist(), "meter": "3/4", "bars": 2, "transposition": 5
    }  # fmt: skip
    verdict = validate_file(path, MusicalGrammarValidator(narrow))
    assert not verdict.valid
    assert verdict.violations == piece.result.violations


@pytest.mark.parametrize("told", [{"transposition": 90}, {"transposition": 10**30}, {"bars": "2"}])
def test_a_token_file_that_says_what_cannot_be_is_refused(tmp_path: Path, told: dict) -> None:
    path = tmp_path / "wrong.tokens.json"
    path.write_text(json.dumps({"tokens": [START, END]} | told))
    verdict = validate_file(path)
    assert not verdict.valid
    assert verdict.checked_as == "nothing"
    assert "is not a token file" in verdict.violations[0].message


# ------------------------------------------------------------------ as it is made


def _events(score: Score) -> list[NoteEvent]:
    """What a score's notes are as events: by tick, voice, ends before beginnings."""
    second = 60 / (24 * score.tempo_qpm)
    found = []
    for voice, line in enumerate(score.voices):
        for n in line.notes:
            found.append(NoteEvent(n.offset_tick, n.offset_tick * second, voice, n.pitch, 0))
            found.append(NoteEvent(n.onset_tick, n.onset_tick * second, voice, n.pitch, n.velocity))
    return sorted(found, key=lambda event: (event.tick, event.voice, event.begins))


def _assert_same(streamed: list[NoteEvent], expected: list[NoteEvent]) -> None:
    for one, other in zip(streamed, expected, strict=True):
        assert (one.tick, one.voice, one.pitch, one.velocity, one.begins) == (
            other.tick, other.voice, other.pitch, other.velocity, other.begins
        )  # fmt: skip
        assert one.second == pytest.approx(other.second)


@pytest.mark.parametrize("tempo", [None, 50.0, 300.0])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_streamed_is_the_first_draw_of_the_seed(
    composer: Composer, seed: int, tempo: float | None
) -> None:
    asked = _asked(key=ALL_KEYS[5 * seed], bars=3 + seed, tempo_qpm=tempo)
    (tokens,) = composer.draw([asked], [np.random.default_rng([seed, 0])])
    away = -asked.key.semitones_to_reference
    drawn = decode(tokens, asked.meter).transpose(away)
    expected = _events(replace(drawn, tempo_qpm=tempo or drawn.tempo_qpm))
    streamed = list(composer.stream(asked, seed))
    _assert_same(streamed, expected)
    assert streamed[0].begins
    assert not streamed[-1].begins


def test_where_the_first_draw_is_the_piece_the_piece_is_streamed(composer: Composer) -> None:
    for seed in range(6):
        piece = composer.compose([_asked()], [seed])[0]
        if piece.draws == 1:
            assert piece.score is not None
            _assert_same(list(composer.stream(_asked(), seed)), _events(piece.score))


def test_given_notes_are_streamed_as_loud_as_they_were_given(composer: Composer) -> None:
    line = Voice(
        tuple(Note(24 * i, 60 + i, 24, velocity) for i, velocity in enumerate([1, 50, 127]))
    )
    given = fix_voice(line, 0, Score((line, Voice()), 2, Meter(3, 4)))
    asked = _asked(bars=2, fixed_notes=given)
    piece = composer.compose([asked], [3])[0]
    assert piece.score is not None
    streamed = list(composer.stream(asked, 3))
    _assert_same(streamed, _events(piece.score))
    assert [e.velocity for e in streamed if e.begins and e.voice == 0] == [1, 50, 127]


def test_notes_are_streamed_long_before_the_piece_is_finished(composer: Composer) -> None:
    steps: list[int] = []

    class Counting(Decoder):
        def step(self, inputs: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
            steps.append(1)
            return super().step(inputs, rows)

    decoder = copy(composer.decoder)
    decoder.__class__ = Counting
    streamed = composer.with_decoder(decoder).stream(_asked(bars=MAX_BARS, meter=Meter(4, 4)), 0)
    assert not steps
    assert next(streamed).begins
    assert len(steps) < 10
    assert all(event.second >= 0 for event in streamed)
    assert len(steps) > 100


def test_what_cannot_be_composed_cannot_be_streamed(composer: Composer, refuses: Refuses) -> None:
    with refuses(RequestError, "style 'salieri'"):
        next(composer.stream(_asked(style="salieri"), 0))


def test_the_walk_to_tokens_and_back_loses_nothing(pieces: list[Composition]) -> None:
    for piece in pieces:
        home = decode(piece.tokens, piece.conditions.meter)
        np.testing.assert_array_equal(encode(home), piece.tokens)
