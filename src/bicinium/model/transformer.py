"""The transformer in PyTorch, for training. ``decoder`` is the same network for generation.

A decoder-only transformer with pre-norm RMSNorm, SwiGLU (arXiv:2002.05202) and causal attention.
Rotary positions (RoFormer, arXiv:2104.09864) count tokens in some heads and ticks in others. The
input is the sum of embeddings of the token, the grammar state after it, the piece's conditions and
the look-ahead (see ``inputs.layout``). With ``relative_pitch``, the logit of a NOTE_ON also depends
on its distance from each reference pitch, and the NOTE_OFF of the sounding note has a logit of its
own (a pointer, arXiv:1506.03134), so that notes of rare pitches end like others. Knows integers;
knows no music.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bicinium.errors import TokenError
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.from_tokens import SequenceConditions, encode_token_sequences
from bicinium.model.inputs.layout import (
    MAX_DISTANCE,
    PITCH_DISTANCES,
    REFERENCES,
    input_sizes,
    split_inputs,
)
from bicinium.model.rotary import rotary_frequencies
from bicinium.tokenizer.vocabulary import BLOCKS, PITCHES, Kind


class Transformer(nn.Module):
    """The whole network; ``forward`` takes tokens, or what ``encode_along`` returns."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        rows = sum(input_sizes(config).values())
        self.embedding = nn.EmbeddingBag(rows, config.d_model, mode="sum")
        blocks = [Block(config) for _ in range(config.n_layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(config.d_model, eps=1e-6)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.relative_pitch:
            distances = REFERENCES * PITCH_DISTANCES
            self.relative_head = nn.Linear(config.d_model, distances, bias=False)
            self.ending_head = nn.Linear(config.d_model, 1, bias=False)
        self.apply(_initialise)
        for block in blocks:  # GPT-2: the residual stream keeps its size at any depth.
            for weight in (block.attention.out.weight, block.feed_forward.down.weight):
                nn.init.normal_(weight, std=0.02 / (2 * config.n_layers) ** 0.5)

    def forward(
        self,
        inputs: Tensor,
        conditions: SequenceConditions | Sequence[SequenceConditions] | None = None,
    ) -> Tensor:
        """Return (B, T, V) logits of the next token.

        inputs: (B, T) token ids that begin with START, or (B, T, F + REFERENCES + 1) what
            ``encode_inputs`` returns.
        conditions: of token ids, one for each row or one for all; None is all unknown. Encoded
            inputs contain them.
        """
        if inputs.ndim == 2:
            encoded = encode_token_sequences(self.config, inputs.cpu().numpy(), conditions)
            inputs = torch.from_numpy(encoded).to(inputs.device)
        elif conditions is not None:
            raise TokenError("Encoded inputs contain the conditions. Leave conditions out.")
        batch, length, _ = inputs.shape
        rows, references, ticks = split_inputs(inputs)
        x = self.embedding(rows.flatten(0, 1)).view(batch, length, -1)  # (B, T, D)
        cos, sin = rotary_tables(self.config, ticks)
        for block in self.blocks:
            x = block(x, cos, sin)
        x = self.norm(x)
        logits = self.head(x)
        if not self.config.relative_pitch:
            return logits
        by_distance = self.relative_head(x).view(batch, length, REFERENCES, PITCH_DISTANCES)
        pitches = torch.arange(PITCHES, device=x.device)
        distance = pitches - references[..., None]
        distance = distance.clamp(-MAX_DISTANCE, MAX_DISTANCE) + MAX_DISTANCE
        by_pitch = by_distance.gather(-1, distance.long()).sum(dim=2)  # (B, T, PITCHES)
        notes = BLOCKS[Kind.NOTE_ON].ids
        logits = logits + F.pad(by_pitch, (notes.start, logits.shape[-1] - notes.stop))
        held = references[..., :1] + BLOCKS[Kind.NOTE_OFF].ids.start
        return logits.scatter_add(-1, held.long(), self.ending_head(x).to(logits.dtype))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the current weights by name, as ``Decoder`` and checkpoints take them."""
        return {name: w.detach().float().cpu().numpy() for name, w in self.state_dict().items()}


def load_model(name: str | Path | None = None) -> Transformer:
    """Return a model with its weights, in evaluation mode, by any name of ``resolve_model``.

    Raises CheckpointError if there is no such model.
    """
    checkpoint = load_checkpoint(name)
    net = Transformer(checkpoint.config)
    net.load_state_dict({key: torch.from_numpy(w) for key, w in checkpoint.weights.items()})
    return net.eval()


class Block(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.d_model, eps=1e-6)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.RMSNorm(config.d_model, eps=1e-6)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), cos, sin))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class Attention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.n_heads
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, bias=False)
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, D/H)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class FeedForward(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.d_model, 2 * config.d_ff, bias=False)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


def rotary_tables(config: ModelConfig, ticks: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T) ticks → (B, H, T, D/H/2) cosines and sines of the angle of each pair of channels.

    The first heads count tokens, the last ``time_heads`` count ticks.
    """
    speeds = torch.from_numpy(rotary_frequencies(config)).to(ticks.device)  # (H, D/H/2)
    index = torch.arange(ticks.shape[1], device=ticks.device).expand_as(ticks)
    heads = [index] * (config.n_heads - config.time_heads) + [ticks] * config.time_heads
    angle = torch.stack(heads, dim=1)[..., None] * speeds[:, None].double()  # Ticks may be large.
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (channel i, channel i + half) of x (B, H, T, D/H) by its angle."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.EmbeddingBag):
        nn.init.normal_(module.weight, std=0.02)
