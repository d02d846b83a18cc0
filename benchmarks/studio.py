"""Time from *Compose* to the first engraved score in a browser.

Starts the studio, opens its page in Chromium and presses *Compose*, with another seed, key and
metre each time. The page records the times; the browser records when the request for the engraving
was sent and answered.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import NotMeasuredError, Table

_CHROMIUM = "/usr/bin/chromium"
_COMMAND = [sys.executable, "-c", "from bicinium.cli.main import main; main()", "studio"]
_PIECES = (("D minor", "3/4"), ("C major", "4/4"), ("E minor", "4/4"), ("G major", "3/4"),
           ("A minor", "2/4"), ("Bb major", "6/8"), ("F# minor", "4/4"))  # fmt: skip
_MOMENTS = """() => {
    const of = (name) => performance.getEntriesByName(name).at(-1).startTime;
    const asked = performance.getEntriesByType("resource").find(
        (one) => one.name.endsWith("/api/engrave") && one.startTime >= of("piece"));
    return {request: of("request"), piece: of("piece"), sent: asked.requestStart,
            first: asked.responseStart, whole: asked.responseEnd, score: of("score")};
}"""
_PARTS = {
    "composing": ("request", "piece"),
    "preparing": ("piece", "sent"),
    "engraving": ("sent", "first"),
    "transfer": ("first", "whole"),
    "drawing": ("whole", "score"),
}  # what happens between which two moments


def measure(arguments: Sequence[str]) -> list[Table]:
    """Measure seconds by the clock of the page."""
    parser = argparse.ArgumentParser(prog="benchmarks studio", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--bars", type=int, default=8)
    parser.add_argument("--candidates", type=int, default=12)
    options = parser.parse_args(arguments)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NotMeasuredError(f"{error.name} is not installed.") from error
    if not Path(_CHROMIUM).exists():
        raise NotMeasuredError(f"there is no {_CHROMIUM}.")
    with _served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 1200})
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        page.fill("#compose [name=bars]", str(options.bars))
        page.fill("#compose [name=best_of]", str(options.candidates))
        rounds = [_press(page, round_) for round_ in range(options.repetitions)]
        browser.close()
    return [_table(rounds, options.bars)]


@contextmanager
def _served() -> Iterator[str]:
    """Start a studio in another process and give its address."""
    process = subprocess.Popen(
        [*_COMMAND, "--no-browser", "--port", "0"], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the studio does not start"
        yield found[0]
    finally:
        process.terminate()
        process.wait(20)


def _press(page: Any, round_: int) -> dict[str, float]:
    """Return the seconds of each part of one press, of all of it, and of all candidates."""
    key, meter = _PIECES[round_ % len(_PIECES)]
    page.select_option("#compose [name=key]", key)
    page.select_option("#compose [name=meter]", meter)
    page.fill("#compose [name=seed]", str(100 * round_))
    page.evaluate("() => { performance.clearResourceTimings(); performance.clearMarks(); }")
    page.click("#compose .primary")
    page.wait_for_function("() => performance.getEntriesByName('score').length")
    moments = page.evaluate(_MOMENTS)
    page.wait_for_selector(".stop:visible", state="detached")
    every = page.evaluate("performance.now()") - moments["request"]
    page.wait_for_timeout(1000)  # until work in the background is done
    found = {name: (moments[end] - moments[begin]) / 1000 for name, (begin, end) in _PARTS.items()}
    found |= {"all of it": (moments["score"] - moments["request"]) / 1000}
    found["every candidate"] = every / 1000
    return found


def _table(rounds: Sequence[dict[str, float]], bars: int) -> Table:
    table = Table(
        "The studio",
        ("From *Compose* to the first score", "Median seconds", "Worst", "Goal"),
        [f"{len(rounds)} presses for {bars} bars, browser and server on the same machine."],
    )
    for name in ("all of it", *_PARTS, "every candidate"):
        found = [one[name] for one in rounds]
        goal = "median 0.5, worst 1" if name == "all of it" else ""
        table.add(name, f"{statistics.median(found):.2f}", f"{max(found):.2f}", goal)
    return table
