"""The doctor: each ailment is found out by the question that is about it."""

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
from bicinium.evaluation.diagnostics import Finding, examine
from bicinium.grammar import MusicalGrammar
from bicinium.model.decoder import Decoder
from bicinium.tokenizer.vocabulary import END, KINDS, VALUES, VOCAB_SIZE, Kind, token_id

Refuses = Callable[..., AbstractContextManager[None]]

_FITS, _CAUSAL, _SHIFTED, _PAIRS, _LOOPS = range(5)
_QUESTIONS = (
    "does it fit this program?",
    "is it causal?",
    "is its target the next token?",
    "does it pair notes unaided?",
    "does it keep from looping, and end?",
)


class _Sound:
    """A model that knows the grammar: what may come next, it says with some taste for scales.

    It remembers what it was last shown, since most of the time only one token is new.
    """

    def __init__(self) -> None:
        self.grammar = MusicalGrammar()
        self.taste = np.zeros(VOCAB_SIZE)
        shifts = np.flatnonzero(KINDS == Kind.TIME_SHIFT)
        self.taste[shifts] = np.where(np.isin(VALUES[shifts], (12, 24)), 3.0, -6.0)
        self.taste[KINDS == Kind.VELOCITY] = -3.0
        self._forget()

    def __call__(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        if tokens[: len(self.shown)].tolist() != self.shown:
            self._forget()
        for token in tokens[len(self.shown) :].tolist():
            self.grammar.advance(self.state, np.array([token]))
            self.shown.append(token)
            self.rows.append(self._row())
        return np.stack(self.rows)

    def _forget(self) -> None:
        self.shown: list[int] = []
        self.rows: list[NDArray[np.float64]] = []
        self.state = self.grammar.initial_state(1, bar_ticks=96, bars=2)

    def _row(self) -> NDArray[np.float64]:
        # not token_mask: tokens of other models may have led to where everything is forbidden
        forbidden = np.logical_or.reduce([m for _, m in self.grammar.rule_masks(self.state)])[0]
        last = int(self.state.here(self.state.last_pitch)[0])
        leap = np.minimum(np.abs(VALUES - (last or 60)), 12)
        taste = self.taste - np.where(KINDS == Kind.NOTE_ON, leap, 0)
        return np.where(forbidden, -30.0, taste)


_sound = _Sound()


def _unshifted(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Trained to say what it was shown."""
    return _sound(tokens) + 60 * np.eye(VOCAB_SIZE)[tokens]


def _seeing(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Without a causal mask it knows the next token."""
    logits = _sound(tokens)
    logits[np.arange(len(tokens) - 1), tokens[1:]] += 5
    return logits


_LOOP = [token_id(Kind.NOTE_ON, 60), token_id(Kind.TIME_SHIFT, 24)]
_LOOP += [token_id(Kind.NOTE_OFF, 60), token_id(Kind.TIME_SHIFT, 24)]


def _never_pairing(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """The founding failure: it knows how often tokens occur, and ends E7 whatever sounds."""
    logits = _sound(tokens)
    offs = KINDS == Kind.NOTE_OFF
    wish = logits[:, offs].max(axis=1)
    logits[:, offs] = -30
    logits[:, token_id(Kind.NOTE_OFF, 100)] = np.maximum(wish, -1)
    return logits


def _uniform(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.zeros((len(tokens), VOCAB_SIZE))


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of models given as functions; two bars need no more tokens."""
    monkeypatch.setattr("bicinium.evaluation.diagnostics._MOST_TOKENS", 120)


def _good(findings: list[Finding]) -> list[bool]:
    assert tuple(finding.question for finding in findings) == _QUESTIONS[: len(findings)]
    assert all(finding.evidence for finding in findings)
    return [finding.good for finding in findings]


def test_a_sound_model_is_found_well() -> None:
    assert _good(examine(_sound)) == [True] * 5


def test_a_decoder_without_a_causal_mask_is_found_out(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert examine(tiny_model)[_CAUSAL].good

    def looks_ahead(
        self: Decoder, query: Any, key: NDArray[Any], value: NDArray[Any], some: slice
    ) -> NDArray[Any]:
        mean = np.broadcast_to(value.mean(axis=1)[:, None], query[:, some].shape)
        return mean.swapaxes(0, 1).reshape(mean.shape[1], -1)

    monkeypatch.setattr(Decoder, "_looked_back", looks_ahead)
    assert not examine(tiny_model)[_CAUSAL].good


def test_a_model_that_sees_the_future_is_told_from_one_with_unshifted_targets() -> None:
    seeing, unshifted = _good(examine(_seeing)), _good(examine(_unshifted))
    assert (seeing[_CAUSAL], seeing[_SHIFTED]) == (False, True)
    assert (unshifted[_CAUSAL], unshifted[_SHIFTED]) == (True, False)


def test_the_founding_failure_is_told_with_its_numbers() -> None:
    findings = examine(_never_pairing)
    good = _good(findings)
    assert (good[_FITS], good[_CAUSAL], good[_PAIRS]) == (True, True, False)
    paired, notes = (int(word) for word in findings[_PAIRS].evidence.split()[:3:2])
    assert notes >= 8
    assert paired < 0.1 * notes


def _same_note(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """One note for ever: it begins, a quarter passes, it ends, a quarter passes."""
    logits = _sound(tokens)
    place = len(tokens) - 1
    logits[place] = -200
    logits[place, _LOOP[(len(tokens) - 1) % 4]] = 0
    return logits


def test_a_model_that_loops_is_found_out_though_it_pairs() -> None:
    findings = examine(_same_note)
    good = _good(findings)
    assert good[_PAIRS]
    assert not good[_LOOPS]
    assert "0 of 8 pieces reach END" in findings[_LOOPS].evidence


def test_a_model_that_never_ends_is_found_out_though_it_does_not_loop() -> None:
    def endless(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        logits = np.array(_uniform(tokens))
        logits[:, END] = -100
        return logits

    assert not _good(examine(endless))[_LOOPS]


def test_a_model_that_knows_nothing_pairs_nothing() -> None:
    assert not _good(examine(_uniform))[_PAIRS]


@pytest.mark.parametrize("width", [512, 773, 775, 50257])
def test_another_vocabulary_is_found_out_at_once(width: int) -> None:
    findings = examine(lambda tokens: np.zeros((len(tokens), width)))
    assert _good(findings) == [False]
    assert findings[0].evidence == f"it knows {width} tokens, and there are 774"


def test_what_torch_says_is_understood_too() -> None:
    torch = pytest.importorskip("torch")
    findings = examine(lambda tokens: torch.from_numpy(_sound(tokens)))
    assert _good(findings) == [True] * 5


def test_the_same_seed_finds_the_same() -> None:
    assert examine(_uniform, seed=1) == examine(_uniform, seed=1)
    assert examine(_uniform, seed=1) != examine(_uniform, seed=2)


# ------------------------------------------------------------------ checkpoints


def test_an_untrained_checkpoint_is_causal_and_fits_and_pairs_nothing(tiny_model: Path) -> None:
    good = _good(examine(tiny_model))
    assert (good[_FITS], good[_CAUSAL], good[_PAIRS]) == (True, True, False)


@pytest.mark.parametrize("what", ["vocabulary", "grammar"])
def test_a_checkpoint_of_another_vocabulary_or_grammar_is_found_out(
    tiny_model: Path, tmp_path: Path, what: str
) -> None:
    with safe_open(tiny_model, framework="numpy") as file:
        header: dict[str, Any] = dict(file.metadata())
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(weights, tmp_path / "other.safetensors", header | {what: "0123456789abcdef"})
    findings = examine(tmp_path / "other.safetensors")
    assert _good(findings) == [False]
    assert f"was trained with another {what} (0123456789abcdef" in findings[0].evidence


def test_a_file_that_is_no_checkpoint_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "noise.safetensors"
    path.write_bytes(b"noise" * 100)
    assert _good(examine(path)) == [False]


def test_a_model_that_is_not_there_is_refused(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(CheckpointError, "there is no model at"):
        examine(tmp_path / "none.safetensors")
