"""Batches of a run: training, validation and on-policy. Each is a pure function of its seed.

A training epoch covers every token of every piece. A piece longer than a window is tiled by windows
that overlap by a random amount, the first at START, the last at END.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.terms import FAR
from bicinium.grammar.token_grammar import TokenGrammar
from bicinium.model.config import ModelConfig
from bicinium.music.form import Form
from bicinium.music.score import TICKS_PER_QUARTER, VOICES
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind
from bicinium.training.dataset import Batch, PieceDataset
from bicinium.training.live_sampler import GeneratedPiece
from bicinium.training.losses import IGNORE_INDEX
from bicinium.training.random_streams import RandomStream, stream_seed
from bicinium.training.windows import NO_MASKING, KnownSpans, Masking, Window, tile

_ALL_POSITIONS = 10**9
_SPARE_SLOTS = 3  # for notes of generated pieces that break the rule ``voices``
_NOTHING = (0, 0)
_WHOLE_VOICE, _END_OF_BOTH = 0.6, 0.85  # cumulative probabilities of the kinds of known spans
_MAX_KNOWN_BARS = 4
_WHOLE_FORM = 0.7  # probability that all of the labels, or of the closes, are shown


class TrainingBatches:
    """Training batches as a function of seed, step and rollbacks.

    process: (index, count) of this process; each takes its share of every batch.
    """

    def __init__(
        self,
        dataset: PieceDataset,
        repeats: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        grammar_positions: int,
        masking: Masking = NO_MASKING,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        self.dataset, self.repeats = dataset, repeats
        self.batch_size, self.seed, self.process = batch_size, seed, process
        self.masking, self.grammar_positions = masking, grammar_positions
        windows = -(-(dataset.lengths - 1) // dataset.config.context)
        self.steps_per_epoch = -(-int((windows * repeats).sum()) // batch_size)
        self._planned_epoch = (-1, -1)  # epoch and rollbacks of ``_plan``
        self._plan: list[Window] = []

    def batch(self, step: int, rollbacks: int = 0) -> Batch:
        """Return the batch of a step. After a rollback it is a different one."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if (epoch, rollbacks) != self._planned_epoch:
            self._planned_epoch = epoch, rollbacks
            self._plan = self.epoch_windows(epoch, rollbacks)
        windows = self._plan[index * self.batch_size : (index + 1) * self.batch_size]
        rank, processes = self.process
        windows = windows[rank::processes] or windows[:1]  # An epoch's last batch may be small.
        seed = stream_seed(self.seed, RandomStream.BATCH, step, rollbacks, rank)
        rng = np.random.default_rng(seed)
        known = None
        if p := self.masking.lookahead_probability:
            known = [draw_known_spans(rng, window, self.dataset, p) for window in windows]
        positions = -(-self.grammar_positions // processes)
        whole = [self.dataset.forms[window.piece] for window in windows]
        forms = [draw_known_form(rng, form, self.masking.form_dropout) for form in whole]
        return self.dataset.batch(
            windows, rng, self.masking.condition_dropout, positions, known, forms
        )

    def epoch_windows(self, epoch: int, rollbacks: int = 0) -> list[Window]:
        """Return all windows of an epoch in the order in which they are shown."""
        seed = stream_seed(self.seed, RandomStream.EPOCH_ORDER, epoch, rollbacks)
        rng = np.random.default_rng(seed)
        windows = [
            window
            for piece, times in enumerate(self.repeats)
            for _ in range(times)
            for window in tile(
                int(self.dataset.lengths[piece]), self.dataset.config.context, piece, rng
            )
        ]
        return [windows[i] for i in rng.permutation(len(windows))]


class ValidationBatches:
    """Every token of every piece once, each with as much context as there is."""

    def __init__(self, dataset: PieceDataset, batch_size: int) -> None:
        windows = [
            window
            for piece, length in enumerate(dataset.lengths)
            for window in tile(int(length), dataset.config.context, piece, None)
        ]
        windows.sort(key=lambda window: window.start - window.stop)  # Less padding.
        self.dataset = dataset
        self.batches = [windows[i : i + batch_size] for i in range(0, len(windows), batch_size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng(0)
        forms = [self.dataset.forms[window.piece] for window in self.batches[index]]
        return self.dataset.batch(
            self.batches[index], rng, grammar_positions=_ALL_POSITIONS, forms=forms
        )


def random_window(dataset: PieceDataset, piece: int, rng: np.random.Generator) -> Window:
    """Return one of the windows that tile a piece."""
    windows = tile(int(dataset.lengths[piece]), dataset.config.context, piece, rng)
    return windows[rng.integers(len(windows))]


def draw_known_spans(
    rng: np.random.Generator, window: Window, dataset: PieceDataset, probability: float
) -> KnownSpans:
    """Draw which notes the model sees ahead of time; with ``1 - probability``, none.

    The kinds are: a whole voice (composing a second voice to a given one), both voices from some
    barline on (filling a gap), a few bars of one voice (leading to an entry). Spans are moved so
    that no note crosses their ends.
    """
    if rng.random() >= probability:
        return _NOTHING, _NOTHING
    first = dataset.first_row[window.piece] + window.piece
    begin, end = (int(dataset.states.tick[first + place]) for place in (window.start, window.stop))
    bar_ticks = int(dataset.states.bar_ticks[first])
    barline = -(-int(rng.integers(begin, end + 1)) // bar_ticks) * bar_ticks
    voice = int(rng.integers(VOICES))
    notes = dataset.notes(window.piece)
    kind = rng.random()
    if kind < _WHOLE_VOICE:
        span = (0, FAR)
    elif kind < _END_OF_BOTH:
        return tuple((line.uncrossed(barline), FAR) for line in notes)
    else:
        bars = int(rng.integers(1, _MAX_KNOWN_BARS + 1))
        ends = barline, barline + bars * bar_ticks
        span = notes[voice].uncrossed(ends[0]), notes[voice].uncrossed(ends[1])
    return (span, _NOTHING) if voice == 0 else (_NOTHING, span)


def draw_known_form(rng: np.random.Generator, form: Form | None, dropout: float) -> Form | None:
    """Draw what the model sees of a form: with probability ``dropout`` nothing, else a share of its
    labels and a share of its closes, each share 1 or drawn.
    """
    if form is None or rng.random() < dropout:
        return None
    hidden = [0.0 if rng.random() < _WHOLE_FORM else rng.random() for _ in range(2)]
    return form.with_unknown(
        rng.random((len(form.labels), form.bars)) < hidden[0], rng.random(form.bars) < hidden[1]
    )


def on_policy_dataset(pieces: Sequence[GeneratedPiece], config: ModelConfig) -> PieceDataset:
    """Return a dataset of generated pieces, which may be ungrammatical."""
    forms = [piece.form for piece in pieces]
    return PieceDataset(pieces, config, spare_slots=_SPARE_SLOTS, forms=forms)


def on_policy_batch(
    pieces: Sequence[GeneratedPiece], config: ModelConfig, positions: int, seed: Sequence[int]
) -> Batch:
    """Return a batch with one window of each generated piece."""
    rng = np.random.default_rng(seed)
    dataset = on_policy_dataset(pieces, config)
    windows = [random_window(dataset, piece, rng) for piece in range(len(pieces))]
    return dataset.batch(windows, rng, grammar_positions=positions, forms=dataset.forms)


def batch_statistics(grammar: TokenGrammar, batch: Batch) -> dict[str, float]:
    """Return what a batch holds, for ``DataMonitor``.

    legal: share of legal targets among ``grammar_rows``; notes_per_quarter; padding: share of
    positions; style/NAME: share of windows.
    """
    targets = batch.targets.numpy()
    at_rows = targets.ravel()[batch.grammar_rows.numpy()]
    tokens = targets[targets != IGNORE_INDEX]
    kinds = KINDS[tokens]
    quarters = VALUES[tokens][kinds == Kind.TIME_SHIFT].sum() / TICKS_PER_QUARTER
    values = {
        "legal": float((grammar.broken_rules(batch.states, at_rows) < 0).mean()),
        "notes_per_quarter": float((kinds == Kind.NOTE_ON).sum() / max(1.0, quarters)),
        "padding": 1 - len(tokens) / targets.size,
    }
    styles = sorted(set(batch.styles))
    return values | {f"style/{s}": batch.styles.count(s) / len(batch.styles) for s in styles}
