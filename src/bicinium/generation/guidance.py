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
    """A decoder with P places, each for one sequence at a time.

    What the model says without the style comes from a second sequence of the place, in the same
    call of the network, so the weights are read once. A sequence with a scale of 1 needs none.

    guided: False if no sequence is guided.
    context: how many tokens the sequences without the style look back.
    """

    def __init__(
        self, decoder: Decoder, places: int, guided: bool = True, context: int = _CONTEXT
    ) -> None:
        self._decoder, self._places = copy(decoder), places  # same weights, a cache of its own
        if guided:
            contexts = [decoder.config.context] * places + [context] * places
            self._decoder.start(2 * places, contexts)
        else:
            self._decoder.start(places)
        self._guided = guided

    def restart(self, place: int) -> None:
        """Begin a new sequence at a place."""
        self._decoder.restart(place)
        if self._guided:
            self._decoder.restart(self._places + place)

    def rewind(self, place: int, length: int) -> None:
        """Forget all tokens of a sequence but the first ``length``; it has exceeded no context."""
        self._decoder.rewind(place, length)
        if self._guided:
            self._decoder.rewind(self._places + place, length)

    def step(
        self, inputs: NDArray[np.int32], places: NDArray[np.integer], scale: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Read one more token of the sequences at ``places`` (N,), each guided by its scale (N,).

        inputs: (N, F + REFERENCES + 1), with the style. Returns (N, V) logits of the next token.
        """
        guided = np.flatnonzero(scale != 1)
        if not len(guided):
            return self._decoder.step(inputs, places)
        without_style = mask_style(self._decoder.config, inputs[guided])
        logits = self._decoder.step(
            np.concatenate([inputs, without_style]),
            np.concatenate([places, self._places + places[guided]]),
        )
        unconditional = logits[len(places) :]
        found = logits[: len(places)].astype(np.float64)
        difference = logits[guided] - unconditional
        found[guided] = unconditional + scale[guided, None] * difference
        return found
