"""Show scores, pieces and reports in notebooks, as HTML that needs no network.

A score is engraved, if the extra ``engraving`` is installed, and has a piano roll and a button that
plays it in the browser. Reports mark their faults. The first ``MAX_BARS`` bars are drawn. All text
is escaped, and both drawings are images, so that their styles stay their own.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree

from bicinium.counterpoint.checker import CounterpointReport
from bicinium.errors import MissingExtraError, ScoreError
from bicinium.formats.musicxml_writer import NoteMarks
from bicinium.generation.composition import Composition
from bicinium.grammar.validate import ValidationResult, Violation
from bicinium.music.excerpts import extract_bars
from bicinium.music.score import Meter, Score
from bicinium.render.engraving import engrave
from bicinium.render.performance import strict_performance
from bicinium.render.piano_roll import (
    LIGHT_COLOURS,
    Mark,
    RollNote,
    draw_piano_roll,
    roll_notes,
    standalone_svg,
)
from bicinium.reports.counterpoint_report import COLOURS, note_marks
from bicinium.reports.templates import render_template
from bicinium.reports.verdicts import FileVerdict

MAX_BARS = 32  # drawn; all are played
MAX_FAULTS = 20  # listed


@singledispatch
def to_text(value: object) -> str:
    """Return a value in one line."""
    raise TypeError(f"{type(value).__name__} has no display in notebooks.")


@singledispatch
def to_html(value: object) -> str:
    """Return a value as HTML for a notebook."""
    raise TypeError(f"{type(value).__name__} has no display in notebooks.")


@to_text.register
def _(score: Score) -> str:
    return ", ".join(part for part in (score.title, score.composer, _about(score)) if part)


@to_html.register
def _(score: Score) -> str:
    title = ", ".join(part for part in (score.title, score.composer) if part)
    return _page(title or "Score", about=_about(score), score=score)


@to_text.register
def _(piece: Composition) -> str:
    return f"{_title(piece)}: {_about(piece.score) if piece.score else 'no score'}"


@to_html.register
def _(piece: Composition) -> str:
    about = "; ".join(f"{name}: {value}" for name, value in piece.about.items())
    if piece.score is None:
        return _page(_title(piece), about=about, faults=_violations(piece.result.violations))
    return _page(_title(piece), about=about, score=piece.score)


@to_text.register
def _(report: CounterpointReport) -> str:
    return f"Rules {report.rule_set}: {_counted(len(report.faults), 'fault')}"


@to_html.register
def _(report: CounterpointReport) -> str:
    faults = [
        {"rule": each.rule, "message": each.message, "colour": COLOURS[each.severity]}
        for each in report.faults
    ]
    marks = [Mark(each.tick, f"{each.rule}: {each.fact}") for each in report.faults]
    return _page(
        to_text(report), about=report.score.title, score=report.score,
        note_marks=note_marks(report), faults=faults, marks=marks,
    )  # fmt: skip


@to_text.register
def _(result: ValidationResult) -> str:
    found = "valid" if result.valid else _counted(len(result.violations), "violation")
    return f"{found}, grammar score {result.grammar_score:.3f}, {_counted(result.notes, 'note')}"


@to_html.register
def _(result: ValidationResult) -> str:
    lost = [f"{name} {score:.3f}" for name, score in result.rule_scores.items() if score < 1]
    return _page(
        to_text(result),
        about="Rules below 1: " + ", ".join(lost) if lost else "",
        faults=_violations(result.violations),
        remarks=[result.hint] if result.hint else [],
    )


@to_text.register
def _(verdict: FileVerdict) -> str:
    found = "valid" if verdict.valid else _counted(len(verdict.violations), "violation")
    return f"{verdict.path}: {found}, grammar score {verdict.grammar_score:.3f}"


@to_html.register
def _(verdict: FileVerdict) -> str:
    marks = [Mark(v.tick, f"{v.rule}: {v.message}") for v in verdict.violations]
    remarks = [verdict.hint] if verdict.hint else []
    remarks += [f"In reading: {loss}" for loss in verdict.losses]
    return _page(
        to_text(verdict),
        about=f"checked as {verdict.checked_as}",
        faults=_violations(verdict.violations),
        remarks=remarks,
        roll=_roll(verdict.roll, marks, verdict.meter),
    )


def _page(
    title: str,
    *,
    about: str = "",
    score: Score | None = None,
    note_marks: NoteMarks | None = None,
    faults: Sequence[Mapping[str, str]] = (),
    marks: Sequence[Mark] = (),
    remarks: Sequence[str] = (),
    roll: str = "",
) -> str:
    context: dict[str, Any] = {"page": "", "notes": "", "player": "", "roll": roll}
    remarks = list(remarks)
    if score is not None and score.note_count:
        excerpt = extract_bars(score, 0, min(score.bars, MAX_BARS))
        if score.bars > MAX_BARS:
            remarks.append(f"The first {MAX_BARS} of {score.bars} bars are shown.")
        try:
            context["page"] = _engraved(excerpt, note_marks)
        except (MissingExtraError, ScoreError) as error:
            remarks.append(str(error))
        context["roll"] = _roll(roll_notes(excerpt), marks, score.meter)
        context["notes"] = _played(score)
        context["player"] = (files(__package__) / "templates" / "player.js").read_text("utf-8")
    return render_template(
        "bicinium.adapters",
        "notebook.html.j2",
        title=title,
        about=about,
        faults=faults[:MAX_FAULTS],
        more_faults=max(0, len(faults) - MAX_FAULTS),
        remarks=remarks,
        **context,
    )


def _title(piece: Composition) -> str:
    return f"{piece.conditions.key_name}, seed {piece.seed}"


def _about(score: Score) -> str:
    key = f"{score.key_name}, " if score.key_name else ""
    tempo = score.meter.tempo_mark(score.tempo_qpm)
    return f"{key}{score.meter}, {_counted(score.bars, 'bar')}, {tempo}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _violations(violations: Sequence[Violation]) -> list[dict[str, str]]:
    return [
        {"rule": each.rule, "message": each.message, "colour": LIGHT_COLOURS["wrong"]}
        for each in violations
    ]


def _played(score: Score) -> str:
    """Return all notes as JSON: [[onset, end (seconds), pitch, velocity], …]."""
    notes = [
        [round(n.onset_seconds, 3), round(n.offset_seconds, 3), n.pitch, n.velocity]
        for n in strict_performance(score).notes
    ]
    return json.dumps(notes, separators=(",", ":"))


def _roll(notes: Sequence[RollNote], marks: Sequence[Mark], meter: Meter) -> str:
    """Return the piano roll of the bars that are shown, as the address of an image."""
    end = MAX_BARS * meter.bar_ticks
    shown = [
        replace(note, offset_tick=min(note.offset_tick, end))
        for note in notes
        if note.onset_tick < end
    ]
    drawing = draw_piano_roll(shown, [mark for mark in marks if mark.tick < end], meter)
    return _image(standalone_svg(drawing)) if drawing else ""


def _engraved(score: Score, marks: NoteMarks | None) -> str:
    """Return the engraved score as the address of an image."""
    (page,) = engrave(replace(score, title="", composer=""), one_page=True, marks=marks)
    root = ElementTree.fromstring(page)
    styled = set(re.findall(r"\.(\w+)", page[page.find("<style") : page.find("</style>")]))
    for element in root.iter():  # Half of the text is names that nothing refers to, and indents.
        element.text = element.text if (element.text or "").strip() else None
        element.tail = element.tail if (element.tail or "").strip() else None
        if element is root or not element.tag.endswith("}g"):
            continue
        if styled.isdisjoint(element.get("class", "").split()):
            element.attrib.pop("class", None)
        if "-" not in element.get("id", "-"):  # The outlines of signs have a hyphen: E0A4-….
            del element.attrib["id"]
    return _image(ElementTree.tostring(root, encoding="unicode"))


def _image(svg: str) -> str:
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
