"""A folder of MIDI files becomes a training set, and every file is accounted for."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from bicinium.data import import_piece, import_sources
from bicinium.data.import_piece import at_home
from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.prepare import MANIFEST_NAME, SUMMARY_NAME, CorpusSummary, prepare
from bicinium.data.shards import load_pieces, write_shards
from bicinium.data.source_file import SourceFile
from bicinium.data.sources import find_sources
from bicinium.data.split import split_of
from bicinium.errors import CorpusError, FolderInUseError
from bicinium.formats.midi import write_midi
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.content import Content
from bicinium.music.key import ALL_KEYS, Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.tokenizer.codec import decode, snap

Refuses = Callable[..., AbstractContextManager[None]]
MakeScore = Callable[..., Score]


def _records(
    sources: Iterable[SourceFile], out: Path, min_grammar_score: float = 1.0, **options: Any
) -> list[PieceRecord]:
    """Prepare a training set and return the record of every piece."""
    records: list[PieceRecord] = []
    prepare(sources, out, min_grammar_score, on_record=records.append, **options)
    return records


def _report(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / MANIFEST_NAME).open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


# ------------------------------------------------------------------ sides


def test_the_side_of_a_cluster_hangs_on_its_name_alone() -> None:
    names = [f"work {index}" for index in range(2000)]
    sides = [split_of(name) for name in names]
    assert [split_of(name) for name in reversed(names)] == sides[::-1]
    assert set(sides) == {"train", "validation"}
    assert 0.04 < sides.count("validation") / len(sides) < 0.08


def test_sides_stay_as_they_were_from_version_to_version() -> None:
    """Were these to move, music that old weights were trained on would be validated."""
    assert [index for index in range(100) if split_of(f"work {index}") == "validation"] == [
        36,
        41,
        50,
        53,
        73,
        78,
        96,
        98,
    ]


def test_pieces_of_one_cluster_are_on_one_side(made_up_score: MakeScore, tmp_path: Path) -> None:
    """Four works of two movements each; by their names two works are held out."""
    clusters = [f"work {n}" for n in range(200)]
    held_out = [c for c in clusters if split_of(f"music/{c}") == "validation"][:2]
    trained = [c for c in clusters if split_of(f"music/{c}") == "train"][:2]
    folder = tmp_path / "music"
    folder.mkdir()
    rows = ["path,cluster"]
    for index, cluster in enumerate((held_out + trained) * 2):
        write_midi(made_up_score(index, 4), folder / f"{index}.mid")
        rows.append(f"{index}.mid,{cluster}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    prepare(find_sources([folder]), tmp_path / "out", jobs=1)
    pieces = load_pieces(tmp_path / "out")
    assert [piece.split for piece in pieces] == (["validation"] * 2 + ["train"] * 2) * 2
    assert [piece.cluster for piece in pieces[:2]] == [f"music/{c}" for c in held_out]


def test_no_processes_are_refused(midi_folder: Path, tmp_path: Path, refuses: Refuses) -> None:
    with refuses(CorpusError, r"--jobs must be at least 1, or -1 .* \(got 0\)\."):
        prepare(find_sources([midi_folder]), tmp_path, jobs=0)


# ------------------------------------------------------------------ what is written


def test_the_training_set_comes_back_as_it_was_written(midi_folder: Path, tmp_path: Path) -> None:
    prepare(find_sources([midi_folder]), tmp_path, jobs=1)
    written = load_pieces(tmp_path)
    write_shards(tmp_path, written)
    read = load_pieces(tmp_path)
    assert len(read) == len(written) == 8
    for one, other in zip(written, read, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        assert other.tokens.dtype == np.int16
        for name in (field.name for field in fields(PieceRecord)):
            if name != "tokens":
                assert getattr(one, name) == getattr(other, name)
                assert type(getattr(one, name)) is type(getattr(other, name))


def test_pieces_are_the_music_of_the_files_in_c_major_or_a_minor(
    prepared: Path, made_up_score: MakeScore
) -> None:
    for index, piece in enumerate(load_pieces(prepared)):
        meter, key = (("4/4", "G major"), ("3/4", "D minor"))[index % 2]
        source = snap(made_up_score(index, 8, meter, key))
        assert piece.name == f"music/piece-{index}.mid"
        assert (piece.meter, piece.bars, piece.notes) == (meter, 8, source.note_count)
        home = decode(piece.tokens, Meter.parse(meter))
        assert home.transpose(piece.transposition).voices == source.voices
        assert home.tempo_qpm == source.tempo_qpm
        assert piece.mode in ("major", "minor")
        result = MusicalGrammarValidator().validate_sequence(
            piece.tokens, Meter.parse(meter), piece.bars
        )
        assert result.valid


def test_the_same_input_gives_the_same_bytes_however_many_processes_work(
    midi_folder: Path, tmp_path: Path
) -> None:
    for name, jobs in (("one", 1), ("again", 1), ("two", 2)):
        prepare(find_sources([midi_folder]), tmp_path / name, jobs=jobs)
    results = ("pieces-000.parquet", MANIFEST_NAME, SUMMARY_NAME)
    for name in results:
        first = (tmp_path / "one" / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first
        assert (tmp_path / "two" / name).read_bytes() == first
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        ".lock",
        *sorted((MANIFEST_NAME, SUMMARY_NAME)),
        "pieces-000.parquet",
        "readings.sqlite",
    ]


def test_a_file_that_breaks_or_delays_the_import_is_left_out(
    midi_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = import_piece.reduce_to_two_voices
    calls = iter(range(100))

    def odd(content: Content) -> object:
        call = next(calls)
        if call == 0:
            raise ZeroDivisionError("a fault")
        while call == 4:
            pass  # until the limit of time
        return original(content)

    monkeypatch.setattr(import_piece, "reduce_to_two_voices", odd)
    monkeypatch.setattr(import_piece, "MAX_SECONDS", 0.5)
    records = _records(find_sources([midi_folder]), tmp_path, jobs=1)
    assert [record.reason for record in records if not record.kept] == [
        "It broke bicinium (ZeroDivisionError: a fault). Please report it.",
        "it takes over 0.5 seconds",
    ]


def test_a_second_writer_is_refused(midi_folder: Path, tmp_path: Path, refuses: Refuses) -> None:
    def again(record: PieceRecord) -> None:
        with refuses(FolderInUseError, rf"is in use by process {os.getpid()} on \S+\. Wait"):
            prepare(find_sources([midi_folder]), tmp_path, jobs=1)

    prepare(find_sources([midi_folder]), tmp_path, jobs=1, on_record=again)
    assert len(load_pieces(tmp_path)) == 8


def test_a_failure_to_write_leaves_the_last_corpus(
    midi_folder: Path, tmp_path: Path, refuses: Refuses
) -> None:
    prepare(find_sources([midi_folder / "piece-2.mid"]), tmp_path, jobs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("[mp]*")}

    def full(record: PieceRecord) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "manifest.csv")

    with refuses(CorpusError, "manifest.csv cannot be written: No space left on device. What was"):
        prepare(find_sources([midi_folder]), tmp_path, jobs=1, on_record=full)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("[mp]*")} == before


def test_what_a_killed_process_left_is_deleted(midi_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shards-x.part").mkdir()
    (tmp_path / "shards-x.part" / "pieces-000.parquet").touch()
    (tmp_path / "manifest.csv.1.part").touch()
    prepare(find_sources([midi_folder]), tmp_path, jobs=1)
    assert not list(tmp_path.glob("*.part"))


def test_preparing_anew_replaces_what_was_there(midi_folder: Path, tmp_path: Path) -> None:
    prepare(find_sources([midi_folder]), tmp_path, jobs=1)
    prepare(find_sources([midi_folder / "piece-2.mid"]), tmp_path, jobs=1)
    assert [piece.name for piece in load_pieces(tmp_path)] == ["music/piece-2.mid"]
    assert list(_report(tmp_path)) == ["music/piece-2.mid"]


# ------------------------------------------------------------------ what is left out, and why


@pytest.fixture
def mixed(made_up_score: MakeScore, tmp_path: Path) -> Path:
    """One good file among bad ones."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    good = made_up_score(1, 8)
    write_midi(good, folder / "good.mid")
    write_midi(made_up_score(2, 3), folder / "short.mid")
    lower = Voice(good.voices[1].notes[:1])
    write_midi(Score((good.voices[0], lower), 8), folder / "one-hand.mid")
    long = made_up_score(3, 16)
    busy = Voice(tuple(n for n in long.voices[1].notes if n.onset_tick >= 11 * 96))
    held = Voice((Note(0, 40, 1000), *busy.notes))  # longer than ten bars
    write_midi(Score((long.voices[0], held), 16), folder / "held.mid")
    (folder / "text.mid").write_text("not MIDI at all")
    (folder / "empty.mid").write_bytes(b"")
    (folder / "notes.txt").write_text("this is no music and not looked at")
    return folder


def test_every_file_is_kept_or_left_out_with_its_reason(mixed: Path, tmp_path: Path) -> None:
    records = _records(find_sources([mixed]), tmp_path / "out", jobs=1)
    reasons = {record.name: record.reason for record in records if not record.kept}
    assert [record.name for record in records if record.kept] == ["mixed/good.mid"]
    assert set(reasons) == {
        f"mixed/{name}.mid" for name in ("short", "one-hand", "held", "text", "empty")
    }
    assert "too short: " in reasons["mixed/short.mid"]
    assert "in 3 bars" in reasons["mixed/short.mid"]
    assert "lower voice begins a note in only 1 of 8 bars" in reasons["mixed/one-hand.mid"]
    assert "960 ticks" in reasons["mixed/held.mid"]  # the grammar's own sentence
    assert "MThd" in reasons["mixed/text.mid"]
    assert reasons["mixed/empty.mid"]
    assert [piece.name for piece in load_pieces(tmp_path / "out")] == ["mixed/good.mid"]


def test_the_report_says_of_every_file_what_became_of_it(mixed: Path, tmp_path: Path) -> None:
    records = _records(find_sources([mixed]), tmp_path / "out", jobs=1)
    report = _report(tmp_path / "out")
    assert list(report) == [record.name for record in records]
    for record in records:
        row = report[record.name]
        assert row["kept"] == str(record.kept)
        assert row["reason"] == record.reason
        assert int(row["notes"]) == record.notes
        assert bool(row["reason"]) != record.kept


def test_a_lower_grammar_score_may_be_let_in(mixed: Path, tmp_path: Path) -> None:
    records = _records(find_sources([mixed]), tmp_path / "out", min_grammar_score=0.5, jobs=1)
    kept = {record.name for record in records if record.kept}
    assert kept == {"mixed/good.mid", "mixed/held.mid"}


def test_nothing_left_is_an_error_that_names_the_reasons(
    tmp_path: Path, made_up_score: MakeScore
) -> None:
    (tmp_path / "music").mkdir()
    write_midi(made_up_score(0, 2), tmp_path / "music" / "short.mid")
    with pytest.raises(CorpusError, match="No piece of 1 files could be kept: too short"):
        prepare(find_sources([tmp_path / "music"]), tmp_path / "out", jobs=1)
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_files_of_one_name_in_two_folders_are_judged_each_by_itself(
    mixed: Path, made_up_score: MakeScore, tmp_path: Path
) -> None:
    """The bad one must not be kept for its namesake's sake, in either order."""
    good = tmp_path / "good" / "music"
    bad = tmp_path / "bad" / "music"
    good.mkdir(parents=True)
    bad.mkdir(parents=True)
    (good / "a.mid").write_bytes((mixed / "good.mid").read_bytes())
    (bad / "a.mid").write_bytes((mixed / "held.mid").read_bytes())
    for index, folders in enumerate(([good, bad], [bad, good])):
        records = _records(find_sources(folders), tmp_path / f"out{index}", jobs=1)
        assert [record.kept for record in records] == [folder == good for folder in folders]


def test_the_share_of_dropped_notes_counts_kept_pieces_only(tmp_path: Path) -> None:
    """Chords of three in the right hand: one of them stays."""
    folder = tmp_path / "chords"
    folder.mkdir()
    _write_chords(folder / "chords.mid")
    records = _records(find_sources([folder]), tmp_path / "out", jobs=1)
    (record,) = records
    assert (record.kept, record.notes, record.notes_dropped) == (True, 32, 32)
    summary = CorpusSummary()
    assert summary.dropped_share == 0
    summary.add(record)
    assert summary.dropped_share == 0.5


def _write_chords(path: Path) -> None:
    """16 chords of three above 16 bass notes, a quarter each."""
    midi = mido.MidiFile(type=1, ticks_per_beat=24)
    for name, pitches in (("right", (60, 64, 67)), ("left", (40,))):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        for _ in range(16):
            for kind, time in (("note_on", 0), ("note_off", 24)):
                for index, pitch in enumerate(pitches):
                    track.append(
                        mido.Message(kind, note=pitch, velocity=80, time=0 if index else time)
                    )
        midi.tracks.append(track)
    midi.save(path)


def test_music_off_the_grid_is_left_out(tmp_path: Path) -> None:
    midi = mido.MidiFile(type=1, ticks_per_beat=480)
    for name, pitch in (("right", 72), ("left", 48)):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        for index in range(40):
            track.append(mido.Message("note_on", note=pitch, velocity=80, time=7))
            track.append(mido.Message("note_off", note=pitch, velocity=0, time=433 + index % 3))
        midi.tracks.append(track)
    (tmp_path / "music").mkdir()
    midi.save(tmp_path / "music" / "played.mid")
    with pytest.raises(CorpusError, match="of 80 notes are off the grid"):
        prepare(find_sources([tmp_path / "music"]), tmp_path / "out", jobs=1)


def test_a_piece_that_changes_its_metre_becomes_two(
    made_up_score: MakeScore, tmp_path: Path
) -> None:
    path = tmp_path / "music" / "two.mid"
    path.parent.mkdir()
    write_midi(made_up_score(0, 12, "4/4"), path)
    midi = mido.MidiFile(path)
    change = mido.MetaMessage("time_signature", numerator=3, denominator=4)
    conductor = midi.tracks[0]
    before_end = sum(message.time for message in conductor[:-1])
    conductor.insert(-1, change.copy(time=6 * 96 - before_end))
    conductor[-1].time = 6 * 96
    midi.save(path)
    prepare(find_sources([path.parent]), tmp_path / "out", jobs=1)
    pieces = load_pieces(tmp_path / "out")
    assert [(p.name, p.meter, p.bars) for p in pieces] == [
        ("music/two.mid#1", "4/4", 6),
        ("music/two.mid#2", "3/4", 8),
    ]
    assert len({piece.split for piece in pieces}) == 1


# ------------------------------------------------------------------ choosing


def test_what_scores_too_low_is_left_out_with_its_score(midi_folder: Path, tmp_path: Path) -> None:
    """The made-up music is a random walk; some of it is worse than the rest."""
    everything = _records(find_sources([midi_folder]), tmp_path, jobs=1)
    scores = {v.name: v.quality_score for v in everything}
    limit = sorted(scores.values())[4]
    some = _records(find_sources([midi_folder]), tmp_path, jobs=1, min_quality_score=limit)
    for record in some:
        assert record.kept == (scores[record.name] >= limit)
        assert record.kept or record.reason.startswith("quality_score ")
    kept = {piece.name: piece for piece in load_pieces(tmp_path)}
    assert set(kept) == {name for name, score in scores.items() if score >= limit}
    assert all(kept[name].quality_score == scores[name] for name in kept)


def test_the_same_piece_twice_is_kept_once_and_its_works_are_on_one_side(
    made_up_score: MakeScore, tmp_path: Path
) -> None:
    """The first piece occurs again in a held-out work, in another key and at another tempo."""
    folder = tmp_path / "music"
    again = replace(made_up_score(0, 12).transpose(3), tempo_qpm=60.0)
    _write_works(folder, [made_up_score(index, 12) for index in range(8)], [], again)
    records = _records(find_sources([folder]), tmp_path / "out", jobs=1)
    assert records[-1].reason == "duplicate of music/00.mid"
    pieces = load_pieces(tmp_path / "out")
    assert [piece.split for piece in pieces] == ["validation"] + ["train"] * 7


def test_works_that_share_pieces_by_way_of_others_are_on_one_side(
    made_up_score: MakeScore, tmp_path: Path
) -> None:
    """Each of four works repeats a piece of the one before. The held-out work repeats one of the
    last.
    """
    folder = tmp_path / "music"
    scores = [made_up_score(index, 12) for index in range(8)]
    again = [(work, scores[work - 1].transpose(2)) for work in (1, 2, 3)]
    _write_works(folder, scores, again, scores[3].transpose(3))
    records = _records(find_sources([folder]), tmp_path / "out", jobs=1)
    reasons = [f"duplicate of music/0{index}.mid" for index in range(4)]
    assert [record.reason for record in records] == [""] * 8 + reasons
    pieces = load_pieces(tmp_path / "out")
    assert [piece.split for piece in pieces] == ["validation"] * 4 + ["train"] * 4


def _write_works(
    folder: Path, works: Sequence[Score], more: Sequence[tuple[int, Score]], held_out: Score
) -> None:
    """Write a file for each work of the training side, ``more`` files of some of them, and one file
    of a work that is held out by its name.
    """
    folder.mkdir()
    names = [f"work {n}" for n in range(300)]
    held = next(name for name in names if split_of(f"music/{name}") == "validation")
    shown = [name for name in names if split_of(f"music/{name}") == "train"]
    rows = ["path,cluster"]
    files = [*zip(shown, works, strict=False), *((shown[i], score) for i, score in more)]
    for index, (cluster, score) in enumerate([*files, (held, held_out)]):
        write_midi(score, folder / f"{index:02d}.mid")
        rows.append(f"{index:02d}.mid,{cluster}")
    (folder / "manifest.csv").write_text("\n".join(rows))


def test_licence_and_credit_of_every_file_are_in_the_manifest(
    midi_folder: Path, tmp_path: Path
) -> None:
    prepare(find_sources([midi_folder]), tmp_path, jobs=1)
    for row in _report(tmp_path).values():
        assert (row["licence"], row["credit"]) == ("Public Domain", "nobody")
        assert row["composer"] in ("J. S. Bach", "F. Schubert")
        assert float(row["quality_score"]) >= 0
    summary = json.loads((tmp_path / SUMMARY_NAME).read_text())
    assert summary["kept"] == 8
    assert summary["licences"] == {"Public Domain": 8}
    shard = (tmp_path / "pieces-000.parquet").read_bytes()
    assert summary["shards"] == {"pieces-000.parquet": hashlib.sha256(shard).hexdigest()}


# ------------------------------------------------------------------ again, and interrupted


@pytest.fixture
def read_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are really read, as they are."""
    names: list[str] = []
    original = import_piece.import_file

    def spied(source: SourceFile, scratch: Path) -> list[PieceRecord]:
        names.append(source.path.name)
        return original(source, scratch)

    monkeypatch.setattr(import_piece, "import_file", spied)
    return names


def _results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "readings.sqlite"}


def test_what_has_not_changed_is_not_read_again(
    midi_folder: Path, made_up_score: MakeScore, tmp_path: Path, read_names: list[str]
) -> None:
    folder = tmp_path / "music"
    shutil.copytree(midi_folder, folder)
    prepare(find_sources([folder]), tmp_path / "out", jobs=1)
    assert len(read_names) == 8
    first = _results(tmp_path / "out")
    read_names.clear()
    prepare(find_sources([folder]), tmp_path / "out", jobs=1)
    assert read_names == []
    assert _results(tmp_path / "out") == first
    write_midi(made_up_score(77, 8), folder / "piece-3.mid")
    (folder / "piece-4.mid").unlink()
    prepare(find_sources([folder]), tmp_path / "out", jobs=1)
    assert read_names == ["piece-3.mid"]
    prepare(find_sources([folder]), tmp_path / "fresh", jobs=1)
    assert _results(tmp_path / "out") == _results(tmp_path / "fresh")


def test_an_interrupted_run_goes_on_where_it_was(
    midi_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_names: list[str]
) -> None:
    monkeypatch.setattr(import_sources, "CHUNK_FILES", 2)
    spied = import_piece.import_file

    def interrupted(source: SourceFile, scratch: Path) -> list[PieceRecord]:
        if len(read_names) == 5:
            raise KeyboardInterrupt
        return spied(source, scratch)

    with monkeypatch.context() as once:
        once.setattr(import_piece, "import_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(find_sources([midi_folder]), tmp_path / "out", jobs=1)
    assert not list((tmp_path / "out").glob("*.parquet"))
    assert len(read_names) == 5
    read_names.clear()
    prepare(find_sources([midi_folder]), tmp_path / "out", jobs=1)
    assert read_names == [f"piece-{index}.mid" for index in (4, 5, 6, 7)]
    prepare(find_sources([midi_folder]), tmp_path / "fresh", jobs=1)
    assert _results(tmp_path / "out") == _results(tmp_path / "fresh")


@pytest.mark.parametrize("sound", [0, 4096, 20_000], ids="the first {} bytes are sound".format)
def test_a_damaged_memory_is_begun_anew(midi_folder: Path, tmp_path: Path, sound: int) -> None:
    prepare(find_sources([midi_folder]), tmp_path, jobs=1)
    first = _results(tmp_path)
    memory = tmp_path / "readings.sqlite"
    data = memory.read_bytes()
    memory.write_bytes((data[:sound] + b"no database" * len(data))[: len(data)])
    prepare(find_sources([midi_folder]), tmp_path, jobs=1)
    assert _results(tmp_path) == first


def test_a_program_that_reads_otherwise_reads_all_again(
    midi_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_names: list[str]
) -> None:
    prepare(find_sources([midi_folder]), tmp_path, jobs=1)
    monkeypatch.setattr(import_sources, "code_hash", lambda: "another")
    prepare(find_sources([midi_folder]), tmp_path, jobs=1)
    assert len(read_names) == 16


def test_what_does_not_come_back_note_for_note_is_left_out(
    midi_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer loses the last note of a voice, or the codec moves a note."""
    write, spell = import_piece.write_midi, import_piece.encode

    def forgetful(score: Score, path: Path) -> None:
        upper = Voice(tuple(score.voices[0].notes)[:-1])
        write(replace(score, voices=(upper, score.voices[1])), path)

    with monkeypatch.context() as once:
        once.setattr(import_piece, "write_midi", forgetful)
        with pytest.raises(CorpusError, match="the round trip through MIDI changed it"):
            prepare(find_sources([midi_folder]), tmp_path / "one", jobs=1)
    with monkeypatch.context() as once:
        once.setattr(import_piece, "encode", lambda score: spell(score.transpose(1)))
        with pytest.raises(CorpusError, match="the round trip through tokens changed it"):
            prepare(find_sources([midi_folder]), tmp_path / "two", jobs=1)


# ------------------------------------------------------------------ notation


def test_notation_and_midi_of_the_same_music_are_the_same_piece(
    made_up_score: MakeScore, tmp_path: Path
) -> None:
    music21 = pytest.importorskip("music21")
    folder = tmp_path / "music"
    folder.mkdir()
    score = made_up_score(4, 8)
    write_midi(score, folder / "piece.mid")
    music21.converter.parse(folder / "piece.mid").write("musicxml", folder / "piece.musicxml")
    records = _records(find_sources([folder]), tmp_path / "out", jobs=1)
    assert [record.kept for record in records] == [True, False]
    assert records[1].reason == "duplicate of music/piece.mid"
    one, other = records
    assert (one.notes, one.bars, one.meter) == (other.notes, other.bars, other.meter)


def test_what_a_file_says_of_its_licence_stands_beside_what_its_source_says(
    tmp_path: Path,
) -> None:
    (corelli,) = (s for s in find_sources(["music21"]) if s.style == "corelli")
    prepare([corelli], tmp_path, jobs=1)
    (piece,) = load_pieces(tmp_path)
    assert piece.licence.startswith("as distributed with music21")
    assert "Creative Commons License (CC-BY)" in piece.licence


def test_pairs_of_voices_are_taken_from_a_score_of_many(tmp_path: Path) -> None:
    sources = [s for s in find_sources(["music21"]) if "Agnus_00" in s.name or "bwv269" in s.name]
    records = _records(sources, tmp_path, jobs=1)
    assert [(v.name, v.kept) for v in records] == [
        ("music21/bach/bwv269.mxl-outer", True),
        ("music21/palestrina/Agnus_00.krn-outer", True),
        ("music21/palestrina/Agnus_00.krn-inner", True),
    ]
    chorale, outer, inner = load_pieces(tmp_path)
    assert chorale.licence == "as distributed with music21 (corpus/license.txt)"
    assert outer.licence.count("John Miller") == 1
    assert chorale.style == "chorale"
    assert (outer.style, outer.meter, outer.title) == ("palestrina", "4/2", "Agnus")
    assert outer.cluster == inner.cluster
    highest = [max(n.pitch for n in score_of(p).voices[0].notes) for p in (outer, inner)]
    assert highest[0] > highest[1]


# ------------------------------------------------------------------ home


@pytest.mark.parametrize("key", ALL_KEYS, ids=str)
def test_home_is_c_major_or_a_minor_and_the_way_leads_back(
    made_up_score: MakeScore, key: Key
) -> None:
    score = made_up_score(3, 4, "4/4", str(key))
    home, back = at_home(score)
    assert str(home.key) in ("C major", "A minor")
    assert home.transpose(back) == score
    assert abs(back) <= 6


def test_where_the_near_way_leaves_the_piano_the_octave_is_taken() -> None:
    """G major is five semitones below C, but C8 cannot rise."""
    high = Score((Voice((Note(0, 108, 24),)), Voice((Note(0, 60, 24),))), 1, key=Key(7, "major"))
    home, back = at_home(high)
    assert (home.voices[0].notes[0].pitch, back) == (101, 7)
    assert home.transpose(back) == high


def test_real_music_is_kept(shared_corpus: Path, tmp_path: Path) -> None:
    """Six inventions: all kept, hardly a note lost, and valid."""
    sources = [
        s for s in find_sources([shared_corpus]) if "Invent" in s.title or "invent" in s.name
    ]
    assert len(sources) >= 6
    summary = prepare(sources[:6], tmp_path, jobs=1)
    assert summary.kept == summary.outcomes.total() == 6
    assert summary.dropped_share < 0.01
    pieces = load_pieces(tmp_path)
    assert {piece.style for piece in pieces} == {"bach"}
    assert all(piece.licence and piece.credit for piece in pieces)
    assert min(piece.notes for piece in pieces) > 300


def test_a_file_alone_is_what_the_manifest_beside_it_says(midi_folder: Path) -> None:
    (alone,) = find_sources([midi_folder / "piece-1.mid"])
    assert alone == next(s for s in find_sources([midi_folder]) if s.path == alone.path)
    assert alone.composer == "J. S. Bach"
