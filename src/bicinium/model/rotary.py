"""Frequencies of the rotary positions (RoFormer, arXiv:2104.09864), for transformer and decoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.model.config import ModelConfig

_MIN_PERIOD_TICKS = 24.0  # A quarter note: the period of the fastest channel that counts ticks.


def rotary_frequencies(config: ModelConfig) -> NDArray[np.float32]:
    """Return (H, D/H/2) radians for each pair of channels.

    They are per token, and per tick in the last ``time_heads`` heads.
    """
    half = config.d_model // config.n_heads // 2
    decay = np.arange(half) / half
    by_token = config.rope_base**-decay
    by_tick = 2 * np.pi / _MIN_PERIOD_TICKS * config.time_base**-decay
    token_heads = config.n_heads - config.time_heads
    return np.array([by_token] * token_heads + [by_tick] * config.time_heads, np.float32)
