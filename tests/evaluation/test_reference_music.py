"""Choice of pieces and excerpts for an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from bicinium.data.piece_record import PieceRecord
from bicinium.data.shards import load_pieces, subsample, write_shards
from bicinium.errors import CorpusError
from bicinium.evaluation.reference_music import (
    EXCERPT_BARS,
    choose_excerpts,
    extract_bars,
    load_evaluation_corpus,
    repertoire,
)
from bicinium.formats.midi import write_midi
from bicinium.model.config import ModelConfig
from bicinium.music.key import Key
from bicinium.music.score import Note, Score, Voice
from bicinium.tokenizer.codec import encode

Refuses = Callable[..., AbstractContextManager[None]]
Made = Callable[..., Score]


def test_validation_split_of_a_prepared_corpus_is_used(prepared: Path) -> None:
    found = load_evaluation_corpus(prepared)
    assert [piece.split for piece in found.pieces] == ["validation"] * 2
    assert len(found.pieces) + len(found.training_pieces) == len(load_pieces(prepared))
    assert found.excluded == []


def test_all_files_of_a_folder_are_used(midi_folder: Path) -> None:
    found = load_evaluation_corpus(midi_folder)
    assert len(found.pieces) == 8
    assert found.training_pieces == []
    assert {repertoire(piece) for piece in found.pieces} == {"keyboard"}


def test_corpus_with_only_excluded_styles_is_an_error(midi_folder: Path, refuses: Refuses) -> None:
    styles = {piece.style for piece in load_evaluation_corpus(midi_folder).pieces}
    with refuses(CorpusError, "only styles that the model was not trained on"):
        load_evaluation_corpus(midi_folder, sorted(styles))


def test_excluded_style_is_reported(prepared: Path, tmp_path: Path) -> None:
    one, other = (piece for piece in load_pieces(prepared) if piece.split == "validation")
    pieces = [replace(one, style="palestrina"), replace(other, style="bach")]
    trained_on = [replace(piece, split="train", name=f"{piece.name}, shown") for piece in pieces]
    write_shards(tmp_path, [*pieces, *trained_on])
    found = load_evaluation_corpus(tmp_path, ["palestrina"])
    assert [piece.style for piece in found.pieces] == ["bach"]
    assert [piece.style for piece in found.training_pieces] == ["bach"]
    assert [refused.name for refused in found.excluded] == [one.name]
    assert "palestrina" in found.excluded[0].reason


def test_unusable_files_are_reported_with_the_reason(tmp_path: Path, made_up_score: Made) -> None:
    write_midi(made_up_score(1), tmp_path / "good.mid")
    write_midi(made_up_score(1).transpose(2), tmp_path / "again.mid")
    (tmp_path / "bad.mid").write_bytes(b"no music")
    found = load_evaluation_corpus(tmp_path)
    assert sorted(piece.name for piece in found.pieces) == [
        f"{tmp_path.name}/again.mid",  # duplicates in a user's folder count, too
        f"{tmp_path.name}/good.mid",
    ]
    assert [one.name for one in found.excluded] == [f"{tmp_path.name}/bad.mid"]
    assert found.excluded[0].reason
    assert {repertoire(piece) for piece in found.pieces} == {"unknown style"}


def test_missing_music_is_an_error(tmp_path: Path, prepared: Path, refuses: Refuses) -> None:
    with refuses(CorpusError, "There is nothing at"):
        load_evaluation_corpus(tmp_path / "none")
    with refuses(CorpusError, "There are no music files below"):
        load_evaluation_corpus(tmp_path)
    (tmp_path / "bad.mid").write_bytes(b"no music")
    with refuses(CorpusError, "has no piece to evaluate on"):
        load_evaluation_corpus(tmp_path)
    trained = [piece for piece in load_pieces(prepared) if piece.split == "train"]
    (tmp_path / "trained").mkdir()
    write_shards(tmp_path / "trained", trained)
    with refuses(CorpusError, "has no validation split"):
        load_evaluation_corpus(tmp_path / "trained")


def _piece(score: Score, **about: str) -> PieceRecord:
    assert score.key is not None
    home = score.transpose(score.key.semitones_to_reference)
    fields = {"name": "x", "composer": "", "title": "", "licence": "", "credit": ""}
    fields |= {"cluster": "x", "style": "bach", "split": "validation"} | about
    return PieceRecord(
        **fields,
        meter=str(score.meter),
        mode=score.key.mode,
        transposition=-score.key.semitones_to_reference,
        bars=score.bars,
        notes=score.note_count,
        tokens=encode(home),
    )


def test_last_bars_of_a_piece_are_the_first_excerpt(
    made_up_score: Made, tiny_config: ModelConfig
) -> None:
    long = made_up_score(1, 40, "3/4", "D minor")
    first, second = choose_excerpts(
        [_piece(long)], 5, tiny_config
    )  # the third would have fewer than 16 bars
    assert {first.first_bar, second.first_bar} == {24, 8}
    last = max((first, second), key=lambda one: one.first_bar)
    assert last.score.voices == extract_bars(long, 24, 16).voices
    assert last.score.key == Key.parse("D minor")
    (only,) = choose_excerpts([_piece(long)], 1, tiny_config)
    assert only.first_bar == 24


def test_paired_piece_is_as_long_as_the_rest_of_the_real_piece(
    made_up_score: Made, tiny_config: ModelConfig
) -> None:
    found = choose_excerpts([_piece(made_up_score(1, 40, "3/4", "D minor"))], 2, tiny_config)
    for excerpt in found:
        conditions = excerpt.conditions(tiny_config)
        assert (conditions.bars, str(conditions.meter), str(conditions.key)) == (
            40 - excerpt.first_bar, "3/4", "D minor",
        )  # fmt: skip
        assert conditions.style == "bach"
        assert conditions.tempo_qpm == pytest.approx(excerpt.score.tempo_qpm)
        composed = made_up_score(2, conditions.bars, "3/4", "D minor")
        assert excerpt.matching_bars(composed).bars == excerpt.score.bars == EXCERPT_BARS


def test_short_piece_is_used_whole_and_unknown_style_is_not_requested(
    made_up_score: Made, tiny_config: ModelConfig
) -> None:
    (excerpt,) = choose_excerpts([_piece(made_up_score(3, 7), style="jazz")], 9, tiny_config)
    assert (excerpt.first_bar, excerpt.score.bars) == (0, 7)
    assert excerpt.conditions(tiny_config).style is None


def test_keyboard_music_comes_first_and_unknown_metres_are_skipped(
    made_up_score: Made, tiny_config: ModelConfig
) -> None:
    def named(name: str, style: str, meter: str = "4/4") -> PieceRecord:
        return _piece(made_up_score(4, 8, meter), name=name, style=style)

    pieces = [named(f"song {i}", "song") for i in range(6)]
    pieces += [named("fugue", "bach"), named("odd", "bach", "7/8"), named("waltz", "romantic")]
    names = [one.piece.name for one in choose_excerpts(pieces, 4, tiny_config)]
    assert names[:2] == ["fugue", "waltz"]
    assert names[2:] == ["song 0", "song 3"]  # subsample
    assert len(choose_excerpts(pieces, 100, tiny_config)) == 8


def test_sample_of_pieces_is_even(made_up_score: Made) -> None:
    pieces = [_piece(made_up_score(seed, 8), name=str(seed)) for seed in range(9)]
    tokens = sum(len(piece.tokens) for piece in pieces)
    assert [piece.name for piece in subsample(pieces, tokens // 3)] == ["0", "3", "6"]
    assert subsample(pieces, 10**9) == pieces


def test_notes_across_the_limits_of_an_excerpt_are_cut() -> None:
    held = Voice((Note(0, 60, 96 + 24), Note(120, 62, 200)))
    score = Score((held, Voice((Note(90, 48, 6),))), 4)
    found = extract_bars(score, 1, 1)
    assert found.voices == (Voice((Note(0, 60, 24), Note(24, 62, 72))), Voice())
    assert (found.bars, found.anacrusis_ticks) == (1, 0)
    late = replace(score, voices=(Voice((Note(90, 60, 6),)), Voice()), anacrusis_ticks=6)
    assert extract_bars(late, 0, 2).anacrusis_ticks == 6
