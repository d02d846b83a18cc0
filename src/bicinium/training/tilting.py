"""Tilting: of the model's own pieces, those become likelier that a judge takes for real music.

If a judge's log-odds of real music against the model's were true, the model's distribution times
their exponential would be the distribution of real music (Azadi et al. 2018, arXiv:1810.06758,
there by rejection). Here the model is moved there: between answers to the same question, the
differences of log p, less those of the model that wrote them, are fitted to the differences of the
log-odds by least squares (REBEL: Gao et al. 2024, arXiv:2404.16767). It has reached what it is to
reach where that holds, so it neither runs away nor forgets what else it has learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bicinium.atomic_write import atomic_write
from bicinium.errors import ConfigError
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import AT_REST
from bicinium.training.config import TiltingSection
from bicinium.training.dataset import Batch, PieceStore, any_window
from bicinium.training.losses import IGNORED
from bicinium.training.validation import OwnPiece

_FEWEST_ANSWERS = 2  # to one question; of a single one there is nothing to compare


@dataclass(frozen=True, slots=True)
class JudgedPieces:
    """Pieces of a model's own, the question that each answers, and the judge's log-odds, in nats,
    that it is real music.
    """

    pieces: Sequence[OwnPiece]
    question: NDArray[np.int64]  # (P,) any number, the same for answers to the same
    log_odds: NDArray[np.float64]  # (P,)

    def save(self, path: Path) -> None:
        """Write them as a numpy archive, whole or not at all."""
        tokens = [piece.tokens for piece in self.pieces]
        arrays: dict[str, Any] = {
            "tokens": np.concatenate(tokens),
            "lengths": np.array([len(one) for one in tokens]),
            "meter": np.array([piece.meter for piece in self.pieces]),
            "mode": np.array([piece.mode for piece in self.pieces]),
            "style": np.array([piece.style or "" for piece in self.pieces]),
            "bars": np.array([piece.bars for piece in self.pieces]),
            "transposition": np.array([piece.transposition for piece in self.pieces]),
            "question": self.question,
            "log_odds": self.log_odds,
        }
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> JudgedPieces:
        """Read what ``save`` wrote. Raises ConfigError where that cannot be read."""
        try:
            with np.load(path) as file:
                told = {name: file[name] for name in file.files}
            pieces = [
                OwnPiece(tokens, meter, mode, style or None, bars, transposition)
                for tokens, meter, mode, style, bars, transposition in zip(
                    np.split(told["tokens"], np.cumsum(told["lengths"])[:-1]),
                    *(
                        told[n].tolist()
                        for n in ("meter", "mode", "style", "bars", "transposition")
                    ),
                    strict=True,
                )
            ]
            judged = cls(pieces, told["question"], told["log_odds"].astype(np.float64))
            if not len(pieces) == len(judged.question) == len(judged.log_odds):
                raise ValueError("its arrays differ in length")
            if not np.isfinite(judged.log_odds).all():
                raise ValueError("not all log-odds are numbers")
        except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
            raise ConfigError(
                f"{path} holds no judged pieces ({error}); see docs/training.md"
            ) from error
        return judged


class Tilting:
    """Batches of judged pieces, a function of seed and step, and what they are fitted to."""

    def __init__(
        self, section: TiltingSection, judged: JudgedPieces, config: ModelConfig, dropout: float
    ) -> None:
        """``dropout``: how often a condition is left unknown, which is so in half of the batches.

        Raises ConfigError where no question has two answers.
        """
        self.section, self.dropout = section, dropout
        self.store = PieceStore(judged.pieces, config, endings=[AT_REST] * len(judged.pieces))
        self.log_odds = judged.log_odds
        by_question = [np.flatnonzero(judged.question == q) for q in np.unique(judged.question)]
        self.answers = [some for some in by_question if len(some) >= _FEWEST_ANSWERS]
        if not self.answers:
            raise ConfigError(f"{section.pieces}: no two of its pieces answer the same question")

    def batch(self, seed: Sequence[int]) -> tuple[Batch, Tensor, Tensor]:
        """A window of each of some answers to some questions, all drawn with ``seed``; (B,) the
        log-odds that fall to each window; (B,) the number of its question.
        """
        rng = np.random.default_rng(seed)
        count = min(self.section.questions, len(self.answers))
        chosen = [
            rng.permutation(self.answers[i])[: self.section.answers]
            for i in rng.choice(len(self.answers), count, replace=False)
        ]
        pieces = np.concatenate(chosen)
        windows = [any_window(self.store, piece, rng) for piece in pieces.tolist()]
        dropout = self.dropout if rng.random() < 0.5 else 0.0  # told all: as users ask
        batch = self.store.batch(windows, rng, dropout)
        inputs = np.array([window.stop - window.start for window in windows])
        falls = self.log_odds[pieces] * inputs / (self.store.lengths[pieces] - 1)
        question = np.repeat(np.arange(count), [len(some) for some in chosen])
        return batch, torch.from_numpy(falls * self.section.strength), torch.from_numpy(question)


def log_likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    """(B,) nats that (B, T, V) logits give to (B, T) targets, those that are IGNORED left out."""
    nats = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return -nats.view(targets.shape).sum(dim=1)


def tilting_error(gained: Tensor, log_odds: Tensor, question: Tensor) -> Tensor:
    """Mean of the squares, in nats², by which what each piece has ``gained`` (B,) in log p differs
    from its ``log_odds`` (B,), both less their means over the answers to the same ``question``.
    """
    same = (question[:, None] == question).to(gained.dtype)
    missing = log_odds.to(gained.dtype) - gained
    return (missing - (same @ missing) / same.sum(dim=1)).square().mean()
