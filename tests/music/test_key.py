import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.errors import ScoreError
from bicinium.formats.midi import read_midi
from bicinium.music.key import ALL_KEYS, Key, estimate_key
from bicinium.music.score import Score
from bicinium.music.voice_reduction import reduce_to_two_voices

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
HARMONIC_MINOR_SCALE = (0, 2, 3, 5, 7, 8, 11)
INVENTION_KEYS = "C, Cm, D, Dm, Eb, E, Em, F, Fm, G, Gm, A, Am, Bb, Bm"  # BWV 772 to 786


def sounding(key: Key, degrees: tuple[int, ...]) -> list[float]:
    """Ticks of each pitch class where each degree sounds equally long."""
    ticks = [0.0] * 12
    for degree in degrees:
        ticks[(key.tonic + degree) % 12] += 24
    return ticks


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("C major", Key(0, "major")),
        ("D minor", Key(2, "minor")),
        ("Bb major", Key(10, "major")),
        ("F# minor", Key(6, "minor")),
        ("F♯ minor", Key(6, "minor")),
        ("B♭ major", Key(10, "major")),
        ("Cb major", Key(11, "major")),
        ("B# minor", Key(0, "minor")),
        ("Dm", Key(2, "minor")),
        ("Bb", Key(10, "major")),
        ("E- major", Key(3, "major")),
        ("b-", Key(10, "major")),
        ("Bbm", Key(10, "minor")),
        ("F#", Key(6, "major")),
        ("d minor", Key(2, "minor")),
        ("bb", Key(10, "major")),
        ("bm", Key(11, "minor")),
        ("E Minor", Key(4, "minor")),
        ("A-minor", Key(9, "minor")),
        ("  G   MAJOR ", Key(7, "major")),
    ],
)
def test_reads_a_key_however_it_is_written(text: str, key: Key) -> None:
    assert Key.parse(text) == key


@pytest.mark.parametrize(
    "text",
    ["", "m", "H major", "D dorian", "Dmin", "D# # minor", "Cx", "C major key", "minor", "4"],
)
def test_what_is_not_a_key_is_refused(text: str, refuses) -> None:
    with refuses(ScoreError, "is not a key. Write it like 'D minor'"):
        Key.parse(text)


def test_there_are_24_keys() -> None:
    assert len(set(ALL_KEYS)) == len(set(map(str, ALL_KEYS))) == 24


@pytest.mark.parametrize("key", ALL_KEYS, ids=str)
class TestEveryKey:
    def test_reads_back_from_its_name(self, key: Key) -> None:
        assert Key.parse(str(key)) == key

    def test_reads_back_from_its_signature(self, key: Key) -> None:
        assert Key.from_signature(key.fifths, key.mode) == key

    def test_shares_its_signature_with_its_relative(self, key: Key) -> None:
        up, other = (3, "major") if key.mode == "minor" else (-3, "minor")
        assert (Key((key.tonic + up) % 12, other).fifths - key.fifths) % 12 == 0

    def test_goes_home_the_shortest_way(self, key: Key) -> None:
        assert key.transpose(key.semitones_to_reference) == Key.parse(
            "A minor" if key.mode == "minor" else "C major"
        )
        assert -5 <= key.semitones_to_reference <= 6

    def test_is_found_from_its_scale_and_its_last_bass_note(self, key: Key) -> None:
        scale = HARMONIC_MINOR_SCALE if key.mode == "minor" else MAJOR_SCALE
        assert estimate_key(sounding(key, scale), final_bass=36 + key.tonic) == key

    def test_is_found_from_its_tonic_triad(self, key: Key) -> None:
        assert estimate_key(sounding(key, (0, 3 if key.mode == "minor" else 4, 7))) == key

    def test_is_found_from_its_signature_and_its_last_bass_note_where_all_else_is_equal(
        self, key: Key
    ) -> None:
        assert estimate_key([1] * 12, final_bass=key.tonic, fifths=key.fifths) == key


@pytest.mark.parametrize(
    ("name", "fifths"),
    [
        ("C major", 0), ("G major", 1), ("D major", 2), ("F major", -1), ("Bb major", -2),
        ("Db major", -5), ("F# major", 6), ("A minor", 0), ("E minor", 1), ("D minor", -1),
        ("C minor", -3), ("G# minor", 5), ("Eb minor", -6),
    ],
)  # fmt: skip
def test_the_signature_counts_sharps_and_flats(name: str, fifths: int) -> None:
    assert Key.parse(name).fifths == fifths


@pytest.mark.parametrize(
    ("fifths", "name"), [(7, "Db major"), (-7, "B major"), (-6, "F# major"), (6, "F# major")]
)
def test_signatures_beyond_the_usual_name_the_same_keys_on_the_piano(
    fifths: int, name: str
) -> None:
    assert str(Key.from_signature(fifths, "major")) == name


@given(st.sampled_from(ALL_KEYS), st.integers(-60, 60), st.integers(-60, 60))
def test_transpositions_add_up(key: Key, first: int, second: int) -> None:
    assert key.transpose(first).transpose(second) == key.transpose(first + second)
    assert key.transpose(12) == key


@pytest.mark.parametrize("semitones", range(1, 12))
def test_the_found_key_moves_with_the_music(semitones: int) -> None:
    for ticks in np.random.default_rng(0).random((50, 12)):
        assert estimate_key(np.roll(ticks, semitones)) == estimate_key(ticks).transpose(semitones)


@given(
    st.lists(st.floats(0, 1e6), min_size=12, max_size=12),
    st.none() | st.integers(21, 108),
    st.none() | st.integers(-7, 7),
)
def test_a_key_is_always_found(
    ticks: list[float], final_bass: int | None, fifths: int | None
) -> None:
    assert estimate_key(ticks, final_bass, fifths) in ALL_KEYS


def test_the_signature_decides_between_neighbours() -> None:
    c_without_fourth_and_seventh = sounding(Key(0, "major"), (0, 2, 4, 7, 9))
    assert estimate_key(c_without_fourth_and_seventh, final_bass=7, fifths=1) == Key(7, "major")
    assert estimate_key(c_without_fourth_and_seventh, final_bass=0, fifths=0) == Key(0, "major")


def pitch_class_ticks(score: Score) -> list[float]:
    ticks = [0.0] * 12
    for voice in score.voices:
        for note in voice.notes:
            ticks[note.pitch % 12] += note.duration_ticks
    return ticks


def test_the_key_of_every_two_part_invention_is_found_from_its_notes_alone(
    shared_corpus: Path,
) -> None:
    found = {}
    for number in range(772, 787):
        (path,) = (shared_corpus / "midi" / "bachjs").glob(f"bwv{number}-*.mid")
        score = reduce_to_two_voices(read_midi(path))[0].score
        found[number] = estimate_key(
            pitch_class_ticks(score), final_bass=score.voices[1].notes[-1].pitch
        )
    assert found == {772 + i: Key.parse(name) for i, name in enumerate(INVENTION_KEYS.split(", "))}


def test_the_minor_keys_that_bach_files_name_are_found_without_their_signatures(
    shared_corpus: Path,
) -> None:
    """Only minor names count: a typesetter who gives no mode gets a major one."""
    with (shared_corpus / "analysis.csv").open(newline="", encoding="utf-8") as file:
        named = {row["path"]: row["key"] for row in csv.DictReader(file)}
    hits, near, total = 0, 0, 0
    for name, key_name in named.items():
        if not (name.startswith("midi/bachjs/") and key_name.endswith("m")):
            continue
        score = reduce_to_two_voices(read_midi(shared_corpus / name))[0].score
        bass = score.voices[1].notes[-1].pitch
        found, key = estimate_key(pitch_class_ticks(score), final_bass=bass), Key.parse(key_name)
        total += 1
        hits += found == key
        near += abs(found.fifths - key.fifths) <= 1
    assert total >= 40
    assert hits >= 0.9 * total
    assert near == total


def test_bach_pieces_stand_in_a_key_of_their_signature(shared_corpus: Path) -> None:
    agree = total = 0
    for path in sorted((shared_corpus / "midi" / "bachjs").glob("*.mid")):
        content = read_midi(path)
        if content.fifths is None:
            continue
        score = reduce_to_two_voices(content)[0].score
        assert score.key is not None
        total += 1
        agree += score.key.fifths == content.fifths
    assert total >= 100
    assert agree >= 0.95 * total


def test_keys_are_printed_with_the_signs_of_music():
    names = [
        Key.parse(name).display_name for name in ("Eb major", "B minor", "F# minor", "Bb major")
    ]
    assert names == ["E♭ major", "B minor", "F♯ minor", "B♭ major"]
