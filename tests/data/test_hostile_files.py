"""Files that once ended a batch, took hours or took all memory: left out, each with its reason."""

from __future__ import annotations

import lzma
import time
import zipfile
from pathlib import Path

import pytest

from bicinium.data.validate import validate_corpus

_TUNE = Path(__file__).parents[2] / "examples" / "minuet.musicxml"
_ABC = "X:1\nM:6/8\nL:128/256\nK:Em\nuF \\\n| E2F G2A |.B2^A B^cd | F0.5G | e2e g20000g |\n"
_NUMBERS = {
    "dynamics": ('<note dynamics="', '<note dynamics="1e400" was="'),
    "duration": ("<duration>", "<duration>1e999999999</duration><duration>"),
    "long-duration": ("<duration>", "<duration>99999999999999999999</duration><duration>"),
    "divisions": ("<divisions>24<", "<divisions>1e-99999999<"),
    "no-divisions": ("<divisions>24<", "<divisions>0<"),
    "staves": ("<staves>2<", "<staves>1000000000<"),
    "staff": ("<staff>1<", "<staff>-7<"),
    "octave": ("<octave>", "<octave>999999999</octave><octave>"),
    "beats": ("<beats>", "<beats>1000000007</beats><beats>"),
    "tempo": ("<per-minute>", "<per-minute>1e-400</per-minute><per-minute>"),
    "fifths": ("<fifths>", "<fifths>-2147483649</fifths><fifths>"),
}


def _archive(path: Path, method: int) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("score.xml", _TUNE.read_text(encoding="utf-8"))
    return bytearray(path.read_bytes())


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a folder with the files, and a good one."""
    folder = tmp_path / "music"
    folder.mkdir()
    text = _TUNE.read_text(encoding="utf-8")
    (folder / "good.musicxml").write_text(text, encoding="utf-8")
    for name, (old, new) in _NUMBERS.items():
        assert old in text, name
        odd = text.replace(old, new)
        (folder / f"{name}.musicxml").write_text(odd, encoding="utf-8")
    (folder / "slow.abc").write_text(_ABC)
    for name, method in (("lzma", zipfile.ZIP_LZMA), ("deflated", zipfile.ZIP_DEFLATED)):
        data = _archive(folder / f"{name}.mxl", method)
        for place in range(60, len(data) - 200, 50):
            data[place] ^= 0xFF
        (folder / f"{name}.mxl").write_bytes(data)
    return folder


def test_no_file_ends_a_batch_or_holds_it_up(hostile: Path) -> None:
    with pytest.raises(lzma.LZMAError), zipfile.ZipFile(hostile / "lzma.mxl") as archive:
        archive.read("score.xml")
    started = time.process_time()
    records = {Path(record.name).stem: record for record in validate_corpus(hostile, jobs=1)}
    assert time.process_time() - started < 20
    assert len(records) == len(list(hostile.iterdir()))
    assert sum(record.kept for record in records.values()) == 1  # the others are its duplicates
    for name, record in records.items():
        assert record.kept or record.reason, name
        assert "broke bicinium" not in record.reason, (name, record.reason)
    left_out = {name for name, record in records.items() if not record.kept}
    assert left_out >= {"lzma", "deflated", "duration", "divisions", "no-divisions", "staves"}
