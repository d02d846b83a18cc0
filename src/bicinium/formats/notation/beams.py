"""Beam the short notes of a bar."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bicinium.formats.notation.symbols import Beam, Symbol
from bicinium.music.score import TICKS_PER_QUARTER, Meter

_FLAGS = {"eighth": 1, "16th": 2, "32nd": 3, "64th": 4}
_METERS_BEAMED_BY_BAR = ((3, 8), (3, 16))


def add_beams(symbols: Sequence[Symbol], barline: int, meter: Meter) -> Iterator[Symbol]:
    """Yield the symbols of one bar with their beams. ``barline`` is the tick of its start.

    A beam joins consecutive notes with flags in one beam group. Rests and longer notes end it.
    """
    borders = _beam_borders(symbols, barline, meter)
    run: list[Symbol] = []
    group_of_run = -1
    for symbol in symbols:
        group = bisect_right(borders, symbol.onset_tick - barline)
        has_flag = symbol.note is not None and symbol.note_type in _FLAGS
        if run and (not has_flag or group != group_of_run):
            yield from _beam_run(run)
            run = []
        if has_flag:
            run.append(symbol)
            group_of_run = group
        else:
            yield symbol
    yield from _beam_run(run)


def _beam_borders(symbols: Sequence[Symbol], barline: int, meter: Meter) -> list[int]:
    """Return where beams must end, in ticks from the barline: at each beat.

    Plain eighths alone are beamed over half a bar of 4/4 and over a whole bar of 2/4 or 3/4.
    """
    is_compound = meter.beat_ticks % 9 == 0
    beat_ticks = meter.beat_ticks if is_compound else max(meter.beat_ticks, TICKS_PER_QUARTER)
    if (meter.numerator, meter.denominator) in _METERS_BEAMED_BY_BAR:
        beat_ticks = meter.bar_ticks
    borders = list(range(0, meter.bar_ticks, beat_ticks))
    if meter.denominator != 4 or meter.numerator not in (2, 3, 4):
        return borders
    span_ticks = TICKS_PER_QUARTER * (3 if meter.numerator == 3 else 2)
    for start in range(0, meter.bar_ticks, span_ticks):
        end = start + span_ticks
        inside = [s for s in symbols if start <= s.onset_tick - barline < end]
        fills_span = bool(inside) and inside[0].onset_tick == barline + start
        if fills_span and all(_is_plain_eighth(symbol) for symbol in inside):
            borders = [border for border in borders if not start < border < end]
    return borders


def _is_plain_eighth(symbol: Symbol) -> bool:
    is_undotted = not (symbol.dots or symbol.tuplet)
    return symbol.note is not None and symbol.note_type == "eighth" and is_undotted


def _beam_run(run: Sequence[Symbol]) -> Iterator[Symbol]:
    """Yield the symbols under one beam with the state of each of its lines."""
    if len(run) < 2:
        yield from run
        return
    flags = [_FLAGS[symbol.note_type] for symbol in run]
    for i, symbol in enumerate(run):
        before = flags[i - 1] if i > 0 else 0
        after = flags[i + 1] if i + 1 < len(run) else 0
        beams = (_beam_state(level, before, after) for level in range(1, flags[i] + 1))
        yield replace(symbol, beams=tuple(beams))


def _beam_state(level: int, before: int, after: int) -> Beam:
    """Return the state of one beam line, given the flags of the notes before and after."""
    if before >= level and after >= level:
        return "continue"
    if before >= level:
        return "end"
    if after >= level:
        return "begin"
    return "forward hook" if before == 0 or (after and before > after) else "backward hook"
