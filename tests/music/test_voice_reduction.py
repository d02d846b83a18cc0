import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.formats.midi import read_midi
from bicinium.music.content import Content, Staff
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note
from bicinium.music.signature import Signature
from bicinium.music.voice_reduction import VoiceReduction, reduce_to_two_voices

Notes = Sequence[tuple[int, int, int]]  # onset, pitch, duration
COMMON_TIME = ((0, Meter(4, 4)),)
BAR = 96


def staff(*notes: tuple[int, int, int], name: str = "") -> Staff:
    return Staff(name, tuple(sorted(Note(*note) for note in notes)))


def content(*staves: Staff, **changes: Any) -> Content:
    """Return the content of a file with these staves, in 4/4 unless ``meters`` are given."""
    said = {
        "meters": COMMON_TIME, "signature": None, "tempo_qpm": 120.0,
        "anacrusis_ticks": 0, "notes_off_grid": 0, "notes_left_out": 0, "tempo_changes": 0,
    }  # fmt: skip
    return Content(staves=staves, **(said | changes))


def one_piece(*staves: Staff, **changes: Any) -> VoiceReduction:
    (piece,) = reduce_to_two_voices(content(*staves, **changes))
    return piece


def lines(piece: VoiceReduction) -> list[list[tuple[int, int, int]]]:
    return [
        [(note.onset_tick, note.pitch, note.duration_ticks) for note in voice.notes]
        for voice in piece.score.voices
    ]


def losses(piece: VoiceReduction) -> tuple[int, int]:
    return piece.notes_dropped, piece.notes_shortened


REST_BELOW = staff((0, 36, BAR))
REST_ABOVE = staff((0, 96, BAR))


class TestOneHand:
    """The right hand in full; the left hand is its mirror image."""

    @pytest.mark.parametrize(
        ("played", "line", "dropped", "shortened"),
        [
            pytest.param(
                [(0, 72, 24), (24, 74, 24)], [(0, 72, 24), (24, 74, 24)], 0, 0, id="a line"
            ),
            pytest.param(
                [(0, 60, 24), (0, 64, 24), (0, 67, 24), (24, 65, 24)],
                [(0, 67, 24), (24, 65, 24)],
                2,
                0,
                id="of a chord the outer note",
            ),
            pytest.param(
                [(0, 60, 96), (0, 67, 24), (24, 65, 24)],
                [(0, 67, 24), (24, 65, 24)],
                1,
                0,
                id="a held inner note does not count, however long",
            ),
            pytest.param(
                [(0, 72, 96), (24, 64, 24), (48, 65, 24)],
                [(0, 72, 96)],
                2,
                0,
                id="what starts inside a sounding note is an inner voice",
            ),
            pytest.param(
                [(0, 72, 96), (24, 71, 24)],
                [(0, 72, 96)],
                1,
                0,
                id="be it a semitone away",
            ),
            pytest.param(
                [(0, 72, 48), (24, 62, 12), (24, 64, 12)],
                [(0, 72, 48)],
                2,
                0,
                id="a chord inside a sounding note is one too",
            ),
            pytest.param(
                [(0, 72, 96), (24, 76, 24)],
                [(0, 72, 24), (24, 76, 24)],
                0,
                1,
                id="a new outer note ends the one before",
            ),
            pytest.param(
                [(0, 72, 25), (24, 76, 25), (48, 79, 24)],
                [(0, 72, 24), (24, 76, 24), (48, 79, 24)],
                0,
                2,
                id="legato is cut to a line",
            ),
            pytest.param(
                [(0, 72, 48), (24, 64, 72), (24, 76, 24), (48, 60, 12)],
                [(0, 72, 24), (24, 76, 24), (48, 60, 12)],
                1,
                1,
                id="an inner note left out ends nothing",
            ),
        ],
    )
    def test_becomes_its_outer_line_and_what_is_lost_is_counted(
        self, played: Notes, line: Notes, dropped: int, shortened: int
    ) -> None:
        right = one_piece(staff(*played, name="right"), staff((0, 36, BAR), name="left"))
        assert lines(right)[0] == line
        assert losses(right) == (dropped, shortened)

        def mirrored(notes: Notes) -> Notes:
            return [(onset, 129 - pitch, duration) for onset, pitch, duration in notes]

        left = one_piece(staff(*mirrored(played), name="left"), staff((0, 96, BAR), name="right"))
        assert lines(left)[1] == mirrored(line)
        assert losses(left) == (dropped, shortened)

    def test_keeps_its_velocities(self) -> None:
        upper = Staff("", (Note(0, 60, 48, 30), Note(0, 72, 48, 90), Note(24, 76, 24, 100)))
        notes = one_piece(upper, REST_BELOW).score.voices[0].notes
        assert [note.velocity for note in notes] == [90, 100]


class TestTwoStaves:
    low_then_high = ((0, 40, 24), (24, 45, 24)), ((0, 70, 24), (24, 75, 24))

    def test_the_higher_staff_is_the_upper_voice(self) -> None:
        low, high = self.low_then_high
        piece = one_piece(staff(*low, name="piano"), staff(*high, name="piano"))
        assert lines(piece) == [list(high), list(low)]
        assert piece.method == "staves"

    @pytest.mark.parametrize(
        ("right", "left"), [("right", "left"), ("Right", "LEFT"), (" right ", "left\n")]
    )
    def test_hands_that_are_named_may_cross(self, right: str, left: str) -> None:
        low, high = self.low_then_high
        for staves in (
            [staff(*low, name=right), staff(*high, name=left)],
            [staff(*high, name=left), staff(*low, name=right)],
        ):
            assert lines(one_piece(*staves)) == [list(low), list(high)]

    def test_hands_that_cross_for_a_while_keep_their_lines(self) -> None:
        right = ((0, 72, 24), (24, 50, 24), (48, 74, 24))
        left = ((0, 48, 24), (24, 60, 24), (48, 47, 24))
        piece = one_piece(staff(*left), staff(*right))
        assert lines(piece) == [list(right), list(left)]
        assert losses(piece) == (0, 0)

    def test_hands_may_share_a_note(self) -> None:
        piece = one_piece(staff((0, 60, 24), (24, 72, 24)), staff((0, 60, 24), (24, 48, 24)))
        assert lines(piece) == [[(0, 60, 24), (24, 72, 24)], [(0, 60, 24), (24, 48, 24)]]


class TestMoreThanTwoStaves:
    soprano, alto, tenor, bass = (
        staff((0, pitch, 24), (24, pitch + 2, 24), (48, pitch, 48)) for pitch in (72, 65, 55, 43)
    )

    def test_the_outer_staves_are_taken_and_the_others_counted_as_dropped(self) -> None:
        piece = one_piece(self.tenor, self.soprano, self.bass, self.alto)
        assert [voice.notes for voice in piece.score.voices] == [
            self.soprano.notes,
            self.bass.notes,
        ]
        assert piece.method == "outer staves"
        assert losses(piece) == (6, 0)
        assert piece.dropped_share == 0.5

    def test_their_notes_count_in_the_stretch_where_they_stand(self) -> None:
        middle = staff((0, 60, 24), (BAR, 60, 24), (BAR + 24, 62, 24))
        outer = [staff((0, p, 24), (BAR, p, 24)) for p in (72, 48)]
        pieces = reduce_to_two_voices(
            content(*outer, middle, meters=((0, Meter(4, 4)), (BAR, Meter(3, 4))))
        )
        assert [piece.notes_dropped for piece in pieces] == [1, 2]

    def test_they_count_although_the_outer_staves_rest_at_first(self) -> None:
        middle = staff((BAR, 60, 24), (BAR + 24, 62, 24))
        outer = [staff((BAR, p, 24)) for p in (72, 48)]
        (piece,) = reduce_to_two_voices(
            content(*outer, middle, meters=((0, Meter(4, 4)), (BAR, Meter(3, 4))))
        )
        assert losses(piece) == (2, 0)

    def test_they_count_although_the_outer_staves_have_ended(self) -> None:
        middle = staff((0, 60, 24), (BAR, 60, 24))
        assert one_piece(staff((0, 72, 24)), middle, staff((0, 48, 24))).notes_dropped == 2


class TestOneStaff:
    def test_of_notes_that_start_together_the_outer_two_are_taken(self) -> None:
        piece = one_piece(
            staff((0, 72, 24), (0, 64, 24), (0, 60, 24), (0, 48, 24), (24, 74, 9), (24, 47, 9))
        )
        assert lines(piece) == [[(0, 72, 24), (24, 74, 9)], [(0, 48, 24), (24, 47, 9)]]
        assert piece.method == "split"
        assert losses(piece) == (2, 0)

    def test_a_single_note_goes_to_the_nearer_voice(self) -> None:
        piece = one_piece(
            staff((0, 72, 12), (0, 48, 12), (12, 74, 12), (24, 50, 12), (36, 60, 12), (48, 68, 12))
        )
        assert [[pitch for _, pitch, _ in line] for line in lines(piece)] == [
            [72, 74, 68],
            [48, 50, 60],
        ]

    def test_single_notes_at_first_go_by_their_height(self) -> None:
        piece = one_piece(staff((0, 40, 24), (24, 80, 24), (48, 42, 24), (72, 79, 24)))
        assert lines(piece) == [[(24, 80, 24), (72, 79, 24)], [(0, 40, 24), (48, 42, 24)]]

    def test_a_lone_note_is_a_piece_with_one_silent_voice(self) -> None:
        assert sorted(lines(one_piece(staff((0, 60, 24))))) == [[], [(0, 60, 24)]]


class TestMeters:
    change = ((0, Meter(4, 4)), (BAR, Meter(3, 8)))

    def test_each_metre_is_a_piece_counted_from_its_own_beginning(self) -> None:
        staves = [staff((0, p, 96), (BAR, p + 1, 36), (BAR + 36, p + 2, 36)) for p in (72, 48)]
        first, second = reduce_to_two_voices(content(*staves, meters=self.change))
        assert lines(first) == [[(0, p, 96)] for p in (72, 48)]
        assert lines(second) == [[(0, p + 1, 36), (36, p + 2, 36)] for p in (72, 48)]
        assert [(piece.score.meter, piece.score.bars) for piece in (first, second)] == [
            (Meter(4, 4), 1),
            (Meter(3, 8), 2),
        ]

    def test_a_note_across_the_change_ends_there(self) -> None:
        staves = [staff((0, 72, 200), (216, 74, 24)), staff((0, 48, 96), (BAR, 50, 36))]
        first, second = reduce_to_two_voices(content(*staves, meters=self.change))
        assert lines(first) == [[(0, 72, 96)], [(0, 48, 96)]]
        assert lines(second) == [[(120, 74, 24)], [(0, 50, 36)]]

    def test_a_stretch_of_silence_is_no_piece(self) -> None:
        meters = ((0, Meter(4, 4)), (96, Meter(2, 4)), (144, Meter(3, 4)))
        staves = [staff((0, p, 96), (144, p, 72)) for p in (72, 48)]
        pieces = reduce_to_two_voices(content(*staves, meters=meters))
        assert [piece.score.meter for piece in pieces] == [Meter(4, 4), Meter(3, 4)]

    def test_a_hand_may_rest_through_a_stretch(self) -> None:
        staves = [staff((0, 72, 96), (BAR, 74, 36)), staff((0, 48, 96))]
        _, second = reduce_to_two_voices(content(*staves, meters=self.change))
        assert lines(second) == [[(0, 74, 36)], []]

    def test_losses_count_where_they_happen(self) -> None:
        upper = staff((0, 72, 48), (24, 60, 24), (BAR, 72, 36), (BAR + 12, 76, 12))
        pieces = reduce_to_two_voices(content(upper, REST_BELOW, meters=self.change))
        assert [losses(piece) for piece in pieces] == [(1, 0), (0, 1)]

    def test_only_the_first_piece_has_the_anacrusis(self) -> None:
        staves = [staff((72, p, 24), (96, p, 96), (192, p, 36)) for p in (72, 48)]
        meters = ((0, Meter(4, 4)), (192, Meter(3, 8)))
        pieces = reduce_to_two_voices(content(*staves, meters=meters, anacrusis_ticks=24))
        assert [piece.score.anacrusis_ticks for piece in pieces] == [24, 0]

    @pytest.mark.parametrize(("end", "bars"), [(1, 1), (95, 1), (96, 1), (97, 2), (192, 2)])
    def test_the_last_bar_is_filled_up(self, end: int, bars: int) -> None:
        assert one_piece(staff((0, 72, 1)), staff((0, 48, end))).score.bars == bars


class TestKeyAndTempo:
    triad = tuple((24 * i, pitch, 24) for i, pitch in enumerate((72, 76, 79)))

    def test_the_tempo_is_the_one_of_the_file(self) -> None:
        assert one_piece(staff(*self.triad), REST_BELOW, tempo_qpm=66.0).score.tempo_qpm == 66

    def test_a_key_that_the_file_names_is_believed(self) -> None:
        named = Key.parse("E minor")
        signature = Signature.of(named)
        assert one_piece(staff(*self.triad), REST_BELOW, signature=signature).score.key == named

    def test_otherwise_the_key_is_found_in_the_notes(self) -> None:
        assert one_piece(staff(*self.triad), REST_BELOW).score.key == Key.parse("C major")

    def test_the_signature_helps_to_find_it(self) -> None:
        notes = tuple((12 * i, pitch, 12) for i, pitch in enumerate((72, 74, 76, 79, 81)))
        found = {
            fifths: one_piece(
                staff(*notes), staff((0, 43, 12)), signature=Signature(fifths)
            ).score.key
            for fifths in (0, 1)
        }
        assert found == {0: Key.parse("C major"), 1: Key.parse("G major")}

    @pytest.mark.parametrize(
        ("bass", "name"), [((45, 48), "C major"), ((48, 45), "A minor")], ids=["to C", "to A"]
    )
    def test_the_last_bass_note_helps_to_find_it(self, bass: tuple[int, int], name: str) -> None:
        upper = staff(*((12 * i, pitch, 12) for i, pitch in enumerate((72, 74, 76, 79, 81))))
        lower = staff(*((30 * i, pitch, 30) for i, pitch in enumerate(bass)))
        assert one_piece(upper, lower).score.key == Key.parse(name)

    @pytest.mark.parametrize(
        ("long", "name"), [((72, 76, 79), "C major"), ((78, 82, 73), "F# major")], ids=["C", "F#"]
    )
    def test_long_notes_count_for_more(self, long: tuple[int, ...], name: str) -> None:
        pitches = enumerate((72, 76, 79, 78, 82, 73))
        upper = staff(*((24 * i, pitch, 24 if pitch in long else 2) for i, pitch in pitches))
        assert one_piece(upper, staff((0, 45, 1))).score.key == Key.parse(name)

    def test_each_stretch_has_a_key_of_its_own(self) -> None:
        meters = ((0, Meter(3, 4)), (72, Meter(4, 4)))
        later = tuple((onset + 72, pitch + 6, 24) for onset, pitch, _ in self.triad)
        upper = staff(*self.triad, *later)
        pieces = reduce_to_two_voices(
            content(upper, staff((0, 36, 72), (72, 42, 72)), meters=meters)
        )
        assert [str(piece.score.key) for piece in pieces] == ["C major", "F# major"]


def hands(most: int = 25) -> st.SearchStrategy[list[Note]]:
    """Notes of one staff, chords and all, no pitch twice at a time."""
    note = st.tuples(
        st.integers(0, 30).map(lambda n: 12 * n),
        st.integers(21, 108),
        st.sampled_from([6, 12, 24, 60]),
    )
    return st.lists(note, min_size=1, max_size=most).map(_without_restrikes)


def _without_restrikes(notes: list[tuple[int, int, int]]) -> list[Note]:
    free_from: dict[int, int] = {}
    kept = []
    for onset, pitch, duration in sorted(notes):
        if onset >= free_from.get(pitch, 0):
            kept.append(Note(onset, pitch, duration))
            free_from[pitch] = onset + duration
    return kept


@given(st.lists(hands(), min_size=1, max_size=4))
def test_every_note_is_kept_or_counted(staves: list[list[Note]]) -> None:
    piece = one_piece(*(Staff("", tuple(notes)) for notes in staves))
    assert piece.score.note_count + piece.notes_dropped == sum(map(len, staves))


@given(hands(), hands(), st.lists(st.integers(1, 40), max_size=3, unique=True))
def test_every_note_is_kept_or_counted_in_one_of_the_stretches(
    right: list[Note], left: list[Note], changes: list[int]
) -> None:
    end = max(note.offset_tick for note in right + left)
    meters = [(0, Meter(4, 4))]
    for number, tick in enumerate(sorted(12 * change for change in changes)):
        if tick < end:
            meters.append((tick, Meter(2 + number, 8)))
    staves = Staff("right", tuple(right)), Staff("left", tuple(left))
    pieces = reduce_to_two_voices(content(*staves, meters=tuple(meters)))
    kept = sum(piece.score.note_count + piece.notes_dropped for piece in pieces)
    assert kept == len(right) + len(left)


@given(hands(), hands())
def test_the_upper_line_is_made_of_highest_notes_and_the_lower_of_lowest(
    right: list[Note], left: list[Note]
) -> None:
    piece = one_piece(Staff("right", tuple(right)), Staff("left", tuple(left)))
    shortened = 0
    for played, voice, outermost in zip((right, left), piece.score.voices, (max, min), strict=True):
        source = {(note.onset_tick, note.pitch): note.duration_ticks for note in played}
        for note in voice.notes:
            together = [each.pitch for each in played if each.onset_tick == note.onset_tick]
            assert note.pitch == outermost(together)
            assert note.duration_ticks <= source[note.onset_tick, note.pitch]
            shortened += note.duration_ticks < source[note.onset_tick, note.pitch]
        for note, later in pairwise(voice.notes):
            if note.onset_tick + source[note.onset_tick, note.pitch] > later.onset_tick:
                assert later.pitch == outermost(note.pitch, later.pitch)
    assert piece.notes_shortened == shortened


def manifest(corpus: Path) -> dict[str, dict[str, str]]:
    with (corpus / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("number", range(772, 787))
def test_a_two_part_invention_is_two_voices_almost_as_it_stands(
    number: int, shared_corpus: Path
) -> None:
    """Of 8,263 notes in all fifteen inventions, five are lost: inner notes of two final chords."""
    (path,) = (shared_corpus / "midi" / "bachjs").glob(f"bwv{number}-*.mid")
    (piece,) = reduce_to_two_voices(read_midi(path))
    row = manifest(shared_corpus)[path.relative_to(shared_corpus).as_posix()]
    assert piece.method == "staves"
    assert piece.score.note_count + piece.notes_dropped == int(row["notes_right"]) + int(
        row["notes_left"]
    )
    assert piece.dropped_share < 0.01
    assert piece.notes_shortened <= 2


@pytest.mark.parametrize("number", [*range(787, 795), *range(796, 802)])
def test_a_three_part_sinfonia_loses_its_middle_voice(number: int, shared_corpus: Path) -> None:
    """Nearly a third of the notes are lost. Where another voice rests, the middle one is an outer
    one.
    """
    (path,) = (shared_corpus / "midi" / "bachjs").glob(f"bwv{number}*.mid")
    (piece,) = reduce_to_two_voices(read_midi(path))
    assert 0.1 < piece.dropped_share < 0.35


@pytest.mark.slow
def test_every_note_of_the_corpus_is_kept_or_counted(shared_corpus: Path) -> None:
    for name, row in manifest(shared_corpus).items():
        file = read_midi(shared_corpus / name)
        pieces = reduce_to_two_voices(file)
        kept = sum(piece.score.note_count + piece.notes_dropped for piece in pieces)
        expected = int(row["notes_right"]) + int(row["notes_left"])
        assert (name, kept + file.notes_left_out) == (name, expected)
