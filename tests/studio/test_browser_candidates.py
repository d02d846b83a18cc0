"""A better candidate takes the place of the one on the page, but not while the user works on it.

The page gets candidates and engravings when the test releases them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from bicinium.music.score import Score
from bicinium.studio.score_json import score_to_json

if TYPE_CHECKING:
    from tests.studio.conftest import Acts

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright").expect

_SCRIPT = """
    const encoder = new TextEncoder();
    const request = window.fetch;
    window.held = null; // promises of engravings that wait, while they are held
    window.fetch = async (path, options) => {
        if (path === "/api/compose") {
            const body = new ReadableStream({ start: (stream) => (window.stream = stream) });
            return new Response(body);
        }
        const response = await request(path, options);
        if (path === "/api/engrave" && window.held) await new Promise((go) => window.held.push(go));
        return response;
    };
    window.send = (line) => stream.enqueue(encoder.encode(`${JSON.stringify(line)}\\n`));
    window.release = () => {
        for (const go of window.held) go();
        window.held = null;
    };
    window.print = () => (window.printed = document.querySelectorAll(".sheet g.system").length);
"""


@pytest.fixture
def pieces(made_up_score: Callable[..., Score]) -> list[dict[str, Any]]:
    """Return two pieces as the server sends them."""
    return [
        {
            "score": score_to_json(made_up_score(seed, 24, "2/4", "C major")),
            "seed": 1, "style": None, "about": {}, "valid": True, "remarks": [], "draws": 1,
            "sheet": None,
        }
        for seed in (1, 2)
    ]  # fmt: skip


def _compose(page: Any, piece: dict[str, Any]) -> None:
    """Start composing; the first candidate is shown."""
    page.click("#compose .primary")
    page.wait_for_function("() => window.stream")
    page.evaluate("(candidate) => send({ candidate })", piece | {"is_best": True})
    page.wait_for_selector(".sheet[data-engraved]")


def _finish(page: Any, piece: dict[str, Any]) -> None:
    page.evaluate("(piece) => { send({ piece }); send({ done: true }); }", piece)
    page.wait_for_selector(".stop:visible", state="detached")


def _click_note(page: Any, index: int) -> dict[str, int]:
    """Click the notehead of a drawn note; return its voice and onset."""
    x, y, part, onset = page.evaluate(
        """(index) => {
            const { sheet } = studio.activeView;
            const note = sheet.notes[index];
            note.element.scrollIntoView({ block: "center", inline: "center" });
            const { left, top } = sheet.element.getBoundingClientRect();
            return [left + note.x, top + note.y, note.part, note.onset];
        }""",
        index,
    )
    page.mouse.click(x, y)
    return {"part": part, "onset": onset}


def _hold_better(page: Any, first: dict[str, Any], second: dict[str, Any]) -> None:
    """Compose the first piece, then send a better one whose engraving is held back."""
    _compose(page, first)
    page.evaluate("held = []")
    page.evaluate("(candidate) => send({ candidate })", second | {"is_best": True})
    page.wait_for_function("() => held.length")


def test_better_candidate_is_shown_once_engraved(
    open_page: Callable[..., Any], act: type[Acts], pieces: list[dict[str, Any]]
) -> None:
    page = open_page(script=_SCRIPT)
    first, second = pieces
    _hold_better(page, first, second)
    assert act.notes(page) == first["score"]["voices"]  # score and piano roll agree
    page.evaluate("release()")
    _finish(page, second)
    assert act.notes(page) == second["score"]["voices"]
    assert page.evaluate("studio.activeView.sheet.drawnMusic === studio.activeView.piece.music")


def test_note_selected_meanwhile_stays_selected(
    open_page: Callable[..., Any], act: type[Acts], pieces: list[dict[str, Any]]
) -> None:
    page = open_page(script=_SCRIPT)
    first, second = pieces
    _hold_better(page, first, second)
    note = _click_note(page, 5)
    page.evaluate("release()")
    _finish(page, second)
    assert act.notes(page) == first["score"]["voices"]
    assert page.evaluate("studio.activeView.editor.selected") == note
    expect(page.locator(".sheet .handle")).to_be_visible()
    expect(page.locator("#candidates .card")).to_have_count(2)
    expect(page.locator("#candidates .card[aria-pressed=true]")).to_contain_text("No. 2")


def test_print_keeps_its_piece(
    open_page: Callable[..., Any],
    act: type[Acts],
    pieces: list[dict[str, Any]],
    screens: dict[str, Any],
) -> None:
    page = open_page(script=_SCRIPT, **screens["phone"])
    first, second = pieces
    _compose(page, first)
    systems = page.locator(".sheet g.system").count()
    page.evaluate("held = []")
    page.click(".actions >> text=Print")
    page.wait_for_function("() => held.length")
    page.evaluate("(candidate) => send({ candidate })", second | {"is_best": True})
    expect(page.locator("#candidates .card")).to_have_count(3)  # with that of the next one
    page.evaluate("release()")
    page.wait_for_function("() => window.printed")
    assert page.evaluate("printed") < systems
    expect(page.locator(".sheet g.system")).to_have_count(systems)
    assert act.notes(page) == first["score"]["voices"]
    _finish(page, second)  # nothing is in the way any more
    assert act.notes(page) == second["score"]["voices"]


def test_note_is_selected_while_an_edit_is_engraved(
    open_page: Callable[..., Any], act: type[Acts], pieces: list[dict[str, Any]]
) -> None:
    page = open_page(script=_SCRIPT)
    _compose(page, pieces[0])
    _finish(page, pieces[0])
    page.evaluate("held = []")
    changed = _click_note(page, 5)
    page.keyboard.press("ArrowUp")
    page.wait_for_function("() => held.length")
    assert act.notes(page) != pieces[0]["score"]["voices"]
    _click_note(page, 5)  # drawn where it was: it stays selected, and its bar is not
    state = "[studio.activeView.editor.selected, studio.activeView.selection]"
    assert page.evaluate(state) == [changed, None]
    other = _click_note(page, 7)
    assert other != changed
    assert page.evaluate(state) == [other, None]
    page.evaluate("release()")
    expect(page.locator(".sheet .handle")).to_be_visible()
    assert page.evaluate(state) == [other, None]
