"""Judge what is read of difficult files against the right answer of each.

Usage: python -m benchmarks reading_cases FOLDER [--docs docs/formats.md]

FOLDER has ``cases.jsonl`` (its ``README.md`` describes the fields) and the files. Each case is
*right*, *said* (refused, or read with the loss stated, where its row allows that) or *wrong*.
``--docs`` writes the section with the results of all cases to the documentation.
"""

from __future__ import annotations

import argparse
import json
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from bicinium.errors import BiciniumError
from bicinium.formats.registry import read_music, read_score
from bicinium.music.score import TICKS_PER_QUARTER, Score
from bicinium.reports.verdicts import CheckedAs, validate_file

_MAY_REFUSE = (
    "refuse", "notes_or_refuse", "notes_or_refuse_grid", "notes_or_said", "said", "any", "either",
    "refuse_or_safe", "refuse_or_first",
)  # fmt: skip
_MAY_SAY = ("notes_or_said", "said")
_FORMATS = ("MIDI", "MusicXML", "kern", "ABC", "MEI")
_FORMATS_BY_SUFFIX = {
    ".musicxml": "MusicXML", ".xml": "MusicXML", ".mxl": "MusicXML", ".krn": "kern",
    ".abc": "ABC", ".mei": "MEI",
}  # fmt: skip
_RESULTS = ("read", "read, losses said", "refused")
_BEGIN, _END = "<!-- written by: reading_cases --docs -->", "<!-- end of the written part -->"
_ANYTHING = ("any", "either", "refuse_or_safe", "see what")


@dataclass(frozen=True)
class Judgement:
    """The result of one case: "right", "said" or "wrong", and what was seen."""

    outcome: str
    seen: str


def load_cases(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the cases in a folder."""
    lines = (folder / "cases.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def judge(case: dict[str, Any], folder: Path) -> Judgement:
    """Read the file of a case and compare it with the row."""
    path = folder / case["file"]
    expected = case["expect"]
    if expected == "count":
        found = sum(len(staff.notes) for staff in read_music(path).staves)
        stated = int(case["what"].rpartition("=")[2].split()[0])
        return Judgement("right" if found == stated else "wrong", f"{found} notes")
    try:
        score = read_score(path)
    except BiciniumError as error:
        allowed = expected in _MAY_REFUSE or expected == "see what"
        if not allowed or case.get("says", "") not in str(error):
            return Judgement("wrong", f"refused: {error}")
        return Judgement("right" if expected == "refuse" else "said", str(error))
    if expected == "refuse":
        return Judgement("wrong", "read, though it must be refused")
    said = "; ".join(map(str, score.losses))
    difference = differences(case, score) if expected not in _ANYTHING else ""
    if expected == "said" and case.get("says", "") not in said:
        return Judgement("wrong", f"says nothing of {case['says']!r}: {said}")
    if difference:
        may_say = expected in _MAY_SAY and said
        return Judgement("said", said) if may_say else Judgement("wrong", difference)
    verdict = validate_file(path)
    if verdict.checked_as is CheckedAs.NOTHING:
        return Judgement("wrong", f"validate: {verdict.violations[0].message}")
    return Judgement("right", said)


def differences(case: dict[str, Any], score: Score) -> str:
    """Return the first difference between a score and the row of its case, or nothing."""
    for name, voice in zip(("upper", "lower"), score.voices, strict=True):
        if name not in case:
            continue
        wanted = [(Fraction(onset), pitch, Fraction(length)) for onset, pitch, length in case[name]]
        found = [
            (
                Fraction(note.onset_tick - score.start_tick, TICKS_PER_QUARTER),
                note.pitch,
                Fraction(note.duration_ticks, TICKS_PER_QUARTER),
            )
            for note in voice.notes
        ]
        if wanted != found:
            pairs = zip([*wanted, None], [*found, None], strict=False)
            want, got = next(pair for pair in pairs if pair[0] != pair[1])
            return f"{name}: wanted {_written(want)}, read {_written(got)}"
    velocity = next((n.velocity for voice in score.voices for n in voice.notes), None)
    found_values = {
        "metre": str(score.meter),
        "tempo": round(score.tempo_qpm),
        "key": str(score.key).split()[0],
        "velocity": velocity,
        "pickup": str(Fraction(score.anacrusis_ticks, TICKS_PER_QUARTER)),
        "notes": score.note_count,
    }
    for name, value in found_values.items():
        if name in case and case[name] != value:
            return f"{name}: wanted {case[name]}, read {value}"
    return ""


def _written(note: tuple[Fraction, int, Fraction] | None) -> str:
    return "({}, {}, {})".format(*note) if note else "nothing"


def section(folder: Path) -> str:
    """Return the part of the documentation that tells what becomes of every case.

    The cases are named by their files, without a number at the beginning.
    """
    names: dict[str, dict[str, list[str]]] = {form: defaultdict(list) for form in _FORMATS}
    for case in load_cases(folder):
        if case["file"]:
            path = folder / case["file"]
            names[_FORMATS_BY_SUFFIX.get(path.suffix, "MIDI")][_result(path)].append(
                re.sub(r"^\d+-", "", path.name)
            )
    lines = ["| format | " + " | ".join(_RESULTS) + " |", "|---" * (1 + len(_RESULTS)) + "|"]
    for form, results in names.items():
        counts = (str(len(results[result])) for result in _RESULTS)
        lines.append(f"| {form} | {' | '.join(counts)} |")
    for form, results in names.items():
        lines += ["", f"### {form}"]
        for result in filter(results.get, _RESULTS):
            listed = ", ".join(f"`{name}`" for name in results[result])
            text = f"{result.capitalize()}: {listed}."
            lines += ["", *textwrap.wrap(text, 100, break_on_hyphens=False)]
    return "\n".join(lines)


def _result(path: Path) -> str:
    try:
        return "read, losses said" if read_score(path).losses else "read"
    except BiciniumError:
        return "refused"


def with_section(page: str, text: str) -> str:
    """Return a page of the documentation with another text between the marks of the section."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}"


def main(arguments: Sequence[str]) -> None:
    """Print the outcome of every case, and their number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", type=Path, help="page whose section is written")
    options = parser.parse_args(arguments)
    if options.docs:
        page = options.docs.read_text("utf-8")
        options.docs.write_text(with_section(page, section(options.folder)), "utf-8")
    counts: Counter[str] = Counter()
    for case in load_cases(options.folder):
        if case["file"] is None:
            continue
        result = judge(case, options.folder)
        counts[result.outcome] += 1
        if result.outcome != "right":
            print(f"{case['id']} {result.outcome:<5} {case['what']}: {result.seen}")
    print(", ".join(f"{outcome} {number}" for outcome, number in sorted(counts.items())))
