"""A small evaluation shared by the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from bicinium.evaluation.evaluate import Evaluation, evaluate


@pytest.fixture(scope="session")
def stages() -> list[str]:
    """Stages that the evaluation has reported."""
    return []


@pytest.fixture(scope="session")
def evaluation(tiny_model: Path, midi_folder: Path, stages: list[str]) -> Evaluation:
    """Evaluation of an untrained model on eight made-up pieces."""

    def report(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if stage not in stages:
            stages.append(stage)

    return evaluate(tiny_model, midi_folder, 8, seed=5, progress=report)
