"""Styles of composers, for collections that name the composer but no style."""

from __future__ import annotations

import re
import unicodedata

_SURNAMES = {
    "bach": "bach",
    "baroque": (
        "handel couperin rameau scarlatti fischer telemann froberger weckmann purcell pachelbel "
        "buxtehude corelli vivaldi boismortier roberday titelouze fux krieger kuhnau muffat"
    ),
    "classical": (
        "mozart clementi haydn beethoven dussek andre benda pleyel wanhal yaniewicz kruetzer "
        "diabelli hummel kuhlau turk hassler gervasio barbella stefani holland"
    ),
    "romantic": (
        "chopin schumann schubert mendelssohn-bartholdy bartholdy mendelssohn brahms liszt grieg "
        "burgmuller tchaikovsky alkan satie debussy scriabin minkus rimsky-korsakov mussorgsky "
        "brown sidwell wieniawski zarebski paderewski stojowski moniuszko "
        "szymanowska noskowski zelenski rozycki gade heller dvorak smetana faure franck"
    ),
    "study": "hanon czerny",
}
_LAST_BIRTHS = {"baroque": 1719, "classical": 1784, "romantic": 1899}  # years
_STYLES = {name: style for style, names in _SURNAMES.items() for name in names.split()}


def style_of_composer(composer: str) -> str:
    """Return the style of a composer, by surname; empty if it is not known.

    Takes "J. S. Bach" and "Bach, Johann Sebastian".
    """
    surname = composer.split(",")[0].split()[-1:]
    letters = unicodedata.normalize("NFKD", "".join(surname).casefold().replace("ł", "l"))
    return _STYLES.get("".join(c for c in letters if not unicodedata.combining(c)), "")


def style_of_birth(date: str) -> str:
    """Return the style of a composer born in the year with which a date begins, like 1800/04/16.

    It is empty if the date does not begin with a year.
    """
    found = re.match(r"[~<]*(\d{4})", date)
    if not found:
        return ""
    return next((style for style, last in _LAST_BIRTHS.items() if int(found[1]) <= last), "")
