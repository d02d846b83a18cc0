"""The composer: conditions in, pieces out.

All pieces of a batch are composed in step, one token each at a time: the decoder gives logits, the
grammar a mask, the constraints their opinion, ``sampling`` a token. Each piece has its own random
numbers, so its notes do not depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bicinium.data.sources import KEYBOARD_STYLES
from bicinium.errors import CancelledError, RequestError, ScoreError
from bicinium.generation.acceptance import (
    NOTHING_FOLLOWS,
    OTHER_KEY,
    PITIES,
    why_drawn_again,
)
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.families import CadencePlan
from bicinium.generation.constraints.processor import ConstraintProcessor
from bicinium.generation.fixed_notes import FixedNotes, FixedNotesBatch
from bicinium.generation.guidance import GuidedDecoder
from bicinium.generation.motif_bias import apply_motif_bias
from bicinium.generation.processes import available_cores, run_in_processes
from bicinium.generation.sampling import Sampling, draw, penalise, probabilities
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator, State
from bicinium.grammar.rules import Stage
from bicinium.model.checkpoint import Checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.encode import AT_REST, PieceConditions, encode_inputs
from bicinium.model.inputs.note_index import GrowingNoteIndex
from bicinium.music.score import TICKS_PER_QUARTER, VOICES, Score, Voice
from bicinium.tokenizer.codec import decode
from bicinium.tokenizer.vocabulary import (
    END,
    KINDS,
    PAD,
    START,
    VALUES,
    Kind,
    bin_tempo_qpm,
    bin_velocity,
    tempo_bin,
    token_id,
)

# See docs/log.md.
DEFAULT_SAMPLING = Sampling(temperature=1.0, top_p=0.99, guidance=None, motif_strength=None)
_BATCH = 64  # pieces that a process composes at once; more gain little and cost memory
_MOST_AT_ONCE = 192  # pieces, by all processes: in double precision, guided, up to 4 GB
_MAX_TOKENS_PER_QUARTER = 96  # far above what two voices need
_MAX_TOKENS_A_NOTE = 8  # VELOCITY, NOTE_ON, TIME_SHIFTs, PARTs, NOTE_OFF
_HEADER_TOKENS = 64
_MOST_DRAWS = 8
_DRAWN_AHEAD = 8  # at once, where few are drawn again: as many take hardly longer than one
_FEWEST_A_PROCESS = 4  # pieces
_FEWEST_BARS_A_PROCESS = 64  # of them all; a second is lost by beginning a process
_ON_DOWNBEAT = 0.65  # of the pieces in metres that have a middle close there (docs/log.md)
_TONIC_ABOVE = 0.85  # of the pieces close so, if their upper voice begins a note then
_DIES_AWAY = 0.65  # of the pieces may do so; where they close in the middle, there is no more time
_FEWEST_BARS = 3  # that are all the model's, to lead to a close of a certain kind
_KEYBOARD_GUIDANCE, _KEYBOARD_RECURRENCE = 1.5, 1.0  # where nothing is asked (docs/log.md)
_REMEMBERED = 16  # NOTE_ONs that the repetition penalty looks back on
_NONE = -1
_HOME = "C major or A minor"

ProgressCallback = Callable[[int, int], None]  # pieces done, pieces in all
Tokens = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """How a batch is drawn. ``cancelled`` is asked all the time.

    candidates: so many conditions running are for one piece, of which the best is wanted. What
        cannot be had at once is then drawn again only as long as the piece has no candidate.
    slips: without the grammar, the share of tokens that are drawn, on purpose, from what the
        grammar forbids, and of notes that are of any pitch; for a model that is to learn to go on
        after a slip, and where it would not have gone.
    """

    sampling: Sampling = DEFAULT_SAMPLING
    use_grammar: bool = True
    constraints: Constraints | None = None
    max_tokens: int | None = None  # of each piece; None is more than any needs
    candidates: int = 1
    slips: float = 0.0
    cancelled: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A piece is being drawn for the ``draw``-th time, and ``bars`` of ``all_bars`` are written."""

    seed: int
    draw: int
    bars: int
    all_bars: int


@dataclass(frozen=True, slots=True)
class NoteEvent:
    """A note begins or ends, as it is composed. ``second`` counts from the piece's beginning."""

    tick: int
    second: float
    voice: int
    pitch: int
    velocity: int  # 0 where the note ends

    @property
    def begins(self) -> bool:
        return self.velocity > 0


class Composer:
    """A loaded model, ready to compose. ``grammar`` None is the default grammar."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        grammar: MusicalGrammar | None = None,
        dtype: type[np.floating] = np.float64,
    ) -> None:
        self._checkpoint: Checkpoint | None = checkpoint  # what other processes make a composer of
        self.config, self.model = checkpoint.config, checkpoint.name
        self.styles = checkpoint.styles
        self.decoder = Decoder(checkpoint.config, checkpoint.weights, dtype)
        self.grammar = grammar or MusicalGrammar()
        self.validator = MusicalGrammarValidator(self.grammar)
        self._libraries = ThreadpoolController()

    def with_grammar(self, grammar: MusicalGrammar) -> Composer:
        """The same model under another grammar."""
        other = copy(self)
        other.grammar, other.validator = grammar, MusicalGrammarValidator(grammar)
        return other

    def with_decoder(self, decoder: Decoder) -> Composer:
        """With another in the place of the model's, which works in this process alone."""
        other = copy(self)
        other.decoder, other._checkpoint = decoder, None
        return other

    def compose(
        self,
        conditions: Sequence[Conditions],
        seeds: Sequence[int],
        sampling: Sampling = DEFAULT_SAMPLING,
        use_grammar: bool = True,
        progress: ProgressCallback | None = None,
        constraints: Constraints | None = None,
        accept: Callable[[Score, Conditions], str] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Composition]:
        """One piece for each of the conditions, drawn with the seed of the same place.

        As ``attempt``, but RequestError where a piece cannot be had. constraints: None is none.
        cancelled: asked all the time; True ends it with CancelledError.
        """
        manner = GenerationConfig(sampling, use_grammar, constraints, cancelled=cancelled)
        pieces, reasons = self.attempt(conditions, seeds, manner, progress, accept)
        for i, why in reasons.items():
            raise RequestError(not_to_be_had(seeds[i], why))
        return [pieces[i] for i in range(len(conditions))]

    def attempt(
        self,
        conditions: Sequence[Conditions],
        seeds: Sequence[int],
        manner: GenerationConfig,
        progress: ProgressCallback | None = None,
        accept: Callable[[Score, Conditions], str] | None = None,
    ) -> tuple[dict[int, Composition], dict[int, str]]:
        """The pieces that can be had, and of the others why not, by their places in ``conditions``.

        With the grammar, every piece is valid, and is drawn again (up to 8 times; ``draws`` says
        how often) where the constraints leave no token or one at full strength is broken after
        all, and where ``accept`` gives a reason against its score; where nothing is given also if
        a voice plays in less than half of the bars or rests for more than five running, if nothing
        sounds in the first bar, if a bar comes more than twice running, or in the upper voice one
        of four notes or more, or, under constraints, if a voice lies where none does, melodies come
        again less or more than they do, another key is heard than was asked for or, at a tempo of
        the model's own, a voice has more than 12 notes a second in a bar; but if that does not help
        either, such a piece is kept. Without the grammar, what the model says is kept as it is,
        right or wrong.
        """
        pieces: dict[int, Composition] = {}
        reasons: dict[int, str] = {}
        for i, told in self.follow(conditions, seeds, manner, progress, accept):
            if isinstance(told, Composition):
                pieces[i] = told
            elif isinstance(told, str):
                reasons[i] = told
        return pieces, reasons

    def follow(
        self,
        conditions: Sequence[Conditions],
        seeds: Sequence[int],
        manner: GenerationConfig,
        progress: ProgressCallback | None = None,
        accept: Callable[[Score, Conditions], str] | None = None,
    ) -> Iterator[tuple[int, Progress | Composition | str]]:
        """As ``attempt``, while it goes on: the place in ``conditions`` of a piece, and how far it
        is, whenever a bar more is written; the piece, as soon as it can be had; or why it cannot.

        BLAS has one thread until the iterator is exhausted or closed.
        """
        if len(seeds) != len(conditions):
            raise RequestError(f"{len(conditions)} pieces need as many seeds, not {len(seeds)}")
        for asked in conditions:
            asked.check(self.config.meters, self.styles)
            if asked.fixed_notes and not manner.use_grammar:
                raise RequestError("given notes can only be kept with the grammar: leave it on")
        say = progress or (lambda done, total: None)
        kept: dict[int, Composition] = {}  # a pity, but a piece
        against: dict[int, str] = {}
        waiting = set(range(len(conditions)))
        settled = set[int]()  # the pieces that have a candidate
        most, first = _MOST_DRAWS if manner.use_grammar else 1, 0
        while waiting and first < most:
            ahead = _DRAWN_AHEAD // len(waiting) if first and manner.candidates == 1 else 1
            at_once = min(max(1, ahead), most - first)
            draws = [(i, first + more) for more in range(at_once) for i in sorted(waiting)]
            rngs = [np.random.default_rng([seeds[i], draw]) for i, draw in draws]
            drawing = self._draw_on_all_cores([conditions[i] for i, _ in draws], rngs, manner)
            with closing(drawing):
                for i, draw, told in _in_order(draws, drawing):
                    if i not in waiting:
                        continue
                    if isinstance(told, int):
                        yield i, Progress(seeds[i], draw + 1, told, conditions[i].bars)
                        continue
                    piece = self._finish(conditions[i], seeds[i], told, draw + 1)
                    why = why_drawn_again(piece, manner.constraints, accept)
                    if why and manner.use_grammar:
                        against[i] = why
                        if why == OTHER_KEY or (why in PITIES and i not in kept):
                            kept[i] = piece
                        continue
                    waiting.remove(i)
                    settled.add(i // manner.candidates)
                    say(len(conditions) - len(waiting), len(conditions))
                    yield i, piece
                    if not waiting:
                        break
            first += at_once
            for i in [i for i in sorted(waiting) if i // manner.candidates in settled]:
                waiting.remove(i)
                say(len(conditions) - len(waiting), len(conditions))
                yield i, against[i]
        for done, i in enumerate(sorted(waiting), len(conditions) - len(waiting) + 1):
            say(done, len(conditions))
            yield i, replace(kept[i], draws=_MOST_DRAWS) if i in kept else against[i]

    def _draw_on_all_cores(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        manner: GenerationConfig,
    ) -> Generator[tuple[int, int | Tokens]]:
        """``_write`` of any number of pieces. Where there is much to draw, it is shared out to
        processes, and pieces come without numbers of bars. What is drawn does not depend on that.
        """
        count, bars = len(conditions), sum(asked.bars for asked in conditions)
        worth = min(count // _FEWEST_A_PROCESS, bars // _FEWEST_BARS_A_PROCESS)
        processes = max(1, min(available_cores(), worth)) if self._checkpoint else 1
        most = min(_BATCH, max(_FEWEST_A_PROCESS, _MOST_AT_ONCE // processes))
        batches = -(-count // (most * processes)) * processes
        ends = np.linspace(0, count, batches + 1).astype(int).tolist()
        slices = [slice(first, end) for first, end in pairwise(ends)]
        if processes > 1:
            alone = replace(manner, cancelled=None)  # it is asked here
            composer = (self._checkpoint, self.grammar, self.decoder.dtype)
            shares = [(composer, conditions[some], rngs[some], alone) for some in slices]
            for batch, pieces in run_in_processes(processes, _draw, shares, manner.cancelled):
                yield from enumerate(pieces, slices[batch].start)
            return
        with self._one_thread_of_blas():
            for some in slices:
                for place, told in self._write(conditions[some], rngs[some], manner):
                    yield some.start + place, told

    def draw(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        manner: GenerationConfig = GenerationConfig(),
    ) -> list[Tokens]:
        """The tokens of each piece, START included, as they are drawn.

        Without the grammar, a piece that has come to ``max_tokens`` just stops; with it, so does
        one for which the constraints leave no token.
        """
        with self._one_thread_of_blas():
            written = self._write(conditions, rngs, manner)
            pieces = {row: told for row, told in written if not isinstance(told, int)}
        return [pieces[row] for row in range(len(conditions))]

    def _write(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        manner: GenerationConfig,
    ) -> Generator[tuple[int, int | Tokens]]:
        """Of each piece, by its place: how many bars are written, whenever it is one more; and its
        tokens, as soon as it is at its end.
        """
        pieces = [[START] for _ in conditions]
        ticks = [0] * len(conditions)
        going = np.arange(len(conditions))
        for rows, tokens in self._steps(conditions, rngs, manner):
            if len(rows) < len(going):
                for row in np.setdiff1d(going, rows).tolist():
                    yield row, np.array(pieces[row], np.int16)
                going = rows
            for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
                pieces[row].append(token)
                if KINDS[token] == Kind.TIME_SHIFT:
                    bar, before = conditions[row].meter.bar_ticks, ticks[row]
                    ticks[row] += int(VALUES[token])
                    if ticks[row] // bar > before // bar:
                        yield row, ticks[row] // bar
        for row in going.tolist():
            yield row, np.array(pieces[row], np.int16)

    def _one_thread_of_blas(self) -> AbstractContextManager[object]:
        """A second thread of BLAS gains nothing in such small products, and beside another busy
        program makes composing ten times slower (docs/log.md).
        """
        return self._libraries.limit(limits=1, user_api="blas")

    def stream(
        self,
        conditions: Conditions,
        seed: int,
        sampling: Sampling = DEFAULT_SAMPLING,
        constraints: Constraints | None = None,
    ) -> Iterator[NoteEvent]:
        """One piece, its notes as they are made, for who plays them at once.

        It is the first draw of that seed, whatever it is like; where the constraints leave no note
        that could follow, it ends with RequestError. BLAS has one thread until the iterator is
        exhausted or closed.
        """
        conditions.check(self.config.meters, self.styles)
        return self._events(conditions, seed, GenerationConfig(sampling, constraints=constraints))

    def _events(
        self, conditions: Conditions, seed: int, manner: GenerationConfig
    ) -> Iterator[NoteEvent]:
        away = -conditions.key.semitones_to_reference
        qpm = conditions.tempo_qpm or 120.0
        tick = part = velocity = 0
        lines = conditions.fixed_notes.score.voices if conditions.fixed_notes else ()
        fixed_notes = {
            (i, n.onset_tick): n.velocity for i, line in enumerate(lines) for n in line.notes
        }
        steps = self._steps([conditions], [np.random.default_rng([seed, 0])], manner)
        last = START
        with self._one_thread_of_blas():
            for _, tokens in steps:
                last, value = int(tokens[0]), int(VALUES[tokens[0]])
                second = tick * 60 / (TICKS_PER_QUARTER * qpm)
                match Kind(KINDS[tokens[0]]):
                    case Kind.TEMPO:
                        qpm = conditions.tempo_qpm or bin_tempo_qpm(value)
                    case Kind.TIME_SHIFT:
                        tick += value
                    case Kind.PART:
                        part = value
                    case Kind.VELOCITY:
                        velocity = int(bin_velocity(value))
                    case Kind.NOTE_ON:
                        loudness = fixed_notes.get((part, tick), velocity)
                        yield NoteEvent(tick, second, part, value + away, loudness)
                    case Kind.NOTE_OFF:
                        yield NoteEvent(tick, second, part, value + away, 0)
        if last != END:
            bar = tick // conditions.meter.bar_ticks + 1
            raise RequestError(f"in bar {bar} {NOTHING_FOLLOWS}; loosen one, or take another seed")

    def _steps(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        manner: GenerationConfig,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Each step of a batch: which pieces are not finished, and the token each has drawn."""
        fixed_notes = FixedNotesBatch(_at_home(conditions))
        state = self.grammar.initial_state(
            len(conditions),
            bar_ticks=[asked.meter.bar_ticks for asked in conditions],
            bars=[asked.bars for asked in conditions],
            max_tokens=[manner.max_tokens or _budget(asked) for asked in conditions],
            transposition=[-asked.key.semitones_to_reference for asked in conditions],
            spare_slots=0 if manner.use_grammar else 3,
        )
        told = PieceConditions.of(
            self.config,
            [str(asked.meter) for asked in conditions],
            [asked.key.mode for asked in conditions],
            [asked.style for asked in conditions],
            [asked.bars for asked in conditions],
            [_ending(asked, manner.constraints) for asked in conditions],
        )
        watch = None
        if manner.constraints and manner.use_grammar:
            ranges = [self.grammar.config.range_of(part) for part in range(VOICES)]
            closings = [
                _closing(asked, manner.constraints, rng)
                for asked, rng in zip(conditions, rngs, strict=True)
            ]
            watch = ConstraintProcessor(
                manner.constraints, conditions, fixed_notes, ranges, closings
            )
        tempi = np.array([_tempo_token(asked) for asked in conditions])
        penalty, temperature = manner.sampling.repetition_penalty, manner.sampling.temperature
        recent = np.full((len(conditions), _REMEMBERED), _NONE)  # NOTE_ONs
        rows = np.arange(len(conditions))  # the pieces that are not finished
        tokens = np.full(len(rows), START, np.int64)
        lines = GrowingNoteIndex(len(conditions))
        needs = [_as_style_needs(asked, manner.sampling) for asked in conditions]
        guidance, leaning = np.array(needs).T
        decoder = GuidedDecoder(self.decoder, guidance)
        while True:
            if manner.cancelled and manner.cancelled():
                raise CancelledError("composing was stopped")
            self.grammar.advance(state, tokens)
            lines.update(state, rows, tokens)
            if watch:
                watch.hear(state, rows, tokens)
            over = self.grammar.ended(state) | (state.tokens_left <= 0)
            allowed = weights = None
            if manner.use_grammar:
                allowed, weights = self._allowed(state, rows, fixed_notes, watch)
                over |= ~allowed.any(axis=1)
            if over.any():
                going = np.flatnonzero(~over)
                if not len(going):
                    return
                rows, tokens, state, told = (
                    rows[going], tokens[going], state.take(going), told.take(going)
                )  # fmt: skip
                allowed = None if allowed is None else allowed[going]
                weights = None if weights is None else weights[going]
                decoder.keep(going)
            past = BarLag(lines, rows)
            foresight = fixed_notes.foresight(rows) if fixed_notes.anything else None
            logits = decoder.step(
                encode_inputs(self.config, state, tokens.astype(np.int32), told, past, foresight)
            )
            if weights is not None:
                logits = logits + weights * temperature  # whatever that is
            if leaning.any():
                logits = temperature * apply_motif_bias(
                    logits / temperature, allowed, state, past, leaning[rows]
                )
            if penalty:
                logits = penalise(logits, recent[rows], penalty)
            if manner.slips:
                of_rows = [rngs[row] for row in rows.tolist()]
                logits, allowed = self._led_astray(logits, state, of_rows, manner.slips)
            uniform = np.array([rngs[row].random() for row in rows.tolist()])
            tokens = draw(probabilities(logits, allowed, manner.sampling), uniform)
            if state.stage[0] == Stage.BEFORE_TEMPO:
                tokens = np.where(tempi[rows] != PAD, tempi[rows], tokens)
            if penalty:
                begins = KINDS[tokens] == Kind.NOTE_ON
                recent[rows[begins]] = np.roll(recent[rows[begins]], -1, axis=1)
                recent[rows[begins], -1] = tokens[begins]
            yield rows, tokens

    def _allowed(
        self,
        state: State,
        rows: NDArray[np.int64],
        fixed_notes: FixedNotesBatch,
        watch: ConstraintProcessor | None,
    ) -> tuple[NDArray[np.bool_], NDArray[np.floating] | None]:
        """(N, 774) which tokens may come next, and what the constraints add to the logits."""
        allowed = self.grammar.token_mask(state)
        if fixed_notes.anything:
            allowed &= ~fixed_notes.forbidden(state, rows)
        if watch is None:
            return allowed, None
        forbidden, weights = watch.judge(state, rows)
        if forbidden is not None:
            allowed &= ~forbidden
        return allowed, weights

    def _led_astray(
        self,
        logits: NDArray[np.floating],
        state: State,
        rngs: Sequence[np.random.Generator],
        share: float,
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """(N, 774) logits and what may be drawn: in ``share`` of the rows what is forbidden, as the
        model weighs it, and in ``share`` of those where a note may begin a note of any pitch.
        """
        slip, stray = np.array([rng.random(2) < share for rng in rngs]).T[:, :, None]
        forbidden = self.grammar.forbidden(state)
        begins = ~forbidden & (KINDS == Kind.NOTE_ON)
        slip = slip & forbidden.any(axis=1, keepdims=True)
        stray = stray & ~slip & begins.any(axis=1, keepdims=True)
        allowed = np.where(slip, forbidden, np.where(stray, begins, True))
        return np.where(stray, 0, logits), allowed

    def _finish(self, asked: Conditions, seed: int, tokens: Tokens, draws: int) -> Composition:
        away = -asked.key.semitones_to_reference
        result = self.validator.validate_sequence(tokens, asked.meter, asked.bars, away)
        score: Score | None = None
        if result.valid:
            score = decode(tokens, asked.meter, asked.key.transpose(-away)).transpose(away)
            score = replace(
                score,
                tempo_qpm=float(asked.tempo_qpm or score.tempo_qpm),
                title=f"Bicinium in {asked.key.display_name}",
                composer="bicinium",
            )
            if asked.fixed_notes:
                score = _with_given(score, asked.fixed_notes)
        return Composition(asked, seed, tokens, result, score, draws, self.model)


def _in_order(
    draws: Sequence[tuple[int, int]], drawing: Iterator[tuple[int, int | Tokens]]
) -> Iterator[tuple[int, int, int | Tokens]]:
    """Piece, draw, and what ``drawing`` tells of it, by its place in ``draws``; of a later draw of
    a piece nothing before its earlier ones are done.
    """
    due = dict(reversed(draws))  # the first of each piece
    done: dict[tuple[int, int], Tokens] = {}
    for place, told in drawing:
        i, draw = draws[place]
        if isinstance(told, int):
            if draw == due[i]:
                yield i, draw, told
            continue
        done[i, draw] = told
        while (i, due[i]) in done:
            yield i, due[i], done.pop((i, due[i]))
            due[i] += 1


def _ending(asked: Conditions, constraints: Constraints | None) -> str | None:
    """How the model is told that a piece ends: at rest, where it is to close and nothing else is
    given.
    """
    last = asked.bars * asked.meter.bar_ticks - 1
    fixed_notes = asked.fixed_notes.fixed if asked.fixed_notes else ()
    is_given = any(begin <= last < until for voice in fixed_notes for begin, until in voice)
    return AT_REST if constraints and constraints.close and not is_given else None


def _as_style_needs(asked: Conditions, sampling: Sampling) -> tuple[float, float]:
    """Guidance and recurrence. By itself the model keeps to every style but those of keyboard
    music, of which it has learned much by heart.
    """
    keyboard = asked.style in KEYBOARD_STYLES
    guidance, motif_strength = sampling.guidance, sampling.motif_strength
    return (
        (_KEYBOARD_GUIDANCE if keyboard else 1.0) if guidance is None else guidance,
        (_KEYBOARD_RECURRENCE if keyboard else 0.0) if motif_strength is None else motif_strength,
    )


def _closing(asked: Conditions, constraints: Constraints, rng: np.random.Generator) -> CadencePlan:
    """How a piece that is to close does so: most on the last downbeat, from the dominant, with the
    tonic above, others not. Does not use up random numbers of ``rng``.
    """
    last_bars = (asked.bars - _FEWEST_BARS) * asked.meter.bar_ticks
    fixed_notes = asked.fixed_notes.fixed if asked.fixed_notes else ()
    if last_bars < 0 or any(until > last_bars for voice in fixed_notes for _, until in voice):
        return CadencePlan()
    early, authentic, tonic, away = rng.spawn(1)[0].random(4)
    beats = asked.meter.bar_ticks // asked.meter.beat_ticks
    return CadencePlan(
        on_downbeat=beats % 2 == 1 or early < _ON_DOWNBEAT,
        # whose notes may have to end where those of ``rhythm`` may not
        from_dominant=authentic < constraints.authentic and not constraints.forbids("rhythm"),
        tonic_above=tonic < _TONIC_ABOVE,
        dies_away=away < _DIES_AWAY,
    )


def _draw(
    composer: tuple[Checkpoint, MusicalGrammar, type[np.floating]],
    conditions: Sequence[Conditions],
    rngs: Sequence[np.random.Generator],
    manner: GenerationConfig,
) -> list[Tokens]:
    """``Composer.draw`` in a process that has none yet."""
    return Composer(*composer).draw(conditions, rngs, manner)


def not_to_be_had(seed: int, why: str) -> str:
    """The sentence for a piece that was drawn in vain."""
    return (
        f"with seed {seed} no piece could be had in {_MOST_DRAWS} draws: {why}; loosen what is "
        "asked, or take another seed"
    )


def _at_home(conditions: Sequence[Conditions]) -> list[FixedNotes | None]:
    """What is given of each piece in the key that the tokens are in; the same, of the same."""
    moved: dict[tuple[int, int], FixedNotes] = {}
    for asked in conditions:
        semitones = asked.key.semitones_to_reference
        if asked.fixed_notes is None or (id(asked.fixed_notes), semitones) in moved:
            continue
        try:
            score = asked.fixed_notes.score.transpose(semitones)
        except ScoreError as error:
            raise RequestError(
                f"what is given does not fit on the keyboard when it is written in {_HOME}: "
                f"{error}; name a key nearer to that"
            ) from error
        moved[id(asked.fixed_notes), semitones] = replace(asked.fixed_notes, score=score)
    return [
        moved[id(asked.fixed_notes), asked.key.semitones_to_reference]
        if asked.fixed_notes
        else None
        for asked in conditions
    ]


def _with_given(score: Score, fixed_notes: FixedNotes) -> Score:
    """The given notes as they were, velocities too: tokens know only classes of these."""
    voices = []
    for voice, line in zip(score.voices, fixed_notes.score.voices, strict=True):
        original = {note.onset_tick: note for note in line.notes}
        voices.append(Voice(tuple(original.get(note.onset_tick, note) for note in voice.notes)))
    return replace(score, voices=tuple(voices), anacrusis_ticks=fixed_notes.score.anacrusis_ticks)


def _budget(asked: Conditions) -> int:
    """Tokens, far more than any piece of that length needs."""
    quarters = -(-asked.bars * asked.meter.bar_ticks // TICKS_PER_QUARTER)
    fixed_notes = asked.fixed_notes.score.note_count if asked.fixed_notes else 0
    return _HEADER_TOKENS + _MAX_TOKENS_PER_QUARTER * quarters + _MAX_TOKENS_A_NOTE * fixed_notes


def _tempo_token(asked: Conditions) -> int:
    return token_id(Kind.TEMPO, tempo_bin(asked.tempo_qpm)) if asked.tempo_qpm else PAD
