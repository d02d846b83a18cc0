"""Fixtures of several folders: tiny models, made-up music, random legal pieces.

torch is imported only where a fixture needs it, so that the other tests run without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from bicinium.data.prepare import prepare
from bicinium.data.sources import find_sources
from bicinium.data.split import split_of
from bicinium.formats.midi import write_midi
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import save_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.inputs.form_columns import FormColumns
from bicinium.model.inputs.layout import first_rows
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.row import Row
from bicinium.model.inputs.sequence import SequenceInputs
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.tokenizer.vocabulary import KINDS, Kind

# No deadline for an example: how long one takes says more about the machine than about the code.
hypothesis.settings.register_profile("bicinium", deadline=None)
hypothesis.settings.load_profile("bicinium")

# One thread for torch: the tests run one process for each core, and threads that wait for one
# another make tiny models ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_SHARED_CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"


@pytest.fixture(scope="session")
def shared_corpus() -> Path:
    """The folder of real music beside the repository."""
    if not _SHARED_CORPUS.is_dir():
        pytest.skip("the shared corpus is not beside this repository")
    return _SHARED_CORPUS


@pytest.fixture(scope="session")
def refuses() -> Callable[..., AbstractContextManager[None]]:
    """Return a context manager: the block must raise exactly this error, with a message of one
    line.
    """

    @contextmanager
    def refuse(error: type[Exception], pattern: str) -> Iterator[None]:
        with pytest.raises(error, match=pattern) as caught:
            yield
        assert caught.type is error
        assert str(caught.value).strip()
        assert "\n" not in str(caught.value)

    return refuse


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    return ModelConfig(
        d_model=32,
        n_layers=2,
        n_heads=2,
        time_heads=1,
        d_ff=64,
        context=64,
        styles=("bach", "classical"),
    )


@pytest.fixture(scope="session")
def random_weights() -> Callable[..., dict[str, Any]]:
    """Return a function: (config, seed, spread) → weights of an untrained model, by name.

    With ``spread`` the weights are that many times wider than at the start of training, and the
    norms differ from 1. The logits are then large enough for differences to show.
    """
    import torch

    from bicinium.model.transformer import Transformer

    def make(config: ModelConfig, seed: int = 0, spread: float = 1.0) -> dict[str, Any]:
        torch.manual_seed(seed)
        weights = Transformer(config).state_dict()
        for weight in weights.values():
            if weight.ndim == 1 and spread != 1:
                weight.uniform_(0.5, 1.5)
            else:
                weight.mul_(spread)
        return {name: weight.numpy().copy() for name, weight in weights.items()}

    return make


@pytest.fixture(scope="session")
def tiny_model(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_config: ModelConfig,
    random_weights: Callable[..., dict[str, Any]],
) -> Path:
    """A checkpoint that has learned nothing: what it composes well, the grammar composed."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, tiny_config, random_weights(tiny_config), {"steps": 0})
    return path


@pytest.fixture(scope="session")
def legal_walks() -> Callable[..., list[np.ndarray]]:
    """Return a function that draws random legal pieces, from START to END.

    It takes count, seed, most_tokens and the arguments of ``initial_state``. A kind is drawn first,
    then a token of that kind. Time shifts are mostly short, so that the pieces have many notes.
    """

    def walk(
        count: int, seed: int, most_tokens: int = 120, grammar: MusicalGrammar | None = None,
        **asked: Any,
    ) -> list[np.ndarray]:  # fmt: skip
        grammar = grammar or MusicalGrammar()
        rng = np.random.default_rng(seed)
        state = grammar.initial_states(count, max_tokens=most_tokens, **asked)
        pieces: list[list[int]] = [[] for _ in range(count)]
        while not grammar.ended(state).all():
            mask = grammar.mask(state)
            going = ~grammar.ended(state)
            tokens = np.array([_draw_by_kind(rng, np.flatnonzero(row)) for row in mask])
            grammar.advance(state, tokens)
            for row in np.flatnonzero(going):
                pieces[row].append(int(tokens[row]))
        return [np.array(piece, np.int16) for piece in pieces]

    return walk


@pytest.fixture(scope="session")
def shown_along() -> Callable[..., np.ndarray]:
    """Return a function that encodes tokens one at a time, as composing does: (T, F) feature rows.

    It takes config, tokens, the conditions of one piece, what is known of the notes to come and of
    the form, and the arguments of ``initial_state``.
    """

    def show(
        config: ModelConfig,
        tokens: Sequence[int],
        told: PieceConditions,
        lookahead: Lookahead | None = None,
        form: FormColumns | None = None,
        **asked: Any,
    ) -> np.ndarray:
        state, first = MusicalGrammar().initial_state(**asked), first_rows(config)
        sequence = SequenceInputs(config, told.rows()[0], lookahead, form)
        rows = np.empty((len(tokens), len(first)), np.int32)
        row = Row(rows.data, first)
        for index, token in enumerate(tokens):
            state.advance(int(token))
            sequence.observe(state, int(token))
            row.begin(index)
            sequence.write(state, int(token), row)
        return rows

    return show


def _draw_by_kind(rng: np.random.Generator, legal: np.ndarray) -> int:
    kind = rng.choice(np.unique(KINDS[legal]))
    tokens = legal[KINDS[legal] == kind]
    if kind == Kind.TIME_SHIFT and rng.random() < 0.9:
        return int(tokens[min(rng.geometric(1 / 12), len(tokens)) - 1])
    return int(rng.choice(tokens))


@pytest.fixture(scope="session")
def made_up_score() -> Callable[..., Score]:
    """Return a function: (seed, bars, meter, key) → two voices in eighths and quarters."""

    def make(seed: int = 0, bars: int = 8, meter: str = "4/4", key: str = "G major") -> Score:
        rng = np.random.default_rng(seed)
        asked = Key.parse(key)
        steps = (0, 2, 4, 5, 7, 9, 11) if asked.mode == "major" else (0, 2, 3, 5, 7, 8, 10)
        parsed = Meter.parse(meter)
        voices = []
        for lowest in (60, 40):
            notes, tick, degree = [], 0, 7
            while tick < bars * parsed.bar_ticks:
                length = min(int(rng.choice([12, 12, 24])), bars * parsed.bar_ticks - tick)
                degree = int(np.clip(degree + rng.integers(-2, 3), 0, 13))
                pitch = lowest + asked.tonic % 12 + 12 * (degree // 7) + steps[degree % 7]
                notes.append(Note(tick, pitch, length, 79))
                tick += length
            voices.append(Voice(tuple(notes)))
        return Score(tuple(voices), bars, parsed, asked, tempo_qpm=96.0)

    return make


@pytest.fixture(scope="session")
def midi_folder(
    tmp_path_factory: pytest.TempPathFactory, made_up_score: Callable[..., Score]
) -> Path:
    """Eight MIDI files and a manifest; the clusters put two of the files on the validation side."""
    folder = tmp_path_factory.mktemp("source") / "music"
    folder.mkdir()
    numbers = iter(range(10_000))
    sides = ["train"] * 6 + ["validation"] * 2
    rows = ["path,composer,title,licence,maintainer,cluster"]
    for index, side in enumerate(sides):
        cluster = next(c for c in (f"work {n}" for n in numbers) if split_of(f"music/{c}") == side)
        name = f"piece-{index}.mid"
        meter, key = (("4/4", "G major"), ("3/4", "D minor"))[index % 2]
        write_midi(made_up_score(index, 8, meter, key), folder / name)
        composer = "J. S. Bach" if index % 2 else "F. Schubert"
        rows.append(f"{name},{composer},Piece {index},Public Domain,nobody,{cluster}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, midi_folder: Path) -> Path:
    """The training set made of ``midi_folder``."""
    out = tmp_path_factory.mktemp("prepared")
    prepare(find_sources([midi_folder]), out, jobs=1)
    return out
