"""Composing ends when its time is up, with the best pieces so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import bicinium
from bicinium.api import compose_each, compose_many
from bicinium.errors import RequestError
from bicinium.generation.acceptance import RejectReason
from bicinium.generation.candidates import Finished, Found, Rejected, rejection_message
from bicinium.generation.composer import Composer
from bicinium.generation.composition import Composition, IncompleteError
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints import Constraints
from bicinium.generation.deadline import deadline, default_time_limit
from bicinium.generation.rerank import Selection
from bicinium.model.checkpoint import load_checkpoint
from bicinium.music.key import Key
from bicinium.music.score import Meter

_ASKED = Conditions(Key.parse("C major"), Meter(3, 4), 4)
_CONSTRAINED = GenerationConfig(constraints=Constraints())


@pytest.fixture(scope="module")
def composer(tiny_model: Path) -> Composer:
    return Composer(load_checkpoint(tiny_model))


class _Judge:
    """A test of candidates that counts them. Time is up after ``limit`` of them."""

    def __init__(self, limit: int, takes: Callable[[Composition], bool]) -> None:
        self.limit, self.takes, self.seen = limit, takes, list[Composition]()

    def accept(self, piece: Composition) -> bool:
        self.seen.append(piece)
        return self.takes(piece)

    def expired(self) -> bool:
        return len(self.seen) >= self.limit


def test_a_deadline_is_reached_when_the_clock_says_so() -> None:
    now = [100.0]
    expired = deadline(2.5, lambda: now[0])
    assert not expired()
    now[0] = 102.4
    assert not expired()
    now[0] = 102.5
    assert expired()


def test_the_default_limit_leaves_time_for_every_attempt() -> None:
    """Two seconds a bar with twelve candidates, of which one attempt takes a tenth."""
    assert default_time_limit(8, 12) == pytest.approx(46)
    assert default_time_limit(256, 12) == pytest.approx(542)
    assert default_time_limit(8, 48) > default_time_limit(8, 12)


def test_the_best_candidate_so_far_is_given_with_what_is_missing(composer: Composer) -> None:
    """A model with random weights writes no long piece without outliers, so it tries again."""
    long = replace(_ASKED, bars=16)
    judge = _Judge(5, lambda piece: True)
    selection = Selection(best_of=2, accept=judge.accept)
    results = list(composer.generate([long], [3], _CONSTRAINED, selection, expired=judge.expired))
    (finished,) = (one for one in results if isinstance(one, Finished))
    assert results[-1] is finished
    piece = finished.composition
    assert len(judge.seen) == len(finished.valid) == 5
    assert (piece.timed_out, piece.draws) == (True, 3)
    assert piece.outliers
    first, second = piece.search_remarks
    assert first == "the time limit came in attempt 3"
    assert second == f"unusual after 3 attempts: {', '.join(piece.outliers)}"


def test_pieces_that_were_finished_before_are_as_without_a_limit(composer: Composer) -> None:
    """Of two pieces the second is never accepted. The first is the same with and without it."""
    judge = _Judge(8, lambda piece: piece.seed % 2**64 == 3)
    selection = Selection(best_of=2, accept=judge.accept)
    results = [
        one
        for one in composer.generate(
            [_ASKED] * 2, [3, 4], selection=selection, expired=judge.expired
        )
        if isinstance(one, Finished | Rejected)
    ]
    finished, rejected = results
    assert isinstance(finished, Finished)
    assert not finished.composition.timed_out
    assert finished.composition.search_remarks == []
    assert isinstance(rejected, Rejected)
    assert (rejected.index, rejected.reason) == (1, RejectReason.NOT_ACCEPTED)
    assert rejected.timed_out_in > 1
    assert rejection_message(rejected) == (
        f"No acceptable piece with seed 4 within the time limit (attempt {rejected.timed_out_in} "
        "of 8). The last attempt was not accepted. Loosen the request, or allow more time."
    )
    (alone,) = composer.compose([_ASKED], [3], selection=Selection(best_of=2))
    assert alone.tokens.tolist() == finished.composition.tokens.tolist()


def test_a_limit_that_is_too_short_for_one_candidate_is_an_error() -> None:
    with pytest.raises(RequestError, match=r"within the time limit .* No candidate was finished"):
        bicinium.compose(bars=4, seed=1, time_limit=1e-9)


def test_an_error_has_the_pieces_that_were_composed_before() -> None:

    whole = compose_many(2, bars=2, seed=1, best_of=1)
    done: list[int] = []  # bars written; the number stays when a piece is finished
    with pytest.raises(IncompleteError, match="1 of 2 pieces are missing") as caught:
        compose_many(
            2,
            bars=2,
            seed=1,
            best_of=1,
            progress=lambda count, _: done.append(count),
            expired=lambda: len(done) > 1 and done[-1] == done[-2],
        )
    (piece,) = caught.value.pieces
    (same,) = (one for one in whole if one.seed == piece.seed)
    assert same.tokens.tolist() == piece.tokens.tolist()


def test_if_time_is_up_among_more_candidates_the_first_is_the_piece() -> None:
    """The studio shows the first candidate at once, and then looks for a better one."""
    candidates: list[Found] = []
    found: list[Finished] = []
    for one in compose_each(n=1, bars=2, seed=1, best_of=4, expired=lambda: bool(candidates)):
        if isinstance(one, Finished):
            found.append(one)
        elif isinstance(one, Found):
            candidates.append(one)
    (piece,) = (one.composition for one in found)
    alone = bicinium.compose(bars=2, seed=1, best_of=1)
    assert piece.timed_out
    assert piece.tokens.tolist() == alone.tokens.tolist()


def test_a_canon_ends_with_the_bar_that_was_reached() -> None:
    with pytest.raises(IncompleteError, match=r"within the time limit none passes bar 1 of 4"):
        bicinium.compose(canon="1 bar at the octave below", bars=4, time_limit=1e-9)
