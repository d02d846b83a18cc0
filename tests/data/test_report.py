"""The report is one page that needs nothing else and leaves no file out."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bicinium.data.piece_record import PieceRecord, RejectReason, pitches_and_durations, score_of
from bicinium.data.prepare import prepare
from bicinium.data.report import corpus_report
from bicinium.data.shards import load_pieces
from bicinium.data.sources import find_sources
from bicinium.errors import CorpusError
from bicinium.formats.midi import write_midi
from bicinium.music.score import Score

Refuses = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def folder(midi_folder: Path, made_up_score: Callable[..., Score], tmp_path: Path) -> Path:
    """A prepared corpus with three files left out. The name of one must be escaped in HTML."""
    odd = tmp_path / "odd"
    odd.mkdir()
    write_midi(made_up_score(9, 2), odd / "short.mid")
    (odd / "<script>alert(1)<!--.mid").write_text("no music")
    (odd / "empty.mid").write_bytes(b"")
    prepare(find_sources([midi_folder, odd]), tmp_path / "prepared", jobs=1)
    return tmp_path / "prepared"


class _Page(HTMLParser):
    """The text of a page, its tags, and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.loads = "", [], []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_file_left_out_stands_there_with_its_reason(folder: Path) -> None:
    page = _Page(corpus_report(folder))
    assert page.loads == []
    assert "script" not in page.tags
    assert re.search(r"odd/<script>alert\(1\)<!--\.mid.*does not begin with MThd", page.text)
    assert re.search(r"odd/short\.midtoo short: \d+ notes in 2 bars", page.text)
    assert "odd/empty.mid" in page.text
    assert "8 pieces of 11" in page.text


def test_worst_and_best_pieces_are_drawn_and_licences_credited(folder: Path) -> None:
    page = _Page(corpus_report(folder))
    assert page.tags.count("svg") == 10
    pieces = sorted(load_pieces(folder), key=lambda piece: (piece.quality_score, piece.name))
    worst, best = page.text.split("Best pieces")
    assert [piece.name in worst for piece in pieces[:5]] == [True] * 5
    assert [piece.name in best for piece in pieces[-5:]] == [True] * 5
    assert "Public Domain: 8 pieces" in page.text
    assert "nobody (8)" in page.text


def test_notes_are_counted_as_they_sound(folder: Path) -> None:
    for piece in load_pieces(folder):
        pitch, duration = pitches_and_durations(piece)
        notes = [note for voice in score_of(piece).voices for note in voice.notes]
        assert sorted(pitch.tolist()) == sorted(note.pitch for note in notes)
        assert sorted(duration.tolist()) == sorted(note.duration_ticks for note in notes)
        assert np.all(duration > 0)


def test_what_is_no_prepared_corpus_is_one_sentence(
    folder: Path, tmp_path: Path, refuses: Refuses
) -> None:
    with refuses(CorpusError, "There is no prepared corpus at"):
        corpus_report(tmp_path / "nowhere")
    (folder / "manifest.csv").unlink()
    with refuses(CorpusError, "manifest.csv cannot be read. Run 'bicinium corpus prepare' again"):
        corpus_report(folder)


def test_an_unreadable_file_is_counted_by_its_reason_and_not_by_its_name(
    midi_folder: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "too short.mid").write_text("no music")
    records: list[PieceRecord] = []
    sources = find_sources([midi_folder, odd])
    prepare(sources, tmp_path / "prepared", jobs=1, on_record=records.append)
    assert records[-1].rejection.reason is RejectReason.UNREADABLE
    page = _Page(corpus_report(tmp_path / "prepared"))
    assert "cannot be read" in page.text
    assert "too short.mid" in page.text
    assert not re.search(r"kept\s*too short", page.text)


def test_a_manifest_from_before_the_column_of_reasons_gives_the_same_page(folder: Path) -> None:
    page = corpus_report(folder)
    path = folder / "manifest.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["reject_reason"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert corpus_report(folder) == page
