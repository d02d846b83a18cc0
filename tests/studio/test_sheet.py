"""The engraved score: every note of the score is there, with the time at which it sounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from bicinium.music.score import Note, Score, Voice

pytest.importorskip("verovio", reason="engraving needs the extra 'engraving'")

from bicinium.studio.sheet import NARROWEST, _balanced, sheet


def _assert_every_note_has_its_time(score: Score, engraved: dict[str, Any]) -> None:
    drawn = re.findall(r'<g id="(\w+)" class="note"', "".join(engraved["pages"]))
    assert sorted(name for name, *_ in engraved["notes"]) == sorted(drawn)
    for part, voice in enumerate(score.voices):
        onsets = {onset for _, staff, onset, _ in engraved["notes"] if staff == part}
        assert {note.onset_tick for note in voice.notes} <= onsets  # a tie adds some
        lit = sum(offset - onset for _, staff, onset, offset in engraved["notes"] if staff == part)
        assert lit == sum(note.duration_ticks for note in voice.notes)


@pytest.mark.parametrize("width", [320, 1000])
@pytest.mark.parametrize("meter", ["3/4", "6/8", "4/4"])
def test_every_note_has_its_time(
    made_up_score: Callable[..., Score], meter: str, width: int
) -> None:
    score = made_up_score(2, 6, meter, "Eb major")
    engraved = sheet(score, width)
    assert len(engraved["pages"]) == 1
    _assert_every_note_has_its_time(score, engraved)


def test_a_score_too_long_for_a_page_goes_on_on_the_next(
    made_up_score: Callable[..., Score],
) -> None:
    score = made_up_score(2, 200)
    engraved = sheet(score, NARROWEST)
    assert len(engraved["pages"]) == 2
    _assert_every_note_has_its_time(score, engraved)


def test_an_anacrusis_begins_late() -> None:
    voices = (Voice((Note(72, 67, 24), Note(96, 72, 96))), Voice((Note(96, 48, 96),)))
    engraved = sheet(Score(voices, 2, anacrusis_ticks=24), 600)
    assert sorted(onset for _, _, onset, _ in engraved["notes"]) == [72, 96, 96]


def test_two_scores_on_a_page_have_no_name_in_common(made_up_score: Callable[..., Score]) -> None:
    first, second = (sheet(made_up_score(seed, 2), 600)["pages"] for seed in (1, 2))
    names = [set(re.findall(r'id="([\w-]+)"', "".join(pages))) for pages in (first, second)]
    assert not names[0] & names[1]


def test_nothing_in_it_styles_or_runs(made_up_score: Callable[..., Score]) -> None:
    (svg,) = sheet(made_up_score(1, 2), 600)["pages"]
    assert not re.search(r"<style|<script|style=|http(?!://www\.w3\.org)", svg)


def test_systems_are_about_equally_full() -> None:
    bars = [4400, *[2800] * 7]
    assert _balanced(bars, 21_000, 800) == [4]  # and not seven bars and one
    assert _balanced([30_000, 30_000], 21_000, 800) == [1]  # what is too wide stands alone
    assert _balanced([100], 21_000, 800) == []
