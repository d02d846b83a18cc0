"""The Llama of Transformers over REMI tokens, as large as our model."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

PARAMETERS = 4_290_304  # within 1 % of those of our model
CONTEXT = 1024  # tokens of a window, the prefix included
_WIDTH, _LAYERS, _HEADS = 256, 4, 4
_DROPOUT = 0.1  # of what attention and feed-forward add, as in our model; Llama has none there


class RemiModel(nn.Module):
    """A Llama whose feed-forward width is chosen so that it has our number of parameters."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        rest = 2 * vocabulary * _WIDTH + _WIDTH  # embedding, head, last norm
        rest += _LAYERS * (4 * _WIDTH**2 + 2 * _WIDTH)  # attention, the norms of a layer
        self.llama = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary,
                hidden_size=_WIDTH,
                intermediate_size=round((PARAMETERS - rest) / (_LAYERS * 3 * _WIDTH)),
                num_hidden_layers=_LAYERS,
                num_attention_heads=_HEADS,
                max_position_embeddings=CONTEXT,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        for layer in self.blocks:
            layer.self_attn.o_proj = nn.Sequential(layer.self_attn.o_proj, nn.Dropout(_DROPOUT))
            layer.mlp.down_proj = nn.Sequential(layer.mlp.down_proj, nn.Dropout(_DROPOUT))

    @property
    def blocks(self) -> nn.ModuleList:
        """By this name the optimiser knows what Muon is for."""
        layers: nn.ModuleList = self.llama.model.layers
        return layers

    @property
    def parameter_count(self) -> int:
        return sum(weight.numel() for weight in self.parameters())

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) ids → (B, T, V) logits of the next."""
        logits: Tensor = self.llama(input_ids=ids, use_cache=False).logits
        return logits
