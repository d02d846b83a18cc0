"""A whole evaluation of an untrained model, as data, JSON, text and HTML."""

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

from bicinium.cli.main import main
from bicinium.errors import CheckpointError, CorpusError, RequestError
from bicinium.evaluation.evaluate import Evaluation, evaluate
from bicinium.evaluation.grammar_statistics import longest_run
from bicinium.evaluation.html_report import render_report
from bicinium.evaluation.summary import format_table, summary_rows
from bicinium.music.descriptors import HISTOGRAMS

Refuses = Callable[..., AbstractContextManager[None]]


@pytest.mark.parametrize(("tokens", "longest"), [([5], 1), ([1, 2, 2, 2, 3, 3], 3), ([7] * 9, 9)])
def test_longest_run_of_one_token(tokens: list[int], longest: int) -> None:
    assert longest_run(np.array(tokens)) == longest


def test_stages_are_reported(evaluation: Evaluation, stages: list[str]) -> None:
    assert stages == [
        "likelihood, keyboard",
        "generating unconstrained",
        "generating masked",
        "composing",
        "comparing",
    ]
    assert evaluation.likelihood.pieces == 8
    assert evaluation.likelihood.bits_per_token == pytest.approx(math.log2(774), abs=1)


def test_untrained_model_breaks_the_grammar_without_the_mask(evaluation: Evaluation) -> None:
    unconstrained, masked = evaluation.unconstrained, evaluation.masked
    assert unconstrained is not None
    assert masked is not None
    assert (unconstrained.pieces, masked.pieces) == (8, 8)
    assert unconstrained.valid == 0
    assert unconstrained.paired < 0.2
    assert (masked.valid, masked.paired, masked.min_grammar_score) == (1, 1, 1)
    assert masked.longest_run <= 3


def test_compositions_match_the_excerpts(evaluation: Evaluation) -> None:
    pairs = evaluation.pairs
    assert pairs is not None
    assert len(pairs.scores) + pairs.failures == 8
    for excerpt, score in zip(pairs.excerpts, pairs.scores, strict=True):
        assert score.meter == excerpt.score.meter
        assert score.bars == excerpt.score.bars
        assert score.key == excerpt.score.key
        assert score.tempo_qpm == pytest.approx(excerpt.score.tempo_qpm)


def test_compositions_meet_the_conditions(
    evaluation: Evaluation,
) -> None:
    composed = evaluation.composed
    assert composed is not None
    assert {"bars", "meter", "key", "close", "tempo"} <= composed.adherence.keys()
    assert composed.adherence["bars"] == (1.0, None)
    assert composed.quotations is None  # the training set of a folder is unknown
    comparison = composed.comparison
    assert comparison is not None
    assert (comparison.real, comparison.composed) == (8, 8)
    assert comparison.distances[2].ratio > 2  # of durations
    if comparison.two_sample:
        assert comparison.two_sample.auc > 0.9


def test_json_has_the_documented_keys_and_no_nan(evaluation: Evaluation) -> None:
    text = json.dumps(evaluation.as_json(), allow_nan=False)
    document = json.loads(text)
    for name in ("bits_per_note", "bits_per_token", "illegal_mass", "notes", "pieces"):
        assert document[name] == document["held_out"]["keyboard"][name]
    assert document["unconstrained"]["valid"] == 0
    assert document["composed"]["distances"]["motion"]["ratio"] > 0
    assert document["composed"]["adherence"]["bars"] == {"composed": 1.0, "real": None}


def test_table_marks_missed_targets(evaluation: Evaluation) -> None:
    lines = summary_rows(evaluation)
    missed = {(line.section, line.name) for line in lines if line.met is False}
    assert ("unconstrained (no mask, temperature 1)", "pieces valid") in missed
    assert not any(section == "the same with the grammar mask" for section, _ in missed)
    text = format_table(lines)
    assert re.search(r"pieces valid +0\.0% +at least 95 %  MISSED\n", text)
    assert all(line == line.rstrip() for line in text.splitlines())


def test_page_is_self_contained(evaluation: Evaluation) -> None:
    html = render_report(evaluation, pairs_shown=1)
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert html.count("<figure>") == len(HISTOGRAMS)
    shown = unescape(re.sub(r"base64,[^\"]*", "", html))
    assert "$" not in shown
    assert all(line.name in shown and line.value in shown for line in summary_rows(evaluation))


def test_page_without_engraving_and_sound_has_piano_rolls(evaluation: Evaluation) -> None:
    html = render_report(evaluation, engrave=None, encode_audio=None)
    assert html.count('<div class="roll"') == 2 * 4
    assert "<audio" not in html
    assert '<img class="score"' not in html


def test_audio_that_would_make_the_page_too_large_is_left_out(evaluation: Evaluation) -> None:
    html = render_report(
        evaluation, engrave=None, encode_audio=lambda score: "data:" + "x" * 3_000_000
    )
    assert html.count("<audio") == 2


def test_names_are_escaped(evaluation: Evaluation) -> None:
    html = render_report(replace(evaluation, model="<b>bold</b>", pairs=None))
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold" in html


def test_zero_pieces_measures_the_likelihood_only(tiny_model: Path, prepared: Path) -> None:
    found = evaluate(tiny_model, prepared, 0)
    assert found.unconstrained is None
    assert found.composed is None
    document = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert document["pieces"] == 2
    assert document["composed"] is None
    assert "bits per note" in format_table(summary_rows(found))
    assert "<h2>Pieces</h2>" not in render_report(found)


def test_number_of_unconstrained_pieces(tiny_model: Path, prepared: Path) -> None:
    found = evaluate(tiny_model, prepared, 0, unconstrained=3)
    assert found.unconstrained is not None
    assert found.masked is not None
    assert (found.unconstrained.pieces, found.masked.pieces) == (3, 3)
    assert found.composed is None


def test_few_pieces_are_measured_but_not_compared(tiny_model: Path, prepared: Path) -> None:
    found = evaluate(tiny_model, prepared, 2, seed=1)
    assert found.composed is not None
    assert found.composed.comparison is None
    assert found.composed.quotations is not None  # a prepared corpus has the training set
    json.dumps(found.as_json(), allow_nan=False)
    assert "quotations of the training set" in format_table(summary_rows(found))


def test_invalid_arguments_are_errors(
    tiny_model: Path, midi_folder: Path, tmp_path: Path, refuses: Refuses
) -> None:
    with refuses(CheckpointError, "There is no model at"):
        evaluate(tmp_path / "none.safetensors", midi_folder)
    with refuses(CorpusError, "There is nothing at"):
        evaluate(tiny_model, tmp_path / "none")
    with refuses(RequestError, "must be 0 or more .got -1"):
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
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(bool(end.code))
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def test_command_prints_json_only(
    run: Callable[..., tuple[int, str, str]], tiny_model: Path, midi_folder: Path, tmp_path: Path
) -> None:
    status, out, _ = run(
        tiny_model, "--data", midi_folder, "--pieces", 0, "--json", "--out", "there"
    )
    assert status == 0
    assert json.loads(out)["pieces"] == 8
    assert json.loads((tmp_path / "there/report.json").read_text()) == json.loads(out)
    assert (tmp_path / "there/report.html").read_text().startswith("<!doctype html>")


def test_command_prints_a_table(
    run: Callable[..., tuple[int, str, str]], tiny_model: Path, prepared: Path, tmp_path: Path
) -> None:
    status, out, _ = run(tiny_model, "--data", prepared, "--pieces", 0)
    assert status == 0
    assert "bits per note" in out
    assert (tmp_path / "evaluation/report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("none.safetensors", "--data", "{data}"), "There is no model at none.safetensors"),
        (("{model}", "--data", "nowhere"), "There is nothing at nowhere"),
        (("{model}", "--data", "{data}", "--pieces", "-3"), "must be 0 or more .got -3"),
        (("{model}", "--data", "{data}", "--out", "{model}/x"), "cannot be written to"),
    ],
)
def test_wrong_call_is_reported_on_one_line(
    arguments: tuple[str, ...],
    pattern: str,
    run: Callable[..., tuple[int, str, str]],
    tiny_model: Path,
    midi_folder: Path,
) -> None:
    filled = [word.format(model=tiny_model, data=midi_folder) for word in arguments]
    status, out, err = run(*filled)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"bicinium: [^\n]+\n", err), err
    assert re.search(pattern, err)


def test_former_option_name_works_with_a_warning(
    run: Callable[..., tuple[int, str, str]], tiny_model: Path, prepared: Path
) -> None:
    status, out, err = run(
        tiny_model, "--data", prepared, "--pieces", 0, "--unaided", 2, "--json", "--out", "there"
    )
    assert status == 0
    assert json.loads(out)["unconstrained"]["pieces"] == 2
    assert "--unconstrained" in err
