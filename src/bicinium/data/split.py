"""Split the clusters of a collection into train and validation, by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_ALWAYS_HELD_OUT = 0.06  # share of clusters, by the hash of their names
_MIN_HELD_OUT = 0.08  # share of a collection's music
_MAX_HELD_OUT = 0.12  # A cluster that would exceed it is skipped.


def held_out(music: Mapping[str, float]) -> set[str]:
    """Return the clusters of the validation split, from the amount of music of each cluster.

    The hash of its name gives each cluster a number in [0, 1). Those under 6 % are always held out,
    so that a work keeps its split when the collection grows. Then the next clusters are added until
    8 % of the music is held out. A cluster that would bring it over 12 % is skipped: no single work
    should fill the validation split.
    """
    total = sum(music.values())
    chosen = {cluster for cluster in music if split_of(cluster) == "validation"}
    amount = sum(music[cluster] for cluster in chosen)
    for cluster in sorted(music, key=hash_fraction):
        if amount >= _MIN_HELD_OUT * total:
            break
        if cluster not in chosen and amount + music[cluster] <= _MAX_HELD_OUT * total:
            chosen.add(cluster)
            amount += music[cluster]
    return chosen


def split_of(cluster: str) -> str:
    """Return the split of a cluster by its name alone, before a collection fills up its share."""
    return "validation" if hash_fraction(cluster) < _ALWAYS_HELD_OUT else "train"


def hash_fraction(cluster: str) -> float:
    """Return the number in [0, 1) that the name of a cluster is hashed to."""
    return int(hashlib.sha256(cluster.encode()).hexdigest()[:8], 16) / 16**8
