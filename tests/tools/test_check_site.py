"""The link checker of the documentation site."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECK = Path(__file__).parents[2] / "tools" / "check_site.py"


def _check(site: Path) -> tuple[int, list[str]]:
    command = [sys.executable, str(CHECK), str(site)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout.splitlines()


def test_good_links_are_passed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top-of-it">A</h1><a href="sub/b.html#here">b</a> <a href="#top-of-it">up</a>'
        '<a href="https://example.org/">elsewhere</a> <a href="mailto:a@example.org">write</a>'
    )
    (tmp_path / "sub" / "b.html").write_text('<p id="here"><a href="../">home</a></p>')
    assert _check(tmp_path) == (0, ["no dead link"])


def test_dead_links_places_and_foreign_resources_are_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="gone.html">a</a><a href="#nowhere">b</a><img src="gone.png">'
        '<script src="https://example.org/x.js"></script>'
        '<link rel="stylesheet" href="//example.org/x.css">'
    )
    assert _check(tmp_path) == (
        1,
        [
            "index.html loads https://example.org/x.js from another server.",
            "index.html loads //example.org/x.css from another server.",
            "index.html links to gone.html, which does not exist.",
            "index.html links to #nowhere, a place that does not exist.",
            "index.html links to gone.png, which does not exist.",
        ],
    )


def test_a_site_without_pages_is_a_problem(tmp_path: Path) -> None:
    assert _check(tmp_path) == (1, [f"{tmp_path} has no pages."])
