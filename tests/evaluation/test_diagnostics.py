"""Each defect of a model is found by the check that is for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from bicinium.errors import CheckpointError
from bicinium.evaluation.diagnostics import Diagnosis, LogitsFunction, diagnose
from bicinium.grammar import MusicalGrammar
from bicinium.tokenizer.vocabulary import END, KINDS, VALUES, VOCAB_SIZE, Kind, token_id

Refuses = Callable[..., AbstractContextManager[None]]

_FITS, _CAUSAL, _SHIFTED, _PAIRS, _LOOPS = range(5)
_CHECKS = (
    "matches the vocabulary",
    "is causal",
    "predicts the next token",
    "pairs notes without the mask",
    "avoids loops and ends",
)


class _SoundModel:
    """A model that knows the grammar and prefers scales.

    It caches the rows of the last sequence, since usually only one token is new.
    """

    def __init__(self) -> None:
        self.grammar = MusicalGrammar()
        self.preference = np.zeros(VOCAB_SIZE)
        shifts = np.flatnonzero(KINDS == Kind.TIME_SHIFT)
        self.preference[shifts] = np.where(np.isin(VALUES[shifts], (12, 24)), 3.0, -6.0)
        self.preference[KINDS == Kind.VELOCITY] = -3.0
        self._reset()

    def __call__(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        if tokens[: len(self.tokens)].tolist() != self.tokens:
            self._reset()
        for token in tokens[len(self.tokens) :].tolist():
            self.grammar.advance(self.state, np.array([token]))
            self.tokens.append(token)
            self.rows.append(self._row())
        return np.stack(self.rows)

    def _reset(self) -> None:
        self.tokens: list[int] = []
        self.rows: list[NDArray[np.float64]] = []
        self.state = self.grammar.initial_states(1, bar_ticks=96, bars=2)

    def _row(self) -> NDArray[np.float64]:
        # token_mask would fail: other models can lead to states in which everything is forbidden.
        forbidden = np.logical_or.reduce([m for _, m in self.grammar.rule_masks(self.state)])[0]
        last = self.state[0].last_pitch(self.state[0].part)
        leap = np.minimum(np.abs(VALUES - (last or 60)), 12)
        logits = self.preference - np.where(KINDS == Kind.NOTE_ON, leap, 0)
        return np.where(forbidden, -30.0, logits)


_sound_model = _SoundModel()


def _unshifted_model(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Trained to repeat its input."""
    return _sound_model(tokens) + 60 * np.eye(VOCAB_SIZE)[tokens]


def _non_causal_model(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """A model without a causal mask knows the next token."""
    logits = _sound_model(tokens)
    logits[np.arange(len(tokens) - 1), tokens[1:]] += 5
    return logits


_LOOP = [token_id(Kind.NOTE_ON, 60), token_id(Kind.TIME_SHIFT, 24)]
_LOOP += [token_id(Kind.NOTE_OFF, 60), token_id(Kind.TIME_SHIFT, 24)]


def _unpaired_model(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """A model that knows token frequencies only and ends E7 whatever is sounding."""
    logits = _sound_model(tokens)
    offs = KINDS == Kind.NOTE_OFF
    highest = logits[:, offs].max(axis=1)
    logits[:, offs] = -30
    logits[:, token_id(Kind.NOTE_OFF, 100)] = np.maximum(highest, -1)
    return logits


def _uniform_model(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.zeros((len(tokens), VOCAB_SIZE))


def _diagnose(model: Path | LogitsFunction, seed: int = 0) -> list[Diagnosis]:
    """Generate short pieces; two bars need no more tokens."""
    return diagnose(model, seed, max_tokens=120)


def _passed(diagnoses: list[Diagnosis]) -> list[bool]:
    assert tuple(one.check for one in diagnoses) == _CHECKS[: len(diagnoses)]
    assert all(one.evidence for one in diagnoses)
    return [one.passed for one in diagnoses]


def test_sound_model_passes() -> None:
    assert _passed(_diagnose(_sound_model)) == [True] * 5


def test_missing_causal_mask_and_unshifted_targets_are_distinguished() -> None:
    non_causal, unshifted = (
        _passed(_diagnose(_non_causal_model)),
        _passed(_diagnose(_unshifted_model)),
    )
    assert (non_causal[_CAUSAL], non_causal[_SHIFTED]) == (False, True)
    assert (unshifted[_CAUSAL], unshifted[_SHIFTED]) == (True, False)


def test_unpaired_notes_are_reported_with_numbers() -> None:
    diagnoses = _diagnose(_unpaired_model)
    passed = _passed(diagnoses)
    assert (passed[_FITS], passed[_CAUSAL], passed[_PAIRS]) == (True, True, False)
    paired, notes = (int(word) for word in diagnoses[_PAIRS].evidence.split()[:3:2])
    assert notes >= 8
    assert paired < 0.1 * notes


def _looping_model(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """A model that repeats one note for ever."""
    logits = _sound_model(tokens)
    place = len(tokens) - 1
    logits[place] = -200
    logits[place, _LOOP[(len(tokens) - 1) % 4]] = 0
    return logits


def test_loops_are_found_in_a_model_that_pairs_notes() -> None:
    diagnoses = _diagnose(_looping_model)
    passed = _passed(diagnoses)
    assert passed[_PAIRS]
    assert not passed[_LOOPS]
    assert "0 of 8 pieces reach END" in diagnoses[_LOOPS].evidence


def test_model_that_never_ends_fails() -> None:
    def endless(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        logits = np.array(_uniform_model(tokens))
        logits[:, END] = -100
        return logits

    assert not _passed(_diagnose(endless))[_LOOPS]


def test_uniform_model_does_not_pair_notes() -> None:
    assert not _passed(_diagnose(_uniform_model))[_PAIRS]


@pytest.mark.parametrize("width", [512, 773, 775, 50257])
def test_other_vocabulary_fails_at_once(width: int) -> None:
    diagnoses = _diagnose(lambda tokens: np.zeros((len(tokens), width)))
    assert _passed(diagnoses) == [False]
    assert diagnoses[0].evidence == f"{width} logits for a vocabulary of 774 tokens"


def test_torch_tensors_are_accepted() -> None:
    torch = pytest.importorskip("torch")
    diagnoses = _diagnose(lambda tokens: torch.from_numpy(_sound_model(tokens)))
    assert _passed(diagnoses) == [True] * 5


def test_same_seed_gives_same_result() -> None:
    assert _diagnose(_uniform_model, seed=1) == _diagnose(_uniform_model, seed=1)
    assert _diagnose(_uniform_model, seed=1) != _diagnose(_uniform_model, seed=2)


# ------------------------------------------------------------------ checkpoints


def test_untrained_checkpoint_is_causal_and_does_not_pair_notes(tiny_model: Path) -> None:
    passed = _passed(_diagnose(tiny_model))
    assert (passed[_FITS], passed[_CAUSAL], passed[_PAIRS]) == (True, True, False)


@pytest.mark.parametrize("what", ["vocabulary", "grammar"])
def test_checkpoint_with_other_vocabulary_or_grammar_fails(
    tiny_model: Path, tmp_path: Path, what: str
) -> None:
    with safe_open(tiny_model, framework="numpy") as file:
        header: dict[str, Any] = dict(file.metadata())
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(weights, tmp_path / "other.safetensors", header | {what: "0123456789abcdef"})
    diagnoses = _diagnose(tmp_path / "other.safetensors")
    assert _passed(diagnoses) == [False]
    assert f"was trained with another {what} (0123456789abcdef" in diagnoses[0].evidence


def test_file_that_is_not_a_checkpoint_fails(tmp_path: Path) -> None:
    path = tmp_path / "noise.safetensors"
    path.write_bytes(b"noise" * 100)
    assert _passed(_diagnose(path)) == [False]


def test_missing_model_is_an_error(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(CheckpointError, "There is no model at"):
        _diagnose(tmp_path / "none.safetensors")
