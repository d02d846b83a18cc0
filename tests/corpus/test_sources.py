"""Where music comes from, and what a manifest says about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bicinium.corpus.sources import CORPUS_VARIABLE, STYLES, SourceFile, find_sources
from bicinium.errors import CorpusError

Refuses = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of several names; what is in them does not matter here."""
    folder = tmp_path / "music"
    (folder / "deep" / "er").mkdir(parents=True)
    for name in ("b.mid", "a.MIDI", "deep/c.midi", "deep/er/d.mid", "read.me", "e.midi.txt"):
        (folder / name).write_bytes(b"")
    return folder


def _manifest(folder: Path, text: str, name: str = "manifest.csv") -> dict[str, SourceFile]:
    (folder / name).write_text(text, encoding="utf-8")
    return {source.path.name: source for source in find_sources([folder])}


def test_all_midi_files_below_a_folder_are_found_in_a_fixed_order(folder: Path) -> None:
    names = [source.name for source in find_sources([folder])]
    assert names == ["music/a.MIDI", "music/b.mid", "music/deep/c.midi", "music/deep/er/d.mid"]


def test_without_a_manifest_a_file_stands_for_itself(folder: Path) -> None:
    for source in find_sources([folder]):
        assert source.cluster == source.name
        assert (source.composer, source.licence, source.style) == ("", "", "")


def test_a_manifest_says_who_what_and_under_which_licence(folder: Path) -> None:
    found = _manifest(
        folder,
        "path,composer,title,licence,maintainer,cluster\n"
        "deep/c.midi,J. S. Bach,Fuge für Übende,CC0,Ada,WTC\n",
    )
    assert found["c.midi"] == SourceFile(
        path=folder / "deep" / "c.midi",
        name="music/deep/c.midi",
        composer="J. S. Bach",
        title="Fuge für Übende",
        licence="CC0",
        credit="Ada",
        cluster="music/WTC",
        style="bach",
    )
    assert found["b.mid"].composer == ""  # a file the manifest does not name is found all the same


def test_a_manifest_from_a_spreadsheet_is_read_with_its_mark_and_its_short_rows(
    folder: Path,
) -> None:
    found = _manifest(folder, "\ufeffpath,composer,title,licence\nb.mid,W. A. Mozart\n")
    assert (found["b.mid"].style, found["b.mid"].title, found["b.mid"].licence) == (
        "classical", "", "",
    )  # fmt: skip


def test_clusters_may_stand_in_the_analysis(folder: Path) -> None:
    _manifest(folder, "path,cluster\nb.mid,work 1\na.MIDI,work 1\n", "analysis.csv")
    found = _manifest(folder, "path,composer,cluster\na.MIDI,Haydn,work 2\n")
    assert found["b.mid"].cluster == "music/work 1"
    assert found["a.MIDI"].cluster == "music/work 2"  # the manifest's own word counts
    assert found["c.midi"].cluster == "music/deep/c.midi"


@pytest.mark.parametrize(
    ("composer", "style"),
    [
        ("J. S. Bach", "bach"),
        ("C. P. E. Bach", "bach"),
        ("G. F. Handel", "baroque"),
        ("W. A. Mozart", "classical"),
        ("C. Czerny", "study"),
        ("F. Chopin", "romantic"),
        ("", ""),
        (" ", ""),
    ],
)
def test_the_style_follows_from_the_composer(folder: Path, composer: str, style: str) -> None:
    found = _manifest(folder, f"path,composer\nb.mid,{composer}\n")
    assert found["b.mid"].style == style
    assert style in ("", *STYLES)


@pytest.mark.parametrize(
    ("pair", "style"),
    [("song-bass", "song"), ("violin1-cello", "quartet"), ("piano", "accompaniment")],
)
def test_pairs_of_voices_have_styles_of_their_own(folder: Path, pair: str, style: str) -> None:
    found = _manifest(folder, f"path,composer,pair\nb.mid,J. S. Bach,{pair}\n")
    assert found["b.mid"].style == style


def test_the_folders_may_stand_in_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.mid").write_bytes(b"")
    monkeypatch.setenv(CORPUS_VARIABLE, os.pathsep.join([str(folder), str(other)]))
    assert [source.name for source in find_sources([])][-1] == "other/x.mid"
    assert [source.name for source in find_sources([other])] == ["other/x.mid"]  # the call wins


@pytest.mark.parametrize("value", [None, "", os.pathsep])
def test_no_corpus_at_all_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, refuses: Refuses, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(CORPUS_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(CORPUS_VARIABLE, value)
    with refuses(CorpusError, f"name a folder of MIDI files, or set {CORPUS_VARIABLE}"):
        list(find_sources([]))


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(CorpusError, "there is no corpus at .*nowhere"):
        list(find_sources([tmp_path / "nowhere"]))


def test_a_folder_without_music_is_one_sentence(tmp_path: Path, refuses: Refuses) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("no music")
    with refuses(CorpusError, "there are no MIDI files below .*letters"):
        list(find_sources([tmp_path / "letters"]))


@pytest.mark.parametrize(
    "content", [b"file,composer\nb.mid,Bach\n", b"path,composer\nb.mid,\xff\xfe\n"], ids=repr
)
def test_a_manifest_that_cannot_be_used_is_one_sentence(
    folder: Path, refuses: Refuses, content: bytes
) -> None:
    (folder / "manifest.csv").write_bytes(content)
    with refuses(CorpusError, "manifest.csv cannot be read"):
        list(find_sources([folder]))
