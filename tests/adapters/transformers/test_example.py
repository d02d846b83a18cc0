"""The example that trains a Llama runs, and the grammar loss does what it is for."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytest.importorskip("transformers", minversion="5.24")
pytest.importorskip("accelerate")

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[3] / "examples/train_llama.py"


def test_the_grammar_loss_lowers_the_illegal_mass_of_a_llama():
    table = runpy.run_path(str(EXAMPLE))["main"]([])
    without, with_it = table["cross-entropy"], table["+ grammar loss"]
    assert with_it["illegal_mass"] < without["illegal_mass"]
    assert with_it["grammar_score"] > without["grammar_score"]
