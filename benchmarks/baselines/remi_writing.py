"""What the REMI baseline predicts of held-out pieces, and what it writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import DynamicCache

from benchmarks.baselines.remi_model import CONTEXT, RemiModel
from benchmarks.baselines.remi_tokens import PREFIX, Read, RemiTokens
from benchmarks.baselines.remi_training import LAST
from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.sources import STYLES
from bicinium.evaluation.likelihood import Likelihood
from bicinium.generation.conditions import Conditions
from bicinium.model.config import ModelConfig
from bicinium.model.softmax import softmax
from bicinium.model.teacher_forcing import condition_bits
from bicinium.music.score import TICKS_PER_QUARTER

_SEEN = 768  # tokens that each one sees at least before it, where there are so many
_BATCH = 25  # pieces written at once
_WINDOWS = 8  # predicted at once
_MOST_TOKENS_A_QUARTER = 96


class RemiBaseline:
    """A trained model and its tokens."""

    def __init__(self, run: Path) -> None:
        state = torch.load(run / LAST, weights_only=True)
        self.vocabulary = RemiTokens()
        self.model = RemiModel(self.vocabulary.size)
        self.model.load_state_dict(state["model"])
        self.model.eval()
        self.steps = int(state["step"])

    def round_trip(self, pieces: Sequence[PieceRecord]) -> float:
        """Share of pieces that come back from their tokens note for note."""
        same = 0
        for piece in pieces:
            score = score_of(piece)
            ids = self.vocabulary.encode(score).tolist()
            back = self.vocabulary.decode(ids, score.meter, score.key, score.bars)
            same += back.score.voices == score.voices
        return same / max(1, len(pieces))

    @torch.inference_mode()
    def measure_likelihood(self, pieces: Sequence[PieceRecord]) -> Likelihood:
        """Return the bits of every token after BOS, including EOS.

        Windows of a long piece overlap, so that each token has enough context.
        """
        fresh = CONTEXT - PREFIX - _SEEN
        windows: list[tuple[list[int], int]] = []  # ids, and how many of them are asked for
        tokens = 0
        for piece in pieces:
            ids = self.vocabulary.encode(score_of(piece)).tolist()
            told = self.vocabulary.prefix(piece.mode, piece.meter, piece.bars, piece.style)
            tokens += len(ids) - 1
            done, stop = 1, min(len(ids), CONTEXT - PREFIX + 1)
            while done < len(ids):
                start = max(0, stop - 1 - (CONTEXT - PREFIX))
                windows.append((told + ids[start:stop], stop - done))
                done, stop = stop, min(len(ids), stop + fresh)
        windows.sort(key=lambda window: len(window[0]))  # alike beside alike
        nats = 0.0
        for first in range(0, len(windows), _WINDOWS):
            some = windows[first : first + _WINDOWS]
            padded = np.zeros((len(some), len(some[-1][0])), np.int64)
            for row, (ids, _) in enumerate(some):
                padded[row, : len(ids)] = ids
            batch = torch.from_numpy(padded)
            logits = self.model(batch[:, :-1])
            for row, (ids, asked) in enumerate(some):
                place = slice(len(ids) - 1 - asked, len(ids) - 1)
                wanted = batch[row, 1:][place]
                nats += float(F.cross_entropy(logits[row, place], wanted, reduction="sum"))
        return Likelihood(
            bits=nats / math.log(2),
            side_information_bits=len(pieces) * condition_bits(ModelConfig(styles=STYLES)),
            illegal=math.nan,
            tokens=tokens,
            notes=sum(piece.notes for piece in pieces),
            pieces=len(pieces),
        )

    def write(
        self,
        asked: Sequence[Conditions],
        seeds: Sequence[int],
        bars: Sequence[int] | None = None,
    ) -> list[Read]:
        """Generate a piece for each of the conditions: temperature 1, no truncation, no mask.

        bars: how many bars of each piece are generated; the rest is empty.
        """
        wanted = bars or [one.bars for one in asked]
        drawn: list[list[int]] = []
        for first in range(0, len(asked), _BATCH):
            some = slice(first, first + _BATCH)
            drawn += self._draw(asked[some], seeds[some], wanted[some])
        return [
            self.vocabulary.decode(ids, c.meter, c.key, c.bars, -c.key.semitones_to_reference)
            for ids, c in zip(drawn, asked, strict=True)
        ]

    @torch.inference_mode()
    def _draw(
        self, asked: Sequence[Conditions], seeds: Sequence[int], bars: Sequence[int]
    ) -> list[list[int]]:
        """Return the ids of each piece, up to EOS or to a Bar beyond its length."""
        words = self.vocabulary
        told = [words.prefix(c.key.mode, str(c.meter), c.bars, c.style) for c in asked]
        rngs = [np.random.default_rng([seed, 0]) for seed in seeds]
        most = [
            _MOST_TOKENS_A_QUARTER * count * c.meter.bar_ticks // TICKS_PER_QUARTER
            for c, count in zip(asked, bars, strict=True)
        ]
        pieces = [words.opening(c.meter, c.tempo_qpm) for c in asked]
        begun = [piece.count(words.bar) for piece in pieces]
        going = list(range(len(asked)))
        cache = DynamicCache(config=self.model.llama.config)
        new, length = [told[row] + pieces[row] for row in going], 0
        while going:
            if length + len(new[0]) > CONTEXT:
                cache = DynamicCache(config=self.model.llama.config)
                new, length = [told[row] + pieces[row][-_SEEN:] for row in going], 0
            ids = torch.tensor(new)
            answer: Any = self.model.llama(
                input_ids=ids, cache=cache, use_cache=True, logits_to_keep=1
            )
            length += ids.shape[1]
            chances = softmax(answer.logits[:, -1].numpy().astype(np.float64))
            tokens = [
                int(np.searchsorted(chances[place].cumsum(), rngs[row].random()))
                for place, row in enumerate(going)
            ]
            stay = []
            for place, (row, token) in enumerate(zip(going, tokens, strict=True)):
                begun[row] += token == words.bar
                if begun[row] > bars[row]:
                    continue
                pieces[row].append(token)
                if token != words.eos and len(pieces[row]) < most[row]:
                    stay.append(place)
            if len(stay) < len(going):
                going = [going[place] for place in stay]
                cache.batch_select_indices(torch.tensor(stay, dtype=torch.long))
            new = [[pieces[row][-1]] for row in going]
        return pieces
