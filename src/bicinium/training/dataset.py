"""Windows of pieces, as batches that are a pure function of seed and step.

An epoch covers every token of every training piece: a piece longer than a window is tiled by
windows that overlap by a random amount, the first at START, the last at END.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.shards import subsample
from bicinium.data.sources import KEYBOARD_STYLES
from bicinium.errors import BiciniumError
from bicinium.grammar import MusicalGrammar, State
from bicinium.grammar.rules import FAR
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.encode import ENDINGS, PieceConditions, encode_inputs
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.note_index import NoteIndex, index_notes
from bicinium.music.counterpoint import comes_to_rest
from bicinium.music.score import TICKS_PER_QUARTER, VOICES, Meter
from bicinium.tokenizer.vocabulary import KINDS, PAD, VALUES, Kind
from bicinium.training.losses import IGNORE_INDEX


class TokenizedPiece(Protocol):
    """A piece as tokens, and what must be known to read them."""

    @property
    def tokens(self) -> NDArray[np.int16]: ...
    @property
    def meter(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def style(self) -> str | None: ...
    @property
    def bars(self) -> int: ...
    @property
    def transposition(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens ``start`` to ``stop`` of a piece are inputs; of the targets, those from ``scored`` on
    count."""

    piece: int
    start: int
    stop: int
    scored: int


KnownSpans: TypeAlias = tuple[tuple[int, int], ...]  # of each voice, the ticks known: from, until


@dataclass(frozen=True, slots=True)
class Batch:
    """What a training step sees. ``states`` has a row for each position of ``grammar_rows``."""

    inputs: Tensor  # (B, T, F) int32
    targets: Tensor  # (B, T) int64, IGNORE_INDEX where nothing is asked
    styles: tuple[str, ...]  # of each window's piece
    states: State
    grammar_rows: Tensor  # (N,) positions in the flattened batch on which the grammar is measured


class PieceDataset:
    """Pieces as one long run of tokens, with the automaton's state after each of them.

    ``spare_slots`` is what ``MusicalGrammar.initial_state`` takes; legal pieces need none.
    ``endings`` says how each piece ends, where that is to be told (see ``endings``).
    """

    def __init__(
        self,
        pieces: Sequence[TokenizedPiece],
        config: ModelConfig,
        spare_slots: int = 0,
        endings: Sequence[str | None] | None = None,
    ) -> None:
        self.config = config
        self.styles = [piece.style or "unknown" for piece in pieces]
        self.lengths = np.array([len(piece.tokens) for piece in pieces])
        self.first_row = np.concatenate([[0], np.cumsum(self.lengths)])
        self.tokens = np.concatenate([piece.tokens for piece in pieces]).astype(np.int64)
        self.states = MusicalGrammar().states_along(
            [piece.tokens for piece in pieces],
            bar_ticks=[Meter.parse(piece.meter).bar_ticks for piece in pieces],
            bars=[piece.bars for piece in pieces],
            transposition=[piece.transposition for piece in pieces],
            spare_slots=spare_slots,
        )
        self.conditions = PieceConditions.of(
            config,
            [piece.meter for piece in pieces],
            [piece.mode for piece in pieces],
            [piece.style for piece in pieces],
            [piece.bars for piece in pieces],
            endings,
        )

    def batch(
        self,
        windows: Sequence[Window],
        rng: np.random.Generator,
        condition_dropout: float = 0.0,
        grammar_positions: int = 0,
        known: Sequence[KnownSpans] | None = None,
    ) -> Batch:
        """Put windows side by side, padded to the longest.

        known: what is told beforehand of the notes of each window's piece; None is nothing.
        """
        length = max(window.stop - window.start for window in windows)
        rows = np.zeros((len(windows), length), np.int64)
        real = np.zeros((len(windows), length), np.bool_)
        targets = np.full((len(windows), length), IGNORE_INDEX, np.int64)
        for index, window in enumerate(windows):
            size = window.stop - window.start
            first = self.first_row[window.piece] + window.start
            rows[index, :size] = np.arange(first, first + size)
            real[index, :size] = True
            scored = slice(window.scored - window.start, size)
            targets[index, scored] = self.tokens[first + 1 : first + size + 1][scored]
        flat = rows.ravel()
        piece = np.repeat([window.piece for window in windows], length)
        keep = rng.random((len(fields(PieceConditions)), len(windows))) >= condition_dropout
        told = np.repeat(keep, length, axis=1)
        conditions = PieceConditions(
            *(
                np.where(told[index], column[piece], 0).astype(np.int32)
                for index, column in enumerate(
                    getattr(self.conditions, field.name) for field in fields(PieceConditions)
                )
            )
        )
        states = self.states.take(flat + piece + 1)  # a piece of T tokens has T + 1 states
        tokens = np.where(real.ravel(), self.tokens[flat], PAD)
        foresight = self._foresight(piece, known) if known and self.config.lookahead else None
        past = BarLag(self.lines, piece)
        seen = encode_inputs(
            self.config, states, tokens.astype(np.int32), conditions, past, foresight
        )
        asked = np.flatnonzero(targets.ravel() != IGNORE_INDEX)
        chosen = np.sort(rng.choice(asked, min(grammar_positions, len(asked)), replace=False))
        return Batch(
            inputs=torch.from_numpy(seen.reshape(len(windows), length, -1)),
            targets=torch.from_numpy(targets),
            styles=tuple(self.styles[window.piece] for window in windows),
            states=states.take(chosen),
            grammar_rows=torch.from_numpy(chosen),
        )

    def _foresight(self, piece: NDArray[np.int64], known: Sequence[KnownSpans]) -> Lookahead:
        """For each position of a batch; ``piece`` (N,) is the piece it is in."""
        stretches = np.array(known, np.int64)  # (B, voices, 2)
        at = np.repeat(stretches, len(piece) // len(known), axis=0)
        return Lookahead(self.lines, piece, at[..., 0], at[..., 1])

    @cached_property
    def lines(self) -> NoteIndex:
        """The notes of the pieces; each ends where in its voice one ends, or with its piece."""
        return index_notes(self.tokens, self.lengths, self.states)


def endings(pieces: Sequence[PieceRecord]) -> list[str | None]:
    """Of each piece, whether it comes to rest on its tonic; parts of longer ones often do not.

    None where it spells no score, which pieces do that are shown unfiltered.
    """
    return [_ending(piece) for piece in pieces]


def _ending(piece: PieceRecord) -> str | None:
    try:
        score = score_of(piece)
    except BiciniumError:
        return None
    return ENDINGS[comes_to_rest(score, score.key)] if score.key else None


def draw_known_spans(
    rng: np.random.Generator, window: Window, store: PieceDataset, share: float
) -> KnownSpans:
    """What is told beforehand of the notes of a window's piece: most often nothing.

    With probability ``share`` one of: a whole voice (as when the other is to be written under or
    above it), both voices from some barline on (a gap to be filled), a few bars of one voice (an
    entry that is to come). No note crosses the limits: they are moved to where none does.
    """
    nothing = (0, 0)
    if rng.random() >= share:
        return nothing, nothing
    first = store.first_row[window.piece] + window.piece
    begin, end = (int(store.states.tick[first + place]) for place in (window.start, window.stop))
    bar = int(store.states.bar_ticks[first])
    barline = -(-int(rng.integers(begin, end + 1)) // bar) * bar
    voice = int(rng.integers(VOICES))
    case = rng.random()
    if case < 0.6:
        stretch = (0, FAR)
    elif case < 0.85:
        until = (barline, FAR)
        return tuple(store.lines.note_bounds(window.piece, v, until) for v in range(VOICES))
    else:
        stretch = store.lines.note_bounds(
            window.piece, voice, (barline, barline + int(rng.integers(1, 5)) * bar)
        )
    return (stretch, nothing) if voice == 0 else (nothing, stretch)


def tile(length: int, context: int, piece: int, rng: np.random.Generator | None) -> list[Window]:
    """Windows of at most ``context`` inputs that together ask for each token after START.

    With ``rng``, overlaps are random and asked for twice; without, each token is asked for once.
    """
    inputs = length - 1
    count = max(1, -(-inputs // context))
    starts = np.zeros(count, np.int64)
    if count > 1:
        slack = count * context - inputs
        if rng is None:
            cuts = np.linspace(0, slack, count).astype(np.int64)
        else:
            cuts = np.sort(np.concatenate([[0, slack], rng.integers(0, slack + 1, count - 2)]))
        starts = np.arange(count) * context - cuts
    stops = np.minimum(starts + context, inputs)
    scored = starts if rng is not None else np.concatenate([[0], stops[:-1]])
    return [
        Window(piece, int(a), int(b), int(c)) for a, b, c in zip(starts, stops, scored, strict=True)
    ]


def piece_repeats(pieces: Sequence[PieceRecord], of_keyboard: int) -> NDArray[np.int64]:
    """(P,) how often an epoch shows each: keyboard music so often, the other once."""
    return np.array([of_keyboard if piece.style in KEYBOARD_STYLES else 1 for piece in pieces])


class TrainingBatches:
    """The batches of a run: a function of seed, step and rollbacks, whatever came before.

    process: (number, of how many); each takes its share of every batch.
    """

    def __init__(
        self,
        store: PieceDataset,
        repeats: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        condition_dropout: float,
        grammar_positions: int,
        lookahead_probability: float = 0.0,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        self.store, self.repeats = store, repeats
        self.batch_size, self.seed, self.process = batch_size, seed, process
        self.condition_dropout, self.grammar_positions = condition_dropout, grammar_positions
        self.lookahead_probability = lookahead_probability
        windows = -(-(store.lengths - 1) // store.config.context)
        self.steps_per_epoch = -(-int((windows * repeats).sum()) // batch_size)
        self._epoch = (-1, -1)
        self._plan: list[Window] = []

    def batch(self, step: int, rollbacks: int = 0) -> Batch:
        """What the step shows; after a rollback, something else than before."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if (epoch, rollbacks) != self._epoch:
            self._epoch = epoch, rollbacks
            self._plan = self.epoch_windows(epoch, rollbacks)
        windows = self._plan[index * self.batch_size : (index + 1) * self.batch_size]
        rank, processes = self.process
        windows = windows[rank::processes] or windows[:1]  # an epoch's last batch may be small
        rng = np.random.default_rng([self.seed, 1, step, rollbacks, rank])
        share = self.lookahead_probability
        return self.store.batch(
            windows,
            rng,
            self.condition_dropout,
            -(-self.grammar_positions // processes),
            [draw_known_spans(rng, window, self.store, share) for window in windows]
            if share
            else None,
        )

    def epoch_windows(self, epoch: int, rollbacks: int = 0) -> list[Window]:
        """All windows of an epoch in the order in which they are shown."""
        rng = np.random.default_rng([self.seed, 0, epoch, rollbacks])
        windows = [
            window
            for piece, times in enumerate(self.repeats)
            for _ in range(times)
            for window in tile(
                int(self.store.lengths[piece]), self.store.config.context, piece, rng
            )
        ]
        return [windows[i] for i in rng.permutation(len(windows))]


class ValidationBatches:
    """Every token of every piece once, each with as much context as there is."""

    def __init__(self, store: PieceDataset, batch_size: int) -> None:
        windows = [
            window
            for piece, length in enumerate(store.lengths)
            for window in tile(int(length), store.config.context, piece, None)
        ]
        windows.sort(key=lambda window: window.start - window.stop)  # alike in length: less padding
        self.store = store
        self.batches = [windows[i : i + batch_size] for i in range(0, len(windows), batch_size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng(0)
        return self.store.batch(self.batches[index], rng, grammar_positions=10**9)


def random_window(store: PieceDataset, piece: int, rng: np.random.Generator) -> Window:
    """One of those that tile a piece."""
    windows = tile(int(store.lengths[piece]), store.config.context, piece, rng)
    return windows[rng.integers(len(windows))]


def on_policy_batch(
    pieces: Sequence[TokenizedPiece], config: ModelConfig, positions: int, seed: Sequence[int]
) -> Batch:
    """A window of each of the model's own pieces, which may be ungrammatical."""
    rng = np.random.default_rng(seed)
    store = PieceDataset(pieces, config, spare_slots=3)
    windows = [random_window(store, piece, rng) for piece in range(len(pieces))]
    return store.batch(windows, rng, grammar_positions=positions)


def batch_statistics(grammar: MusicalGrammar, batch: Batch) -> dict[str, float]:
    """What a batch holds, to be watched.

    The share of its targets that are legal (of ``grammar_rows``), notes a quarter, padding, and the
    share of windows of each style.
    """
    targets = batch.targets.numpy()
    rows = batch.grammar_rows.numpy()
    asked = targets.ravel()[rows]
    tokens = targets[targets != IGNORE_INDEX]
    kinds = KINDS[tokens]
    quarters = VALUES[tokens][kinds == Kind.TIME_SHIFT].sum() / TICKS_PER_QUARTER
    contents = {
        "legal": float((grammar.broken_rule(batch.states, asked) < 0).mean()),
        "notes_per_quarter": float((kinds == Kind.NOTE_ON).sum() / max(1.0, quarters)),
        "padding": 1 - len(tokens) / targets.size,
    }
    styles = sorted(set(batch.styles))
    return contents | {f"style/{s}": batch.styles.count(s) / len(batch.styles) for s in styles}


def validation_sets(
    pieces: Sequence[PieceRecord], other_tokens: int
) -> dict[str, list[PieceRecord]]:
    """The validation pieces: all for keyboard, and of the others up to so many tokens, evenly."""
    held_out = [piece for piece in pieces if piece.split == "validation"]
    keyboard = [piece for piece in held_out if piece.style in KEYBOARD_STYLES]
    others = [piece for piece in held_out if piece.style not in KEYBOARD_STYLES]
    sets = {"keyboard": keyboard, "other": subsample(others, other_tokens)}
    return {name: chosen for name, chosen in sets.items() if chosen}
