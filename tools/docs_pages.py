"""MkDocs hook: show the README, the change log and CONTRIBUTING as pages of the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCES = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
_LINK_TO_SOURCE = re.compile(r"\[([^]]+)\]\((?:\.\./)*(?:src|tests|tools|configs|examples)/[^)]*\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text of the root file for the pages in SOURCES, with links that work in docs/.

    Links to the source code become text, since the site has no source code.
    """
    name = SOURCES.get(page.file.src_uri)
    if name is None:
        return _relink(markdown, "](../")
    return _relink((ROOT / name).read_text(encoding="utf-8"), "](").replace("](docs/", "](")


def _relink(text: str, start: str) -> str:
    """Point links to root files at their pages; ``start`` is how such a link begins."""
    for target, source in SOURCES.items():
        text = text.replace(f"{start}{source}", f"]({target}")
    return _LINK_TO_SOURCE.sub(r"\1", text)
