"""Where music comes from: folders of files, with or without a manifest, and the catalogue's names.

A manifest (``manifest.csv``, and ``analysis.csv`` beside it) says of each file who wrote it, which
licence it has, and which ``cluster`` of works it belongs to; it is found in the folder or in one
above it. Without one a file stands for itself.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bicinium.errors import CorpusError
from bicinium.formats.registry import MUSIC_SUFFIXES

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
STYLES = (
    "bach", "baroque", "classical", "romantic", "study", "song", "accompaniment", "quartet",
    "chorale", "palestrina", "monteverdi", "corelli",
)  # fmt: skip
KEYBOARD_STYLES = ("bach", "baroque", "classical", "romantic", "study")  # what the model is for

_ALWAYS_HELD_OUT = 0.06  # of all clusters, those whose names draw lowest
_LEAST_HELD_OUT = 0.08  # of a collection's music
_MOST_HELD_OUT = 0.12  # a cluster that would go beyond is passed over
_PARENTS_SEARCHED = 3  # for a manifest


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file and what is known about it.

    ``pairs`` names the pairs of voices to take from a file of many: "outer", "inner" (the second
    voice from either side); without it the file is music for two hands.
    """

    path: Path
    name: str  # the path below its source's folder
    composer: str = ""
    title: str = ""
    licence: str = ""
    credit: str = ""
    cluster: str = ""
    style: str = ""
    opus: str = ""
    split: str = "train"  # or "validation"
    pairs: tuple[str, ...] = ()


def find_sources(folders: Sequence[Path | str]) -> Iterator[SourceFile]:
    """Every music file below the folders, in a fixed order; ``music21`` is that package's corpus.

    Without folders, those in BICINIUM_CORPUS. Raises CorpusError where there are none.
    """
    if not folders:
        folders = [part for part in os.environ.get(CORPUS_VARIABLE, "").split(os.pathsep) if part]
    if not folders:
        raise CorpusError(f"name a folder of MIDI files, or set {CORPUS_VARIABLE}")
    for folder in map(Path, folders):
        if folder.is_file():
            yield from _described([folder])
        elif folder.is_dir():
            yield from _described(_music_files(folder), folder)
        elif str(folder) == "music21":
            from bicinium.data.music21_corpus import music21_sources

            yield from music21_sources()
        else:
            raise CorpusError(
                f"there is no corpus at {folder}, and it is not in the catalogue (music21)"
            )


def _music_files(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MUSIC_SUFFIXES)
    if not paths:
        raise CorpusError(f"there are no MIDI files below {folder}, nor other notation")
    return paths


def _described(paths: Sequence[Path], folder: Path | None = None) -> Iterator[SourceFile]:
    """The files with what the nearest manifest says; a side for each cluster."""
    root = _manifest_root(paths, folder)
    base = root or folder
    manifest = _table(base / "manifest.csv") if base else {}
    analysis = _table(base / "analysis.csv") if base else {}
    label = base.resolve().name + "/" if base else ""

    def cluster_of(name: str) -> str:
        row = manifest.get(name, {})
        return label + (row.get("cluster") or analysis.get(name, {}).get("cluster") or name)

    music: dict[str, float] = {}  # of each cluster, how much there is of it
    for name, row in manifest.items():
        music[cluster_of(name)] = music.get(cluster_of(name), 0.0) + _notes(row)
    if not manifest:
        for path in paths:
            name = cluster_of(_below(path, base))
            music[name] = music.get(name, 0.0) + (path.stat().st_size if path.is_file() else 0)
    chosen = held_out(music)
    for path in paths:
        name = _below(path, base)
        row = manifest.get(name, {})
        composer = row.get("composer", "").strip()
        cluster = cluster_of(name)
        yield SourceFile(
            path=path,
            name=label + name,
            composer=composer,
            title=row.get("title", ""),
            licence=row.get("licence", ""),
            credit=row.get("maintainer") or row.get("source", ""),
            cluster=cluster,
            style=_PAIR_STYLES.get(row.get("pair", "")) or _style_of(composer),
            opus=row.get("opus", ""),
            split="validation" if cluster in chosen else "train",
        )


def _below(path: Path, base: Path | None) -> str:
    return path.relative_to(base).as_posix() if base else path.name


def _manifest_root(paths: Sequence[Path], folder: Path | None) -> Path | None:
    """The folder, or one of those above it, whose manifest names these files."""
    start = folder or paths[0].parent
    for root in [start, *start.resolve().parents[:_PARENTS_SEARCHED]]:
        manifest = _table(root / "manifest.csv")
        if root == start and folder and manifest:
            return root
        if any(path.resolve().is_relative_to(root.resolve()) and
               path.resolve().relative_to(root.resolve()).as_posix() in manifest
               for path in paths[:20]):  # fmt: skip
            return root
    return None


def _notes(row: Mapping[str, str]) -> float:
    """How much music a manifest's row stands for: its notes, or 1 where it does not say."""
    counts = [value for name, value in row.items() if name.startswith("notes_")]
    return sum(float(count) for count in counts if count.isdecimal()) or 1.0


def _table(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    table = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            for row in reader:
                if None in row:
                    raise CorpusError(
                        f"{path}, line {reader.line_num} has more cells than the header has "
                        "columns: quote what holds a comma"
                    )
                table[row["path"]] = row
    except KeyError as error:
        raise CorpusError(f"{path} cannot be read: it has no column {error}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read: {error}") from error
    return table


def held_out(music: Mapping[str, float]) -> set[str]:
    """The clusters of a collection that are validated on, given how much music each holds.

    By their names: those that draw under 6 % always, so that a work stays where it was as a
    collection grows; then the next, until 8 % of the music is held out. One that would bring it
    over 12 % is passed over: no single work is to fill the validation.
    """
    total = sum(music.values())
    chosen = {cluster for cluster in music if split_of(cluster) == "validation"}
    amount = sum(music[cluster] for cluster in chosen)
    for cluster in sorted(music, key=_draw):
        if amount >= _LEAST_HELD_OUT * total:
            break
        if cluster not in chosen and amount + music[cluster] <= _MOST_HELD_OUT * total:
            chosen.add(cluster)
            amount += music[cluster]
    return chosen


def split_of(cluster: str) -> str:
    """The side of a cluster by its name alone, before a collection fills up its share."""
    return "validation" if _draw(cluster) < _ALWAYS_HELD_OUT else "train"


def _draw(cluster: str) -> float:
    return int(hashlib.sha256(cluster.encode()).hexdigest()[:8], 16) / 16**8


def _style_of(composer: str) -> str:
    if not composer:
        return ""
    if composer.endswith("Bach"):
        return "bach"
    for style, names in (("baroque", _BAROQUE), ("classical", _CLASSICAL), ("study", _STUDIES)):
        if composer.split()[-1] in names:
            return style
    return "romantic"
