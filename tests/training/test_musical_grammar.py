"""The grammar as a loss: it has a gradient, and the gradient points to the legal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig, Rule, State
from bicinium.tokens.vocabulary import END, START, VOCAB_SIZE, Kind, token_id
from bicinium.training.config import MusicalGrammarSection
from bicinium.training.musical_grammar import IGNORED, MusicalGrammarLoss, illegal_mass

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


def _state_after(tokens: list[int], grammar: MusicalGrammar | None = None) -> State:
    grammar = grammar or MusicalGrammar()
    state = grammar.initial_state(1)
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


def _loss(logits: Tensor, state: State, target: int = _OFF_C4) -> tuple[float, dict[str, float]]:
    total, parts = MusicalGrammarLoss(_EVEN)(logits, torch.tensor([target]), _NOTHING, state)
    return float(total), {name: float(part) for name, part in parts.items()}


@pytest.fixture(scope="module")
def after_note() -> State:
    return _state_after(_PREFIX)


def test_loss_of_a_rule_is_minus_log_of_the_mass_it_leaves(after_note: State) -> None:
    total, parts = _loss(_logits(**{f"t{_OFF_E7}": 0.25}), after_note)
    assert parts["note_pairing"] == pytest.approx(-np.log(0.75), abs=1e-5)
    assert parts["velocity"] == pytest.approx(0, abs=1e-5)
    assert total == pytest.approx(sum(parts.values()), abs=1e-6)


def test_loss_rises_as_illegal_mass_rises(after_note: State) -> None:
    shares = (0.0, 0.01, 0.1, 0.5, 0.9, 0.999)
    losses = [_loss(_logits(**{f"t{_OFF_E7}": share}), after_note)[0] for share in shares]
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(0, abs=1e-5)
    assert losses[-1] > 5


def test_loss_is_zero_when_all_mass_is_legal(after_note: State) -> None:
    legal = torch.from_numpy(MusicalGrammar().token_mask(after_note))
    logits = torch.randn(1, VOCAB_SIZE).masked_fill(~legal, -1e4)
    total, parts = _loss(logits, after_note)
    assert total == pytest.approx(0, abs=1e-5)
    assert set(parts) == {*_COMPONENTS, "entropy_floor"}


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
def test_each_component_answers_for_its_rules(
    component: str, prefix: list[int], token: int
) -> None:
    state = _state_after(prefix)
    loss = MusicalGrammarLoss(_EVEN)
    logits = torch.full((1, VOCAB_SIZE), -1e4)
    legal = int(np.flatnonzero(loss.grammar.token_mask(state)[0])[0])
    logits[0, legal] = logits[0, token] = 0
    _, parts = loss(logits, torch.tensor([legal]), _NOTHING, state)
    assert float(parts[component]) == pytest.approx(np.log(2), abs=1e-4)


def test_weights_and_scale_multiply_the_components(after_note: State) -> None:
    logits, target = _logits(**{f"t{_OFF_E7}": 0.25}), torch.tensor([_OFF_C4])
    config = _EVEN.model_copy(update={"note_pairing_weight": 10.0})
    base = torch.tensor(2.0)
    for scale in (0.0, 0.5, 1.0):
        total, parts = MusicalGrammarLoss(config)(logits, target, base, after_note, scale=scale)
        expected = 2 + scale * (9 * parts["note_pairing"] + sum(parts.values()))
        assert float(total) == pytest.approx(float(expected), abs=1e-5)


def test_gradient_equals_the_finite_difference(after_note: State) -> None:
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


def test_gradient_raises_every_legal_token(after_note: State) -> None:
    logits = torch.zeros(1, VOCAB_SIZE, requires_grad=True)
    total, _ = MusicalGrammarLoss(_EVEN)(logits, torch.tensor([_OFF_C4]), _NOTHING, after_note)
    total.backward()
    assert logits.grad is not None
    legal = torch.from_numpy(MusicalGrammar().token_mask(after_note))
    assert (logits.grad[legal] < 0).all()  # descent goes the other way
    assert (logits.grad[~legal] > 0).any()


def test_gradient_of_pairing_lowers_what_does_not_pair(after_note: State) -> None:
    logits = torch.zeros(1, VOCAB_SIZE, requires_grad=True)
    _, parts = MusicalGrammarLoss(_EVEN)(logits, torch.tensor([_OFF_C4]), _NOTHING, after_note)
    parts["note_pairing"].backward()
    assert logits.grad is not None
    lowered = (logits.grad[0] > 0).tolist()
    assert lowered[_OFF_E7]
    assert lowered[token_id(Kind.NOTE_ON, 60)]
    assert not lowered[_OFF_C4]
    assert not lowered[token_id(Kind.NOTE_ON, 62)]


def test_ignored_positions_count_neither_in_the_sum_nor_in_the_mean(after_note: State) -> None:
    bad, good = _logits(**{f"t{_OFF_E7}": 0.75}), _logits()
    logits = torch.cat([bad, good, bad])
    states = after_note.take(np.array([0, 0, 0]))

    def total(targets: list[int]) -> float:
        return float(MusicalGrammarLoss(_EVEN)(logits, torch.tensor(targets), _NOTHING, states)[0])

    one = -np.log(0.25)
    assert total([_OFF_C4] * 3) == pytest.approx(2 / 3 * one, abs=1e-4)
    assert total([_OFF_C4, _OFF_C4, IGNORED]) == pytest.approx(one / 2, abs=1e-4)
    assert total([IGNORED, _OFF_C4, IGNORED]) == pytest.approx(0, abs=1e-4)
    assert total([IGNORED] * 3) == 0


def test_a_rule_that_forbids_everything_at_a_position_gives_no_nan(after_note: State) -> None:
    class Nothing(Rule):
        """Only where the metre is unknown, so that the grammar itself can be built."""

        name = "nothing"

        def any_token(self, state: State, *_: object) -> np.ndarray:
            return (state.bar_ticks == 0)[:, None]

    state = after_note.take(np.arange(1))
    state.bar_ticks[:] = 0
    loss = MusicalGrammarLoss(_EVEN, MusicalGrammar(extra_rules=[Nothing]))
    logits = torch.randn(1, VOCAB_SIZE, requires_grad=True)
    total, parts = loss(logits, torch.tensor([_OFF_C4]), _NOTHING, state)
    total.backward()
    assert torch.isfinite(total)
    assert float(parts["sequence_coherence"]) == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_states_need_not_be_given(legal_walks: Callable[..., list[np.ndarray]]) -> None:
    """Without them rows begin right after START; the answer is the same."""
    walks = legal_walks(3, 1, 60)
    length = max(len(walk) for walk in walks) - 1
    targets = np.full((3, length), IGNORED, np.int64)
    states = []
    grammar = MusicalGrammar()
    for row, walk in enumerate(walks):
        targets[row, : len(walk) - 1] = walk[1:]
        state = grammar.initial_state(1)
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
        if targets[row, t] != IGNORED:
            _, one = loss(logits[row, t][None], torch.tensor([targets[row, t]]), base, state)
            apart.append([float(one[name]) for name in parts])
    expected = dict(zip(parts, np.mean(apart, axis=0), strict=True))
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(expected, abs=1e-4)
    assert float(total) == pytest.approx(1.5 + sum(expected.values()), abs=1e-4)


def test_legal_targets_cost_nothing_under_a_model_that_says_only_them(
    legal_walks: Callable[..., list[np.ndarray]],
) -> None:
    """The loss never speaks against the data: each target is legal at its own position."""
    (walk,) = legal_walks(1, 2, 80)
    targets = torch.from_numpy(walk[1:].astype(np.int64))[None]
    logits = torch.nn.functional.one_hot(targets, VOCAB_SIZE).float() * 1e4
    total, _ = MusicalGrammarLoss(_EVEN)(logits, targets, _NOTHING)
    assert float(total) == pytest.approx(0, abs=1e-5)


def test_descent_on_the_grammar_alone_lowers_illegal_mass_a_hundredfold(
    legal_walks: Callable[..., list[np.ndarray]],
) -> None:
    """Free logits at every position, no cross-entropy: only the grammar moves them."""
    (walk,) = legal_walks(1, 3, 60)
    targets = torch.from_numpy(walk[1:].astype(np.int64))[None]
    grammar = MusicalGrammar()
    state = grammar.initial_state(1)
    forbidden = []
    for token in walk[:-1]:
        grammar.advance(state, np.array([token]))
        forbidden.append(~grammar.token_mask(state)[0])
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


def test_illegal_mass_is_the_probability_of_what_is_forbidden() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]).log()
    forbidden = torch.tensor([[False, True, True], [False, False, False]])
    assert illegal_mass(logits, forbidden).tolist() == pytest.approx([0.5, 0.0])


def test_a_callers_own_rule_counts_as_coherence(after_note: State) -> None:
    class NoQuarter(Rule):
        name = "no quarter"

        def time_shift(self, state: State, ticks: np.ndarray) -> np.ndarray:
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


def test_grammar_config_may_leave_rules_out() -> None:
    only = MusicalGrammar(MusicalGrammarConfig(rules=("order", "pairing")))
    _, parts = MusicalGrammarLoss(_EVEN, only)(
        torch.randn(1, VOCAB_SIZE), torch.tensor([_OFF_C4]), _NOTHING, _state_after(_PREFIX, only)
    )
    assert set(parts) == {"note_pairing", "sequence_coherence", "entropy_floor"}
