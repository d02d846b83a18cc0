"""The page in a browser: compose, play, download, add a voice, analyse, and error messages.

Needs playwright and Debian's Chromium. No other machine is contacted.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bicinium
from bicinium.formats.midi import write_midi
from bicinium.music.score import Score, Voice
from bicinium.studio.run_events import MAX_LISTENERS

if TYPE_CHECKING:
    from tests.studio.conftest import Acts, Served

pytestmark = pytest.mark.slow
expect = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright").expect


def _rows(voice: Voice) -> list[list[int]]:
    return [[n.onset_tick, n.pitch, n.duration_ticks, n.velocity] for n in voice.notes]


def test_compose_play_and_download(
    open_page: Callable[..., Any], act: type[Acts], tmp_path: Path
) -> None:
    page = open_page()
    act.compose(page, key="D minor", meter="3/4", bars="8", best_of="3", seed="7")
    assert page.locator(".piece-view h2").inner_text() == "Bicinium in D minor"
    assert page.locator(".sheet g.measure").count() == 8
    notes = sum(map(len, act.notes(page)))
    assert page.locator(".sheet g.note").count() >= notes
    assert page.locator(".roll rect.note").count() == notes
    assert page.locator("#candidates .card").first.inner_text().startswith("Best")

    cursor = page.locator(".sheet .cursor")
    before = cursor.evaluate("cursor => cursor.style.transform")
    page.evaluate("studio.player.setTempo(30)")  # so that it does not end before it is looked at
    page.click("#play")
    page.wait_for_selector(".sheet g.lit0, .sheet g.lit1")
    page.wait_for_function("() => studio.player.peak > 0.02 && studio.player.tick > 10")
    page.wait_for_selector(".roll rect.lit", state="attached")
    assert cursor.evaluate("cursor => cursor.style.transform") != before
    page.click("#halt")
    assert page.evaluate("[studio.player.playing, studio.player.tick]") == [False, 0]

    path = act.download(page, "mid", tmp_path)
    assert bicinium.validate(path).valid
    score = bicinium.read(path)
    assert (str(score.key), str(score.meter), score.bars) == ("D minor", "3/4", 8)
    assert [_rows(voice) for voice in score.voices] == act.notes(page)
    again = bicinium.read(act.download(page, "musicxml", tmp_path))
    assert (again.voices, again.bars, again.key) == (score.voices, score.bars, score.key)
    if page.locator("[data-format=pdf]").count():
        assert act.download(page, "pdf", tmp_path).read_bytes().startswith(b"%PDF")


def test_loop_seek_and_tempo(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page("#compose?key=C+major&meter=2%2F4&bars=4&tempo=120&seed=3")
    act.wait(page)
    page.fill(".bars [name=first]", "2")
    page.fill(".bars [name=last]", "2")
    page.click(".bars [name=loop]")
    page.locator("#pace").evaluate(
        "pace => { pace.value = 220; pace.dispatchEvent(new Event('input')) }"
    )
    page.click("#play")
    page.wait_for_function("() => studio.player.segments.length > 2")  # it has come round twice
    assert 48 <= page.evaluate("studio.player.tick") <= 96
    assert page.locator("#place").inner_text() in ("bar 2, beat 1 (2)", "bar 2, beat 2 (2)")
    page.click("#halt")
    page.click("#loop")
    page.locator(".roll svg").click(position={"x": 400, "y": 60})
    tick = page.evaluate("studio.player.tick")
    assert tick > 0
    assert page.evaluate("studio.player.loop") is None


def test_link_composes_the_same_piece(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page()
    act.compose(page, key="G major", meter="2/4", bars="2", best_of="1", motif_strength="1.5")
    address, notes = act.link(page), act.notes(page)
    page.wait_for_selector("text=/Link copied|address bar/")
    assert "seed=" in address
    assert "motif_strength=1.5" in address
    again = open_page(address)
    act.wait(again)
    assert act.notes(again) == notes
    assert again.input_value("[name=motif_strength]") == "1.5"


def test_save_compare_and_vary(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page()
    act.compose(page, bars="2", meter="2/4", best_of="3", seed="11")
    assert page.evaluate("studio.activeView.piece.seed") == 11
    best = act.notes(page)
    page.click(".actions >> text=Save here")
    expect(page.locator("#saved li")).to_have_count(1)
    page.click(".actions >> text=Compare")
    page.wait_for_selector("#views.two .piece-view:nth-child(2) .sheet[data-engraved]")
    assert act.notes(page) != best
    page.locator(".listen:visible").click()
    assert act.notes(page) == best
    page.locator(".piece-view:nth-child(2) >> text=Close").click()
    page.click(".actions >> text=Vary")
    act.wait(page)
    expect(page.locator("#candidates .card").last).to_contain_text("Original")
    page.reload()
    page.wait_for_selector("#saved li button")
    page.locator("#saved li button").first.click()
    page.wait_for_selector(".sheet[data-engraved]")
    assert act.notes(page) == best


def test_best_candidate_is_that_of_the_command_line(
    open_page: Callable[..., Any], act: type[Acts]
) -> None:
    options: dict[str, Any] = {"key": "D minor", "meter": "3/4", "bars": 8, "seed": 21}
    chosen = bicinium.compose(**options)
    assert chosen.score is not None
    page = open_page()
    page.evaluate(
        """() => {
            window.shown = [];
            const open = studio.open.bind(studio);
            studio.open = (piece) => (shown.push(JSON.stringify(piece.score.voices)), open(piece));
        }"""
    )
    act.compose(page, **{name: str(value) for name, value in options.items()})
    assert act.notes(page) == [_rows(voice) for voice in chosen.score.voices]
    assert page.locator("#candidates .card[aria-pressed=true]").inner_text().startswith("Best")
    assert page.locator("#candidates .card").count() > 2
    shown = page.evaluate("shown")
    assert len(shown) == len(set(shown)) >= 1  # each is better than the one before


def test_piece_that_plays_is_not_replaced(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page()
    act.fill(page, bars="24", seed="3", key="G major")
    page.click("#compose .primary")
    page.wait_for_selector(".sheet[data-engraved]")
    page.evaluate("studio.player.setTempo(5)")  # so that it does not end before the composing
    page.click("#play")
    page.wait_for_selector("#play[aria-pressed=true]")
    before = act.notes(page)
    page.wait_for_selector(".stop:visible", state="detached")
    assert act.notes(page) == before
    assert page.evaluate("studio.player.playing")


def test_progress_is_shown(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page()
    act.fill(page, bars="256")
    page.click("#compose .primary")
    page.wait_for_function(
        """() => {
            const card = document.querySelector(".card.coming");
            return /^bar ([2-9]|1[0-9]) of 256/.test(card?.querySelector("small").textContent) &&
                card.querySelector("progress").value > 0;
        }"""
    )
    bar = page.get_by_role("progressbar", name="Progress of the next piece")
    assert 0 < bar.evaluate("bar => bar.value") < 1
    status = page.locator(".status[role=status]:visible")
    expect(status).to_have_text(re.compile("Composing|Looking for a better one"))
    expect(page.locator(".counter:visible")).to_contain_text("of 256")
    page.click("#compose .stop")
    page.wait_for_selector("text=/Stopped/")
    expect(bar).to_have_count(0)
    expect(page.locator(".card.coming")).to_have_count(0)


def test_ranges_and_quotations_are_in_the_link(
    open_page: Callable[..., Any],
    act: type[Acts],
) -> None:
    page = open_page()
    page.click("text=Advanced")
    page.get_by_label("Upper voice, lowest note").select_option("C5")
    page.get_by_label("Upper voice, highest note").select_option("A5")  # too near: C5 gives way
    page.get_by_label("Lower voice, highest note").select_option("D4")
    assert page.get_by_label("Upper voice, lowest note").input_value() == "69"
    assert (
        page.locator("#rule-range").evaluate("rule => rule.selectedOptions[0].text") == "required"
    )
    page.fill("[name=max_quote]", "2")
    act.compose(page, key="G major", meter="2/4", bars="4", best_of="1")
    upper, lower = act.notes(page)
    assert {row[1] for row in upper} <= set(range(69, 82))
    assert {row[1] for row in lower} <= set(range(33, 63))
    again = open_page(act.link(page))
    act.wait(again)
    assert act.notes(again) == [upper, lower]
    assert again.input_value("[name=max_quote]") == "2"
    assert again.evaluate("studio.settings.ranges") == [[69, 81], [33, 62]]


def test_stop_ends_the_work(open_page: Callable[..., Any], act: type[Acts], served: Served) -> None:
    page = open_page()
    page.fill("#compose [name=bars]", "200")
    page.click("#compose .primary")
    page.wait_for_selector("text=/Composing/")
    page.click("#compose .stop")
    page.wait_for_selector("text=/Stopped/")
    act.until(page, lambda: served.studio.composers.working == 0)


def test_other_voice_is_composed(
    open_page: Callable[..., Any],
    act: type[Acts],
    made_up_score: Callable[..., Score],
    tmp_path: Path,
) -> None:
    given = made_up_score(6, 3, "3/4", "D minor")
    alone = Score((given.voices[0], Voice()), 3, given.meter, given.key, given.tempo_qpm)
    write_midi(alone, tmp_path / "melody.mid")
    page = open_page("#add-voice")
    act.drop(page, "add-voice", tmp_path / "melody.mid")
    page.wait_for_selector("text=Compose the other voice")
    act.fill(page, best_of="1", manner="chorale")
    page.click("#add-voice .primary")
    act.wait(page)
    upper, lower = act.notes(page)
    assert upper == _rows(given.voices[0])
    assert lower
    expect(page.locator(".piece-view .details").first).to_contain_text("style: Chorale")


def test_other_bars_stay_when_bars_are_rewritten(
    open_page: Callable[..., Any],
    act: type[Acts],
    made_up_score: Callable[..., Score],
    tmp_path: Path,
) -> None:
    given = made_up_score(8, 5, "3/4", "D minor")
    write_midi(given, tmp_path / "piece.mid")
    page = open_page("#add-voice")
    page.set_input_files("[data-drop=add-voice] input", tmp_path / "piece.mid")
    page.wait_for_selector(".sheet[data-engraved]")
    act.fill(page, best_of="1")
    page.locator(".sheet g.measure rect.bar").nth(2).click()
    page.locator(".sheet g.measure rect.bar").nth(3).click(modifiers=["Shift"])
    assert page.locator(".bars [name=first]").input_value() == "3"
    assert page.locator(".bars [name=last]").input_value() == "4"
    page.click(".bars [name=rewrite]")
    act.wait(page)
    first, last = 2 * given.meter.bar_ticks, 4 * given.meter.bar_ticks
    for before, after in zip(given.voices, act.notes(page), strict=True):
        kept = [row for row in _rows(before) if not first <= row[0] < last]
        assert [row for row in after if not first <= row[0] < last] == kept
    rewritten = act.notes(page)
    assert rewritten != [_rows(voice) for voice in given.voices]
    again = open_page(act.link(page))  # which holds what was given, too
    act.wait(again)
    assert act.notes(again) == rewritten


def test_score_of_several_pages_is_complete(
    open_page: Callable[..., Any],
    act: type[Acts],
    screens: dict[str, Any],
    made_up_score: Callable[..., Score],
    tmp_path: Path,
) -> None:
    write_midi(made_up_score(2, 320), tmp_path / "long.mid")
    page = open_page("#add-voice", **screens["phone"])
    page.set_input_files("[data-drop=add-voice] input", tmp_path / "long.mid")
    page.wait_for_selector(".sheet[data-engraved]")
    pages = page.locator(".sheet > svg")
    assert pages.count() > 1
    assert page.locator(".sheet g.measure").count() == 320
    page.locator(".sheet g.measure rect.bar").last.click()
    assert page.locator(".bars [name=first]").input_value() == "320"
    cursor = page.locator(".sheet .cursor")
    act.until(page, lambda: pages.last.bounding_box()["y"] < cursor.bounding_box()["y"])


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("broken.mid", b"MThd and then nothing", "Broken.mid is damaged"),
        ("broken.musicxml", b"<score-partwise><part>", "Broken.musicxml is not well-formed XML"),
        ("picture.png", b"\x89PNG", "Picture.png is not music"),
        ("large.mid", b"MThd" + bytes(3_000_000), "The limit is 2 MB"),
    ],
)
def test_broken_file_shows_a_message(
    open_page: Callable[..., Any],
    act: type[Acts],
    tmp_path: Path,
    name: str,
    data: bytes,
    sentence: str,
) -> None:
    (tmp_path / name).write_bytes(data)
    page = open_page("#add-voice")
    act.drop(page, "add-voice", tmp_path / name)
    page.wait_for_selector("#notice:visible")
    assert page.locator("#notice").inner_text().startswith(sentence)


def test_analyse(
    open_page: Callable[..., Any],
    act: type[Acts],
    made_up_score: Callable[..., Score],
    tmp_path: Path,
) -> None:
    page = open_page("#compose?key=D+minor&meter=3%2F4&bars=3&seed=3")
    act.wait(page)
    page.click("nav >> text=Analyse")
    page.click("#analyse")
    page.wait_for_selector("text=Grammar rules")
    assert page.locator("dl.rulebook dt").count() >= 8
    expect(page.locator(".roll .surprise")).to_have_count(1)
    repeated = Score((Voice(made_up_score(1, 4).voices[0].notes[:2]), Voice()), 4)
    write_midi(repeated, tmp_path / "a.mid")
    data = bytearray((tmp_path / "a.mid").read_bytes())
    off = data.index(b"\x80", data.rindex(b"MTrk") - 80)  # a note never ends
    data[off] = 0xA0
    (tmp_path / "hanging.mid").write_bytes(data)
    act.drop(page, "analyse", tmp_path / "hanging.mid")
    page.wait_for_selector("text=Not valid")
    expect(page.locator("#results .places button")).not_to_have_count(0)
    expect(page.locator(".roll .mark")).not_to_have_count(0)


def test_training_runs(open_page: Callable[..., Any]) -> None:
    page = open_page("#runs")
    page.wait_for_selector(".chart svg polyline")
    expect(page.locator(".chart .back")).not_to_have_count(0)
    expect(page.locator(".chart .point")).to_have_count(1)  # one value is a dot, not a line
    expect(page.locator(".diary li")).to_have_count(2)
    page.click(".samples button")
    page.wait_for_selector(".sheet[data-engraved]")
    page.click("#play")
    page.wait_for_selector(".roll rect.lit")


def test_new_metrics_appear(open_page: Callable[..., Any], run_folder: Path) -> None:
    run = run_folder / "going-on"
    run.mkdir()
    (run / "metrics.jsonl").write_text('{"step": 10, "train/cross_entropy": 5.0}\n')
    try:
        page = open_page("#runs")
        page.click("#runs >> text=going-on")
        page.wait_for_selector("text=step 10, running")
        page.get_by_role("button", name="All 1 curves").focus()
        with (run / "metrics.jsonl").open("a") as metrics:
            metrics.write('{"step": 20, "train/cross_entropy": 4.5}\n')
        page.wait_for_selector("text=step 20, running")
        assert page.evaluate("document.activeElement.textContent") == "All 1 curves"
    finally:
        shutil.rmtree(run)
    page.click("nav >> text=Compose")


def test_too_many_listeners_show_a_message(open_page: Callable[..., Any], served: Served) -> None:
    run_events = served.studio.run_events
    run_events.listeners += MAX_LISTENERS
    try:
        page = open_page("#runs")
        page.wait_for_selector("#notice:visible")
        assert "studio is busy" in page.locator("#notice").inner_text()
    finally:
        run_events.listeners -= MAX_LISTENERS
    page.wait_for_selector(".chart")  # it has asked again
    expect(page.locator("#notice")).to_be_hidden()


# ------------------------------------------------------------------ pictures for docs/studio.md


@pytest.mark.skipif(
    "BICINIUM_PICTURES" not in os.environ, reason="BICINIUM_PICTURES=1 draws docs/pictures anew"
)
def test_pictures(open_page: Callable[..., Any], screens: dict[str, Any], act: type[Acts]) -> None:
    folder = Path(__file__).resolve().parents[2] / "docs" / "pictures"
    address = "#compose?key=D+minor&meter=3%2F4&bars=8&tempo=96&style=bach&seed={}"

    page = open_page(viewport={"width": 1440, "height": 1290})
    act.compose(page, key="D minor", meter="3/4", bars="8", tempo="96", style="bach", seed="71")
    page.wait_for_selector(".sheet[data-engraved]")
    page.locator("#seek").evaluate(
        "seek => { seek.value = 160; seek.dispatchEvent(new Event('input')) }"
    )
    page.evaluate("studio.activeView.move(160, true)")
    page.screenshot(path=folder / "studio-wide.png")

    page = open_page(
        address.format(71), color_scheme="dark", viewport={"width": 1280, "height": 1400}
    )
    act.wait(page)
    page.click("nav >> text=Analyse")
    page.click("#analyse")
    page.wait_for_selector("text=Grammar rules")
    page.wait_for_timeout(1500)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=folder / "studio-dark.png")

    page = open_page(address.format(71), **screens["phone"], device_scale_factor=1.5)
    act.wait(page)
    page.evaluate("document.querySelector('.piece-view').scrollIntoView()")
    page.wait_for_timeout(800)
    page.screenshot(path=folder / "studio-phone.png")

    page = open_page("#add-voice", viewport={"width": 1280, "height": 900})
    page.click("#write-voice")
    page.wait_for_selector(".sheet[data-engraved]")
    for name in ("E♭5", "D5", "C5", "D5", "F5", "E♭5", "D5", "C5", "B4", "C5"):
        page.click(f".keys [aria-label='{name}']")
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / "studio-line.png")


# ------------------------------------------------------------------ for everybody


def test_keyboard_operation(open_page: Callable[..., Any], act: type[Acts]) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#compose [name=bars]")
    page.keyboard.press("Control+A")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    act.wait(page)
    page.focus(".piece-view")
    page.keyboard.press("Space")
    page.wait_for_selector("#play[aria-pressed=true]")
    page.keyboard.press("Space")
    page.wait_for_selector("#play[aria-pressed=false]")
