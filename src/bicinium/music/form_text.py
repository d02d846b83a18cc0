"""Forms in words: letters like ``A B A' C``, names like ``rondo``, and JSON documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bicinium.errors import RequestError
from bicinium.music.form import (
    MAX_STEP,
    RETURNS,
    BarKind,
    BarLabel,
    Close,
    Form,
    bar_label,
)

UPPER, LOWER = "upper", "lower"
VOICE_NAMES = (UPPER, LOWER)
MAX_BYTES = 2**20  # of a document

# Sections in letters. A section that comes again is literal; with a prime it is varied.
NAMED_FORMS = {
    "binary": "A A' B B'",
    "rondo": "A B A C A",
    "theme-and-variation": "A A' A'' A'''",
    "minuet-and-trio": "A A B A' C C D C' A B A'",
}
INVENTION = "invention"
FORM_NAMES = (*NAMED_FORMS, INVENTION)
_SECTION = re.compile(r"([A-Z])('*)")
_SOURCE = re.compile(r"(?P<bar>\d{1,4})( (?P<voice>upper|lower))?( (?P<step>[+-]?\d{1,2}))?")
_OCTAVE, _FIFTH = 7, 4  # in scale steps
_UNKNOWN = bar_label(BarKind.UNKNOWN)


def parse_form(text: str, bars: int) -> Form:
    """Read a form of so many bars: letters, one of FORM_NAMES, or the name of a JSON file.

    What it does not say is unknown. Raises RequestError if it is none, or does not fit the bars.
    """
    if text.endswith(".json"):
        return _fitting(read_form(Path(text)), bars, text)
    if text == INVENTION:
        return _invention(bars)
    return _of_letters(NAMED_FORMS.get(text, text), bars)


def read_form(path: Path) -> Form:
    """Read a JSON file that holds a form. Raises RequestError if it holds none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RequestError(f"{path} is too long for a form (over {MAX_BYTES} bytes).")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{path} cannot be read as a form: {error}.") from error
    return form_from_json(document, str(path))


def form_to_json(form: Form) -> dict[str, Any]:
    """Return a form as JSON values; bars count from 1."""
    voices = {
        name: [label_text(label, bar, voice) for bar, label in enumerate(labels)]
        for voice, (name, labels) in enumerate(zip(VOICE_NAMES, form.labels, strict=True))
    }
    return {"bars": form.bars, **voices, "closes": [close.name.lower() for close in form.closes]}


def form_from_json(document: Any, name: str = "The form") -> Form:
    """Read what ``form_to_json`` returns. A list that is left out is unknown.

    Raises RequestError, which begins with ``name``.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("bars"), int):
        raise RequestError(f'{name} must be an object with "bars", a number.')
    bars = document["bars"]
    if unknown := sorted(set(document) - {"bars", "closes", *VOICE_NAMES}):
        raise RequestError(f"{name} has an entry {unknown[0]!r}. Use upper, lower and closes.")
    lists = {key: document.get(key, ["unknown"] * bars) for key in (*VOICE_NAMES, "closes")}
    for key, values in lists.items():
        if not isinstance(values, list) or len(values) != bars:
            raise RequestError(f"{name}: {key} must be a list of {bars} entries, one for each bar.")
    labels = tuple(
        tuple(_parse_label(text, bar, voice, name) for bar, text in enumerate(lists[key]))
        for voice, key in enumerate(VOICE_NAMES)
    )
    return Form(labels, tuple(_parse_close(text, name) for text in lists["closes"]))


def label_text(label: BarLabel, bar: int, voice: int) -> str:
    """Return a label in words, like ``new``, ``literal 1``, ``transposed 3 lower -7``.

    After the kind come the number of the bar that this one is like, the voice if it is the other
    one, and the scale steps if there are any. ``bar`` is the index of the labelled bar.
    """
    words = [label.kind.name.lower()]
    if label.kind in RETURNS:
        words.append(str(bar - label.back + 1))
        if label.other:
            words.append(VOICE_NAMES[1 - voice])
        if label.step:
            words.append(f"{label.step:+d}")
    return " ".join(words)


def _parse_label(text: Any, bar: int, voice: int, name: str) -> BarLabel:
    words = text.split() if isinstance(text, str) else []
    kinds = {kind.name.lower(): kind for kind in BarKind}
    if not words or words[0] not in kinds:
        raise RequestError(
            f"{name}: bar {bar + 1} of the {VOICE_NAMES[voice]} voice must begin with one of "
            f"{', '.join(kinds)} (got {text!r})."
        )
    kind = kinds[words[0]]
    if kind not in RETURNS and len(words) == 1:
        return bar_label(kind)
    found = _SOURCE.fullmatch(" ".join(words[1:]))
    source, step = (int(found["bar"]), int(found["step"] or 0)) if found else (0, 0)
    if kind not in RETURNS or not 1 <= source <= bar or abs(step) > MAX_STEP:
        raise RequestError(
            f"{name}: bar {bar + 1} of the {VOICE_NAMES[voice]} voice cannot be {text!r}. "
            "Write it like 'new', 'literal 1' or 'transposed 1 lower -7', with an earlier bar."
        )
    other = found is not None and found["voice"] == VOICE_NAMES[1 - voice]
    return bar_label(kind, bar + 1 - source, other, step)


def _parse_close(text: Any, name: str) -> Close:
    closes = {close.name.lower(): close for close in Close}
    if text not in closes:
        raise RequestError(f"{name}: a close must be one of {', '.join(closes)} (got {text!r}).")
    return closes[text]


def _fitting(form: Form, bars: int, name: str) -> Form:
    if form.bars != bars:
        raise RequestError(f"{name} has {form.bars} bars, and the piece {bars}. Give --bars.")
    return form


def _of_letters(text: str, bars: int) -> Form:
    """Return a form of sections of equal length, as nearly as the bars allow."""
    sections = _SECTION.findall(text)
    if not sections or _SECTION.sub("", text).strip():
        raise RequestError(
            f"form must be letters like A B A', a JSON file, or one of {', '.join(FORM_NAMES)} "
            f"(got {text!r})."
        )
    if bars < len(sections):
        raise RequestError(
            f"The form {text} has {len(sections)} sections, and the piece {bars} bars."
        )
    starts = [round(index * bars / len(sections)) for index in range(len(sections) + 1)]
    labels, closes = [_UNKNOWN] * bars, [Close.UNKNOWN] * bars
    first: dict[str, int] = {}
    for index, (letter, primes) in enumerate(sections):
        begin, end = starts[index], starts[index + 1]
        closes[end - 1] = Close.HALF if index % 2 == 0 and end < bars else Close.FULL
        source = first.setdefault(letter, index)
        if source != index:
            length = starts[source + 1] - starts[source]
            kind = BarKind.VARIED if primes else BarKind.LITERAL
            for bar in range(begin, min(end, begin + length)):
                labels[bar] = bar_label(kind, begin - starts[source])
            closes[end - 1] = Close.UNKNOWN if end < bars else Close.FULL
    return Form((tuple(labels), tuple(labels)), tuple(closes))


def _invention(bars: int) -> Form:
    """Return the form of a short invention.

    The upper voice begins with a subject of one bar, and the lower one answers it an octave below.
    The answer comes again a fifth higher, and in the middle the voices change their parts.
    """
    if bars < 4:
        raise RequestError(f"An invention needs 4 bars or more (got {bars}).")
    voices = [[_UNKNOWN] * bars for _ in VOICE_NAMES]
    upper, lower = voices

    def enter(voice: list[BarLabel], bar: int, other: bool, step: int) -> None:
        if 0 < bar < bars - 1:
            kind = BarKind.TRANSPOSED if step else BarKind.LITERAL
            voice[bar] = bar_label(kind, bar, other, step)

    upper[0], lower[0] = bar_label(BarKind.NEW), bar_label(BarKind.SILENT)
    enter(lower, 1, True, -_OCTAVE)
    if bars >= 8:
        enter(upper, 2, False, _FIFTH)
        enter(lower, 3, True, _FIFTH - _OCTAVE)
        middle = bars // 2
        enter(lower, middle, True, _FIFTH - 2 * _OCTAVE)
        enter(upper, middle + 1, False, _FIFTH - _OCTAVE)
        enter(upper, bars - 4, False, 0)
    closes = [Close.UNKNOWN] * (bars - 1) + [Close.FULL]
    return Form((tuple(upper), tuple(lower)), tuple(closes))
