"""A logits processor for ``generate()`` that forbids what the musical grammar forbids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor

from bicinium.adapters.transformers.sequences import first_starts
from bicinium.errors import GrammarError, TokenError
from bicinium.grammar import MusicalGrammar, States, token_budget
from bicinium.grammar.terms import FAR, Stage
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import PAD, VOCAB_SIZE, describe


class GrammarLogitsProcessor(LogitsProcessor):
    """Sets the scores of all tokens that the grammar forbids to minus infinity.

    For models over bicinium's vocabulary. Ids beyond it, if the model has any, are forbidden. For
    other vocabularies, ``generate(prefix_allowed_tokens_fn=grammar.allowed_tokens)`` does the same
    with an ``EventGrammar``.

    The music of each row begins at its first START; before it there may be padding. After END, only
    PAD is allowed. Beams may change places: a row is recognised by its tokens.

    meter, bars, max_tokens, transposition: as in ``MusicalGrammar.initial_states``; each is one
    value, or one for each prompt. A metre may be a text such as "3/4".

    Raises GrammarError for a grammar over another vocabulary.
    """

    supports_continuous_batching = False

    def __init__(
        self,
        grammar: MusicalGrammar | None = None,
        *,
        meter: Meter | str | Sequence[Meter | str | None] | None = None,
        bars: int | Sequence[int] | None = None,
        max_tokens: int | Sequence[int] | None = None,
        transposition: int | Sequence[int] = 0,
    ) -> None:
        self.grammar = grammar or MusicalGrammar()
        if not isinstance(self.grammar, MusicalGrammar):
            raise GrammarError(
                f"grammar must be a MusicalGrammar (got {type(grammar).__name__}). For an "
                "EventGrammar, call generate() with "
                "prefix_allowed_tokens_fn=grammar.allowed_tokens."
            )
        given = {
            "meter": _parsed(meter),
            "bars": bars,
            "max_tokens": max_tokens,
            "transposition": transposition,
        }
        self.request: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        # The rows of the last call, and what the grammar said of them.
        self._prompt: NDArray[np.int64] | None = None
        self._tokens: NDArray[np.int64] | None = None
        self._states: States | None = None
        self._legal = np.empty(0, np.bool_)
        self._allowed = np.empty((0, VOCAB_SIZE), np.bool_)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return (N, V) scores; ``input_ids`` (N, T) are the prompts with all tokens so far.

        Raises GrammarError for a prompt that breaks a rule or leaves too little of ``max_tokens``,
        TokenError for one without START or for a smaller vocabulary.
        """
        if scores.shape[-1] < VOCAB_SIZE:
            raise TokenError(
                f"scores are of {scores.shape[-1]} tokens; the vocabulary has {VOCAB_SIZE}. "
                "Use a model over bicinium.tokenizer.vocabulary."
            )
        tokens = np.ascontiguousarray(input_ids.cpu().numpy(), np.int64)
        parents = self._parents(tokens)
        if parents is None or self._states is None:
            states = self._read(tokens)
        else:
            last = tokens[:, -1]
            self._legal = self._legal[parents] & _is_marked(self._allowed[parents], last)
            states = self._states.take(parents)
            self.grammar.advance(states, last)
        self._tokens, self._states, self._allowed = tokens, states, self._mask(states)
        forbidden = torch.from_numpy(~self._allowed)
        forbidden = F.pad(forbidden, (0, scores.shape[-1] - VOCAB_SIZE), value=True)
        return scores.masked_fill(forbidden.to(scores.device), -torch.inf)

    def _parents(self, tokens: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return (N,) the row of the last call that each row continues by one token.

        None if some row continues none of them.
        """
        count, length = tokens.shape
        if self._tokens is None or self._tokens.shape != (count, length - 1):
            return None
        before = np.ascontiguousarray(tokens[:, :-1])
        if np.array_equal(before, self._tokens):
            return np.arange(count)
        rows_of_prompt = count // self._prompts(count)
        rows = {
            (row // rows_of_prompt, tokens.tobytes()): row
            for row, tokens in enumerate(self._tokens)
        }
        found = [
            rows.get((row // rows_of_prompt, tokens.tobytes())) for row, tokens in enumerate(before)
        ]
        return None if None in found else np.array(found, np.int64)

    def _read(self, tokens: NDArray[np.int64]) -> States:
        """Return the states after whole sequences."""
        music = [row[start:] for row, start in zip(tokens, first_starts(tokens), strict=True)]
        initial = self.grammar.initial_states(len(tokens), **self._request_of_rows(len(tokens)))
        lengths = [len(row) for row in music]
        found = self.grammar.validate(initial, np.concatenate(music), lengths)
        broken = np.split(found.broken, np.cumsum(lengths)[:-1])
        self._legal = np.array([bool((rules < 0).all()) for rules in broken])
        if self._is_new(tokens):
            self._refuse_illegal(music, broken)
            _refuse_small_budgets(found.last_states, lengths)
            self._prompt = tokens
        return found.last_states

    def _is_new(self, tokens: NDArray[np.int64]) -> bool:
        """Return whether these are prompts, and not what is being generated from the last ones.

        What is being generated may be illegal: where nothing better is left, beams hold sequences
        of score minus infinity, and assisted generation asks about tokens before they are accepted.
        """
        if self._prompt is None or self._tokens is None:
            return True
        length = self._prompt.shape[1]
        grown = length <= tokens.shape[1] <= self._tokens.shape[1] + 1
        return not (grown and np.array_equal(tokens[:, :length], self._prompt))

    def _refuse_illegal(
        self, music: Sequence[NDArray[np.int64]], broken: Sequence[NDArray[np.int32]]
    ) -> None:
        if self._legal.all():
            return
        row = int(self._legal.argmin())
        index = int((broken[row] >= 0).argmax())
        rule = self.grammar.rules[broken[row][index]].name
        raise GrammarError(
            f"The prompt in row {row} breaks the rule {rule} at token {index} "
            f"({describe(int(music[row][index]))}). Give a prompt that the grammar allows."
        )

    def _mask(self, states: States) -> NDArray[np.bool_]:
        """Return (N, V) True for allowed tokens; after an illegal one, only PAD."""
        if self._legal.all():
            return self.grammar.mask(states)
        allowed = np.zeros((len(states), VOCAB_SIZE), np.bool_)
        allowed[:, PAD] = True
        legal = np.flatnonzero(self._legal)
        allowed[legal] = self.grammar.mask(states.take(legal))
        return allowed

    def _prompts(self, rows: int) -> int:
        """Return how many prompts the request tells apart; each has as many rows."""
        counts = {len(value) for value in self.request.values() if _is_list(value)} or {1}
        if len(counts) > 1 or rows % min(counts):
            raise GrammarError(
                "meter, bars, max_tokens and transposition must be one value, or one for each "
                f"prompt (got {sorted(counts)} values for {rows} rows)."
            )
        return min(counts)

    def _request_of_rows(self, rows: int) -> dict[str, Any]:
        """Return the request with a value for each row where there is one for each prompt."""
        times = rows // self._prompts(rows)
        return {
            name: [one for one in value for _ in range(times)] if _is_list(value) else value
            for name, value in self.request.items()
        }


def _refuse_small_budgets(states: States, lengths: Sequence[int]) -> None:
    """Raise GrammarError if a prompt leaves fewer tokens than ending the piece may take."""
    for row in np.flatnonzero((states.tokens_left < FAR) & (states.stage != Stage.ENDED)).tolist():
        needed = token_budget.reserve(states[row])
        if states.tokens_left[row] < needed:
            raise GrammarError(
                f"max_tokens leaves {states.tokens_left[row]} tokens after the prompt in row {row} "
                f"(of {lengths[row]} tokens), and the end may take {needed}. Give max_tokens="
                f"{lengths[row] + needed} or more."
            )


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _parsed(meter: Meter | str | Sequence[Meter | str | None] | None) -> Any:
    if isinstance(meter, str):
        return Meter.parse(meter)
    if isinstance(meter, (list, tuple)):
        return [_parsed(one) for one in meter]
    return meter


def _is_marked(marks: NDArray[np.bool_], tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (N,) the marks (N, V) of one token each; an id beyond the vocabulary has none."""
    known = (tokens >= 0) & (tokens < VOCAB_SIZE)
    return known & marks[np.arange(len(tokens)), np.where(known, tokens, 0)]
