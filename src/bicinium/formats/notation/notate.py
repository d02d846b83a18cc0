"""Turn a score into bars of symbols: note values, ties, triplets, beams, clefs.

Only the clefs depend on pitch. Everything else depends on time alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from bicinium.formats.notation.beams import add_beams
from bicinium.formats.notation.clefs import choose_clefs
from bicinium.formats.notation.metrical_tree import (
    bar_tree,
    find_triplets,
    split_span,
    triplet_tree,
)
from bicinium.formats.notation.symbols import Bar, Symbol, Tuplet, note_value
from bicinium.music.score import Meter, Note, Score, Voice


def notate(score: Score) -> list[Bar]:
    """Return the notated bars of a score."""
    bar_ticks = score.meter.bar_ticks
    clefs = [choose_clefs(score, part) for part in range(len(score.voices))]
    bars = []
    for index in range(score.bars):
        start = max(index * bar_ticks, score.start_tick)
        end = (index + 1) * bar_ticks
        bars.append(
            Bar(
                start,
                end,
                tuple(_bar_symbols(voice, start, end, score.meter) for voice in score.voices),
                tuple(clefs_of_voice[index] for clefs_of_voice in clefs),
            )
        )
    return bars


def _bar_symbols(voice: Voice, start: int, end: int, meter: Meter) -> tuple[Symbol, ...]:
    """Return the symbols of one voice in one bar."""
    spans = list(_spans(voice, start, end))
    is_empty = len(spans) == 1 and spans[0][2] is None
    if is_empty and end - start == meter.bar_ticks:
        return (Symbol(start, end - start, None, "whole", fills_bar=True),)
    barline = end - meter.bar_ticks
    onsets = {span_start - barline for span_start, _, _ in spans} | {meter.bar_ticks}
    tuplets = [
        Tuplet(barline + tick, ticks)
        for tick, ticks in find_triplets(bar_tree(meter), tuple(sorted(onsets)))
    ]
    symbols = [
        symbol
        for span_start, span_end, note in spans
        for piece_start, piece_end, tuplet in _cut_at_tuplets(span_start, span_end, tuplets)
        for symbol in _symbols(piece_start, piece_end, note, tuplet, barline, meter)
    ]
    return tuple(add_beams(symbols, barline, meter))


def _symbols(
    start: int, end: int, note: Note | None, tuplet: Tuplet | None, barline: int, meter: Meter
) -> Iterator[Symbol]:
    """Yield the symbols of a note or rest that lies inside one tuplet or outside all."""
    tree = bar_tree(meter)
    if tuplet:
        tree = triplet_tree(tuplet.onset_tick - barline, tuplet.duration_ticks)
    in_tuplet = tuplet is not None
    for piece_start, piece_end in split_span(
        tree, start - barline, end - barline, note is None, in_tuplet
    ):
        value = note_value(piece_end - piece_start, in_tuplet)
        assert value is not None
        onset_tick, offset_tick = barline + piece_start, barline + piece_end
        yield Symbol(
            onset_tick=onset_tick,
            duration_ticks=offset_tick - onset_tick,
            note=note,
            note_type=value[0],
            dots=value[1],
            tuplet=tuplet,
            tied_from_last=note is not None and onset_tick > note.onset_tick,
            tied_to_next=note is not None and offset_tick < note.offset_tick,
        )


def _spans(voice: Voice, start: int, end: int) -> Iterator[tuple[int, int, Note | None]]:
    """Yield the (start, end, note) of notes and rests that fill a bar, cut at its barlines."""
    first = bisect_right(voice.notes, start, key=lambda note: note.offset_tick)
    now = start
    for note in voice.notes[first:]:
        if note.onset_tick >= end:
            break
        if note.onset_tick > now:
            yield now, note.onset_tick, None
            now = note.onset_tick
        yield now, min(note.offset_tick, end), note
        now = min(note.offset_tick, end)
    if now < end:
        yield now, end, None


def _cut_at_tuplets(
    start: int, end: int, tuplets: Sequence[Tuplet]
) -> Iterator[tuple[int, int, Tuplet | None]]:
    """Yield the pieces of [start, end) that lie inside one tuplet or outside all."""
    for tuplet in tuplets:
        if tuplet.end_tick <= start or tuplet.onset_tick >= end:
            continue
        if start < tuplet.onset_tick:
            yield start, tuplet.onset_tick, None
            start = tuplet.onset_tick
        yield start, min(end, tuplet.end_tick), tuplet
        start = min(end, tuplet.end_tick)
    if start < end:
        yield start, end, None
