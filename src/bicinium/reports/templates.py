"""Render the HTML templates of the package with Jinja."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_template(package: str, name: str, **context: Any) -> str:
    """Render ``templates/name`` of a package. All values are escaped unless marked as safe."""
    return _environment(package).get_template(name).render(context)


@cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
