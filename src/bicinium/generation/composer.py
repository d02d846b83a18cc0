"""A loaded model, ready to compose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from bicinium.errors import RequestError
from bicinium.generation.candidates import (
    Finished,
    ProgressCallback,
    Rejected,
    Result,
    Search,
    check_request,
    rejection_message,
)
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import DEFAULT_CONFIG, GenerationConfig
from bicinium.generation.deadline import Expired, never
from bicinium.generation.engine import PLACES, Cancelled, Engine, Tokens
from bicinium.generation.form_bank import FormBank
from bicinium.generation.rerank import DEFAULT_SELECTION, Selection
from bicinium.generation.streaming import NoteEvent, note_events
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator
from bicinium.model.checkpoint import Checkpoint
from bicinium.model.decoder import Decoder, available_cores
from bicinium.music.excerpts import extract_bars
from bicinium.music.score import Score, Voice
from bicinium.tokenizer.codec import decode

_FORM_STREAM = 2**17  # of random numbers, beside those of the request and the notes


class Composer:
    """Composes pieces with a model. ``grammar`` None is the default grammar.

    in_bytes: round the matrices to 8 bits, which is twice as fast; see ``Decoder``.
    threads: how many may work at once; None: as many as there are cores.
    places: candidates that grow at the same time.
    forms: from which pieces take their form; None: their form is unknown.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        grammar: MusicalGrammar | None = None,
        in_bytes: bool = False,
        threads: int | None = None,
        places: int = PLACES,
        forms: FormBank | None = None,
    ) -> None:
        self.config, self.model = checkpoint.config, checkpoint.name
        self.styles = checkpoint.styles
        threads = threads or available_cores()
        self.decoder = Decoder(checkpoint.config, checkpoint.weights, threads, in_bytes)
        self.grammar = grammar or MusicalGrammar()
        self.validator = MusicalGrammarValidator(self.grammar)
        self._places, self._forms = places, forms

    def with_grammar(self, grammar: MusicalGrammar) -> Composer:
        """Return the same model under another grammar."""
        other = copy(self)
        other.grammar, other.validator = grammar, MusicalGrammarValidator(grammar)
        return other

    def with_decoder(self, decoder: Decoder) -> Composer:
        """Return a composer with another decoder."""
        other = copy(self)
        other.decoder = decoder
        return other

    @property
    def engine(self) -> Engine:
        """The token loop of this model."""
        return Engine(self.config, self.decoder, self.grammar)

    def draw(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        config: GenerationConfig = DEFAULT_CONFIG,
    ) -> list[Tokens]:
        """Return the tokens of each piece as they are drawn; see ``Engine.draw``."""
        return self.engine.draw(conditions, rngs, config)

    def generate(
        self,
        conditions: Sequence[Conditions],
        seeds: Sequence[int],
        config: GenerationConfig = DEFAULT_CONFIG,
        selection: Selection = DEFAULT_SELECTION,
        progress: ProgressCallback | None = None,
        cancelled: Cancelled | None = None,
        expired: Expired = never,
    ) -> Iterator[Result]:
        """Compose one piece for each of the conditions, with the seed at the same position.

        Gives ``Progress`` for every bar written, and ``Finished`` or ``Rejected``
        for each piece as soon as it is known. A piece does not depend on the other pieces.
        Raises CancelledError as soon as ``cancelled`` returns True. Ends with the best pieces so
        far as soon as ``expired`` returns True.
        """
        check_request(conditions, seeds, config, self.config.meters, self.styles)
        planned = [self._planned(*piece) for piece in zip(conditions, seeds, strict=True)]
        places = max(1, min(self._places, selection.best_of * len(conditions)))
        drawing = self.engine.drawing(config, places, cancelled)
        search = Search(
            planned,
            seeds,
            config,
            selection,
            drawing,
            self.finish,
            self.opening,
            progress,
            expired,
        )
        return search.run()

    def _planned(self, conditions: Conditions, seed: int) -> Conditions:
        """Return conditions with a form from the bank, as far as the request leaves it open.

        With given notes the form is as requested, since they have one already.
        """
        if not self.config.form_inputs:
            if conditions.form:
                raise RequestError("The model has not learned forms. Leave the form out.")
            return conditions
        if self._forms is None or conditions.fixed_notes:
            return conditions
        rng = np.random.default_rng([seed, _FORM_STREAM])
        drawn = self._forms.draw(conditions.bars, conditions.meter, conditions.style, rng)
        form = conditions.form.completed(drawn) if conditions.form else drawn
        return replace(conditions, form=form)

    def compose(
        self,
        conditions: Sequence[Conditions],
        seeds: Sequence[int],
        config: GenerationConfig = DEFAULT_CONFIG,
        selection: Selection = DEFAULT_SELECTION,
        progress: ProgressCallback | None = None,
    ) -> list[Composition]:
        """Compose one piece for each of the conditions; see ``generate``.

        Raises RequestError if a piece is rejected.
        """
        pieces = {}
        for result in self.generate(conditions, seeds, config, selection, progress):
            if isinstance(result, Rejected):
                raise RequestError(rejection_message(result))
            if isinstance(result, Finished):
                pieces[result.index] = result.composition
        return [pieces[index] for index in range(len(conditions))]

    def stream(
        self, conditions: Conditions, seed: int, config: GenerationConfig = DEFAULT_CONFIG
    ) -> Iterator[NoteEvent]:
        """Compose one piece and give its notes as they are made; see ``note_events``."""
        check_request([conditions], [seed], config, self.config.meters, self.styles)
        return note_events(self.engine, self._planned(conditions, seed), seed, config)

    def finish(self, conditions: Conditions, seed: int, tokens: Tokens, draws: int) -> Composition:
        """Turn tokens into a piece in its own key. Its score is None if the tokens are invalid."""
        transposition = -conditions.key.semitones_to_reference
        result = self.validator.validate_sequence(
            tokens, conditions.meter, conditions.bars, transposition
        )
        score: Score | None = None
        if result.valid:
            score = _in_own_key(conditions, tokens)
            score = replace(
                score,
                title=conditions.display_title,
                composer="bicinium" if conditions.composer is None else conditions.composer,
            )
            if conditions.fixed_notes:
                score = _with_fixed_notes(score, conditions.fixed_notes.score)
        return Composition(conditions, seed, tokens, result, score, draws, self.model)

    def opening(self, conditions: Conditions, seed: int, tokens: Tokens, bars: int) -> Composition:
        """Return the first bars of a piece, from its tokens so far."""
        score = extract_bars(_in_own_key(conditions, tokens, unfinished=True), 0, bars)
        transposition = -conditions.key.semitones_to_reference
        result = self.validator.validate_sequence(tokens, conditions.meter, bars, transposition)
        opened = replace(conditions, bars=bars)
        return Composition(opened, seed, tokens, result, score, draws=1, model=self.model)


def _in_own_key(conditions: Conditions, tokens: Tokens, unfinished: bool = False) -> Score:
    """Decode tokens, and transpose them from C major or A minor to the key of the piece."""
    transposition = -conditions.key.semitones_to_reference
    home = conditions.key.transpose(-transposition)
    score = decode(tokens, conditions.meter, home, unfinished=unfinished).transpose(transposition)
    return replace(
        score,
        tempo_qpm=float(conditions.tempo_qpm or score.tempo_qpm),
        signature=conditions.signature,
    )


def _with_fixed_notes(score: Score, fixed: Score) -> Score:
    """Return the score with the fixed notes as they were: tokens round velocities, and no more."""
    voices = []
    for voice, line in zip(score.voices, fixed.voices, strict=True):
        original = {note.onset_tick: note for note in line.notes}
        voices.append(Voice(tuple(original.get(note.onset_tick, note) for note in voice.notes)))
    return replace(
        score,
        voices=tuple(voices),
        anacrusis_ticks=fixed.anacrusis_ticks,
        spellings=fixed.spellings,
    )
