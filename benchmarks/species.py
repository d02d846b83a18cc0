"""Write every species above and below many cantus firmi, and check what is written.

Usage: python -m benchmarks species [--cantus-firmi N]

The cantus firmi are those with a name, and new ones. Every exercise must pass ``check``. One that
cannot be written must be proved so by trying all possibilities.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np

from benchmarks.report import Table
from bicinium.counterpoint.cantus import CANTUS_FIRMI, load_cantus
from bicinium.counterpoint.cantus_composer import FINALS, compose_cantus
from bicinium.counterpoint.checker import check_score
from bicinium.counterpoint.rule_sets import load_rule_set
from bicinium.counterpoint.writer import NoCounterpointError, write_counterpoint
from bicinium.music.score import Score

SPECIES = range(1, 6)


def cantus_firmi() -> Iterator[tuple[str, Score]]:
    """Yield the cantus firmi with a name, then new ones without end."""
    for name in CANTUS_FIRMI:
        yield name, load_cantus(name)
    for seed in count():
        for final in FINALS:
            yield f"new-{final}, seed {seed}", compose_cantus(final, seed=seed)


def write_all(species: int, given: Sequence[tuple[str, Score]]) -> list[str]:
    """Return a row of the table; print what cannot be written."""
    rules, seconds = load_rule_set(f"species{species}"), []
    passed = warnings = proved = open_ = 0
    for name, cantus in given:
        for above in (True, False):
            began = time.process_time()
            try:
                report = write_counterpoint(cantus, species, above=above)
            except NoCounterpointError as error:
                print(f"{name}, species {species}: {error}", flush=True)
                proved += error.is_proved
                open_ += not error.is_proved
            else:
                again = check_score(report.score, rules, cantus=1 if above else 0)
                same = report.score.voices[1 if above else 0] == cantus.voices[0]
                passed += again.passed and same
                warnings += sum(fault.severity == "warning" for fault in again.faults)
            seconds.append(time.process_time() - began)
    counts = [species, len(seconds), passed, proved, open_, warnings]
    return [*map(str, counts), f"{np.median(seconds):.2f}", f"{max(seconds):.1f}"]


def main(options: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks species", description=__doc__)
    parser.add_argument("--cantus-firmi", type=int, default=100)
    given = list(islice(cantus_firmi(), parser.parse_args(options).cantus_firmi))
    table = Table(
        f"Species above and below {len(given)} cantus firmi",
        [
            "species", "exercises", "pass check", "proved impossible", "not found", "warnings",
            "median, s", "longest, s",
        ],
    )  # fmt: skip
    for species in SPECIES:
        table.add(*write_all(species, given))
    print(table.markdown())
