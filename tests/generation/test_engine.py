"""The token loop: the depth of its call stack, and the rights of processors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from bicinium import api
from bicinium.errors import CancelledError
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints import Constraints
from bicinium.generation.engine import BarsWritten, Drawing, Engine, Written
from bicinium.generation.sampling import Sampling
from bicinium.model.decoder import Decoder
from bicinium.music.key import Key
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import END, START

_MAX_FRAMES = 8


class _Traced(Decoder):
    """A decoder that notes the functions that have called it."""

    callers: ClassVar[list[list[str]]] = []

    def step(self, inputs: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        frame, names = sys._getframe(), []
        while frame and names[-1:] != ["compose"]:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        self.callers.append(names)
        return super().step(inputs, rows)


@pytest.fixture
def traced(tiny_model: Path) -> Iterator[list[list[str]]]:
    composer = api.load_composer(tiny_model)
    original = composer.decoder
    composer.decoder = copy(original)
    composer.decoder.__class__ = _Traced
    _Traced.callers.clear()
    yield _Traced.callers
    composer.decoder = original


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_the_model_lies_few_frames_below_the_request(
    tiny_model: Path, traced: list[list[str]], guidance: float
) -> None:
    api.compose(bars=1, best_of=2, style="bach", guidance=guidance, seed=0, model=tiny_model)
    assert traced
    for names in traced:
        assert (names[0], names[-1]) == ("step", "compose")
        assert len(names) <= _MAX_FRAMES, names


def _conditions(bars: int) -> Conditions:
    return Conditions(Key.parse("C major"), Meter(4, 4), bars, style="bach")


def _drawing(
    engine: Engine,
    pieces: Sequence[Conditions],
    rngs: Sequence[np.random.Generator],
    config: GenerationConfig,
    places: int = 64,
    cancelled: Callable[[], bool] | None = None,
) -> Drawing:
    drawing = engine.drawing(config, places, cancelled)
    for number, (piece, rng) in enumerate(zip(pieces, rngs, strict=True)):
        drawing.add(number, piece, rng)
    return drawing


def test_bars_are_reported_before_the_piece_is_finished(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    rngs = [np.random.default_rng(seed) for seed in (1, 2)]
    pieces = [_conditions(2), _conditions(3)]
    drawing = _drawing(engine, pieces, rngs, GenerationConfig(Sampling()))
    events = list(drawing)
    for number, piece in enumerate(pieces):
        own = [event for event in events if event.number == number]
        bars = [event.bars for event in own if isinstance(event, BarsWritten)]
        assert bars == sorted(bars)
        assert bars[-1] == piece.bars
        assert isinstance(own[-1], Written)
        assert (own[-1].tokens[0], own[-1].tokens[-1]) == (START, END)


def test_a_piece_that_no_token_can_continue_just_stops(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    crossed = Constraints(range=1, ranges=((21, 33), (96, 108)))
    rngs = [np.random.default_rng(seed) for seed in range(20)]
    config = GenerationConfig(Sampling(), constraints=crossed)
    drawn = engine.draw([_conditions(4)] * 20, rngs, config)
    assert len(drawn) == 20
    assert any(tokens[-1] != END for tokens in drawn)


def test_the_loop_stops_as_soon_as_it_is_cancelled(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    answers = iter([False, False, True])
    rngs = [np.random.default_rng(0)]
    drawing = _drawing(engine, [_conditions(4)], rngs, GenerationConfig(), 1, lambda: next(answers))
    with pytest.raises(CancelledError):
        list(drawing)


def _pieces(drawing: Drawing) -> dict[int, list[int]]:
    return {one.number: one.tokens.tolist() for one in drawing if isinstance(one, Written)}


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_a_piece_depends_neither_on_its_place_nor_on_its_company(
    tiny_model: Path, guidance: float
) -> None:
    """A few places serve pieces one after the other, in the memory of those before."""
    engine = api.load_composer(tiny_model).engine
    pieces = [_conditions(1 + number % 4) for number in range(12)]
    config = GenerationConfig(Sampling(guidance=guidance), constraints=Constraints())
    found = []
    for places in (1, 3, 5, 64):
        rngs = [np.random.default_rng(number) for number in range(12)]
        found.append(_pieces(_drawing(engine, pieces, rngs, config, places)))
    assert sorted(found[0]) == list(range(12))
    assert all(other == found[0] for other in found[1:])


def test_a_place_is_free_for_the_next_draw_as_soon_as_its_piece_is_finished(
    tiny_model: Path,
) -> None:
    engine = api.load_composer(tiny_model).engine
    pieces = [_conditions(bars) for bars in (1, 200, 1, 1, 1)]
    rngs = [np.random.default_rng(number) for number in range(5)]
    drawing = _drawing(engine, pieces, rngs, GenerationConfig(Sampling()), places=2)
    order = [one.number for one in drawing if isinstance(one, Written)]
    assert order.index(4) < order.index(1)


def test_draws_can_be_added_while_others_are_drawn_and_after_the_last(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    drawing = engine.drawing(GenerationConfig(Sampling()), 2)
    drawing.add(0, _conditions(1), np.random.default_rng(0))
    written = []
    for one in drawing:
        if isinstance(one, Written):
            written.append(one.number)
            if one.number < 3:
                drawing.add(one.number + 1, _conditions(1), np.random.default_rng(one.number))
    assert written == [0, 1, 2, 3]
    assert list(drawing) == []


def test_a_paused_piece_waits_and_is_the_same_in_the_end(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    config = GenerationConfig(Sampling(), constraints=Constraints())
    pieces = [_conditions(4)] * 4

    def rngs() -> list[np.random.Generator]:
        return [np.random.default_rng(number) for number in range(4)]

    expected = _pieces(_drawing(engine, pieces, rngs(), config))
    drawing, order = _drawing(engine, pieces, rngs(), config), []
    found: dict[int, list[int]] = {}
    for one in drawing:
        if isinstance(one, BarsWritten):
            if one.number in (0, 2) and one.bars == 2:
                drawing.pause(one.number)
                waiting = drawing.tokens(one.number).tolist()
                assert waiting == expected[one.number][: len(waiting)]
        else:
            order.append(one.number)
            found[one.number] = one.tokens.tolist()
            if len(order) == 2:
                drawing.resume(0)
                drawing.resume(2)
    assert set(order[:2]) == {1, 3}
    assert found == expected


def test_a_stopped_piece_is_not_reported_and_frees_its_place(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    rngs = [np.random.default_rng(number) for number in range(3)]
    drawing = _drawing(engine, [_conditions(200)] + [_conditions(1)] * 2, rngs,
                       GenerationConfig(Sampling()), places=1)  # fmt: skip
    written = []
    for one in drawing:
        if isinstance(one, BarsWritten) and one.number == 0:
            drawing.stop(0)
        elif isinstance(one, Written):
            written.append(one.number)
    assert written == [1, 2]


def test_nothing_runs_before_the_first_step_is_asked_for(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    rng = np.random.default_rng(0)
    iter(_drawing(engine, [_conditions(4)], [rng], GenerationConfig()))
    assert rng.random() == np.random.default_rng(0).random()


def test_steps_end_after_the_last_token(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    rngs = [np.random.default_rng(number) for number in range(3)]
    drawing = _drawing(engine, [_conditions(1)] * 3, rngs, GenerationConfig(Sampling()), places=2)
    steps = list(drawing.steps())
    assert {number for moved in steps for number, _ in moved} == {0, 1, 2}
    assert [len(moved) for moved in steps].count(0) <= 2
