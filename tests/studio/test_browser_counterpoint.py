"""The section Counterpoint in the browser: an exercise, its faults, a proposal, the download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bicinium

if TYPE_CHECKING:
    from tests.studio.conftest import Acts

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright").expect

_EXERCISE = Path(__file__).parents[2] / "examples" / "exercise.musicxml"


def _open_exercise(page: Any, act: type[Acts]) -> None:
    act.drop(page, "counterpoint", _EXERCISE)
    page.wait_for_selector(".sheet[data-engraved]")
    page.select_option("#counterpoint [name=rules]", "species1")
    page.wait_for_selector("#faults[aria-busy=false]")
    page.wait_for_selector("text=1 error")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("screen", ["wide", "tablet", "phone"])
def test_exercise_is_mended(
    open_page: Callable[..., Any],
    act: type[Acts],
    axe: str,
    screens: dict[str, Any],
    tmp_path: Path,
    screen: str,
    theme: str,
) -> None:
    (fault,) = bicinium.check(_EXERCISE, "species1").faults
    page = open_page("#counterpoint", color_scheme=theme, **screens[screen])
    _open_exercise(page, act)
    marked = page.evaluate(
        """() => studio.activeView.sheet.notes
            .filter(({ element }) => element.matches(".fault.error"))
            .map(({ part, onset }) => [part, onset])"""
    )
    assert sorted(marked) == sorted([note.voice, note.onset_tick] for note in fault.notes)
    expect(page.locator(".sheet .fault-number")).to_have_text(["1"])

    x, y = page.evaluate(
        """() => {
            const note = document.querySelector(".sheet g.fault .notehead");
            note.scrollIntoView({ block: "center" });
            const { left, top, width, height } = note.getBoundingClientRect();
            return [left + width / 2, top + height / 2];
        }"""
    )
    if screen == "wide":
        page.mouse.click(x, y)
    else:
        page.touchscreen.tap(x, y)
    card = page.locator("#fault")
    card.wait_for(state="visible")
    assert fault.reason in card.inner_text()
    assert fault.source in card.inner_text()

    card.get_by_role("button", name="Hear it").click()
    page.wait_for_function("() => studio.player.playing && studio.player.peak > 0.01")
    page.wait_for_function("() => !studio.player.playing")
    bar = page.evaluate("studio.activeView.piece.music.meter.bar")
    first = min(note.onset_tick for note in fault.notes)
    assert page.evaluate("studio.player.tick") == first // bar * bar

    card.get_by_role("button", name="Proposals").click()
    expect(page.locator(".proposals li")).to_have_count(3)
    page.evaluate(axe)
    violations = page.evaluate("axe.run().then((found) => found.violations)")
    assert not [one["id"] for one in violations if one["impact"] in ("serious", "critical")]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    before = act.notes(page)
    page.locator(".proposals li").first.get_by_role("button", name="Take").click()
    page.wait_for_selector("text=No fault.")
    changed = [
        (old, new)
        for rows, other_rows in zip(before, act.notes(page), strict=True)
        for old, new in zip(rows, other_rows, strict=True)
        if old != new
    ]
    assert len(changed) == 1
    path = act.download(page, "musicxml", tmp_path)
    assert bicinium.check(path, "species1").passed
    page.click(".tools [name=undo]")
    page.wait_for_selector("text=1 error")
    assert act.notes(page) == before


def test_proposal_is_heard_and_taken_while_it_sounds(
    open_page: Callable[..., Any], act: type[Acts]
) -> None:
    page = open_page("#counterpoint")
    _open_exercise(page, act)
    page.locator("#faults li button").first.click()
    page.click("#fault [name=propose]")
    first = page.locator(".proposals li").first
    first.get_by_role("button", name="Hear").click()
    page.wait_for_function("() => studio.player.playing")
    first.get_by_role("button", name="Take").click()
    page.wait_for_selector("text=No fault.")
    page.wait_for_function("() => !studio.player.playing")
    assert page.evaluate("studio.player.music === studio.activeView.piece.music")


def test_rules_of_ones_own_are_loaded(
    open_page: Callable[..., Any], act: type[Acts], tmp_path: Path
) -> None:
    page = open_page("#counterpoint")
    _open_exercise(page, act)
    (fault,) = bicinium.check(_EXERCISE, "species1").faults
    rules = tmp_path / "first-term.yaml"
    text = "base: species1\ndescription: rules of the first term\nrules: {{{}: {}}}\n"
    rules.write_text(text.format(fault.rule, "hnt"))
    page.set_input_files("#counterpoint [name=own]", rules)
    expect(page.locator("#notice")).to_contain_text("There is no severity 'hnt'.")
    rules.write_text(text.format(fault.rule, "hint"))
    page.set_input_files("#counterpoint [name=own]", rules)
    page.wait_for_selector("text=1 hint")
    expect(page.locator("#notice")).to_be_hidden()
    chosen = page.locator("#counterpoint [name=rules] option:checked")
    expect(chosen).to_have_text("Rules of the first term (first-term.yaml)")
    page.reload()
    page.wait_for_selector("text=1 hint")
    expect(chosen).to_have_text("Rules of the first term (first-term.yaml)")


def test_faults_follow_an_edit(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page("#counterpoint")
    _open_exercise(page, act)
    page.locator(".sheet").press("ArrowRight")
    page.keyboard.press("Control+ArrowUp")  # the first note an octave higher
    page.wait_for_function("() => document.querySelectorAll('#faults li button').length > 1")
    page.click(".masthead nav a[href='#compose']")
    expect(page.locator(".sheet g.fault")).to_have_count(0)
