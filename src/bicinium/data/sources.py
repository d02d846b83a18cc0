"""Find music files, with what a manifest says about them and the split of each.

A manifest, ``manifest.csv`` with ``analysis.csv`` beside it, has the composer, the licence and the
``cluster`` of works of each file. It lies in the folder or in one above it. Without a manifest,
every file is a cluster of its own.

The style of a file is that of its row in the manifest: the column ``style``, else its pair of
voices or its composer. Without a manifest it is the name of the sub-folder. If that says nothing,
the style is unknown, which is the empty string.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bicinium.data.composer_styles import style_of_birth, style_of_composer
from bicinium.data.source_file import SourceFile
from bicinium.data.split import held_out
from bicinium.errors import CorpusError
from bicinium.formats.registry import find_music

CORPUS_VARIABLE = "BICINIUM_CORPUS"  # default folders, separated as in PATH

_PAIR_STYLES = {
    "song-bass": "song",
    "piano": "accompaniment",
    "violin1-cello": "quartet",
    "violin2-viola": "quartet",
}
STYLES = (
    "bach", "baroque", "classical", "romantic", "study", "song", "accompaniment", "quartet",
    "duo", "chorale", "palestrina", "monteverdi", "corelli",
)  # fmt: skip
KEYBOARD_STYLES = (
    "bach",
    "baroque",
    "classical",
    "romantic",
    "study",
)  # for composing

UNKNOWN_STYLE = "unknown"  # name of the unknown style in options and manifests

_MIN_FILES_OF_STYLE = 2  # in a sub-folder whose name is a style
_CREDITS = ("credit", "maintainer", "source")  # columns; the first that is filled counts
_MAX_PARENTS = 3  # folders above that are searched for a manifest


def find_sources(
    folders: Sequence[Path | str],
    style: str | None = None,
    *,
    quantize: bool = False,
    unfold: bool = False,
) -> Iterator[SourceFile]:
    """Yield every music file below the folders, in a fixed order.

    ``style`` is the style of all of them; None takes that of the manifest or the sub-folder. See
    ``read_music`` for ``quantize`` and ``unfold``.
    The name ``music21`` stands for the corpus of that package. Without folders, those of the
    environment variable BICINIUM_CORPUS are searched. Raises CorpusError if there are no files.
    """
    if not folders:
        folders = [part for part in os.environ.get(CORPUS_VARIABLE, "").split(os.pathsep) if part]
    if not folders:
        raise CorpusError(f"No folder is given. Name a folder of music, or set {CORPUS_VARIABLE}.")
    for folder in map(Path, folders):
        for found in _sources_of(folder):
            source = replace(found, quantize=quantize, unfold=unfold)
            yield source if style is None else replace(source, style=style_name(style))


def style_name(name: str) -> str:
    """Return the name of a style as models know it: lower case, "" if it is unknown."""
    name = name.strip().casefold()
    return "" if name == UNKNOWN_STYLE else name


def _sources_of(folder: Path) -> Iterator[SourceFile]:
    if folder.is_file():
        return _described([folder])
    if folder.is_dir():
        return _described(_music_files(folder), folder)
    if str(folder) == "music21":
        from bicinium.data.music21_corpus import music21_sources

        return iter(music21_sources())
    raise CorpusError(f"There is no corpus at {folder}. Name a folder of music, or music21.")


def _music_files(folder: Path) -> list[Path]:
    paths = find_music(folder)
    if not paths:
        raise CorpusError(f"There are no music files below {folder}.")
    return paths


def _described(paths: Sequence[Path], folder: Path | None = None) -> Iterator[SourceFile]:
    """Yield the files with what the nearest manifest says, and the split of their cluster."""
    root = _manifest_root(paths, folder)
    base = root or folder
    manifest = _table(base / "manifest.csv") if base else {}
    analysis = _table(base / "analysis.csv") if base else {}
    label = base.resolve().name + "/" if base else ""

    def cluster_of(name: str) -> str:
        row = manifest.get(name, {})
        return label + (row.get("cluster") or analysis.get(name, {}).get("cluster") or name)

    music: dict[str, float] = {}  # the amount of music of each cluster
    for name, row in manifest.items():
        music[cluster_of(name)] = music.get(cluster_of(name), 0.0) + _notes(row)
    if not manifest:
        for path in paths:
            name = cluster_of(_below(path, base))
            music[name] = music.get(name, 0.0) + (path.stat().st_size if path.is_file() else 0)
    chosen = held_out(music)
    styles = _folder_styles(paths, folder) if folder and not manifest else {}
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
            credit=next(filter(None, map(row.get, _CREDITS)), ""),
            cluster=cluster,
            style=_style_of(row | analysis.get(name, {})) if row else styles.get(path, ""),
            opus=row.get("opus", ""),
            split="validation" if cluster in chosen else "train",
        )


def _style_of(row: Mapping[str, str]) -> str:
    """Return what a row of a manifest says about the style.

    It is the column ``style``; else that of the pair of voices; else, for a duo, "duo"; else that
    of the composer, or of the year of birth with which ``date`` begins.
    """
    if named := row.get("style", "").strip():
        return style_name(named)
    if row.get("kind") == "duo":
        return "duo"
    style = _PAIR_STYLES.get(row.get("pair", "")) or style_of_composer(row.get("composer", ""))
    return style or style_of_birth(row.get("date", ""))


def _folder_styles(paths: Sequence[Path], folder: Path) -> dict[Path, str]:
    """Return the style of each file in a sub-folder of several files; it is named like a style,
    or like a composer.
    """
    names = {path: path.relative_to(folder).parts[0] for path in paths if path.parent != folder}
    counts = Counter(names.values())
    return {
        path: style_of_composer(name) or style_name(name)
        for path, name in names.items()
        if counts[name] >= _MIN_FILES_OF_STYLE
    }


def _below(path: Path, base: Path | None) -> str:
    return path.relative_to(base).as_posix() if base else path.name


def _manifest_root(paths: Sequence[Path], folder: Path | None) -> Path | None:
    """Return the folder, or one above it, whose manifest names these files."""
    start = folder or paths[0].parent
    for root in [start, *start.resolve().parents[:_MAX_PARENTS]]:
        manifest = _table(root / "manifest.csv")
        if root == start and folder and manifest:
            return root
        if any(path.resolve().is_relative_to(root.resolve()) and
               path.resolve().relative_to(root.resolve()).as_posix() in manifest
               for path in paths[:20]):  # fmt: skip
            return root
    return None


def _notes(row: Mapping[str, str]) -> float:
    """Return the number of notes of a row of a manifest; 1 if it is not known."""
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
                        "columns. Put cells that hold a comma in quotes."
                    )
                table[row["path"]] = row
    except KeyError as error:
        raise CorpusError(f"{path} cannot be read: it has no column {error}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read: {error}") from error
    return table
