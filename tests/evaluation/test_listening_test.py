"""The listening test is blind, and the browser evaluates it."""

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
from bicinium.evaluation.audio_clips import audio_data_uri, is_mp3_available
from bicinium.evaluation.evaluate import Evaluation
from bicinium.evaluation.listening_test import equal_loudness, render_listening_test
from bicinium.music.score import Score

Refuses = Callable[..., AbstractContextManager[None]]


def _fake_audio(score: Score) -> str:
    """Return a data URI that identifies the notes."""
    assert {note.velocity for voice in score.voices for note in voice.notes} == {80}
    return f"data:audio/mpeg;base64,{abs(hash(score.voices))}"


def _render(evaluation: Evaluation, count: int = 10) -> str:
    return render_listening_test(evaluation, count, _fake_audio)


def _test_in(html: str) -> dict[str, Any]:
    packed = re.search(r'atob\("([^"]+)"\)', html)
    assert packed
    found: dict[str, Any] = json.loads(base64.b64decode(packed[1]))
    return found


def test_each_pair_has_a_real_and_a_composed_piece(evaluation: Evaluation) -> None:
    pairs = evaluation.pairs
    assert pairs is not None
    found = _test_in(_render(evaluation, 6))
    assert len(found["pairs"]) == 6
    real = {_fake_audio(equal_loudness(excerpt.score)) for excerpt in pairs.excerpts}
    composed = {_fake_audio(equal_loudness(score)) for score in pairs.scores}
    for pair in found["pairs"]:
        assert pair["sound"][pair["human"]] in real
        assert pair["sound"][1 - pair["human"]] in composed
    assert len({pair["about"]["composed"] for pair in found["pairs"]}) == 6


def test_page_hides_the_solution_and_is_self_contained(evaluation: Evaluation) -> None:
    html = _render(evaluation)
    packed = re.search(r'atob\("([^"]+)"\)', html)
    assert packed
    visible = html.replace(packed[1], "")
    assert "Schubert" not in visible
    assert "Piece" not in visible
    assert not re.search(r'(?:src|href)="', visible)


def test_sides_and_order_depend_on_the_seed(evaluation: Evaluation) -> None:
    one, again = (_test_in(_render(evaluation)) for _ in range(2))
    assert one == again
    sides = {
        tuple(p["human"] for p in _test_in(_render(replace(evaluation, seed=seed)))["pairs"])
        for seed in range(5)
    }
    assert len(sides) > 1


def test_evaluation_without_compositions_is_an_error(
    evaluation: Evaluation, refuses: Refuses
) -> None:
    with refuses(RequestError, "needs one composed piece"):
        _render(replace(evaluation, pairs=None))


def test_sound_is_an_mp3(made_up_score: Callable[..., Score]) -> None:
    if not is_mp3_available():
        pytest.skip("the extra sound is not installed")
    kind, _, data = audio_data_uri(made_up_score(1, 1), perform=True).partition(",")
    assert kind == "data:audio/mpeg;base64"
    sound = base64.b64decode(data)
    assert sound[:1] == b"\xff" or sound[:3] == b"ID3"
    assert 2_000 < len(sound) < 60_000


def test_page_uses_an_exact_binomial_test(evaluation: Evaluation) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no JavaScript engine to run the page's own function")
    function = re.search(r"^function chance\(.*?^}$", _render(evaluation), re.M | re.S)
    assert function
    calls = "[chance(5, 10), chance(10, 10), chance(8, 10), chance(0, 0)]"
    script = f"{function[0]}\nconsole.log({calls}.join())"
    ran = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
    values = [float(value) for value in ran.stdout.split(",")]
    assert values == pytest.approx([1, 2 / 1024, 2 * (45 + 10 + 1) / 1024, 1])
