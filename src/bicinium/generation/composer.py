"""A loaded model, ready to compose."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import pairwise

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
from bicinium.generation.engine import BarsWritten, Cancelled, Engine, Tokens, Written
from bicinium.generation.processes import available_cores, run_in_processes
from bicinium.generation.rerank import DEFAULT_SELECTION, Selection
from bicinium.generation.streaming import NoteEvent, note_events
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator
from bicinium.model.checkpoint import Checkpoint
from bicinium.model.decoder import Decoder
from bicinium.music.score import Score, Voice
from bicinium.tokenizer.codec import decode

_MAX_BATCH = 64  # pieces that a process composes at once; more gain little and cost memory
_MAX_PIECES_AT_ONCE = 192  # in all processes: guided, up to 2 GB
_MIN_PIECES_PER_PROCESS = 4
_MIN_BARS_PER_PROCESS = 64  # of all its pieces; starting a process takes a second


class Composer:
    """Composes pieces with a model. ``grammar`` None is the default grammar.

    in_bytes: round the matrices to 8 bits, which is twice as fast; see ``Decoder``.
    processes: how many may work at once; None: as many as there are cores.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        grammar: MusicalGrammar | None = None,
        in_bytes: bool = False,
        processes: int | None = None,
    ) -> None:
        self._checkpoint: Checkpoint | None = checkpoint  # from which other processes load it
        self.config, self.model = checkpoint.config, checkpoint.name
        self.styles = checkpoint.styles
        self.decoder = Decoder(checkpoint.config, checkpoint.weights, in_bytes=in_bytes)
        self._in_bytes = in_bytes
        self.grammar = grammar or MusicalGrammar()
        self.validator = MusicalGrammarValidator(self.grammar)
        self._processes = processes

    def with_grammar(self, grammar: MusicalGrammar) -> Composer:
        """Return the same model under another grammar."""
        other = copy(self)
        other.grammar, other.validator = grammar, MusicalGrammarValidator(grammar)
        return other

    def with_decoder(self, decoder: Decoder) -> Composer:
        """Return a composer with another decoder, which works in this process only."""
        other = copy(self)
        other.decoder, other._checkpoint = decoder, None
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
    ) -> Iterator[Result]:
        """Compose one piece for each of the conditions, with the seed at the same position.

        Gives ``Progress`` for every bar written (in one process), and ``Finished`` or ``Rejected``
        for each piece as soon as it is known. A piece does not depend on the other pieces.
        Raises CancelledError as soon as ``cancelled`` returns True.
        """
        check_request(conditions, seeds, config, self.config.meters, self.styles)
        draw = partial(self._draw_all, config=config, cancelled=cancelled)
        search = Search(conditions, seeds, config, selection, draw, self.finish, progress=progress)
        return search.run()

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
        return note_events(self.engine, conditions, seed, config)

    def _draw_all(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        config: GenerationConfig,
        cancelled: Cancelled | None,
    ) -> Generator[BarsWritten | Written]:
        """Draw any number of pieces, in batches, and in several processes if that is faster.

        From other processes come whole pieces only. The pieces do not depend on the division.
        """
        count, bars = len(conditions), sum(piece.bars for piece in conditions)
        worth = min(count // _MIN_PIECES_PER_PROCESS, bars // _MIN_BARS_PER_PROCESS)
        most = self._processes or available_cores()
        processes = max(1, min(most, worth)) if self._checkpoint else 1
        size = max(_MIN_PIECES_PER_PROCESS, _MAX_PIECES_AT_ONCE // processes)
        batches = -(-count // (min(_MAX_BATCH, size) * processes)) * processes
        ends = np.linspace(0, count, batches + 1).astype(int).tolist()
        slices = [slice(first, end) for first, end in pairwise(ends)]
        if processes > 1:
            return self._draw_in_processes(processes, slices, conditions, rngs, config, cancelled)
        if len(slices) > 1:
            return self._draw_in_batches(slices, conditions, rngs, config, cancelled)
        return self.engine.write(conditions, rngs, config, cancelled)

    def _draw_in_batches(
        self,
        slices: Sequence[slice],
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        config: GenerationConfig,
        cancelled: Cancelled | None,
    ) -> Generator[BarsWritten | Written]:
        for some in slices:
            for one in self.engine.write(conditions[some], rngs[some], config, cancelled):
                yield replace(one, place=some.start + one.place)

    def _draw_in_processes(
        self,
        processes: int,
        slices: Sequence[slice],
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        config: GenerationConfig,
        cancelled: Cancelled | None,
    ) -> Generator[BarsWritten | Written]:
        assert self._checkpoint
        model = (self._checkpoint, self.grammar, self._in_bytes)
        shares = [(model, conditions[some], rngs[some], config) for some in slices]
        for batch, pieces in run_in_processes(processes, _draw, shares, cancelled):
            for place, tokens in enumerate(pieces, slices[batch].start):
                yield Written(place, tokens)

    def finish(self, conditions: Conditions, seed: int, tokens: Tokens, draws: int) -> Composition:
        """Turn tokens into a piece in its own key. Its score is None if the tokens are invalid."""
        transposition = -conditions.key.semitones_to_reference
        result = self.validator.validate_sequence(
            tokens, conditions.meter, conditions.bars, transposition
        )
        score: Score | None = None
        if result.valid:
            home = conditions.key.transpose(-transposition)
            score = decode(tokens, conditions.meter, home).transpose(transposition)
            score = replace(
                score,
                tempo_qpm=float(conditions.tempo_qpm or score.tempo_qpm),
                title=conditions.display_title,
                composer="bicinium" if conditions.composer is None else conditions.composer,
            )
            if conditions.fixed_notes:
                score = _with_velocities(score, conditions.fixed_notes.score)
        return Composition(conditions, seed, tokens, result, score, draws, self.model)


def _draw(
    model: tuple[Checkpoint, MusicalGrammar, bool],
    conditions: Sequence[Conditions],
    rngs: Sequence[np.random.Generator],
    config: GenerationConfig,
) -> list[Tokens]:
    """Draw pieces in another process."""
    return Composer(*model).draw(conditions, rngs, config)


def _with_velocities(score: Score, fixed: Score) -> Score:
    """Return the score with the fixed notes as they were, since tokens round velocities."""
    voices = []
    for voice, line in zip(score.voices, fixed.voices, strict=True):
        original = {note.onset_tick: note for note in line.notes}
        voices.append(Voice(tuple(original.get(note.onset_tick, note) for note in voice.notes)))
    return replace(score, voices=tuple(voices), anacrusis_ticks=fixed.anacrusis_ticks)
