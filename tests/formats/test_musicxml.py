"""What is written is what is read, and what engravers and schema expect."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import Parallel, delayed

from benchmarks.musescore import AS_LONG_AS_WRITTEN, kept, musescore, schema, through_musescore
from bicinium.data.sources import find_sources
from bicinium.errors import ScoreError
from bicinium.formats.midi import read_midi, write_midi
from bicinium.formats.musicxml_reader import parse_content
from bicinium.formats.musicxml_writer import to_musicxml, write_musicxml
from bicinium.formats.registry import read_score
from bicinium.music.content import Content
from bicinium.music.key import ALL_KEYS
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.music.voice_reduction import reduce_to_two_voices

METERS = ["2/4", "3/4", "4/4", "6/8", "3/8", "2/2", "5/4", "12/16"]


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Two voices that both play, of any durations, loudness, key, metre, tempo and anacrusis."""
    meter = Meter.parse(draw(st.sampled_from(METERS)))
    bars = draw(st.integers(2, 4))
    anacrusis = draw(st.integers(0, meter.bar_ticks - 1))
    start = meter.bar_ticks - anacrusis if anacrusis else 0
    end = bars * meter.bar_ticks
    voices = []
    for _ in range(2):
        notes, tick = [], start
        for pitch, ticks, velocity in draw(
            st.lists(
                st.tuples(st.integers(0, 108), st.integers(1, 60), st.integers(1, 127)),
                min_size=1,
                max_size=20,
            )
        ):
            if pitch >= 21 and tick + ticks <= end:
                notes.append(Note(tick, pitch, ticks, velocity))
            tick += ticks
        voices.append(Voice(tuple(notes or [Note(start, 60, 1)])))
    return Score(
        tuple(voices),
        bars,
        meter,
        draw(st.sampled_from(ALL_KEYS)),
        draw(st.floats(20, 300)),
        anacrusis,
        title=draw(st.text("Aé<&>\"' ", max_size=8)).strip(),
    )


def read_back(score: Score) -> Content:
    return parse_content(ElementTree.fromstring(to_musicxml(score)), Path("written.musicxml"))


@given(scores())
def test_what_is_written_is_read_back_to_the_tick(score):
    (piece,) = reduce_to_two_voices(read_back(score))
    assert piece.score == score
    assert piece.score.title == score.title
    assert piece.notes_dropped == piece.notes_shortened == 0


@given(scores())
@settings(max_examples=25)
def test_what_is_written_is_valid_by_the_schema(valid, tmp_path_factory, score):
    path = tmp_path_factory.mktemp("valid") / "piece.musicxml"
    write_musicxml(score, path, {"seed": "7", "a<b": "&"})
    assert valid(path)


@pytest.fixture(scope="session")
def valid():
    pytest.importorskip("lxml")
    pytest.importorskip("musicxml")
    return schema()


def test_the_schema_is_no_rubber_stamp(valid, tmp_path, made_up_score):
    text = to_musicxml(made_up_score(1))
    (tmp_path / "a.xml").write_text(text.replace("<voice>1</voice>", "", 1))
    (tmp_path / "b.xml").write_text(re.sub("<beam number.*?</beam>", "<beam>up</beam>", text))
    assert valid(tmp_path / "a.xml")  # a voice may be missing
    assert not valid(tmp_path / "b.xml")


def test_compressed_is_the_same_score_in_the_same_bytes_each_time(tmp_path, made_up_score):
    score = made_up_score(3, meter="3/4", key="D minor")
    for name in ("a.mxl", "b.mxl"):
        write_musicxml(score, tmp_path / name)
    assert read_score(tmp_path / "a.mxl") == score
    assert (tmp_path / "a.mxl").read_bytes() == (tmp_path / "b.mxl").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.mxl") as archive:
        assert archive.namelist()[0] == "META-INF/container.xml"


def test_the_head_says_what_the_piece_is_and_how_it_came_to_be(made_up_score):
    score = replace(made_up_score(1), title="Tom & Jerry", composer="nobody")
    root = ElementTree.fromstring(to_musicxml(score, {"seed": "7", "model": "default"}))
    assert root.findtext("work/work-title") == "Tom & Jerry"
    assert [e.text for e in root.iter("credit-words")] == ["Tom & Jerry", "nobody"]
    fields = {e.get("name"): e.text for e in root.iter("miscellaneous-field")}
    assert fields == {"seed": "7", "model": "default"}


def test_one_part_of_two_staves_with_key_metre_tempo_and_final_barline(made_up_score):
    root = ElementTree.fromstring(
        to_musicxml(made_up_score(2, bars=3, meter="6/8", key="Eb major"))
    )
    (part,) = root.findall("part")
    first, *_, last = part.findall("measure")
    assert first.findtext("attributes/staves") == "2"
    assert [c.findtext("sign") for c in first.iter("clef")] == ["G", "F"]
    assert first.findtext("attributes/key/fifths") == "-3"
    assert first.findtext("attributes/time/beats") == "6"
    metronome = next(first.iter("metronome"))
    assert metronome.find("beat-unit-dot") is not None
    assert metronome.findtext("per-minute") == "64"  # 96 quarters a minute
    assert last.findtext("barline/bar-style") == "light-heavy"


def accidentals(score: Score) -> list[tuple[str, str | None, bool]]:
    """(letter, sign, only a reminder?) of every note that has a sign."""
    root = ElementTree.fromstring(to_musicxml(score))
    return [
        (note.findtext("pitch/step") or "", sign.text, sign.get("cautionary") == "yes")
        for note in root.iter("note")
        if (sign := note.find("accidental")) is not None
    ]


def test_accidentals_hold_for_their_bar_and_are_taken_back_in_the_next():
    pitches = [66, 66, 67, 66, 65, 67, 66, 67]  # F# F# G F# | F G F# G
    upper = Voice(tuple(Note(24 * i, pitch, 24) for i, pitch in enumerate(pitches)))
    score = Score((upper, Voice((Note(0, 48, 96),))), 2, Meter(4, 4), ALL_KEYS[0])
    sharp, reminder = ("F", "sharp", False), ("F", "natural", True)
    assert accidentals(score) == [sharp, reminder, sharp]
    in_g = replace(score, key=ALL_KEYS[7])
    assert accidentals(in_g) == [("F", "natural", False), ("F", "sharp", False)]


def test_a_tied_note_shows_its_accidental_once():
    upper = Voice((Note(72, 66, 48), Note(120, 66, 24), Note(144, 67, 48)))
    score = Score((upper, Voice((Note(0, 48, 192),))), 2, Meter(4, 4), ALL_KEYS[0])
    assert [sign for _, sign, _ in accidentals(score)] == ["sharp", "sharp"]


def test_a_score_of_more_voices_is_no_grand_staff(refuses):
    with refuses(ScoreError, "holds two voices, and the score has 3"):
        to_musicxml(Score((Voice(), Voice(), Voice()), 1))


def test_music21_reads_what_we_write(tmp_path, made_up_score):
    music21 = pytest.importorskip("music21")
    score = made_up_score(4, meter="6/8", key="E minor")
    write_musicxml(score, tmp_path / "piece.musicxml")
    parsed = music21.converter.parse(tmp_path / "piece.musicxml")
    for part, voice in zip(parsed.parts, score.voices, strict=True):
        theirs = [(round(n.offset * 24), n.pitch.midi, round(n.quarterLength * 24))
                  for n in part.stripTies().flatten().notes]  # fmt: skip
        ours = [(n.onset_tick, n.pitch, n.duration_ticks) for n in voice.notes]
        assert theirs == ours


def _unlike(paths: list[Path]) -> tuple[int, list[str]]:
    """How many scores the files hold, and which do not come back from MusicXML."""
    seen, unlike = 0, []
    for path in paths:
        for stretch in reduce_to_two_voices(read_midi(path)):
            seen += 1
            back = reduce_to_two_voices(read_back(stretch.score))
            if [piece.score for piece in back] != [stretch.score]:
                unlike.append(path.name)
    return seen, unlike


def test_real_music_comes_back(shared_corpus):
    paths = [source.path for source in find_sources([shared_corpus])][::16]
    seen, unlike = _unlike(paths)
    assert seen >= 15
    assert unlike == []


@pytest.mark.slow
def test_all_real_music_comes_back(shared_corpus):
    folders = [shared_corpus, shared_corpus.with_name("corpus_openscore")]
    paths = [s.path for s in find_sources([f for f in folders if f.is_dir()])]
    chunks = [paths[i::64] for i in range(64)]
    found = Parallel(n_jobs=2)(delayed(_unlike)(chunk) for chunk in chunks)
    print(f"\n{sum(seen for seen, _ in found)} scores through MusicXML")
    assert [name for _, names in found for name in names] == []


@pytest.mark.slow
def test_musescore_keeps_every_note(tmp_path, made_up_score, shared_corpus):
    if musescore() is None:
        pytest.skip("MuseScore is not installed; apt-get install musescore3")
    made_up = [made_up_score(i, 4, meter, key) for i, (meter, key) in enumerate(
        [("2/4", "A major"), ("3/4", "C minor"), ("4/4", "F# minor"), ("6/8", "Ab major")]
    )]  # fmt: skip
    inventions = sorted(shared_corpus.rglob("*invention-0[1-4]*.mid"))
    scores = [*made_up, *(reduce_to_two_voices(read_midi(path))[0].score for path in inventions)]
    xml, midi = [], []
    for index, score in enumerate(scores):
        xml.append(tmp_path / f"x{index}.musicxml")
        midi.append(tmp_path / f"m{index}.mid")
        write_musicxml(score, xml[-1])
        write_midi(score, midi[-1])
    for paths, options in ((xml, None), (midi, AS_LONG_AS_WRITTEN)):
        back = through_musescore(paths, tmp_path / "back", options)
        assert [kept(s, p) for s, p in zip(scores, back, strict=True)] == [
            s.note_count for s in scores
        ]
