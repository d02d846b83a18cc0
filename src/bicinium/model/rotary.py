"""How fast rotary positions (RoFormer, arXiv:2104.09864) turn, in transformer and decoder alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.model.config import ModelConfig

_FASTEST_TICKS = 24.0  # a quarter note: the period of the fastest channel that counts ticks


def rotary_speeds(config: ModelConfig) -> NDArray[np.float32]:
    """(H, D/H/2) radians a token, for the last ``time_heads`` a tick, of each pair of channels."""
    half = config.d_model // config.n_heads // 2
    falling = np.arange(half) / half
    by_token = config.rope_base**-falling
    by_tick = 2 * np.pi / _FASTEST_TICKS * config.time_base**-falling
    counting = config.n_heads - config.time_heads
    return np.array([by_token] * counting + [by_tick] * config.time_heads, np.float32)
