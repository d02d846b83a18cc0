"""Causes of an earlier model's collapse, each with a test that would have caught it.

That model saw the future (no causal mask), had targets that were not shifted, and never had END as
a target. Such a model has a low loss and composes nothing. Noise reveals it: a loss below chance on
random tokens means that the model sees the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bicinium.data.piece_record import PieceRecord
from bicinium.grammar import MusicalGrammar
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.inputs.layout import REFERENCES
from bicinium.model.transformer import Transformer
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import END, PAD, START, UNK, VOCAB_SIZE
from bicinium.training.batches import TrainingBatches, ValidationBatches
from bicinium.training.dataset import Batch, PieceDataset
from bicinium.training.losses import IGNORE_INDEX
from bicinium.training.optim import next_token_loss
from bicinium.training.windows import Masking, tile


def _piece(
    tokens: np.ndarray, name: str = "piece", meter: str = "4/4", bars: int = 4
) -> PieceRecord:
    return PieceRecord(
        name=name,
        composer="",
        title="",
        licence="",
        credit="",
        cluster=name,
        style="bach",
        split="train",
        meter=meter,
        mode="major",
        transposition=0,
        bars=bars,
        notes=1,
        tokens=np.asarray(tokens, np.int16),
    )


@pytest.fixture(scope="module")
def legal_pieces(legal_walks: Callable[..., list[np.ndarray]]) -> list[PieceRecord]:
    """Pieces shorter and longer than a window of 64, in two metres."""
    pieces = []
    for meter, bars, most in (("4/4", 2, 60), ("3/4", 12, 400), ("4/4", 16, 700)):
        ticks = Meter.parse(meter).bar_ticks
        for walk in legal_walks(4, len(pieces), most, bar_ticks=ticks, bars=bars):
            pieces.append(_piece(walk, f"piece {len(pieces)}", meter, bars))
    lengths = [len(piece.tokens) for piece in pieces]
    assert min(lengths) < 60
    assert max(lengths) > 3 * 64
    return pieces


def _training(
    dataset: PieceDataset, *, batch_size: int = 5, seed: int = 0, repeats: int = 1,
    grammar_positions: int = 10**9, condition_dropout: float = 0.0,
) -> TrainingBatches:  # fmt: skip
    return TrainingBatches(
        dataset,
        np.full(len(dataset.lengths), repeats),
        batch_size=batch_size,
        seed=seed,
        masking=Masking(condition_dropout),
        grammar_positions=grammar_positions,
    )


# ------------------------------------------------------------------ causality


@pytest.fixture(scope="module")
def model(
    tiny_config: ModelConfig, random_weights: Callable[..., dict[str, Any]]
) -> tuple[Transformer, Decoder]:
    """The same random model in torch and numpy, its logits wide enough for leaks to show."""
    weights = random_weights(tiny_config, 2, 10.0)
    transformer = Transformer(tiny_config)
    transformer.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    return transformer.eval(), Decoder(tiny_config, weights)


@pytest.mark.parametrize("network", ["torch", "numpy"])
@pytest.mark.parametrize("changed", [1, 17, 39])
def test_earlier_logits_do_not_depend_on_a_later_token(
    model: tuple[Transformer, Decoder],
    tiny_config: ModelConfig,
    shown_along: Callable[..., np.ndarray],
    legal_walks: Callable[..., list[np.ndarray]],
    network: str,
    changed: int,
) -> None:
    """From tokens through the automaton's state to logits: nowhere may the future shine through."""
    (walk,) = legal_walks(1, 7, bar_ticks=96, bars=8)
    assert len(walk) > 40
    other = walk.copy()
    other[changed:] = np.random.default_rng(changed).integers(0, VOCAB_SIZE, len(walk) - changed)
    other[changed] = (walk[changed] + 1) % VOCAB_SIZE
    conditions = PieceConditions.of(tiny_config, ["4/4"], ["major"], ["bach"], [8])

    def logits(tokens: np.ndarray) -> np.ndarray:
        seen = shown_along(tiny_config, tokens[:40], conditions, bar_ticks=96, bars=8)
        transformer, decoder = model
        if network == "torch":
            with torch.no_grad():
                return transformer(torch.from_numpy(seen)[None])[0].numpy()
        decoder.start(1)
        return np.concatenate([decoder.step(row[None]) for row in seen])

    before, after = logits(walk), logits(other)
    np.testing.assert_array_equal(before[:changed], after[:changed])
    assert np.abs(before[changed] - after[changed]).max() > 0.1


def test_logits_have_no_gradient_from_later_inputs(
    model: tuple[Transformer, Decoder], tiny_config: ModelConfig
) -> None:
    """Exhaustively: d logits[t] / d input[s] is zero for all s > t and for no s ≤ t."""
    transformer, _ = model
    length = 12
    x = torch.randn(1, length, tiny_config.d_model, requires_grad=True)
    seen = torch.zeros(1, length, 1 + REFERENCES + 1, dtype=torch.int64)
    table, transformer.embedding = transformer.embedding, _Given(x)
    try:
        logits = transformer(seen)[0]
    finally:
        transformer.embedding = table
    for t in range(length):
        (gradient,) = torch.autograd.grad(logits[t].square().sum(), x, retain_graph=True)
        reached = gradient[0].abs().sum(dim=1) > 0
        assert reached.tolist() == [s <= t for s in range(length)]


class _Given(torch.nn.Module):
    """Stands in for the embedding and gives the same vectors whatever is looked up."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        self.vectors = vectors

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.vectors[0]


# ------------------------------------------------------------------ the target is the next token


def _check_targets_are_the_next_tokens(batch: Batch, pieces: list[PieceRecord]) -> int:
    """Find each row in the piece it comes from, compare, and count the scored targets."""
    scored = 0
    spelled = [piece.tokens.tolist() for piece in pieces]
    for seen, targets in zip(batch.inputs[..., 0].tolist(), batch.targets.tolist(), strict=True):
        inputs = seen[: seen.index(PAD)] if PAD in seen else seen
        places = [
            (piece, start)
            for piece in spelled
            for start in range(len(piece) - len(inputs))
            if piece[start : start + len(inputs)] == inputs
        ]
        assert places, "a row that stands in no piece, or one whose last token has no successor"
        following = [piece[start + 1 : start + 1 + len(inputs)] for piece, start in places]
        real, padding = targets[: len(inputs)], targets[len(inputs) :]
        assert any(
            all(t in (n, IGNORE_INDEX) for t, n in zip(real, following_one, strict=True))
            for following_one in following
        )
        assert set(padding) <= {IGNORE_INDEX}
        scored += sum(target != IGNORE_INDEX for target in real)
    return scored


def test_targets_of_training_batches_are_the_next_tokens(
    legal_pieces: list[PieceRecord], tiny_config: ModelConfig
) -> None:
    batches = _training(PieceDataset(legal_pieces, tiny_config))
    scored = sum(
        _check_targets_are_the_next_tokens(batches.batch(step), legal_pieces)
        for step in range(batches.steps_per_epoch)
    )
    assert scored >= sum(len(piece.tokens) - 1 for piece in legal_pieces)


def test_targets_of_validation_batches_are_the_next_tokens(
    legal_pieces: list[PieceRecord], tiny_config: ModelConfig
) -> None:
    batches = ValidationBatches(PieceDataset(legal_pieces, tiny_config), 5)
    scored = sum(
        _check_targets_are_the_next_tokens(batches[index], legal_pieces)
        for index in range(len(batches))
    )
    assert scored == sum(len(piece.tokens) - 1 for piece in legal_pieces)


def test_the_grammar_state_of_a_position_is_the_one_before_its_target(
    legal_pieces: list[PieceRecord], tiny_config: ModelConfig
) -> None:
    """All targets are legal in their own state. In the next state hardly any would be."""
    batches = _training(PieceDataset(legal_pieces, tiny_config))
    grammar = MusicalGrammar()
    after_legal = []
    for step in range(batches.steps_per_epoch):
        batch = batches.batch(step)
        rows = batch.grammar_rows.numpy()
        targets = batch.targets.flatten().numpy()[rows]
        inputs = batch.inputs[..., 0].flatten().numpy()[rows]
        assert (targets != IGNORE_INDEX).all()
        assert (batch.states.last_token == inputs).all()
        each = np.arange(len(rows))
        assert grammar.mask(batch.states)[each, targets].all()
        going = targets != END
        later = batch.states.take(np.flatnonzero(going))
        grammar.advance(later, targets[going])
        after_legal.append(grammar.mask(later)[each[: going.sum()], targets[going]])
    assert np.concatenate(after_legal).mean() < 0.5


def test_training_inputs_equal_those_of_composing(
    legal_pieces: list[PieceRecord],
    tiny_config: ModelConfig,
    shown_along: Callable[..., np.ndarray],
) -> None:
    """Windows of a long piece have the same inputs as the piece composed token by token."""
    piece = max(legal_pieces, key=lambda piece: len(piece.tokens))
    conditions = PieceConditions.of(
        tiny_config, [piece.meter], [piece.mode], [piece.style], [piece.bars]
    )
    options = {"bar_ticks": Meter.parse(piece.meter).bar_ticks, "bars": piece.bars}
    composed = shown_along(tiny_config, piece.tokens, conditions, **options)
    dataset = PieceDataset([legal_pieces[0], piece, legal_pieces[1]], tiny_config)
    windows = tile(len(piece.tokens), tiny_config.context, 1, np.random.default_rng(0))
    assert len(windows) > 3
    batch = dataset.batch(windows, np.random.default_rng(0))
    for window, seen in zip(windows, batch.inputs.numpy(), strict=True):
        np.testing.assert_array_equal(seen, composed[window.start : window.stop])


# ------------------------------------------------------------------ an epoch shows everything


def _tokens_asked_for(windows: list[Any], lengths: np.ndarray) -> list[np.ndarray]:
    """For each piece, how often each of its tokens is a target."""
    counts = [np.zeros(length, np.int64) for length in lengths]
    for window in windows:
        counts[window.piece][window.first_scored + 1 : window.stop + 1] += 1
    return counts


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_an_epoch_scores_every_training_token_including_end(
    legal_pieces: list[PieceRecord], tiny_config: ModelConfig, epoch: int
) -> None:
    """The batches contain each token at least as often as the pieces do."""
    batches = _training(PieceDataset(legal_pieces, tiny_config), seed=3)
    shown = np.zeros(VOCAB_SIZE, np.int64)
    for index in range(batches.steps_per_epoch):
        targets = batches.batch(epoch * batches.steps_per_epoch + index).targets
        shown += np.bincount(targets[targets != IGNORE_INDEX].numpy(), minlength=VOCAB_SIZE)
    there = np.bincount(
        np.concatenate([piece.tokens[1:] for piece in legal_pieces]), minlength=VOCAB_SIZE
    )
    assert (shown >= there).all()
    assert shown[END] == len(legal_pieces)  # windows overlap, but each piece ends once
    assert shown[START] == 0
    counts = _tokens_asked_for(batches.epoch_windows(epoch), batches.dataset.lengths)
    for count in counts:
        assert count[0] == 0
        assert (count[1:] >= 1).all()
        assert count[-1] == 1


def test_validation_scores_every_token_exactly_once(
    legal_pieces: list[PieceRecord], tiny_config: ModelConfig
) -> None:
    dataset = PieceDataset(legal_pieces, tiny_config)
    batches = ValidationBatches(dataset, 5)
    shown = np.zeros(VOCAB_SIZE, np.int64)
    for index in range(len(batches)):
        targets = batches[index].targets
        shown += np.bincount(targets[targets != IGNORE_INDEX].numpy(), minlength=VOCAB_SIZE)
    there = np.bincount(
        np.concatenate([piece.tokens[1:] for piece in legal_pieces]), minlength=VOCAB_SIZE
    )
    np.testing.assert_array_equal(shown, there)
    windows = [window for batch in batches.batches for window in batch]
    for count in _tokens_asked_for(windows, dataset.lengths):
        assert count.tolist() == [0] + [1] * (len(count) - 1)


# ------------------------------------------------------------------ noise stays at chance

_CLASSES = 16
_STEPS, _BATCH = 250, 16
_CHANCE = math.log(_CLASSES)  # nats


def _token_set() -> np.ndarray:
    """Sixteen tokens of all kinds, so that the automaton's state moves with them."""
    ids = np.random.default_rng(0).permutation(np.arange(UNK + 1, VOCAB_SIZE))
    return np.sort(ids[:_CLASSES])


def _noise(count: int, seed: int) -> list[PieceRecord]:
    """Pieces in which each token is drawn evenly, whatever came before."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, _CLASSES, (count, 150))
    return [_piece(np.concatenate([[START], _token_set()[row]])) for row in draws]


def _counting(count: int, seed: int) -> list[PieceRecord]:
    """Return pieces in which each token determines the next, so that they can be learned fully."""
    rng = np.random.default_rng(seed)
    ranks = (rng.integers(0, _CLASSES, (count, 1)) + 5 * np.arange(150)) % _CLASSES
    return [_piece(np.concatenate([[START], _token_set()[row]])) for row in ranks]


def _loss_after_training(
    config: ModelConfig,
    pieces: Callable[[int, int], list[PieceRecord]],
    spoil: Callable[[Batch], Batch] = lambda batch: batch,
) -> float:
    """Train on pieces, each shown once. Return the loss on new pieces, in nats per token."""
    torch.manual_seed(0)
    model = Transformer(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    dataset = PieceDataset(pieces(_STEPS * _BATCH // 3, 1), config)
    batches = _training(dataset, batch_size=_BATCH, grammar_positions=0)
    for step in range(min(_STEPS, batches.steps_per_epoch)):
        batch = spoil(batches.batch(step))
        loss = next_token_loss(model(batch.inputs), batch.targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    fresh = ValidationBatches(PieceDataset(pieces(60, 2), config), _BATCH)
    nats = tokens = 0.0
    with torch.no_grad():
        for index in range(len(fresh)):
            batch = spoil(fresh[index])
            count = int((batch.targets != IGNORE_INDEX).sum())
            nats += float(next_token_loss(model(batch.inputs), batch.targets)) * count
            tokens += count
    return nats / tokens


@pytest.mark.parametrize("state_embedding", [True, False], ids=["state", "no state"])
def test_training_on_noise_stays_at_chance(tiny_config: ModelConfig, state_embedding: bool) -> None:
    config = tiny_config.model_copy(update={"state_embedding": state_embedding})
    loss = _loss_after_training(config, _noise)
    assert _CHANCE - 0.01 < loss < _CHANCE + 0.1


def test_training_on_learnable_sequences_goes_far_below_chance(tiny_config: ModelConfig) -> None:
    """The control: the same model and steps. Only the first token cannot be predicted."""
    assert _loss_after_training(tiny_config, _counting) < 0.2 * _CHANCE


def test_noise_reveals_unshifted_targets(tiny_config: ModelConfig) -> None:
    def unshifted(batch: Batch) -> Batch:
        shown = batch.inputs[..., 0].to(torch.int64)
        return replace(
            batch, targets=torch.where(batch.targets == IGNORE_INDEX, IGNORE_INDEX, shown)
        )

    assert _loss_after_training(tiny_config, _noise, unshifted) < 0.5 * _CHANCE


def test_noise_reveals_a_missing_causal_mask(
    tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda q, k, v, is_causal: attention(q, k, v)
    )
    config = tiny_config.model_copy(update={"time_heads": 1})  # the other finds the next token
    assert _loss_after_training(config, _noise) < 0.5 * _CHANCE
