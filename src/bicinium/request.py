"""``ComposeRequest``: what to compose, for the command line, Python and the studio.

A request is in words and files. ``conditions`` turns it into the conditions of each piece; what is
left open is drawn, by the seed, from the distribution of keyboard music.
"""

from __future__ import annotations

import difflib
import secrets
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from bicinium.counterpoint.imitation import INVERSIONS, Canon
from bicinium.counterpoint.rule_sets import RuleSet, load_rule_set
from bicinium.errors import RequestError
from bicinium.formats.registry import read_score, read_voice
from bicinium.generation.conditions import (
    MAX_TEMPO_QPM,
    MIN_TEMPO_QPM,
    Conditions,
    draw_key,
    draw_meter,
    draw_style,
)
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import DEFAULT_CONSTRAINTS, Constraints
from bicinium.generation.fixed_notes import FixedNotes, fix_around_gap, fix_opening, fix_voice
from bicinium.generation.given_score import check_grammar, check_meter, key_of, key_of_line
from bicinium.generation.manner import MANNERS, Manner, manner_of
from bicinium.generation.rerank import DEFAULT_BEST_OF
from bicinium.generation.sampling import DEFAULT_SAMPLING, Sampling
from bicinium.generation.subject import (
    INTERVALS,
    MIN_BARS_PER_SUBJECT_BAR,
    fix_subject,
    meter_of_subject,
    parse_subject,
)
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import DEFAULT_MODEL, resolve_model
from bicinium.music.form_text import parse_form
from bicinium.music.losses import Loss
from bicinium.music.score import COMMON_TIME, TICKS_PER_QUARTER, Meter, Score, Voice
from bicinium.music.signature import Signature
from bicinium.option_types import check_types

DEFAULT_BARS = 16
_FRESH_SEEDS = 1_000_000  # a seed of six digits at most is easily typed
_CONTINUATION_BARS = 8  # added to a piece that is continued
_SOURCES = ("continue_from", "upper", "lower", "rewrite", "subject", "canon", "invertible")
_FILES = ("continue_from", "upper", "lower", "rewrite", "model")
_RENAMED = {"recurrence": "motif_strength"}
_REMOVED = {"repetition_penalty": 0.0}  # and the value at which it had no effect


def fresh_seed() -> int:
    """Return a seed that nobody knows before."""
    return secrets.randbelow(_FRESH_SEEDS)


@dataclass(frozen=True, slots=True)
class ComposeRequest:
    """A request for ``n`` pieces. Every field may be left out; at most one source is given.

    Raises RequestError if a field is not of its type, or if fields contradict each other.
    """

    n: int = 4  # pieces
    seed: int = field(default_factory=fresh_seed)  # of the first piece; the next has the next seed
    best_of: int | None = None  # candidates for each piece; None: 12, or 1 without the grammar
    key: str | None = None  # like "D minor"
    meter: str | None = None  # like "3/4"
    bars: int | None = None  # exact; None: 16, or what the source implies
    tempo: float | None = None  # beats of the metre a minute; None: the model's choice
    style: str | None = None  # like "bach"; None: drawn from the keyboard styles
    continue_from: Path | None = None  # a score to continue, to ``bars`` bars in all
    upper: Path | None = None  # an upper voice to which the lower is written
    lower: Path | None = None  # a lower voice to which the upper is written
    manner: str | None = None  # of a second voice; None: as fits the given one
    rewrite: Path | None = None  # a score of which some bars are composed anew
    rewrite_bars: tuple[int, int] | None = None  # the first and last of these bars, as printed
    quantize: bool = False  # move a recording to sixteenths and triplet eighths
    unfold: bool = False  # play the repeats of a source
    subject: str | None = None  # like "D4:1/8 E4:1/8 r:1/4": opens the piece, answered below
    form: str | None = None  # like "A B A' C", "rondo" or a JSON file; None: of a real piece
    title: str | None = None  # None: that of the given file, or the key
    composer: str | None = None  # None: that of the given file, or bicinium
    answer: str = "octave"  # the interval of the answer: "octave" or "fifth"
    canon: str | None = None  # like "1 bar at the octave below": the follower repeats the leader
    invertible: int | None = None  # 8, 10 or 12: the voices may change places at this interval
    sampling: Sampling = DEFAULT_SAMPLING
    constraints: Constraints | None = DEFAULT_CONSTRAINTS  # None: the grammar only
    rules: RuleSet | None = None  # of counterpoint, as in ``check``: fewest faults first
    max_quote: int | None = None  # bars of the training set that a piece may quote; None: any
    time_limit: float | None = None  # seconds for all pieces; None: see ``default_time_limit``
    use_grammar: bool = True  # False: no token is forbidden
    grammar: MusicalGrammar | None = None  # None: the default grammar
    model: Path = DEFAULT_MODEL  # or any name that ``resolve_model`` knows

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "model", resolve_model(self.model))
        _check_numbers(self)
        sources = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(sources) > 1:
            raise RequestError(f"{' and '.join(sources)} cannot be combined. Choose one of them.")
        if (self.rewrite is None) != (self.rewrite_bars is None):
            raise RequestError("rewrite needs both a file and the bars, like 3-4.")
        _check_manner(self.manner, self.upper or self.lower)
        _check_answer(self.answer, self.subject)
        _check_counterpoint(self)
        _check_quote(self.max_quote, self.use_grammar)
        _check_rules(self)

    @classmethod
    def from_options(cls, **options: Any) -> ComposeRequest:
        """Return a request from the names of its fields and of the fields of ``Sampling``.

        Renamed options still work, with a DeprecationWarning. Raises TypeError for unknown names
        and RequestError for values outside their limits.
        """
        options = _current(options)
        sampling_names = {one.name for one in fields(Sampling)}
        sampling = {name: options.pop(name) for name in sampling_names & options.keys()}
        names = {one.name for one in fields(cls)}
        if unknown := sorted(options.keys() - names):
            near = difflib.get_close_matches(unknown[0], names | sampling_names, n=1, cutoff=0.0)
            raise TypeError(f"unknown option {unknown[0]!r}; the nearest is {near[0]!r}")
        for name in _FILES:
            if options.get(name) is not None:
                options[name] = Path(options[name])
        if options.get("rules") is not None:
            options["rules"] = load_rule_set(options["rules"])
        base = options.pop("sampling", DEFAULT_SAMPLING)
        return cls(**options, sampling=replace(base, **sampling))

    @property
    def seeds(self) -> range:
        """The seed of each piece."""
        return range(self.seed, self.seed + self.n)

    @property
    def files(self) -> list[Path]:
        """The files that the request reads."""
        return [path for path in (self.upper, self.lower, self.continue_from, self.rewrite) if path]

    @property
    def candidates(self) -> int:
        """Candidates for each piece."""
        if self.best_of is not None:
            return self.best_of
        return DEFAULT_BEST_OF if self.use_grammar else 1

    @property
    def config(self) -> GenerationConfig:
        """How tokens are drawn."""
        constraints, manner = self.constraints, self._manner
        if constraints and not (manner and manner.follows_chords):
            constraints = replace(constraints, chords=0.0)
        return GenerationConfig(self.sampling, self.use_grammar, constraints)

    @property
    def _manner(self) -> Manner | None:
        """The manner of a second voice; None without a given voice."""
        part = self.given_part
        source = None if part is None else self._source()
        name = source and (self.manner or manner_of(source, part or 0))
        return MANNERS[name] if name else None

    @property
    def given_part(self) -> int | None:
        """The voice that is given: 0 the upper, 1 the lower; None without one."""
        return 0 if self.upper else 1 if self.lower else None

    @property
    def is_piecewise(self) -> bool:
        """Whether the pieces are composed a few bars at a time."""
        return self.canon is not None or self.invertible is not None

    def conditions(self, seeds: Sequence[int], styles: Sequence[str]) -> list[Conditions]:
        """Return the conditions of one piece for each seed.

        ``styles`` are those that the model has learned. Raises RequestError, ScoreError or another
        BiciniumError for a request that cannot be fulfilled.
        """
        source = self._source()
        fixed = self._fixed(source) if source else None
        manner = self._manner
        pieces = []
        for seed in seeds:
            rng = np.random.default_rng([seed, 2**16])
            key, meter, style = draw_key(rng), draw_meter(rng), draw_style(rng, styles)
            signature = Signature.parse(self.key) if self.key is not None else None
            if signature is not None and signature.key is not None:
                key = signature.key
            if self.meter is not None:
                meter = Meter.parse(self.meter)
            if manner and manner.style in styles:
                style = manner.style
            style = style if self.style is None else self.style
            if source and fixed:
                pieces.append(self._piece_from(source, fixed, signature, style))
                continue
            bars = DEFAULT_BARS if self.bars is None else self.bars
            piece = Conditions(
                key, meter, bars, None, style, None, self.title, self.composer, signature
            )
            if self.subject is not None:
                piece = with_subject(piece, self)
            pieces.append(replace(piece, tempo_qpm=tempo_qpm(self.tempo, piece.meter)))
        return with_form(pieces, self.form)

    def _piece_from(
        self,
        source: Score,
        fixed: tuple[int, FixedNotes],
        signature: Signature | None,
        style: str | None,
    ) -> Conditions:
        """Return the conditions of a piece that starts from a score."""
        check_meter(source, None if self.meter is None else Meter.parse(self.meter))
        key, signature = key_of(source, signature)
        tempo = source.tempo_qpm if self.tempo is None else tempo_qpm(self.tempo, source.meter)
        bars, fixed_notes = fixed
        title = source.title if self.title is None else self.title
        composer = source.composer if self.composer is None else self.composer
        return Conditions(
            key, source.meter, bars, tempo, style, fixed_notes, title, composer, signature
        )

    def _source(self) -> Score | None:
        """Return the score that the piece starts from, if any."""
        for part, path in enumerate((self.upper, self.lower)):
            if path is not None:
                line = read_voice(path, part, quantize=self.quantize, unfold=self.unfold)
                return check_grammar(line, str(path))
        path = self.continue_from or self.rewrite
        if path is None:
            return None
        score = read_score(path, quantize=self.quantize, unfold=self.unfold)
        return check_grammar(score, str(path))

    @property
    def source_losses(self) -> tuple[Loss, ...]:
        """What reading the source left out."""
        return source.losses if (source := self._source()) else ()

    def _fixed(self, source: Score) -> tuple[int, FixedNotes]:
        """Return the number of bars, and the notes of the source that stay."""
        if self.continue_from:
            bars = source.bars + _CONTINUATION_BARS if self.bars is None else self.bars
            return bars, fix_opening(source, bars)
        if self.bars not in (None, source.bars):
            raise RequestError(f"The given score has {source.bars} bars, not {self.bars}.")
        if self.rewrite_bars:
            return source.bars, fix_around_gap(source, *_counted_bars(source, *self.rewrite_bars))
        part = int(self.upper is None)
        return source.bars, fix_voice(source.voices[part], part, source)


def tempo_qpm(tempo: float | None, meter: Meter) -> float | None:
    """Return a tempo in beats of the metre as quarter notes a minute.

    Raises RequestError if it is too slow or too fast.
    """
    if tempo is None:
        return None
    quarters = meter.beat_ticks / TICKS_PER_QUARTER
    if not MIN_TEMPO_QPM <= tempo * quarters <= MAX_TEMPO_QPM:
        raise RequestError(
            f"tempo must be between {MIN_TEMPO_QPM / quarters:.4g} and "
            f"{MAX_TEMPO_QPM / quarters:.4g} {meter.beat_name} notes a minute (got {tempo:g})."
        )
    return tempo * quarters


def with_form(pieces: list[Conditions], form: str | None) -> list[Conditions]:
    """Return the conditions with a form; see ``parse_form``."""
    if form is None:
        return pieces
    return [replace(piece, form=parse_form(form, piece.bars)) for piece in pieces]


def with_subject(piece: Conditions, request: ComposeRequest) -> Conditions:
    """Return the conditions with a subject and its answer, in the key of the subject."""
    subject, ticks = parse_subject(request.subject or "")
    meter = meter_of_subject(ticks, piece.meter, request.meter is not None)
    bars_alone = -(-subject.end_tick // meter.bar_ticks)
    alone = Score((subject, Voice(())), bars_alone, meter, key_of_line(subject))
    key, signature = key_of(alone, piece.signature)
    check_grammar(alone, "The subject")
    bars = max(DEFAULT_BARS, MIN_BARS_PER_SUBJECT_BAR * bars_alone)
    bars = bars if request.bars is None else request.bars
    empty = Score((Voice(()), Voice(())), bars, meter, key)
    fixed_notes = fix_subject(subject, request.answer, empty)
    named = replace(piece, key=key, meter=meter, bars=bars, signature=signature)
    return replace(named, fixed_notes=fixed_notes)


def _check_numbers(request: ComposeRequest) -> None:
    """Raise RequestError for a number beyond its limits."""
    for option in ("n", "best_of"):
        count = getattr(request, option)
        if count is not None and count < 1:
            raise RequestError(f"{option} must be 1 or more (got {count}).")
    if request.seed < 0:
        raise RequestError(f"seed must be 0 or more (got {request.seed}).")
    if request.time_limit is not None and not request.time_limit > 0:
        raise RequestError(f"time_limit must be over 0 seconds (got {request.time_limit}).")


def _check_rules(request: ComposeRequest) -> None:
    """Raise RequestError for rules that candidates cannot be judged by."""
    rules = request.rules
    if rules is None:
        return
    if request.is_piecewise or not request.use_grammar:
        raise RequestError(
            "rules cannot be combined with canon, invertible or no_grammar. Leave them out."
        )
    if rules.needs_cantus and request.given_part is None:
        raise RequestError(
            f"rules {rules.name} need a cantus firmus. Give one as the upper or the lower voice."
        )


def _check_quote(max_quote: int | None, use_grammar: bool) -> None:
    """Raise RequestError for a limit of quotations that cannot hold."""
    if max_quote is not None and (max_quote < 0 or not use_grammar):
        raise RequestError(f"max_quote must be 0 or more, with the grammar on (got {max_quote}).")


def _check_answer(answer: str, subject: str | None) -> None:
    """Raise RequestError for an unknown answer, or one without a subject."""
    if answer not in INTERVALS:
        raise RequestError(f"answer must be one of {', '.join(INTERVALS)} (got {answer!r}).")
    if answer != "octave" and subject is None:
        raise RequestError("answer needs a subject. Name one, or leave the answer out.")


def _check_manner(manner: str | None, given: Path | None) -> None:
    """Raise RequestError for an unknown manner, or one without a given voice."""
    if manner is None:
        return
    if manner not in MANNERS:
        raise RequestError(f"manner must be one of {', '.join(MANNERS)} (got {manner!r}).")
    if given is None:
        raise RequestError("manner needs a given voice. Name an upper or a lower one.")


def _counted_bars(source: Score, first: int, last: int) -> tuple[int, int]:
    """Return the bars to rewrite, counted from 1. An upbeat is printed as bar 0."""
    upbeat = int(source.anacrusis_ticks > 0)
    if upbeat and not 0 <= first <= last < source.bars:
        raise RequestError(
            f"Bars {first} to {last} cannot be rewritten. The piece has an upbeat, bar 0, and "
            f"bars 1 to {source.bars - 1}."
        )
    return first + upbeat, last + upbeat


def _check_counterpoint(request: ComposeRequest) -> None:
    """Raise RequestError if a canon or invertible counterpoint cannot be composed."""
    if request.invertible is not None and request.invertible not in INVERSIONS:
        raise RequestError(f"invertible must be 8, 10 or 12 (got {request.invertible}).")
    if request.canon is not None:
        Canon.parse(request.canon, COMMON_TIME)
    if request.is_piecewise and not request.use_grammar:
        raise RequestError("canon and invertible need the grammar. Leave it on.")


def _current(options: dict[str, Any]) -> dict[str, Any]:
    """Return options by their present names. Raises RequestError for a removed one that matters."""
    current = {}
    for name, value in options.items():
        if name in _RENAMED:
            new = _RENAMED[name]
            warnings.warn(
                f"{name} was renamed {new}. Its value is used.", DeprecationWarning, stacklevel=4
            )
            current[new] = value
        elif name in _REMOVED:
            if value not in (None, _REMOVED[name]):
                raise RequestError(f"{name} was removed. Leave it out.")
            warnings.warn(
                f"{name} was removed and has no effect.", DeprecationWarning, stacklevel=4
            )
        else:
            current[name] = value
    return current
