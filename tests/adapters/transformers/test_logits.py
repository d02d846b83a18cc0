"""The logits processor allows what the automaton allows, however ``generate()`` arranges rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bicinium.errors import GrammarError, TokenError
from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig, MusicalGrammarValidator
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import END, PAD, START, VOCAB_SIZE

pytest.importorskip("transformers", minversion="5.24")
pytest.importorskip("accelerate")

from bicinium.adapters.transformers import GrammarLogitsProcessor

METERS, BARS = ("3/4", "6/8", "4/4"), (2, 3, 1)
PROMPTS = ([START], [START, 740, 710, 50], [START, 745])


def _padded(rows, side_length=None):
    length = side_length or max(map(len, rows))
    return [[PAD] * (length - len(row)) + list(row) for row in rows]


def _allowed_by_automaton(grammar, row, **request):
    """Return the mask after a row, by the automaton alone, from the first token on."""
    state = grammar.initial_state(**request)
    for token in row[row.index(START) :]:
        state.advance(token)
    return grammar.token_mask(state)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beams", [1, 3])
def test_the_mask_is_the_automatons_at_every_step(seed, beams):
    """Beams change places, some continue the same parent, and finished rows are padded."""
    rng = np.random.default_rng(seed)
    grammar = MusicalGrammar(MusicalGrammarConfig(max_polyphony=2))
    processor = GrammarLogitsProcessor(
        grammar, meter=METERS, bars=BARS, max_tokens=[80, 50, 60], transposition=[0, 3, -2]
    )
    rows = [row for row in _padded(PROMPTS) for _ in range(beams)]
    ended = 0
    for _ in range(90):
        scores = processor(torch.tensor(rows), torch.zeros(len(rows), VOCAB_SIZE))
        for index, row in enumerate(rows):
            prompt = index // beams
            expected = _allowed_by_automaton(
                grammar,
                row,
                meter=Meter.parse(METERS[prompt]),
                bars=BARS[prompt],
                max_tokens=(80, 50, 60)[prompt],
                transposition=(0, 3, -2)[prompt],
            )
            assert np.array_equal(scores[index].isfinite().numpy(), expected)
            if END in row:
                ended += 1
                assert np.flatnonzero(expected).tolist() == [PAD]
        parents = [
            first + int(rng.integers(beams))
            for first in range(0, len(rows), beams)
            for _ in range(beams)
        ]
        finite = scores.isfinite().numpy()
        rows = [
            [*rows[parent], int(rng.choice(np.flatnonzero(finite[parent])))] for parent in parents
        ]
    assert ended > 0


def test_scores_that_are_allowed_are_unchanged():
    scores = torch.randn(1, VOCAB_SIZE)
    found = GrammarLogitsProcessor()(torch.tensor([[START]]), scores)
    allowed = found.isfinite()
    assert 0 < int(allowed.sum()) < VOCAB_SIZE
    assert torch.equal(found[allowed], scores[allowed])


@pytest.mark.parametrize(
    "how",
    [
        {"do_sample": True, "top_k": 0},
        {"do_sample": True, "top_k": 0, "num_return_sequences": 3},
        {"num_beams": 4},
        {"num_beams": 4, "num_return_sequences": 2, "length_penalty": 0.0},
        {"num_beams": 3, "do_sample": True, "top_k": 0},
        {"do_sample": False},
    ],
    ids=str,
)
def test_what_generate_yields_is_valid(llama, how):
    """Batches with left padding, beams and several sequences for each prompt."""
    processor = GrammarLogitsProcessor(meter=METERS, bars=BARS, max_tokens=120)
    prompt = torch.tensor(_padded(PROMPTS))
    torch.manual_seed(1)
    found = (
        llama()
        .generate(
            prompt,
            attention_mask=(prompt != PAD).long(),
            logits_processor=[processor],
            max_new_tokens=125,
            **how,
        )
        .tolist()
    )
    times = how.get("num_return_sequences", 1)
    assert len(found) == times * len(PROMPTS)
    validator = MusicalGrammarValidator()
    for index, row in enumerate(found):
        prompt = index // times
        music = row[row.index(START) : row.index(END) + 1]
        assert music[: len(PROMPTS[prompt])] == list(PROMPTS[prompt])
        meter = Meter.parse(METERS[prompt])
        result = validator.validate_sequence(music, meter, BARS[prompt])
        assert result.valid, result.violations[:1]


def test_without_it_nothing_of_random_weights_is_valid(llama):
    found = llama().generate(torch.tensor([[START]] * 4), do_sample=True, max_new_tokens=60)
    assert not any(MusicalGrammarValidator().validate_sequence(row).valid for row in found.tolist())


def test_tokens_looked_up_in_the_prompt_are_checked_before_they_are_accepted(llama):
    """Prompt lookup asks about tokens that may be illegal, and takes back what is rejected."""
    processor = GrammarLogitsProcessor(meter="2/4", bars=6, max_tokens=150)
    found = llama().generate(
        torch.tensor([[START]]),
        logits_processor=[processor],
        prompt_lookup_num_tokens=4,
        max_new_tokens=150,
        do_sample=False,
    )
    row = found[0].tolist()
    assert MusicalGrammarValidator().validate_sequence(row, Meter(2, 4), 6).valid


def test_a_processor_can_be_used_again(llama):
    processor = GrammarLogitsProcessor(meter="2/4", bars=1, max_tokens=60)
    model = llama()
    for prompt in ([[START]], [[START], [START]], [[START, 740]]):
        options = {"do_sample": True, "top_k": 0, "max_new_tokens": 60}
        found = model.generate(torch.tensor(prompt), logits_processor=[processor], **options)
        for row in found.tolist():
            music = row[: row.index(END) + 1]
            assert MusicalGrammarValidator().validate_sequence(music, Meter(2, 4), 1).valid


def test_ids_beyond_the_vocabulary_are_forbidden():
    found = GrammarLogitsProcessor()(torch.tensor([[START]]), torch.zeros(1, VOCAB_SIZE + 10))
    assert found.shape == (1, VOCAB_SIZE + 10)
    assert not found[:, VOCAB_SIZE:].isfinite().any()


def test_padding_with_the_end_token_is_taken_as_padding():
    rows = torch.tensor([[START, 740], [END, START]])
    found = GrammarLogitsProcessor()(rows, torch.zeros(2, VOCAB_SIZE)).isfinite()
    expected = MusicalGrammar().token_mask(MusicalGrammar().states_along([[START]])[1])
    assert np.array_equal(found[1].numpy(), expected)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([[740, 758]], TokenError, "must begin with START"),
        ([[740, START]], TokenError, "row 0 begins with"),
        ([[START, 740], [START, 131]], GrammarError, "row 1 breaks the rule .* at token 1"),
        ([[START, 740], [START, VOCAB_SIZE + 5]], GrammarError, "not in the vocabulary"),
    ],
)
def test_prompts_that_cannot_go_on_are_errors(rows, error, message):
    with pytest.raises(error, match=message):
        GrammarLogitsProcessor()(torch.tensor(rows), torch.zeros(len(rows), VOCAB_SIZE))


def test_an_illegal_prompt_is_an_error_after_another_generation():
    processor = GrammarLogitsProcessor()
    processor(torch.tensor([[START, 740]]), torch.zeros(1, VOCAB_SIZE))
    with pytest.raises(GrammarError, match="breaks the rule"):
        processor(torch.tensor([[START, 131, 131, 203]]), torch.zeros(1, VOCAB_SIZE))


def test_a_budget_too_small_for_the_prompt_is_an_error():
    prompt = [START, 740, 710, 50, 203, 138, 50, 203, 138]
    processor = GrammarLogitsProcessor(max_tokens=12)
    with pytest.raises(GrammarError, match=r"leaves 3 tokens .* Give max_tokens=\d+ or more"):
        processor(torch.tensor([prompt]), torch.zeros(1, VOCAB_SIZE))


def test_requests_that_do_not_fit_the_rows_are_errors():
    processor = GrammarLogitsProcessor(meter=["3/4", "4/4"])
    with pytest.raises(GrammarError, match="one for each prompt"):
        processor(torch.full((3, 1), START), torch.zeros(3, VOCAB_SIZE))


def test_a_smaller_vocabulary_is_an_error():
    with pytest.raises(TokenError, match="the vocabulary has 774"):
        GrammarLogitsProcessor()(torch.tensor([[START]]), torch.zeros(1, 100))
