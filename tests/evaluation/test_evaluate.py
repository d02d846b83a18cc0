"""A whole evaluation of an untrained model: what it says, and that it says it in every form."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from bicinium import cli
from bicinium.errors import CheckpointError, CorpusError, RequestError
from bicinium.evaluation.evaluate import Evaluation, evaluate, longest_run
from bicinium.evaluation.html_report import page
from bicinium.evaluation.summary import as_text, table

Refuses = Callable[..., AbstractContextManager[None]]


@pytest.mark.parametrize(("tokens", "longest"), [([5], 1), ([1, 2, 2, 2, 3, 3], 3), ([7] * 9, 9)])
def test_runs_of_one_token_are_counted(tokens: list[int], longest: int) -> None:
    assert longest_run(np.array(tokens)) == longest


def test_it_predicts_writes_and_composes_and_says_so(
    evaluation: Evaluation, stages: list[str]
) -> None:
    assert stages == [
        "predicting keyboard", "writing unaided", "writing with the mask", "composing", "comparing",
    ]  # fmt: skip
    assert evaluation.prediction.pieces == 8
    assert evaluation.prediction.bits_per_token == pytest.approx(math.log2(774), abs=1)


def test_what_an_untrained_model_writes_unaided_is_not_music(evaluation: Evaluation) -> None:
    unaided, masked = evaluation.unaided, evaluation.masked
    assert unaided is not None
    assert masked is not None
    assert (unaided.pieces, masked.pieces) == (8, 8)
    assert unaided.valid == 0
    assert unaided.paired < 0.2
    assert (masked.valid, masked.paired, masked.least_grammar_score) == (1, 1, 1)
    assert masked.longest_run <= 3


def test_what_it_composes_answers_the_real_pieces(evaluation: Evaluation) -> None:
    answers = evaluation.answers
    assert answers is not None
    assert len(answers.scores) + answers.not_to_be_had == 8
    for excerpt, score in zip(answers.excerpts, answers.scores, strict=True):
        assert score.meter == excerpt.score.meter
        assert score.bars == excerpt.score.bars
        assert score.key == excerpt.score.key
        assert score.tempo_qpm == pytest.approx(excerpt.score.tempo_qpm)


def test_it_obeys_and_is_told_apart(evaluation: Evaluation) -> None:
    composed = evaluation.composed
    assert composed is not None
    assert {"bars", "meter", "key", "close", "tempo"} <= composed.adherence.keys()
    assert composed.adherence["bars"] == (1.0, None)
    assert composed.quotations is None  # a folder does not say what was trained on
    comparison = composed.comparison
    assert comparison is not None
    assert (comparison.real, comparison.composed) == (8, 8)
    assert comparison.distances[2].ratio > 2  # of durations
    if comparison.two_sample:
        assert comparison.two_sample.auc > 0.9


def test_the_json_has_what_the_design_asks_for_and_no_nan(evaluation: Evaluation) -> None:
    text = json.dumps(evaluation.as_json(), allow_nan=False)
    document = json.loads(text)
    for name in ("bits_per_note", "bits_per_token", "illegal_mass", "notes", "pieces"):
        assert document[name] == document["held_out"]["keyboard"][name]
    assert document["unconstrained"]["valid"] == 0
    assert document["composed"]["distances"]["motion"]["ratio"] > 0
    assert document["composed"]["adherence"]["bars"] == {"composed": 1.0, "real": None}


def test_the_table_names_what_is_missed(evaluation: Evaluation) -> None:
    lines = table(evaluation)
    missed = {(line.section, line.name) for line in lines if line.met is False}
    assert ("unaided (no mask, temperature 1)", "pieces valid") in missed
    assert not any(section == "the same with the mask" for section, _ in missed)
    text = as_text(lines)
    assert re.search(r"pieces valid +0\.0% +at least 95 %  MISSED\n", text)
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_page_stands_alone(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bicinium.evaluation.html_report._SHOWN", 1)
    html = page(evaluation)
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert html.count("<figure>") == 7
    shown = unescape(re.sub(r"base64,[^\"]*", "", html))
    assert "$" not in shown
    assert all(line.name in shown and line.value in shown for line in table(evaluation))


def test_without_engraving_and_sound_the_page_has_piano_rolls(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bicinium.evaluation.html_report.find_spec", lambda name: None)
    monkeypatch.setattr("bicinium.evaluation.html_report.can_sound", lambda: False)
    html = page(evaluation)
    assert html.count('<div class="roll"') == 2 * 4
    assert "<audio" not in html
    assert '<img class="score"' not in html


def test_what_would_make_the_page_large_is_left_out(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bicinium.evaluation.html_report.find_spec", lambda name: None)
    monkeypatch.setattr("bicinium.evaluation.html_report.can_sound", lambda: True)
    monkeypatch.setattr(
        "bicinium.evaluation.html_report.clip", lambda score: "data:" + "x" * 3_000_000
    )
    assert page(evaluation).count("<audio") == 2


def test_names_are_escaped(evaluation: Evaluation) -> None:
    html = page(replace(evaluation, model="<b>bold</b>", answers=None))
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold" in html


def test_with_no_pieces_it_only_predicts(tiny_model: Path, prepared: Path) -> None:
    found = evaluate(tiny_model, prepared, 0)
    assert found.unaided is None
    assert found.composed is None
    document = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert document["pieces"] == 2
    assert document["composed"] is None
    assert "bits per note" in as_text(table(found))
    assert "<h2>Pieces</h2>" not in page(found)


def test_as_many_are_written_unaided_as_one_asks_for(tiny_model: Path, prepared: Path) -> None:
    found = evaluate(tiny_model, prepared, 0, unaided=3)
    assert found.unaided is not None
    assert found.masked is not None
    assert (found.unaided.pieces, found.masked.pieces) == (3, 3)
    assert found.composed is None


def test_few_pieces_are_measured_but_not_compared(tiny_model: Path, prepared: Path) -> None:
    found = evaluate(tiny_model, prepared, 2, seed=1)
    assert found.composed is not None
    assert found.composed.comparison is None
    assert found.composed.quotations is not None  # a prepared corpus has what was trained on
    json.dumps(found.as_json(), allow_nan=False)
    assert "quotations of the training set" in as_text(table(found))


def test_what_cannot_be_evaluated_is_refused_in_one_sentence(
    tiny_model: Path, midi_folder: Path, tmp_path: Path, refuses: Refuses
) -> None:
    with refuses(CheckpointError, "there is no model at"):
        evaluate(tmp_path / "none.safetensors", midi_folder)
    with refuses(CorpusError, "there is nothing at"):
        evaluate(tiny_model, tmp_path / "none")
    with refuses(RequestError, "-1 pieces"):
        evaluate(tiny_model, midi_folder, -1)


# ------------------------------------------------------------------ the command


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Status, output and errors of ``bicinium evaluate``, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bicinium", "evaluate", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(bool(end.code))
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def test_the_command_prints_json_and_nothing_else(
    run: Callable[..., tuple[int, str, str]], tiny_model: Path, midi_folder: Path, tmp_path: Path
) -> None:
    status, out, _ = run(
        tiny_model, "--data", midi_folder, "--pieces", 0, "--json", "--out", "there"
    )
    assert status == 0
    assert json.loads(out)["pieces"] == 8
    assert json.loads((tmp_path / "there/report.json").read_text()) == json.loads(out)
    assert (tmp_path / "there/report.html").read_text().startswith("<!doctype html>")


def test_the_command_prints_a_table(
    run: Callable[..., tuple[int, str, str]], tiny_model: Path, prepared: Path, tmp_path: Path
) -> None:
    status, out, _ = run(tiny_model, "--data", prepared, "--pieces", 0)
    assert status == 0
    assert "bits per note" in out
    assert (tmp_path / "evaluation/report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("none.safetensors", "--data", "{data}"), "there is no model at none.safetensors"),
        (("{model}", "--data", "nowhere"), "there is nothing at nowhere"),
        (("{model}", "--data", "{data}", "--pieces", "-3"), "-3 pieces"),
        (("{model}", "--data", "{data}", "--out", "{model}/x"), "cannot be written to"),
    ],
)
def test_a_call_that_is_wrong_is_told_in_one_sentence(
    arguments: tuple[str, ...],
    pattern: str,
    run: Callable[..., tuple[int, str, str]],
    tiny_model: Path,
    midi_folder: Path,
) -> None:
    filled = [word.format(model=tiny_model, data=midi_folder) for word in arguments]
    status, out, err = run(*filled)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"bicinium: (?:(?!\. )[^\n])+[^\n.]\n", err), err
    assert re.search(pattern, err)
