"""The decoders, compiled and numpy, equal the torch model token by token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bicinium.model import compiled_network
from bicinium.model.compiled_network import CompiledNetwork
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.inputs.layout import (
    MAX_DISTANCE,
    PITCH_DISTANCES,
    REFERENCES,
    input_sizes,
)
from bicinium.model.transformer import Transformer
from bicinium.tokenizer.vocabulary import BLOCKS, PITCHES, Kind

_SPREAD = 10.0  # logits of a trained model's size, so that 1e-4 says something


@pytest.fixture(params=["compiled", "numpy"])
def compiled(request: pytest.FixtureRequest) -> bool:
    if request.param == "compiled" and not compiled_network.is_available():
        pytest.skip("there is no compiled network here")
    return bool(request.param == "compiled")


@pytest.fixture
def both(compiled: bool, random_weights: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """config → the same random model as torch module and decoder."""

    def make(config: ModelConfig, seed: int = 0) -> tuple[Transformer, Decoder]:
        weights = random_weights(config, seed, _SPREAD)
        model = Transformer(config)
        model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        return model.eval(), Decoder(config, weights, compiled=compiled)

    return make


def _noise(config: ModelConfig, batch: int, length: int, seed: int = 0) -> np.ndarray:
    """Return random model inputs: features (B, T, F + REFERENCES + 1) in their ranges, pitches to
    measure from, and ticks that sometimes advance.
    """
    sizes = np.array(list(input_sizes(config).values()))
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, sizes, (batch, length, len(sizes))) + first
    references = rng.integers(0, PITCHES, (batch, length, REFERENCES))
    ticks = rng.choice([0, 0, 6, 12], (batch, length, 1)).cumsum(axis=1)
    return np.concatenate([rows, references, ticks], axis=2).astype(np.int32)


def _torch_logits(model: Transformer, seen: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(seen)).numpy()


def _logits(decoder: Decoder, seen: np.ndarray) -> np.ndarray:
    decoder.start(len(seen))
    return np.stack([decoder.step(seen[:, t]) for t in range(seen.shape[1])], axis=1)


@pytest.mark.parametrize("relative_pitch", [True, False])
@pytest.mark.parametrize("length", [1, 5, 37])
def test_a_sequence_read_as_a_whole_has_the_logits_of_its_steps(
    both: Callable[..., Any], tiny_config: ModelConfig,
    length: int, relative_pitch: bool,
) -> None:  # fmt: skip
    """Beyond the context, too, and wherever blocks and context begin and end."""
    config = tiny_config.model_copy(update={"context": 12, "relative_pitch": relative_pitch})
    _, decoder = both(config)
    seen = _noise(config, 1, length)
    (expected,) = _logits(decoder, seen)
    assert length == 1 or expected.std() > 0.5
    for block in (1, 7, 12, 16, 64):
        found = np.zeros_like(expected)
        for some, logits in decoder.along(seen[0], block):
            found[some] += logits
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"state_embedding": False},
        {"relative_pitch": False},
        {"bar_lag": False},
        {"relative_pitch": False, "bar_lag": False},
        {"lookahead": False},
        {"time_heads": 0},
        {"time_heads": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_logits_agree_at_every_step_of_legal_music(
    both: Callable[..., Any],
    tiny_config: ModelConfig,
    legal_walks: Callable[..., list[np.ndarray]],
    shown_along: Callable[..., np.ndarray],
    batch: int,
    shape: dict[str, Any],
) -> None:
    config = tiny_config.model_copy(update=shape)
    model, decoder = both(config)
    asked = {"bar_ticks": 96, "bars": 4}
    walks = legal_walks(batch, seed=batch, **asked)
    told = PieceConditions.of(config, ["4/4"], ["minor"], ["bach"], [4])
    length = min(config.context, *map(len, walks))
    assert length > 10
    seen = np.stack([shown_along(config, walk[:length], told, **asked) for walk in walks])
    expected = _torch_logits(model, seen)
    assert expected.std() > 0.5  # else agreement would be cheap
    np.testing.assert_allclose(_logits(decoder, seen), expected, atol=1e-4, rtol=0)


def test_logits_agree_at_the_size_that_ships(
    compiled: bool, random_weights: Callable[..., dict[str, Any]]
) -> None:
    config = ModelConfig(styles=("bach",))
    weights = random_weights(config, 3, 2.0)
    model = Transformer(config)
    model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    seen = _noise(config, 2, 40)
    expected = _torch_logits(model.eval(), seen)
    assert expected.std() > 0.5
    np.testing.assert_allclose(
        _logits(Decoder(config, weights, compiled=compiled), seen), expected, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("size", ["tiny", "odd"])
def test_fp16_weights_have_the_logits_of_the_same_numbers_in_single_precision(
    compiled: bool, tiny_config: ModelConfig, random_weights: Callable[..., dict[str, Any]],
    size: str,
) -> None:  # fmt: skip
    """The compiled network keeps halves as halves, unless one weight is not exactly one."""
    odd = {"d_model": 36, "n_heads": 3, "d_ff": 50, "n_layers": 1}
    config = tiny_config.model_copy(update=odd if size == "odd" else {})
    weights = random_weights(config, 0, _SPREAD)
    halves = {name: w.astype(np.float16) for name, w in weights.items()}
    widened = {name: w.astype(np.float32) for name, w in halves.items()}
    almost = {name: w.copy() for name, w in widened.items()}
    almost["head.weight"][3, 5] += 1e-7
    seen = _noise(config, 2, 10)
    logits = _logits(Decoder(config, halves, compiled=compiled), seen)
    assert logits.dtype == np.float32
    same = _logits(Decoder(config, widened, compiled=compiled), seen)
    np.testing.assert_array_equal(logits, same)
    near = _logits(Decoder(config, almost, compiled=compiled), seen)
    np.testing.assert_array_equal(np.delete(near, 3, axis=2), np.delete(logits, 3, axis=2))


def test_kept_rows_go_on_as_if_they_had_always_been_alone(
    both: Callable[..., Any], tiny_config: ModelConfig
) -> None:
    model, decoder = both(tiny_config)
    seen = _noise(tiny_config, 5, 20)
    rows = np.array([3, 0])
    decoder.start(5)
    for t in range(10):
        decoder.step(seen[:, t])
    after = np.stack([decoder.step(seen[rows, t], rows) for t in range(10, 20)], axis=1)
    expected = _torch_logits(model, seen[rows])[:, 10:]
    np.testing.assert_allclose(after, expected, atol=1e-4, rtol=0)


def test_a_long_sequence_remembers_its_beginning(
    both: Callable[..., Any], tiny_config: ModelConfig
) -> None:
    """The cache grows while a piece does; nothing is lost on the way."""
    model, decoder = both(tiny_config.model_copy(update={"context": 300}))
    seen = _noise(tiny_config, 2, 280)
    np.testing.assert_allclose(
        _logits(decoder, seen), _torch_logits(model, seen), atol=1e-4, rtol=0
    )


def test_a_sequence_does_not_depend_on_its_company(
    both: Callable[..., Any], tiny_config: ModelConfig
) -> None:
    _, decoder = both(tiny_config)
    seen = _noise(tiny_config, 4, 12)
    others = seen.copy()
    others[1:] = _noise(tiny_config, 3, 12, seed=9)
    together, apart = _logits(decoder, seen), _logits(decoder, others)
    np.testing.assert_allclose(together[0], apart[0], atol=1e-5, rtol=0)
    assert np.abs(together[1] - apart[1]).max() > 0.1


def test_a_sequence_may_begin_anew_while_others_go_on(
    both: Callable[..., Any], tiny_config: ModelConfig
) -> None:
    _, decoder = both(tiny_config.model_copy(update={"context": 20}))
    seen = _noise(tiny_config, 4, 30)
    expected = _logits(decoder, seen)
    decoder.start(3)
    for t in range(25):  # past the context
        decoder.step(seen[:3, t])
    decoder.restart(1)
    for t in range(5):
        logits = decoder.step(np.stack([seen[0, 25 + t], seen[3, t], seen[2, 25 + t]]))
        for row, (piece, place) in enumerate([(0, 25 + t), (3, t), (2, 25 + t)]):
            np.testing.assert_allclose(logits[row], expected[piece, place], atol=1e-4, rtol=0)


def test_some_sequences_may_wait(both: Callable[..., Any], tiny_config: ModelConfig) -> None:
    _, decoder = both(tiny_config)
    seen = _noise(tiny_config, 3, 8)
    expected = _logits(decoder, seen)
    decoder.start(3)
    for t in range(8):
        logits = decoder.step(seen[[2, 0], t], np.array([2, 0]))
        np.testing.assert_allclose(logits, expected[[2, 0], t], atol=1e-4, rtol=0)
    np.testing.assert_allclose(
        decoder.step(seen[[1], 0], np.array([1])), expected[[1], 0], atol=1e-4, rtol=0
    )


def test_each_sequence_may_look_back_as_far_as_it_is_told(
    both: Callable[..., Any], tiny_config: ModelConfig
) -> None:
    _, decoder = both(tiny_config)
    _, near = both(tiny_config.model_copy(update={"context": 5}))
    seen = _noise(tiny_config, 1, 30)
    expected = _logits(decoder, seen)[0], _logits(near, seen)[0]
    decoder.start(2, [10**6, 5])
    for t in range(30):
        for row, logits in enumerate(decoder.step(seen[[0, 0], t])):
            np.testing.assert_allclose(logits, expected[row][t], atol=1e-4, rtol=0)
    assert np.abs(expected[0] - expected[1]).max() > 0.1


# ---------------------------------------------------------------- the same bits


@pytest.fixture(params=["tiny", "odd", "as it ships"])
def exact(
    request: pytest.FixtureRequest, tiny_config: ModelConfig,
    random_weights: Callable[..., dict[str, Any]],
) -> tuple[ModelConfig, dict[str, Any]]:  # fmt: skip
    """A model of the compiled network."""
    if not compiled_network.is_available():
        pytest.skip("there is no compiled network here")
    odd = {"d_model": 36, "n_heads": 3, "d_ff": 50}  # not a multiple of any register
    config = {
        "tiny": tiny_config,
        "odd": tiny_config.model_copy(update=odd),
        "as it ships": ModelConfig(n_layers=2),
    }[request.param]
    spread = 2.0 if request.param == "as it ships" else _SPREAD
    return config, random_weights(config, 1, spread)


@pytest.fixture(params=["single", "half", "bytes"])
def exactly(
    request: pytest.FixtureRequest, exact: tuple[ModelConfig, dict[str, Any]]
) -> Callable[..., Decoder]:
    """Return a function: threads → a decoder with matrices in single or half precision or bytes."""
    config, weights = exact
    if request.param == "half":
        weights = {name: w.astype(np.float16) for name, w in weights.items()}
    return lambda threads=1: Decoder(config, weights, threads, request.param == "bytes")


def test_a_sequence_has_the_same_bits_alone_and_among_others_and_on_two_threads(
    exactly: Callable[..., Decoder],
) -> None:
    decoder, threaded = exactly(), exactly(2)
    seen = _noise(decoder.config, 64, 20)
    together = _logits(decoder, seen)
    np.testing.assert_array_equal(_logits(threaded, seen), together)
    for rows in ([0], [63], [5, 17], range(3), range(4, 8), range(40, 45), range(13)):
        some = np.array(rows)
        np.testing.assert_array_equal(_logits(decoder, seen[some]), together[some])


def test_a_sequence_has_the_same_bits_read_as_a_whole(exactly: Callable[..., Decoder]) -> None:
    decoder = exactly()
    seen = _noise(decoder.config, 1, 90)  # past the context of the tiny one
    expected = _logits(decoder, seen)[0]
    found = np.concatenate([logits for _, logits in decoder.along(seen[0])])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("in_bytes", [False, True])
def test_every_instruction_set_has_the_same_bits(
    exact: tuple[ModelConfig, dict[str, Any]], in_bytes: bool
) -> None:
    config, weights = exact
    best = CompiledNetwork(config, weights).instructions
    seen = _noise(config, 1, 40)[0]
    found = []
    for instructions in range(best + 1):
        network = CompiledNetwork(config, weights, in_bytes, instructions)
        found.append(network.step(network.cache([30]), np.zeros(40, int), seen))
    for logits in found[1:]:
        np.testing.assert_array_equal(logits, found[0])


def test_a_sequence_that_begins_anew_has_the_same_bits(exactly: Callable[..., Decoder]) -> None:
    decoder = exactly()
    seen = _noise(decoder.config, 2, 12)
    expected = _logits(decoder, seen[1:])[0]
    decoder.start(1)
    for t in range(12):
        decoder.step(seen[:1, t])
    decoder.restart(0)
    found = [decoder.step(seen[1:, t])[0] for t in range(12)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("context", [16, 64])
def test_in_bytes_the_logits_are_nearly_the_same(
    exact: tuple[ModelConfig, dict[str, Any]], context: int
) -> None:
    config, weights = exact
    config = config.model_copy(update={"context": context})
    seen = _noise(config, 3, 60)
    single = _logits(Decoder(config, weights), seen)
    error = _logits(Decoder(config, weights, in_bytes=True), seen) - single
    assert 0 < error.std() < 0.05 * single.std()


# ---------------------------------------------------------------- heads that count ticks


def _shifted(seen: np.ndarray, ticks: int) -> np.ndarray:
    later = seen.copy()
    later[..., -1] += ticks
    return later


def test_only_distances_in_ticks_count(both: Callable[..., Any], tiny_config: ModelConfig) -> None:
    _, decoder = both(tiny_config)
    seen = _noise(tiny_config, 2, 30)
    logits = _logits(decoder, seen)
    np.testing.assert_allclose(_logits(decoder, _shifted(seen, 960)), logits, atol=1e-5)
    stretched = seen.copy()
    stretched[..., -1] *= 2
    assert np.abs(_logits(decoder, stretched) - logits).max() > 0.1


def test_without_time_heads_ticks_say_nothing(
    both: Callable[..., Any], tiny_config: ModelConfig
) -> None:
    _, decoder = both(tiny_config.model_copy(update={"time_heads": 0}))
    seen = _noise(tiny_config, 2, 30)
    still = seen.copy()
    still[..., -1] = 0
    np.testing.assert_array_equal(_logits(decoder, seen), _logits(decoder, still))


@pytest.mark.parametrize("ticks", [960, 9_216])  # after 10 and 96 bars of 4/4
def test_logits_agree_late_in_long_pieces(
    both: Callable[..., Any], tiny_config: ModelConfig, ticks: int
) -> None:
    model, decoder = both(tiny_config)
    seen = _shifted(_noise(tiny_config, 2, 60), ticks)
    np.testing.assert_allclose(
        _logits(decoder, seen), _torch_logits(model, seen), atol=1e-4, rtol=0
    )


def test_start_forgets_everything(both: Callable[..., Any], tiny_config: ModelConfig) -> None:
    _, decoder = both(tiny_config)
    seen = _noise(tiny_config, 2, 12)
    first = _logits(decoder, seen)
    _logits(decoder, _noise(tiny_config, 3, 100, seed=1))  # more rows, past the context
    np.testing.assert_array_equal(_logits(decoder, seen), first)


# ---------------------------------------------------------------- what is said by distance
#
# It is seen alone where the head says nothing: the logits are then what is added to it.

_NOTES, _ENDS = (BLOCKS[kind].ids for kind in (Kind.NOTE_ON, Kind.NOTE_OFF))
Logits = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(params=["compiled", "numpy", "torch"])
def added(
    request: pytest.FixtureRequest, random_weights: Callable[..., dict[str, Any]]
) -> Callable[..., Logits]:
    """Return a function: (config, weights) → rows (B, T, …) → what is added to the logits."""
    if request.param == "compiled" and not compiled_network.is_available():
        pytest.skip("there is no compiled network here")

    def make(config: ModelConfig, **changed: np.ndarray) -> Logits:
        weights = random_weights(config, 2, _SPREAD) | changed
        weights["head.weight"] = np.zeros_like(weights["head.weight"])
        if request.param != "torch":
            decoder = Decoder(config, weights, compiled=request.param == "compiled")
            return lambda seen: _logits(decoder, seen)
        model = Transformer(config)
        model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        return lambda seen: _torch_logits(model.eval(), seen)

    return make


def _measured_from(seen: np.ndarray, references: Any) -> np.ndarray:
    """The same rows, with these pitches to measure from."""
    other = seen.copy()
    other[..., -REFERENCES - 1 : -1] = references
    return other


def test_distances_speak_of_notes_that_begin_and_of_the_one_that_ends_and_of_nothing_else(
    added: Callable[..., Logits], tiny_config: ModelConfig
) -> None:
    seen = _noise(tiny_config, 7, 5)
    logits = added(tiny_config)(seen)
    assert logits[..., _NOTES].std() > 0.5
    logits[..., _NOTES] = 0
    held = seen[..., -REFERENCES - 1, None] + _ENDS.start
    assert np.take_along_axis(logits, held, -1).std() > 0.5
    np.put_along_axis(logits, held, 0, -1)
    assert not logits.any()


def test_for_the_end_of_a_note_as_much_speaks_whatever_its_pitch(
    added: Callable[..., Logits], tiny_config: ModelConfig
) -> None:
    says, seen = added(tiny_config), _noise(tiny_config, 1, 6)
    low, high = (says(_measured_from(seen, pitch))[..., _ENDS.start + pitch] for pitch in (0, 87))
    np.testing.assert_allclose(low, high, atol=1e-6, rtol=0)
    assert np.abs(low).max() > 0.5


def test_what_it_adds_is_the_same_in_numpy_and_torch(
    both: Callable[..., Any], tiny_config: ModelConfig
) -> None:
    """All pitches of the piano, each as every reference."""
    config = tiny_config.model_copy(update={"context": PITCHES})
    model, decoder = both(config)
    every = (np.arange(PITCHES)[:, None] + 11 * np.arange(REFERENCES)) % PITCHES
    seen = _measured_from(_noise(config, 2, PITCHES), every)
    np.testing.assert_allclose(
        _logits(decoder, seen), _torch_logits(model, seen), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("up", [1, 7, 20])
def test_where_all_references_move_what_is_added_moves_with_them(
    added: Callable[..., Logits], tiny_config: ModelConfig, up: int
) -> None:
    says, seen = added(tiny_config), _noise(tiny_config, 3, 12)
    references = np.random.default_rng(4).integers(0, PITCHES - up, (3, 12, REFERENCES))
    low, high = (says(_measured_from(seen, references + by))[..., _NOTES] for by in (0, up))
    np.testing.assert_allclose(high[..., up:], low[..., :-up], atol=1e-5, rtol=0)
    assert np.abs(high - low).max() > 0.5


@pytest.mark.parametrize(
    ("reference", "semitones"),
    [(0, 0), (1, 7), (3, -12), (REFERENCES - 1, 1), (0, MAX_DISTANCE), (4, -MAX_DISTANCE)],
)
def test_each_reference_has_a_number_for_each_distance(
    added: Callable[..., Logits], tiny_config: ModelConfig, reference: int, semitones: int
) -> None:
    """With all but one of them 0, only pitches at that distance from that reference are spoken of;
    at the greatest, those beyond it, too."""
    weight = np.zeros((REFERENCES * PITCH_DISTANCES, tiny_config.d_model), np.float32)
    weight[reference * PITCH_DISTANCES + MAX_DISTANCE + semitones] = 1
    says = added(tiny_config, **{"relative_head.weight": weight})
    references = np.full(REFERENCES, 60)
    references[reference] = 40
    logits = says(_measured_from(_noise(tiny_config, 1, 3), references))[0, :, _NOTES]
    spoken_of = np.flatnonzero(np.abs(logits).max(axis=0))
    expected = {MAX_DISTANCE: range(76, PITCHES), -MAX_DISTANCE: range(5)}
    assert spoken_of.tolist() == list(expected.get(semitones, [40 + semitones]))
    assert (logits[:, spoken_of] == logits[:, spoken_of[:1]]).all()


def test_without_relative_pitch_there_is_no_such_head_and_references_say_nothing(
    both: Callable[..., Any],
    tiny_config: ModelConfig,
    random_weights: Callable[..., dict[str, Any]],
) -> None:
    heads = {"relative_head.weight", "ending_head.weight"}
    assert heads <= random_weights(tiny_config).keys()
    config = tiny_config.model_copy(update={"relative_pitch": False})
    assert not heads & random_weights(config).keys()
    model, decoder = both(config)
    seen = _noise(config, 2, 20)
    moved = _measured_from(seen, 3)
    np.testing.assert_array_equal(_torch_logits(model, seen), _torch_logits(model, moved))
    np.testing.assert_array_equal(_logits(decoder, seen), _logits(decoder, moved))


# ---------------------------------------------------------------- beyond the context
#
# Each layer attends to the cached keys of the last ``context`` positions, and those were computed
# from what *their* layers saw. So the decoder equals torch run over the whole sequence with a
# banded mask in every layer; a model of one layer, and only that, also equals torch run over the
# last ``context`` tokens alone.

_CONTEXT, _LENGTH = 16, 60


@pytest.fixture
def short_context(tiny_config: ModelConfig) -> ModelConfig:
    return tiny_config.model_copy(update={"context": _CONTEXT, "time_heads": 1})


def test_beyond_the_context_every_layer_attends_to_the_last_context_positions(
    both: Callable[..., Any], short_context: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, decoder = both(short_context)
    seen = _noise(short_context, 3, _LENGTH)
    slid = _logits(decoder, seen)
    causal = _torch_logits(model, seen)
    gap = np.subtract.outer(np.arange(_LENGTH), np.arange(_LENGTH))
    band = torch.from_numpy((gap >= 0) & (gap < _CONTEXT))

    attention = F.scaled_dot_product_attention

    def banded(q: Any, k: Any, v: Any, is_causal: bool) -> Any:
        assert is_causal
        return attention(q, k, v, attn_mask=band)

    monkeypatch.setattr(F, "scaled_dot_product_attention", banded)
    expected = _torch_logits(model, seen)
    np.testing.assert_allclose(slid, expected, atol=1e-4, rtol=0)
    np.testing.assert_allclose(slid[:, :_CONTEXT], causal[:, :_CONTEXT], atol=1e-4, rtol=0)
    assert np.abs(slid[:, _CONTEXT:] - causal[:, _CONTEXT:]).max() > 0.1


def test_beyond_the_context_one_layer_equals_torch_on_the_last_context_tokens(
    both: Callable[..., Any], short_context: ModelConfig
) -> None:
    model, decoder = both(short_context.model_copy(update={"n_layers": 1}))
    seen = _noise(short_context, 2, _LENGTH)
    slid = _logits(decoder, seen)
    for end in range(_CONTEXT, _LENGTH + 1, 4):
        window = _torch_logits(model, seen[:, end - _CONTEXT : end])[:, -1]
        np.testing.assert_allclose(slid[:, end - 1], window, atol=1e-4, rtol=0)


def test_beyond_the_context_the_far_past_is_forgotten(
    both: Callable[..., Any], short_context: ModelConfig
) -> None:
    """Two layers of 16 see 30 positions back, no further."""
    _, decoder = both(short_context)
    seen = _noise(short_context, 1, _LENGTH)
    other = seen.copy()
    other[:, 0] = _noise(short_context, 1, 1, seed=5)[:, 0]
    difference = np.abs(_logits(decoder, seen) - _logits(decoder, other)).max(axis=(0, 2))
    reach = short_context.n_layers * (_CONTEXT - 1)
    assert (difference[: reach + 1] > 1e-5).all()
    assert (difference[reach + 1 :] == 0).all()


def test_rows_kept_beyond_the_context_keep_their_window(
    both: Callable[..., Any], short_context: ModelConfig
) -> None:
    _, decoder = both(short_context)
    seen = _noise(short_context, 4, _LENGTH)
    rows = np.array([2, 3])
    expected = _logits(decoder, seen[rows])
    decoder.start(4)
    for t in range(_CONTEXT + 5):
        decoder.step(seen[:, t])
    after = [decoder.step(seen[rows, t], rows) for t in range(_CONTEXT + 5, _LENGTH)]
    np.testing.assert_allclose(
        np.stack(after, axis=1), expected[:, _CONTEXT + 5 :], atol=1e-5, rtol=0
    )
