"""The results of an evaluation as a table, for the terminal and for the HTML report.

Each row has the value of the model, the value of real music, and the target if there is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bicinium.evaluation.composition_metrics import CompositionMetrics
from bicinium.evaluation.distributions import Comparison, MeasureRange
from bicinium.evaluation.evaluate import Evaluation
from bicinium.evaluation.grammar_statistics import GrammarStatistics
from bicinium.generation.rerank import MAX_FREE_QUOTE_BARS
from bicinium.music.descriptors import BINARY_MEASURES

# Targets of the project.
MIN_PAIRED, MIN_VALID = 0.999, 0.95  # of notes and of pieces, without the mask
MIN_GRAMMAR_SCORE = 0.8  # of every piece
MAX_RUN = 3  # of the same token
MAX_DISTANCE_RATIO = 1.5
MAX_AUC = 0.75
MIN_INSIDE = 0.8  # share of the composed pieces in the central 90 % range of real ones


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One number as text. ``met`` is None without a target."""

    section: str
    name: str
    value: str
    real: str = ""
    target: str = ""
    met: bool | None = None


def summary_rows(evaluation: Evaluation) -> list[SummaryRow]:
    """Return all rows, section by section."""
    return [
        *_likelihood_rows(evaluation),
        *_grammar_rows(
            "unconstrained (no mask, temperature 1)",
            evaluation.unconstrained,
            MIN_PAIRED,
            MIN_VALID,
        ),
        *_grammar_rows("the same with the grammar mask", evaluation.masked, 1.0, 1.0),
        *(_composition_rows(evaluation.composed) if evaluation.composed else ()),
    ]


def format_table(rows: Sequence[SummaryRow]) -> str:
    """Format the rows as plain text."""
    lines = [("", "model", "real", "target")]
    section_starts: list[int] = []
    for index, row in enumerate(rows):
        if index == 0 or rows[index - 1].section != row.section:
            section_starts.append(len(lines))
            lines.append((row.section, "", "", ""))
        missed = "  MISSED" if row.met is False else ""
        lines.append((f"  {row.name}", row.value, row.real, row.target + missed))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        ("\n" if index in section_starts else "")
        + f"{name:<{widths[0]}}  {value:>{widths[1]}}  {real:>{widths[2]}}  {target}".rstrip()
        for index, (name, value, real, target) in enumerate(lines)
    )


def _likelihood_rows(evaluation: Evaluation) -> Iterator[SummaryRow]:
    for name, one in evaluation.likelihoods.items():
        section = f"likelihood of held-out music: {name}"
        yield SummaryRow(section, "bits per note", f"{one.bits_per_note:.3f}")
        yield SummaryRow(section, "bits per token", f"{one.bits_per_token:.4f}")
        yield SummaryRow(section, "probability on illegal tokens", f"{one.illegal_mass:.3%}")
        yield SummaryRow(section, "notes", f"{one.notes:,} in {one.pieces} pieces")


def _grammar_rows(
    section: str, statistics: GrammarStatistics | None, min_paired: float, min_valid: float
) -> Iterator[SummaryRow]:
    if statistics is None:
        return
    yield SummaryRow(section, "pieces", str(statistics.pieces))
    yield _share_row(section, "notes paired", statistics.paired, min_paired, ".2%")
    yield _share_row(section, "pieces valid", statistics.valid, min_valid, ".1%")
    yield SummaryRow(
        section,
        "lowest grammar score",
        f"{statistics.min_grammar_score:.3f}",
        target=f"over {MIN_GRAMMAR_SCORE}",
        met=statistics.min_grammar_score > MIN_GRAMMAR_SCORE,
    )
    yield SummaryRow(section, "mean grammar score", f"{statistics.mean_grammar_score:.3f}")
    yield SummaryRow(
        section,
        "longest run of one token",
        str(statistics.longest_run),
        target=f"at most {MAX_RUN}",
        met=statistics.longest_run <= MAX_RUN,
    )


def _composition_rows(composed: CompositionMetrics) -> Iterator[SummaryRow]:
    section = "composed pieces"
    works = f"of {composed.comparison.works} works" if composed.comparison else ""
    yield SummaryRow(section, "pieces", str(composed.pieces), works)
    yield SummaryRow(section, "no acceptable piece", str(composed.failures))
    yield SummaryRow(section, "attempts per piece", f"{composed.attempts_per_piece:.2f}")
    quality = composed.quality_score
    yield SummaryRow(section, "quality score", f"{quality.composed:.3f}", f"{quality.real:.3f}")
    for name, share in composed.adherence.items():
        yield SummaryRow(
            "adherence to the requested conditions",
            name,
            f"{share.composed:.1%}",
            "" if share.real is None else f"{share.real:.1%}",
        )
    if composed.comparison:
        yield from _comparison_rows(composed, composed.comparison)
    if composed.quotations:
        section = "quotations of the training set"
        ours, real = composed.quotations
        yield SummaryRow(
            section, "mean longest, bars", f"{ours.mean_bars:.2f}", f"{real.mean_bars:.2f}"
        )
        yield SummaryRow(section, "longest, bars", str(ours.max_bars), str(real.max_bars))
        yield SummaryRow(
            section,
            f"pieces with over {MAX_FREE_QUOTE_BARS} bars",
            f"{ours.share_over_limit:.1%}",
            f"{real.share_over_limit:.1%}",
        )


def _comparison_rows(composed: CompositionMetrics, comparison: Comparison) -> Iterator[SummaryRow]:
    section = "distance composed-real over distance real-real"
    for one in comparison.distances:
        yield SummaryRow(
            section,
            readable(one.name),
            f"{one.ratio:.2f}",
            f"{1 - one.overlap:.3f} : {1 - one.real_overlap:.3f}",
            f"at most {MAX_DISTANCE_RATIO}",
            one.ratio <= MAX_DISTANCE_RATIO,
        )
    bach = {rate.name: rate.real for rate in composed.bach}
    section = "counterpoint, per 100 notes" + (" (Bach in parentheses)" if bach else "")
    for rate in comparison.counterpoint:
        bach_rate = f" ({bach[rate.name]:.2f})" if bach else ""
        yield SummaryRow(
            section, readable(rate.name), f"{rate.composed:.2f}", f"{rate.real:.2f}{bach_rate}"
        )
    section = "pieces in the 5–95 % range of the real ones"
    for measure in (*comparison.phrases, *comparison.motifs):
        yield _range_row(section, measure)
    if comparison.two_sample:
        test = comparison.two_sample
        yield SummaryRow(
            "two-sample test (classifier, composed or real)",
            "area under the ROC curve",
            f"{test.auc:.3f} ± {test.standard_error:.3f}",
            format_number(test.control_auc),
            f"at most {MAX_AUC}",
            test.auc <= MAX_AUC,
        )


def _range_row(section: str, measure: MeasureRange) -> SummaryRow:
    if measure.name in BINARY_MEASURES:
        shares = f"{measure.composed_mean:.1%}", f"{measure.real_mean:.1%}"
        return SummaryRow(BINARY_MEASURES[measure.name], "share", *shares)
    real = f"{measure.real_inside:.1%}"
    return _share_row(section, readable(measure.name), measure.inside, MIN_INSIDE, ".1%", real)


def _share_row(
    section: str, name: str, value: float, minimum: float, number_format: str, real: str = ""
) -> SummaryRow:
    if math.isnan(value):
        return SummaryRow(section, name, "–", "–")
    target = f"at least {minimum * 100:g} %" if minimum < 1 else "all"
    return SummaryRow(section, name, f"{value:{number_format}}", real, target, value >= minimum)


def format_number(value: float) -> str:
    """Format to three decimals; NaN becomes a dash."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def readable(name: str) -> str:
    """Return ``pitch class`` for ``pitch_class``."""
    return name.replace("_", " ")
