"""The Python interface: what the command line does, as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict, Unpack

from bicinium.errors import RequestError
from bicinium.formats.registry import read_score
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.critic import Critic
from bicinium.generation.engine import (
    DEFAULT_SAMPLING,
    Composer,
    GenerationConfig,
    NoteEvent,
    Progress,
    ProgressCallback,
    not_to_be_had,
)
from bicinium.generation.memorization import QuotationIndex, quotations_path
from bicinium.generation.rerank import (
    DEFAULT_BEST_OF,
    best_of_each,
    each_candidate,
    quotation,
    score_sheet,
)
from bicinium.generation.sampling import Sampling
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import DEFAULT_MODEL, load_checkpoint
from bicinium.music.score import Score
from bicinium.render.export import write_score
from bicinium.reports.verdicts import FileVerdict, validate_file
from bicinium.request import Request


class Asked(TypedDict, total=False):
    """What a piece may be asked to be; all of it is optional."""

    key: str | None  # like "D minor"; drawn from the common keys where left out
    meter: str | None  # like "3/4"; likewise
    bars: int | None  # exact; 16, or what a file asks for
    tempo: float | None  # quarter notes a minute; the model's choice
    style: str | None  # like "bach"; drawn from the styles of keyboard music
    continue_from: str | Path | None  # a score that is to go on, to ``bars`` bars in all
    upper: str | Path | None  # an upper voice, to which the lower is to be written
    lower: str | Path | None  # a lower voice, to which the upper is to be written
    rewrite: str | Path | None  # a score of which …
    rewrite_bars: tuple[int, int] | None  # … these bars, from 1, first and last, are composed anew
    subject: str | None  # like "D4:1/8 E4:1/8 F4:1/4": opens the piece and is answered below
    answer: str  # of the subject: at the "octave" or the "fifth"
    temperature: float  # under 1 is tamer, over 1 wilder
    top_p: float  # draw from the likeliest tokens that hold so much probability
    top_k: int  # draw from so many of the likeliest; 0 is all
    min_p: float  # draw from those at least so likely as this share of the likeliest
    repetition_penalty: float  # nats off a note for each time it came among the last 16
    guidance: float | None  # how much the style counts: 1 as the model has it; None is 1.5 in the
    # styles of keyboard music and 1 in the others
    motif_strength: float | None  # how much motifs come again: 0 as the model has it, 1 as in
    # keyboard music; None is 1 in the styles of keyboard music and 0 in the others
    constraints: Constraints | None  # beyond the grammar; None is none
    max_quote: int | None  # bars; a piece that quotes more of the training set is drawn again
    use_grammar: bool  # False lets the model err
    grammar: MusicalGrammar | None  # another than the default one
    model: str | Path  # a checkpoint


@lru_cache(maxsize=2)
def load_composer(model: Path = DEFAULT_MODEL) -> Composer:
    """The composer of a model file; loaded once."""
    return Composer(load_checkpoint(model))


@lru_cache(maxsize=2)
def load_quotations(model: Path = DEFAULT_MODEL) -> QuotationIndex | None:
    """The fingerprints of what a model was trained on; None where none lie beside it."""
    path = quotations_path(model)
    return QuotationIndex.load(path) if path.is_file() else None


def compose_many(
    n: int = 4,
    *,
    seed: int = 0,
    best_of: int | None = None,
    progress: ProgressCallback | None = None,
    cancelled: Callable[[], bool] | None = None,
    **asked: Unpack[Asked],
) -> list[Composition]:
    """Compose ``n`` pieces; piece i is drawn with seed ``seed + i``, and its ``sheet`` judges it.

    best_of: draw so many candidates for each piece, and keep the one with the best sheet; 12 where
        left out, 1 without the grammar. They are asked for the same; the first is what there is
        without the others.
    cancelled: asked all the time; once it says True, composing ends with CancelledError.

    Raises RequestError where no piece can be so, ScoreError for a key, metre or file that is none.
    """
    if best_of is None:
        best_of = DEFAULT_BEST_OF if asked.get("use_grammar", True) else 1
    for name, count in (("pieces", n), ("candidates", best_of)):
        if count < 1:
            raise RequestError(f"{count} {name} cannot be composed: ask for 1 or more")
    composer, sampling, request = _prepared(seed, asked)
    seeds = [seed + i for i in range(n)]
    candidates, reasons = composer.attempt(
        *each_candidate(request.conditions(seeds, composer.styles), seeds, best_of),
        GenerationConfig(
            sampling,
            asked.get("use_grammar", True),
            _constraints(asked),
            candidates=best_of,
            cancelled=cancelled,
        ),
        progress,
        _not_quoting(asked),
    )
    model = _model(asked)
    best = best_of_each(candidates, best_of, load_quotations(model), Critic.for_model(model))
    for i in range(n):
        if i not in best:
            raise RequestError(not_to_be_had(seeds[i], reasons[i * best_of]))
    return [replace(best[i], seed=seeds[i], candidates=best_of) for i in range(n)]


def compose_each(
    n: int = 4, *, seed: int = 0, **asked: Unpack[Asked]
) -> Iterator[Composition | Progress]:
    """Compose ``n`` pieces with the seeds from ``seed`` on and give each, with its ``sheet``, as
    soon as it can be had; before that, whenever a bar of one is written, how far it is.

    A seed with which no piece can be had is passed over; RequestError where there is no other.
    """
    if n < 1:
        raise RequestError(f"{n} pieces cannot be composed: ask for 1 or more")
    composer, sampling, request = _prepared(seed, asked)
    seeds = [seed + index for index in range(n)]
    manner = GenerationConfig(sampling, asked.get("use_grammar", True), _constraints(asked))
    conditions = request.conditions(seeds, composer.styles)
    index, critic = load_quotations(_model(asked)), Critic.for_model(_model(asked))
    reasons = {}
    for i, told in composer.follow(conditions, seeds, manner, accept=_not_quoting(asked)):
        if isinstance(told, Composition):
            yield replace(told, sheet=score_sheet(told, index, critic))
        elif isinstance(told, Progress):
            yield told
        else:
            reasons[i] = told
    if len(reasons) == n:
        raise RequestError(not_to_be_had(seed, reasons[0]))


def compose(*, seed: int = 0, best_of: int | None = None, **asked: Unpack[Asked]) -> Composition:
    """Compose one piece; see ``compose_many`` and ``Asked``."""
    return compose_many(1, seed=seed, best_of=best_of, **asked)[0]


def stream(*, seed: int = 0, **asked: Unpack[Asked]) -> Iterator[NoteEvent]:
    """Compose one piece and give its notes as they are made; see ``Composer.stream``."""
    if asked.get("max_quote") is not None or not asked.get("use_grammar", True):
        raise RequestError(
            "a stream cannot be drawn again nor take back a note: it knows neither max_quote nor "
            "composing without the grammar"
        )
    composer, sampling, request = _prepared(seed, asked)
    (conditions,) = request.conditions([seed], composer.styles)
    return composer.stream(conditions, seed, sampling, _constraints(asked))


def _prepared(seed: int, asked: Asked) -> tuple[Composer, Sampling, Request]:
    if seed < 0:
        raise RequestError(f"seed {seed} must be 0 or more")
    if unknown := asked.keys() - Asked.__annotations__.keys():
        raise TypeError(f"a piece cannot be asked for by {', '.join(sorted(unknown))}")
    composer = load_composer(_model(asked))
    if grammar := asked.get("grammar"):
        composer = composer.with_grammar(grammar)
    return composer, replace(DEFAULT_SAMPLING, **_of(Sampling, asked)), Request(**_request(asked))


def _of(kind: Any, asked: Asked) -> dict[str, Any]:
    """What was asked that is a field of a dataclass."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in asked.items() if name in names}


def _request(asked: Asked) -> dict[str, Any]:
    files = ("continue_from", "upper", "lower", "rewrite")
    return {
        name: Path(value) if name in files and value is not None else value
        for name, value in _of(Request, asked).items()
    }


def _model(asked: Asked) -> Path:
    return Path(asked.get("model", DEFAULT_MODEL))


def _constraints(asked: Asked) -> Constraints | None:
    return asked.get("constraints", Constraints())


def _not_quoting(asked: Asked) -> Callable[[Score, Conditions], str] | None:
    """What says why a score quotes too much; None where it may."""
    most = asked.get("max_quote")
    if most is None:
        return None
    if most < 0 or not asked.get("use_grammar", True):
        raise RequestError(f"max_quote {most} must be 0 or more, and needs the grammar")
    index = load_quotations(_model(asked))
    if index is None:
        raise RequestError(
            f"nothing says what {_model(asked)} was trained on, so quotations cannot be refused: "
            "leave --max-quote out"
        )

    def why(score: Score, conditions: Conditions) -> str:
        found = quotation(score, conditions, index)
        return f"it quotes {found.bars} bars of {found.source}" if found.bars > most else ""

    return why


def validate(path: str | Path) -> FileVerdict:
    """Judge a MIDI file or a token file; see ``FileVerdict``."""
    return validate_file(Path(path))


def read(path: str | Path, *, reduce: bool = False) -> Score:
    """The two-voice score in a MIDI, MusicXML, kern or ABC file; see ``read_score``."""
    return read_score(path, reduce)


def write(score: Score, path: str | Path, *, perform: bool = False) -> None:
    """Write a score in the format the path ends with; see ``write_score``."""
    write_score(score, path, perform=perform)
