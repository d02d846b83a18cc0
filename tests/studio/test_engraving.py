"""The engraved score has every note with its ticks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from bicinium.music.score import Note, Score, Voice

pytest.importorskip("verovio", reason="engraving needs the extra 'engraving'")

from bicinium.studio.engraving import MIN_WIDTH, engrave_for_page


def _assert_every_note_has_its_ticks(score: Score, engraved: dict[str, Any]) -> None:
    drawn = re.findall(r'<g id="(\w+)" class="note"', "".join(engraved["pages"]))
    assert sorted(name for name, *_ in engraved["notes"]) == sorted(drawn)
    for part, voice in enumerate(score.voices):
        onsets = {onset for _, staff, onset, _ in engraved["notes"] if staff == part}
        assert {note.onset_tick for note in voice.notes} <= onsets  # a tie adds some
        lit = sum(offset - onset for _, staff, onset, offset in engraved["notes"] if staff == part)
        assert lit == sum(note.duration_ticks for note in voice.notes)


@pytest.mark.parametrize("width", [320, 1000])
@pytest.mark.parametrize("meter", ["3/4", "6/8", "4/4"])
def test_every_note_has_its_ticks(
    made_up_score: Callable[..., Score], meter: str, width: int
) -> None:
    score = made_up_score(2, 6, meter, "Eb major")
    engraved = engrave_for_page(score, width)
    assert len(engraved["pages"]) == 1
    _assert_every_note_has_its_ticks(score, engraved)


def test_long_score_has_several_pages(
    made_up_score: Callable[..., Score],
) -> None:
    score = made_up_score(2, 200)
    engraved = engrave_for_page(score, MIN_WIDTH)
    assert len(engraved["pages"]) == 2
    _assert_every_note_has_its_ticks(score, engraved)


def test_anacrusis_has_the_right_ticks() -> None:
    voices = (Voice((Note(72, 67, 24), Note(96, 72, 96))), Voice((Note(96, 48, 96),)))
    engraved = engrave_for_page(Score(voices, 2, anacrusis_ticks=24), 600)
    assert sorted(onset for _, _, onset, _ in engraved["notes"]) == [72, 96, 96]


def test_ids_of_two_scores_are_different(made_up_score: Callable[..., Score]) -> None:
    first, second = (engrave_for_page(made_up_score(seed, 2), 600)["pages"] for seed in (1, 2))
    names = [set(re.findall(r'id="([\w-]+)"', "".join(pages))) for pages in (first, second)]
    assert not names[0] & names[1]


def test_svg_has_no_styles_and_scripts(made_up_score: Callable[..., Score]) -> None:
    (svg,) = engrave_for_page(made_up_score(1, 2), 600)["pages"]
    assert not re.search(r"<style|<script|style=|http(?!://www\.w3\.org)", svg)
