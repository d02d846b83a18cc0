"""A music file of a corpus and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file and what is known about it.

    ``pairs`` names the pairs of voices to take from a file of many voices: "outer", or "inner" (the
    second voice from either side). Without pairs, the file is music for two hands.
    """

    path: Path
    name: str  # the path relative to the folder of the source
    composer: str = ""
    title: str = ""
    licence: str = ""
    credit: str = ""
    cluster: str = ""
    style: str = ""
    opus: str = ""
    split: str = "train"  # or "validation"
    pairs: tuple[str, ...] = ()
    quantize: bool = False  # read a recording on sixteenths and triplet eighths
    unfold: bool = False  # play repeats
