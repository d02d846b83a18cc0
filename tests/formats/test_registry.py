"""Files of every format are read correctly. Files that cannot be read give a clear error."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.errors import (
    MidiFileError,
    NotationFileError,
    ReductionNeededError,
    ScoreError,
)
from bicinium.formats.midi import write_midi
from bicinium.formats.registry import find_music, read_music, read_score, read_voice
from bicinium.music.losses import LossKind
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.render.export import write_score

KERN = """**kern\t**kern
*clefF4\t*clefG2
*M3/4\t*M3/4
*k[b-]\t*k[b-]
*d:\t*d:
=1\t=1
2.D\t4d
.\t[4a
.\t8a]
.\t8c#
=2\t=2
2.D\t2.d
==\t==
*-\t*-
"""

ABC = """X:1
T:Two
M:2/4
L:1/8
K:G
V:1
G2 (3ABc|d4|]
V:2
G,4|G,,4|]
"""


def musicxml(*measures: str, parts: int = 1, attributes: str = "") -> str:
    """A score whose parts all hold the same measures; divisions are 12."""
    first = f"<attributes><divisions>12</divisions>{attributes}</attributes>"
    body = "".join(
        f'<measure number="{i + 1}">{first if i == 0 else ""}{m}</measure>'
        for i, m in enumerate(measures)
    )
    listed = "".join(
        f'<score-part id="P{i}"><part-name>part {i}</part-name></score-part>' for i in range(parts)
    )
    filled = "".join(f'<part id="P{i}">{body}</part>' for i in range(parts))
    return f"<score-partwise><part-list>{listed}</part-list>{filled}</score-partwise>"


def note(step: str, octave: int, duration: int, inside: str = "", alter: int = 0) -> str:
    pitch = f"<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration>{inside}</note>"


def time(beats: int, unit: int) -> str:
    return f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"


def rest(duration: int) -> str:
    return f"<note><rest/><duration>{duration}</duration></note>"


def written(tmp_path: Path, text: str, name: str = "piece.musicxml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def heard(path: Path) -> list[list[tuple[int, int, int]]]:
    """(onset, pitch, duration) of each staff."""
    staves = read_music(path).staves
    return [[(n.onset_tick, n.pitch, n.duration_ticks) for n in staff.notes] for staff in staves]


def test_kern_is_read_with_ties_joined_and_its_key_believed(tmp_path):
    path = written(tmp_path, KERN, "piece.krn")
    upper = [(0, 62, 24), (24, 69, 36), (60, 61, 12), (72, 62, 72)]
    assert heard(path) == [upper, [(0, 50, 72), (72, 50, 72)]]
    score = read_score(path)
    assert (str(score.key), score.meter, score.bars) == ("D minor", Meter(3, 4), 2)


def test_abc_is_read_with_its_triplets(tmp_path):
    path = written(tmp_path, ABC, "piece.abc")
    upper = [(0, 67, 24), (24, 69, 8), (32, 71, 8), (40, 72, 8), (48, 74, 48)]
    assert heard(path) == [upper, [(0, 55, 48), (48, 43, 48)]]


def test_backup_and_staves_keep_the_hands_apart(tmp_path):
    staff = "<staff>{}</staff>"
    text = musicxml(
        note("C", 5, 48, staff.format(1)) + "<backup><duration>48</duration></backup>"
        "<forward><duration>12</duration></forward>" + note("F", 3, 36, staff.format(2), alter=1),
        attributes="<staves>2</staves>" + time(4, 4),
    )
    path = written(tmp_path, text)
    assert heard(path) == [[(0, 72, 96)], [(24, 54, 72)]]
    assert [staff.name for staff in read_music(path).staves] == ["right", "left"]


def test_ties_chords_grace_notes_and_transposition(tmp_path):
    start, stop = '<tie type="start"/>', '<tie type="stop"/>'
    grace = "<note><grace/><pitch><step>D</step><octave>5</octave></pitch></note>"
    chord = note("E", 5, 12).replace("<note>", "<note><chord/>")
    text = musicxml(
        note("C", 5, 36) + grace + note("C", 5, 12, start),
        note("C", 5, 12, stop) + chord + note("G", 4, 36),
        attributes=time(4, 4) + "<transpose><chromatic>-2</chromatic></transpose>",
    )
    path = written(tmp_path, text)
    assert heard(path) == [[(0, 70, 72), (72, 70, 48), (96, 74, 24), (120, 65, 72)]]
    assert read_music(path).notes_left_out == 1


def test_a_short_first_bar_is_an_anacrusis(tmp_path):
    path = written(tmp_path, musicxml(note("C", 5, 12), note("D", 5, 48), attributes=time(4, 4)))
    content = read_music(path)
    assert content.anacrusis_ticks == 24
    assert heard(path) == [[(72, 72, 24), (96, 74, 96)]]


def test_a_bar_divided_by_a_repeat_is_one_bar_and_a_short_one_is_filled(tmp_path):
    whole, half, quarter = note("D", 5, 48), note("E", 5, 24), note("C", 5, 12)
    divided = musicxml(whole, half, half, whole, attributes=time(4, 4))
    assert [n[0] for n in heard(written(tmp_path, divided))[0]] == [0, 96, 144, 192]
    short = musicxml(whole, quarter, whole, attributes=time(4, 4))
    assert [n[0] for n in heard(written(tmp_path, short))[0]] == [0, 96, 192]


def test_where_the_metre_changes_a_short_bar_is_an_anacrusis_again(tmp_path):
    change = f"<attributes>{time(3, 4)}</attributes>"
    text = musicxml(
        note("D", 5, 48), change + note("C", 5, 12), note("E", 5, 36), attributes=time(4, 4)
    )
    path = written(tmp_path, text)
    assert read_music(path).meters == ((0, Meter(4, 4)), (96, Meter(3, 4)))
    assert [n[0] for n in heard(path)[0]] == [0, 144, 168]


def test_dynamics_tempo_and_title_are_read(tmp_path):
    piano = "<direction><direction-type><dynamics><p/></dynamics></direction-type></direction>"
    tempo = (
        "<direction><direction-type><metronome><beat-unit>quarter</beat-unit><beat-unit-dot/>"
        "<per-minute>60</per-minute></metronome></direction-type></direction>"
    )
    loud = note("E", 5, 24).replace("<note>", '<note dynamics="100">')
    text = musicxml(tempo + note("C", 5, 12) + piano + note("D", 5, 12) + loud)
    text = text.replace("<part-list>", "<work><work-title>Air</work-title></work><part-list>")
    content = read_music(written(tmp_path, text))
    assert content.tempo_qpm == 90
    assert content.title == "Air"
    assert [n.velocity for n in content.staves[0].notes] == [80, 62, 90]


def test_a_compressed_score_is_unpacked(tmp_path):
    plain = written(tmp_path, musicxml(note("C", 5, 48)))
    packed = tmp_path / "piece.mxl"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(
            "META-INF/container.xml",
            '<container><rootfiles><rootfile full-path="a/b.xml"/></rootfiles></container>',
        )
        archive.writestr("a/b.xml", plain.read_text())
    assert read_music(packed) == read_music(plain)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", "is not well-formed XML"),
        ("<score-partwise><part>", "is not well-formed XML"),
        ("<html/>", "is not a MusicXML score: its root element is <html>"),
        ("<score-timewise/>", "Save it as score-partwise"),
        ("<score-partwise/>", "holds no parts"),
        ("<score-partwise><part/></score-partwise>", "holds no measures"),
        (musicxml(rest(48)), "holds no notes"),
        (musicxml(note("H", 5, 48)), "measure 1, is damaged"),
        (musicxml(note("C", 5, -48)), "measure 1, is damaged: a duration of -48"),
        (musicxml(note("C", 5, 10**6)), "is damaged: it is longer than 40000 quarters"),
        (musicxml(note("C", 5, 10**12)), "measure 1, is damaged: '1000000000000' is not a number"),
        (musicxml(note("C", 5, 0).replace("<duration>0", "<duration>x")), "measure 1, is damaged"),
        (
            musicxml("<note><unpitched/><duration>48</duration></note>"),
            "holds no notes except 1 of percussion",
        ),
    ],
)  # fmt: skip
def test_what_is_no_score_is_refused(tmp_path, refuses, text, pattern):
    with refuses(NotationFileError, pattern):
        read_music(written(tmp_path, text))


@pytest.mark.parametrize("name", ["piece.krn", "piece.abc"])
def test_what_is_no_kern_or_abc_is_refused(tmp_path, refuses, name):
    with refuses(NotationFileError, "piece"):
        read_music(written(tmp_path, "Dear Anna Magdalena", name))


def test_damaged_archives_and_absent_files_are_refused(tmp_path, refuses):
    with refuses(NotationFileError, "cannot be unpacked"):
        read_music(written(tmp_path, "PK nothing", "piece.mxl"))
    with refuses(NotationFileError, "cannot be opened"):
        read_music(tmp_path / "absent.mxl")
    with refuses(MidiFileError, "is not a MIDI file"):
        read_music(written(tmp_path, "nothing", "piece.txt"))


@pytest.mark.parametrize("name", ["piece.musicxml", "piece.mxl"])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_read_but_never_a_surprise(
    name, data, tmp_path_factory, made_up_score
):
    path = tmp_path_factory.mktemp("damage") / name
    write_score(made_up_score(1, bars=1), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    with suppress(ScoreError):
        read_score(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<duration>12<", "<duration><"),
        ("<duration>12<", "<duration>1e999<"),
        ("<duration>12<", "<duration>-12<"),
        ("<duration>12<", "<duration>99999999999<"),
        ("<divisions>12<", "<divisions>0<"),
        ("<octave>5<", "<octave>99<"),
        ("<step>C</step>", ""),
        ("<beats>4<", "<beats>x<"),
        ("<beats>4<", "<beats>-4<"),
        ("<beat-type>4<", "<beat-type>7<"),
        ("<divisions>", "<staves>-3</staves><divisions>"),
        ("<divisions>", "<key><fifths>99</fifths><mode>minor</mode></key><divisions>"),
        ("<note>", '<sound tempo="nan"/><note>'),
        ("<note>", '<sound tempo="x"/><note>'),
        ("<note>", '<sound dynamics="-5"/><note>'),
    ],
)
def test_values_that_are_none_are_refused_or_left_aside(tmp_path, old, new):
    text = musicxml(note("C", 5, 12) * 4, note("C", 4, 48), attributes=time(4, 4))
    assert old in text
    with suppress(ScoreError):
        read_music(written(tmp_path, text.replace(old, new, 1)))


def test_a_score_is_two_voices_or_it_is_refused(tmp_path, refuses):
    chord = note("E", 5, 48).replace("<note>", "<note><chord/>")
    three = written(tmp_path, musicxml(note("C", 5, 48), parts=3), "three.xml")
    thick = written(tmp_path, musicxml(note("C", 5, 48) + chord, parts=2), "thick.xml")
    change = f"<attributes>{time(3, 4)}</attributes>"
    changing = musicxml(note("C", 5, 48), change + note("C", 5, 36), parts=2)
    fives = "".join(note("C", 5, 12, "") for _ in range(5)).replace("12<", "12/5<")
    with refuses(ReductionNeededError, "has 3 staves, not two voices"):
        read_score(three)
    with refuses(ReductionNeededError, "has more than two voices: 2 of its 4 notes fit in neither"):
        read_score(thick)
    with refuses(ReductionNeededError, "changes its metre to 3/4 at tick 96"):
        read_score(written(tmp_path, changing, "changing.xml"))
    with refuses(ReductionNeededError, "10 of 10 notes off the grid"):
        read_score(written(tmp_path, musicxml(fives, parts=2), "fives.xml"))
    assert read_score(three, reduce=True).note_count == 2
    assert [v.notes[0].pitch for v in read_score(thick, reduce=True).voices] == [76, 72]


def test_a_line_alone_is_the_upper_voice_and_is_not_torn_in_two(tmp_path):
    leaps = "".join(note("C", octave, 12) for octave in (5, 3, 6, 2))
    path = written(tmp_path, musicxml(leaps, attributes=time(4, 4)))
    for reduce in (False, True):
        upper, lower = read_score(path, reduce).voices
        assert [note.pitch for note in upper.notes] == [72, 48, 84, 36]
        assert not lower.notes


def test_links_pipes_and_sockets_in_a_folder_are_passed_over(tmp_path, refuses):
    (tmp_path / "inner").mkdir()
    good = written(tmp_path / "inner", KERN, "piece.krn")
    (tmp_path / "inner" / "loop").symlink_to(tmp_path)
    (tmp_path / "self.mid").symlink_to(tmp_path / "self.mid")
    os.mkfifo(tmp_path / "pipe.mid")
    assert find_music(tmp_path) == [good, tmp_path / "pipe.mid", tmp_path / "self.mid"]
    with refuses(MidiFileError, "pipe.mid is not a file"):
        read_music(tmp_path / "pipe.mid")
    with refuses(MidiFileError, "self.mid cannot be opened: Too many levels of symbolic links"):
        read_music(tmp_path / "self.mid")


def test_what_unpacks_to_too_much_is_refused_before_memory_is_taken(tmp_path, refuses):
    path = tmp_path / "large.mxl"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("score.xml", "w", force_zip64=True) as file,
    ):
        for _ in range(40):
            file.write(bytes(1_000_000))
    with refuses(NotationFileError, "unpacks to more than 32,000,000 bytes"):
        read_music(path)


# ------------------------------------------------------------------ one line


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("suffix", ["mid", "musicxml", "mxl"])
def test_a_staff_alone_is_the_voice_that_is_asked_for(tmp_path, made_up_score, suffix, part):
    score = made_up_score(1, 4, "3/4", "D minor")
    path = tmp_path / f"line.{suffix}"
    write_score(replace(score, voices=(score.voices[1], Voice(()))), path)
    line = read_voice(path, part)
    assert line.voices[part] == score.voices[1]
    assert line.voices[1 - part] == Voice(())
    assert (line.bars, line.meter, str(line.key)) == (4, Meter(3, 4), "D minor")
    assert line.tempo_qpm == pytest.approx(96, abs=0.01)


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("suffix", ["mid", "musicxml"])
def test_of_two_voices_the_one_that_is_asked_for_is_taken(tmp_path, made_up_score, suffix, part):
    score = made_up_score(2, 4, "6/8", "A major")
    path = tmp_path / f"piece.{suffix}"
    write_score(score, path)
    line = read_voice(path, part)
    assert line.voices[part] == score.voices[part]
    assert line.voices[1 - part] == Voice(())
    assert replace(line, voices=()) == replace(read_score(path), voices=())


def test_a_line_keeps_its_anacrusis_and_the_rest_after_it(tmp_path):
    line = Voice((Note(72, 67, 24), Note(96, 72, 48)))
    score = Score((line, Voice(())), 4, Meter(4, 4), anacrusis_ticks=24)
    write_score(score, tmp_path / "line.musicxml")
    read = read_voice(tmp_path / "line.musicxml", 1)
    assert (read.voices[1].notes, read.bars, read.anacrusis_ticks) == (line.notes, 4, 24)


def test_notes_that_touch_are_a_line_and_notes_that_overlap_are_none(tmp_path, refuses):
    write_midi(
        Score((Voice((Note(0, 60, 24), Note(24, 60, 24))), Voice(())), 1), tmp_path / "a.mid"
    )
    assert len(read_voice(tmp_path / "a.mid", 0).voices[0].notes) == 2
    legato = note("C", 5, 13) + "<backup><duration>1</duration></backup>" + note("D", 5, 36)
    path = written(tmp_path, musicxml(legato, attributes=time(4, 4)))
    with refuses(ScoreError, "has notes that sound together in its one staff"):
        read_voice(path, 0)


@pytest.mark.parametrize("part", [0, 1])
def test_what_is_more_than_a_line_is_refused(tmp_path, refuses, part):
    chord = note("C", 5, 48) + note("E", 5, 48).replace("<note>", "<note><chord/>")
    change = f"<attributes>{time(3, 4)}</attributes>"
    fives = note("C", 5, 12).replace("12<", "12/5<") * 5
    with refuses(ScoreError, "has notes that sound together in its one staff"):
        read_voice(written(tmp_path, musicxml(chord)), part)
    for text, pattern in [
        (musicxml(chord, parts=2), "has more than two voices: 2 of its 4 notes fit in neither"),
        (musicxml(note("C", 5, 48), parts=3), "has 3 staves, not two voices"),
        (musicxml(note("C", 5, 48), change + note("C", 5, 36)), "changes its metre to 3/4"),
        (musicxml(fives), "5 notes off the grid"),
    ]:
        with refuses(ReductionNeededError, pattern):
            read_voice(written(tmp_path, text), part)


def test_midi_is_read_through_the_same_door(tmp_path, made_up_score):
    score = made_up_score(1)
    write_midi(score, tmp_path / "piece.mid")
    assert read_score(tmp_path / "piece.mid").voices == score.voices


@pytest.mark.parametrize(
    "name", ["bach/bwv66.6", "bach/bwv401", "mozart/k155/movement1", "corelli/opus3no1/1grave"]
)
def test_music21_reads_the_same_notes(name):
    music21 = pytest.importorskip("music21")
    path = Path(music21.corpus.getWork(name))
    theirs: Counter[tuple[int, int]] = Counter()
    for part in music21.converter.parse(path).parts:
        for chord in part.toSoundingPitch().stripTies().flatten().notes:
            if not chord.duration.isGrace:
                theirs.update((round(chord.offset * 24), pitch.midi) for pitch in chord.pitches)
    content = read_music(path)
    shift = content.meters[0][1].bar_ticks - content.anacrusis_ticks
    late = shift if content.anacrusis_ticks else 0
    ours = {(n.onset_tick - late, n.pitch) for staff in content.staves for n in staff.notes}
    assert ours == set(theirs)


@pytest.mark.parametrize("extra", [3, 12])
def test_a_few_notes_beside_two_voices_are_left_out_and_said(extra: int, tmp_path: Path) -> None:
    """As in the last chords of inventions."""
    upper = [Note(24 * i, 72 + i % 5, 24) for i in range(160)]
    lower = [Note(24 * i, 48 + i % 7, 24) for i in range(160)]
    inner = [Note(24 * (159 - i), 62, 24) for i in range(extra)]
    midi = mido.MidiFile(type=1, ticks_per_beat=24)
    for notes in (sorted(upper + inner), lower):
        events = [(n.onset_tick, 1, n.pitch) for n in notes]
        events += [(n.offset_tick, 0, n.pitch) for n in notes]
        track, now = mido.MidiTrack(), 0
        for tick, starts, pitch in sorted(events):
            kind = "note_on" if starts else "note_off"
            track.append(mido.Message(kind, note=pitch, velocity=64, time=tick - now))
            now = tick
        midi.tracks.append(track)
    midi.save(tmp_path / "a.mid")
    if extra > 6:
        with pytest.raises(ReductionNeededError, match="12 of its 332 notes fit in neither"):
            read_score(tmp_path / "a.mid")
        return
    score = read_score(tmp_path / "a.mid")
    assert [(n.onset_tick, n.pitch) for n in score.voices[0].notes] == [
        (n.onset_tick, n.pitch) for n in upper
    ]
    assert [loss.count for loss in score.losses if loss.kind is LossKind.INNER_VOICES] == [3]
