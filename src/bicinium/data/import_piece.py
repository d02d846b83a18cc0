"""A file becomes training material: read, put on the grid, reduced to two voices, moved to C major
or A minor, encoded, taken back to MIDI and compared, judged.

A reading depends on nothing but the file and this program, so the work is spread over processes, or
over the workers of a Dask cluster, and what was read before need not be read again.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rich.console import Console
from rich.progress import Progress

from bicinium.data.duplicates import Fingerprint, fingerprint
from bicinium.data.import_cache import ImportCache, program_hash
from bicinium.data.sources import SourceFile
from bicinium.errors import BiciniumError, CorpusError
from bicinium.formats.midi import read_midi, write_midi
from bicinium.formats.registry import read_music
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.content import Content
from bicinium.music.quality import quality
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, Meter, Score
from bicinium.music.voice_reduction import VoiceReduction, reduce_to_two_voices
from bicinium.optional_imports import import_optional
from bicinium.tokenizer.codec import decode, encode, snap

_CHUNK = 16  # files that one process takes at a time
_CLUSTER_PATIENCE = "20s"
_FEWEST_NOTES = 24
_FEWEST_BARS = 4
_LEAST_SOUNDING = 0.2  # of the bars, in each voice
_MOST_OFF_GRID = 0.05  # of the notes


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some music of a file in one metre, encoded and judged: all that choosing needs to know.

    ``label`` tells it from the file's others. ``flaw`` says why it cannot be used at all; what
    follows it is then not filled in.
    """

    label: str
    method: str
    meter: str
    bars: int
    notes: int
    notes_dropped: int
    notes_shortened: int
    flaw: str = ""
    key: str = ""
    mode: str = ""
    transposition: int = 0
    anacrusis_ticks: int = 0
    grammar_score: float = 0.0
    grammar_fault: str = ""
    quality_score: float = 0.0
    figures: Fingerprint = ((), ())
    tokens: list[int] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in a file. ``flaw`` says why it cannot be read, if it cannot."""

    flaw: str = ""
    composer: str = ""
    title: str = ""
    licence: str = ""
    notes_off_grid: int = 0
    notes_left_out: int = 0
    stretches: list[Stretch] = field(default_factory=list)


def read_sources(
    sources: Sequence[SourceFile],
    jobs: int = -1,
    *,
    cluster: str | None = None,
    store: Path | None = None,
) -> list[Reading]:
    """Read every file, or remember from ``store`` what was read of it; in the sources' order."""
    if jobs == 0:
        raise CorpusError("no processes read nothing: ask for 1 or more, or -1 for one a core")
    program = program_hash()
    keys = [_key(source, program) for source in sources]
    with ImportCache(store) as remembered:
        known = remembered.load(key for key in keys if key)
        to_read = [i for i, key in enumerate(keys) if not key or key not in known]
        fresh: dict[int, Reading] = {}
        chunks = [to_read[i : i + _CHUNK] for i in range(0, len(to_read), _CHUNK)]
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("reading", total=len(to_read))
            work = _spread([[sources[i] for i in chunk] for chunk in chunks], jobs, cluster)
            for chunk, readings in zip(chunks, work, strict=True):
                fresh.update(zip(chunk, readings, strict=True))
                remembered.save({key: _as_text(fresh[i]) for i in chunk if (key := keys[i])})
                progress.advance(bar, len(chunk))
        remembered.forget_all_but({key for key in keys if key})
    return [fresh[i] if i in fresh else _reading_of(known[keys[i]]) for i in range(len(sources))]


def _spread(
    chunks: Sequence[Sequence[SourceFile]], jobs: int, cluster: str | None
) -> Iterator[list[Reading]]:
    """Read the chunks, here or on a cluster; the results come in order, as they are ready."""
    with _cluster(cluster):
        parallel = Parallel(n_jobs=jobs, return_as="generator")
        try:
            yield from parallel(delayed(read_files)(chunk) for chunk in chunks)
        except TerminatedWorkerError as error:
            raise CorpusError(
                "a process died while reading (out of memory?); what was read is kept, so run "
                "the same again, with --jobs 1 to see which file it is"
            ) from error


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Within it, joblib's work goes to a Dask cluster; without an address it stays here."""
    if address is None:
        yield
        return
    if "://" not in address:
        raise CorpusError(f"{address} is no address of a Dask scheduler: write tcp://host:8786")
    distributed = import_optional("distributed", "cluster", "a cluster")
    try:
        client = distributed.Client(address, timeout=_CLUSTER_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise CorpusError(f"there is no Dask scheduler at {address}") from error
    with client, parallel_config(backend="dask", client=client):
        yield


def _key(source: SourceFile, program: str) -> str:
    """What a reading depends on; empty where the file cannot be opened."""
    try:
        data = source.path.read_bytes()
    except OSError:
        return ""
    asked = f"{program}|{source.path.suffix.lower()}|{','.join(source.pairs)}|"
    return hashlib.sha256(asked.encode() + data).hexdigest()


def _as_text(reading: Reading) -> str:
    return json.dumps(asdict(reading), separators=(",", ":"))


def _reading_of(text: str) -> Reading:
    row = json.loads(text)
    stretches = [
        Stretch(**{**item, "figures": tuple(map(tuple, item["figures"]))})
        for item in row.pop("stretches")
    ]
    return Reading(**row, stretches=stretches)


def read_files(sources: Sequence[SourceFile]) -> list[Reading]:
    """Read some files; their grammar is checked together, which is much faster."""
    with tempfile.TemporaryDirectory() as scratch:
        readings = [_read(source, Path(scratch) / "round-trip.mid") for source in sources]
    usable = [s for reading in readings for s in reading.stretches if not s.flaw]
    results = MusicalGrammarValidator().validate_sequences(
        [stretch.tokens for stretch in usable],
        [Meter.parse(stretch.meter) for stretch in usable],
        [stretch.bars for stretch in usable],
        [stretch.transposition for stretch in usable],
    )

    def judged(stretch: Stretch) -> Stretch:
        if stretch.flaw:
            return stretch
        result = next(results)
        fault = result.violations[0].message if result.violations else ""
        return replace(stretch, grammar_score=round(result.grammar_score, 4), grammar_fault=fault)

    return [
        replace(reading, stretches=[judged(stretch) for stretch in reading.stretches])
        for reading in readings
    ]


def _read(source: SourceFile, scratch: Path) -> Reading:
    try:
        content = read_music(source.path)
        pairs = _pairs(content, source.pairs)
        found = [(label, reduce_to_two_voices(pair)) for label, pair in pairs.items()]
    except BiciniumError as error:
        return Reading(flaw=_without_folder(str(error), source.path))
    total = sum(len(staff.notes) for staff in content.staves)
    off_grid = content.notes_off_grid
    flaw = f"{off_grid} of {total} notes are off the grid" if (
        off_grid > _MOST_OFF_GRID * total
    ) else ""  # fmt: skip
    return Reading(
        composer=content.composer,
        title=content.title,
        licence=content.rights,
        notes_off_grid=off_grid,
        notes_left_out=content.notes_left_out,
        stretches=[
            _stretch(_label(pair, index, len(stretches)), stretch, flaw, scratch)
            for pair, stretches in found
            for index, stretch in enumerate(stretches)
        ],
    )


def _without_folder(message: str, path: Path) -> str:
    """A message without the folder of the file: reasons must not change with where files lie."""
    return message.replace(str(path), path.name)


def _label(pair: str, index: int, count: int) -> str:
    return pair + (f"#{index + 1}" if count > 1 else "")


def _pairs(content: Content, names: Sequence[str]) -> dict[str, Content]:
    """The content of each pair of voices that is asked for, by name; all of it where none is."""
    if not names:
        return {"": content}
    by_height = sorted(
        content.staves, key=lambda staff: -sum(n.pitch for n in staff.notes) / len(staff.notes)
    )
    pairs = {}
    for name in names:
        inset = {"outer": 0, "inner": 1}[name]
        upper, lower = inset, len(by_height) - 1 - inset
        if upper < lower:
            pairs[f"-{name}"] = replace(content, staves=(by_height[upper], by_height[lower]))
    if not pairs:
        raise CorpusError(f"it has {len(by_height)} parts, which are no {' or '.join(names)} pair")
    return pairs


def _stretch(label: str, found: VoiceReduction, flaw: str, scratch: Path) -> Stretch:
    score = found.score
    stretch = Stretch(
        label=label,
        method=found.method,
        meter=str(score.meter),
        bars=score.bars,
        notes=score.note_count,
        notes_dropped=found.notes_dropped,
        notes_shortened=found.notes_shortened,
        key=str(score.key or ""),
        flaw=flaw or _unfit(score),
    )
    if stretch.flaw:
        return stretch
    try:
        home, transposition = at_home(snap(score))
        tokens = encode(home)
        _check_round_trip(snap(score), home, tokens, transposition, scratch)
    except BiciniumError as error:
        return replace(stretch, flaw=str(error))
    judged = quality(home)
    return replace(
        stretch,
        mode=home.key.mode if home.key else "",
        transposition=transposition,
        anacrusis_ticks=home.anacrusis_ticks,
        quality_score=round(judged.score, 4) if judged else 0.0,
        figures=fingerprint(home),
        tokens=tokens.tolist(),
    )


def _unfit(score: Score) -> str:
    """Why a score is not two-voice music to learn from; empty where it is."""
    if score.note_count < _FEWEST_NOTES or score.bars < _FEWEST_BARS:
        return f"too short: {score.note_count} notes in {score.bars} bars"
    for voice, name in zip(score.voices, ("upper", "lower"), strict=True):
        bars = {note.onset_tick // score.meter.bar_ticks for note in voice.notes}
        if len(bars) < _LEAST_SOUNDING * score.bars:
            return f"the {name} voice begins a note in only {len(bars)} of {score.bars} bars"
    return ""


def at_home(score: Score) -> tuple[Score, int]:
    """The score in C major or A minor, and the semitones that lead back.

    An octave further where the nearest direction leaves the piano; ScoreError where both do.
    """
    shift = score.key.semitones_to_reference if score.key else 0
    pitches = [note.pitch for voice in score.voices for note in voice.notes]
    for way in (shift, shift - 12 if shift > 0 else shift + 12):
        if min(pitches) + way >= LOWEST_PITCH and max(pitches) + way <= HIGHEST_PITCH:
            return score.transpose(way), -way
    return score.transpose(shift), -shift  # raises, naming the pitch


def _check_round_trip(
    score: Score, home: Score, tokens: np.ndarray, transposition: int, scratch: Path
) -> None:
    """Tokens to notes, and these by way of a MIDI file, must be the score again, note for note."""
    again = decode(tokens, home.meter, home.key, home.anacrusis_ticks)
    if again != home:
        raise CorpusError("the round trip through tokens changed it")
    write_midi(again.transpose(transposition), scratch)
    (back,) = reduce_to_two_voices(read_midi(scratch))
    if back.score.voices != score.voices or back.score.meter != score.meter:
        raise CorpusError("the round trip through MIDI changed it")
