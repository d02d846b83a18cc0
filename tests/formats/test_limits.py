"""Files that ask for too much, or that break a reader, are refused in a sentence."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bicinium.data.import_piece import import_file
from bicinium.data.source_file import SourceFile
from bicinium.errors import NotationFileError, ReaderFaultError, ScoreError
from bicinium.formats.registry import READERS, read_music
from bicinium.music.content import Content

Refuses = Callable[..., AbstractContextManager[None]]

_ABC = "X:1\nM:4/4\nL:1/4\nK:C\n"
_MEI = (
    "<mei><music><body><mdiv><score><scoreDef><staffGrp><staffDef n='1'/></staffGrp></scoreDef>"
    "<section><measure n='1'><staff n='1'><layer n='1'>{}</layer></staff></measure></section>"
    "</score></mdiv></body></music></mei>"
)
_NOTE = "<note pname='c' oct='4' dur='4'/>"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("slashes.abc", _ABC + "C" + "/" * 100_000 + "|", "a length has 100000 slashes"),
        ("broken.abc", _ABC + "C" + ">" * 5_000 + "D|", "a note is broken too often"),
        ("rests.abc", _ABC + "C" + "Z1000|" * 11, "more than 10000 measures"),
        ("dots.krn", "**kern\n*M4/4\n4" + "." * 9 + "c\n*-\n", "a note has 9 dots"),
        ("deep.mei", _MEI.format("<beam>" * 9_000 + _NOTE + "</beam>" * 9_000), "too deeply"),
    ],
)
def test_what_takes_hours_is_refused_at_once(
    tmp_path: Path, refuses: Refuses, name: str, text: str, problem: str
) -> None:
    (tmp_path / name).write_text(text)
    with refuses(NotationFileError if "deep" not in name else ScoreError, problem):
        read_music(tmp_path / name)


def test_a_note_on_a_staff_below_the_first_is_on_the_first(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "examples" / "tune.musicxml"
    text = source.read_text(encoding="utf-8").replace("</voice>", "</voice><staff>-4</staff>")
    (tmp_path / "odd.musicxml").write_text(text, encoding="utf-8")
    assert read_music(tmp_path / "odd.musicxml").staves == read_music(source).staves


def test_more_voices_than_a_file_may_have_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    splits = "".join("\t".join(["*^"] * 2**i) + "\n" for i in range(9))
    (tmp_path / "splits.krn").write_text(f"**kern\n{splits}*-\n")
    with refuses(NotationFileError, "more than 256 spines"):
        read_music(tmp_path / "splits.krn")


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is limited on Linux")
def test_a_file_that_asks_for_all_memory_is_refused(
    tmp_path: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file names the size of a buffer. It ends no batch, and the limit is gone afterwards."""
    resource = pytest.importorskip("resource")
    (tmp_path / "hungry.krn").write_text(str(3 * 2**30))

    def hungry(path: Path, unfold: bool) -> Content:
        return Content(bytearray(int(path.read_text())))  # type: ignore[call-arg, arg-type]

    monkeypatch.setitem(READERS, ".krn", hungry)
    before = resource.getrlimit(resource.RLIMIT_AS)
    with refuses(ScoreError, "hungry.krn takes over 2 GiB to read"):
        read_music(tmp_path / "hungry.krn")
    source = SourceFile(tmp_path / "hungry.krn", "hungry")
    (record,) = import_file(source, tmp_path / "scratch.mid")
    assert record.rejection is not None
    assert record.rejection.detail == "hungry.krn takes over 2 GiB to read."
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@pytest.mark.parametrize("element", ["<note/>", "<n a=''/>", "<n a='' b='' c='' d=''/>"])
@pytest.mark.parametrize("suffix", ["mxl", "mei"])
def test_millions_of_elements_in_a_small_file_are_refused(
    tmp_path: Path, refuses: Refuses, element: str, suffix: str
) -> None:
    """Packed they take 60 kB. Read, they took 1.2 GiB."""
    path = tmp_path / f"many.{suffix}"
    text = f"<score>{element * 3_000_000}</score>"[: 31 * 10**6]
    if suffix == "mei":
        path.write_text(text)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("score.xml", text)
    with refuses(NotationFileError, "tags and attributes; the limit is 3,000,000"):
        read_music(path)


def test_a_fault_of_a_reader_is_a_sentence(
    tmp_path: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, unfold: bool) -> Content:
        raise IndexError("a fault")

    monkeypatch.setitem(READERS, ".krn", broken)
    with refuses(
        ReaderFaultError, r"a.krn cannot be read. It broke bicinium \(IndexError: a fault"
    ):
        read_music(tmp_path / "a.krn")
