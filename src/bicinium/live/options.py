"""The options of a session, and a session made from them."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bicinium.errors import RequestError
from bicinium.generation.composer import Composer
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import DEFAULT_CONSTRAINTS
from bicinium.generation.sampling import DEFAULT_SAMPLING, Sampling
from bicinium.live.history import History
from bicinium.live.partner import Partner
from bicinium.live.ports import Inbox
from bicinium.live.session import LiveSession, Setting, Sink, Source, Stop
from bicinium.model.checkpoint import load_checkpoint, resolve_model
from bicinium.music.key import Key
from bicinium.music.score import TICKS_PER_QUARTER, Meter
from bicinium.request import tempo_qpm

GRIDS = (4, 8, 12, 16, 24)  # parts of a whole note
_PIECE_BARS = 64  # what the model is told; a window is shorter
# The end of a session is not known, and neither are the player's chords.
_CONSTRAINTS = replace(DEFAULT_CONSTRAINTS, close=0.0, chords=0.0)


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What to play. Raises RequestError or ScoreError for values outside their limits.

    player: the player's voice, 0 upper or 1 lower. tempo: beats of the metre a minute. grid: the
    shortest note value, as a part of a whole note.
    """

    player: int = 0
    key: str = "C major"
    meter: str = "4/4"
    tempo: float = 80.0
    style: str = "bach"
    grid: int = 16
    seed: int = 0
    model: str = "default"
    sampling: Sampling = DEFAULT_SAMPLING

    def __post_init__(self) -> None:
        if self.grid not in GRIDS:
            raise RequestError(
                f"--grid must be one of {', '.join(map(str, GRIDS))} (got {self.grid})."
            )
        if self.seed < 0:
            raise RequestError(f"--seed must be 0 or more (got {self.seed}).")

    def session(self, source: Source, sinks: Sequence[Sink]) -> LiveSession:
        """Load the model and return a session that is ready to run."""
        meter = Meter.parse(self.meter)
        qpm = tempo_qpm(self.tempo, meter)
        conditions = Conditions(Key.parse(self.key), meter, _PIECE_BARS, qpm, self.style)
        composer = Composer(load_checkpoint(resolve_model(self.model)), in_bytes=True, threads=1)
        conditions.check(composer.config.meters, composer.styles)
        grid = 4 * TICKS_PER_QUARTER // self.grid
        config = GenerationConfig(self.sampling, constraints=_CONSTRAINTS)
        partner = Partner(composer.engine, conditions, config, 1 - self.player, grid, self.seed)
        history = History(conditions.key, meter, float(qpm or 0), grid)
        return LiveSession(Setting(meter, self.player, grid), partner, history, source, sinks)


@contextmanager
def stopped_by_signals(inbox: Inbox) -> Iterator[None]:
    """Let Ctrl-C and the signal TERM end a session in order; a second Ctrl-C interrupts it.

    What exists by now is left alone by the garbage collector, whose pauses would be heard.
    """
    previous = {}

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        inbox.put(Stop())

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, stop)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        for number, handler in previous.items():
            signal.signal(number, handler)
