"""Keeping to the style: what a model says that is told the style, and says not when it is not.

Classifier-free guidance (Ho and Salimans, arXiv:2207.12598; for language models Sanchez et al.,
arXiv:2306.17806): of the logits of the same model, told and not told, the difference counts more
than once. A model that has read much more of other music than of keyboard music drifts towards the
other, whatever it was told at the beginning.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import mask_style

_CONTEXT = 256  # tokens, some six bars


class GuidedDecoder:
    """A decoder of N pieces, each guided so much (N,): 1 is the model as it is, told the style.

    Where none is guided it costs nothing more. What is said without the style looks back less far,
    which costs little and counts the farther past more than once too.
    """

    def __init__(self, decoder: Decoder, guidance: NDArray[np.floating]) -> None:
        self._guidance = guidance
        self._told, self._untold = copy(decoder), None  # the same weights: others may use them
        self._told.start(len(guidance))
        if (guidance != 1).any():
            self._untold = decoder.looking_back(_CONTEXT)
            self._untold.start(len(guidance))

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Go on with these pieces only, in that order."""
        self._guidance = self._guidance[rows]
        self._told.keep(rows)
        if self._untold:
            self._untold.keep(rows)

    def step(self, seen: NDArray[np.int32]) -> NDArray[np.floating]:
        """(N, F + …) features of the last tokens → (N, V) logits of the next ones."""
        told = self._told.step(seen)
        if not self._untold:
            return told
        untold = self._untold.step(mask_style(self._untold.config, seen))
        return untold + self._guidance[:, None] * (told - untold)
