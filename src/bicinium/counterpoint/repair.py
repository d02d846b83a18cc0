"""Propose the least change of pitch that removes a fault and makes no new one.

Only notes of voices that are not given change, and only in pitch: rhythm stays, and so does every
note that is not named by the proposal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import TypeAlias

from bicinium.counterpoint.checker import CounterpointReport, check_score, find_faults
from bicinium.counterpoint.rule import Fault, Severity
from bicinium.counterpoint.rule_sets import RuleSet
from bicinium.formats.spelling import signature_alterations, spell
from bicinium.music.key import STEP_SEMITONES
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, Note, Score, Voice

Likelihood: TypeAlias = Callable[[Score], float]  # bits of surprise; fewer is more likely
_FARTHEST = 7  # semitones that a note may move
_COSTS = {Severity.ERROR: 100, Severity.WARNING: 10, Severity.HINT: 1}
_NEIGHBOURS = 1  # notes before and after the fault that may change too
_SHORT_LIST = 12  # proposals whose likelihood is asked
_MAX_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Change:
    """A note that gets another pitch. The names are as written, such as ``G#4``."""

    voice: int
    onset_tick: int
    old_pitch: int
    new_pitch: int
    old_name: str = ""
    new_name: str = ""

    def __str__(self) -> str:
        return f"{self.old_name} becomes {self.new_name}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Changes that remove a fault, the score after them, and how much the model is surprised."""

    changes: tuple[Change, ...]
    score: Score
    bits: float | None = None


def propose(
    report: CounterpointReport,
    fault: Fault,
    rule_set: RuleSet,
    count: int = 3,
    likelihood: Likelihood | None = None,
) -> list[Proposal]:
    """Return up to ``count`` proposals for a fault of a report, the best first.

    A proposal removes the fault and adds none that is as serious. Of those, the ones that change
    the fewest notes by the least come first, or, with ``likelihood``, the most likely ones.
    """
    found: list[tuple[int, int, Proposal]] = []
    before = _cost(report.faults)
    for changes in _possible_changes(report, fault):
        if found and len(changes) > len(found[0][2].changes):
            break  # one note is enough
        score = _changed(report.score, changes)
        faults = find_faults(score, rule_set, report.cantus)
        if _same_fault(fault, faults) or _cost(faults) >= before:
            continue
        if _adds_as_serious(fault, report.faults, faults):
            continue
        size = sum(abs(change.new_pitch - change.old_pitch) for change in changes)
        found.append((_cost(faults), size, Proposal(changes, score)))
    found.sort(key=lambda one: one[:2])
    proposals = [proposal for _, _, proposal in found]
    if likelihood is not None:
        asked = [replace(one, bits=likelihood(one.score)) for one in proposals[:_SHORT_LIST]]
        proposals = sorted(asked, key=lambda one: one.bits or 0.0)
    return [
        replace(one, changes=_named(one.changes, report.score, one.score))
        for one in proposals[:count]
    ]


def repair(
    report: CounterpointReport, rule_set: RuleSet, likelihood: Likelihood | None = None
) -> tuple[CounterpointReport, tuple[Change, ...]]:
    """Take the best proposal for one error after another.

    Returns the report on the repaired score, and the changes. Errors that no proposal removes
    remain, such as a wrong rhythm.
    """
    changes: list[Change] = []
    given_up: set[tuple[str, int]] = set()
    for _ in range(_MAX_ROUNDS):
        errors = [
            fault
            for fault in report.faults
            if fault.severity is Severity.ERROR and (fault.rule, fault.tick) not in given_up
        ]
        if not errors:
            break
        proposals = propose(report, errors[0], rule_set, 1, likelihood)
        if not proposals:
            given_up.add((errors[0].rule, errors[0].tick))
            continue
        changes += proposals[0].changes
        given_up.clear()  # what could not be removed before may be now
        report = check_score(proposals[0].score, rule_set, report.cantus)
    return report, tuple(changes)


def _cost(faults: Sequence[Fault]) -> int:
    return sum(_COSTS[fault.severity] for fault in faults)


def _same_fault(fault: Fault, faults: Sequence[Fault]) -> bool:
    return any((one.rule, one.tick) == (fault.rule, fault.tick) for one in faults)


def _adds_as_serious(fault: Fault, before: Sequence[Fault], after: Sequence[Fault]) -> bool:
    """Return whether there is a fault that was not there and is as serious as ``fault``."""
    least = _COSTS[fault.severity]
    return any(_COSTS[one.severity] >= least and not _same_fault(one, before) for one in after)


def _possible_changes(report: CounterpointReport, fault: Fault) -> Iterator[tuple[Change, ...]]:
    """Yield changes of one note near the fault, then of two."""
    places = _places(report, fault)
    alone = {place: list(_pitches(report.score, *place)) for place in places}
    for changes in alone.values():
        yield from ((change,) for change in changes)
    for one, other in combinations(places, 2):
        yield from product(alone[one], alone[other])


def _places(report: CounterpointReport, fault: Fault) -> list[tuple[int, int]]:
    """Return (voice, index) of the notes of a fault that may change, and their neighbours."""
    last_first = [note for note in reversed(fault.notes) if note.voice != report.cantus]
    places = [(note.voice, note.index) for note in last_first]
    for note in last_first:
        for index in range(note.index - _NEIGHBOURS, note.index + _NEIGHBOURS + 1):
            if 0 <= index < len(report.score.voices[note.voice].notes):
                places.append((note.voice, index))
    return list(dict.fromkeys(places))


def _pitches(score: Score, voice: int, index: int) -> Iterator[Change]:
    """Yield a note's changes to other pitches of the key, the nearest first."""
    note = score.voices[voice].notes[index]
    classes = {
        (STEP_SEMITONES[step] + alter) % 12
        for step, alter in signature_alterations(score.written_signature.fifths).items()
    }
    final = score.voices[voice].notes[-1].pitch
    near_end = note.onset_tick >= score.end_tick - 2 * score.meter.bar_ticks
    leading = {(final - 1) % 12} if near_end else set()
    for distance in range(1, _FARTHEST + 1):
        for pitch in (note.pitch - distance, note.pitch + distance):
            in_key = pitch % 12 in classes | leading
            if in_key and LOWEST_PITCH <= pitch <= HIGHEST_PITCH:
                yield Change(voice, note.onset_tick, note.pitch, pitch)


def _named(changes: Sequence[Change], before: Score, after: Score) -> tuple[Change, ...]:
    """Return the changes with the names of the notes as each score spells them."""
    old, new = _names(before), _names(after)
    places = [(one.voice, one.onset_tick) for one in changes]
    return tuple(
        replace(one, old_name=old[place], new_name=new[place])
        for one, place in zip(changes, places, strict=True)
    )


def _names(score: Score) -> dict[tuple[int, int], str]:
    """Return the name of each note, by its voice and its first tick."""
    return {
        (part, note.onset_tick): spelling.name
        for part, (voice, line) in enumerate(zip(score.voices, spell(score), strict=True))
        for note, spelling in zip(voice.notes, line, strict=True)
    }


def _changed(score: Score, changes: Sequence[Change]) -> Score:
    voices = []
    for part, voice in enumerate(score.voices):
        new = {one.onset_tick: one.new_pitch for one in changes if one.voice == part}
        notes: tuple[Note, ...] = tuple(
            replace(note, pitch=new.get(note.onset_tick, note.pitch)) for note in voice.notes
        )
        voices.append(Voice(notes))
    return replace(score, voices=tuple(voices))
