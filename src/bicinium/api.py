"""The Python interface: what the command line does, as functions."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from bicinium.composing.composer import DEFAULT_SAMPLING, Composer, Composition, Progress
from bicinium.composing.conditions import Conditions, draw_key, draw_meter, draw_style
from bicinium.composing.sampling import Sampling
from bicinium.errors import RequestError
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.files import FileVerdict, validate_file
from bicinium.model.checkpoint import DEFAULT_MODEL, load_checkpoint
from bicinium.score.keys import Key
from bicinium.score.notes import Meter, Score
from bicinium.score.reading import read_score
from bicinium.score.saving import write_score


@lru_cache(maxsize=2)
def load_composer(model: Path = DEFAULT_MODEL) -> Composer:
    """The composer of a model file; loaded once."""
    return Composer(load_checkpoint(model))


def compose_many(
    n: int = 4,
    *,
    key: str | None = None,
    meter: str | None = None,
    bars: int = 16,
    tempo: float | None = None,
    style: str | None = None,
    seed: int = 0,
    temperature: float = DEFAULT_SAMPLING.temperature,
    top_p: float = DEFAULT_SAMPLING.top_p,
    use_grammar: bool = True,
    grammar: MusicalGrammar | None = None,
    model: str | Path = DEFAULT_MODEL,
    progress: Progress | None = None,
) -> list[Composition]:
    """Compose ``n`` pieces; piece i is drawn with seed ``seed + i``.

    key: like ``"D minor"``; drawn from the common keys where None. meter: like ``"3/4"``; likewise.
    style: like ``"bach"``; likewise, from the styles of keyboard music.
    tempo: quarter notes a minute; left to the model where None.
    grammar: another grammar than the default one. use_grammar: False lets the model err.

    Raises RequestError where no piece can be so, ScoreError for a key or metre that is none.
    """
    if n < 1:
        raise RequestError(f"{n} pieces cannot be composed: ask for 1 or more")
    if seed < 0:
        raise RequestError(f"seed {seed} must be 0 or more")
    seeds = [seed + index for index in range(n)]
    composer = load_composer(Path(model))
    if grammar is not None:
        composer = composer.with_grammar(grammar)
    asked = []
    for one in seeds:
        rng = np.random.default_rng([one, 2**16])
        drawn_key, drawn_meter = draw_key(rng), draw_meter(rng)
        drawn_style = draw_style(rng, composer.config)
        asked.append(
            Conditions(
                key=Key.parse(key) if key else drawn_key,
                meter=Meter.parse(meter) if meter else drawn_meter,
                bars=bars,
                tempo_qpm=tempo,
                style=style or drawn_style,
            )
        )
    how = Sampling(temperature=temperature, top_p=top_p)
    return composer.compose(asked, seeds, how, use_grammar, progress)


def compose(
    *,
    key: str | None = None,
    meter: str | None = None,
    bars: int = 16,
    tempo: float | None = None,
    style: str | None = None,
    seed: int = 0,
    temperature: float = DEFAULT_SAMPLING.temperature,
    top_p: float = DEFAULT_SAMPLING.top_p,
    use_grammar: bool = True,
    grammar: MusicalGrammar | None = None,
    model: str | Path = DEFAULT_MODEL,
) -> Composition:
    """Compose one piece; see ``compose_many`` for what can be asked."""
    return compose_many(
        1,
        key=key,
        meter=meter,
        bars=bars,
        tempo=tempo,
        style=style,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        use_grammar=use_grammar,
        grammar=grammar,
        model=model,
    )[0]


def validate(path: str | Path) -> FileVerdict:
    """Judge a MIDI file or a token file; see ``FileVerdict``."""
    return validate_file(Path(path))


def read(path: str | Path, *, reduce: bool = False) -> Score:
    """The two-voice score in a MIDI, MusicXML, kern or ABC file; see ``read_score``."""
    return read_score(path, reduce)


def write(score: Score, path: str | Path, *, perform: bool = False) -> None:
    """Write a score in the format the path ends with; see ``write_score``."""
    write_score(score, path, perform=perform)
