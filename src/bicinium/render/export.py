"""Write a score to a file: the suffix of the file selects its format.

To add a format, write a function that writes a score to a path and list it in ``WRITERS``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bicinium.errors import MissingExtraError, RequestError
from bicinium.formats.midi import write_midi
from bicinium.formats.musicxml_writer import NoteMarks, write_musicxml
from bicinium.music.score import Score
from bicinium.optional_imports import is_importable
from bicinium.render.audio import write_ogg, write_wav
from bicinium.render.engraving import write_pdf, write_png, write_svg
from bicinium.render.piano_roll import write_piano_roll


@dataclass(frozen=True, slots=True)
class Library:
    """An optional library that a format needs, and the extra that installs it."""

    module: str
    extra: str
    purpose: str  # for the error message: "PURPOSE needs MODULE"


@dataclass(frozen=True, slots=True)
class Writer:
    """How one format is written."""

    write: Callable[..., None]  # (score, path), and the keywords below if they are set
    libraries: tuple[Library, ...] = ()
    takes_metadata: bool = False  # keyword ``metadata``
    takes_marks: bool = False  # keyword ``marks``
    takes_perform: bool = False  # keyword ``perform``; only for sound, never for notation


_VEROVIO = Library("verovio", "engraving", "an engraved score")
_TYPST = Library("typst", "engraving", "an engraved score")
_VORBIS = Library("soundfile", "sound", "OGG")

WRITERS: dict[str, Writer] = {
    "mid": Writer(write_midi, takes_metadata=True),
    "musicxml": Writer(write_musicxml, takes_metadata=True, takes_marks=True),
    "mxl": Writer(write_musicxml, takes_metadata=True, takes_marks=True),
    "svg": Writer(write_svg, (_VEROVIO,), takes_marks=True),
    "png": Writer(write_png, (_VEROVIO, _TYPST), takes_marks=True),
    "pdf": Writer(write_pdf, (_VEROVIO, _TYPST), takes_marks=True),
    "roll.svg": Writer(write_piano_roll),
    "wav": Writer(write_wav, takes_perform=True),
    "ogg": Writer(write_ogg, (_VORBIS,), takes_perform=True),
}
OUTPUT_FORMATS = tuple(WRITERS)
_ALIASES = {"midi": "mid", "xml": "musicxml"}


def output_format(path: Path) -> str:
    """Return the format that the suffix of a file selects. Raises RequestError if none does."""
    name = path.name.lower()
    for suffix in sorted((*WRITERS, *_ALIASES), key=len, reverse=True):
        if name.endswith(f".{suffix}"):
            return _ALIASES.get(suffix, suffix)
    raise RequestError(f"{path} names no format that can be written: {', '.join(OUTPUT_FORMATS)}.")


def require_libraries(*formats: str) -> None:
    """Raise RequestError that names every missing library of the formats, and their extras."""
    libraries = dict.fromkeys(
        library for name in formats if name in WRITERS for library in WRITERS[name].libraries
    )
    missing = [library for library in libraries if not is_importable(library.module)]
    if not missing:
        return
    modules, extras = (
        list(dict.fromkeys(getattr(library, name) for library in missing))
        for name in ("module", "extra")
    )
    purposes = list(dict.fromkeys(library.purpose for library in missing))
    raise MissingExtraError(
        f"{' and '.join(purposes)} need{'s' if len(purposes) == 1 else ''} "
        f"{' and '.join(modules)}: "
        f"install {'it' if len(modules) == 1 else 'them'} with pip install "
        f"'bicinium[{','.join(extras)}]'"
    )


def write_score(
    score: Score,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    perform: bool = False,
    marks: NoteMarks | None = None,
    *,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a score in the format of the file's suffix.

    ``metadata`` is stored in MIDI and MusicXML. ``perform`` plays WAV and OGG with expressive
    timing. ``marks`` colours and labels notes. ``about`` is the former name of ``metadata``.

    Raises RequestError for an unknown format, one that cannot be marked, or a library that is not
    installed.
    """
    if about is not None:
        warnings.warn(
            "write_score(about=) is now write_score(metadata=).", DeprecationWarning, stacklevel=2
        )
        metadata = about
    path = Path(path)
    writer = WRITERS[output_format(path)]
    keywords: dict[str, object] = {}
    if writer.takes_metadata:
        keywords["metadata"] = metadata
    if marks:
        if not writer.takes_marks:
            marked = ", ".join(name for name, each in WRITERS.items() if each.takes_marks)
            raise RequestError(f"{path} cannot hold marks. Write one of {marked}.")
        keywords["marks"] = marks
    if writer.takes_perform:
        keywords["perform"] = perform
    writer.write(score, path, **keywords)
