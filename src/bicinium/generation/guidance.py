"""Classifier-free guidance on style.

Ho and Salimans, arXiv:2207.12598; for language models Sanchez et al., arXiv:2306.17806. The logits
with the style and those without it are extrapolated. The model has read far more other music than
keyboard music and drifts towards it; guidance keeps it to the style.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.batch import Batch
from bicinium.generation.processors import LogitsProcessor
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import mask_style

_CONTEXT = 256  # tokens, some six bars: the run without the style may look back less far
_KEYBOARD_GUIDANCE = 1.5  # the default in keyboard styles (docs/log.md)


def guidance_scale(requested: float | None, is_keyboard: bool) -> float:
    """Return the guidance scale; None depends on the style. 1 leaves the model as it is."""
    if requested is not None:
        return requested
    return _KEYBOARD_GUIDANCE if is_keyboard else 1.0


class Guidance(LogitsProcessor):
    """Guides each of B pieces by its scale (B,). Runs the model a second time, without the style.

    ``context`` is how many tokens that second run looks back.
    """

    def __init__(
        self, decoder: Decoder, scale: NDArray[np.floating], context: int = _CONTEXT
    ) -> None:
        self._scale = scale
        self._rows = np.arange(len(scale))
        self._decoder = copy(decoder)  # the same weights, with a cache of its own
        self._decoder.start(len(scale), [context] * len(scale))

    def __call__(
        self, batch: Batch, logits: NDArray[np.floating], allowed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Return (N, V) the guided logits, and the mask as it is."""
        if len(batch.rows) < len(self._rows):  # pieces have finished since the last step
            self._decoder.keep(np.searchsorted(self._rows, batch.rows))
            self._rows = batch.rows
        unconditional = self._decoder.step(mask_style(self._decoder.config, batch.inputs))
        scale = self._scale[batch.rows][:, None]
        return unconditional + scale * (logits - unconditional), allowed
