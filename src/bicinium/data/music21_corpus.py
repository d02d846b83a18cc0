"""The corpus that music21 includes, as pairs of voices: real counterpoint without a download.

Only repertoires with independent voices are listed. Of the string quartets, only those that the
OpenScore collection has in its training split are listed: the others may be among the works that it
holds out as a test. If both corpora are prepared, duplicates are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from bicinium.data.source_file import SourceFile
from bicinium.data.split import held_out
from bicinium.errors import CorpusError

_LICENCE = "as distributed with music21 (corpus/license.txt)"


@dataclass(frozen=True, slots=True)
class Repertoire:
    """Some files of the corpus.

    ``cluster`` matches the work in the name of a file. A kern file itself names its work.
    """

    pattern: str
    composer: str
    style: str
    pairs: tuple[str, ...]
    cluster: str = r".*"
    licence: str = _LICENCE
    credit: str = "the encoders of the music21 corpus"


_QUARTET = ("outer", "inner")
REPERTOIRES = (
    Repertoire(
        "bach/bwv*.mxl", "J. S. Bach", "chorale", ("outer",), r"bwv\d+",
        credit="Margaret Greentree and the music21 corpus",
    ),
    Repertoire(
        "palestrina/*.krn", "G. P. da Palestrina", "palestrina", ("outer", "inner"), r".*",
        "Copyright 2000, John Miller; rights to derivative electronic formats reserved, see "
        "http://www.music-cog.ohio-state.edu/HumdrumDatabases/Palestrina/license.txt",
        "John Miller",
    ),
    Repertoire("monteverdi/madrigal*.mxl", "C. Monteverdi", "monteverdi", ("outer", "inner")),
    Repertoire("corelli/**/*.xml", "A. Corelli", "corelli", ("outer",), r"opus\w+"),
    Repertoire("haydn/opus1no1/*.mxl", "J. Haydn", "quartet", _QUARTET, "opus1no1"),
    Repertoire("haydn/opus74no1/*.mxl", "J. Haydn", "quartet", _QUARTET, "opus74no1"),
    Repertoire("mozart/k80/*.mxl", "W. A. Mozart", "quartet", _QUARTET, "k80"),
    Repertoire("mozart/k155/*.mxl", "W. A. Mozart", "quartet", _QUARTET, "k155"),
    Repertoire("mozart/k458/*.mxl", "W. A. Mozart", "quartet", _QUARTET, "k458"),
    Repertoire("beethoven/opus18no1/*.mxl", "L. van Beethoven", "quartet", _QUARTET, "opus18no1"),
    Repertoire("beethoven/opus18no[345].mxl", "L. van Beethoven", "quartet", _QUARTET),
    Repertoire("beethoven/opus59no3/*.mxl", "L. van Beethoven", "quartet", _QUARTET, "opus59no3"),
    Repertoire("beethoven/opus133.mxl", "L. van Beethoven", "quartet", _QUARTET),
)  # fmt: skip
_KEYBOARD = re.compile(r"bwv(7[7-9]\d|8\d\d|9\d\d)\b")  # Bach's keyboard works


def music21_sources() -> Iterator[SourceFile]:
    """Yield the files of every repertoire. Raises CorpusError if music21 is not installed."""
    package = find_spec("music21")
    if package is None or package.origin is None:
        raise CorpusError(
            "The music21 corpus needs music21. Install it with pip install 'bicinium[notation]'."
        )
    root = Path(package.origin).parent / "corpus"
    found: list[SourceFile] = []
    for repertoire in REPERTOIRES:
        for path in sorted(root.glob(repertoire.pattern)):
            if not _KEYBOARD.match(path.stem):
                found.append(_source(repertoire, path, root))
    if not found:
        raise CorpusError(f"There is no music21 corpus at {root}. Install music21 with its corpus.")
    music: dict[str, float] = {}
    for source in found:
        music[source.cluster] = music.get(source.cluster, 0.0) + source.path.stat().st_size
    chosen = held_out(music)
    for source in found:
        yield replace(source, split="validation" if source.cluster in chosen else "train")


def _source(repertoire: Repertoire, path: Path, root: Path) -> SourceFile:
    name = path.relative_to(root)
    work = (
        re.search(r"(?<=!!!OPR:).*", path.read_text("latin-1")) if path.suffix == ".krn" else None
    )
    work = work or re.search(repertoire.cluster, "/".join(name.parts[1:]))
    return SourceFile(
        path=path,
        name=f"music21/{name.as_posix()}",
        composer=repertoire.composer,
        licence=repertoire.licence,
        credit=repertoire.credit,
        cluster=f"music21/{name.parts[0]}/{work.group().strip() if work else name.stem}",
        style=repertoire.style,
        pairs=repertoire.pairs,
    )
