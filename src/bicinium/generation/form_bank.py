"""The form bank: forms of the training set, from which a new piece takes its own.

A composer decides what returns before writing notes. A new piece takes the form of a piece of the
training set in the same style and metre, without its notes: which bars return and how, and where
phrases close. Of a longer piece it takes the beginning and the last bars. What a Markov chain over
labels draws instead has twice as many bars of one or two notes and fewer returns after four and
eight bars, since it does not know what kind of piece it is in (docs/log.md).

The bank lies beside the weights of a model.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bicinium.atomic_write import atomic_write
from bicinium.errors import CheckpointError, ScoreError
from bicinium.music.form import BarKind, BarLabel, Close, Form, bar_label
from bicinium.music.score import VOICES, Meter

MAX_FORMS = 400  # of a style
MIN_FORMS = 8  # to choose from; with fewer in a style and metre, others are added
CODA_BARS = 4  # taken from the end of a longer piece
_MAX_BARS = 256
_MAX_SILENT = 0.25  # share of the bars of a voice
_FORMAT = 1  # of the file


@dataclass(frozen=True, slots=True)
class FormBank:
    """Forms of N pieces, one after another in columns, with a row for each bar."""

    styles: NDArray[np.str_]  # (N,), "" if it is unknown
    meters: NDArray[np.str_]  # (N,)
    bars: NDArray[np.int32]  # (N,)
    labels: NDArray[np.int16]  # (rows, VOICES, 4) kind, back, other, step
    closes: NDArray[np.int8]  # (rows,)

    @classmethod
    def of(cls, pieces: Iterable[tuple[str, str, Form]], rng: np.random.Generator) -> FormBank:
        """Collect forms, each with its style and metre; of a style with many, some at random."""
        by_style: dict[str, list[tuple[str, str, Form]]] = {}
        for piece in pieces:
            by_style.setdefault(piece[0], []).append(piece)
        chosen: list[tuple[str, str, Form]] = []
        for _, known in sorted(by_style.items()):
            order = rng.permutation(len(known))[:MAX_FORMS]
            chosen += [known[index] for index in sorted(order.tolist())]
        forms = [_shortened(form, _MAX_BARS) for _, _, form in chosen]
        rows = [bar for form in forms for bar in zip(*form.labels, strict=True)]
        return cls(
            np.array([style for style, _, _ in chosen], np.str_),
            np.array([meter for _, meter, _ in chosen], np.str_),
            np.array([form.bars for form in forms], np.int32),
            np.array(rows, np.int16).reshape(-1, VOICES, len(BarLabel._fields)),
            np.array([close for form in forms for close in form.closes], np.int8),
        )

    def draw(self, bars: int, meter: Meter, style: str | None, rng: np.random.Generator) -> Form:
        """Return the form of one of the pieces, in so many bars. It ends with a full close.

        A form in which a voice is silent in more than a quarter of the bars is not taken, if there
        are others.
        """
        fitting = self._fitting(bars, meter, style)
        for index in rng.permutation(fitting).tolist():
            form = _shortened(_lengthened(self._form(index), bars), bars)
            if max(map(_silent_share, form.labels)) <= _MAX_SILENT:
                break
        return Form(form.labels, (*form.closes[:-1], Close.FULL))

    def _fitting(self, bars: int, meter: Meter, style: str | None) -> NDArray[np.intp]:
        """Return the pieces that are long enough and in the style and metre; if they are too few,
        those of any metre with bars as long, then those of any style, then all.
        """
        long_enough = self.bars >= bars
        in_style = long_enough & (self.styles == (style or ""))
        equal = [name for name in set(self.meters.tolist()) if _bar_ticks(name) == meter.bar_ticks]
        as_long = np.isin(self.meters, equal)
        for some in (in_style & (self.meters == str(meter)), in_style & as_long,
                     long_enough & as_long, long_enough):  # fmt: skip
            if np.count_nonzero(some) >= MIN_FORMS:
                return np.flatnonzero(some)
        return np.flatnonzero(long_enough) if long_enough.any() else np.arange(len(self.bars))

    def _form(self, index: int) -> Form:
        begin = int(self.bars[:index].sum())
        rows = slice(begin, begin + int(self.bars[index]))
        return Form(
            tuple(
                tuple(
                    bar_label(BarKind(kind), back, bool(other), step)
                    for kind, back, other, step in self.labels[rows, voice].tolist()
                )
                for voice in range(VOICES)
            ),
            tuple(map(Close, self.closes[rows].tolist())),
        )

    # ------------------------------------------------------------------ the file

    def save(self, path: Path) -> None:
        """Write the bank, completely or not at all."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, format=np.array(_FORMAT), **columns)

    @classmethod
    def load(cls, path: Path) -> FormBank:
        """Read what ``save`` wrote. Raises CheckpointError for an invalid file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                if int(file["format"]) != _FORMAT:
                    raise ValueError(f"its format is {file['format']}, not {_FORMAT}")
                bank = cls(*(file[field.name] for field in fields(cls)))
            bank._check()
        except (
            OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zlib.error,
            zipfile.BadZipFile, ScoreError,
        ) as error:  # fmt: skip
            raise CheckpointError(
                f"{path} is not a bank of forms: {error}. Train again, or remove it."
            ) from error
        return bank

    def _check(self) -> None:
        """Raise ValueError or ScoreError if the columns do not fit each other."""
        rows = int(self.bars.sum())
        shapes = [(len(self.bars),)] * 3 + [(rows, VOICES, len(BarLabel._fields)), (rows,)]
        columns = (self.styles, self.meters, self.bars, self.labels, self.closes)
        if not rows or [column.shape for column in columns] != shapes or (self.bars < 1).any():
            raise ValueError("its columns do not fit each other")
        back = self.labels[:, :, BarLabel._fields.index("back")]
        if not (back >= 0).all() or (back > _MAX_BARS).any():
            raise ValueError("a bar returns to one that does not exist")
        for name in set(self.meters.tolist()):
            Meter.parse(name)
        kinds, closes = self.labels[:, :, 0], self.closes
        if not set(np.unique(kinds)) <= set(BarKind) or not set(np.unique(closes)) <= set(Close):
            raise ValueError("it has a label that is none")

    @classmethod
    def for_model(cls, model: Path) -> FormBank | None:
        """Return the bank beside a checkpoint; None if there is none."""
        path = forms_path(model)
        return cls.load(path) if path.is_file() else None


def forms_path(model: Path) -> Path:
    """Return the path of the form bank beside a checkpoint."""
    return model.with_name(f"{model.stem}.forms.npz")


def _bar_ticks(meter: str) -> int:
    return Meter.parse(meter).bar_ticks


def _silent_share(labels: Sequence[BarLabel]) -> float:
    """Return the share of bars in which no note begins."""
    return sum(label.kind == BarKind.SILENT for label in labels) / len(labels)


def _shortened(form: Form, bars: int) -> Form:
    """Return the beginning and the last bars of a form. Returns to bars left out become new."""
    left_out = form.bars - bars
    if left_out <= 0:
        return form
    coda = min(CODA_BARS, bars // 2)
    kept = bars - coda

    def moved(label: BarLabel, bar: int) -> BarLabel:
        source = bar + left_out - label.back  # in the longer form
        if not label.back or source >= kept + left_out:
            return label
        if source >= kept or label.back <= left_out:
            return bar_label(BarKind.NEW)
        return bar_label(label.kind, label.back - left_out, label.other, label.step)

    return Form(
        tuple(
            (
                *voice[:kept],
                *(moved(label, kept + i) for i, label in enumerate(voice[kept + left_out :])),
            )
            for voice in form.labels
        ),
        (*form.closes[:kept], *form.closes[kept + left_out :]),
    )


def _lengthened(form: Form, bars: int) -> Form:
    """Return a form that is repeated, literally, until it is long enough."""
    labels, closes = [list(voice) for voice in form.labels], list(form.closes)
    while len(closes) < bars:
        for voice in labels:
            label = voice[-form.bars]
            returns = label.kind >= BarKind.NEW
            voice.append(bar_label(BarKind.LITERAL, form.bars) if returns else label)
        closes.append(closes[-form.bars])
    return Form(tuple(map(tuple, labels)), tuple(closes))
