"""The Python interface: what the command line does, as functions.

``compose``, ``compose_many``, ``compose_each`` and ``stream`` take either a ``ComposeRequest`` or
its options as keywords: the fields of ``ComposeRequest`` and of ``Sampling``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from bicinium.counterpoint import CounterpointReport, RuleSet, check_score, load_rule_set
from bicinium.counterpoint.cantus import find_given_voice, load_cantus, with_cantus
from bicinium.counterpoint.repair import Change, Likelihood, Proposal
from bicinium.counterpoint.repair import propose as propose_changes
from bicinium.counterpoint.repair import repair as repair_report
from bicinium.counterpoint.rule import Fault
from bicinium.errors import RequestError
from bicinium.formats.registry import read_score
from bicinium.generation.candidates import (
    Finished,
    Found,
    Progress,
    ProgressCallback,
    Rejected,
    Result,
    rejection_message,
)
from bicinium.generation.composer import Composer
from bicinium.generation.composition import Composition, IncompleteError
from bicinium.generation.conditions import Conditions
from bicinium.generation.critic import Critic
from bicinium.generation.deadline import Expired, deadline, default_time_limit, never
from bicinium.generation.form_bank import FormBank
from bicinium.generation.memorization import QuotationIndex, quotations_path
from bicinium.generation.piecewise import PiecewiseSearch, plan_of
from bicinium.generation.rerank import Selection
from bicinium.generation.streaming import NoteEvent
from bicinium.generation.surprisal import surprisal_bits
from bicinium.model.checkpoint import load_checkpoint, resolve_model
from bicinium.music.score import VOICES, Score
from bicinium.progress import progress_bar
from bicinium.render.export import write_score
from bicinium.reports.verdicts import FileVerdict, validate_file
from bicinium.request import ComposeRequest

_ROUNDS = 6  # in which a canon is drawn, for its time limit


def load_composer(model: str | Path | None = None) -> Composer:
    """Return the composer of a model, by any name of ``resolve_model``; each is loaded once."""
    return _load_composer(*_identity(resolve_model(model)))


def load_quotations(model: str | Path | None = None) -> QuotationIndex | None:
    """Return the quotation index beside a model; None if there is none."""
    path = quotations_path(resolve_model(model))
    return _load_quotations(*_identity(path)) if path.is_file() else None


def _identity(path: Path) -> tuple[Path, int]:
    """Return what changes with a file: training may write another one under the same name."""
    return path.absolute(), path.stat().st_mtime_ns


@lru_cache(maxsize=2)
def _load_composer(path: Path, modified_ns: int) -> Composer:
    return Composer(load_checkpoint(path), in_bytes=True, forms=FormBank.for_model(path))


@lru_cache(maxsize=2)
def _load_quotations(path: Path, modified_ns: int) -> QuotationIndex:
    return QuotationIndex.load(path)


def file_stems(request: ComposeRequest) -> list[str]:
    """Return the file name of each piece without its suffix, like ``d-minor-3-4-seed-7``."""
    seeds = list(request.seeds)
    conditions = request.conditions(seeds, _composer(request).styles)
    return [_file_stem(request, piece, seed) for piece, seed in zip(conditions, seeds, strict=True)]


def _file_stem(request: ComposeRequest, piece: Conditions, seed: int) -> str:
    """Return a file name without suffix: the given file, or the key and metre; and the seed."""
    if request.files:
        return f"{request.files[0].stem}-seed-{seed}"
    words = f"{piece.key_name} {piece.meter}".replace("b ", "-flat ").replace("#", "-sharp")
    return f"{words} seed {seed}".lower().replace(" ", "-").replace("/", "-")


def compose(*, request: ComposeRequest | None = None, **options: Any) -> Composition:
    """Compose one piece; see ``compose_many``."""
    return compose_many(1, request=request, **options)[0]


def compose_many(
    n: int = 4,
    *,
    request: ComposeRequest | None = None,
    progress: ProgressCallback | bool | None = None,
    cancelled: Callable[[], bool] | None = None,
    expired: Expired = never,
    **options: Any,
) -> list[Composition]:
    """Compose ``n`` pieces, or what the request says. Each has a ``sheet`` that measures it.

    progress: True shows a bar on a terminal and in notebooks; a function gets (bars written, in
        total), of all pieces. A piece has as many as the longest of its candidates; a new attempt
        begins at none. cancelled: returns True when composing is to stop.

    When the time limit of the request comes, or ``expired`` returns True, each piece is the best of
    its candidates so far.

    Raises IncompleteError, which has the other ``pieces``, if one is rejected; ScoreError for an
    invalid key, metre or file; and CancelledError as soon as ``cancelled`` returns True.
    """
    request = request or ComposeRequest.from_options(n=n, **options)
    if isinstance(progress, bool):
        with progress_bar() if progress else nullcontext() as bar:
            return compose_many(request=request, progress=bar, cancelled=cancelled, expired=expired)
    if request.is_piecewise:
        found: list[Composition] = []
        try:
            for one in _compose_piecewise(request, progress, cancelled, expired):
                found.append(one.composition)
        except RequestError as error:
            raise IncompleteError(str(error), found) from error
        return found
    composer, seeds = _composer(request), list(request.seeds)
    conditions, selection = request.conditions(seeds, composer.styles), _selection(request)
    time_is_up = _with_time_limit(expired, request, conditions)
    results = composer.generate(
        conditions, seeds, request.config, selection, cancelled=cancelled, expired=time_is_up
    )
    pieces: dict[int, Composition] = {}
    rejected: dict[int, Rejected] = {}
    for result in _watch(results, conditions, progress):
        if isinstance(result, Finished):
            pieces[result.index] = result.composition
        elif isinstance(result, Rejected):
            rejected[result.index] = result
    if rejected:
        message = rejection_message(rejected[min(rejected)])
        if pieces:
            message += f" {len(rejected)} of {request.n} pieces are missing."
        raise IncompleteError(message, [pieces[index] for index in sorted(pieces)])
    return [pieces[index] for index in range(request.n)]


def compose_each(
    *, request: ComposeRequest | None = None, expired: Expired = never, **options: Any
) -> Iterator[Progress | Found | Finished]:
    """Compose pieces as ``compose_many`` does, and give their candidates as they are found.

    The first candidate of each piece is composed before the others, so that there is music early.
    Before each candidate comes its progress, after the last the ``Finished`` piece. Rejected pieces
    are left out. See ``compose_many`` for ``expired``. Raises RequestError if every piece is
    rejected.
    """
    request = request or ComposeRequest.from_options(**options)
    if request.is_piecewise:
        yield from _compose_piecewise(request, expired=expired)
        return
    composer, seeds = _composer(request), list(request.seeds)
    conditions = request.conditions(seeds, composer.styles)
    time_is_up = _with_time_limit(expired, request, conditions)
    rounds = sorted({1, request.candidates})
    first: dict[int, Finished] = {}
    for best_of in rounds:
        rejected = []
        selection = _selection(request, best_of=best_of)
        for result in composer.generate(
            conditions, seeds, request.config, selection, expired=time_is_up
        ):
            if isinstance(result, Rejected):
                if found := first.get(result.index):  # time was up before there was another
                    yield replace(found, composition=replace(found.composition, timed_out=True))
                else:
                    rejected.append(result)
            elif isinstance(result, Finished) and best_of != rounds[-1]:
                first[result.index] = result
                yield Found(result.index, result.composition, is_best=True)
            elif best_of == rounds[-1] or isinstance(result, Progress):
                yield result
    if len(rejected) == request.n:
        raise RequestError(rejection_message(min(rejected, key=lambda one: one.index)))


def _compose_piecewise(
    request: ComposeRequest,
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
    expired: Expired = never,
) -> Iterator[Finished]:
    """Compose canons or invertible counterpoint, one piece after another."""
    composer, selection = _composer(request), _selection(request)
    ranges = [composer.grammar.config.range_of(part) for part in range(VOICES)]
    pieces = request.conditions(list(request.seeds), composer.styles)
    bars = sum(piece.bars for piece in pieces)
    time_is_up = _with_time_limit(expired, request, pieces)
    for index, (piece, seed) in enumerate(zip(pieces, request.seeds, strict=True)):
        before = sum(one.bars for one in pieces[:index])
        report = partial(_report_settled, progress, before, bars) if progress else None
        plan = plan_of(request.canon, request.invertible, piece, ranges)
        found = PiecewiseSearch(
            composer, piece, seed, plan, request.config, selection, cancelled, report, time_is_up
        ).run()
        yield Finished(index, found, (found,), found.draws * found.candidates)


def _with_time_limit(
    expired: Expired, request: ComposeRequest, pieces: Sequence[Conditions]
) -> Expired:
    """Start the time limit of a request. It ends when ``expired`` returns True, too."""
    bars = sum(piece.bars for piece in pieces)
    rounds = _ROUNDS if request.is_piecewise else 1
    seconds = request.time_limit or default_time_limit(bars, request.candidates * rounds)
    time_is_up = deadline(seconds)
    return lambda: expired() or time_is_up()


def _watch(
    results: Iterator[Result], pieces: Sequence[Conditions], progress: ProgressCallback | None
) -> Iterator[Result]:
    """Return the results; while they are read, the progress is reported, if there is a callback."""
    return _report_bars(results, [one.bars for one in pieces], progress) if progress else results


def _report_bars(
    results: Iterator[Result], bars: Sequence[int], progress: ProgressCallback
) -> Iterator[Result]:
    """Give the results, and call ``progress`` with the bars written; see ``compose_many``."""
    written, draws = [0] * len(bars), [0] * len(bars)
    for result in results:
        if isinstance(result, Progress):
            if result.draw != draws[result.index]:
                draws[result.index], written[result.index] = result.draw, 0
            written[result.index] = max(written[result.index], result.bars)
            progress(sum(written), sum(bars))
        elif isinstance(result, Finished | Rejected):
            written[result.index] = bars[result.index]
            progress(sum(written), sum(bars))
        yield result


def _report_settled(progress: ProgressCallback, before: int, bars: int, settled: int) -> None:
    progress(before + settled, bars)


def stream(*, request: ComposeRequest | None = None, **options: Any) -> Iterator[NoteEvent]:
    """Compose one piece and give its notes as they are made; see ``note_events``."""
    request = request or ComposeRequest.from_options(n=1, **options)
    takes_back = request.max_quote is not None or request.rules or request.is_piecewise
    if takes_back or not request.use_grammar:
        raise RequestError(
            "A stream needs the grammar, and takes no note back. Leave out max_quote, no_grammar, "
            "rules, canon and invertible."
        )
    composer = _composer(request)
    (conditions,) = request.conditions([request.seed], composer.styles)
    return composer.stream(conditions, request.seed, request.config)


def _composer(request: ComposeRequest) -> Composer:
    composer = load_composer(request.model)
    return composer.with_grammar(request.grammar) if request.grammar else composer


def _selection(request: ComposeRequest, best_of: int | None = None) -> Selection:
    quotations = load_quotations(request.model)
    if request.max_quote is not None and quotations is None:
        raise RequestError(
            f"There is no quotation index beside {request.model}, so quotations cannot be refused. "
            "Leave --max-quote out."
        )
    return Selection(
        best_of=best_of or request.candidates,
        quotations=quotations,
        critic=Critic.for_model(request.model),
        max_quote_bars=request.max_quote,
        rules=request.rules,
        eliminate=request.rules is None,  # the first bars do not show how many faults there will be
    )


def validate(path: str | Path) -> FileVerdict:
    """Check a MIDI file or a token file; see ``FileVerdict``."""
    return validate_file(Path(path))


def check(
    music: str | Path | Score,
    rules: str | Path | RuleSet = "bach",
    *,
    cantus: int | str | Path | None = None,
    reduce: bool = False,
    quantize: bool = False,
) -> CounterpointReport:
    """Check the counterpoint of a score or a file; see ``check_score``.

    rules: the name of a set (``species1`` to ``species5``, each also with ``-school``; ``bach``),
        or a YAML file. cantus: the voice that is given, 0 the upper, 1 the lower; or a cantus
        firmus by name or file (see ``load_cantus``), which must come back unchanged.
    """
    score = music if isinstance(music, Score) else read_score(music, reduce, quantize=quantize)
    rule_set = load_rule_set(rules)
    if isinstance(cantus, str | Path):
        rule_set = with_cantus(rule_set, given := load_cantus(cantus))
        cantus = find_given_voice(score, [note.pitch for note in given.voices[0].notes])
    return check_score(score, rule_set, cantus)


def repair(
    report: CounterpointReport,
    rules: str | Path | RuleSet | None = None,
    *,
    likely: bool = True,
    model: str | Path | None = None,
) -> tuple[CounterpointReport, tuple[Change, ...]]:
    """Remove the errors of a report by the least changes of pitch; see ``repair_report``.

    rules: those by which it was checked, if they are your own. likely: of the changes that cost
        least, take those that the model finds likeliest; it takes longer. Returns the report on the
        repaired score (``.score``) and the changes. Errors that no change of pitch removes remain.
    """
    likelihood = _likelihood(model) if likely else None
    return repair_report(report, load_rule_set(rules or report.rule_set), likelihood)


def propose(
    report: CounterpointReport,
    fault: Fault,
    rules: str | Path | RuleSet | None = None,
    *,
    count: int = 3,
    likely: bool = True,
    model: str | Path | None = None,
) -> list[Proposal]:
    """Return up to ``count`` ways to remove one fault of a report, the best first.

    Each has ``changes``, the ``score`` after them and, with ``likely``, its ``bits`` of surprise.
    """
    likelihood = _likelihood(model) if likely else None
    return propose_changes(
        report, fault, load_rule_set(rules or report.rule_set), count, likelihood
    )


def _likelihood(model: str | Path | None) -> Likelihood:
    return partial(surprisal_bits, load_composer(model))


def read(
    path: str | Path, *, reduce: bool = False, quantize: bool = False, unfold: bool = False
) -> Score:
    """Read the score in a MIDI, MusicXML, kern, ABC or MEI file; see ``read_score``."""
    return read_score(path, reduce, quantize=quantize, unfold=unfold)


def write(score: Score, path: str | Path, *, perform: bool = False) -> None:
    """Write a score in the format of the path's suffix; see ``write_score``."""
    write_score(score, path, perform=perform)
