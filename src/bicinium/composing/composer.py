"""The composer: conditions in, pieces out.

All pieces of a call are composed in step, one token each at a time: the decoder gives logits, the
grammar a mask, ``sampling`` a token. Each piece has its own random numbers, so its notes do not
depend on its company.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bicinium.composing.conditions import Conditions
from bicinium.composing.sampling import Sampling, draw, probabilities
from bicinium.errors import RequestError
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator, ValidationResult
from bicinium.model.checkpoint import Checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.features import PieceConditions, features
from bicinium.score.notes import TICKS_PER_QUARTER, Score
from bicinium.score.saving import format_of, write_score
from bicinium.tokens.codec import decode
from bicinium.tokens.vocabulary import PAD, START, Kind, tempo_bin, token_id
from bicinium.writing import whole_file

DEFAULT_SAMPLING = Sampling(temperature=0.9, top_p=0.9)  # see docs/log.md
_MAX_TOKENS_PER_QUARTER = 48  # far above what two voices need
_HEADER_TOKENS = 64
_MOST_DRAWS = 8
_LEAST_PLAYED = 0.5  # of the bars, by each voice

Progress = Callable[[int, int], None]  # pieces done, pieces in all


@dataclass(frozen=True, slots=True)
class Composition:
    """A finished piece. ``score`` is None where the tokens spell none (without grammar only)."""

    conditions: Conditions
    seed: int
    tokens: NDArray[np.int16]  # in C major or A minor
    result: ValidationResult
    score: Score | None
    draws: int  # how often it was drawn until both voices played enough
    model: str = ""

    @property
    def about(self) -> dict[str, str]:
        """How the piece came to be, for the metadata of files."""
        asked = self.conditions
        return {
            "model": self.model,
            "seed": str(self.seed),
            "key": str(asked.key),
            "meter": str(asked.meter),
            "bars": str(asked.bars),
            "tempo": f"{asked.tempo_qpm:g}" if asked.tempo_qpm else "the model's choice",
            "style": asked.style or "none asked for",
        }

    def save(self, path: str | Path, perform: bool = False) -> Path:
        """Write the piece in the format the path ends with (see ``score.saving``), tokens that
        spell no score as a token file. ``perform`` plays WAV and OGG with phrasing.

        Returns the path written, which for tokens ends in ``.tokens.json``.
        """
        path = Path(path)
        if self.score is not None:
            write_score(self.score, path, self.about, perform)
            return path
        name = path.name.removesuffix(f".{format_of(path)}")
        path = path.with_name(f"{name}.tokens.json")
        about = {
            "tokens": self.tokens.tolist(),
            "meter": str(self.conditions.meter),
            "bars": self.conditions.bars,
        }
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(about), encoding="utf-8")
        return path


class Composer:
    """A loaded model, ready to compose. ``grammar`` None is the default grammar."""

    def __init__(self, checkpoint: Checkpoint, grammar: MusicalGrammar | None = None) -> None:
        self.config = checkpoint.config
        self.model = checkpoint.name
        self.decoder = Decoder(checkpoint.config, checkpoint.weights)
        self.grammar = grammar or MusicalGrammar()
        self.validator = MusicalGrammarValidator(self.grammar)

    def with_grammar(self, grammar: MusicalGrammar) -> Composer:
        """The same model under another grammar."""
        other = copy(self)
        other.grammar, other.validator = grammar, MusicalGrammarValidator(grammar)
        return other

    def compose(
        self,
        conditions: Sequence[Conditions],
        seeds: Sequence[int],
        sampling: Sampling = DEFAULT_SAMPLING,
        use_grammar: bool = True,
        progress: Progress | None = None,
    ) -> list[Composition]:
        """One piece for each of the conditions, drawn with the seed of the same place.

        With the grammar, every piece is valid, and one in which a voice plays in less than half of
        the bars is drawn again (up to 8 times; ``draws`` says how often). Without, what the model
        says is kept as it is, right or wrong.
        """
        if len(seeds) != len(conditions):
            raise RequestError(f"{len(conditions)} pieces need as many seeds, not {len(seeds)}")
        for asked in conditions:
            asked.check(self.config)
        pieces: dict[int, Composition] = {}
        waiting = list(range(len(conditions)))
        for attempt in range(_MOST_DRAWS if use_grammar else 1):
            drawn = self.draw(
                [conditions[i] for i in waiting],
                [np.random.default_rng([seeds[i], attempt]) for i in waiting],
                sampling,
                use_grammar,
            )
            for i, tokens in zip(waiting, drawn, strict=True):
                pieces[i] = self._finish(conditions[i], seeds[i], tokens, attempt + 1)
            waiting = [i for i in waiting if use_grammar and not _both_play(pieces[i].score)]
            if progress:
                progress(len(conditions) - len(waiting), len(conditions))
            if not waiting:
                break
        return [pieces[i] for i in range(len(conditions))]

    def draw(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        sampling: Sampling = DEFAULT_SAMPLING,
        use_grammar: bool = True,
        max_tokens: int | None = None,
    ) -> list[NDArray[np.int16]]:
        """The tokens of each piece, START included, as they are drawn.

        max_tokens: of each piece; None is more than any needs. Without the grammar, a piece that
            has come so far just stops.
        """
        budgets = [
            max_tokens
            or _HEADER_TOKENS
            + _MAX_TOKENS_PER_QUARTER * -(-asked.bars * asked.meter.bar_ticks // TICKS_PER_QUARTER)
            for asked in conditions
        ]
        state = self.grammar.initial_state(
            len(conditions),
            bar_ticks=[asked.meter.bar_ticks for asked in conditions],
            bars=[asked.bars for asked in conditions],
            max_tokens=budgets,
            transposition=[-asked.key.semitones_to_home for asked in conditions],
            spare_slots=0 if use_grammar else 3,
        )
        told = PieceConditions.of(
            self.config,
            [str(asked.meter) for asked in conditions],
            [asked.key.mode for asked in conditions],
            [asked.style for asked in conditions],
            [asked.bars for asked in conditions],
        )
        tempi = [
            token_id(Kind.TEMPO, tempo_bin(asked.tempo_qpm)) if asked.tempo_qpm else PAD
            for asked in conditions
        ]
        pieces: list[list[int]] = [[START] for _ in conditions]
        rows = np.arange(len(conditions))  # the pieces that are not finished
        tokens = np.full(len(rows), START, np.int64)
        self.decoder.start(len(rows))
        with _one_thread():
            while len(rows):
                self.grammar.advance(state, tokens)
                over = self.grammar.ended(state) | (state.tokens_left <= 0)
                if over.any():
                    going = np.flatnonzero(~over)
                    rows, tokens, state = rows[going], tokens[going], state.take(going)
                    told = told.take(going)
                    self.decoder.keep(going)
                    if not len(rows):
                        break
                seen = features(self.config, state, tokens.astype(np.int32), told)
                mask = self.grammar.token_mask(state) if use_grammar else None
                logits = self.decoder.step(seen)
                uniform = np.array([rngs[row].random() for row in rows.tolist()])
                tokens = draw(probabilities(logits, mask, sampling), uniform)
                if (
                    len(pieces[rows[0]]) == 1
                ):  # the second token is the tempo, where one was asked for
                    asked_tempi = np.array([tempi[row] for row in rows])
                    tokens = np.where(asked_tempi != PAD, asked_tempi, tokens)
                for row, token in zip(rows, tokens.tolist(), strict=True):
                    pieces[row].append(token)
        return [np.array(piece, np.int16) for piece in pieces]

    def _finish(
        self, asked: Conditions, seed: int, tokens: NDArray[np.int16], draws: int
    ) -> Composition:
        away = -asked.key.semitones_to_home
        result = self.validator.validate_sequence(tokens, asked.meter, asked.bars, away)
        score: Score | None = None
        if result.valid:
            score = decode(tokens, asked.meter, asked.key.transpose(-away)).transpose(away)
            score = replace(
                score,
                tempo_qpm=float(asked.tempo_qpm or score.tempo_qpm),
                title=f"Bicinium in {asked.key.printed}",
                composer="bicinium",
            )
        return Composition(asked, seed, tokens, result, score, draws, self.model)


def _one_thread() -> AbstractContextManager[object]:
    """The matrices are small: a second thread of BLAS gains nothing, and where another program is
    busy it makes composing ten times slower (docs/log.md).
    """
    return threadpool_limits(limits=1, user_api="blas")


def _both_play(score: Score | None) -> bool:
    """Does each voice sound in at least half of the bars?"""
    return score is not None and all(
        len(bars_played(score, part)) >= _LEAST_PLAYED * score.bars
        for part in range(len(score.voices))
    )


def bars_played(score: Score, part: int) -> set[int]:
    """The bars, from 0, in which a note of the part sounds."""
    bar = score.meter.bar_ticks
    return {
        index
        for note in score.voices[part].notes
        for index in range(note.onset_tick // bar, -(-note.offset_tick // bar))
    }
