"""Dead ends that a caller's own rules would make, found when the grammar is built: random legal
walks through short pieces, all of which must end.

The default rules make none (see ``automaton``). Of others nothing can be proved, but a rule that
conflicts with them does so soon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bicinium.grammar.terms import ENDED
from bicinium.tokenizer.vocabulary import KINDS, Kind

if TYPE_CHECKING:
    from bicinium.grammar.automaton import MusicalGrammar

_BAR_TICKS = (96, 72)  # 4/4 and 3/4
_WALKS = 24
_BARS = 2
_MAX_TOKENS = 500  # more than such a piece can have


def find_dead_ends(grammar: MusicalGrammar) -> None:
    """Raises DeadEndError, naming the rules that conflict, if a walk cannot go on."""
    rng = np.random.default_rng(0)
    for walk in range(_WALKS):
        state = grammar.initial_state(
            bar_ticks=_BAR_TICKS[walk % len(_BAR_TICKS)],
            bars=_BARS,
            max_tokens=_MAX_TOKENS,
            spare_slots=0,
        )
        while state.stage != ENDED:
            allowed = np.flatnonzero(grammar.token_mask(state))
            by_kind = rng.random(len(Kind))[KINDS[allowed]]  # a kind first, then one of its tokens
            state.advance(int(allowed[(by_kind + 1e-6 * rng.random(len(allowed))).argmax()]))
