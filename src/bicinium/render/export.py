"""A score to a file, in the format that the file's name ends with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bicinium.errors import RequestError
from bicinium.music.score import Score
from bicinium.optional_imports import import_optional

# What is for listening can be performed; what is for reading never is.
OUTPUT_FORMATS = ("mid", "musicxml", "mxl", "svg", "png", "pdf", "roll.svg", "wav", "ogg")
_OTHER_NAMES = {"midi": "mid", "xml": "musicxml"}

_VEROVIO = ("verovio", "engraving", "an engraved score")
_TYPST = ("typst", "engraving", "an engraved score")
_SYNTHESISER = ("midirenderer", "sound", "sound")
_NEEDS = {
    "svg": (_VEROVIO,),
    "png": (_VEROVIO, _TYPST),
    "pdf": (_VEROVIO, _TYPST),
    "wav": (_SYNTHESISER,),
    "ogg": (_SYNTHESISER, ("soundfile", "sound", "OGG")),
}


def output_format(path: Path) -> str:
    """The format that a file's name ends with. Raises RequestError where there is none such."""
    name = path.name.lower()
    for form in sorted((*OUTPUT_FORMATS, *_OTHER_NAMES), key=len, reverse=True):
        if name.endswith(f".{form}"):
            return _OTHER_NAMES.get(form, form)
    raise RequestError(f"{path} names no format that can be written: {', '.join(OUTPUT_FORMATS)}")


def require_libraries(form: str) -> None:
    """Raise RequestError where what writes a format is not installed, before any work is done."""
    for module, extra, purpose in _NEEDS.get(form, ()):
        import_optional(module, extra, purpose)


def write_score(
    score: Score,
    path: str | Path,
    about: Mapping[str, str] | None = None,
    perform: bool = False,
) -> None:
    """Write a score. ``about`` is kept in MusicXML; ``perform`` is for WAV and OGG.

    Raises RequestError for a format that is none or whose libraries are not installed.
    """
    path = Path(path)
    match output_format(path):
        case "mid":
            from bicinium.formats.midi import write_midi

            write_midi(score, path)
        case "musicxml" | "mxl":
            from bicinium.formats.musicxml_writer import write_musicxml

            write_musicxml(score, path, about)
        case "roll.svg":
            from bicinium.render.piano_roll import write_piano_roll

            write_piano_roll(score, path)
        case "wav" | "ogg" as form:
            from bicinium.render import audio

            (audio.write_wav if form == "wav" else audio.write_ogg)(score, path, perform)
        case "svg" | "png" | "pdf" as form:
            from bicinium.render import engraving

            write = {
                "svg": engraving.write_svg,
                "png": engraving.write_png,
                "pdf": engraving.write_pdf,
            }
            write[form](score, path)
