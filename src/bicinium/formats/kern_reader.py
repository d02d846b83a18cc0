"""Read Humdrum kern files: each ``**kern`` spine is a part, each of its sub-spines a voice.

Pitches are read as they sound: a transposing instrument (``*ITr``) is encoded at sounding pitch.
Spines must agree in time: a file in which a note does not begin where the one before it ends is
refused. So is one whose notes, counted in the text, are not all read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.assemble import assemble
from bicinium.formats.measures import MAX_DOTS, Measure, MeasureNote, Part, require_all_read
from bicinium.formats.repeats import section_order
from bicinium.formats.source_bytes import decode_text, read_source
from bicinium.formats.spelling import Spelling
from bicinium.music.content import Content
from bicinium.music.losses import LossKind, losses_of_file
from bicinium.music.score import Meter
from bicinium.music.signature import LETTERS, MODES

_DURATION = re.compile(r"(\d+)(?:%(\d+))?(\.*)")
_PITCH = re.compile(r"([a-gA-G])\1*")
_REFERENCE = re.compile(r"!!!(\w+)(?:@\w+)?:\s*(.*)")
_ORNAMENTS = re.compile(r"[TtMmWwS$O]")
_LONG = {"0": Fraction(8), "00": Fraction(16), "000": Fraction(32)}  # quarters
_MAX_SPINES = 256


@dataclass(slots=True)
class _Spine:
    part: int  # index of its kern spine; -1 if it is of another kind
    voice: int = 1
    now: Fraction = Fraction(0)  # quarters from the start of the piece
    is_fresh: bool = True  # no note or rest since the measure or the sub-spine began
    has_hole: bool = False  # a null token stands where nothing sounds


@dataclass(slots=True)
class _Reader:
    spines: list[_Spine] = field(default_factory=list)
    measures: list[list[Measure]] = field(default_factory=list)  # of each part
    start: Fraction = Fraction(0)  # of the present measure
    section_order: str = ""  # where it is not that of the page

    def begin(self, fields: Sequence[str]) -> None:
        """Begin the spines that an exclusive interpretation names."""
        if self.spines:
            raise ValueError("more spines begin inside the piece")
        for name in fields:
            is_kern = name == "**kern"
            self.spines.append(_Spine(len(self.measures) if is_kern else -1))
            if is_kern:
                self.measures.append([Measure()])

    def interpret(self, fields: Sequence[str]) -> None:
        """Apply a line of interpretations: signatures, then splits and joins."""
        for spine, token in zip(self.spines, fields, strict=True):
            if token.startswith("*>[") and not self.section_order:
                self.section_order = section_order(token[3:].rstrip("]").split(","))
            if spine.part >= 0:
                _signature(self.measures[spine.part][-1], token, spine.now - self.start)
        if all(token == "*-" for token in fields):
            self.barline("")
        if any(token in ("*^", "*v", "*-", "*x", "*+") for token in fields):
            self._rearrange(fields)

    def _rearrange(self, fields: Sequence[str]) -> None:
        spines: list[_Spine] = []
        exchanged: list[int] = []
        joining: _Spine | None = None
        for spine, token in zip(self.spines, fields, strict=True):
            if token == "*v" and joining is not None and joining.part == spine.part:
                joining.now = max(joining.now, spine.now)
                joining.voice = min(joining.voice, spine.voice)
                continue
            joining = spine if token == "*v" else None
            if token == "*-":
                continue
            if token == "*+":
                raise ValueError("a spine is added (*+), which is not supported")
            if token == "*x":
                exchanged.append(len(spines))
            spines.append(spine)
            if token == "*^":
                voice = _free_voice([*spines, *self.spines], spine.part)
                spines.append(replace(spine, voice=voice, is_fresh=True))
        if len(exchanged) == 2:
            a, b = exchanged
            spines[a], spines[b] = spines[b], spines[a]
        if len(spines) > _MAX_SPINES:
            raise ValueError(f"more than {_MAX_SPINES} spines")
        self.spines = spines

    def data(self, fields: Sequence[str]) -> None:
        """Read a line of notes and rests."""
        sounding = [
            (spine, token)
            for spine, token in zip(self.spines, fields, strict=True)
            if spine.part >= 0
        ]
        timed = [s for s, token in sounding if token != "." and "q" not in token.split(" ")[0]]
        now = max((spine.now for spine in timed), default=Fraction(-1))
        for spine, token in sounding:
            if token == ".":
                spine.has_hole |= spine.now <= now
        for spine in timed:
            if spine.now < now and not (spine.has_hole and spine.is_fresh):
                raise ValueError("notes on one line begin at different times")
            spine.now, spine.has_hole, spine.is_fresh = now, False, False
        for spine, token in sounding:
            if token != ".":
                self._token(spine, token)

    def _token(self, spine: _Spine, token: str) -> None:
        """Read the notes of a token, and move its spine on."""
        measure = self.measures[spine.part][-1]
        length = Fraction(0)
        for note in token.split(" "):
            is_note = _PITCH.search(note) and "r" not in note
            if "q" in note or "Q" in note:
                measure.losses[LossKind.GRACE] += bool(is_note)
                continue
            duration = _duration(note) or length
            if not duration:
                raise ValueError(f"{note} has no duration")
            length = duration
            if is_note:
                measure.losses[LossKind.ORNAMENT] += bool(_ORNAMENTS.search(note))
                measure.notes.append(
                    _note(note, spine.now - self.start, duration, str(spine.voice))
                )
        spine.now += length

    def barline(self, token: str) -> None:
        """End the measure of every part."""
        timed = [spine for spine in self.spines if spine.part >= 0]
        if not timed:
            return
        now = max(spine.now for spine in timed)
        for spine in timed:
            if self.start < spine.now < now and not spine.has_hole:
                raise ValueError("the spines do not end together")
            spine.now, spine.has_hole, spine.is_fresh = now, False, True
        number = re.search(r"\d+", token)
        if now > self.start:
            ends_repeat = ":|" in token or ":!" in token
            for part in self.measures:
                part[-1].length = now - self.start
                part[-1].plays = 2 if ends_repeat else 0
                part.append(Measure())
        self.start = now
        for part in self.measures:
            if number:
                part[-1].number = number.group()
            part[-1].starts_repeat |= "|:" in token or "!:" in token


def _free_voice(spines: Sequence[_Spine], part: int) -> int:
    """Return the lowest number of a voice that no spine of a part has."""
    used = {spine.voice for spine in spines if spine.part == part}
    return next(voice for voice in range(1, len(used) + 2) if voice not in used)


def _duration(note: str) -> Fraction:
    """Return the length of a note in quarters; 0 if the token states none."""
    found = _DURATION.search(note)
    if not found:
        return Fraction(0)
    digits, divisor, dots = found.groups()
    if len(dots) > MAX_DOTS:
        raise ValueError(f"a note has {len(dots)} dots")
    is_long = set(digits) == {"0"}
    length = _LONG[digits] if is_long else Fraction(4 * int(divisor or 1), int(digits))
    return length * (2 - Fraction(1, 2 ** len(dots)))


def _note(note: str, onset: Fraction, duration: Fraction, voice: str) -> MeasureNote:
    found = _PITCH.search(note)
    assert found is not None  # the caller has looked
    letter, count = found.group(1), len(found.group())
    octave = 3 + count if letter.islower() else 4 - count
    spelling = Spelling(letter.upper(), note.count("#") - note.count("-"), octave)
    return MeasureNote(
        onset=onset,
        duration=duration,
        staff=1,
        voice=voice,
        spelling=spelling,
        pitch=spelling.pitch,
        velocity=None,
        tied_to_next="[" in note or "_" in note,
        tied_from_last="]" in note or "_" in note,
    )


def _mode(measure: Measure, letter: str, sign: str, name: str) -> str:
    """Return the name of the mode of a key designation such as ``*d:`` or ``*d:dor``.

    Music in D minor without a signature is written as dorian.
    """
    stated = next((mode for mode in MODES if name and mode.startswith(name)), "")
    mode = stated or ("major" if letter.isupper() else "minor")
    if stated or measure.fifths is None:
        return mode
    tonic = LETTERS.index(letter.upper()) - 1 + 7 * ((sign == "#") - (sign == "-"))
    fitting = [name for name, (above, kind) in MODES.items()
               if kind == mode and above == tonic - measure.fifths]  # fmt: skip
    return next(iter(fitting), "")


def _signature(measure: Measure, token: str, position: Fraction) -> None:
    """Add a metre, a key or a tempo to a measure."""
    if found := re.fullmatch(r"\*M(\d+(?:\+\d+)*)/(\d+)", token):
        measure.meter = Meter(sum(map(int, found[1].split("+"))), int(found[2]))
    elif found := re.fullmatch(r"\*k\[((?:[a-g](?:#|-|n))*)\]", token):
        measure.fifths = found[1].count("#") - found[1].count("-")
    elif found := re.fullmatch(r"\*([A-Ga-g])([#-]?):(\w*)", token):
        measure.mode = _mode(measure, *found.groups())
    elif (found := re.fullmatch(r"\*MM(\d+(?:\.\d+)?)", token)) and float(found[1]) >= 1:
        measure.tempi.append((position, float(found[1])))


def read_kern(path: Path, unfold: bool = False) -> Content:
    """Read a kern file. Raises NotationFileError if it cannot be read or has no notes."""
    text = decode_text(read_source(path))
    reader = _Reader()
    references: dict[str, str] = {}
    pieces = _pieces(text)
    if not pieces:
        raise NotationFileError(f"{path} is not a kern file: it has no **kern spine.")
    for number, line in pieces[0]:
        if line.startswith("!") or not line.strip():
            if found := _REFERENCE.match(line):
                references.setdefault(found[1], found[2].strip())
            continue
        fields = line.split("\t")
        try:
            if not line.startswith("**") and len(fields) != len(reader.spines):
                raise ValueError(f"{len(fields)} fields for {len(reader.spines)} spines")
            _handler(reader, line)(fields)
        except (ValueError, KeyError, ZeroDivisionError, ScoreError) as error:
            raise NotationFileError(f"{path}, line {number}, is damaged: {error}.") from error
    if not reader.measures:
        raise NotationFileError(f"{path} is not a kern file: it has no **kern spine.")
    reader.barline("")  # A file may be cut off before its last barline.
    # The lowest staff is the first column.
    parts = [Part("", 1, measures[:-1] or measures) for measures in reversed(reader.measures)]
    _check_count([line for _, line in pieces[0]], parts, path)
    content = assemble(parts, path, unfold=unfold)
    rights = references.get("YEC") or references.get("YEM", "")
    losses = losses_of_file(len(pieces), reader.section_order)
    return replace(
        content,
        losses=(*content.losses, *losses),
        title=references.get("OTL", ""),
        composer=references.get("COM", ""),
        rights=rights,
    )


def _handler(reader: _Reader, line: str) -> Callable[[Sequence[str]], None]:
    """Return the method that reads a line of this kind."""
    if line.startswith("**"):
        return reader.begin
    if line.startswith("*"):
        return reader.interpret
    if line.startswith("="):
        return lambda fields: reader.barline(fields[0])
    return reader.data


def _pieces(text: str) -> list[list[tuple[int, str]]]:
    """Return the numbered lines of each piece. A piece ends where all its spines end."""
    pieces: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(text.splitlines(), start=1):
        pieces[-1].append((number, line))
        if line.strip() and set(line.split("\t")) == {"*-"}:
            pieces.append([])
    return [lines for lines in pieces if any(line.startswith("**") for _, line in lines)]


def _check_count(lines: Sequence[str], parts: Sequence[Part], path: Path) -> None:
    """Refuse a file of kern spines only if its notes, counted in the text, are not all read."""
    kinds = next((line for line in lines if line.startswith("**")), "").split("\t")
    if set(kinds) != {"**kern"}:
        return
    counted = sum(
        re.search("[a-gA-G]", note) is not None and "r" not in note
        for line in lines
        if line and line[0] not in "!*="
        for note in re.split(r"[\t ]", line)
    )
    require_all_read(counted, parts, path)
