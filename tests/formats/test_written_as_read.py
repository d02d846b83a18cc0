"""Letters, signature and mode come back as the file has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bicinium.formats.musicxml_reader import (
    MUSICXML_SUFFIXES,
    parse_content,
    parse_musicxml,
    read_spelled_notes,
)
from bicinium.formats.musicxml_writer import write_musicxml
from bicinium.formats.registry import read_score
from bicinium.formats.spelling import spell
from bicinium.music.key import Key
from bicinium.music.score import TICKS_PER_QUARTER, Note, Score, Voice
from bicinium.music.signature import MODES, Signature

_SCORES = 300
_SCALE = "CDEFGABc"


def written_again(score: Score, folder: Path) -> Score:
    """The score after it was written as MusicXML and read."""
    write_musicxml(score, folder / "again.musicxml")
    return read_score(folder / "again.musicxml")


def names(score: Score, part: int = 0) -> str:
    """The upper voice, spelled: ``C F# Bb``."""
    return " ".join(s.step + "#" * s.alter + "b" * -s.alter for s in spell(score)[part])


def abc(tune: str, key: str) -> str:
    return f"X:1\nL:1/4\nM:4/4\nK:{key}\n{tune}|]\n"


def musicxml(notes: str, fifths: int, mode: str = "") -> str:
    """A bar of quarters for each four of ``notes``, like ``A1B`` (letter, alter or 0, …)."""
    pitches = [notes[i : i + 2] for i in range(0, len(notes), 2)]
    body = "".join(
        f"<note><pitch><step>{step}</step><alter>{'b0#'.index(sign) - 1}</alter>"
        "<octave>4</octave></pitch><duration>1</duration><type>quarter</type></note>"
        for step, sign in pitches
    )
    stated = f"<mode>{mode}</mode>" if mode else ""
    return (
        '<score-partwise version="4.0"><part-list><score-part id="P1"><part-name/></score-part>'
        f'</part-list><part id="P1"><measure number="1"><attributes><divisions>1</divisions><key>'
        f"<fifths>{fifths}</fifths>{stated}</key><time><beats>{len(pitches)}</beats>"
        f"<beat-type>4</beat-type></time></attributes>{body}</measure></part></score-partwise>"
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fifths", [-7, -1, 0, 2, 7])
def test_signature_and_mode_of_musicxml_come_back(fifths: int, mode: str, tmp_path: Path) -> None:
    (tmp_path / "a.musicxml").write_text(musicxml("D0E0F0G0", fifths, mode))
    score = read_score(tmp_path / "a.musicxml")
    assert score.signature == Signature(fifths, mode)
    assert score.key == Signature(fifths, mode).key
    assert written_again(score, tmp_path).signature == Signature(fifths, mode)


@pytest.mark.parametrize(
    ("name", "written", "key"),
    [
        ("Ddor", Signature(0, "dorian"), "D minor"),
        ("Gmix", Signature(0, "mixolydian"), "G major"),
        ("F lydian", Signature(0, "lydian"), "F major"),
        ("Ephr", Signature(0, "phrygian"), "E minor"),
        ("Gb", Signature(-6, "major"), "F# major"),
        ("D#m", Signature(6, "minor"), "Eb minor"),
    ],
)
def test_modes_of_abc_are_kept(name: str, written: Signature, key: str, tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text(abc(_SCALE, name))
    score = read_score(tmp_path / "a.abc")
    assert (score.signature, score.key) == (written, Key.parse(key))
    assert written_again(score, tmp_path).signature == written


@pytest.mark.parametrize(
    ("lines", "written", "key"),
    [
        ("*k[]\n*d:dor", Signature(0, "dorian"), "D minor"),
        ("*k[b-]\n*g:", Signature(-1, "dorian"), "G minor"),
        ("*k[b-e-]\n*g:", Signature(-2, "minor"), "G minor"),
        ("*k[f#]\n*A:", Signature(1, ""), "A major"),
    ],
)
def test_modes_of_kern_are_kept(lines: str, written: Signature, key: str, tmp_path: Path) -> None:
    (tmp_path / "a.krn").write_text(f"**kern\n*M4/4\n{lines}\n=1\n1g\n=2\n1g\n==\n*-\n")
    score = read_score(tmp_path / "a.krn")
    assert score.signature == written
    if written.key:
        assert score.key == Key.parse(key)


def test_a_major_key_is_what_the_file_says_though_the_notes_say_another(tmp_path: Path) -> None:
    (tmp_path / "a.musicxml").write_text(musicxml("D#A#D#F0", 0, "major"))
    assert read_score(tmp_path / "a.musicxml").key == Key.parse("C major")


def test_a_key_is_guessed_only_where_none_is_stated(tmp_path: Path) -> None:
    (tmp_path / "a.musicxml").write_text(musicxml("A0C0E0A0", 0))
    score = read_score(tmp_path / "a.musicxml")
    assert score.key == Key.parse("A minor")
    assert score.signature == Signature(0)
    assert written_again(score, tmp_path).signature == Signature(0)


def test_an_augmented_second_stays_one(tmp_path: Path) -> None:
    (tmp_path / "a.musicxml").write_text(musicxml("FbG#C#DbEbE#BbB#", 0, "major"))
    score = read_score(tmp_path / "a.musicxml")
    assert names(score) == names(written_again(score, tmp_path)) == "Fb G# C# Db Eb E# Bb B#"


def test_a_transposed_score_keeps_its_intervals(tmp_path: Path) -> None:
    (tmp_path / "a.musicxml").write_text(musicxml("F0G#A0Bb", 0, "major"))
    score = read_score(tmp_path / "a.musicxml").transpose(2)
    assert names(score) == "G A# B C"
    assert score.signature == Signature(2, "major")


def test_a_transposing_instrument_is_spelled_as_it_sounds(tmp_path: Path) -> None:
    text = musicxml("D0E0F#G#", 2, "major").replace(
        "</time>", "</time><transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    )
    (tmp_path / "a.musicxml").write_text(text)
    score = read_score(tmp_path / "a.musicxml")
    assert names(score) == "C D E F#"


def test_new_notes_are_spelled_beside_those_that_are_known() -> None:
    upper = Voice((Note(0, 70, 24), Note(24, 68, 24)))
    lower = Voice((Note(0, 58, 24), Note(24, 56, 24)))
    known = {(0, 70): 10, (24, 68): 8}  # A#, G#
    score = Score((upper, lower), 1, key=Key.parse("F major"), spellings=known)
    assert names(score) == names(score, 1) == "A# G#"


def test_a_note_that_moves_is_spelled_anew() -> None:
    score = Score((Voice((Note(0, 70, 24),)), Voice()), 1, spellings={(0, 70): 10})
    moved = replace(score, voices=(Voice((Note(24, 70, 24),)), Voice()))
    assert (names(score), names(moved)) == ("A#", "Bb")


def musicxml_of_music21() -> list[Path]:
    music21 = pytest.importorskip("music21")
    corpus = Path(music21.__file__).parent / "corpus"
    return sorted(p for p in corpus.rglob("*") if p.suffix in MUSICXML_SUFFIXES)


@pytest.mark.slow
def test_every_pitch_of_300_scores_comes_back_with_letter_key_and_mode(tmp_path: Path) -> None:
    scores = pitches = 0
    wrong = []
    for path in musicxml_of_music21():
        root = parse_musicxml(path)
        source = parse_content(root, path)
        if len(source.meters) > 1:
            continue  # a score has one metre
        again = written_again(read_score(path, reduce=True), tmp_path)
        spelled = {
            (round(n.onset * TICKS_PER_QUARTER), n.pitch): (n.spelling.step, n.spelling.alter)
            for n in read_spelled_notes(root, path)
            if n.pitch == n.spelling.pitch  # not of a transposing instrument
        }
        for voice, line in zip(again.voices, spell(again), strict=True):
            for note, spelling in zip(voice.notes, line, strict=True):
                if expected := spelled.get((note.onset_tick, note.pitch)):
                    pitches += 1
                    if expected != (spelling.step, spelling.alter):
                        wrong.append((path.name, note, spelling))
        if again.signature != source.signature:
            wrong.append((path.name, again.signature, source.signature))
        scores += 1
        if scores == _SCORES:
            break
    print(f"{scores} scores, {pitches} pitches, {len(wrong)} wrong")
    assert scores == _SCORES
    assert not wrong, wrong[:5]
