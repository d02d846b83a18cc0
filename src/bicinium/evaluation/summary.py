"""What an evaluation says, line by line: for the terminal and for the page alike.

Each line has the model's number, what real music has, and where there is one the aim and whether it
is met.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bicinium.evaluation.distributions import Comparison, Spread
from bicinium.evaluation.evaluate import Composed, Evaluation, Written
from bicinium.generation.rerank import MAX_FREE_QUOTE_BARS
from bicinium.music.descriptors import BINARY_MEASURES

LEAST_PAIRED, LEAST_VALID = 0.999, 0.95  # of notes and of pieces, written unaided
LEAST_SCORE = 0.8  # the grammar score of every piece
LONGEST_RUN = 3  # of one and the same token
MOST_RATIO = 1.5  # of the distance composed–real to the distance real–real
MOST_AUC = 0.75
LEAST_INSIDE = 0.8  # of the composed pieces, where 90 % of the real ones lie


@dataclass(frozen=True, slots=True)
class Line:
    """A number by name. ``met`` is None where nothing is aimed at."""

    section: str
    name: str
    value: str
    real: str = ""
    aim: str = ""
    met: bool | None = None


def table(evaluation: Evaluation) -> list[Line]:
    """All lines, section by section."""
    return [
        *_held_out(evaluation),
        *_written("unaided (no mask, temperature 1)", evaluation.unaided, bool(evaluation.unaided)),
        *_written("the same with the mask", evaluation.masked, False),
        *(_composed(evaluation.composed) if evaluation.composed else ()),
    ]


def as_text(lines: Sequence[Line]) -> str:
    """The table as plain text."""
    rows = [("", "model", "real", "aim")]
    sections: list[int] = []
    for index, line in enumerate(lines):
        if index == 0 or lines[index - 1].section != line.section:
            sections.append(len(rows))
            rows.append((line.section, "", "", ""))
        missed = "  MISSED" if line.met is False else ""
        rows.append((f"  {line.name}", line.value, line.real, line.aim + missed))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        ("\n" if index in sections else "")
        + (f"{name:<{widths[0]}}  {value:>{widths[1]}}  {real:>{widths[2]}}  {aim}".rstrip())
        for index, (name, value, real, aim) in enumerate(rows)
    )


def _held_out(evaluation: Evaluation) -> Iterator[Line]:
    for name, one in evaluation.predictions.items():
        section = f"prediction of held-out music: {name}"
        yield Line(section, "bits per note", f"{one.bits_per_note:.3f}")
        yield Line(section, "bits per token", f"{one.bits_per_token:.4f}")
        yield Line(section, "probability on illegal tokens", f"{one.illegal_mass:.3%}")
        yield Line(section, "notes, in pieces", f"{one.notes:,} in {one.pieces}")


def _written(section: str, written: Written | None, aimed: bool) -> Iterator[Line]:
    if written is None:
        return
    paired, valid = (LEAST_PAIRED, LEAST_VALID) if aimed else (1.0, 1.0)
    yield Line(section, "pieces", str(written.pieces))
    yield _at_least(section, "notes paired", written.paired, paired, ".2%")
    yield _at_least(section, "pieces valid", written.valid, valid, ".1%")
    yield Line(
        section,
        "least grammar score",
        f"{written.least_grammar_score:.3f}",
        aim=f"over {LEAST_SCORE}",
        met=written.least_grammar_score > LEAST_SCORE,
    )
    yield Line(section, "mean grammar score", f"{written.mean_grammar_score:.3f}")
    yield Line(
        section,
        "longest run of one token",
        str(written.longest_run),
        aim=f"at most {LONGEST_RUN}",
        met=written.longest_run <= LONGEST_RUN,
    )


def _composed(composed: Composed) -> Iterator[Line]:
    section = "composed pieces"
    works = f"of {composed.comparison.works} works" if composed.comparison else ""
    yield Line(section, "pieces", str(composed.pieces), works)
    yield Line(section, "not to be had", str(composed.not_to_be_had))
    yield Line(section, "draws a piece", f"{composed.draws:.2f}")
    ours, real = composed.quality_score
    yield Line(section, "quality score", f"{ours:.3f}", f"{real:.3f}")
    for name, (share, beside) in composed.adherence.items():
        yield Line(
            "obedience: as asked for",
            name,
            f"{share:.1%}",
            "" if beside is None else f"{beside:.1%}",
        )
    if composed.comparison:
        yield from _compared(composed, composed.comparison)
    if composed.quotations:
        section = "quotations of the training set"
        ours_quote, real_quotes = composed.quotations
        for name, ours_value, real_value in (
            (
                "bars, mean of each piece's longest",
                f"{ours_quote.mean:.2f}",
                f"{real_quotes.mean:.2f}",
            ),
            ("bars, the longest", str(ours_quote.longest), str(real_quotes.longest)),
            (
                f"pieces that quote over {MAX_FREE_QUOTE_BARS} bars",
                f"{ours_quote.long:.1%}",
                f"{real_quotes.long:.1%}",
            ),
        ):
            yield Line(section, name, ours_value, real_value)


def _compared(composed: Composed, comparison: Comparison) -> Iterator[Line]:
    section = "distance from real music over that of real from real"
    for one in comparison.distances:
        yield Line(
            section,
            words(one.name),
            f"{one.ratio:.2f}",
            f"{1 - one.overlap:.3f} : {1 - one.overlap_of_real:.3f}",
            f"at most {MOST_RATIO}",
            one.ratio <= MOST_RATIO,
        )
    bach = {rate.name: rate.real for rate in composed.bach}
    section = "counterpoint, for every 100 notes" + (" (in brackets: Bach)" if bach else "")
    for rate in comparison.counterpoint:
        beside = f" ({bach[rate.name]:.2f})" if bach else ""
        yield Line(section, words(rate.name), f"{rate.composed:.2f}", f"{rate.real:.2f}{beside}")
    section = "pieces within the 5–95 % range of the real ones"
    for spread in (*comparison.phrases, *comparison.motifs):
        yield _inside(section, spread)
    if comparison.two_sample:
        test = comparison.two_sample
        yield Line(
            "can a classifier tell composed from real?",
            "area under the curve",
            f"{test.auc:.3f} ± {test.error:.3f}",
            number(test.control),
            f"at most {MOST_AUC}",
            test.auc <= MOST_AUC,
        )


def _inside(section: str, spread: Spread) -> Line:
    if spread.name in BINARY_MEASURES:
        shares = f"{spread.composed_mean:.1%}", f"{spread.real_mean:.1%}"
        return Line(BINARY_MEASURES[spread.name], "share", *shares)
    return _at_least(
        section, words(spread.name), spread.inside, LEAST_INSIDE, ".1%", f"{spread.real_inside:.1%}"
    )


def _at_least(
    section: str, name: str, value: float, least: float, form: str, real: str = ""
) -> Line:
    if math.isnan(value):
        return Line(section, name, "–", "–")
    aim = f"at least {least * 100:g} %" if least < 1 else "all"
    return Line(section, name, f"{value:{form}}", real, aim, value >= least)


def number(value: float) -> str:
    """To three decimals; a dash for what says nothing."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def words(name: str) -> str:
    """``pitch_class`` as it is read."""
    return name.replace("_", " ")
