"""Count the notes that MuseScore 3 keeps when it reads and writes our MusicXML and MIDI.

Usage: python -m benchmarks musescore [--pieces 200] [--keep FOLDER]

Needs MuseScore (Debian's musescore3). Pieces over all keys, 2/4, 3/4, 4/4 and 6/8, of 8 to 24 bars
are written as MusicXML and MIDI. MuseScore opens them without a display and saves them as MusicXML.
A note is kept if it has the same staff, pitch, onset and duration afterwards. MIDI is imported
twice: by default, where MuseScore lengthens notes over the rests after them ("simplify durations"),
and without that.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bicinium.api import load_composer
from bicinium.formats.registry import read_music, read_score
from bicinium.generation.conditions import Conditions
from bicinium.music.key import ALL_KEYS
from bicinium.music.score import Meter, Score
from bicinium.render.export import write_score

PROGRAMS = ("musescore3", "mscore3", "mscore", "musescore")
METERS = ("2/4", "3/4", "4/4", "6/8")
LENGTHS = (8, 12, 16, 24)
BATCH = 25
AS_LONG_AS_WRITTEN = (
    '<?xml version="1.0"?><MidiOptions><SimplifyDurations>false</SimplifyDurations></MidiOptions>'
)

IMPORTED = {
    "xml.xsd": ("http://www.w3.org/XML/1998/namespace", ("lang", "space")),
    "xlink.xsd": (
        "http://www.w3.org/1999/xlink", ("actuate", "href", "role", "show", "title", "type"),
    ),
}  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Compose, convert, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="a folder in which the files stay")
    options = parser.parse_args(arguments)
    if musescore() is None:
        print("  MuseScore is not installed: apt-get install musescore3")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        report(compose_scores(options.pieces), folder)


def report(scores: Sequence[Score], folder: Path) -> None:
    """Write, convert and compare; print one line for each way."""
    written = write_all(scores, folder, "musicxml")
    valid = schema()
    faults = [path.name for path in written if not valid(path)]
    print(f"  valid by the schema of MusicXML 4.0: {len(written) - len(faults)} of {len(written)}")
    same = sum(read_score(path) == score for path, score in zip(written, scores, strict=True))
    print(f"  the same score by our own reader: {same} of {len(scores)}")
    print_kept("MusicXML", scores, through_musescore(written, folder / "from-musicxml"))
    midi = write_all(scores, folder, "mid")
    print_kept("MIDI", scores, through_musescore(midi, folder / "from-midi"))
    kept = through_musescore(midi, folder / "from-midi-exact", AS_LONG_AS_WRITTEN)
    print_kept("MIDI, durations not simplified", scores, kept)


def compose_scores(pieces: int) -> list[Score]:
    """Pieces over keys, metres and lengths."""
    composer = load_composer()
    asked = [
        Conditions(
            ALL_KEYS[i * 7 % len(ALL_KEYS)],
            Meter.parse(METERS[i % len(METERS)]),
            LENGTHS[i // len(METERS) % len(LENGTHS)],
        )
        for i in range(pieces)
    ]
    scores: list[Score] = []
    for first in range(0, pieces, BATCH):
        seeds = list(range(first, min(first + BATCH, pieces)))
        composed = composer.compose(asked[first : first + BATCH], seeds)
        scores += [piece.score for piece in composed if piece.score]
    return scores


def write_all(scores: Sequence[Score], folder: Path, form: str) -> list[Path]:
    """One file for each score."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"piece-{index:03d}.{form}" for index in range(len(scores))]
    for score, path in zip(scores, paths, strict=True):
        write_score(score, path)
    return paths


def musescore() -> str | None:
    """The program, where it is installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def through_musescore(
    paths: Sequence[Path], folder: Path, midi_operations: str | None = None
) -> list[Path]:
    """Open every file in one process and save it as MusicXML. Return the paths of the results."""
    folder.mkdir(parents=True, exist_ok=True)
    program = musescore()
    assert program is not None
    out = [folder / f"{path.stem}.musicxml" for path in paths]
    job = folder / "job.json"
    job.write_text(
        json.dumps(
            [{"in": str(a.absolute()), "out": str(b.absolute())}
             for a, b in zip(paths, out, strict=True)]
        )
    )  # fmt: skip
    options = []
    if midi_operations:
        (folder / "operations.xml").write_text(midi_operations)
        options = ["-M", str(folder / "operations.xml")]
    environment = {"XDG_RUNTIME_DIR": str(folder)} | os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    subprocess.run(
        [program, *options, "-j", str(job)], env=environment, capture_output=True, check=True
    )
    return out


def kept(score: Score, path: Path) -> int:
    """The notes of the score that are in the file: same staff, pitch, onset and duration. Notes
    that are only in the file count as lost too.
    """
    if not path.is_file():
        return 0
    ours = [Counter(map(as_heard, voice.notes)) for voice in score.voices]
    theirs = [Counter(map(as_heard, staff.notes)) for staff in read_music(path).staves]
    both = sum((a & b).total() for a, b in zip(ours, theirs, strict=False))
    more = max(0, sum(staff.total() for staff in theirs) - score.note_count)
    return both - more


def as_heard(note: Any) -> tuple[int, int, int]:
    """What has to come back of a note."""
    return note.onset_tick, note.pitch, note.duration_ticks


def print_kept(name: str, scores: Sequence[Score], paths: Sequence[Path]) -> None:
    """One line: notes kept, pieces kept whole."""
    counts = [kept(score, path) for score, path in zip(scores, paths, strict=True)]
    notes = sum(score.note_count for score in scores)
    whole = sum(count == score.note_count for count, score in zip(counts, scores, strict=True))
    opened = sum(path.is_file() for path in paths)
    print(
        f"  {name}: {opened} of {len(scores)} opened, {sum(counts)} of {notes} notes kept "
        f"({sum(counts) / notes:.2%}), {whole} pieces whole"
    )


def schema() -> Any:
    """(path) → is the file valid by the schema of MusicXML 4.0?

    The schema comes with the package musicxml. The two schemas that it imports (of ``xml:lang`` and
    of links, which our files do not use) are not in the package; the attributes they declare are
    declared here.
    """
    from lxml import etree

    found = find_spec("musicxml")
    assert found is not None
    assert found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "generate_classes"

    text = (folder / "musicxml_4_0.xsd").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        local = Path(temporary)
        rules_path = local / "musicxml.xsd"
        rules_path.write_text(text.replace("http://www.musicxml.org/xsd/", ""), encoding="utf-8")
        for name, (space, attributes) in IMPORTED.items():
            declared = "".join(f'<xs:attribute name="{a}" type="xs:string"/>' for a in attributes)
            (local / name).write_text(
                f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" '
                f'targetNamespace="{space}">{declared}</xs:schema>',
                encoding="utf-8",
            )
        rules = etree.XMLSchema(etree.parse(rules_path))
    plain = etree.XMLParser(load_dtd=False, no_network=True)
    return lambda path: rules.validate(etree.parse(path, plain))
