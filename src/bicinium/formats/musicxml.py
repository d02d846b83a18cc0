"""MusicXML files in and out, on the grid of 24 ticks to the quarter note.

Written is a grand staff: one part of two staves, as ``notation`` and ``spelling`` say. Durations
stand in ticks and velocities at every note, so that what is written is read back as it was.

Read are notes, metres, keys, tempi and dynamics; nothing else. Time is counted in exact fractions
until a note is complete, then rounded to the grid from its absolute position.

- each staff of each part is a staff; the two of a keyboard part are named ``right`` and ``left``;
- repeats are not unfolded: each passage stands once, first and second endings follow one another;
- grace and cue notes have no length of their own and are left out; ornaments are not played;
- unpitched notes are left out, and a part of nothing else with them;
- transposing instruments sound as they sound, ties are joined;
- a bar that is too short is an anacrusis at the beginning and where the metre changes; elsewhere,
  where the next does not make up for it, it is filled with rest, so that barlines stay where the
  metre says.
"""

from __future__ import annotations

import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.metadata import version
from itertools import pairwise
from math import floor
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from bicinium.atomic_write import atomic_write
from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.notation import Bar, Symbol, notate
from bicinium.formats.spelling import Spelling, signature_alterations, spell
from bicinium.music.content import Content, Staff, without_restrikes
from bicinium.music.key import Key
from bicinium.music.score import (
    COMMON_TIME,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TICKS_PER_QUARTER,
    Meter,
    Note,
    NoteSequence,
    Score,
    note_array,
)

MUSICXML_SUFFIXES = (".musicxml", ".xml", ".mxl")
SOFTWARE = "bicinium"  # a file that names it states its mode, where others state a default

_MARKS = {"ppp": 33, "pp": 49, "p": 62, "mp": 70, "mf": 78, "f": 94, "ff": 110, "fff": 126}
_LOUDNESS = 90  # the MIDI velocity that MusicXML counts as 100 %
_NO_MARK = 80
_MAX_QUARTERS = 40_000  # ten thousand bars of 4/4: beyond is a damaged file


@dataclass(frozen=True, slots=True)
class SpelledNote:
    """A note with its ties joined. Times are in quarters from the first downbeat."""

    staff: int  # counted through all parts
    voice: str
    onset: Fraction
    offset: Fraction
    spelling: Spelling
    pitch: int  # as it sounds
    velocity: int


@dataclass(slots=True)
class _Event:
    """A note as it stands in its bar, before ties are joined."""

    onset: Fraction  # from the beginning of the bar
    duration: Fraction
    staff: int  # of its part, from 1
    voice: str
    spelling: Spelling
    pitch: int
    velocity: int | None
    tied_to_next: bool
    tied_from_last: bool


@dataclass(slots=True)
class _Bar:
    """What one part says between two barlines."""

    events: list[_Event] = field(default_factory=list)
    length: Fraction = Fraction(0)
    meter: Meter | None = None
    fifths: int | None = None
    mode: str = ""
    tempi: list[tuple[Fraction, float]] = field(default_factory=list)
    loudness: list[tuple[Fraction, int]] = field(default_factory=list)
    left_out: int = 0
    unpitched: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    staves: int
    bars: list[_Bar]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the bars stand, in quarters from the first downbeat."""

    starts: list[Fraction]
    meters: list[tuple[Fraction, Meter]]
    anacrusis: Fraction
    end: Fraction


def read_musicxml(path: str | Path) -> Content:
    """Read a MusicXML file, compressed or not.

    Raises NotationFileError where it cannot be read or has no notes.
    """
    path = Path(path)
    return parse_content(parse_musicxml(path), path)


def parse_musicxml(path: Path) -> Element:
    """The root of a MusicXML file. Raises NotationFileError where it is damaged."""
    try:
        data = path.read_bytes()
        if data.startswith(b"PK"):
            data = _unpacked(path)
        return ElementTree.fromstring(data)
    except OSError as error:
        raise NotationFileError(f"{path} cannot be opened: {error.strerror or error}") from error
    except (
        zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError
    ) as error:  # fmt: skip
        raise NotationFileError(f"{path} is damaged and cannot be unpacked: {error}") from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise NotationFileError(f"{path} is not well-formed XML: {error}") from error


def _unpacked(path: Path) -> bytes:
    """The score inside a compressed file, which its container names."""
    with zipfile.ZipFile(path) as archive:
        container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
        root = next((e for e in container.iter() if _tag(e) == "rootfile"), None)
        if root is None:
            raise KeyError("its container names no score")
        return archive.read(root.get("full-path", ""))


def read_spelled_notes(root: Element, path: Path) -> list[SpelledNote]:
    """The notes of a score as they are spelled, in the order of staff and onset."""
    parts = [_part(part, path) for part in _parts(root, path)]
    return _joined(parts, _layout(parts, path))


def parse_content(root: Element, path: Path) -> Content:
    """What a parsed score says; ``path`` is for messages."""
    parts = [_part(part, path) for part in _parts(root, path)]
    layout = _layout(parts, path)
    bars = [bar for part in parts for bar in part.bars]
    left_out = sum(bar.left_out for bar in bars)
    off_grid = 0
    names = [name for part in parts for name in _staff_names(part)]
    staves: list[list[Note]] = [[] for _ in names]
    for note in _joined(parts, layout):
        if not LOWEST_PITCH <= note.pitch <= HIGHEST_PITCH:
            left_out += 1
            continue
        onset, offset = note.onset * TICKS_PER_QUARTER, note.offset * TICKS_PER_QUARTER
        off_grid += onset.denominator > 1 or offset.denominator > 1
        start = _rounded(onset)
        length = max(1, _rounded(offset) - start)
        staves[note.staff].append(Note(start, note.pitch, length, note.velocity))
    if not any(staves):
        unpitched = sum(bar.unpitched for bar in bars)
        why = f", only {unpitched} of percussion" if unpitched else ""
        raise NotationFileError(f"{path} holds no notes{why}")
    fifths = next((bar.fifths for bar in bars if bar.fifths is not None), None)
    mode = next((bar.mode for bar in bars if bar.mode), "")
    key = None
    if fifths is not None and (mode == "minor" or (mode == "major" and _is_ours(root))):
        key = Key.from_signature(fifths, "minor" if mode == "minor" else "major")
    tempi = [
        (start + at, tempo)
        for part in parts
        for bar, start in zip(part.bars, layout.starts, strict=False)
        for at, tempo in bar.tempi
    ]
    tempi.sort(key=lambda tempo: tempo[0])
    changes = [later for (_, earlier), (_, later) in pairwise(tempi) if abs(later - earlier) > 1e-6]
    return Content(
        staves=tuple(
            Staff(name, NoteSequence(without_restrikes(note_array(tuple(notes)))))
            for name, notes in zip(names, staves, strict=True)
            if notes
        ),
        meters=tuple((_rounded(at * TICKS_PER_QUARTER), meter) for at, meter in layout.meters),
        fifths=fifths,
        key=key,
        tempo_qpm=tempi[0][1] if tempi else 120.0,
        anacrusis_ticks=_rounded(layout.anacrusis * TICKS_PER_QUARTER),
        notes_off_grid=off_grid,
        notes_left_out=left_out,
        tempo_changes=len(changes),
        end_tick=_rounded(layout.end * TICKS_PER_QUARTER),
        rights=" ".join(
            word for r in root.iterfind("identification/rights") for word in (r.text or "").split()
        ),
        title=_text(root, "work/work-title") or _text(root, "movement-title"),
        composer=next(
            (
                (creator.text or "").strip()
                for creator in root.iterfind("identification/creator")
                if creator.get("type") == "composer"
            ),
            "",
        ),
    )


def _rounded(ticks: Fraction) -> int:
    """To the nearest tick, halves upwards."""
    return floor(ticks + Fraction(1, 2))


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: Element, path: str, default: str = "") -> str:
    return (element.findtext(path) or default).strip()


def _is_ours(root: Element) -> bool:
    return any(
        (software.text or "").startswith(SOFTWARE)
        for software in root.iterfind("identification/encoding/software")
    )


def _parts(root: Element, path: Path) -> list[Element]:
    if _tag(root) == "score-timewise":
        raise NotationFileError(
            f"{path} is ordered by bars (score-timewise); save it ordered by parts"
        )
    if _tag(root) != "score-partwise":
        raise NotationFileError(f"{path} is XML but not a MusicXML score: it holds <{_tag(root)}>")
    names = {
        part.get("id", ""): _text(part, "part-name")
        for part in root.iterfind("part-list/score-part")
    }
    parts = root.findall("part")
    if not parts:
        raise NotationFileError(f"{path} holds no parts")
    for part in parts:
        part.set("name", names.get(part.get("id", ""), ""))
    return parts


def _part(part: Element, path: Path) -> _Part:
    """Read one part; what its attributes say counts until they change."""
    divisions, transposition, staves = Fraction(1), 0, 1
    bars: list[_Bar] = []
    for measure in part.iterfind("measure"):
        bar = _Bar()
        now = onset = Fraction(0)
        for element in measure:
            try:
                match element.tag:
                    case "note":
                        duration = _length(element) / divisions
                        if element.find("chord") is None:
                            onset = now
                        _take_note(bar, element, onset, duration, transposition)
                        if element.find("chord") is None and element.find("grace") is None:
                            now += duration
                    case "backup":
                        now = max(Fraction(0), now - _length(element) / divisions)
                    case "forward":
                        now += _length(element) / divisions
                    case "attributes":
                        divisions = _fraction(element, "divisions") or divisions
                        staves = int(_text(element, "staves", str(staves)))
                        transposition = _transposition(element, transposition)
                        _take_attributes(bar, element)
                    case "direction" | "sound":
                        _take_direction(bar, element, now)
            except (ValueError, ZeroDivisionError, KeyError, ScoreError) as error:
                where = f"measure {measure.get('number', len(bars) + 1)}"
                raise NotationFileError(f"{path}, {where}, is damaged: {error}") from error
            bar.length = max(bar.length, now)
        bars.append(bar)
    return _Part(part.get("name", ""), max(1, staves), bars)


def _fraction(element: Element, path: str) -> Fraction:
    return Fraction(_text(element, path, "0"))


def _length(element: Element) -> Fraction:
    length = _fraction(element, "duration")
    if length < 0:
        raise ValueError(f"a duration of {length}")
    return length


def _transposition(attributes: Element, before: int) -> int:
    """Semitones from what is written to what sounds."""
    transpose = attributes.find("transpose")
    if transpose is None:
        return before
    chromatic = Fraction(_text(transpose, "chromatic", "0"))
    return int(chromatic) + 12 * int(_text(transpose, "octave-change", "0"))


def _take_attributes(bar: _Bar, attributes: Element) -> None:
    if (time := attributes.find("time")) is not None and time.find("beats") is not None:
        beats = sum(int(number) for number in _text(time, "beats").split("+"))
        bar.meter = Meter(beats, int(_text(time, "beat-type")))
    if (key := attributes.find("key")) is not None and key.find("fifths") is not None:
        fifths = int(_text(key, "fifths"))
        if abs(fifths) <= 7:
            bar.fifths, bar.mode = fifths, _text(key, "mode").lower()


def _take_note(
    bar: _Bar, note: Element, onset: Fraction, duration: Fraction, transposition: int
) -> None:
    if note.find("rest") is not None:
        return
    if note.find("unpitched") is not None:
        bar.unpitched += 1
        return
    if note.find("grace") is not None or note.find("cue") is not None or not duration:
        bar.left_out += 1
        return
    spelling = Spelling(
        _text(note, "pitch/step").upper(),
        floor(Fraction(_text(note, "pitch/alter", "0"))),  # a quarter tone goes to the key below
        int(_text(note, "pitch/octave")),
    )
    dynamics = note.get("dynamics")
    ties = {tie.get("type") for tie in note.iterfind("tie")}
    bar.events.append(
        _Event(
            onset=onset,
            duration=duration,
            staff=int(_text(note, "staff", "1")),
            voice=_text(note, "voice", "1"),
            spelling=spelling,
            pitch=spelling.pitch + transposition,
            velocity=_velocity(dynamics) if dynamics else None,
            tied_to_next="start" in ties,
            tied_from_last="stop" in ties,
        )
    )


def _velocity(percent: str) -> int:
    return min(127, max(1, round(float(percent) * _LOUDNESS / 100)))


def _take_direction(bar: _Bar, element: Element, now: Fraction) -> None:
    """Tempo and dynamics. What the sound is said to be counts before what is printed."""
    sound = element if element.tag == "sound" else element.find("sound")
    said = sound.attrib if sound is not None else {}
    tempo = float(said["tempo"]) if "tempo" in said else _metronome(element)
    if tempo and 1 <= tempo <= 1000:
        bar.tempi.append((now, tempo))
    if "dynamics" in said:
        bar.loudness.append((now, _velocity(said["dynamics"])))
    elif (marks := element.find("direction-type/dynamics")) is not None:
        for mark in marks:
            if mark.tag in _MARKS:
                bar.loudness.append((now, _MARKS[mark.tag]))


_BEAT_UNITS = {"whole": 4.0, "half": 2.0, "quarter": 1.0, "eighth": 0.5, "16th": 0.25,
               "32nd": 0.125}  # fmt: skip


def _metronome(direction: Element) -> float | None:
    """Quarter notes a minute of a metronome mark; None where there is none in numbers."""
    mark = direction.find("direction-type/metronome")
    if mark is None or not _text(mark, "per-minute").replace(".", "", 1).isdecimal():
        return None
    dots = len(mark.findall("beat-unit-dot"))
    unit = _BEAT_UNITS.get(_text(mark, "beat-unit"))
    return unit and float(_text(mark, "per-minute")) * unit * (2 - 0.5**dots)


def _layout(parts: Sequence[_Part], path: Path) -> _Layout:
    """Put the bars of all parts one after another, so that full bars begin on barlines."""
    count = max(len(part.bars) for part in parts)
    if not count:
        raise NotationFileError(f"{path} holds no bars")
    columns = [[part.bars[i] for part in parts if i < len(part.bars)] for i in range(count)]
    lengths = [max(bar.length for bar in column) for column in columns]
    meter = next((bar.meter for bar in columns[0] if bar.meter), COMMON_TIME)
    meters = [(Fraction(0), meter)]
    anacrusis = Fraction(0)
    if count > 1 and 0 < lengths[0] < _quarters(meter):
        anacrusis = lengths[0]
    starts = []
    now = stretch = Fraction(0)
    for index, (column, length) in enumerate(zip(columns, lengths, strict=True)):
        changed = next((bar.meter for bar in column if bar.meter), meter)
        if changed != meter:
            meter, stretch = changed, now
            meters.append((now, meter))
        bar = _quarters(meter)
        beyond = (now - stretch) % bar
        following = lengths[index + 1] if index + 1 < count else Fraction(0)
        if (index == 0 and anacrusis) or (now == stretch and length < bar <= following):
            now += bar - length
        elif beyond and length >= bar:
            now += bar - beyond
        starts.append(now)
        now += length
    if now > _MAX_QUARTERS:
        raise NotationFileError(f"{path} is damaged: it lasts for over {_MAX_QUARTERS} quarters")
    if beyond := (now - stretch) % _quarters(meter):
        now += _quarters(meter) - beyond
    return _Layout(starts, meters, anacrusis, now)


def _quarters(meter: Meter) -> Fraction:
    return Fraction(4 * meter.numerator, meter.denominator)


def _joined(parts: Sequence[_Part], layout: _Layout) -> list[SpelledNote]:
    """All notes, those that are tied joined into one."""
    notes: list[SpelledNote] = []
    first_staff = 0
    for part in parts:
        loudness = [
            (start + at, value)
            for bar, start in zip(part.bars, layout.starts, strict=False)
            for at, value in sorted(bar.loudness)
        ]
        times = [at for at, _ in loudness]
        open_ties: dict[tuple[int, str], tuple[SpelledNote, int]] = {}
        for start, event in _events(part, layout):
            offset = start + event.duration
            tie = (event.pitch, event.voice)
            if event.tied_from_last and tie not in open_ties:  # a tie may lead to another voice
                tie = next((other for other in open_ties if other[0] == event.pitch), tie)
            if event.tied_from_last and tie in open_ties:
                begun, place = open_ties.pop(tie)
                notes[place] = SpelledNote(
                    begun.staff, begun.voice, begun.onset, offset, begun.spelling, begun.pitch,
                    begun.velocity,
                )  # fmt: skip
            else:
                mark = bisect_right(times, start)
                velocity = event.velocity or (loudness[mark - 1][1] if mark else _NO_MARK)
                staff = first_staff + min(event.staff, part.staves) - 1
                place = len(notes)
                notes.append(
                    SpelledNote(
                        staff, event.voice, start, offset, event.spelling, event.pitch, velocity
                    )
                )
            if event.tied_to_next:
                open_ties[event.pitch, event.voice] = (notes[place], place)
        first_staff += part.staves
    notes.sort(key=lambda note: (note.staff, note.onset, note.pitch))
    return notes


def _events(part: _Part, layout: _Layout) -> Iterator[tuple[Fraction, _Event]]:
    """The events of a part with their onsets, in the order of time."""
    for bar, start in zip(part.bars, layout.starts, strict=False):
        for event in sorted(bar.events, key=lambda event: event.onset):
            yield start + event.onset, event


def _staff_names(part: _Part) -> list[str]:
    if part.staves == 1:
        return [part.name]
    if part.staves == 2:
        return ["right", "left"]
    return [f"{part.name} {number + 1}".strip() for number in range(part.staves)]


# ------------------------------------------------------------------ writing

_CLEFS = {"treble": ("G", 2), "bass": ("F", 4)}
_ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
_CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container>
  <rootfiles>
    <rootfile full-path="score.musicxml" media-type="application/vnd.recordare.musicxml+xml"/>
  </rootfiles>
</container>
"""


def write_musicxml(score: Score, path: str | Path, about: Mapping[str, str] | None = None) -> None:
    """Write MusicXML 4.0, compressed where the suffix is ``.mxl``.

    ``about`` (the seed, the model and the like) is kept in the file as miscellaneous fields.
    """
    path = Path(path)
    text = to_musicxml(score, about)
    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".mxl":
            _pack(temporary, text)
        else:
            temporary.write_text(text, encoding="utf-8")


def _pack(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("META-INF/container.xml", _CONTAINER), ("score.musicxml", text)):
            entry = zipfile.ZipInfo(name)  # with no date: the same score gives the same bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)


def to_musicxml(score: Score, about: Mapping[str, str] | None = None) -> str:
    """A score of two voices as MusicXML. Raises ScoreError for more or fewer voices."""
    if len(score.voices) != 2:
        raise ScoreError(f"a grand staff holds two voices, and the score has {len(score.voices)}")
    bars = notate(score)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
        '"http://www.musicxml.org/dtds/partwise.dtd">',
        '<score-partwise version="4.0">',
        *_head(score, about or {}),
        '  <part id="P1">',
    ]
    staves = [_StaffWriter(score, part, spellings) for part, spellings in enumerate(spell(score))]
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
            lines.append(
                '      <barline location="right"><bar-style>light-heavy</bar-style></barline>'
            )
        lines.append("    </measure>")
    return "\n".join([*lines, "  </part>", "</score-partwise>", ""])


def _head(score: Score, about: Mapping[str, str]) -> Iterator[str]:
    if score.title:
        yield f"  <work><work-title>{escape(score.title)}</work-title></work>"
    yield "  <identification>"
    if score.composer:
        yield f'    <creator type="composer">{escape(score.composer)}</creator>'
    yield f"    <encoding><software>{SOFTWARE} {version(SOFTWARE)}</software></encoding>"
    if about:
        yield "    <miscellaneous>"
        for name, value in about.items():
            tag = "miscellaneous-field"
            yield f"      <{tag} name={quoteattr(name)}>{escape(value)}</{tag}>"
        yield "    </miscellaneous>"
    yield "  </identification>"
    for kind, text, look in (
        ("title", score.title, 'justify="center" halign="center" valign="top" font-size="20"'),
        ("composer", score.composer, 'justify="right" halign="right" valign="bottom"'),
    ):
        if text:
            yield f'  <credit page="1"><credit-type>{kind}</credit-type>'
            yield f"    <credit-words {look}>{escape(text)}</credit-words></credit>"
    yield "  <part-list>"
    yield '    <score-part id="P1"><part-name print-object="no">Piano</part-name>'
    yield '      <score-instrument id="P1-I1"><instrument-name>Piano</instrument-name>'
    yield "      </score-instrument>"
    yield '      <midi-instrument id="P1-I1"><midi-channel>1</midi-channel>'
    yield "        <midi-program>1</midi-program></midi-instrument>"
    yield "    </score-part>"
    yield "  </part-list>"


def _first_attributes(score: Score, bar: Bar) -> Iterator[str]:
    yield "      <attributes>"
    yield f"        <divisions>{TICKS_PER_QUARTER}</divisions>"
    mode = f"<mode>{score.key.mode}</mode>" if score.key else ""
    yield f"        <key><fifths>{score.key.fifths if score.key else 0}</fifths>{mode}</key>"
    yield f"        <time><beats>{score.meter.numerator}</beats>"
    yield f"          <beat-type>{score.meter.denominator}</beat-type></time>"
    yield "        <staves>2</staves>"
    for staff in (1, 2):
        yield _clef(bar, staff)
    yield "      </attributes>"


def _clef(bar: Bar, staff: int) -> str:
    sign, line = _CLEFS[bar.clefs[staff - 1]]
    return f'        <clef number="{staff}"><sign>{sign}</sign><line>{line}</line></clef>'


def _clef_changes(before: Bar, bar: Bar) -> list[str]:
    changed = [staff for staff in (1, 2) if before.clefs[staff - 1] != bar.clefs[staff - 1]]
    if not changed:
        return []
    return ["      <attributes>", *(_clef(bar, staff) for staff in changed), "      </attributes>"]


def _tempo_mark(score: Score) -> Iterator[str]:
    """The metronome mark in beats, rounded as one prints it; the sound is exact."""
    beat = score.meter.beat_ticks
    quarters = beat / TICKS_PER_QUARTER
    unit = next(name for name, length in _BEAT_UNITS.items() if length <= quarters)
    dot = "<beat-unit-dot/>" if beat % 9 == 0 else ""
    yield '      <direction placement="above">'
    yield "        <direction-type><metronome>"
    yield f"          <beat-unit>{unit}</beat-unit>{dot}"
    yield f"          <per-minute>{round(score.tempo_qpm * TICKS_PER_QUARTER / beat)}</per-minute>"
    yield "        </metronome></direction-type>"
    yield f'        <staff>1</staff><sound tempo="{score.tempo_qpm!r}"/>'
    yield "      </direction>"


class _StaffWriter:
    """Writes one staff bar by bar, and remembers which accidentals are in force."""

    def __init__(self, score: Score, part: int, spellings: Sequence[Spelling]) -> None:
        self.staff, self.voice = part + 1, 4 * part + 1  # voices as MuseScore counts them
        self.spellings = dict(zip(score.voices[part].notes, spellings, strict=True))
        self.signature = signature_alterations(score.key.fifths if score.key else 0)
        self.in_force: dict[tuple[str, int], int] = {}

    def notes(self, bar: Bar) -> Iterator[str]:
        """The notes and rests of one bar."""
        last_bar, self.in_force = self.in_force, {}
        symbols = bar.voices[self.staff - 1]
        for index, symbol in enumerate(symbols):
            neighbours = (
                symbols[index - 1] if index else None,
                symbols[index + 1] if index + 1 < len(symbols) else None,
            )
            yield from self._note(symbol, neighbours, last_bar)

    def _note(
        self,
        symbol: Symbol,
        neighbours: tuple[Symbol | None, Symbol | None],
        last_bar: Mapping[tuple[str, int], int],
    ) -> Iterator[str]:
        note = symbol.note
        accidental = ""
        if note is None:
            yield "      <note>"
            yield '        <rest measure="yes"/>' if symbol.fills_bar else "        <rest/>"
        else:
            spelling = self.spellings[note]
            accidental = self._accidental(spelling, symbol, last_bar)
            alter = f"<alter>{spelling.alter}</alter>" if spelling.alter else ""
            yield f'      <note dynamics="{note.velocity * 100 / _LOUDNESS:.2f}">'
            yield f"        <pitch><step>{spelling.step}</step>{alter}"
            yield f"          <octave>{spelling.octave}</octave></pitch>"
        yield f"        <duration>{symbol.duration_ticks}</duration>"
        ties = [k for k, tied in (("stop", symbol.tied_from_last), ("start", symbol.tied_to_next))
                if tied]  # fmt: skip
        yield from (f'        <tie type="{kind}"/>' for kind in ties)
        yield f"        <voice>{self.voice}</voice>"
        if not symbol.fills_bar:
            yield f"        <type>{symbol.sign}</type>{'<dot/>' * symbol.dots}"
        if accidental:
            yield f"        {accidental}"
        if symbol.tuplet:
            yield "        <time-modification><actual-notes>3</actual-notes>"
            yield "          <normal-notes>2</normal-notes>"
            yield f"          <normal-type>{symbol.tuplet.sign}</normal-type></time-modification>"
        yield f"        <staff>{self.staff}</staff>"
        for number, beam in enumerate(symbol.beams, start=1):
            yield f'        <beam number="{number}">{beam}</beam>'
        notations = [f'<tied type="{kind}"/>' for kind in ties]
        before, after = neighbours
        if symbol.tuplet and (before is None or before.tuplet != symbol.tuplet):
            notations.append('<tuplet type="start" number="1" bracket="yes"/>')
        if symbol.tuplet and (after is None or after.tuplet != symbol.tuplet):
            notations.append('<tuplet type="stop" number="1"/>')
        if notations:
            yield f"        <notations>{''.join(notations)}</notations>"
        yield "      </note>"

    def _accidental(
        self, spelling: Spelling, symbol: Symbol, last_bar: Mapping[tuple[str, int], int]
    ) -> str:
        """The sign before a note: where it differs from what is in force in its bar; and, as a
        reminder, where it goes back to the signature after another alteration in the bar before.
        """
        place, usual = (spelling.step, spelling.octave), self.signature[spelling.step]
        if symbol.tied_from_last:
            return ""
        needed = spelling.alter != self.in_force.get(place, usual)
        reminder = place not in self.in_force and last_bar.get(place, usual) != spelling.alter
        self.in_force[place] = spelling.alter
        if not needed and not reminder:
            return ""
        how = "" if needed else ' cautionary="yes"'
        return f"<accidental{how}>{_ACCIDENTALS[spelling.alter]}</accidental>"
