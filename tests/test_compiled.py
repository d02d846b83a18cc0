"""The compiled grammar and its source are the same grammar."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bicinium
from bicinium.grammar import MusicalGrammar
from bicinium.tokenizer.vocabulary import VOCAB_SIZE

JUDGE = """
import json, sys
from bicinium.compiled import is_compiled
from bicinium.grammar import MusicalGrammar
grammar = MusicalGrammar()
answers = []
for sequence in json.loads(sys.argv[1]):
    state = grammar.initial_state(bar_ticks=96, bars=2)
    for token in sequence:
        answers.append([grammar.broken_rule(state, token), state.tick, state.sounding])
        state.advance(token)
print(json.dumps([is_compiled(), answers]))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package without anything compiled, as on a machine without a compiler."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(
        Path(bicinium.__file__).parent,
        folder / "bicinium",
        ignore=shutil.ignore_patterns("*.so", "*.pyd", "weights", "studio", "__pycache__"),
    )
    return folder


def test_the_source_judges_as_the_compiled_grammar_does(source: Path) -> None:
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, VOCAB_SIZE, 60).tolist() for _ in range(10)]
    call = [sys.executable, "-c", JUDGE, json.dumps(sequences)]
    ran = subprocess.run(
        call, env=os.environ | {"PYTHONPATH": str(source)}, capture_output=True, text=True
    )
    compiled, answers = json.loads(ran.stdout)
    assert not compiled
    grammar, expected = MusicalGrammar(), []
    for sequence in sequences:
        state = grammar.initial_state(bar_ticks=96, bars=2)
        for token in sequence:
            expected.append([grammar.broken_rule(state, token), state.tick, state.sounding])
            state.advance(token)
    assert answers == expected
