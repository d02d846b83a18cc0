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
from bicinium.model.features import without_style


class GuidedDecoder:
    """A decoder of N pieces, each guided so much (N,): 1 is the model as it is, told the style.

    Where none is guided it costs nothing, else the work of twice as many pieces.
    """

    def __init__(self, decoder: Decoder, guidance: NDArray[np.floating]) -> None:
        self._decoder = copy(decoder)  # the same weights; others may be composing with them
        self._guidance, self._guides = guidance, bool((guidance != 1).any())
        self._decoder.start(len(guidance) * (1 + self._guides))

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Go on with these pieces only, in that order."""
        pieces = len(self._guidance)
        self._guidance = self._guidance[rows]
        self._decoder.keep(np.concatenate([rows, rows + pieces]) if self._guides else rows)

    def step(self, seen: NDArray[np.int32]) -> NDArray[np.floating]:
        """(N, F + …) features of the last tokens → (N, V) logits of the next ones."""
        if not self._guides:
            return self._decoder.step(seen)
        both = np.concatenate([seen, without_style(self._decoder.config, seen)])
        told, untold = np.split(self._decoder.step(both), 2)
        return untold + self._guidance[:, None] * (told - untold)
