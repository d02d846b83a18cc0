"""Where music comes from, and what a manifest says about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bicinium.data.source_file import SourceFile
from bicinium.data.sources import CORPUS_VARIABLE, STYLES, find_sources
from bicinium.data.split import hash_fraction, held_out, split_of
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
        assert (source.composer, source.licence) == ("", "")


def test_without_a_manifest_the_style_is_the_name_of_a_folder_of_several_files(
    folder: Path,
) -> None:
    for name in ("Mozart/1.mid", "Mozart/2.mid", "Slow Waltz/1.mid", "Slow Waltz/2.mid", "x/y.mid"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    styles = {source.name.removeprefix("music/"): source.style for source in find_sources([folder])}
    assert styles == {
        "a.MIDI": "", "b.mid": "", "x/y.mid": "", "deep/c.midi": "deep", "deep/er/d.mid": "deep",
        "Mozart/1.mid": "classical", "Mozart/2.mid": "classical",
        "Slow Waltz/1.mid": "slow waltz", "Slow Waltz/2.mid": "slow waltz",
    }  # fmt: skip


def test_a_column_or_an_option_names_the_style(folder: Path) -> None:
    text = "path,composer,style\nb.mid,J. S. Bach,Invention\na.MIDI,J. S. Bach,unknown\n"
    found = _manifest(folder, text + "deep/c.midi,J. S. Bach,\n")
    assert found["b.mid"].style == "invention"
    assert found["a.MIDI"].style == ""
    assert found["c.midi"].style == "bach"
    assert found["d.mid"].style == ""  # The manifest does not name it.
    assert {source.style for source in find_sources([folder], "My Waltzes")} == {"my waltzes"}
    assert {source.style for source in find_sources([folder], "unknown")} == {""}


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
        ("Wieniawski, Józef", "romantic"),
        ("G. F. Händel", "baroque"),
        ("Charles-Louis Hanon", "study"),
        ("Lennon & McCartney", ""),
        ("Duke Ellington", ""),
        ("", ""),
        (" ", ""),
    ],
)
def test_the_style_follows_from_the_composer(folder: Path, composer: str, style: str) -> None:
    found = _manifest(folder, f'path,composer\nb.mid,"{composer}"\n')
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
    with refuses(CorpusError, f"No folder is given.* or set {CORPUS_VARIABLE}"):
        list(find_sources([]))


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(CorpusError, "There is no corpus at .*nowhere"):
        list(find_sources([tmp_path / "nowhere"]))


def test_a_folder_without_music_is_one_sentence(tmp_path: Path, refuses: Refuses) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("no music")
    with refuses(CorpusError, "There are no music files below .*letters"):
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


@pytest.mark.parametrize("name", ["manifest.csv", "analysis.csv"])
def test_a_row_with_a_comma_too_many_is_named(folder: Path, refuses: Refuses, name: str) -> None:
    rows = 'path,composer\nb.mid,"Bach,\nJ. S."\na.MIDI,Bach, J. S.\n'
    (folder / name).write_text(rows, encoding="utf-8")
    with refuses(CorpusError, f"{name}, line 4 has more cells than the header has columns"):
        list(find_sources([folder]))


# ------------------------------------------------------------------ which side


def test_notation_files_are_found_too(folder: Path) -> None:
    for name in ("f.krn", "g.mxl", "h.abc", "i.musicxml", "j.XML"):
        (folder / name).write_bytes(b"")
    found = {source.path.name for source in find_sources([folder])}
    assert {"f.krn", "g.mxl", "h.abc", "i.musicxml", "j.XML"} < found


def test_a_share_of_every_collection_is_held_out_by_name() -> None:
    """The share is 8 to 12 %, unless the works that are always held out are more. It never
    changes.
    """
    for seed in range(20):
        music = {f"work {seed}-{index}": 100.0 + index for index in range(60)}
        chosen = held_out(music)
        share = sum(music[cluster] for cluster in chosen) / sum(music.values())
        always = {cluster for cluster in music if split_of(cluster) == "validation"}
        assert always <= chosen
        assert 0.08 <= share <= 0.12 or chosen == always
        assert held_out(dict(reversed(music.items()))) == chosen


def test_no_single_large_work_fills_the_validation() -> None:
    music = {f"work {index}": 1.0 for index in range(50)}
    large = next(c for n in range(999) if 0.06 < hash_fraction(c := f"large {n}") < 0.07)
    music[large] = 20.0
    assert large not in held_out(music)
    assert held_out({"alone": 5.0}) == set()
    assert held_out({}) == set()


def test_a_part_of_a_collection_is_divided_as_the_whole_is(tmp_path: Path) -> None:
    """A subfolder or a single file uses the manifest of its collection, for names and sides."""
    folder = tmp_path / "music"
    (folder / "midi" / "bach").mkdir(parents=True)
    rows = ["path,composer,cluster,notes_right,notes_left"]
    for index in range(40):
        (folder / "midi" / "bach" / f"{index}.mid").write_bytes(b"")
        rows.append(f"midi/bach/{index}.mid,J. S. Bach,work {index % 20},{100 + index},50")
    (folder / "manifest.csv").write_text("\n".join(rows))
    whole = list(find_sources([folder]))
    assert {source.split for source in whole} == {"train", "validation"}
    assert list(find_sources([folder / "midi" / "bach"])) == whole
    assert list(find_sources([whole[7].path])) == [whole[7]]
    sides: dict[str, set[str]] = {}
    for source in whole:
        sides.setdefault(source.cluster, set()).add(source.split)
    assert all(len(of_one_work) == 1 for of_one_work in sides.values())


def test_a_manifest_above_that_does_not_name_the_files_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.mid").write_bytes(b"")
    (tmp_path / "manifest.csv").write_text("path,composer\nother.mid,Nobody\n")
    (source,) = find_sources([tmp_path / "mine"])
    assert (source.name, source.composer) == ("mine/a.mid", "")


# ------------------------------------------------------------------ music21's corpus


def test_the_corpus_of_music21_is_a_source_without_keyboard_and_test_works() -> None:
    found = list(find_sources(["music21"]))
    assert len(found) > 1500
    assert {source.style for source in found} <= set(STYLES)
    assert all(source.licence and source.credit and source.composer for source in found)
    assert all(source.pairs for source in found)
    names = {source.name for source in found}
    assert "music21/bach/bwv269.mxl" in names
    assert "music21/bach/bwv846.mxl" not in names
    assert not any("opus59no1" in name or "k156" in name or "opus132" in name for name in names)
    palestrina = next(s for s in found if s.name == "music21/palestrina/Agnus_00.krn")
    assert palestrina.cluster == "music21/palestrina/Missa De Beata Marie Virginis (II)"
    assert "John Miller" in palestrina.licence
