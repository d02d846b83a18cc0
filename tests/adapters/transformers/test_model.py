"""bicinium's model as a Transformers model has the logits of the network that it wraps."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import bicinium
from bicinium.errors import CheckpointError, TokenError
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.inputs.from_tokens import SequenceConditions
from bicinium.model.teacher_forcing import logits_along
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import END, PAD, START, VOCAB_SIZE

transformers = pytest.importorskip("transformers", minversion="5.24")
pytest.importorskip("accelerate")

from bicinium.adapters.transformers import (  # noqa: E402
    BiciniumConfig,
    BiciniumForCausalLM,
    GrammarLogitsProcessor,
)

KNOWN = SequenceConditions(meter="3/4", mode="major", bars=4)
TOLERANCE = 1e-4  # Sums of floats in another order: padded, or weights otherwise aligned.
DECODER_TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def model():
    return BiciniumForCausalLM.from_bicinium("default")


@pytest.fixture(scope="module")
def tokens():
    """Two pieces, (T,) each, of different lengths."""
    pieces = [
        bicinium.compose(key="C major", meter="3/4", bars=bars, seed=7, best_of=1)
        for bars in (4, 2)
    ]
    return [torch.from_numpy(piece.tokens).long() for piece in pieces]


@pytest.fixture
def small():
    torch.manual_seed(0)
    config = ModelConfig(d_model=32, n_layers=2, n_heads=2, d_ff=32, context=64, time_heads=1)
    return BiciniumForCausalLM(BiciniumConfig(network=config.model_dump(mode="json")))


@torch.no_grad()
def test_logits_are_those_of_the_network_bit_for_bit(model, tokens):
    ours = bicinium.load_model("default")
    for conditions in (None, KNOWN):
        found = model(tokens[0][None], conditions=conditions).logits
        assert torch.equal(found, ours(tokens[0][None], conditions))


@torch.no_grad()
def test_logits_are_those_of_the_decoder_that_composes(model, tokens):
    checkpoint = load_checkpoint("default")
    decoder = Decoder(checkpoint.config, checkpoint.weights)
    conditions = PieceConditions.of(checkpoint.config, ["3/4"], ["major"], [None], [4])
    _, blocks = logits_along(
        decoder, MusicalGrammar(), tokens[0].numpy(), conditions, meter=Meter(3, 4), bars=4
    )
    expected = np.concatenate([logits for _, logits in blocks])
    found = model(tokens[0][None], conditions=KNOWN).logits[0].numpy()
    assert np.abs(found - expected).max() < DECODER_TOLERANCE


@torch.no_grad()
def test_padding_on_either_side_changes_no_logits(model, tokens):
    long, short = tokens
    padding = torch.full((len(long) - len(short),), PAD)
    rows = torch.stack([long, torch.cat([padding, short]), torch.cat([short, padding])])
    conditions = [KNOWN, SequenceConditions("3/4", "major", bars=2), SequenceConditions("3/4")]
    found = model(rows, attention_mask=(rows != PAD).long(), conditions=conditions).logits
    for row, piece, known, places in (
        (0, long, conditions[0], slice(None)),
        (1, short, conditions[1], slice(len(padding), None)),
        (2, short, conditions[2], slice(len(short))),
    ):
        alone = model(piece[None], conditions=known).logits[0]
        assert (found[row, places] - alone).abs().max() < TOLERANCE


@pytest.mark.parametrize("auto", ["AutoModel", "AutoModelForCausalLM"])
@torch.no_grad()
def test_a_saved_model_is_loaded_by_the_auto_classes(model, tokens, tmp_path, auto):
    model.save_pretrained(tmp_path)
    found = getattr(transformers, auto).from_pretrained(tmp_path)
    assert isinstance(found, BiciniumForCausalLM)
    assert not found.training
    assert found.config.model == model.config.model
    assert found.config.record == model.config.record
    weights = found.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())
    difference = found(tokens[0][None]).logits - model(tokens[0][None]).logits
    assert difference.abs().max() < TOLERANCE
    assert transformers.AutoConfig.from_pretrained(tmp_path).hidden_size == found.config.hidden_size


@torch.no_grad()
def test_a_model_saved_for_bicinium_is_the_same(small, tmp_path):
    small.save_bicinium(tmp_path / "model.safetensors")
    again = BiciniumForCausalLM.from_bicinium(tmp_path / "model.safetensors")
    rows = torch.tensor([[START, 740, 710, 50]])
    assert torch.equal(small.eval()(rows).logits, again(rows).logits)


def test_a_new_model_has_the_weights_that_the_network_begins_with(small):
    """Transformers does not initialise it again, which would undo the scale of the depth."""
    torch.manual_seed(0)
    expected = type(small.network)(small.config.model).state_dict()
    found = small.network.state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


def test_what_a_checkpoint_lacks_is_initialised(small, tmp_path):
    small.save_pretrained(tmp_path)
    weights = {
        name: weight
        for name, weight in small.state_dict().items()
        if name not in ("network.embedding.weight", "network.head.weight", "network.norm.weight")
    }
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = BiciniumForCausalLM.from_pretrained(tmp_path).network
    for weight in (found.embedding.weight, found.head.weight):
        assert 0.015 < float(weight.detach().std()) < 0.025
    assert torch.equal(found.norm.weight, torch.ones(32))


@pytest.mark.parametrize(
    "how", [{"do_sample": True, "top_k": 0}, {"num_beams": 3}, {"use_cache": True}], ids=str
)
def test_generate_composes_valid_pieces(model, how):
    """One piece of 1 bar of 2/4, one of 2 bars, each with its own conditions."""
    bars = [1, 2]
    conditions = [SequenceConditions("2/4", "major", bars=count) for count in bars]
    torch.manual_seed(0)
    found = model.generate(
        torch.tensor([[PAD, START], [START, 740]]),
        conditions=conditions,
        logits_processor=[GrammarLogitsProcessor(meter="2/4", bars=bars, max_tokens=60)],
        max_new_tokens=60,
        **how,
    )
    for row, count in zip(found.tolist(), bars, strict=True):
        music = row[row.index(START) : row.index(END) + 1]
        assert MusicalGrammarValidator().validate_sequence(music, Meter(2, 4), count).valid


def test_greedy_generation_is_greedy_choice_by_the_network(model):
    """Also with sequences that have to be read anew for each token."""
    found = model.generate(torch.tensor([[START]]), do_sample=False, max_new_tokens=12)[0]
    ours = bicinium.load_model("default")
    row = [START]
    with torch.no_grad():
        for _ in range(12):
            row.append(int(ours(torch.tensor([row]))[0, -1].argmax()))
    assert found.tolist() == row[: len(found)]


def test_labels_give_the_cross_entropy_of_the_next_tokens(small, tokens):
    rows = tokens[1][None]
    labels = rows.clone()
    labels[:, :5] = -100
    output = small(rows, labels=labels)
    expected = torch.nn.functional.cross_entropy(output.logits[0, 4:-1], rows[0, 5:])
    assert float(output.loss.detach()) == pytest.approx(float(expected.detach()))
    output.loss.backward()
    assert small.network.embedding.weight.grad.abs().sum() > 0


def test_a_configuration_of_another_vocabulary_is_refused(small, tmp_path):
    small.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"vocabulary": "0" * 16}))
    with pytest.raises(CheckpointError, match="another vocabulary"):
        BiciniumForCausalLM.from_pretrained(tmp_path)
    wrong = values["network"] | {"d_model": 33}
    (tmp_path / "config.json").write_text(json.dumps(values | {"network": wrong}))
    with pytest.raises(CheckpointError, match="d_model must be a multiple"):
        BiciniumForCausalLM.from_pretrained(tmp_path)


def test_rows_without_start_are_refused(small):
    with pytest.raises(TokenError, match="must begin with START"):
        small(torch.tensor([[740, 710]]))


def test_conditions_that_do_not_fit_the_rows_are_refused(small):
    with pytest.raises(TokenError, match="2 conditions for 3 sequences"):
        small(torch.full((3, 1), START), conditions=[KNOWN, KNOWN])


def test_the_configuration_names_what_other_programs_ask_for(small):
    config = small.config
    assert (config.vocab_size, config.hidden_size, config.num_hidden_layers) == (VOCAB_SIZE, 32, 2)
    assert (config.num_attention_heads, config.max_position_embeddings) == (2, 64)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (START, END, PAD)
