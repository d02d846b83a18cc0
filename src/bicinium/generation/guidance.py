"""Classifier-free guidance on style.

Ho and Salimans, arXiv:2207.12598; for language models Sanchez et al., arXiv:2306.17806. The logits
with the style and those without it are extrapolated. The model has read far more other music than
keyboard music and drifts towards it; guidance keeps it to the style.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import mask_style

_CONTEXT = 256  # tokens, some six bars: the run without the style may look back less far
_KEYBOARD_GUIDANCE = 1.5  # the default in keyboard styles (docs/log.md)


def guidance_scale(requested: float | None, is_keyboard: bool) -> float:
    """Return the guidance scale; None depends on the style. 1 leaves the model as it is."""
    if requested is not None:
        return requested
    return _KEYBOARD_GUIDANCE if is_keyboard else 1.0


class GuidedDecoder:
    """A decoder of B sequences, each of which is guided by its scale (B,).

    What the model says without the style comes from further sequences of the same batch, so the
    weights are read once. A scale of 1 needs none.

    context: how many tokens the sequences without the style look back.
    """

    def __init__(
        self, decoder: Decoder, scale: NDArray[np.floating], context: int = _CONTEXT
    ) -> None:
        self._decoder = copy(decoder)  # the same weights, with a cache of its own
        self._scale = scale
        guided = scale != 1
        self._unconditional = np.where(guided, len(scale) + np.cumsum(guided) - 1, -1)
        if guided.any():
            contexts = [decoder.config.context] * len(scale) + [context] * int(guided.sum())
            self._decoder.start(len(contexts), contexts)
        else:
            self._decoder.start(len(scale))

    def step(self, inputs: NDArray[np.int32], rows: NDArray[np.integer]) -> NDArray[np.floating]:
        """Read one more token of each of the sequences ``rows`` (N,), each once.

        inputs: (N, F + REFERENCES + 1), with the style. Returns (N, V) logits of the next token.
        """
        guided = np.flatnonzero(self._unconditional[rows] >= 0)
        if not len(guided):
            return self._decoder.step(inputs, rows)
        without_style = mask_style(self._decoder.config, inputs[guided])
        logits = self._decoder.step(
            np.concatenate([inputs, without_style]),
            np.concatenate([rows, self._unconditional[rows[guided]]]),
        )
        unconditional = logits[len(rows) :]
        found = logits[: len(rows)].astype(np.float64)
        scale = self._scale[rows[guided], None]
        found[guided] = unconditional + scale * (logits[guided] - unconditional)
        return found
