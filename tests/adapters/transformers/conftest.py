"""A small Llama, and bicinium's own model, for the tests of the bridge."""

from __future__ import annotations

import pytest
import torch

from bicinium.tokenizer.vocabulary import END, PAD, START, VOCAB_SIZE

transformers = pytest.importorskip("transformers", minversion="5.24")
pytest.importorskip("accelerate")


@pytest.fixture
def llama():
    """Return a function that builds a Llama with random weights over bicinium's vocabulary."""

    def build(vocab_size: int = VOCAB_SIZE, seed: int = 0):
        torch.manual_seed(seed)
        config = transformers.LlamaConfig(
            vocab_size=vocab_size, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=1024, bos_token_id=START,
            eos_token_id=END, pad_token_id=PAD, initializer_range=0.2,
        )  # fmt: skip
        return transformers.LlamaForCausalLM(config).eval()

    return build
