"""What every section looks like on wide screens, tablets and phones, in light and dark."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.studio.conftest import Acts

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright").expect

_PIECE = "#compose?key=C+major&meter=2%2F4&bars=24&seed=3"
_SECTIONS = ("compose", "counterpoint", "analyse", "runs", "add-voice")
_SCREENS = ("wide", "tablet", "phone")


def _enter(page: Any, section: str) -> None:
    page.click(f".masthead nav a[href='#{section}']")
    if section == "add-voice":
        page.click("#write-voice")
        page.wait_for_selector(".sheet[data-engraved]")
    if section == "counterpoint":
        page.wait_for_selector("text=What is good")
    if section == "runs":
        page.wait_for_selector(".chart")
    if section == "analyse":
        page.click("#analyse")
        page.wait_for_selector("text=Grammar rules")
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")


def _is_above_dock(page: Any, selector: str) -> bool:
    """Return whether the play bar does not cover an element."""
    box, dock = (page.locator(one).bounding_box() for one in (selector, ".dock"))
    return bool(box["y"] + box["height"] <= dock["y"] + 1)


def _serious(page: Any, axe: str) -> list[str]:
    """Return the violations that axe-core finds."""
    page.evaluate(axe)
    found = page.evaluate("axe.run().then((found) => found.violations)")
    return [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("screen", _SCREENS)
def test_every_section_is_accessible_and_fits(
    open_page: Callable[..., Any],
    act: type[Acts],
    axe: str,
    screens: dict[str, Any],
    screen: str,
    theme: str,
) -> None:
    page = open_page(_PIECE, color_scheme=theme, **screens[screen])
    act.wait(page)
    for section in _SECTIONS:
        _enter(page, section)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), section
        assert not _serious(page, axe), section


@pytest.mark.parametrize("screen", _SCREENS)
def test_play_bar_hides_nothing(
    open_page: Callable[..., Any], act: type[Acts], screens: dict[str, Any], screen: str
) -> None:
    page = open_page(_PIECE, **screens[screen])
    act.wait(page)
    page.click(".tools [name=keyboard]")
    for last in (".composing:visible", ".sheet g.system >> nth=-1", ".piece-view > .key"):
        page.locator(last).evaluate("last => last.scrollIntoView({ block: 'end' })")
        act.until(page, functools.partial(_is_above_dock, page, last))
    if screen == "wide":  # the status is in view without scrolling
        page.evaluate("document.querySelector('#panel').scrollTo(0, 0)")
        act.until(page, functools.partial(_is_above_dock, page, ".composing:visible"))


@pytest.mark.parametrize("screen", _SCREENS)
def test_room_is_used(
    open_page: Callable[..., Any], act: type[Acts], screens: dict[str, Any], screen: str
) -> None:
    page = open_page("#add-voice", **screens[screen])
    page.click("#write-voice")
    page.wait_for_selector(".keys button")
    width = page.viewport_size["width"]

    def fills() -> bool:
        keys = page.locator(".keys button").evaluate_all(
            "keys => keys.map((key) => key.getBoundingClientRect()).map(({x, right}) => [x, right])"
        )
        return min(x for x, _ in keys) >= 0 and 0.9 * width < max(end for _, end in keys) <= width

    act.until(page, fills)
    letters = page.locator(".keys [data-letter]").first.evaluate(
        "key => getComputedStyle(key, '::before').display"
    )
    assert (letters == "none") == (screen != "wide")
    expect(page.locator(".letters")).to_be_visible(visible=screen == "wide")
    page.click(".masthead nav a[href='#compose']")
    if screen != "wide":
        assert page.locator("#compose").bounding_box()["width"] > 0.9 * width


def test_print_shows_the_score_alone(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page(_PIECE, color_scheme="dark")
    act.wait(page)
    page.emulate_media(media="print")
    for hidden in ("#panel", ".dock", ".tools", ".actions", ".roll", "#candidates", ".masthead"):
        assert not page.locator(hidden).first.is_visible(), hidden
    assert page.locator(".piece-view h2").is_visible()
    assert page.locator(".sheet g.measure").last.is_visible()
    ink = page.locator(".sheet g.note").first.evaluate("note => getComputedStyle(note).fill")
    assert ink == "rgb(0, 0, 0)"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_phone_prints_systems_as_wide_as_paper(
    open_page: Callable[..., Any], act: type[Acts], screens: dict[str, Any]
) -> None:
    script = """window.print = () => {
        window.printed = document.querySelectorAll(".sheet g.system").length;
    };"""
    page = open_page(_PIECE, script=script, **screens["phone"])
    act.wait(page)
    systems = page.locator(".sheet g.system").count()
    page.click(".actions >> text=Print")
    page.wait_for_function("() => window.printed")
    assert page.evaluate("printed") < systems
    expect(page.locator(".sheet g.system")).to_have_count(systems)
