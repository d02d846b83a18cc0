"""Batches as pure functions of seed and step.

``test_collapse_roots`` checks that targets are the next tokens and that an epoch shows them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bicinium.data.piece_record import PieceRecord
from bicinium.data.shards import load_pieces
from bicinium.grammar import MusicalGrammar
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.inputs.layout import REFERENCES, first_rows, input_sizes
from bicinium.model.inputs.lookahead import Lookahead
from bicinium.model.inputs.voice_notes import voice_of
from bicinium.music.score import Meter, Note
from bicinium.tokenizer.codec import decode
from bicinium.tokenizer.vocabulary import KINDS, PAD, START, UNK, VALUES, VOCAB_SIZE, Kind
from bicinium.training.batches import (
    TrainingBatches,
    ValidationBatches,
    batch_statistics,
    draw_known_spans,
    on_policy_batch,
)
from bicinium.training.dataset import Batch, PieceDataset
from bicinium.training.live_sampler import GeneratedPiece
from bicinium.training.losses import IGNORE_INDEX
from bicinium.training.windows import KnownSpans, Masking, Window, tile


@pytest.fixture(scope="module")
def pieces(prepared: Path) -> list[PieceRecord]:
    return load_pieces(prepared)


@pytest.fixture(scope="module")
def dataset(pieces: list[PieceRecord], tiny_config: ModelConfig) -> PieceDataset:
    return PieceDataset(pieces, tiny_config)


def _batches(
    dataset: PieceDataset, seed: int = 5, dropout: float = 0.3, **more: float
) -> TrainingBatches:
    return TrainingBatches(
        dataset,
        np.array([1 + index % 2 for index in range(len(dataset.lengths))]),
        batch_size=4,
        seed=seed,
        grammar_positions=50,
        masking=Masking(dropout, **more),
    )


def _same(one: Batch, other: Batch) -> bool:
    return (
        one.inputs.shape == other.inputs.shape
        and torch.equal(one.inputs, other.inputs)
        and torch.equal(one.targets, other.targets)
        and torch.equal(one.grammar_rows, other.grammar_rows)
        and np.array_equal(one.states.tick, other.states.tick)
    )


def test_batches_depend_only_on_seed_and_step(dataset: PieceDataset) -> None:
    one, other = _batches(dataset), _batches(dataset)
    steps = [0, 1, 2, one.steps_per_epoch, one.steps_per_epoch * 3 + 1]
    in_order = [one.batch(step) for step in steps]
    backwards = [other.batch(step) for step in reversed(steps)][::-1]
    assert all(map(_same, in_order, backwards))


def test_batches_differ_between_seeds_steps_and_epochs(
    dataset: PieceDataset,
) -> None:
    batches = _batches(dataset)
    assert not _same(batches.batch(0), _batches(dataset, seed=6).batch(0))
    assert not _same(batches.batch(0), batches.batch(1))
    assert not _same(batches.batch(0), batches.batch(batches.steps_per_epoch))
    assert batches.epoch_windows(0) != batches.epoch_windows(1)


def test_an_epoch_repeats_each_piece_as_configured(dataset: PieceDataset) -> None:
    batches = _batches(dataset)
    windows = batches.epoch_windows(0)
    counts = np.bincount([window.piece for window in windows])
    per_piece = -(-(dataset.lengths - 1) // dataset.config.context)
    assert counts.tolist() == (per_piece * batches.repeats).tolist()
    assert batches.steps_per_epoch == -(-len(windows) // 4)


def test_batches_differ_after_a_rollback(dataset: PieceDataset) -> None:
    batches = _batches(dataset)
    assert not _same(batches.batch(1), batches.batch(1, rollbacks=1))
    assert _same(batches.batch(1, rollbacks=2), _batches(dataset).batch(1, rollbacks=2))
    assert batches.epoch_windows(0) != batches.epoch_windows(0, rollbacks=1)


def test_processes_share_the_windows_of_a_batch(dataset: PieceDataset) -> None:
    def shown(process: tuple[int, int], step: int) -> list[list[int]]:
        batches = TrainingBatches(
            dataset, np.ones(len(dataset.lengths), np.int64), batch_size=4, seed=5,
            grammar_positions=50, process=process,
        )  # fmt: skip
        return batches.batch(step).inputs[..., 0].tolist()

    for step in range(3):
        shares = [shown((rank, 2), step) for rank in (0, 1)]
        assert sorted(shares[0] + shares[1]) == sorted(shown((0, 1), step))


def test_on_policy_batches_accept_ungrammatical_pieces(tiny_config: ModelConfig) -> None:
    rng = np.random.default_rng(0)
    pieces = [
        GeneratedPiece(
            np.append(START, rng.integers(UNK, VOCAB_SIZE, n)).astype(np.int16),
            "4/4",
            "major",
            s,
            8,
            0,
        )
        for n, s in ((20, None), (63, "bach"), (400, "bach"))
    ]
    batch, again = (on_policy_batch(pieces, tiny_config, 100, [1, 2]) for _ in range(2))
    assert _same(batch, again)
    assert batch.inputs.shape[:2] == (3, 64)
    for piece, row in zip(pieces, batch.inputs[..., 0].tolist(), strict=True):
        seen = row[: len(piece.tokens) - 1]
        whole = piece.tokens.tolist()
        assert any(whole[i : i + len(seen)] == seen for i in range(len(whole)))
    assert not _same(batch, on_policy_batch(pieces, tiny_config, 100, [1, 3]))


def test_batch_statistics_match_the_batch(dataset: PieceDataset) -> None:
    windows = [*tile(12, 11, 0, None), *tile(int(dataset.lengths[1]), 22, 1, None)[:1]]
    batch = dataset.batch(windows, np.random.default_rng(0), grammar_positions=10**9)
    contents = batch_statistics(MusicalGrammar(), batch)
    assert contents["legal"] == 1
    assert contents["padding"] == pytest.approx(11 / 44)
    shares = {name: share for name, share in contents.items() if name.startswith("style/")}
    assert sum(shares.values()) == 1
    tokens = np.concatenate([dataset.tokens[1:12], dataset.tokens[dataset.first_row[1] :][1:23]])
    ons = (KINDS[tokens] == Kind.NOTE_ON).sum()
    ticks = VALUES[tokens][KINDS[tokens] == Kind.TIME_SHIFT].sum()
    assert contents["notes_per_quarter"] == pytest.approx(ons / (ticks / 24))
    shuffled = torch.from_numpy(np.random.default_rng(0).permutation(batch.targets.numpy().ravel()))
    wrong = replace(batch, targets=shuffled.view(batch.targets.shape))
    assert batch_statistics(MusicalGrammar(), wrong)["legal"] < 0.6


def _condition_columns(batch: Batch, config: ModelConfig) -> dict[str, np.ndarray]:
    """(B, T) of each condition, 0 where unknown."""
    sizes = input_sizes(config)
    first = np.concatenate([[0], np.cumsum(list(sizes.values()))[:-1]])
    columns = batch.inputs.numpy()[..., : -REFERENCES - 1] - first
    return {
        name: columns[..., index]
        for index, name in enumerate(sizes)
        if name in ("bars_left", "meter", "mode", "style", "bars")
    }


def test_conditions_are_hidden_independently_and_for_whole_windows(
    dataset: PieceDataset,
) -> None:
    batches = _batches(dataset, dropout=0.5)
    patterns = set()
    for step in range(20):
        columns = _condition_columns(batches.batch(step), dataset.config)
        real = batches.batch(step).inputs[..., 0].numpy() != PAD
        unknown_bars = columns["bars"][:, 0] == 0
        assert (columns["bars_left"][unknown_bars] == 0).all()
        assert (columns["bars_left"][~unknown_bars][:, 0] > 0).all()
        for name in ("meter", "mode", "bars"):
            shown = columns[name] > 0
            assert (shown == shown[:, :1])[real].all()
        patterns |= set(
            zip(
                *(tuple(columns[name][:, 0] > 0) for name in ("meter", "mode", "bars")), strict=True
            )
        )
    assert len(patterns) == 8


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_condition_dropout_of_zero_and_one(dataset: PieceDataset, dropout: float) -> None:
    columns = _condition_columns(_batches(dataset, dropout=dropout).batch(0), dataset.config)
    for name in ("meter", "mode", "bars"):
        assert (columns[name][:, 0] > 0).all() == (dropout == 0)
        assert (columns[name] > 0).any() == (dropout == 0)


# ------------------------------------------------------------------ lookahead

_NOTHING, _FAR = (0, 0), 2**30


def _voices(piece: PieceRecord) -> list[list[Note]]:
    return [list(v.notes) for v in decode(piece.tokens, Meter.parse(piece.meter)).voices]


def _some_windows(dataset: PieceDataset, seed: int) -> list[Window]:
    rng = np.random.default_rng(seed)
    return [
        window
        for piece, length in enumerate(dataset.lengths)
        for window in tile(int(length), dataset.config.context, piece, rng)
    ]


def test_known_spans_follow_their_probability(dataset: PieceDataset) -> None:
    rng = np.random.default_rng(1)
    for window in _some_windows(dataset, 1):
        assert draw_known_spans(rng, window, dataset, 0.0) == (_NOTHING, _NOTHING)
    spans = [
        draw_known_spans(rng, window, dataset, 1.0) for window in _some_windows(dataset, 1) * 8
    ]
    assert sum(known == (_NOTHING, _NOTHING) for known in spans) == 0
    half = [draw_known_spans(rng, window, dataset, 0.5) for window in _some_windows(dataset, 1) * 8]
    assert 0.35 < sum(known == (_NOTHING, _NOTHING) for known in half) / len(half) < 0.65


def test_known_spans_are_a_voice_the_end_of_both_or_some_bars_of_one(
    dataset: PieceDataset, pieces: list[PieceRecord]
) -> None:
    rng = np.random.default_rng(2)
    kinds = dict.fromkeys(("whole", "end", "bars"), 0)
    for window in _some_windows(dataset, 2) * 8:
        piece = pieces[window.piece]
        bar, known = Meter.parse(piece.meter).bar_ticks, draw_known_spans(rng, window, dataset, 1.0)
        if _NOTHING not in known:
            kind = "end"
            assert all(until >= _FAR - 1 for _, until in known)
        else:
            (stretch,) = (stretch for stretch in known if stretch != _NOTHING)
            kind = "whole" if stretch == (0, _FAR) else "bars"
            assert kind == "whole" or stretch[1] - stretch[0] <= 5 * bar
        kinds[kind] += 1
        for line, limits in zip(_voices(piece), known, strict=True):
            for tick in limits:
                assert not any(n.onset_tick < tick < n.offset_tick for n in line)
                held_to_it = any(n.offset_tick == tick for n in line)
                assert tick >= _FAR - 1 or tick % bar == 0 or held_to_it
    assert kinds["whole"] > kinds["end"] > kinds["bars"] > 0


def _one_by_one(
    piece: PieceRecord,
    window: Window,
    known: KnownSpans,
    config: ModelConfig,
    shown_along: Callable[..., np.ndarray],
) -> np.ndarray:
    """Return the inputs of a window as composing encodes them, from the notes of the score."""
    conditions = PieceConditions.of(
        config, [piece.meter], [piece.mode], [piece.style], [piece.bars]
    )
    lines = [
        voice_of((n.onset_tick, n.pitch, n.duration_ticks) for n in line) for line in _voices(piece)
    ]
    rows = shown_along(
        config, piece.tokens[: window.stop], conditions, Lookahead(lines, known),
        bar_ticks=Meter.parse(piece.meter).bar_ticks, bars=piece.bars,
        transposition=piece.transposition,
    )  # fmt: skip
    return rows[window.start :]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_batches_with_lookahead_equal_the_inputs_of_composing(
    dataset: PieceDataset,
    pieces: list[PieceRecord],
    share: float,
    shown_along: Callable[..., np.ndarray],
) -> None:
    rng = np.random.default_rng(3)
    windows = [w for seed in (3, 4) for w in _some_windows(dataset, seed)][::4]
    known = [draw_known_spans(rng, window, dataset, share) for window in windows]
    batch = dataset.batch(windows, rng, known=known)
    for row, window, stretches in zip(batch.inputs.numpy(), windows, known, strict=True):
        piece = pieces[window.piece]
        expected = _one_by_one(piece, window, stretches, dataset.config, shown_along)
        np.testing.assert_array_equal(row[: window.stop - window.start], expected)


def _lookahead_columns(config: ModelConfig) -> np.ndarray:
    """Return a mask of the input columns that show notes ahead of time."""
    prefixes = ("known_", "next_", "until_", "beat_")
    embedded = [name.startswith(prefixes) for name in input_sizes(config)]
    return np.array(embedded + [False] * (REFERENCES + 1))


def test_lookahead_changes_only_the_lookahead_inputs(dataset: PieceDataset) -> None:
    windows = _some_windows(dataset, 5)[:6]
    rng = np.random.default_rng(5)
    known = [draw_known_spans(rng, window, dataset, 1.0) for window in windows]
    blind, sighted = (
        dataset.batch(windows, np.random.default_rng(6), 0.3, 50, known=one)
        for one in (None, known)
    )
    assert torch.equal(blind.targets, sighted.targets)
    assert torch.equal(blind.grammar_rows, sighted.grammar_rows)
    ahead = torch.from_numpy(_lookahead_columns(dataset.config))
    assert torch.equal(blind.inputs[..., ~ahead], sighted.inputs[..., ~ahead])
    assert (blind.inputs[..., ahead] != sighted.inputs[..., ahead]).any(dim=(1, 2)).all()


def test_lookahead_probability_of_zero_equals_no_lookahead(dataset: PieceDataset) -> None:
    without, none = _batches(dataset), _batches(dataset, lookahead_probability=0.0)
    some = _batches(dataset, lookahead_probability=0.6)
    for step in (0, 1, without.steps_per_epoch):
        assert _same(without.batch(step), none.batch(step))
        assert torch.equal(without.batch(step).targets, some.batch(step).targets)
        tokens = [batches.batch(step).inputs[..., 0] for batches in (without, some)]
        assert torch.equal(*tokens)
        assert not torch.equal(without.batch(step).inputs, some.batch(step).inputs)
        assert _same(some.batch(step), _batches(dataset, lookahead_probability=0.6).batch(step))


def test_a_model_without_lookahead_gets_no_lookahead_inputs(
    pieces: list[PieceRecord], dataset: PieceDataset
) -> None:
    blind = PieceDataset(pieces, dataset.config.model_copy(update={"lookahead": False}))
    batch = _batches(blind, lookahead_probability=1.0).batch(0)
    assert batch.inputs.shape[-1] == len(input_sizes(blind.config)) + REFERENCES + 1
    assert not _lookahead_columns(blind.config).any()


def test_pieces_with_unpaired_notes_can_have_lookahead(
    pieces: list[PieceRecord], tiny_config: ModelConfig
) -> None:
    """A configuration may let them pass. Their lookahead is then undefined, but nothing fails."""
    rng = np.random.default_rng(7)
    spoiled = []
    for piece in pieces:
        stays = rng.random(len(piece.tokens)) < 0.9
        stays[0] = True
        spoiled.append(replace(piece, tokens=piece.tokens[stays]))
    silent = replace(pieces[0], tokens=pieces[0].tokens[:2])
    broken = PieceDataset([*spoiled, silent], tiny_config, spare_slots=3)
    sighted, blind = (_batches(broken, lookahead_probability=share) for share in (1.0, 0.0))
    for step in range(sighted.steps_per_epoch):
        assert torch.equal(sighted.batch(step).targets, blind.batch(step).targets)


def test_grammar_positions_are_scored_sorted_and_as_many_as_requested(
    dataset: PieceDataset,
) -> None:
    batch = _batches(dataset).batch(3)
    rows = batch.grammar_rows.numpy()
    assert len(rows) == len(batch.states) == 50
    assert (np.diff(rows) > 0).all()
    assert (batch.targets.flatten().numpy()[rows] != IGNORE_INDEX).all()


def test_padding_is_pad_and_never_a_target(dataset: PieceDataset) -> None:
    batches = ValidationBatches(dataset, 4)
    shortest = min(int(length) for length in dataset.lengths) - 1
    assert shortest > 10
    windows = [*tile(12, 11, 0, None), *tile(int(dataset.lengths[1]), 64, 1, None)]
    batch = dataset.batch(windows, np.random.default_rng(0))
    unknown = [PAD, *first_rows(dataset.config)[1:]]
    assert (batch.inputs[0, 11:].numpy() == unknown).all()
    assert (batch.targets[0, 11:] == IGNORE_INDEX).all()
    assert (batch.targets[0, :11] != IGNORE_INDEX).all()
    assert all((batches[i].targets != PAD).all() for i in range(len(batches)))


def test_validation_batches_are_constant_and_show_all_conditions(dataset: PieceDataset) -> None:
    one, other = ValidationBatches(dataset, 3), ValidationBatches(dataset, 3)
    assert len(one) > 1
    for index in range(len(one)):
        assert _same(one[index], other[index])
        columns = _condition_columns(one[index], dataset.config)
        assert (columns["meter"][:, 0] > 0).all()
        assert (columns["bars"][:, 0] > 0).all()
