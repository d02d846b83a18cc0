"""The token loop: how deep the model lies below a request, and what processors may do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
from bicinium.generation.engine import BarsWritten, Written
from bicinium.generation.sampling import Sampling
from bicinium.model.decoder import Decoder
from bicinium.music.key import Key
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import END, START

_MAX_FRAMES = 7  # one of them applies the guidance


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
    api.compose(bars=1, best_of=2, style="bach", guidance=guidance, model=tiny_model)
    assert traced
    for names in traced:
        assert (names[0], names[-1]) == ("step", "compose")
        assert len(names) <= _MAX_FRAMES, names


def _conditions(bars: int) -> Conditions:
    return Conditions(Key.parse("C major"), Meter(4, 4), bars, style="bach")


def test_bars_are_reported_before_the_piece_is_finished(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    rngs = [np.random.default_rng(seed) for seed in (1, 2)]
    pieces = [_conditions(2), _conditions(3)]
    events = list(engine.write(pieces, rngs, GenerationConfig(Sampling())))
    for place, piece in enumerate(pieces):
        own = [event for event in events if event.place == place]
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
    steps = engine.steps(
        [_conditions(4)], [np.random.default_rng(0)], GenerationConfig(), lambda: next(answers)
    )
    with pytest.raises(CancelledError):
        list(steps)


def test_nothing_runs_before_the_first_step_is_asked_for(tiny_model: Path) -> None:
    engine = api.load_composer(tiny_model).engine
    rng = np.random.default_rng(0)
    engine.steps([_conditions(4)], [rng], GenerationConfig())
    assert rng.random() == np.random.default_rng(0).random()
