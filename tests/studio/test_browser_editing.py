"""Editing in the browser: notes, bars, keyboards, undo and redo, what a reload keeps, links."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bicinium
from bicinium.formats.registry import read_voice

if TYPE_CHECKING:
    from tests.studio.conftest import Acts

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright").expect

_PIECE = "#compose?key=D+minor&meter=3%2F4&bars=8&tempo=96&style=bach&seed=71"
_STATUS = ".editing"
_FAKE_MIDI = """
    const input = { name: "Stage piano" };
    window.midi = (...data) => input.onmidimessage({ data });
    navigator.requestMIDIAccess = async () => ({ inputs: new Map([["1", input]]) });
"""

_PLAY_THREE_NOTES = """async () => {
    const { player } = studio;
    const until = async (tick) => {
        while (!player.playing || player.tick < tick) await new Promise(requestAnimationFrame);
    };
    const pressed = [];
    for (const [index, pitch] of [60, 64, 67].entries()) {
        await until(24 * index);
        pressed.push(player.tick);
        midi(0x91, pitch, 90);
        await until(pressed.at(-1) + 20);
        midi(0x91, pitch, 0);
    }
    return pressed;
}"""


def _history(page: Any) -> list[int]:
    """Return the number of changes made and undone."""
    lengths: list[int] = page.evaluate(
        "['past', 'future'].map((kind) => studio.activeView.piece.history[kind].length)"
    )
    return lengths


def _settle(page: Any) -> None:
    """Wait until the engraving shows the present score."""
    page.wait_for_selector(".sheet[data-engraved]")


def _staff_note(page: Any, index: int) -> tuple[float, float, int, int]:
    """Return the place on the screen, the voice and the onset of a drawn note."""
    x, y, part, onset = page.evaluate(
        """(index) => {
            const { sheet } = studio.activeView;
            const note = sheet.notes[index % sheet.notes.length];
            note.element.scrollIntoView({ block: "center", inline: "center" });
            const { left, top } = sheet.element.getBoundingClientRect();
            return [left + note.x, top + note.y, note.part, note.onset];
        }""",
        index,
    )
    return x, y, part, onset


def _roll_note(page: Any, index: int) -> dict[str, float]:
    """Return the rectangle of a note of the piano roll."""
    rects = page.locator(".roll rect.note")
    rect = rects.nth(index % rects.count())
    rect.scroll_into_view_if_needed()
    box: dict[str, float] = rect.bounding_box()
    return box


def _drag(page: Any, x: float, y: float, dx: float, dy: float) -> None:
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def _edit(page: Any, rng: random.Random) -> None:
    """Make one edit as a person does: on the staff, on the roll, with a tool or a key."""
    kind = rng.choice(("staff", "roll", "end", "add", "tool", "key", "length", "voice", "score"))
    if kind == "staff":
        x, y, *_ = _staff_note(page, rng.randrange(200))
        _drag(page, x, y, rng.choice((0, -40, 40)), rng.choice((-17, -10, 10, 17)))
    elif kind in ("roll", "end"):
        box = _roll_note(page, rng.randrange(200))
        at = 0.97 if kind == "end" else 0.3
        dx, dy = rng.choice((-45, 30, 60)), 0 if kind == "end" else rng.choice((-24, 0, 16))
        _drag(page, box["x"] + at * box["width"], box["y"] + box["height"] / 2, dx, dy)
    elif kind == "add":
        page.click(".tools [name=add]")
        sheet = page.locator(rng.choice((".sheet", ".roll svg")))
        sheet.scroll_into_view_if_needed()
        box = sheet.bounding_box()
        x, y = rng.uniform(0.2, 0.9) * box["width"], rng.uniform(0.2, 0.5) * box["height"]
        sheet.click(position={"x": x, "y": y})
        page.click(".tools [name=add]")
    elif kind == "score":
        page.click(".tools [name=score]")
        page.select_option(".score-settings [name=key]", rng.choice(("G minor", "A major")))
        page.click(".tools [name=score]")
    else:
        part = page.evaluate(
            """(share) => {
                const { notes } = studio.activeView.piece.music;
                const note = notes[Math.floor(share * notes.length)];
                studio.activeView.editor.select(note.part, note.onset);
                studio.activeView.sheet.element.focus();
                return note.part;
            }""",
            rng.random(),
        )
        if kind == "tool":
            name = rng.choice(("higher", "lower", "earlier", "later", "delete"))
            page.click(f".tools [name={name}]")
        elif kind == "key":
            page.keyboard.press(rng.choice(("ArrowUp", "Control+ArrowDown", "Delete", "4", "5")))
        elif kind == "length":
            page.locator(".tools [name=length]").select_option(rng.choice(("6", "12", "24", "48")))
        else:
            page.locator(".tools [name=voice]").select_option(str(1 - part))


def test_sixty_edits_undone_and_redone(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page(_PIECE, viewport={"width": 1440, "height": 900})
    act.wait(page)
    rng = random.Random(60)
    score = "JSON.stringify(studio.activeView.piece.score)"
    versions = [page.evaluate(score)]
    for _ in range(400):
        _settle(page)
        _edit(page, rng)
        now, _future = _history(page)
        assert now in (len(versions) - 1, len(versions)), "one edit is one change"
        if now == len(versions):
            versions.append(page.evaluate(score))
        if len(versions) > 60:
            break
    assert _history(page) == [60, 0]
    assert len(set(versions)) > 50
    page.focus(".sheet")
    for version in reversed(versions[:-1]):
        page.keyboard.press("Control+z")
        assert page.evaluate(score) == version
    assert page.locator(".tools [name=undo]").is_disabled()
    for version in versions[1:]:
        page.keyboard.press("Control+Shift+z")
        assert page.evaluate(score) == version
    assert _history(page) == [60, 0]


def test_note_is_dragged_on_the_staff(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page(_PIECE, viewport={"width": 1440, "height": 900})
    act.wait(page)
    before = act.notes(page)
    x, y, part, onset = _staff_note(page, 0)
    space = page.evaluate(
        "(() => { const [lines] = studio.activeView.sheet.map.bars[0].lines;"
        " return (lines[4] - lines[0]) / 4; })()"
    )
    _drag(page, x, y, 0, -space)  # two steps up: a third of the key
    (old,) = [row for row in before[part] if row[0] == onset]
    (new,) = [row for row in act.notes(page)[part] if row[0] == onset]
    assert new[1] - old[1] in (3, 4)
    assert new[2:] == old[2:]
    others = [row for row in act.notes(page)[part] if row[0] != onset]
    assert others == [row for row in before[part] if row[0] != onset]
    expect(page.locator(_STATUS)).to_have_text(re.compile("voice$"))
    _settle(page)
    page.keyboard.press("Delete")
    assert act.notes(page)[part] == others
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert act.notes(page) == before


def test_note_is_added_on_the_staff_that_is_clicked(
    open_page: Callable[..., Any], act: type[Acts]
) -> None:
    page = open_page("#add-voice")
    page.click("#write-voice")
    page.wait_for_selector(".sheet[data-engraved]")
    page.locator(".tools [name=length]").select_option("48")
    for part, step in ((0, 28), (1, 21)):  # C4 below the upper staff, C3 on the lower
        _settle(page)
        x, y = page.evaluate(
            """([part, step]) => {
                const { sheet } = studio.activeView;
                const { left, top } = sheet.element.getBoundingClientRect();
                return [left + sheet.map.xOf(96), top + sheet.map.yOf(1, part, step)];
            }""",
            [part, step],
        )
        page.mouse.click(x, y)
    assert act.notes(page) == [[[96, 60, 48, 80]], [[96, 48, 48, 80]]]


def test_melody_is_written_and_harmonised(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page("#add-voice")
    page.click("#write-voice")
    page.wait_for_selector(".sheet[data-engraved]")
    for name in ("C5", "D5", "E♭5"):
        page.click(f".keys [aria-label='{name}']")
    page.keyboard.press("a")  # as a piano key: C4
    page.keyboard.press("w")
    pitches = [row[1] for row in act.notes(page)[0]]
    assert pitches == [72, 74, 75, 60, 61]
    page.get_by_role("button", name="Delete last").click()
    page.get_by_role("button", name="Rest").click()
    page.get_by_label("Letter keys").uncheck()
    page.keyboard.press("s")
    page.get_by_label("Letter keys").check()
    page.keyboard.press("s")
    assert [row[:2] for row in act.notes(page)[0]][-2:] == [[72, 60], [120, 62]]
    page.click(".tools [name=score]")
    page.fill(".score-settings [name=bars]", "2")
    page.fill(".score-settings [name=title]", "A tune")
    page.keyboard.press("Tab")
    expect(page.locator(".piece-view h2")).to_have_text("A tune")
    written = act.notes(page)[0]
    act.fill(page, best_of="2")
    page.click("#add-voice .primary")
    act.wait(page)
    assert act.notes(page)[0] == written
    assert act.notes(page)[1]


def test_only_selected_bars_are_recomposed(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page(_PIECE)
    act.wait(page)
    act.fill(page, best_of="2")
    before = act.notes(page)
    page.click(".bars [name=rewrite]")
    dialog = page.locator("#ask-bars")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    assert act.notes(page) == before
    page.click(".bars [name=rewrite]")
    dialog.get_by_label("From bar").fill("6")
    dialog.get_by_label("to bar").fill("7")
    dialog.get_by_role("button", name="Recompose").click()
    act.until(page, lambda: act.notes(page) != before)
    act.wait(page)
    after = act.notes(page)
    assert after != before
    for old, new in zip(before, after, strict=True):
        outside = [row for row in old if not 360 <= row[0] < 504]
        assert [row for row in new if not 360 <= row[0] < 504] == outside


def test_reload_loses_nothing(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page()
    act.compose(page, bars="2", meter="2/4", best_of="3", seed="11", key="G major")
    page.locator(".sheet").press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+z")
    state = (
        "[studio.activeView.piece.score, studio.activeView.piece.history,"
        " studio.candidates.pieces.length, document.querySelector('[name=key]').value]"
    )
    before = page.evaluate(state)
    page.reload()
    page.wait_for_selector(".sheet[data-engraved]")
    assert page.evaluate(state) == before
    assert _history(page) == [1, 1]
    page.click(".tools [name=undo]")
    assert not page.evaluate("studio.activeView.piece.isEdited")


def test_edits_outlast_links_and_new_pieces(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page(_PIECE)
    act.wait(page)
    page.locator(".sheet").press("ArrowRight")
    page.keyboard.press("Delete")
    edited = act.notes(page)
    page.reload()  # the address was a link, which would compose the piece without the edit
    page.wait_for_selector(".sheet[data-engraved]")
    assert act.notes(page) == edited
    act.compose(page, bars="2", best_of="1", seed="4")
    assert act.notes(page) != edited
    saved = "studio.savedPieces.pieces.map((piece) => piece.score.voices)"
    assert page.evaluate(saved) == [edited]
    page.locator(".sheet").press("ArrowRight")
    page.keyboard.press("Delete")
    second = act.notes(page)
    page.evaluate("(link) => { location.hash = link; location.reload(); }", _PIECE)
    page.wait_for_selector("html[data-ready]")
    act.wait(page)
    assert page.evaluate(saved) == [second, edited]


def test_link_of_an_edited_piece_has_its_notes(
    open_page: Callable[..., Any], act: type[Acts]
) -> None:
    page = open_page(_PIECE)
    act.wait(page)
    page.locator(".sheet").press("ArrowRight")
    page.keyboard.press("Control+ArrowDown")
    again = open_page(act.link(page))
    again.wait_for_selector(".sheet[data-engraved]")
    assert act.notes(again) == act.notes(page)


def test_midi_keyboard_enters_and_records(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page("#add-voice", script=_FAKE_MIDI)
    page.click("#write-voice")
    page.wait_for_selector(".sheet[data-engraved]")
    page.click("#keyboard [name=midi]")
    expect(page.locator("#keyboard [role=status]")).to_contain_text("Stage piano")
    page.evaluate("midi(0x90, 67, 101), midi(0x80, 67, 0)")
    assert act.notes(page)[0] == [[0, 67, 24, 101]]
    page.click(".tools [name=undo]")

    page.evaluate("studio.player.setTempo(120)")
    page.click("#keyboard [name=record]")
    pressed = page.evaluate(_PLAY_THREE_NOTES)  # at which ticks
    page.click("#keyboard [name=record]")
    upper = act.notes(page)[0]
    assert [row[1] for row in upper] == [60, 64, 67]
    assert all(row[3] == 90 and row[0] % 6 == 0 and row[2] % 6 == 0 for row in upper)
    assert all(abs(row[0] - tick) <= 3 for row, tick in zip(upper, pressed, strict=True))
    assert _history(page) == [1, 0]  # what is recorded is undone as one


def test_finger_selects_a_note_and_drags_it(
    open_page: Callable[..., Any], act: type[Acts], screens: dict[str, Any]
) -> None:
    page = open_page(_PIECE, **screens["phone"])
    act.wait(page)
    x, y, part, onset = _staff_note(page, 0)
    page.touchscreen.tap(x, y)
    handle = page.locator(".sheet .handle")
    expect(handle).to_be_visible()
    (old,) = [row for row in act.notes(page)[part] if row[0] == onset]
    box = handle.bounding_box()
    assert box["width"] >= 30
    client = page.context.new_cdp_session(page)
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for kind, dy in (("touchStart", 0), ("touchMove", -8), ("touchMove", -20), ("touchEnd", None)):
        points = [] if dy is None else [{"x": middle["x"], "y": middle["y"] + dy}]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def is_higher() -> bool:
        (new,) = [row for row in act.notes(page)[part] if row[0] == onset]
        return bool(new[1] > old[1])

    act.until(page, is_higher)


_ABC = """X:1
T:A tune
M:2/4
L:1/8
K:G
G2 B2|A2 D2|GA Bc|d4|
"""


@pytest.mark.parametrize("suffix", ["abc", "mid", "musicxml"])
def test_own_tune_gets_a_second_voice_an_edit_and_a_pdf(
    open_page: Callable[..., Any], act: type[Acts], tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "tune.abc").write_text(_ABC)
    tune = read_voice(tmp_path / "tune.abc", 0)
    path = tmp_path / f"tune.{suffix}"
    if suffix != "abc":
        bicinium.write(tune, path)
    page = open_page("#add-voice")
    act.drop(page, "add-voice", path)
    page.wait_for_selector(".sheet[data-engraved]")
    act.fill(page, best_of="2")
    page.click("#add-voice .primary")
    act.wait(page)
    upper, lower = act.notes(page)
    assert [row[:3] for row in upper] == [
        [note.onset_tick, note.pitch, note.duration_ticks] for note in tune.voices[0].notes
    ]
    assert lower
    page.locator(".sheet").press("ArrowRight")
    page.keyboard.press("v")
    page.keyboard.press("Control+ArrowDown")
    assert act.notes(page)[1] != lower
    assert act.notes(page)[0] == upper
    if page.locator("[data-format=pdf]").count():
        assert act.download(page, "pdf", tmp_path).read_bytes().startswith(b"%PDF")
    edited = bicinium.read(act.download(page, "musicxml", tmp_path))
    assert [note.pitch for note in edited.voices[1].notes] == [row[1] for row in act.notes(page)[1]]
