"""The grammar loss: it has a gradient, and the gradient raises the legal tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bicinium.data.shards import load_pieces
from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig, Rule, State, States
from bicinium.model.config import ModelConfig
from bicinium.model.transformer import Transformer
from bicinium.tokenizer.vocabulary import END, START, VOCAB_SIZE, Kind, token_id
from bicinium.training.batches import TrainingBatches, ValidationBatches
from bicinium.training.config import MusicalGrammarSection
from bicinium.training.dataset import (
    Batch,
    PieceDataset,
)
from bicinium.training.live_sampler import GeneratedPiece
from bicinium.training.losses import (
    IGNORE_INDEX,
    MusicalGrammarLoss,
    illegal_mass,
    margin_loss,
    semantic_loss,
    states_before,
)
from bicinium.training.optim import next_token_loss
from bicinium.training.validation import predict_logits
from bicinium.training.windows import Masking, Window

_COMPONENTS = {
    "note_pairing": "pairing",
    "sequence_coherence": "order",
    "repetition_penalty": "repetition",
    "velocity": "velocity",
}
_EVEN = MusicalGrammarSection(
    note_pairing_weight=1,
    sequence_coherence_weight=1,
    repetition_penalty_weight=1,
    velocity_weight=1,
    legality_weight=1,
    margin_weight=1,
    entropy_floor=0,
)
_NOTHING = torch.zeros(())

# A C4 sounds in the upper voice and a quarter has passed.
_PREFIX = [
    START,
    token_id(Kind.TEMPO, 16),
    token_id(Kind.VELOCITY, 19),
    token_id(Kind.NOTE_ON, 60),
    token_id(Kind.TIME_SHIFT, 24),
]
_OFF_C4, _OFF_E7 = token_id(Kind.NOTE_OFF, 60), token_id(Kind.NOTE_OFF, 100)


def _state_after(tokens: list[int], grammar: MusicalGrammar | None = None) -> States:
    grammar = grammar or MusicalGrammar()
    state = grammar.initial_states(1)
    for token in tokens:
        grammar.advance(state, np.array([token]))
    return state


def _logits(**mass: float) -> Tensor:
    """(1, V) logits whose softmax puts the given share on token ``t<id>``, the rest on _OFF_C4."""
    p = torch.full((VOCAB_SIZE,), 1e-30)
    for name, share in mass.items():
        p[int(name[1:])] = share
    p[_OFF_C4] = 1 - sum(mass.values())
    return p.log()[None]


def _loss(logits: Tensor, state: States, target: int = _OFF_C4) -> tuple[float, dict[str, float]]:
    total, parts = MusicalGrammarLoss(_EVEN)(logits, torch.tensor([target]), _NOTHING, state)
    return float(total), {name: float(part) for name, part in parts.items()}


@pytest.fixture(scope="module")
def after_note() -> States:
    return _state_after(_PREFIX)


def test_the_loss_of_a_rule_is_minus_log_of_the_legal_mass(after_note: States) -> None:
    total, parts = _loss(_logits(**{f"t{_OFF_E7}": 0.25}), after_note)
    assert parts["note_pairing"] == pytest.approx(-np.log(0.75), abs=1e-5)
    assert parts["velocity"] == pytest.approx(0, abs=1e-5)
    assert total == pytest.approx(sum(parts.values()), abs=1e-6)


def test_loss_rises_as_illegal_mass_rises(after_note: States) -> None:
    shares = (0.0, 0.01, 0.1, 0.5, 0.9, 0.999)
    losses = [_loss(_logits(**{f"t{_OFF_E7}": share}), after_note)[0] for share in shares]
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(0, abs=1e-5)
    assert losses[-1] > 5


def test_loss_is_zero_when_all_mass_is_legal(after_note: States) -> None:
    legal = torch.from_numpy(MusicalGrammar().mask(after_note))
    logits = torch.randn(1, VOCAB_SIZE).masked_fill(~legal, -1e4)
    total, parts = _loss(logits, after_note)
    assert total == pytest.approx(0, abs=1e-5)
    assert set(parts) == {*_COMPONENTS, "legality", "margin", "entropy_floor"}


@pytest.mark.parametrize(
    ("component", "prefix", "token"),
    [
        ("note_pairing", _PREFIX, _OFF_E7),
        ("note_pairing", _PREFIX, token_id(Kind.NOTE_ON, 60)),
        ("sequence_coherence", _PREFIX, START),
        ("sequence_coherence", _PREFIX, token_id(Kind.TIME_SHIFT, 7)),  # time: two shifts in a row
        ("sequence_coherence", _PREFIX, token_id(Kind.NOTE_ON, 72)),  # voices: C4 still sounds
        ("sequence_coherence", _PREFIX[:4], _OFF_C4),  # duration: no length
        ("velocity", _PREFIX[:2], token_id(Kind.VELOCITY, 0)),
        (
            "repetition_penalty",
            [*_PREFIX[:4], *[token_id(Kind.TIME_SHIFT, 512)] * 3],
            token_id(Kind.TIME_SHIFT, 512),
        ),
    ],
)
def test_each_component_covers_its_rules(component: str, prefix: list[int], token: int) -> None:
    state = _state_after(prefix)
    loss = MusicalGrammarLoss(_EVEN)
    logits = torch.full((1, VOCAB_SIZE), -1e4)
    legal = int(np.flatnonzero(loss.grammar.mask(state)[0])[0])
    logits[0, legal] = logits[0, token] = 0
    _, parts = loss(logits, torch.tensor([legal]), _NOTHING, state)
    assert float(parts[component]) == pytest.approx(np.log(2), abs=1e-4)


def test_weights_and_scale_multiply_the_components(after_note: States) -> None:
    logits, target = _logits(**{f"t{_OFF_E7}": 0.25}), torch.tensor([_OFF_C4])
    config = _EVEN.model_copy(update={"note_pairing_weight": 10.0})
    base = torch.tensor(2.0)
    for scale in (0.0, 0.5, 1.0):
        total, parts = MusicalGrammarLoss(config)(logits, target, base, after_note, scale=scale)
        expected = 2 + scale * (9 * parts["note_pairing"] + sum(parts.values()))
        assert float(total) == pytest.approx(float(expected), abs=1e-5)


def test_gradient_equals_the_finite_difference(after_note: States) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, VOCAB_SIZE, generator=generator, requires_grad=True)
    loss, target = MusicalGrammarLoss(_EVEN), torch.tensor([_OFF_C4])
    total, _ = loss(logits, target, _NOTHING, after_note)
    (gradient,) = torch.autograd.grad(total, logits)
    assert torch.isfinite(gradient).all()
    direction = torch.randn(1, VOCAB_SIZE, generator=generator)
    step = 1e-2
    with torch.no_grad():
        above, _ = loss(logits + step * direction, target, _NOTHING, after_note)
        below, _ = loss(logits - step * direction, target, _NOTHING, after_note)
    measured = float(above - below) / (2 * step)
    assert abs(measured) > 0.01
    assert measured == pytest.approx(float((gradient * direction).sum()), rel=1e-2)


def test_gradient_raises_every_legal_token(after_note: States) -> None:
    logits = torch.zeros(1, VOCAB_SIZE, requires_grad=True)
    total, _ = MusicalGrammarLoss(_EVEN)(logits, torch.tensor([_OFF_C4]), _NOTHING, after_note)
    total.backward()
    assert logits.grad is not None
    legal = torch.from_numpy(MusicalGrammar().mask(after_note))
    assert (logits.grad[legal] < 0).all()  # descent goes the other way
    assert (logits.grad[~legal] > 0).any()


def test_the_pairing_gradient_lowers_unpaired_notes(after_note: States) -> None:
    logits = torch.zeros(1, VOCAB_SIZE, requires_grad=True)
    _, parts = MusicalGrammarLoss(_EVEN)(logits, torch.tensor([_OFF_C4]), _NOTHING, after_note)
    parts["note_pairing"].backward()
    assert logits.grad is not None
    lowered = (logits.grad[0] > 0).tolist()
    assert lowered[_OFF_E7]
    assert lowered[token_id(Kind.NOTE_ON, 60)]
    assert not lowered[_OFF_C4]
    assert not lowered[token_id(Kind.NOTE_ON, 62)]


def test_ignored_positions_count_neither_in_the_sum_nor_in_the_mean(after_note: States) -> None:
    bad, good = _logits(**{f"t{_OFF_E7}": 0.75}), _logits()
    logits = torch.cat([bad, good, bad])
    states = after_note.take(np.array([0, 0, 0]))

    def total(targets: list[int]) -> float:
        return float(MusicalGrammarLoss(_EVEN)(logits, torch.tensor(targets), _NOTHING, states)[0])

    margin = np.log1p(3 / _EVEN.tolerated_odds)
    one = -2 * np.log(0.25) + margin  # for the rule, for legality and for the margin
    assert total([_OFF_C4] * 3) == pytest.approx(2 / 3 * one, abs=1e-4)
    assert total([_OFF_C4, _OFF_C4, IGNORE_INDEX]) == pytest.approx(one / 2, abs=1e-4)
    assert total([IGNORE_INDEX, _OFF_C4, IGNORE_INDEX]) == pytest.approx(0, abs=1e-4)
    assert total([IGNORE_INDEX] * 3) == 0


def test_positions_that_forbid_every_token_do_not_count(after_note: States) -> None:
    class Nothing(Rule):
        """Only where the metre is unknown, so that the grammar itself can be built."""

        name = "nothing"

        def any_token(self, state: State, token: int) -> bool:
            return state.bar_ticks == 0

    both = after_note.take(np.zeros(2, np.int64))
    both.bar_ticks[:] = [96, 0]
    loss = MusicalGrammarLoss(_EVEN, MusicalGrammar(extra_rules=[Nothing]))
    logits = torch.randn(1, 2, VOCAB_SIZE, requires_grad=True)
    targets = torch.tensor([[_OFF_C4, _OFF_C4]])
    total, _ = loss(logits, targets, _NOTHING, both)
    total.backward()
    first, _ = loss(logits[:, :1], targets[:, :1], _NOTHING, both.take(np.array([0])))
    assert total.item() == pytest.approx(first.item())
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[0, 1] == 0).all()
    only_it, parts = loss(logits[:, 1:], targets[:, :1], _NOTHING, both.take(np.array([1])))
    assert [only_it.item(), *(part.item() for part in parts.values())] == [0] * (len(parts) + 1)


def test_states_are_computed_if_left_out(legal_walks: Callable[..., list[np.ndarray]]) -> None:
    """Without them rows begin right after START; the answer is the same."""
    walks = legal_walks(3, 1, 60)
    length = max(len(walk) for walk in walks) - 1
    targets = np.full((3, length), IGNORE_INDEX, np.int64)
    states = []
    grammar = MusicalGrammar()
    for row, walk in enumerate(walks):
        targets[row, : len(walk) - 1] = walk[1:]
        state = grammar.initial_states(1)
        for token in [*walk[:-1], *[END] * (length + 1 - len(walk))]:
            grammar.advance(state, np.array([token]))
            states.append(state.take(np.array([0])))
    logits = torch.randn(3, length, VOCAB_SIZE)
    loss, base = MusicalGrammarLoss(_EVEN), torch.tensor(1.5)
    total, parts = loss(
        predicted_tokens=logits, target_tokens=torch.from_numpy(targets), base_loss=base
    )
    apart = []
    for position, state in enumerate(states):
        row, t = divmod(position, length)
        if targets[row, t] != IGNORE_INDEX:
            _, one = loss(logits[row, t][None], torch.tensor([targets[row, t]]), base, state)
            apart.append([float(one[name]) for name in parts])
    expected = dict(zip(parts, np.mean(apart, axis=0), strict=True))
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(expected, abs=1e-4)
    assert float(total) == pytest.approx(1.5 + sum(expected.values()), abs=1e-4)


def test_a_model_certain_of_legal_targets_has_no_loss(
    legal_walks: Callable[..., list[np.ndarray]],
) -> None:
    """The loss never contradicts the data: each target is legal at its position."""
    (walk,) = legal_walks(1, 2, 80)
    targets = torch.from_numpy(walk[1:].astype(np.int64))[None]
    logits = torch.nn.functional.one_hot(targets, VOCAB_SIZE).float() * 1e4
    total, _ = MusicalGrammarLoss(_EVEN)(logits, targets, _NOTHING)
    assert float(total) == pytest.approx(0, abs=1e-5)


def test_the_grammar_loss_alone_lowers_illegal_mass_a_hundredfold(
    legal_walks: Callable[..., list[np.ndarray]],
) -> None:
    """Free logits at every position, no cross-entropy: only the grammar moves them."""
    (walk,) = legal_walks(1, 3, 60)
    targets = torch.from_numpy(walk[1:].astype(np.int64))[None]
    grammar = MusicalGrammar()
    state = grammar.initial_states(1)
    forbidden = []
    for token in walk[:-1]:
        grammar.advance(state, np.array([token]))
        forbidden.append(~grammar.mask(state)[0])
    illegal = torch.from_numpy(np.stack(forbidden))[None]
    logits = torch.randn(1, len(walk) - 1, VOCAB_SIZE, generator=torch.Generator().manual_seed(1))
    logits.requires_grad_()
    before = float(illegal_mass(logits.detach(), illegal).mean())
    loss, optimizer = MusicalGrammarLoss(), torch.optim.Adam([logits], lr=0.5)
    for _ in range(25):
        optimizer.zero_grad()
        total, _ = loss(logits, targets, _NOTHING)
        total.backward()
        optimizer.step()
    after = float(illegal_mass(logits.detach(), illegal).mean())
    assert before > 0.3
    assert after < before / 100


@pytest.mark.slow
def test_the_grammar_loss_alone_trains_an_untrained_model(strolls: Path) -> None:
    """No cross-entropy, music it has not seen: the illegal mass falls a hundredfold."""
    pieces = load_pieces(strolls)
    config = ModelConfig(d_model=64, n_layers=2, n_heads=2, d_ff=128, context=128)
    sides = [[p for p in pieces if p.split == side] for side in ("train", "validation")]
    shown, unseen = (PieceDataset(side, config) for side in sides)
    batches = TrainingBatches(
        shown,
        np.ones(len(sides[0]), np.int64),
        batch_size=8,
        seed=1,
        masking=Masking(condition_dropout=0.1),
        grammar_positions=1024,
    )
    torch.manual_seed(0)
    model, loss = Transformer(config), MusicalGrammarLoss()
    held_out = ValidationBatches(unseen, 8)[0]
    forbidden = torch.from_numpy(~loss.grammar.mask(held_out.states))

    def illegal() -> float:
        return float(illegal_mass(predict_logits(model, held_out), forbidden).mean())

    before = illegal()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 5e-3 * min(1, (step + 1) / 30, (400 - step) / 200)
        batch = batches.batch(step)
        total, _ = loss(
            model(batch.inputs), batch.targets, _NOTHING, batch.states, batch.grammar_rows
        )
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(f"\nillegal mass of an untrained model: {before:.3f}, after descent: {illegal():.5f}")
    assert illegal() < before / 100


def test_illegal_mass_is_the_probability_of_forbidden_tokens() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]).log()
    forbidden = torch.tensor([[False, True, True], [False, False, False]])
    assert illegal_mass(logits, forbidden).tolist() == pytest.approx([0.5, 0.0])


def test_a_custom_rule_counts_as_sequence_coherence(after_note: States) -> None:
    class NoQuarter(Rule):
        name = "no quarter"

        def time_shift(self, state: State, ticks: int) -> bool:
            return ticks == 24

    grammar = MusicalGrammar(extra_rules=[NoQuarter])
    state = _state_after(_PREFIX[:4], grammar)
    quarter, eighth = token_id(Kind.TIME_SHIFT, 24), token_id(Kind.TIME_SHIFT, 12)
    logits = torch.full((1, VOCAB_SIZE), -1e4)
    logits[0, quarter] = logits[0, eighth] = 0
    target = torch.tensor([eighth])
    _, with_rule = MusicalGrammarLoss(_EVEN, grammar)(logits, target, _NOTHING, state)
    _, without = MusicalGrammarLoss(_EVEN)(logits, target, _NOTHING, state)
    assert float(with_rule["sequence_coherence"]) == pytest.approx(np.log(2), abs=1e-4)
    assert float(without["sequence_coherence"]) == pytest.approx(0, abs=1e-4)


def test_the_grammar_may_have_fewer_rules() -> None:
    only = MusicalGrammar(MusicalGrammarConfig(rules=("order", "pairing")))
    _, parts = MusicalGrammarLoss(_EVEN, only)(
        torch.randn(1, VOCAB_SIZE), torch.tensor([_OFF_C4]), _NOTHING, _state_after(_PREFIX, only)
    )
    assert set(parts) == {
        "note_pairing",
        "sequence_coherence",
        "legality",
        "margin",
        "entropy_floor",
    }


# ------------------------------------------------------------------ the gradient


@pytest.mark.parametrize("seed", range(5))
def test_semantic_loss_passes_a_gradcheck_on_a_small_vocabulary(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    forbidden = torch.rand(4, 6, generator=generator) < 0.5
    forbidden[0] = True  # nothing is left
    forbidden[1] = False
    assert torch.autograd.gradcheck(lambda x: semantic_loss(x, forbidden), (logits,))
    known = lambda x: semantic_loss(x, forbidden, x.logsumexp(dim=-1))  # noqa: E731
    assert torch.autograd.gradcheck(known, (logits,))
    p = logits.detach().softmax(dim=-1)
    expected = -(1 - (p * forbidden).sum(dim=-1)).log()
    torch.testing.assert_close(semantic_loss(logits.detach(), forbidden)[1:], expected[1:])
    assert semantic_loss(logits.detach(), forbidden)[0] == 0


@pytest.mark.parametrize("seed", range(5))
def test_margin_loss_passes_a_gradcheck_and_equals_its_formula(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    forbidden = torch.rand(4, 6, generator=generator) < 0.5
    forbidden[0] = True  # nothing is left
    forbidden[1] = False
    forbidden[2:, 0], forbidden[2:, 1] = True, False
    assert torch.autograd.gradcheck(lambda x: margin_loss(x, forbidden, 1e-3), (logits,))
    p = (logits.detach().softmax(dim=-1) * forbidden).sum(dim=-1)
    expected = torch.log1p(p / (1 - p) / 1e-3)
    torch.testing.assert_close(margin_loss(logits.detach(), forbidden, 1e-3)[2:], expected[2:])
    assert margin_loss(logits.detach(), forbidden, 1e-3)[:2].tolist() == [0, 0]


def test_the_margin_has_a_gradient_at_small_illegal_mass(after_note: States) -> None:
    pulls = []
    for of in ({"margin_weight": 1.0}, {"legality_weight": 1.0}):
        others = {
            name: 0.0 for name in MusicalGrammarSection.model_fields if name.endswith("weight")
        }
        loss = MusicalGrammarLoss(MusicalGrammarSection(**(others | of)))
        logits = _logits(**{f"t{_OFF_E7}": 1e-4}).requires_grad_()
        loss(logits, torch.tensor([_OFF_C4]), _NOTHING, after_note)[0].backward()
        assert logits.grad is not None
        pulls.append(float(logits.grad[0, _OFF_E7]))
    assert pulls[0] == pytest.approx(1e-4 / (1e-4 + 1e-5), rel=1e-2)
    assert pulls[1] == pytest.approx(1e-4, rel=1e-2)


def test_the_loss_changes_the_gradient_of_every_weight(
    legal_walks: Callable[..., list[np.ndarray]], tiny_config: ModelConfig
) -> None:
    gradients = []
    for scale in (0.0, 1.0):
        torch.manual_seed(0)
        model, batch = Transformer(tiny_config), _batch(legal_walks(4, 5, 60), tiny_config)
        logits = model(batch.inputs)
        base = next_token_loss(logits, batch.targets)
        total, _ = MusicalGrammarLoss()(
            logits, batch.targets, base, batch.states, batch.grammar_rows, scale
        )
        total.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    without, with_loss = gradients
    for name, gradient in without.items():
        assert not torch.allclose(gradient, with_loss[name], rtol=0.01), name


def _batch(walks: list[np.ndarray], config: ModelConfig, bars: int = 8) -> Batch:
    """Whole walks side by side, the grammar measured everywhere."""
    own = [GeneratedPiece(walk, "4/4", "major", "bach", bars, 0) for walk in walks]
    dataset = PieceDataset(own, config)
    windows = [Window(i, 0, min(len(w) - 1, config.context), 0) for i, w in enumerate(walks)]
    return dataset.batch(windows, np.random.default_rng(0), grammar_positions=10**9)


# ------------------------------------------------------------------ loops

_LOOP = [token_id(Kind.NOTE_ON, 60), token_id(Kind.TIME_SHIFT, 12)]
_LOOP += [token_id(Kind.NOTE_OFF, 60), token_id(Kind.TIME_SHIFT, 12)]
_LOOPED = [*_PREFIX[1:3], *_LOOP * 12]  # what comes after START
_FIRST = 2 + 24  # the first of them that continues a loop


def _looped_penalty(targets: list[int], place: int, token: int, on_policy: bool) -> float:
    """Return the penalty where a position has half of its mass on ``token`` and half on another
    legal token. At the other positions all mass is on the target.
    """
    logits = torch.full((1, len(targets), VOCAB_SIZE), -1e4)
    logits[0, torch.arange(len(targets)), torch.tensor(targets)] = 0
    logits[0, place] = -1e4
    logits[0, place, token] = logits[0, place, token_id(Kind.TIME_SHIFT, 6)] = 0
    _, parts = MusicalGrammarLoss(_EVEN)(
        logits, torch.tensor([targets]), _NOTHING, rows=torch.tensor([place]), on_policy=on_policy
    )
    return float(parts["repetition_penalty"])


@pytest.mark.parametrize("place", [_FIRST, _FIRST + 5, len(_LOOPED) - 1])
def test_a_loop_continued_by_the_model_is_penalised(place: int) -> None:
    token = _LOOPED[place]
    assert _looped_penalty(_LOOPED, place, token, on_policy=True) == pytest.approx(np.log(2))


def test_continuing_a_loop_that_the_music_leaves_is_penalised() -> None:
    left = [*_LOOPED[: _FIRST + 1], token_id(Kind.TIME_SHIFT, 36)]
    penalty = _looped_penalty(left, _FIRST + 1, _LOOPED[_FIRST + 1], on_policy=False)
    assert penalty == pytest.approx(np.log(2))


def test_a_loop_continued_by_the_music_is_not_penalised() -> None:
    for place in (_FIRST, _FIRST + 5):
        assert _looped_penalty(_LOOPED, place, _LOOPED[place], on_policy=False) == 0


@pytest.mark.parametrize("on_policy", [False, True])
def test_a_beginning_loop_is_not_penalised(on_policy: bool) -> None:
    for place in (2, 10, _FIRST - 1):
        assert _looped_penalty(_LOOPED, place, _LOOPED[place], on_policy) == 0


# ------------------------------------------------------------------ any model, any state


@pytest.mark.parametrize("floor", [0.2, 1.0])
def test_the_entropy_floor_acts_only_below_the_floor(after_note: States, floor: float) -> None:
    config = _EVEN.model_copy(update={"entropy_floor": floor, "entropy_weight": 3.0})
    loss, target = MusicalGrammarLoss(config), torch.tensor([_OFF_C4])
    legal = np.flatnonzero(loss.grammar.mask(after_note)[0])
    for spread in (0.0, 0.5, 5.0):
        logits = torch.full((1, VOCAB_SIZE), -1e4)
        logits[0, legal[:2]] = torch.tensor([spread * 2, 0.0])
        logits.requires_grad_()
        p = logits.detach()[0, legal[:2]].softmax(dim=0)
        entropy = float(-(p * p.log()).sum())
        total, parts = loss(logits, target, _NOTHING, after_note)
        missing = max(0.0, floor - entropy)
        assert float(parts["entropy_floor"].detach()) == pytest.approx(missing, abs=1e-5)
        assert float(total.detach()) == pytest.approx(3 * missing, abs=1e-4)
        total.backward()
        assert logits.grad is not None
        if missing > 0 and spread:
            assert logits.grad[0, legal[0]] > 0 > logits.grad[0, legal[1]]  # evens them out


def test_logits_of_minus_infinity_give_finite_losses(after_note: States) -> None:
    """A model may forbid tokens itself."""
    legal = torch.from_numpy(MusicalGrammar().mask(after_note))
    logits = torch.randn(1, VOCAB_SIZE).masked_fill(~legal, -torch.inf).requires_grad_()
    total, parts = MusicalGrammarLoss()(logits, torch.tensor([_OFF_C4]), _NOTHING, after_note)
    assert torch.isfinite(total)
    assert all(torch.isfinite(part) for part in parts.values())
    total.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_any_torch_model_learns_grammar_from_tokens_alone(
    legal_walks: Callable[..., list[np.ndarray]],
) -> None:
    """The model is an embedding and a matrix, without states. It learns bigrams."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(VOCAB_SIZE, 16), nn.Linear(16, VOCAB_SIZE))
    walks = legal_walks(8, 4, 60)
    length = min(len(walk) for walk in walks)
    tokens = torch.from_numpy(np.stack([walk[:length] for walk in walks]).astype(np.int64))
    loss, optimizer = MusicalGrammarLoss(), torch.optim.Adam(model.parameters(), lr=0.05)
    totals = []
    for _ in range(25):
        optimizer.zero_grad()
        total, parts = loss(
            predicted_tokens=model(tokens[:, :-1]), target_tokens=tokens[:, 1:], base_loss=_NOTHING
        )
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < totals[0] / 10
    assert all(float(part.detach()) < 1 for part in parts.values())


def test_rows_select_the_positions_that_count(
    legal_walks: Callable[..., list[np.ndarray]],
) -> None:
    """With states or without, measured on some rows it is the mean over these."""
    walks = legal_walks(2, 6, 50)
    length = min(len(walk) for walk in walks) - 1
    targets = torch.from_numpy(np.stack([w[1 : length + 1] for w in walks]).astype(np.int64))
    logits = torch.randn(2, length, VOCAB_SIZE, generator=torch.Generator().manual_seed(0))
    loss, rows = MusicalGrammarLoss(_EVEN), torch.tensor([0, 3, length, length + 5])
    states = states_before(loss.grammar, targets)
    _, given = loss(logits, targets, _NOTHING, states.take(rows.numpy()), rows)
    _, found = loss(logits, targets, _NOTHING, rows=rows)
    each = [loss(logits, targets, _NOTHING, rows=row[None])[1] for row in rows]
    for name, part in found.items():
        assert float(given[name]) == pytest.approx(float(part), abs=1e-6)
        mean = np.mean([float(one[name]) for one in each])
        assert float(part) == pytest.approx(mean, abs=1e-5)
