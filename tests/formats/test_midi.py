"""Read and write MIDI. Files are made byte by byte, so no other writer is involved."""

import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.errors import MidiFileError
from bicinium.formats.midi import read_midi, write_midi
from bicinium.music.content import Content, Staff
from bicinium.music.key import ALL_KEYS, Key
from bicinium.music.losses import Loss, LossKind
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.music.voice_reduction import reduce_to_two_voices

PPQ = 96  # of the files written here, where nothing else is said: 4 to the tick
QUARTER = 24  # ticks of the grid

Event = tuple[int, bytes]  # ticks since the event before, message
MidiFile = Callable[[bytes], Path]  # writes the bytes to a file
Read = Callable[..., Content]  # reads a type 0 file of these events
Written = Callable[[Score], mido.MidiFile]  # the file of a score, as another program reads it


def on(delta: int, pitch: int, velocity: int = 64, channel: int = 0) -> Event:
    return delta, bytes([0x90 | channel, pitch, velocity])


def off(delta: int, pitch: int, channel: int = 0) -> Event:
    return delta, bytes([0x80 | channel, pitch, 64])


def meta(delta: int, kind: int, content: bytes) -> Event:
    return delta, bytes([0xFF, kind, len(content)]) + content


def name(text: str) -> Event:
    return meta(0, 0x03, text.encode("latin-1"))


def tempo(delta: int, microseconds: int) -> Event:
    return meta(delta, 0x51, microseconds.to_bytes(3, "big"))


def meter(delta: int, numerator: int, power_of_two: int) -> Event:
    return meta(delta, 0x58, bytes([numerator, power_of_two, 24, 8]))


def signature(delta: int, fifths: int, minor: int) -> Event:
    return meta(delta, 0x59, struct.pack(">bB", fifths, minor))


def program(delta: int, number: int, channel: int = 0) -> Event:
    return delta, bytes([0xC0 | channel, number])


def delta_bytes(ticks: int) -> bytes:
    digits = [ticks & 0x7F]
    while ticks := ticks >> 7:
        digits.insert(0, ticks & 0x7F | 0x80)
    return bytes(digits)


def track(*events: Event) -> bytes:
    body = b"".join(
        delta_bytes(delta) + message for delta, message in [*events, meta(0, 0x2F, b"")]
    )
    return b"MTrk" + struct.pack(">I", len(body)) + body


def smf(kind: int, *tracks: bytes, division: int = PPQ) -> bytes:
    return b"MThd" + struct.pack(">IHHh", 6, kind, len(tracks), division) + b"".join(tracks)


ONE_NOTE = (on(0, 60), off(PPQ, 60))
TWO_HANDS = smf(
    1,
    track(tempo(0, 500_000), meter(0, 3, 2), signature(0, -1, 1)),
    track(name("right"), on(0, 72), off(PPQ, 72), on(0, 74), off(2 * PPQ, 74)),
    track(name("left"), on(0, 48, 70, 1), off(3 * PPQ, 48, 1)),
)


@pytest.fixture
def midi_file(tmp_path: Path) -> MidiFile:
    def write(data: bytes) -> Path:
        path = tmp_path / "piece.mid"
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def read(midi_file: MidiFile) -> Read:
    def reader(*events: Event, division: int = PPQ) -> Content:
        return read_midi(midi_file(smf(0, track(*events), division=division)))

    return reader


class TestStaves:
    def test_the_tracks_of_type_1_are_the_staves(self, midi_file: MidiFile) -> None:
        content = read_midi(midi_file(TWO_HANDS))
        assert content.staves == (
            Staff("right", (Note(0, 72, 24, 64), Note(24, 74, 48, 64))),
            Staff("left", (Note(0, 48, 72, 70),)),
        )
        assert content.meters == ((0, Meter(3, 4)),)
        assert content.tempo_qpm == 120
        assert content.key == Key.parse("D minor")
        assert (content.notes_off_grid, content.notes_left_out, content.tempo_changes) == (0, 0, 0)

    def test_the_channels_of_type_0_are_the_staves(self, read: Read) -> None:
        content = read(on(0, 72), on(0, 48, 64, 1), off(PPQ, 72), off(0, 48, 1))
        assert [staff.notes for staff in content.staves] == [
            (Note(0, 72, 24, 64),),
            (Note(0, 48, 24, 64),),
        ]

    def test_the_first_piece_of_type_2_is_read_and_the_others_are_said(
        self, midi_file: MidiFile
    ) -> None:
        data = smf(2, track(*ONE_NOTE), track(on(0, 48), off(PPQ, 48)))
        content = read_midi(midi_file(data))
        assert [staff.notes[0].pitch for staff in content.staves] == [60]
        assert content.losses == (Loss(LossKind.OTHER_PIECES, 1, "2"),)

    def test_two_tracks_on_one_channel_stay_apart(self, midi_file: MidiFile) -> None:
        data = smf(1, track(on(0, 60), off(2 * PPQ, 60)), track(on(PPQ, 60), off(2 * PPQ, 60)))
        staves = read_midi(midi_file(data)).staves
        assert [staff.notes for staff in staves] == [
            (Note(0, 60, 48, 64),),
            (Note(24, 60, 48, 64),),
        ]

    def test_tracks_without_notes_are_no_staves(self, midi_file: MidiFile) -> None:
        data = smf(1, track(name("conductor")), track(name("words")), track(*ONE_NOTE))
        assert len(read_midi(midi_file(data)).staves) == 1

    def test_drums_are_no_staff(self, read: Read) -> None:
        content = read(on(0, 60), on(0, 38, 64, 9), off(PPQ, 60), off(0, 38, 9))
        assert [staff.notes for staff in content.staves] == [(Note(0, 60, 24, 64),)]

    def test_drums_alone_are_no_notes(self, read: Read, refuses) -> None:
        with refuses(MidiFileError, "piece.mid holds no notes"):
            read(on(0, 38, 64, 9), off(PPQ, 38, 9))

    def test_a_hand_that_changes_its_sound_is_still_one_staff(self, midi_file: MidiFile) -> None:
        data = smf(
            1,
            track(
                name("right"), program(0, 6), *ONE_NOTE, program(PPQ, 19), on(PPQ, 62), off(9, 62)
            ),
            track(name("left"), program(0, 0, 1), on(0, 48, 64, 1), off(PPQ, 48, 1)),
        )
        right, left = read_midi(midi_file(data)).staves
        assert [(note.onset_tick, note.pitch) for note in right.notes] == [(0, 60), (72, 62)]
        assert [(note.onset_tick, note.pitch) for note in left.notes] == [(0, 48)]

    def test_notes_stand_in_the_order_of_onset_then_pitch(self, read: Read) -> None:
        content = read(on(0, 67), on(0, 60), on(0, 64), off(PPQ, 67), off(0, 60), off(0, 64))
        assert [note.pitch for note in content.staves[0].notes] == [60, 64, 67]

    @pytest.mark.parametrize(("source", "text"), [("Rechte Hand", "Rechte Hand"), ("", "")])
    def test_staves_keep_the_names_of_their_tracks(
        self, source: str, text: str, read: Read
    ) -> None:
        assert read(name(source), *ONE_NOTE).staves[0].name == text


class TestNotes:
    def test_running_status_and_velocity_0_are_understood(self, midi_file: MidiFile) -> None:
        body = (
            b"\x00\x90\x3c\x40"  # note-on 60; the status byte stands here and nowhere else
            b"\x60\x3c\x00"  # after 96: 60 with velocity 0, which ends it
            b"\x00\x3e\x41"  # note-on 62
            b"\x81\x40\x3e\x00"  # after 192 (a delta of two bytes): 62 ends
            b"\x00\xff\x2f\x00"
        )
        data = b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk" + struct.pack(">I", len(body)) + body
        content = read_midi(midi_file(data))
        assert content.staves[0].notes == (Note(0, 60, 24, 64), Note(24, 62, 48, 65))

    @pytest.mark.parametrize("overlap", [4, PPQ])
    def test_a_note_that_starts_again_while_it_sounds_ends_there(
        self, overlap: int, read: Read
    ) -> None:
        content = read(on(0, 60), on(PPQ, 60, 70), off(overlap, 60), off(2 * PPQ - overlap, 60))
        assert content.staves[0].notes == (Note(0, 60, 24, 64), Note(24, 60, 48, 70))

    def test_a_note_struck_twice_at_once_is_one_note_as_long_as_the_longer(
        self, read: Read
    ) -> None:
        content = read(on(0, 60), on(0, 60), off(PPQ, 60), off(PPQ, 60))
        assert content.staves[0].notes == (Note(0, 60, 48, 64),)

    def test_a_note_repeated_without_a_gap_is_two_notes_whichever_event_comes_first(
        self, read: Read
    ) -> None:
        off_first = read(on(0, 60), off(PPQ, 60), on(0, 60), off(PPQ, 60))
        on_first = read(on(0, 60), on(PPQ, 60), off(0, 60), off(PPQ, 60))
        assert off_first.staves[0].notes == (Note(0, 60, 24, 64), Note(24, 60, 24, 64))
        assert on_first.staves == off_first.staves

    @pytest.mark.parametrize(
        "events",
        [
            (on(0, 64), off(0, 64)),
            (on(0, 20), off(PPQ, 20)),
            (on(0, 109), off(PPQ, 109)),
            (on(0, 0), off(PPQ, 0)),
            (on(0, 127), off(PPQ, 127)),
        ],
        ids=["no length", "20", "109", "0", "127"],
    )
    def test_what_no_piano_can_play_is_left_out_and_counted(
        self, events: tuple[Event, ...], read: Read
    ) -> None:
        content = read(*events, *ONE_NOTE)
        assert [note.pitch for note in content.staves[0].notes] == [60]
        assert content.notes_left_out == 1

    def test_the_outermost_keys_are_kept(self, read: Read) -> None:
        content = read(on(0, 21), on(0, 108), off(PPQ, 21), off(0, 108))
        assert [note.pitch for note in content.staves[0].notes] == [21, 108]
        assert content.notes_left_out == 0

    @pytest.mark.parametrize("controller", [120, 123, 127])
    def test_all_notes_off_ends_the_notes_of_its_channel(self, controller: int, read: Read) -> None:
        content = read(
            on(0, 60), on(0, 48, channel=1), (PPQ, bytes([0xB0, controller, 0])), off(PPQ, 48, 1)
        )
        ends = [staff.notes[0].duration_ticks for staff in content.staves]
        assert ends == [QUARTER, 2 * QUARTER]
        assert not content.losses

    def test_a_track_of_many_notes_is_read_whole(self, read: Read) -> None:
        content = read(*[event for _ in range(600) for event in (on(0, 60), off(PPQ, 60))])
        notes = [(note.onset_tick, note.duration_ticks) for note in content.staves[0].notes]
        assert notes == [(QUARTER * index, QUARTER) for index in range(600)]

    def test_a_note_that_never_ends_is_held_to_the_end_of_its_track(self, read: Read) -> None:
        content = read(on(0, 72), *ONE_NOTE)
        assert content.staves[0].notes == (Note(0, 60, 24, 64), Note(0, 72, 24, 64))
        assert content.losses == (Loss(LossKind.NEVER_ENDED, 1),)

    def test_an_end_without_a_beginning_is_passed_over(self, read: Read) -> None:
        assert read(off(0, 72), *ONE_NOTE).staves[0].notes == (Note(0, 60, 24, 64),)

    def test_a_note_too_short_for_the_grid_lasts_one_tick(self, read: Read) -> None:
        assert read(on(0, 60), off(1, 60)).staves[0].notes == (Note(0, 60, 1, 64),)


class TestGrid:
    @pytest.mark.parametrize("division", [24, 48, 96, 384, 480, 960, 10080])
    def test_what_is_on_the_grid_stays_where_it_is(self, division: int, read: Read) -> None:
        events = [event for _ in range(50) for event in (on(0, 60), off(division // 8, 60))]
        content = read(*events, division=division)
        assert [note.onset_tick for note in content.staves[0].notes] == list(range(0, 150, 3))
        assert {note.duration_ticks for note in content.staves[0].notes} == {3}
        assert content.notes_off_grid == 0

    def test_triplets_and_sixteenths_are_exact(self, read: Read) -> None:
        triplet, sixteenth = 160, 120  # of 480
        lengths = [triplet] * 3 + [sixteenth] * 4
        events = [event for ticks in lengths for event in (on(0, 60), off(ticks, 60))]
        notes = read(*events, division=480).staves[0].notes
        assert [note.duration_ticks for note in notes] == [8, 8, 8, 6, 6, 6, 6]

    def test_five_in_a_quarter_are_rounded_and_add_up(self, read: Read) -> None:
        events = [event for _ in range(500) for event in (on(0, 60), off(96, 60))]
        content = read(*events, division=480)
        notes = content.staves[0].notes
        assert notes[-1].offset_tick == 100 * QUARTER
        assert {note.duration_ticks for note in notes} == {4, 5}
        assert content.notes_off_grid == 500

    @given(
        division=st.integers(25, 2000),
        lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=40),
    )
    def test_every_onset_and_end_is_within_half_a_tick_of_its_source(
        self, tmp_path_factory: pytest.TempPathFactory, division: int, lengths: list[int]
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "within_half_a_tick.mid"
        pairs = [(on(0, 40 + i), off(ticks, 40 + i)) for i, ticks in enumerate(lengths)]
        path.write_bytes(
            smf(0, track(*[event for pair in pairs for event in pair]), division=division)
        )
        content = read_midi(path)
        by_pitch = {note.pitch: note for note in content.staves[0].notes}
        source_tick, off_grid = 0, 0
        for i, ticks in enumerate(lengths):
            note = by_pitch[40 + i]
            exact = [
                Fraction(QUARTER * tick, division) for tick in (source_tick, source_tick + ticks)
            ]
            assert abs(note.onset_tick - exact[0]) <= Fraction(1, 2)
            assert abs(note.offset_tick - exact[1]) <= Fraction(1, 2) or note.duration_ticks == 1
            off_grid += any(place.denominator > 1 for place in exact)
            source_tick += ticks
        snapped = sum(loss.count for loss in content.losses if loss.kind is LossKind.SNAPPED)
        assert content.notes_off_grid + snapped == off_grid


class TestTempo:
    def test_the_first_tempo_counts_and_the_others_are_reported(self, read: Read) -> None:
        content = read(
            tempo(0, 600_000), on(0, 60), tempo(9, 500_000), off(9, 60), tempo(0, 400_000)
        )
        assert content.tempo_qpm == pytest.approx(100)
        assert content.tempo_changes == 2

    def test_without_a_tempo_it_is_120_as_the_standard_says(self, read: Read) -> None:
        content = read(*ONE_NOTE)
        assert (content.tempo_qpm, content.tempo_changes) == (120, 0)

    def test_a_tempo_of_no_time_at_all_is_no_tempo(self, read: Read) -> None:
        content = read(tempo(0, 0), tempo(0, 1_000_000), *ONE_NOTE)
        assert (content.tempo_qpm, content.tempo_changes) == (60, 0)


class TestMeter:
    def test_without_a_metre_it_is_common_time_as_the_standard_says(self, read: Read) -> None:
        assert read(*ONE_NOTE).meters == ((0, Meter(4, 4)),)

    def test_all_changes_of_metre_are_reported_where_they_stand(self, read: Read) -> None:
        content = read(
            meter(0, 4, 2), on(0, 60), off(8 * PPQ, 60), meter(0, 6, 3), on(0, 62), off(6 * PPQ, 62)
        )
        assert content.meters == ((0, Meter(4, 4)), (192, Meter(6, 8)))
        assert content.anacrusis_ticks == 0

    def test_a_metre_said_again_is_no_change(self, read: Read) -> None:
        content = read(meter(0, 3, 2), on(0, 60), meter(3 * PPQ, 3, 2), off(3 * PPQ, 60))
        assert content.meters == ((0, Meter(3, 4)),)

    def test_a_metre_after_the_last_note_is_no_change(self, read: Read) -> None:
        assert read(meter(0, 3, 2), *ONE_NOTE, meter(0, 2, 2)).meters == ((0, Meter(3, 4)),)

    def test_of_two_metres_at_one_place_the_last_counts(self, read: Read) -> None:
        assert read(meter(0, 3, 2), meter(0, 2, 1), *ONE_NOTE).meters == ((0, Meter(2, 2)),)

    @pytest.mark.parametrize(
        ("numerator", "power_of_two"), [(33, 2), (255, 3), (4, 6), (4, 8), (4, 40)]
    )
    def test_a_metre_that_notation_does_not_have_is_refused(
        self, numerator: int, power_of_two: int, read: Read, refuses
    ) -> None:
        with refuses(MidiFileError, r"piece\.mid cannot be put into bars: .* is not a metre"):
            read(meter(0, numerator, power_of_two), *ONE_NOTE)


class TestAnacrusis:
    def pickup(self, *, numerator: int, power: int, bars: int, then: Event) -> tuple[Event, ...]:
        """``bars`` bars of a first metre, in quarters, then another."""
        quarters = bars * numerator * 4 // 2**power
        quarter = (on(0, 60), off(PPQ, 60))
        return (meter(0, numerator, power), *quarter * quarters, then, on(0, 62), off(3 * PPQ, 62))

    def test_a_short_first_bar_goes_to_the_end_of_bar_1(self, read: Read) -> None:
        content = read(*self.pickup(numerator=1, power=2, bars=1, then=meter(0, 3, 2)))
        assert content.anacrusis_ticks == 24
        assert content.meters == ((0, Meter(3, 4)),)
        assert content.staves[0].notes == (Note(48, 60, 24, 64), Note(72, 62, 72, 64))

    def test_later_changes_of_metre_move_with_the_notes(self, read: Read) -> None:
        events = self.pickup(numerator=1, power=2, bars=1, then=meter(0, 3, 2))
        content = read(*events, meter(0, 2, 2), on(0, 64), off(PPQ, 64))
        assert content.meters == ((0, Meter(3, 4)), (144, Meter(2, 4)))
        assert content.staves[0].notes[-1] == Note(144, 64, 24, 64)

    def test_all_staves_move_together(self, midi_file: MidiFile) -> None:
        data = smf(
            1,
            track(meter(0, 1, 2), meter(PPQ, 2, 2)),
            track(on(0, 72), off(PPQ, 72)),
            track(on(PPQ, 48), off(PPQ, 48)),
        )
        staves = read_midi(midi_file(data)).staves
        assert [staff.notes[0].onset_tick for staff in staves] == [24, 48]

    @pytest.mark.parametrize(
        ("numerator", "power", "bars", "then"),
        [
            (1, 2, 2, meter(0, 3, 2)),  # two bars of it
            (4, 2, 1, meter(0, 3, 2)),  # longer than the bars that follow
            (3, 2, 1, meter(0, 6, 3)),  # as long as the bars that follow
        ],
    )
    def test_another_metre_at_the_beginning_is_none(
        self, numerator: int, power: int, bars: int, then: Event, read: Read
    ) -> None:
        content = read(*self.pickup(numerator=numerator, power=power, bars=bars, then=then))
        assert content.anacrusis_ticks == 0
        assert len(content.meters) == 2
        assert content.staves[0].notes[0].onset_tick == 0

    def test_a_metre_that_changes_inside_its_first_bar_is_none(self, read: Read) -> None:
        content = read(meter(0, 2, 2), *ONE_NOTE, meter(0, 3, 2), on(0, 62), off(3 * PPQ, 62))
        assert content.anacrusis_ticks == 0
        assert content.meters == ((0, Meter(2, 4)), (24, Meter(3, 4)))


class TestKeySignature:
    @pytest.mark.parametrize("key", [key for key in ALL_KEYS if key.mode == "minor"], ids=str)
    def test_a_minor_signature_names_the_key(self, key: Key, read: Read) -> None:
        content = read(signature(0, key.fifths, 1), *ONE_NOTE)
        assert (content.key, content.fifths) == (key, key.fifths)

    @pytest.mark.parametrize("fifths", [-7, -3, 0, 1, 7])
    def test_a_major_signature_leaves_the_mode_open(self, fifths: int, read: Read) -> None:
        content = read(signature(0, fifths, 0), *ONE_NOTE)
        assert (content.key, content.fifths) == (None, fifths)

    def test_without_a_signature_nothing_is_claimed(self, read: Read) -> None:
        content = read(*ONE_NOTE)
        assert (content.key, content.fifths) == (None, None)

    def test_the_first_signature_counts(self, read: Read) -> None:
        assert read(signature(0, 2, 1), *ONE_NOTE, signature(0, 3, 1)).fifths == 2

    @pytest.mark.parametrize("fifths", [-8, 8, 100])
    def test_more_than_seven_accidentals_are_no_signature(self, fifths: int, read: Read) -> None:
        content = read(signature(0, fifths, 1), *ONE_NOTE)
        assert (content.key, content.fifths) == (None, None)


class TestRefusedFiles:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "is not a MIDI file: it does not begin with MThd"),
            (b"C4 D4 E4\n", "is not a MIDI file: it does not begin with MThd"),
            (b"RIFF\x24\0\0\0RMID", "is not a MIDI file: it does not begin with MThd"),
            (smf(1), "holds no notes"),
            (smf(0, track(name("right"), tempo(0, 500_000))), "holds no notes"),
            (smf(0, track(on(0, 60))), "holds no notes"),
            (smf(0, track(on(0, 60), off(0, 60))), "holds no notes"),
            (smf(0, track(on(0, 10), off(PPQ, 10))), "holds no notes"),
            (smf(0, track((0, b"\x90\xbc\x40"), off(9, 60))), "is damaged and cannot be read"),
            (smf(0, track(on(0, 60), off(40_001 * PPQ, 60))), "is damaged: its last note ends"),
            (smf(0, track(*ONE_NOTE), division=-0x18D8), "counts time in seconds, not in beats"),
            (smf(0, track(*ONE_NOTE), division=0), "is damaged and cannot be read as MIDI: it"),
        ],
        ids=[
            "empty", "text", "RIFF", "no track", "no note", "never ends", "no length",
            "off the piano", "impossible pitch", "endless", "SMPTE", "no division",
        ],
    )  # fmt: skip
    def test_what_holds_no_music_is_refused(
        self, data: bytes, reason: str, midi_file: MidiFile, refuses
    ) -> None:
        with refuses(MidiFileError, rf"piece\.mid {reason}"):
            read_midi(midi_file(data))

    def test_a_file_cut_off_anywhere_is_refused(self, midi_file: MidiFile) -> None:
        whole = smf(1, track(tempo(0, 500_000), meter(0, 3, 2)), track(*ONE_NOTE * 3))
        for length in range(len(whole)):
            with pytest.raises(MidiFileError, match=r"piece\.mid (is |holds no notes)"):
                read_midi(midi_file(whole[:length]))

    def test_a_metre_without_beats_is_ignored_and_said(self, read: Read) -> None:
        content = read(meter(0, 0, 2), *ONE_NOTE)
        assert content.meters == ((0, Meter(4, 4)),)
        assert content.losses == (Loss(LossKind.BAD_METER, 1),)

    def test_a_missing_file_is_refused(self, tmp_path: Path, refuses) -> None:
        with refuses(MidiFileError, r"none\.mid cannot be opened: No such file"):
            read_midi(tmp_path / "none.mid")

    def test_a_folder_is_refused(self, tmp_path: Path, refuses) -> None:
        with refuses(MidiFileError, "cannot be opened: Is a directory"):
            read_midi(tmp_path)

    @given(place=st.integers(4, len(TWO_HANDS) - 1), byte=st.integers(0, 255), cut=st.booleans())
    def test_a_damaged_byte_is_survived_or_refused_but_never_crashes(
        self, tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: bool
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "damaged.mid"
        path.write_bytes(TWO_HANDS[:place] + bytes([byte] * (not cut)) + TWO_HANDS[place + 1 :])
        try:
            pieces = reduce_to_two_voices(read_midi(path))
        except MidiFileError:
            return
        assert sum(piece.score.note_count for piece in pieces) > 0


def simple_score(**changes: object) -> Score:
    upper = Voice((Note(0, 72, 24, 60), Note(24, 72, 24, 70), Note(72, 74, 72, 80)))
    lower = Voice((Note(0, 48, 96, 50),))
    score = Score((upper, lower), 2, key=Key.parse("Eb major"), tempo_qpm=100.0)
    return replace(score, **changes)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(score: Score) -> mido.MidiFile:
        write_midi(score, tmp_path / "out.mid")
        return mido.MidiFile(tmp_path / "out.mid")

    return write


def metas(midi: mido.MidiFile, kind: str) -> list[tuple[int, mido.MetaMessage]]:
    """(tick, message) of the conductor's track."""
    tick, found = 0, []
    for message in midi.tracks[0]:
        tick += message.time
        if message.type == kind:
            found.append((tick, message))
    return found


class TestWriting:
    def test_a_conductor_then_one_track_for_each_hand(self, written: Written) -> None:
        midi = written(simple_score())
        assert (midi.type, midi.ticks_per_beat) == (1, 24)
        assert [track.name for track in midi.tracks] == ["", "right", "left"]
        assert not any(hasattr(message, "channel") for message in midi.tracks[0])

    def test_each_hand_is_a_piano_on_its_own_channel(self, written: Written) -> None:
        for channel, hand in enumerate(written(simple_score()).tracks[1:]):
            played = [message for message in hand if not message.is_meta]
            assert (played[0].type, played[0].program) == ("program_change", 0)
            assert {message.channel for message in played} == {channel}

    def test_the_conductor_gives_tempo_metre_and_key(self, written: Written) -> None:
        midi = written(simple_score())
        ((tempo_tick, tempo_message),) = metas(midi, "set_tempo")
        ((meter_tick, meter_message),) = metas(midi, "time_signature")
        ((key_tick, key_message),) = metas(midi, "key_signature")
        assert (tempo_tick, tempo_message.tempo) == (0, 600_000)
        assert (meter_tick, meter_message.numerator, meter_message.denominator) == (0, 4, 4)
        assert (key_tick, key_message.key) == (0, "Eb")

    @pytest.mark.parametrize("key", ALL_KEYS, ids=str)
    def test_every_key_has_its_signature(self, key: Key, tmp_path: Path) -> None:
        write_midi(simple_score(key=key), tmp_path / "out.mid")
        content = read_midi(tmp_path / "out.mid")
        assert content.fifths == key.fifths
        assert content.key == key

    def test_without_a_key_there_is_no_signature(self, written: Written) -> None:
        assert metas(written(simple_score(key=None)), "key_signature") == []

    @pytest.mark.parametrize(
        ("text", "clocks"), [("4/4", 24), ("3/8", 12), ("6/8", 36), ("2/2", 48)]
    )
    def test_the_metronome_clicks_on_felt_beats(
        self, text: str, clocks: int, written: Written
    ) -> None:
        ((_, message),) = metas(
            written(simple_score(meter=Meter.parse(text), bars=4)), "time_signature"
        )
        assert message.clocks_per_click == clocks

    @pytest.mark.parametrize("bars", [2, 5])
    def test_every_track_ends_on_the_last_barline(self, bars: int, written: Written) -> None:
        midi = written(simple_score(bars=bars))
        lengths = {sum(message.time for message in each) for each in midi.tracks}
        assert lengths == {bars * 96}
        assert [each[-1].type for each in midi.tracks] == ["end_of_track"] * 3

    def test_a_note_ends_before_the_next_one_starts(self, written: Written) -> None:
        tick, events = 0, []
        for message in written(simple_score()).tracks[1]:
            tick += message.time
            if message.type in ("note_on", "note_off"):
                events.append((tick, message.type, message.note, message.velocity))
        assert events == [
            (0, "note_on", 72, 60),
            (24, "note_off", 72, 0),
            (24, "note_on", 72, 70),
            (48, "note_off", 72, 0),
            (72, "note_on", 74, 80),
            (144, "note_off", 74, 0),
        ]

    @pytest.mark.parametrize(
        ("meter_text", "ticks", "pickup"),
        [("4/4", 24, (1, 4)), ("4/4", 36, (3, 8)), ("3/4", 48, (2, 4)), ("6/8", 12, (1, 8)),
         ("4/4", 6, (1, 16)), ("4/4", 93, (31, 32))],
    )  # fmt: skip
    def test_an_anacrusis_is_a_first_bar_of_its_own_length(
        self, meter_text: str, ticks: int, pickup: tuple[int, int], written: Written
    ) -> None:
        full = Meter.parse(meter_text)
        start = full.bar_ticks - ticks
        voice = Voice((Note(start, 60, ticks), Note(full.bar_ticks, 62, 12)))
        midi = written(Score((voice, voice), 2, full, anacrusis_ticks=ticks))
        meters = [(t, (m.numerator, m.denominator)) for t, m in metas(midi, "time_signature")]
        assert meters == [(0, pickup), (ticks, (full.numerator, full.denominator))]
        assert {sum(message.time for message in each) for each in midi.tracks} == {
            ticks + full.bar_ticks
        }

    @pytest.mark.parametrize(("meter_text", "ticks"), [("4/4", 7), ("12/8", 141)])
    def test_an_anacrusis_that_no_metre_measures_is_refused(
        self, meter_text: str, ticks: int, tmp_path: Path, refuses
    ) -> None:
        score = Score((Voice(), Voice()), 2, Meter.parse(meter_text), anacrusis_ticks=ticks)
        with refuses(MidiFileError, f"An anacrusis of {ticks} ticks cannot be written"):
            write_midi(score, tmp_path / "out.mid")
        assert list(tmp_path.iterdir()) == []

    def test_a_tempo_slower_than_midi_has_is_refused(self, tmp_path: Path, refuses) -> None:
        write_midi(simple_score(tempo_qpm=3.58), tmp_path / "out.mid")
        assert read_midi(tmp_path / "out.mid").tempo_qpm == pytest.approx(3.58)
        with refuses(
            MidiFileError, r"slow\.mid cannot hold a tempo of 3\.5 quarters .* allows 3\.58 or more"
        ):
            write_midi(simple_score(tempo_qpm=3.5), tmp_path / "slow.mid")
        assert [path.name for path in tmp_path.iterdir()] == ["out.mid"]

    @pytest.mark.parametrize(
        ("title", "charset"),
        [
            ("Präludium", "latin-1"), ("", "latin-1"), ("前奏曲 №1", "utf-8"),
            ("In B♭ major", "utf-8"), ("Ã¤", "utf-8"),
        ],
    )  # fmt: skip
    def test_title_and_composer_are_read_back(
        self, title: str, charset: str, tmp_path: Path
    ) -> None:
        write_midi(simple_score(title=title, composer="Clara Wieck"), tmp_path / "out.mid")
        conductor = mido.MidiFile(tmp_path / "out.mid", charset=charset).tracks[0]
        assert conductor.name == title
        assert "Composer: Clara Wieck" in [each.text for each in conductor if each.type == "text"]
        content = read_midi(tmp_path / "out.mid")
        assert (content.title, content.composer) == (title, "Clara Wieck")

    @pytest.mark.parametrize(
        ("names", "notes_in_first", "title"),
        [
            (["Für Elise", "Piano"], False, "Für Elise"),
            (["Conductor Track", "Piano"], False, ""),
            (["Violin", "Cello"], True, ""),  # names of instruments
            (["A gavotte"], True, "A gavotte"),  # of type 0
            (["Piano"], True, ""),
        ],
    )
    def test_the_title_of_other_programs(
        self, names: list[str], notes_in_first: bool, title: str, tmp_path: Path
    ) -> None:
        midi = mido.MidiFile(type=int(len(names) > 1))
        for index, name in enumerate(names):
            track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
            if index or notes_in_first:
                track.append(mido.Message("note_on", note=60, velocity=64))
                track.append(mido.Message("note_off", note=60, time=480))
            midi.tracks.append(track)
        midi.save(tmp_path / "other.mid")
        assert read_midi(tmp_path / "other.mid").title == title

    def test_further_voices_are_numbered(self, written: Written) -> None:
        score = Score(tuple(Voice((Note(0, pitch, 24),)) for pitch in (72, 60, 48)), 1)
        assert [each.name for each in written(score).tracks[1:]] == ["right", "left", "voice 3"]

    def test_the_same_score_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for path in ("first.mid", "second.mid"):
            write_midi(simple_score(), tmp_path / path)
        assert (tmp_path / "first.mid").read_bytes() == (tmp_path / "second.mid").read_bytes()


class TestAtomicWriting:
    def test_an_old_file_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mid"
        path.write_text("old")
        write_midi(simple_score(), path)
        assert path.read_bytes().startswith(b"MThd")
        assert list(tmp_path.iterdir()) == [path]

    def test_others_may_read_the_file(self, tmp_path: Path) -> None:
        write_midi(simple_score(), tmp_path / "out.mid")
        assert (tmp_path / "out.mid").stat().st_mode & 0o777 == 0o644

    @pytest.mark.parametrize("old", [None, b"the old file"])
    def test_where_the_disk_is_full_nothing_changes(
        self, old: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def half_a_file(midi: mido.MidiFile, filename: str) -> None:
            Path(filename).write_bytes(b"MThd")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(mido.MidiFile, "save", half_a_file)
        path = tmp_path / "out.mid"
        if old:
            path.write_bytes(old)
        with pytest.raises(OSError, match="No space left"):
            write_midi(simple_score(), path)
        assert [each.read_bytes() for each in tmp_path.iterdir()] == ([old] if old else [])

    def test_where_a_folder_has_the_name_nothing_is_left_behind(self, tmp_path: Path) -> None:
        folder = tmp_path / "out.mid"
        folder.mkdir()
        with pytest.raises(IsADirectoryError):
            write_midi(simple_score(), folder)
        assert list(tmp_path.rglob("*")) == [folder]

    def test_where_there_is_no_folder_none_is_made(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            write_midi(simple_score(), tmp_path / "none" / "out.mid")
        assert list(tmp_path.iterdir()) == []


METERS = [
    *(Meter(number, 4) for number in (2, 3, 4, 5)),
    *(Meter(number, 8) for number in (3, 6, 7, 9, 12)),
    Meter(2, 2),
]


@st.composite
def voices(draw: st.DrawFn, start_tick: int) -> Voice:
    """Voices with rests, repeated notes and notes without a gap, and at least one note."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 0, 0, 1, 12, 96]),  # rest
                st.sampled_from([1, 3, 4, 6, 8, 12, 24, 36, 200]),  # length
                st.integers(21, 108),
                st.integers(1, 127),
            ),
            min_size=1,
            max_size=12,
        )
    )
    tick, notes = start_tick, []
    for rest, length, pitch, velocity in steps:
        notes.append(Note(tick + rest, pitch, length, velocity))
        tick = notes[-1].offset_tick
    return Voice(tuple(notes))


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Scores that MIDI can hold: two voices, on the grid, with a note in the last bar."""
    meter = draw(st.sampled_from(METERS))
    anacrusis = draw(st.sampled_from([0, *range(6, meter.bar_ticks, 6)]))
    start = meter.bar_ticks - anacrusis if anacrusis else 0
    lines = (draw(voices(start)), draw(voices(start)))
    bars = -(-max(line.end_tick for line in lines) // meter.bar_ticks)
    return Score(
        voices=lines,
        bars=bars,
        meter=meter,
        key=draw(st.sampled_from(ALL_KEYS)),
        tempo_qpm=draw(st.floats(30, 240)),
        anacrusis_ticks=anacrusis if bars > 1 else 0,
    )


@given(score=scores())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, score: Score
) -> None:
    path = tmp_path_factory.getbasetemp() / "written_and_read.mid"
    write_midi(score, path)
    content = read_midi(path)
    (piece,) = reduce_to_two_voices(content)
    assert score.key is not None
    assert content.fifths == score.key.fifths
    assert piece.score.tempo_qpm == pytest.approx(score.tempo_qpm, rel=1e-5)
    if score.key.mode == "minor":
        assert piece.score.key == score.key
    assert replace(piece.score, key=score.key, tempo_qpm=score.tempo_qpm) == score
    assert (piece.notes_dropped, piece.notes_shortened, content.notes_off_grid) == (0, 0, 0)


def test_a_key_signature_that_is_none_between_two_programs_is_ignored(tmp_path):
    path = tmp_path / "broken.mid"
    midi = mido.MidiFile(ticks_per_beat=24)
    for program in (0, 40):
        note = [
            mido.Message(k, note=60 + program, velocity=80, time=24)
            for k in ("note_on", "note_off")
        ]
        change = mido.Message("program_change", program=program)
        midi.tracks.append(mido.MidiTrack([change, *note]))
    midi.tracks[0].insert(0, mido.MetaMessage("key_signature", key="C"))
    midi.save(path)
    path.write_bytes(path.read_bytes().replace(b"\xff\x59\x02\x00\x00", b"\xff\x59\x02\x3f\x00"))
    content = read_midi(path)
    assert (content.fifths, len(content.staves)) == (None, 2)
    assert content.losses == (Loss(LossKind.BAD_KEY, 1),)
