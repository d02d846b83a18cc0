"""The compiled grammar, model inputs and composing are those of their source."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bicinium
from bicinium.compiled import is_compiled
from bicinium.tokenizer.vocabulary import START, VOCAB_SIZE, Kind, token_id

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

ENCODE = """
import json, sys
import numpy as np
from bicinium.compiled import is_compiled
from bicinium.grammar import MusicalGrammar
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import PieceConditions, encode_along, notes_along
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.sequence import SequenceInputs
config, grammar, answers = ModelConfig(), MusicalGrammar(), []
told = PieceConditions.of(config, ["4/4"], ["minor"], [None], [2])
for sequence in json.loads(sys.argv[1]):
    states = grammar.states_along([sequence], bar_ticks=[96], bars=[2])
    after = states.take(np.arange(1, len(states)))
    ahead = Lookahead(notes_along(after, sequence), [(0, 2**30), (12, 48)])
    answers.append(encode_along(config, after, sequence, told.rows()[0], ahead).tolist())
    inputs = SequenceInputs(config, told.rows()[0])
    for place, token in enumerate(sequence):
        inputs.observe(after[place], token)
        due = inputs.predicted_now(after[place])
        answers.append([due.confidence, due.step, due.ticks, due.pitch])
print(json.dumps([is_compiled(), answers]))
"""

COMPOSE = """
import json, sys
import numpy as np
from bicinium.compiled import is_compiled
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints import Constraints
from bicinium.generation.fixed_notes import fix_voice
from bicinium.generation.sampling import Sampling
from bicinium.generation.start import PieceStarter
from bicinium.grammar import MusicalGrammar
from bicinium.model.config import ModelConfig
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice
half = Constraints(in_key=0.5, leap=1, consonance=0.5, hand_span=1, range=0.5)
config = GenerationConfig(Sampling(0.9, 0.95, 40, 0.01, motif_strength=1.0), constraints=half)
starter, answers = PieceStarter(ModelConfig(), MusicalGrammar(), config), []
line = Voice((Note(0, 48, 48), Note(48, 43, 48)))
for index, sequence in enumerate(json.loads(sys.argv[1])):
    given = fix_voice(line, 1, Score((Voice(()), line), 1)) if index % 2 else None
    asked = Conditions(Key.parse("D minor"), Meter(4, 4), 1 + (not given), 100.0, fixed_notes=given)
    piece, rng = starter.begin(asked, np.random.default_rng(index)), np.random.default_rng(sequence)
    while piece.advance() and piece.draw(rng.normal(0, 3, 774).data):
        answers.append(piece.token)
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


def _answers(script: str, sequences: list[list[int]], path: str | None = None) -> list[Any]:
    """What a script prints about sequences, with the package of this folder."""
    environment = os.environ | ({"PYTHONPATH": path} if path else {})
    call = [sys.executable, "-c", script, json.dumps(sequences)]
    ran = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert not ran.returncode, ran.stderr
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def _dense(rng: np.random.Generator) -> list[int]:
    """Few pitches and short waits, in any order, so that figures come again."""
    pitches = [60, 62, 64, 65]
    tokens = [token_id(Kind.TIME_SHIFT, ticks) for ticks in (6, 12)]
    tokens += [token_id(Kind.PART, part) for part in (0, 1)]
    tokens += [token_id(kind, p) for kind in (Kind.NOTE_ON, Kind.NOTE_OFF) for p in pitches]
    return [START, *rng.choice(tokens, 150).tolist()]


@pytest.mark.parametrize("script", [JUDGE, ENCODE, COMPOSE], ids=["grammar", "inputs", "composing"])
def test_the_source_answers_as_the_compiled_modules_do(source: Path, script: str) -> None:
    if not is_compiled():
        pytest.skip("this package is not compiled")
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, VOCAB_SIZE, 60).tolist() for _ in range(10)]
    sequences += [_dense(rng) for _ in range(4)]
    compiled, answers = _answers(script, sequences, str(source))
    assert not compiled
    assert _answers(script, sequences) == [True, answers]
