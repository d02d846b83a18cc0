"""The documentation site in a browser: it builds cleanly, and everybody can use it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as ``make docs`` builds it."""
    for name in ("material", "mkdocstrings"):
        pytest.importorskip(name, reason="the site needs the extra docs")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", out]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return out


@pytest.mark.slow
def test_the_site_has_no_dead_link_and_loads_nothing_from_the_network(site: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "check_site.py"), str(site)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout == "no dead link\n"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(site: Path, browser: Any, axe: str, scheme: str) -> None:
    page = browser.new_context(color_scheme=scheme).new_page()
    page.set_default_timeout(240_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    found = []
    # The links of 404.html begin at the root of a server, so that as a file it has no style.
    for path in sorted(set(site.rglob("*.html")) - {site / "404.html"}):
        page.goto(path.as_uri())
        page.evaluate(axe)
        violations = page.evaluate("axe.run().then((found) => found.violations)")
        found += [
            (path.name, one["id"], one["nodes"][0]["html"][:200])
            for one in violations
            if one["impact"] in SERIOUS
        ]
    assert not found
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]


@pytest.mark.slow
def test_the_search_finds_a_page(site: Path, browser: Any) -> None:
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=site, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout
        port = server.stdout.readline().split("port ")[1].split()[0]
        page = browser.new_context().new_page()
        page.set_default_timeout(240_000)
        page.goto(f"http://127.0.0.1:{port}/index.html")
        page.fill("input.md-search__input", "invertible")
        page.wait_for_selector(".md-search-result__link[href*='composing.html']")
    finally:
        server.terminate()
        server.wait()
