"""Measure the time from *Compose* to the first engraved score in a browser.

Usage: python -m benchmarks studio [--rounds 10] [--bars 8] [--candidates 3]

Starts the studio as it is typed, opens its page in Chromium and presses *Compose*, for other seeds,
keys and metres each time. The page marks the moments; the browser itself knows when the request for
the engraving was sent and answered. All on one machine, browser included.
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
from typing import Any

_CHROMIUM = "/usr/bin/chromium"
_COMMAND = [sys.executable, "-c", "from bicinium.cli.main import main; main()", "studio"]
_PIECES = (("D minor", "3/4"), ("C major", "4/4"), ("E minor", "4/4"), ("G major", "3/4"),
           ("A minor", "2/4"), ("Bb major", "6/8"), ("F# minor", "4/4"))  # fmt: skip
_GOAL_S = 2.0
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


def main(arguments: Sequence[str]) -> None:
    """Press, wait, print."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--bars", type=int, default=8)
    parser.add_argument("--candidates", type=int, default=3)
    options = parser.parse_args(arguments)
    with _served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 1200})
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        page.fill("#compose [name=bars]", str(options.bars))
        page.fill("#compose [name=n]", str(options.candidates))
        rounds = [_press(page, round_) for round_ in range(options.rounds)]
        browser.close()
    _report(rounds)


@contextmanager
def _served() -> Iterator[str]:
    """The address of a studio in a process of its own."""
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
    """The seconds of each part of one press, of all of it, and of all its candidates; and the
    draws of the piece that came first.
    """
    key, meter = _PIECES[round_ % len(_PIECES)]
    page.select_option("#compose [name=key]", key)
    page.select_option("#compose [name=meter]", meter)
    page.fill("#compose [name=seed]", str(100 * round_))
    page.evaluate("() => { performance.clearResourceTimings(); performance.clearMarks(); }")
    page.click("#compose .primary")
    page.wait_for_function("() => performance.getEntriesByName('score').length")
    moments = page.evaluate(_MOMENTS)
    draws = page.evaluate("studio.activeView.piece.draws")
    page.wait_for_selector(".stop:visible", state="detached")
    every = page.evaluate("performance.now()") - moments["request"]
    page.wait_for_timeout(1000)  # whatever goes on behind
    found = {name: (moments[end] - moments[begin]) / 1000 for name, (begin, end) in _PARTS.items()}
    found |= {"all of it": (moments["score"] - moments["request"]) / 1000, "draws": draws}
    found["every candidate"] = every / 1000
    print(f"  {key}, {meter}: " + ", ".join(f"{name} {found[name]:.2f}" for name in found))
    return found


def _report(rounds: Sequence[dict[str, float]]) -> None:
    for name in ("all of it", *_PARTS, "every candidate"):
        seconds = [found[name] for found in rounds]
        print(
            f"  {name:>15}: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s"
        )
    kept = sum(found["all of it"] < _GOAL_S for found in rounds)
    print(f"  the first engraved score came within {_GOAL_S:g} s in {kept} of {len(rounds)}")
