"""Render the HTML pages of the package with jinja2, from templates in the folders ``templates``.

``page.html.j2`` of this package is the frame and the style of every page; others may extend it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bicinium.render.piano_roll import LIGHT_COLOURS, PIANO_ROLL_CSS

_SHARED = "bicinium.reports"


def render_template(package: str, name: str, **context: Any) -> str:
    """Render ``templates/name`` of a package. All values are escaped unless marked as safe.

    Raises jinja2.UndefinedError if the template uses a value that is not in the context.
    """
    return _environment(package).get_template(name).render(context)


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, _SHARED))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.globals |= {"colours": LIGHT_COLOURS, "piano_roll_css": Markup(PIANO_ROLL_CSS)}
    return environment
