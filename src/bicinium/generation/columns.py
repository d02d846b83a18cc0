"""Small helpers for columns of a batch. They go when the constraints are scalar code, too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def column(values: NDArray[Any]) -> NDArray[Any]:
    """(B,) → (B, 1), to stand against token values."""
    return values[:, None]


def is_any(where: NDArray[np.bool_]) -> bool:
    """``where.any()``, but quicker: most often there is none."""
    return len(where.nonzero()[0]) > 0
