"""Choose the clef of each bar."""

from __future__ import annotations

from bicinium.formats.notation.symbols import Clef
from bicinium.music.score import Score, Voice

_CLEFS: tuple[Clef, Clef] = ("treble", "bass")
_MIDDLE_LINE_PITCHES = (71, 50)  # B4 and D3, in the order of _CLEFS
_STAFF_REACH_SEMITONES = 9  # from the middle line to the first ledger line
_SEMITONES_PER_LEDGER_LINE = 3.4
_CLEF_CHANGE_COST = 10.0  # in ledger lines, counted at every note


def choose_clefs(score: Score, part: int) -> list[Clef]:
    """Return the clef of each bar of a voice.

    The clefs minimise ledger lines plus the cost of changes, by dynamic programming over the bars.
    The upper voice starts in the treble and the lower in the bass, unless a voice's first notes
    lie far from that clef.
    """
    default = min(part, 1)
    best = [0.0 if clef == default else _CLEF_CHANGE_COST for clef in (0, 1)]
    came_from: list[list[int]] = []
    for cost in _ledger_line_costs(score.voices[part], score):
        choice = [
            clef if best[clef] <= best[1 - clef] + _CLEF_CHANGE_COST else 1 - clef
            for clef in (0, 1)
        ]
        best = [
            best[previous] + (_CLEF_CHANGE_COST if previous != clef else 0.0) + cost[clef]
            for clef, previous in enumerate(choice)
        ]
        came_from.append(choice)
    treble_wins = best[0] < best[1] or (best[0] == best[1] and default == 0)
    clef = 0 if treble_wins else 1
    path = []
    for choice in reversed(came_from):
        path.append(_CLEFS[clef])
        clef = choice[clef]
    return path[::-1]


def _ledger_line_costs(voice: Voice, score: Score) -> list[list[float]]:
    """Return the ledger lines of each bar in the treble and in the bass clef."""
    costs = [[0.0, 0.0] for _ in range(score.bars)]
    for note in voice.notes:
        bar = note.onset_tick // score.meter.bar_ticks
        for clef, middle_line in enumerate(_MIDDLE_LINE_PITCHES):
            beyond = abs(note.pitch - middle_line) - _STAFF_REACH_SEMITONES
            costs[bar][clef] += max(0.0, beyond / _SEMITONES_PER_LEDGER_LINE)
    return costs
