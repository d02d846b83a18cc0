"""The listening test: blind, alike but for the notes, and scored in the browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from bicinium.errors import RequestError
from bicinium.evaluation import listening_test as listen
from bicinium.evaluation.audio_clips import can_sound, clip
from bicinium.evaluation.evaluate import Evaluation
from bicinium.evaluation.listening_test import listening_page
from bicinium.music.score import Score

Refuses = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def _no_synthesiser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound that says which notes it is made of."""

    def clip(score: Score, perform: bool) -> str:
        assert perform
        assert {note.velocity for voice in score.voices for note in voice.notes} == {80}
        return f"data:audio/mpeg;base64,{abs(hash(score.voices))}"

    monkeypatch.setattr(listen, "clip", clip)


def _test_in(html: str) -> dict[str, Any]:
    packed = re.search(r'atob\("([^"]+)"\)', html)
    assert packed
    found: dict[str, Any] = json.loads(base64.b64decode(packed[1]))
    return found


@pytest.mark.usefixtures("_no_synthesiser")
def test_each_pair_is_a_real_piece_and_its_answer(evaluation: Evaluation) -> None:
    answers = evaluation.answers
    assert answers is not None
    found = _test_in(listening_page(evaluation, 6))
    assert len(found["pairs"]) == 6
    real = {listen._sound(excerpt.score) for excerpt in answers.excerpts}
    composed = {listen._sound(score) for score in answers.scores}
    for pair in found["pairs"]:
        assert pair["sound"][pair["human"]] in real
        assert pair["sound"][1 - pair["human"]] in composed
    assert len({pair["about"]["composed"] for pair in found["pairs"]}) == 6


@pytest.mark.usefixtures("_no_synthesiser")
def test_the_page_says_nothing_beforehand_and_needs_nothing_else(evaluation: Evaluation) -> None:
    html = listening_page(evaluation)
    packed = re.search(r'atob\("([^"]+)"\)', html)
    assert packed
    open_to_see = html.replace(packed[1], "")
    assert "Schubert" not in open_to_see
    assert "Piece" not in open_to_see
    assert not re.search(r'(?:src|href)="', open_to_see)


@pytest.mark.usefixtures("_no_synthesiser")
def test_sides_and_order_are_drawn_by_the_seed(evaluation: Evaluation) -> None:
    one, again = (_test_in(listening_page(evaluation)) for _ in range(2))
    assert one == again
    sides = {
        tuple(p["human"] for p in _test_in(listening_page(replace(evaluation, seed=seed)))["pairs"])
        for seed in range(5)
    }
    assert len(sides) > 1


def test_nothing_to_listen_to_is_said(evaluation: Evaluation, refuses: Refuses) -> None:
    with refuses(RequestError, "there is nothing to listen to"):
        listening_page(replace(evaluation, answers=None))


def test_sound_is_an_mp3(made_up_score: Callable[..., Score]) -> None:
    if not can_sound():
        pytest.skip("the extra sound is not installed")
    kind, _, data = clip(made_up_score(1, 1), perform=True).partition(",")
    assert kind == "data:audio/mpeg;base64"
    sound = base64.b64decode(data)
    assert sound[:1] == b"\xff" or sound[:3] == b"ID3"
    assert 2_000 < len(sound) < 60_000


@pytest.mark.usefixtures("_no_synthesiser")
def test_the_browser_scores_with_an_exact_binomial_test(evaluation: Evaluation) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no JavaScript engine to run the page's own function")
    function = re.search(r"^function chance\(.*?^}$", listening_page(evaluation), re.M | re.S)
    assert function
    calls = "[chance(5, 10), chance(10, 10), chance(8, 10), chance(0, 0)]"
    script = f"{function[0]}\nconsole.log({calls}.join())"
    ran = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
    values = [float(value) for value in ran.stdout.split(",")]
    assert values == pytest.approx([1, 2 / 1024, 2 * (45 + 10 + 1) / 1024, 1])
