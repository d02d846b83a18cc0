"""The token loop: all pieces of a batch grow by one token at each step.

Knows token ids, masks and processors. Knows no candidates, retries or scores: those are in
``candidates``. Each piece draws from its own random numbers, so that its notes do not depend on the
other pieces of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bicinium.errors import CancelledError
from bicinium.generation.batch import Batch
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import DEFAULT_CONFIG, GenerationConfig
from bicinium.generation.constraints.cadence import draw_cadence_plan
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.processor import ConstraintProcessor
from bicinium.generation.guidance import GuidedDecoder, guidance_scale
from bicinium.generation.motif_bias import MotifBias, motif_strength
from bicinium.generation.processors import (
    FixedNotesProcessor,
    LogitsProcessor,
    RequestedTempo,
    Slips,
    Temperature,
)
from bicinium.generation.sampling import draw, masked_softmax, truncate
from bicinium.grammar import MusicalGrammar
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.music.score import VOICES
from bicinium.tokenizer.vocabulary import KINDS, START, VALUES, VOCAB_SIZE, Kind

Tokens = NDArray[np.int16]
Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class BarsWritten:
    """``bars`` bars of the piece at ``place`` of the batch are written."""

    place: int
    bars: int


@dataclass(frozen=True, slots=True)
class Written:
    """All tokens of the piece at ``place`` of the batch, START included."""

    place: int
    tokens: Tokens


class Engine:
    """A model and a grammar, ready to draw tokens."""

    def __init__(self, model: ModelConfig, decoder: Decoder, grammar: MusicalGrammar) -> None:
        self.model, self.decoder, self.grammar = model, decoder, grammar
        self._libraries = ThreadpoolController()

    def steps(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        config: GenerationConfig,
        cancelled: Cancelled | None = None,
    ) -> Iterator[Batch]:
        """Draw one token for each piece in progress, and give the batch after each step.

        A piece drops out after END or at ``max_tokens``, and if no token may come next.
        Raises CancelledError as soon as ``cancelled`` returns True.
        """
        batch = Batch.start(conditions, rngs, config, self.model, self.grammar)
        processors = processors_for(batch, config, self.grammar)
        decoder = GuidedDecoder(self.decoder, _guidance_scales(conditions, config))
        while True:
            if cancelled and cancelled():
                raise CancelledError("composing was stopped")
            batch.advance(self.grammar)
            for processor in processors:
                processor.observe(batch)
            over = self.grammar.ended(batch.state) | (batch.state.tokens_left <= 0)
            if over.any():
                going = np.flatnonzero(~over)
                if not len(going):
                    return
                batch.keep(going)
            if config.use_grammar:
                allowed = self.grammar.mask(batch.state)
            else:
                allowed = np.ones((len(batch.rows), VOCAB_SIZE), np.bool_)
            logits: NDArray[np.floating] = decoder.step(batch.encode_inputs(self.model), batch.rows)
            for processor in processors:
                logits, allowed = processor(batch, logits, allowed)
            possible = allowed.any(axis=1)
            if not possible.all():
                going = np.flatnonzero(possible)
                if not len(going):
                    return
                batch.keep(going)
                logits, allowed = logits[going], allowed[going]
            p = truncate(masked_softmax(logits, allowed), config.sampling)
            batch.tokens = draw(p, batch.uniform())
            yield batch

    def write(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        config: GenerationConfig,
        cancelled: Cancelled | None = None,
    ) -> Generator[BarsWritten | Written]:
        """Draw whole pieces: give each bar as it is written, and each piece as it is finished."""
        pieces = [[START] for _ in conditions]
        ticks = [0] * len(conditions)
        going = np.arange(len(conditions))
        with self.one_blas_thread():
            for batch in self.steps(conditions, rngs, config, cancelled):
                rows = batch.rows
                if len(rows) < len(going):
                    for row in np.setdiff1d(going, rows).tolist():
                        yield Written(row, np.array(pieces[row], np.int16))
                    going = rows
                for row, token in zip(rows.tolist(), batch.tokens.tolist(), strict=True):
                    pieces[row].append(token)
                    if KINDS[token] == Kind.TIME_SHIFT:
                        bar, before = conditions[row].meter.bar_ticks, ticks[row]
                        ticks[row] += int(VALUES[token])
                        if ticks[row] // bar > before // bar:
                            yield BarsWritten(row, ticks[row] // bar)
        for row in going.tolist():
            yield Written(row, np.array(pieces[row], np.int16))

    def draw(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        config: GenerationConfig = DEFAULT_CONFIG,
    ) -> list[Tokens]:
        """Return the tokens of each piece, START included.

        A piece just stops at ``max_tokens`` without the grammar, and, with it, where the
        constraints leave no token.
        """
        written = self.write(conditions, rngs, config)
        pieces = {one.place: one.tokens for one in written if isinstance(one, Written)}
        return [pieces[place] for place in range(len(conditions))]

    def one_blas_thread(self) -> AbstractContextManager[object]:
        """Limit BLAS to one thread.

        A second thread gains nothing in products this small, and makes composing ten times slower
        beside another busy program (docs/log.md).
        """
        return self._libraries.limit(limits=1, user_api="blas")


def processors_for(
    batch: Batch, config: GenerationConfig, grammar: MusicalGrammar
) -> list[LogitsProcessor]:
    """Return the processors of a batch, in the order in which they are called."""
    conditions, sampling = batch.conditions, config.sampling
    strength = np.array(
        [motif_strength(sampling.motif_strength, one.is_keyboard) for one in conditions]
    )
    processors: list[LogitsProcessor] = [Temperature(sampling.temperature)]
    if batch.fixed_notes.anything:
        processors.append(FixedNotesProcessor())
    if config.constraints and config.use_grammar:
        processors.append(_constraint_processor(batch, config.constraints, grammar))
    if strength.any():
        processors.append(MotifBias(strength))
    if config.slip_probability:
        processors.append(Slips(grammar, config.slip_probability))
    processors.append(RequestedTempo([one.tempo_qpm for one in conditions]))
    return processors


def _guidance_scales(
    conditions: Sequence[Conditions], config: GenerationConfig
) -> NDArray[np.float64]:
    """Return (B,) the guidance scale of each piece."""
    scale = config.sampling.guidance
    return np.array([guidance_scale(scale, one.is_keyboard) for one in conditions], np.float64)


def _constraint_processor(
    batch: Batch, settings: Constraints, grammar: MusicalGrammar
) -> ConstraintProcessor:
    ranges = [grammar.config.range_of(part) for part in range(VOICES)]
    cadences = [
        draw_cadence_plan(conditions, settings, rng)
        for conditions, rng in zip(batch.conditions, batch.rngs, strict=True)
    ]
    return ConstraintProcessor(settings, batch.conditions, batch.fixed_notes, ranges, cadences)
