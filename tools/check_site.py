"""Check the built documentation site: dead links, and resources of other servers.

python tools/check_site.py [SITE]. Exit status 1 if there are any; each is a line. Links to other
servers are not followed: the check needs no network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"script": "src", "img": "src", "source": "src", "audio": "src", "iframe": "src"}
_LINKS = {"a": "href", "link": "href"} | _LOADED
_NOT_LOADED = ("canonical", "prev", "next", "alternate")  # kinds of <link>


class Page(HTMLParser):
    """The links of a page, the places in it, and what it loads from other servers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places = {"", "top"}
        self.foreign: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element's link and name."""
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        target = values.get(_LINKS.get(tag, ""))
        if target is None or (tag == "link" and values.get("rel") in _NOT_LOADED):
            return
        if not urlsplit(target).netloc:
            self.links.append(target)
        elif tag != "a":
            self.foreign.append(target)


def find_problems(site: Path) -> list[str]:
    """Return a line for each dead link, and for each resource of another server."""
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    problems = [] if pages else [f"{site} has no pages."]
    for path, page in sorted(pages.items()):
        if path.name == "404.html":  # its links begin at the root of a server
            continue
        name = path.relative_to(site.resolve())
        problems += [f"{name} loads {url} from another server." for url in page.foreign]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:  # mailto, data
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                problems.append(f"{name} links to {link}, which does not exist.")
            elif target in pages and unquote(parts.fragment) not in pages[target].places:
                problems.append(f"{name} links to {link}, a place that does not exist.")
    return problems


if __name__ == "__main__":
    found = find_problems(Path(*sys.argv[1:2]) if sys.argv[1:] else Path("site"))
    print("\n".join(dict.fromkeys(found)) or "no dead link")
    sys.exit(bool(found))
