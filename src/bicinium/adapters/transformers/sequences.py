"""Where the music begins in rows of token ids that are padded on the left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import TokenError
from bicinium.tokenizer.vocabulary import END, PAD, START

_PADDING = (PAD, END)  # Some models pad with their end token.


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
