"""Begin a piece: its state, the model's inputs and the processors, from its conditions."""

from __future__ import annotations

import numpy as np

from bicinium.errors import RequestError
from bicinium.generation.conditions import Conditions, fixed_notes_in_token_key
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.cadence import draw_cadence_plan
from bicinium.generation.constraints.processor import ConstraintProcessor
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.generation.motif_bias import MotifBias, motif_strength
from bicinium.generation.piece import Piece
from bicinium.generation.processors import IllegalTokens, Processor, RequestedTempo
from bicinium.generation.sampler import Sampler
from bicinium.grammar import MusicalGrammar
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.inputs.form_columns import FormColumns
from bicinium.model.inputs.layout import AT_REST
from bicinium.model.inputs.sequence import SequenceInputs
from bicinium.music.score import VOICES
from bicinium.tokenizer.vocabulary import VOCAB_SIZE

_SPARE_SLOTS = 3  # sounding notes beyond two, which a piece without the grammar may have


class PieceStarter:
    """Begins pieces with one configuration. Raises RequestError for a grammar of one voice."""

    def __init__(
        self, model: ModelConfig, grammar: MusicalGrammar, config: GenerationConfig
    ) -> None:
        if grammar.config.voices < VOICES:
            raise RequestError(
                f"The grammar must have {VOICES} voices (got {grammar.config.voices})."
            )
        self._model, self._grammar, self._config = model, grammar, config
        self._tables: dict[tuple[int, int], tuple[Conditions, FixedNotesTable]] = {}

    def begin(self, conditions: Conditions, rng: np.random.Generator) -> Piece:
        """Return a piece before its first step; its only token is START."""
        config, grammar = self._config, self._grammar
        table = self._fixed_notes(conditions)
        inputs = self._inputs(conditions, table)
        state = grammar.initial_state(
            bar_ticks=conditions.meter.bar_ticks,
            bars=conditions.bars,
            max_tokens=config.max_tokens or conditions.token_budget,
            transposition=-conditions.key.semitones_to_reference,
            spare_slots=0 if config.use_grammar else _SPARE_SLOTS,
        )
        return Piece(
            state,
            inputs,
            Sampler(config.sampling, VOCAB_SIZE),
            rng,
            grammar if config.use_grammar else None,
            self._processors(conditions, rng, table, inputs),
        )

    def _fixed_notes(self, conditions: Conditions) -> FixedNotesTable | None:
        """Return the table of the fixed notes. The candidates of a piece share it."""
        if conditions.fixed_notes is None:
            return None
        key = id(conditions.fixed_notes), conditions.key.semitones_to_reference
        if key not in self._tables:
            fixed_notes = fixed_notes_in_token_key(conditions.fixed_notes, conditions.key)
            self._tables[key] = conditions, FixedNotesTable(fixed_notes)
        return self._tables[key][1]

    def _inputs(self, conditions: Conditions, table: FixedNotesTable | None) -> SequenceInputs:
        constraints = self._config.constraints
        at_rest = constraints and constraints.close and not conditions.end_is_fixed
        told = PieceConditions.of(
            self._model,
            [str(conditions.meter)],
            [conditions.key.mode],
            [conditions.style],
            [conditions.bars],
            [AT_REST if at_rest else None],
        )
        lookahead = table.lookahead if table else None
        form = FormColumns(conditions.form) if conditions.form else None
        return SequenceInputs(self._model, told.rows()[0], lookahead, form)

    def _processors(
        self,
        conditions: Conditions,
        rng: np.random.Generator,
        table: FixedNotesTable | None,
        inputs: SequenceInputs,
    ) -> list[Processor]:
        """Return the processors of a piece, in the order in which they are called."""
        config, grammar = self._config, self._grammar
        processors: list[Processor] = []
        if table is not None:
            processors.append(table)
        if config.constraints and config.use_grammar:
            ranges = [grammar.config.range_of(part) for part in range(VOICES)]
            cadence = draw_cadence_plan(conditions, config.constraints, rng)
            processors.append(
                ConstraintProcessor(config.constraints, conditions, table, ranges, cadence)
            )
        strength = motif_strength(
            config.sampling.motif_strength, conditions.is_keyboard and conditions.form is None
        )
        if strength:
            processors.append(MotifBias(strength, inputs))
        if config.error_probability:
            processors.append(IllegalTokens(grammar.judge, config.error_probability, rng))
        if conditions.tempo_qpm:
            processors.append(RequestedTempo(conditions.tempo_qpm))
        return processors
