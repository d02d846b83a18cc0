"""What the tests of evaluations share: one small evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from bicinium.evaluation.evaluate import Evaluation, evaluate


@pytest.fixture(scope="session")
def stages() -> list[str]:
    """What the evaluation has said of its progress."""
    return []


@pytest.fixture(scope="session")
def evaluation(tiny_model: Path, midi_folder: Path, stages: list[str]) -> Evaluation:
    """An untrained model on eight made-up pieces."""

    def say(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if stage not in stages:
            stages.append(stage)

    return evaluate(tiny_model, midi_folder, 8, seed=5, progress=say)
