"""Where the music begins and ends in rows of token ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import GrammarError, TokenError
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.events import EventGrammar
from bicinium.tokenizer.vocabulary import END, PAD, START

_PADDING = (PAD, END)  # Some models pad with their end token.


def start_and_end(grammar: MusicalGrammar | EventGrammar) -> tuple[int, int]:
    """Return the ids of START and END. Raises GrammarError unless the grammar has both."""
    if not isinstance(grammar, (MusicalGrammar, EventGrammar)):
        raise GrammarError(
            "grammar must be a MusicalGrammar or an EventGrammar (got "
            f"{type(grammar).__name__}). For an EventVocabulary, give EventGrammar(vocabulary)."
        )
    start, end = grammar.start_id, grammar.end_id
    if start is None or end is None:
        missing = "START" if start is None else "END"
        raise GrammarError(
            f"The vocabulary must have tokens that begin and end a piece (it has no {missing}). "
            "For MidiTok, keep BOS and EOS among the special tokens."
        )
    return start, end


def first_starts(tokens: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return (B,) the index of the first START in each row (B, T).

    Raises TokenError if a row has none, or has anything but padding before it.
    """
    is_start = tokens == START
    first = is_start.argmax(axis=1)
    before = np.arange(tokens.shape[1]) < first[:, None]
    wrong = ~is_start.any(axis=1) | (before & ~np.isin(tokens, _PADDING)).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise TokenError(
            f"Each sequence must begin with START ({START}), after padding ({PAD}) if any "
            f"(row {row} begins with {tokens[row, :4].tolist()}). Put START before the music."
        )
    return first
