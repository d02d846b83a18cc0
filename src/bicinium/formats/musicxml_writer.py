"""Write scores of two voices as MusicXML 4.0: one part of two staves.

``notation`` chooses the note values, ties, tuplets, beams and clefs, and ``spelling`` the
accidentals. Durations are in ticks and every note carries its velocity, so the reader restores the
score exactly.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from bicinium.atomic_write import atomic_write
from bicinium.errors import ScoreError
from bicinium.formats.musicxml_values import (
    BEAT_UNIT_QUARTERS,
    SOFTWARE,
    VELOCITY_AT_100_PERCENT,
)
from bicinium.formats.notation.notate import notate
from bicinium.formats.notation.symbols import Bar, Symbol
from bicinium.formats.spelling import Spelling, signature_alterations, spell
from bicinium.music.score import TICKS_PER_QUARTER, Score


class NoteMark(NamedTuple):
    """How a note is marked: the colour of its head, and a label above or below its staff."""

    colour: str  # #RRGGBB
    label: str = ""


NoteMarks: TypeAlias = Mapping[tuple[int, int], NoteMark]  # by voice and onset in ticks

_CLEFS = {"treble": ("G", 2), "bass": ("F", 4)}
_ACCIDENTALS = {
    -3: "triple-flat", -2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp",
    3: "triple-sharp",
}  # fmt: skip
_CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container>
  <rootfiles>
    <rootfile full-path="score.musicxml" media-type="application/vnd.recordare.musicxml+xml"/>
  </rootfiles>
</container>
"""
_PART_LIST = """\
  <part-list>
    <score-part id="P1"><part-name print-object="no">Piano</part-name>
      <score-instrument id="P1-I1"><instrument-name>Piano</instrument-name>
      </score-instrument>
      <midi-instrument id="P1-I1"><midi-channel>1</midi-channel>
        <midi-program>1</midi-program></midi-instrument>
    </score-part>
  </part-list>"""
_FINAL_BARLINE = '      <barline location="right"><bar-style>light-heavy</bar-style></barline>'


def write_musicxml(
    score: Score,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    marks: NoteMarks | None = None,
) -> None:
    """Write MusicXML 4.0, compressed if the suffix is ``.mxl``.

    ``metadata`` (such as the seed and the model) is stored as miscellaneous fields.
    """
    path = Path(path)
    text = to_musicxml(score, metadata, marks)
    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".mxl":
            _write_compressed(temporary, text)
        else:
            temporary.write_text(text, encoding="utf-8")


def _write_compressed(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("META-INF/container.xml", _CONTAINER), ("score.musicxml", text)):
            entry = zipfile.ZipInfo(name)  # It has no date, so equal scores give equal bytes.
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)


def to_musicxml(
    score: Score,
    metadata: Mapping[str, str] | None = None,
    marks: NoteMarks | None = None,
) -> str:
    """Return a score of two voices as MusicXML. Raises ScoreError for more or fewer voices."""
    if len(score.voices) != 2:
        raise ScoreError(
            f"A grand staff holds two voices, and the score has {len(score.voices)}. "
            "Keep an upper and a lower voice."
        )
    bars = notate(score)
    staves = [
        _StaffWriter(score, part, spellings, marks or {})
        for part, spellings in enumerate(spell(score))
    ]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
        '"http://www.musicxml.org/dtds/partwise.dtd">',
        '<score-partwise version="4.0">',
        *_header(score, metadata or {}),
        '  <part id="P1">',
    ]
    for index, bar in enumerate(bars):
        number = index if score.anacrusis_ticks else index + 1
        implicit = ' implicit="yes"' if number == 0 else ""
        lines.append(f'    <measure number="{number}"{implicit}>')
        if index == 0:
            lines += [*_first_attributes(score, bar), *_tempo_mark(score)]
        else:
            lines += _clef_changes(bars[index - 1], bar)
        lines += staves[0].notes(bar)
        lines.append(f"      <backup><duration>{bar.end_tick - bar.start_tick}</duration></backup>")
        lines += staves[1].notes(bar)
        if index == len(bars) - 1:
            lines.append(_FINAL_BARLINE)
        lines.append("    </measure>")
    return "\n".join([*lines, "  </part>", "</score-partwise>", ""])


def _header(score: Score, metadata: Mapping[str, str]) -> Iterator[str]:
    if score.title:
        yield f"  <work><work-title>{escape(score.title)}</work-title></work>"
    yield "  <identification>"
    if score.composer:
        yield f'    <creator type="composer">{escape(score.composer)}</creator>'
    yield f"    <encoding><software>{SOFTWARE} {version(SOFTWARE)}</software></encoding>"
    if metadata:
        yield "    <miscellaneous>"
        for name, value in metadata.items():
            tag = "miscellaneous-field"
            yield f"      <{tag} name={quoteattr(name)}>{escape(value)}</{tag}>"
        yield "    </miscellaneous>"
    yield "  </identification>"
    for kind, text, layout in (
        ("title", score.title, 'justify="center" halign="center" valign="top" font-size="20"'),
        ("composer", score.composer, 'justify="right" halign="right" valign="bottom"'),
    ):
        if text:
            yield f'  <credit page="1"><credit-type>{kind}</credit-type>'
            yield f"    <credit-words {layout}>{escape(text)}</credit-words></credit>"
    yield _PART_LIST


def _first_attributes(score: Score, bar: Bar) -> Iterator[str]:
    yield "      <attributes>"
    yield f"        <divisions>{TICKS_PER_QUARTER}</divisions>"
    signature = score.written_signature
    stated = signature.mode if score.key else ""
    mode = f"<mode>{stated}</mode>" if stated else ""
    yield f"        <key><fifths>{signature.fifths}</fifths>{mode}</key>"
    yield f"        <time><beats>{score.meter.numerator}</beats>"
    yield f"          <beat-type>{score.meter.denominator}</beat-type></time>"
    yield "        <staves>2</staves>"
    for staff in (1, 2):
        yield _clef(bar, staff)
    yield "      </attributes>"


def _clef(bar: Bar, staff: int) -> str:
    sign, line = _CLEFS[bar.clefs[staff - 1]]
    return f'        <clef number="{staff}"><sign>{sign}</sign><line>{line}</line></clef>'


def _clef_changes(previous: Bar, bar: Bar) -> list[str]:
    changed = [staff for staff in (1, 2) if previous.clefs[staff - 1] != bar.clefs[staff - 1]]
    if not changed:
        return []
    return ["      <attributes>", *(_clef(bar, staff) for staff in changed), "      </attributes>"]


def _tempo_mark(score: Score) -> Iterator[str]:
    """Yield the metronome mark in beats, rounded for print, and the exact tempo for playback."""
    beat_ticks = score.meter.beat_ticks
    quarters = beat_ticks / TICKS_PER_QUARTER
    unit = next(name for name, length in BEAT_UNIT_QUARTERS.items() if length <= quarters)
    dot = "<beat-unit-dot/>" if beat_ticks % 9 == 0 else ""
    beats_per_minute = round(score.tempo_qpm * TICKS_PER_QUARTER / beat_ticks)
    yield '      <direction placement="above">'
    yield "        <direction-type><metronome>"
    yield f"          <beat-unit>{unit}</beat-unit>{dot}"
    yield f"          <per-minute>{beats_per_minute}</per-minute>"
    yield "        </metronome></direction-type>"
    yield f'        <staff>1</staff><sound tempo="{score.tempo_qpm!r}"/>'
    yield "      </direction>"


class _StaffWriter:
    """Writes one staff bar by bar and tracks which accidentals are in force.

    Accidentals are keyed by letter and octave. They hold to the end of their bar.
    """

    def __init__(
        self, score: Score, part: int, spellings: Sequence[Spelling], marks: NoteMarks
    ) -> None:
        self._staff = part + 1
        self._marks = {tick: mark for (voice, tick), mark in marks.items() if voice == part}
        self._voice = 4 * part + 1  # MuseScore numbers four voices a staff.
        self._spellings = dict(zip(score.voices[part].notes, spellings, strict=True))
        self._signature = signature_alterations(score.written_signature.fifths)
        self._in_force: dict[tuple[str, int], int] = {}
        self._previous_bar: dict[tuple[str, int], int] = {}

    def notes(self, bar: Bar) -> Iterator[str]:
        """Yield the lines for the notes and rests of one bar."""
        self._previous_bar, self._in_force = self._in_force, {}
        symbols = bar.voices[self._staff - 1]
        for previous, symbol, following in zip(
            [None, *symbols[:-1]], symbols, [*symbols[1:], None], strict=True
        ):
            yield from self._note(symbol, previous, following)

    def _note(
        self, symbol: Symbol, previous: Symbol | None, following: Symbol | None
    ) -> Iterator[str]:
        yield from self._label(symbol)
        yield from self._pitch_or_rest(symbol)
        yield f"        <duration>{symbol.duration_ticks}</duration>"
        ties = ["stop"] * symbol.tied_from_last + ["start"] * symbol.tied_to_next
        yield from (f'        <tie type="{kind}"/>' for kind in ties)
        yield f"        <voice>{self._voice}</voice>"
        if not symbol.fills_bar:
            yield f"        <type>{symbol.note_type}</type>{'<dot/>' * symbol.dots}"
        if accidental := self._accidental(symbol):
            yield f"        {accidental}"
        if symbol.tuplet:
            yield "        <time-modification><actual-notes>3</actual-notes>"
            yield "          <normal-notes>2</normal-notes>"
            normal_type = f"<normal-type>{symbol.tuplet.note_type}</normal-type>"
            yield f"          {normal_type}</time-modification>"
        yield f"        <staff>{self._staff}</staff>"
        for number, beam in enumerate(symbol.beams, start=1):
            yield f'        <beam number="{number}">{beam}</beam>'
        notations = [f'<tied type="{kind}"/>' for kind in ties]
        if symbol.tuplet and (previous is None or previous.tuplet != symbol.tuplet):
            notations.append('<tuplet type="start" number="1" bracket="yes"/>')
        if symbol.tuplet and (following is None or following.tuplet != symbol.tuplet):
            notations.append('<tuplet type="stop" number="1"/>')
        if notations:
            yield f"        <notations>{''.join(notations)}</notations>"
        yield "      </note>"

    def _label(self, symbol: Symbol) -> Iterator[str]:
        """Yield the label of a marked note, as a direction before it."""
        if symbol.note is None or symbol.tied_from_last:
            return
        mark = self._marks.get(symbol.note.onset_tick)
        if mark is not None and mark.label:
            placement = "above" if self._staff == 1 else "below"
            yield f'      <direction placement="{placement}">'
            words = f"<words color={quoteattr(mark.colour)}>{escape(mark.label)}</words>"
            yield f"        <direction-type>{words}</direction-type>"
            yield f"        <staff>{self._staff}</staff></direction>"

    def _pitch_or_rest(self, symbol: Symbol) -> Iterator[str]:
        if symbol.note is None:
            yield "      <note>"
            yield '        <rest measure="yes"/>' if symbol.fills_bar else "        <rest/>"
            return
        spelling = self._spellings[symbol.note]
        alter = f"<alter>{spelling.alter}</alter>" if spelling.alter else ""
        percent = symbol.note.velocity * 100 / VELOCITY_AT_100_PERCENT
        mark = self._marks.get(symbol.note.onset_tick)
        colour = f" color={quoteattr(mark.colour)}" if mark else ""
        yield f'      <note dynamics="{percent:.2f}"{colour}>'
        yield f"        <pitch><step>{spelling.step}</step>{alter}"
        yield f"          <octave>{spelling.octave}</octave></pitch>"

    def _accidental(self, symbol: Symbol) -> str:
        """Return the accidental before a symbol, empty if it needs none.

        A note has one if it differs from what is in force in its bar. A cautionary one marks the
        return to the signature after another alteration in the previous bar.
        """
        if symbol.note is None or symbol.tied_from_last:
            return ""
        spelling = self._spellings[symbol.note]
        place, default = (spelling.step, spelling.octave), self._signature[spelling.step]
        required = spelling.alter != self._in_force.get(place, default)
        was_altered = self._previous_bar.get(place, default) != spelling.alter
        cautionary = place not in self._in_force and was_altered
        self._in_force[place] = spelling.alter
        if not required and not cautionary:
            return ""
        attribute = "" if required else ' cautionary="yes"'
        return f"<accidental{attribute}>{_ACCIDENTALS[spelling.alter]}</accidental>"
