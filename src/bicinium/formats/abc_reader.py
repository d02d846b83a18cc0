"""Read ABC files (standard 2.1): each voice of the tune is a part.

Of several tunes the first is read. A file whose notes, counted in the text, are not all read is
refused, and so is one with a sign that is not known.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.abc_fields import (
    AbcKey,
    parse_length,
    parse_meter,
    parse_tempo,
    semitones_of_clef,
)
from bicinium.formats.abc_voice import AbcVoice, Sign
from bicinium.formats.assemble import assemble
from bicinium.formats.measures import Part, require_all_read
from bicinium.formats.source_bytes import decode_text, read_source
from bicinium.music.content import Content
from bicinium.music.losses import Loss, LossKind, losses_of_file
from bicinium.music.score import Meter

_FIELD = re.compile(r"([A-Za-z+]):(.*)")
_NOTE = r"(\^\^|\^/?|=|__|_/?|)([A-Ga-g])([,']*)"
_LENGTH = r"(\d*)(/*)(\d*)"
# Notes between exclamation marks stand between two line breaks of old files; !f! is a dynamic.
_DECORATION = r"!(?!(?!f+!)[\d/,'^_=]*[A-Ga-g][A-Ga-g\d/,'^_=]*!)[^!|\s]*!|\+[a-zA-Z.,()<>0-9]+\+"
_TOKEN = re.compile(
    r"(?P<quoted>\"[^\"]*\"?)"
    r"|(?P<field>\[[A-Za-z]:[^\]]*\])"
    r"|(?P<grace>\{[^}]*\}?)"
    rf"|(?P<decoration>{_DECORATION})"
    r"|(?P<barline>:*\|[|\]:]*(?:\[|)(?=[1-9])|:*\[\|\]?:*|:*\|[\]|:]*|::+|:(?=\s*$))"
    r"|(?P<ending>\[(?=[1-9]))"
    rf"|(?P<chord>\[(?:\s*\"[^\"]*\"|\s*![^!]*!|\s*{_NOTE}{_LENGTH}-?|[.~HLMOPSTuv\s]|\((?!\d)|\))+\s*\]{_LENGTH})"
    r"|(?P<tuplet>\((\d)(?::(\d?))?(?::(\d?))?)"
    rf"|(?P<note>{_NOTE}{_LENGTH})"
    rf"|(?P<rest>[zx]{_LENGTH})"
    r"|(?P<bars>[ZX]\d*)"
    r"|(?P<broken>>{1,3}|<{1,3})"
    r"|(?P<tie>\.?-)"
    r"|(?P<overlay>&+)"
    r"|(?P<sign>[.~HLMOPSTuvIJKNQRUVWhijklmnopqrstw])"
    r"|(?P<other>\.?[()]|y\d*|[\s`\\$*;?@!]|\]|\|?)"
)
_ONLY_MUSIC = re.compile(r"[\sA-Ga-gzxZ0-9/,'^_=<>(){}\[\]~.:-]+")
_MAX_ENDINGS = 99
_MAX_SLASHES = 10  # of a length, each of which halves it
_NUMBERS = re.compile(r"[1-9][0-9,-]*")
_ORNAMENT_SIGNS = ("~", "M", "P", "T")
_ORNAMENTS = re.compile(r"trill|mordent|turn|roll|pralltriller|^/+$|tremolo")
_JUMPS = {"D.C.": "dacapo", "D.S.": "dalsegno", "segno": "segno", "S": "segno", "coda": "coda",
          "O": "coda", "fine": "fine", "dacapo": "dacapo", "dacoda": "tocoda"}  # fmt: skip


class _Tune:
    """Reads the lines of one tune. Header fields hold for voices that are not yet begun."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.voices: dict[str, AbcVoice] = {}
        self.tempo_text = ""
        self.section_order = ""
        self.macros = 0
        self._key_text = "C"
        self._meter: Meter | None = Meter(4, 4)
        self._meter_text = ""
        self._unit: Fraction | None = None
        self._propagation = "octave"
        self._voice: AbcVoice | None = None
        self._names: dict[str, str] = {}  # the rest of the V field of each voice
        self._in_body = False

    def line(self, line: str) -> None:
        """Read a line of fields or of music."""
        found = _FIELD.match(line)
        if found and not (self._in_body and line[1:2] != ":"):
            self._field(found[1], found[2].strip())
        elif line.startswith("%%") or not line.strip():
            self._instruct(line)
        elif self._in_body:
            self._music(line)

    def _field(self, name: str, text: str) -> None:
        if name == "K":
            self._in_body = True
        if name == "V":
            self._select(text)
        elif name == "I":
            self._instruct(text)
        elif name == "P" and not self._in_body:
            self.section_order = text
        elif name == "m":
            self.macros += 1
        elif name in "TC" and not self._in_body:
            self.texts.setdefault(name, text)
        elif name in "KMLQ" and (self._voice is None or not self.voices):
            self._header(name, text)
        elif name in "KMLQ" and self._voice is not None:
            self._change(self._voice, name, text)

    def _instruct(self, text: str) -> None:
        if found := re.search(r"propagate-accidentals\s+(not|octave|pitch)", text):
            self._propagation = found[1]

    def _header(self, name: str, text: str) -> None:
        if name == "K":
            AbcKey(text)
            self._key_text = text
        elif name == "M":
            self._meter, self._meter_text = parse_meter(text), text
        elif name == "L":
            self._unit = parse_length(text)
        else:
            self.tempo_text = text

    def _change(self, voice: AbcVoice, name: str, text: str) -> None:
        """Apply a field inside the tune to one voice."""
        if name == "L":
            voice.unit = parse_length(text)
        elif name == "Q":
            if (tempo := parse_tempo(text, voice.unit)) and tempo >= 1:
                voice.measure.tempi.append((voice.position, tempo))
        elif name == "M":
            if voice.position:
                voice.end_measure()
            voice.meter = parse_meter(text)
            voice.measure.meter = voice.meter
        else:
            if semitones := semitones_of_clef(text):
                voice.transposition = semitones
            if not re.match(r"\s*(clef=|treble|bass|alto|tenor|octave=|middle=|transpose=)", text):
                voice.key = AbcKey(text)
                voice.measure.fifths = voice.key.fifths

    def _select(self, text: str) -> None:
        """Make a voice the present one; begin it if it is new and the header has ended."""
        name, _, rest = text.partition(" ")
        if not name:
            raise ValueError("V: names no voice")
        self._names[name] = f"{self._names.get(name, '')} {rest}"
        if not self._in_body:
            return
        if name not in self.voices:
            self.voices[name] = self._new_voice(self._names[name])
        elif rest and (semitones := semitones_of_clef(rest)):
            self.voices[name].transposition = semitones
        self._voice = self.voices[name]

    def _new_voice(self, properties: str) -> AbcVoice:
        key = AbcKey(self._key_text)
        meter = self._meter
        sixteenths = meter is not None and 4 * meter.numerator < 3 * meter.denominator
        unit = self._unit or (Fraction(1, 4) if sixteenths else Fraction(1, 2))
        semitones = semitones_of_clef(properties) or semitones_of_clef(self._key_text)
        voice = AbcVoice(key, meter, unit, semitones, self._propagation)
        voice.measure.meter, voice.measure.fifths = meter, key.fifths
        voice.measure.mode = key.mode
        tempo = parse_tempo(self.tempo_text, unit) if not self.voices else None
        if tempo and tempo >= 1:
            voice.measure.tempi.append((Fraction(0), tempo))
        return voice

    def _music(self, line: str) -> None:
        position = 0
        while position < len(line):
            found = _TOKEN.match(line, position)
            if found is None or found.end() == position:
                raise ValueError(f"{line[position]!r} is not known")
            position = found.end()
            kind, text = found.lastgroup or "", found.group()
            if kind == "field":
                self._field(text[1], text[3:-1].strip())
                continue
            if self._voice is None:
                self._select("1")
            assert self._voice is not None
            if kind in ("barline", "ending"):
                if numbers := _NUMBERS.match(line, position):
                    position = numbers.end()
                    _barline(self._voice, text)
                    self._voice.begin_ending(_ending_numbers(numbers.group()))
                else:
                    _barline(self._voice, text)
            else:
                _token(self._voice, kind, text, found)


def _barline(voice: AbcVoice, text: str) -> None:
    before, _, after = text.partition("|")
    if "|" not in text:  # :: or a lone colon
        is_double = len(text) > 1
        voice.barline(plays=2 if ":" in text else 0, starts_repeat=is_double)
        return
    colons = before.count(":")
    voice.barline(plays=colons + 1 if colons else 0, starts_repeat=after.endswith(":"))


def _ending_numbers(text: str) -> frozenset[int]:
    numbers: set[int] = set()
    for piece in text.strip(",-").split(","):
        first, _, last = piece.partition("-")
        if first.isdecimal():
            numbers |= set(range(int(first), min(int(last or first), _MAX_ENDINGS) + 1))
    return frozenset(numbers)


def _token(voice: AbcVoice, kind: str, text: str, found: re.Match[str]) -> None:
    """Apply one token of music to a voice."""
    match kind:
        case "note":
            _chord(voice, text, 1)
        case "chord":
            inner, _, outer = text[1:].rpartition("]")
            (tail,) = re.findall(_LENGTH + "$", outer)[:1]
            _chord(voice, re.sub(r'"[^"]*"|![^!]*!', "", inner), _length(list(tail)))
        case "rest":
            (length,) = re.findall(_LENGTH + "$", text)[:1]
            voice.sound([], _length(list(length)))
        case "bars":
            voice.rest_bars(min(1000, int(text[1:] or 1)))
        case "tuplet":
            p, q, r = re.fullmatch(r"\((\d)(?::(\d?))?(?::(\d?))?", text).groups()  # type: ignore[union-attr]
            voice.begin_tuplet(int(p), int(q) if q else None, int(r) if r else None)
        case "broken":
            voice.break_rhythm(text)
        case "tie":
            voice.tie()
        case "overlay":
            voice.begin_overlay()
        case "grace":
            voice.lose(LossKind.GRACE, len(re.findall("[A-Ga-g]", text)))
        case "sign" | "decoration":
            _decoration(voice, text)


def _decoration(voice: AbcVoice, text: str) -> None:
    """Count an ornament, or add a jump to the measure."""
    if re.fullmatch(r"\+(?!f+\+)[A-Ga-g][A-Ga-g0-9]+\+", text):
        raise ValueError(f"chords in plus signs ({text}) are not read; write [ ]")
    name = text.strip("!+")
    voice.lose(LossKind.ORNAMENT, int(name in _ORNAMENT_SIGNS or bool(_ORNAMENTS.search(name))))
    if name in _JUMPS:
        voice.measure.jumps |= {_JUMPS[name]}


def _chord(voice: AbcVoice, text: str, factor: Fraction | int) -> None:
    """Read notes that sound together. Their first gives the length of the chord."""
    signs = []
    for accidental, letter, marks, *length, tie in re.findall(f"{_NOTE}{_LENGTH}(-?)", text):
        octave = (5 if letter.islower() else 4) + marks.count("'") - marks.count(",")
        voice.lose(LossKind.QUARTER_TONE, int(accidental.endswith("/")))
        signs.append(Sign(accidental, letter.upper(), octave, factor * _length(length), tie == "-"))
    if not signs:
        raise ValueError(f"{text[:30]} holds no note")
    voice.sound(signs, signs[0].length)


def _length(groups: list[str]) -> Fraction:
    """Return the multiple of the unit that ``3``, ``3/2``, ``/`` or ``//`` states."""
    numerator, slashes, denominator = groups
    if len(slashes) > _MAX_SLASHES:
        raise ValueError(f"a length has {len(slashes)} slashes")
    length = Fraction(int(numerator or 1))
    if denominator:
        if not int(denominator):
            raise ValueError("a length is divided by 0")
        return length / int(denominator)
    return length / 2 ** len(slashes)


def read_abc(path: Path, unfold: bool = False) -> Content:
    """Read an ABC file. Raises NotationFileError if it cannot be read or has no notes."""
    header, *tunes = _tunes(decode_text(read_source(path)))
    if not tunes:
        raise NotationFileError(f"{path} is not an ABC file: no tune begins with X:.")
    tune = _Tune()
    for number, line in (*header, *tunes[0]):
        try:
            tune.line(line)
        except (ValueError, ScoreError, KeyError, OverflowError) as error:
            raise NotationFileError(f"{path}, line {number}, cannot be read: {error}.") from error
    for voice in tune.voices.values():
        voice.barline()
    voices = [Part("", 1, voice.measures[:-1]) for voice in tune.voices.values()]
    parts = [part for part in voices if part.note_count]
    require_all_read(sum(_count_notes(line) for _, line in tunes[0]), parts, path)
    if not parts:
        raise NotationFileError(f"{path} holds no notes.")
    content = assemble(parts, path, unfold=unfold)
    losses = losses_of_file(len(tunes), tune.section_order)
    if tune.macros:
        losses.append(Loss(LossKind.MACROS, tune.macros))
    return replace(
        content,
        title=tune.texts.get("T", ""),
        composer=tune.texts.get("C", ""),
        losses=(*content.losses, *losses),
    )


def _tunes(text: str) -> list[list[tuple[int, str]]]:
    """Return the numbered lines before the first tune, and those of each tune, uncommented.

    An empty line ends a tune. Music after it is still read, text is not.
    """
    tunes: list[list[tuple[int, str]]] = [[]]
    has_ended = in_text = False
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw if raw.startswith("%%") else re.sub(r"(?<!\\)%.*", "", raw)
        in_text = (in_text or line.startswith("%%begin")) and not line.startswith("%%end")
        if line.startswith("X:"):
            tunes.append([])
            has_ended = False
        elif not raw.strip():
            has_ended = True
        elif not in_text and not (has_ended and _is_text(line)):
            tunes[-1].append((number, line.rstrip()))
    return tunes


def _is_text(line: str) -> bool:
    """Return whether a line is neither a field nor music."""
    return not (_FIELD.match(line) or "|" in line or _ONLY_MUSIC.fullmatch(line))


def _count_notes(line: str) -> int:
    """Return the notes of a line of music, counted without reading it."""
    if re.match(r"[A-Za-z+]:|%%", line):
        return 0
    music = re.sub(rf'"[^"]*"?|{_DECORATION}|\[[A-Za-z]:[^\]]*\]', "", line)
    return len(re.findall("[A-Ga-g]", music))
