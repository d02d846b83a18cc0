"""Where music comes from: folders of MIDI files, with or without a manifest.

A manifest (``manifest.csv``, and ``analysis.csv`` beside it) says of each file who wrote it, which
licence it has, and which ``cluster`` of works it belongs to; without one a file stands for itself.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bicinium.errors import CorpusError

CORPUS_VARIABLE = "BICINIUM_CORPUS"  # folders, separated like PATH, for when none is named

_BAROQUE = ("Handel", "Couperin", "Rameau", "Scarlatti", "Fischer")
_CLASSICAL = (
    "Mozart", "Clementi", "Haydn", "Beethoven", "Dussek", "Andre", "Benda", "Pleyel", "Wanhal",
    "Yaniewicz", "Kruetzer",
)  # fmt: skip
_STUDIES = ("Hanon", "Czerny")
_PAIR_STYLES = {
    "song-bass": "song",
    "piano": "accompaniment",
    "violin1-cello": "quartet",
    "violin2-viola": "quartet",
}
STYLES = ("bach", "baroque", "classical", "romantic", "study", "song", "accompaniment", "quartet")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file and what is known about it."""

    path: Path
    name: str  # the path below its source's folder
    composer: str = ""
    title: str = ""
    licence: str = ""
    credit: str = ""
    cluster: str = ""
    style: str = ""


def find_sources(folders: Sequence[Path]) -> Iterator[SourceFile]:
    """Every MIDI file below the folders, in a fixed order.

    Without folders, those in BICINIUM_CORPUS. Raises CorpusError where there are none.
    """
    if not folders:
        folders = [
            Path(part) for part in os.environ.get(CORPUS_VARIABLE, "").split(os.pathsep) if part
        ]
    if not folders:
        raise CorpusError(f"name a folder of MIDI files, or set {CORPUS_VARIABLE}")
    for folder in folders:
        if folder.is_file():
            yield SourceFile(folder, folder.name, cluster=folder.name)
        elif folder.is_dir():
            yield from _folder(folder)
        else:
            raise CorpusError(f"there is no corpus at {folder}")


def _folder(folder: Path) -> Iterator[SourceFile]:
    manifest = _table(folder / "manifest.csv")
    analysis = _table(folder / "analysis.csv")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".mid", ".midi"))
    if not paths:
        raise CorpusError(f"there are no MIDI files below {folder}")
    for path in paths:
        name = path.relative_to(folder).as_posix()
        row = manifest.get(name, {})
        cluster = row.get("cluster") or analysis.get(name, {}).get("cluster") or name
        composer = row.get("composer", "").strip()
        yield SourceFile(
            path=path,
            name=f"{folder.name}/{name}",
            composer=composer,
            title=row.get("title", ""),
            licence=row.get("licence", ""),
            credit=row.get("maintainer") or row.get("source", ""),
            cluster=f"{folder.name}/{cluster}",
            style=_PAIR_STYLES.get(row.get("pair", "")) or _style_of(composer),
        )


def _table(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {row["path"]: row for row in csv.DictReader(file, restval="")}
    except KeyError as error:
        raise CorpusError(f"{path} cannot be read: it has no column {error}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read: {error}") from error


def _style_of(composer: str) -> str:
    if not composer:
        return ""
    if composer.endswith("Bach"):
        return "bach"
    for style, names in (("baroque", _BAROQUE), ("classical", _CLASSICAL), ("study", _STUDIES)):
        if composer.split()[-1] in names:
            return style
    return "romantic"
