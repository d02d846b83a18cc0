"""``bicinium.compose`` and its sisters, and that they load nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

import bicinium
from bicinium.api import compose, compose_each, compose_many, stream, validate
from bicinium.errors import CheckpointError, MidiFileError, RequestError, ScoreError
from bicinium.formats.midi import write_midi
from bicinium.generation.candidates import Finished, Found, Progress
from bicinium.generation.constraints.config import Constraints
from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig
from bicinium.model.checkpoint import load_checkpoint, save_checkpoint
from bicinium.music.key import Key
from bicinium.music.score import Score

Refuses = Callable[..., AbstractContextManager[None]]


def test_the_package_offers_its_interface() -> None:
    assert bicinium.compose is compose
    assert bicinium.compose_many is compose_many
    assert bicinium.stream is stream
    assert bicinium.validate is validate
    with pytest.raises(AttributeError, match="no attribute 'decompose'"):
        _ = bicinium.decompose  # type: ignore[attr-defined]


def test_a_piece_is_what_was_asked_for(tiny_model: Path, tmp_path: Path) -> None:
    piece = compose(key="Bb major", meter="6/8", bars=5, tempo=72, seed=3, model=tiny_model)
    assert piece.result.valid
    assert (str(piece.score.key), str(piece.score.meter)) == ("Bb major", "6/8")
    assert (piece.score.bars, piece.score.tempo_qpm) == (5, 108)  # 72 dotted quarters
    assert validate(piece.save(tmp_path / "piece.mid")).valid
    assert validate(str(tmp_path / "piece.mid")).valid  # a plain string is a path, too


def test_piece_i_has_seed_plus_i(tiny_model: Path) -> None:
    pieces = compose_many(3, bars=3, seed=10, model=tiny_model)
    assert [piece.seed for piece in pieces] == [10, 11, 12]
    alone = compose(bars=3, seed=11, model=tiny_model)
    assert alone.conditions == pieces[1].conditions
    np.testing.assert_array_equal(alone.tokens, pieces[1].tokens)
    assert len({piece.tokens.tobytes() for piece in pieces}) == 3


def test_key_and_metre_are_drawn_by_seed_where_not_given(tiny_model: Path) -> None:
    pieces = compose_many(12, bars=1, seed=0, model=tiny_model)
    assert len({str(piece.conditions.key) for piece in pieces}) > 3
    assert len({str(piece.conditions.meter) for piece in pieces}) > 1
    given = compose_many(4, bars=1, key="E minor", meter="2/4", seed=0, model=tiny_model)
    assert {piece.conditions.key for piece in given} == {Key.parse("E minor")}
    assert {str(piece.conditions.meter) for piece in given} == {"2/4"}


def test_naming_the_key_leaves_the_metre_that_the_seed_draws(tiny_model: Path) -> None:
    free = compose_many(6, bars=1, seed=0, model=tiny_model)
    keyed = compose_many(6, bars=1, key="C major", seed=0, model=tiny_model)
    assert [p.conditions.meter for p in free] == [p.conditions.meter for p in keyed]


def test_styles_are_drawn_from_the_models_own_where_not_given(tiny_model: Path) -> None:
    styles = {
        piece.conditions.style for piece in compose_many(12, bars=1, seed=0, model=tiny_model)
    }
    assert styles == {"bach", "classical"}
    assert compose(bars=1, style="bach", seed=0, model=tiny_model).conditions.style == "bach"


def test_a_grammar_of_ones_own_is_kept(tiny_model: Path) -> None:
    narrow = MusicalGrammar(MusicalGrammarConfig(ranges=((60, 67), (48, 55))))
    piece = compose(bars=4, key="G major", grammar=narrow, seed=0, model=tiny_model)
    assert {note.pitch for note in piece.score.voices[0].notes} <= set(range(60, 68))
    assert {note.pitch for note in piece.score.voices[1].notes} <= set(range(48, 56))


def test_candidates_are_given_before_the_piece_that_is_chosen(tiny_model: Path) -> None:
    options = {"n": 2, "best_of": 3, "bars": 2, "seed": 5, "model": tiny_model}
    given = list(compose_each(**options))
    chosen = {one.index: one.composition for one in given if isinstance(one, Finished)}
    pieces = compose_many(**options)
    alone = compose_many(**(options | {"best_of": 1}))
    for index, piece in enumerate(pieces):
        own = [one for one in given if one.index == index]
        assert isinstance(own[-1], Finished)
        assert np.array_equal(chosen[index].tokens, piece.tokens)
        assert chosen[index].sheet is not None
        found = [one for one in own if isinstance(one, Found)]
        assert np.array_equal(found[0].composition.tokens, alone[index].tokens)
        assert any(np.array_equal(one.composition.tokens, piece.tokens) for one in found)
        last_best = [one for one in found if one.is_best][-1]
        assert np.array_equal(last_best.composition.tokens, piece.tokens)
        assert {1, 2} <= {one.bars for one in own if isinstance(one, Progress)}


def test_sampling_arrives_at_the_model(tiny_model: Path) -> None:
    one, other = (
        compose(bars=1, key="C major", meter="4/4", style="bach", seed=seed,
                temperature=1e-6, model=tiny_model)
        for seed in (1, 2)
    )  # fmt: skip
    np.testing.assert_array_equal(one.tokens, other.tokens)


def test_of_several_candidates_the_best_is_kept_and_they_are_asked_for_the_same() -> None:
    """Uses the shipped weights, and a piece whose first candidate is not rejected."""
    few, many = (compose_many(6, best_of=best_of, bars=4, seed=10) for best_of in (1, 4))
    assert [piece.seed for piece in many] == list(range(10, 16))
    assert [piece.conditions for piece in many] == [piece.conditions for piece in few]
    realism = [
        (one.sheet.realism, best.sheet.realism)
        for one, best in zip(few, many, strict=True)
        if one.draws == 1
    ]
    assert len(realism) > 1
    assert all(best >= one for one, best in realism)
    assert any(best > one for one, best in realism)
    assert [piece.about["best of"] for piece in many] == ["4"] * 6
    alone = compose(best_of=4, bars=4, seed=12)
    np.testing.assert_array_equal(alone.tokens, many[2].tokens)


# ------------------------------------------------------------------ what is given


@pytest.fixture(scope="module")
def given(made_up_score: Callable[..., Score], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six bars of 3/4 in D minor."""
    path = tmp_path_factory.mktemp("given") / "given.mid"
    write_midi(made_up_score(1, 6, "3/4", "D minor"), path)
    return path


@pytest.mark.parametrize("as_string", [False, True])
def test_a_voice_is_written_to_a_given_one(tiny_model: Path, given: Path, as_string: bool) -> None:
    path, score = str(given) if as_string else given, bicinium.read(given)
    for part, name in enumerate(("upper", "lower")):
        piece = compose(**{name: path}, constraints=None, seed=0, model=tiny_model)
        assert piece.result.valid
        assert piece.score.voices[part] == score.voices[part]
        assert piece.score.voices[1 - part] != score.voices[1 - part]
        assert (piece.score.bars, piece.score.key) == (6, score.key)


def test_a_score_is_gone_on_from_and_bars_of_it_are_rewritten(
    tiny_model: Path, given: Path
) -> None:
    score = bicinium.read(given)
    longer = compose(continue_from=given, bars=9, constraints=None, seed=0, model=tiny_model)
    other = compose(rewrite=given, rewrite_bars=(3, 4), constraints=None, seed=0, model=tiny_model)
    assert (longer.score.bars, other.score.bars) == (9, 6)
    for part, voice in enumerate(score.voices):
        notes = longer.score.voices[part].notes
        assert notes[: len(voice.notes)] == tuple(voice.notes)
        kept = [n for n in voice.notes if not 144 <= n.onset_tick < 288]
        assert [n for n in other.score.voices[part].notes if n in kept] == kept


def test_a_subject_opens_the_piece_and_is_answered(tiny_model: Path) -> None:
    words = "A4:1/4 C5:1/4 E5:1/2"
    asked = {"subject": words, "answer": "fifth", "meter": "4/4", "bars": 4}
    piece = compose(**asked, constraints=None, seed=0, model=tiny_model)
    upper, lower = piece.score.voices
    assert [n.pitch for n in upper.notes[:3]] == [69, 72, 76]
    assert [n.pitch % 12 for n in lower.notes[:3]] == [4, 7, 11]
    assert lower.notes[0].onset_tick == 96


def test_a_stream_is_asked_for_like_a_piece(tiny_model: Path, given: Path) -> None:
    for asked in ({"bars": 4, "meter": "3/4"}, {"upper": given}, {"subject": "D4:1/4 A4:1/4"}):
        events = list(stream(**asked, seed=3, constraints=None, model=tiny_model))
        piece = compose(**asked, seed=3, best_of=1, constraints=None, model=tiny_model)
        if piece.draws == 1:
            begun = [(e.tick, e.pitch, e.velocity) for e in events if e.begins]
            notes = [n for voice in piece.score.voices for n in voice.notes]
            assert sorted(begun) == sorted((n.onset_tick, n.pitch, n.velocity) for n in notes)
    with pytest.raises(RequestError, match="seed must be"):
        stream(seed=-1, model=tiny_model)


@pytest.mark.parametrize(
    ("error", "pattern", "asked"),
    [
        (RequestError, "bars must be .*got 0", {"bars": 0}),
        (RequestError, "bars must be .*got 257", {"bars": 257}),
        (ScoreError, "'H' is not a key", {"key": "H"}),
        (ScoreError, "'H major' is not a key", {"key": "H major"}),
        (ScoreError, "5/7 is not a metre", {"meter": "5/7"}),
        (ScoreError, "'waltz' is not a metre", {"meter": "waltz"}),
        (RequestError, "not learned the metre 13/16", {"meter": "13/16"}),
        (RequestError, "not learned the style 'salieri'", {"style": "salieri"}),
        (RequestError, "tempo must be .*got 5", {"tempo": 5}),
        (RequestError, "seed must be 0 or more", {"seed": -1}),
        (RequestError, "temperature must be", {"temperature": 0}),
        (RequestError, "top-p must be", {"top_p": 2}),
        (RequestError, "top-k must be", {"top_k": -1}),
        (RequestError, "min-p must be", {"min_p": 1}),
        (RequestError, "repetition_penalty was removed", {"repetition_penalty": -1}),
        (RequestError, "best_of must be 1 or more", {"best_of": 0}),
        (RequestError, "'D' in the subject is not a note", {"subject": "D"}),
        (RequestError, "answer must be one of", {"answer": "third"}),
        (RequestError, "both a file and the bars", {"rewrite_bars": (1, 2)}),
        (MidiFileError, "nowhere.mid", {"upper": "nowhere.mid"}),
    ],
)
def test_what_cannot_be_composed_is_refused_in_one_sentence(
    tiny_model: Path, refuses: Refuses, error: type[Exception], pattern: str, asked: dict
) -> None:
    with refuses(error, pattern):
        compose(model=tiny_model, **asked)


def test_no_style_is_drawn_that_was_left_out_of_training(tiny_model: Path, tmp_path: Path) -> None:
    known = load_checkpoint(tiny_model)
    left_out, *others = known.config.styles
    record = {"config": {"data": {"exclude_styles": [left_out]}}}
    model = tmp_path / "model.safetensors"
    save_checkpoint(model, known.config, known.weights, record)
    pieces = compose_many(6, bars=2, seed=0, model=model, best_of=1, constraints=None)
    assert {piece.conditions.style for piece in pieces} <= set(others)


def test_no_pieces_and_no_model_are_refused(
    tiny_model: Path, tmp_path: Path, refuses: Refuses
) -> None:
    with refuses(RequestError, "n must be 1 or more"):
        compose_many(0, model=tiny_model)
    with refuses(CheckpointError, "There is no model at"):
        compose(model=tmp_path / "none.safetensors")


# ------------------------------------------------------------------ what is loaded


def _loaded_by(program: str, *arguments: str) -> set[str]:
    """The modules that a fresh Python has loaded after the program."""
    program += "\nimport sys; print(*sorted(sys.modules), sep='\\n')"
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return set(run.stdout.splitlines())


_TRAINING_ONLY = {"torch", "lightning_fabric", "tensorboard", "pyarrow"}


def test_importing_the_package_loads_nothing_but_itself() -> None:
    loaded = _loaded_by("import bicinium; bicinium.__version__")
    assert "bicinium" in loaded
    assert not loaded & {"numpy", "torch", "mido", "pydantic"}


def test_importing_the_interface_does_not_load_torch() -> None:
    loaded = _loaded_by("import bicinium.api")
    assert "bicinium.generation.engine" in loaded
    assert not loaded & _TRAINING_ONLY


def test_composing_and_validating_do_not_load_torch(tiny_model: Path, tmp_path: Path) -> None:
    program = """if True:
        import sys, bicinium
        piece = bicinium.compose(bars=2, seed=0, model=sys.argv[1])
        assert bicinium.validate(piece.save(sys.argv[2])).valid"""
    loaded = _loaded_by(program, str(tiny_model), str(tmp_path / "piece.mid"))
    assert "bicinium.model.decoder" in loaded
    assert not loaded & _TRAINING_ONLY
    assert (tmp_path / "piece.mid").exists()


def test_a_name_that_is_none_is_refused(tiny_model: Path) -> None:
    with pytest.raises(TypeError, match="unknown option 'metre'"):
        compose(metre="3/4", model=tiny_model)


def test_a_stream_that_cannot_go_on_says_so(tiny_model: Path) -> None:
    crossed = Constraints(range=1, ranges=((21, 33), (96, 108)))
    with pytest.raises(RequestError, match=r"dead end in bar \d: the grammar, the constraints"):
        [list(stream(bars=4, key="C major", seed=seed, constraints=crossed, model=tiny_model))
         for seed in range(20)]  # fmt: skip


@pytest.mark.parametrize("asked", [{"max_quote": 3}, {"use_grammar": False}])
def test_a_stream_knows_no_second_thoughts(asked: dict, tiny_model: Path) -> None:
    with pytest.raises(RequestError, match="A stream needs the grammar"):
        stream(model=tiny_model, **asked)


def test_each_call_draws_a_fresh_seed_that_is_kept(tiny_model: Path, tmp_path: Path) -> None:
    first, second = (compose(bars=4, best_of=1, model=tiny_model) for _ in range(2))
    assert first.seed != second.seed
    assert (first.score, first.conditions) != (second.score, second.conditions)
    written = first.save(tmp_path / "piece.musicxml").read_text(encoding="utf-8")
    assert f">{first.seed}<" in written
    again = compose(bars=4, best_of=1, seed=first.seed, model=tiny_model)
    assert again.score == first.score


def test_progress_counts_the_bars_of_all_pieces(tiny_model: Path) -> None:
    told: list[tuple[int, int]] = []
    options = {"bars": 3, "seed": 10, "best_of": 2, "model": tiny_model, "constraints": None}
    compose_many(2, progress=lambda *now: told.append(now), **options)
    assert {total for _, total in told} == {6}
    written = [done for done, _ in told]
    assert written == sorted(written)
    assert set(written) >= {1, 2, 3, 6}
    assert written[-1] == 6
