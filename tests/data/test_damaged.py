"""Damaged files: no crash, no hang, little memory, and of every one a reason."""

from __future__ import annotations

import csv
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mido
import pytest

from bicinium.formats.midi import write_midi
from bicinium.music.score import Score

MakeScore = Callable[..., Score]
_HEADER = b"MThd\x00\x00\x00\x06"


def _truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 40)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _wrong_header(data: bytes, rng: random.Random) -> bytes:
    """Another format, number of tracks, division or length of the header."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        changed[rng.randrange(4, 22)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def _stretched(data: bytes, rng: random.Random) -> bytes:
    """Somewhere in the first track's events, the longest wait that MIDI can write."""
    place = rng.randrange(22, len(data))
    return data[:place] + b"\xff\xff\xff\x7f" * rng.randrange(1, 5) + data[place + 1 :]


def _spliced(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + rng.randbytes(rng.randrange(60)) + data[place + rng.randrange(60) :]


_WAYS = (_truncated, _flipped, _wrong_header, _stretched, _spliced)


def _track(events: bytes) -> bytes:
    events += b"\x00\xff\x2f\x00"
    return b"MTrk" + len(events).to_bytes(4, "big") + events


def _odd_files(folder: Path, good: bytes, many: int) -> None:
    """Return files that only look like MIDI files, and MIDI files that are far too large."""
    (folder / "text.mid").write_text("Dear Anna Magdalena,\n" * 50)
    (folder / "empty.mid").write_bytes(b"")
    (folder / "header only.mid").write_bytes(good[:14])
    (folder / "folder.mid").mkdir()
    (folder / "dangling.mid").symlink_to(folder / "nowhere")
    notes = b"".join(b"\x0c\x90\x3c\x50\x0c\x80\x3c\x00" for _ in range(64))
    one_track = _HEADER + b"\x00\x00\x00\x01\x00\x18"
    tempi = b"".join(b"\x01\xff\x51\x03" + (500_000 + i).to_bytes(3, "big") for i in range(many))
    (folder / "tempi.mid").write_bytes(one_track + _track(tempi + notes))
    meters = b"\x01\xff\x58\x04\x03\x02\x18\x08\x01\xff\x58\x04\x04\x02\x18\x08" * (many // 2)
    (folder / "meters.mid").write_bytes(one_track + _track(meters + notes))
    (folder / "notes.mid").write_bytes(one_track + _track(notes * (many // 64)))
    waits = b"\xff\xff\xff\x7f\x90\x3c\x50\xff\xff\xff\x7f\x80\x3c\x00" * 64
    (folder / "long.mid").write_bytes(one_track + _track(waits))
    (folder / "closed.mid").write_bytes(good)
    (folder / "closed.mid").chmod(0)


# Resource usage would be that of the greatest process that has run here, or of this one.
_PROGRAM = """
import atexit, pathlib, re, sys
status, peak = pathlib.Path("/proc/self/status"), pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: peak.write_text(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1]))
from bicinium.cli.main import main
main()
"""


def _prepare(folder: Path, out: Path, seconds: float) -> tuple[dict[str, dict[str, str]], int]:
    """Prepare the folder in a separate process.

    Return the rows of the manifest by name, and the peak memory in bytes.
    """
    kilobytes = out.with_name("peak")
    command = [sys.executable, "-c", _PROGRAM, str(kilobytes), "corpus", "prepare", str(folder)]
    started = time.monotonic()
    ran = subprocess.run(
        [*command, "--out", str(out), "--jobs", "1", "--min-quality-score", "0"],
        capture_output=True, text=True, timeout=4 * seconds,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert time.monotonic() - started < seconds
    peak = int(kilobytes.read_text()) * 1024
    assert peak < 1_000_000_000, f"{peak:,} bytes"
    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}, peak


def _judge(rows: dict[str, dict[str, str]], folder: Path) -> int:
    """Check that every file has a row, with a reason if it was left out. Return how many were."""
    files = {re.sub(r"#\d+$", "", name) for name in rows}
    assert files == {f"{folder.name}/{path.name}" for path in folder.iterdir()}
    for name, row in rows.items():
        assert (row["kept"] == "True") == (row["reason"] == ""), name
        assert "\n" not in row["reason"]
    return sum(row["kept"] != "True" for row in rows.values())


def _reasons(rows: dict[str, dict[str, str]], folder: Path) -> None:
    def reason(name: str) -> str:
        return rows[f"{folder.name}/{name}.mid"]["reason"]

    assert "does not begin with MThd" in reason("text")
    assert "does not begin with MThd" in reason("empty")
    assert reason("header only")
    assert "Is a directory" in reason("folder")
    assert "No such file" in reason("dangling")
    assert "its last note ends after" in reason("long")
    try:
        (folder / "closed.mid").read_bytes()
    except PermissionError:  # not so where the tests are run by root
        assert "Permission denied" in reason("closed")


def test_damaged_files_are_left_out_with_their_reasons(
    made_up_score: MakeScore, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    rng = random.Random(1)
    write_midi(made_up_score(0, 12), tmp_path / "good.mid")
    good = (tmp_path / "good.mid").read_bytes()
    for index in range(150):
        (folder / f"{index}.mid").write_bytes(_WAYS[index % len(_WAYS)](good, rng))
    _odd_files(folder, good, 20_000)
    (folder / "good.mid").write_bytes(good)
    rows, _ = _prepare(folder, tmp_path / "out", seconds=60)
    assert _judge(rows, folder) > 100
    _reasons(rows, folder)


@pytest.mark.slow
def test_two_thousand_damaged_files(tmp_path: Path, shared_corpus: Path) -> None:
    """Of real pieces. A million tempo changes, metres and notes among them."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    rng = random.Random(2)
    pieces = [path.read_bytes() for path in sorted(shared_corpus.rglob("*.mid"))]
    for index in range(1990):
        data = _WAYS[index % len(_WAYS)](rng.choice(pieces), rng)
        (folder / f"{index:04d}.mid").write_bytes(data)
    _odd_files(folder, pieces[0], 1_000_000)
    rows, peak = _prepare(folder, tmp_path / "out", seconds=300)
    left_out = _judge(rows, folder)
    _reasons(rows, folder)
    print(f"\n{len(list(folder.iterdir()))} damaged files: {left_out} of {len(rows)} left out, "
          f"peak {peak / 2**20:.0f} MB")  # fmt: skip
    assert len(list(folder.iterdir())) == 2000


def test_what_mido_wrote_with_odd_meters_is_refused_with_the_metre(tmp_path: Path) -> None:
    midi = mido.MidiFile(type=1, ticks_per_beat=24)
    odd = mido.MetaMessage("time_signature", numerator=77, denominator=4)
    track = mido.MidiTrack([odd])
    for _ in range(30):
        track.append(mido.Message("note_on", note=60, velocity=80, time=0))
        track.append(mido.Message("note_off", note=60, velocity=0, time=24))
    midi.tracks.append(track)
    (tmp_path / "damaged").mkdir()
    midi.save(tmp_path / "damaged" / "odd.mid")
    from bicinium.data.validate import validate_corpus

    (row,) = validate_corpus(tmp_path / "damaged", jobs=1)
    assert not row.kept
    assert "77/4 is not a metre" in row.reason
