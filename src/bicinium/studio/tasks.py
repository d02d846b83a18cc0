"""What the studio's processes do: each a generator, whose items are JSON or bytes for the page.

Everything musical is asked of the package; here it is only carried to and fro.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bicinium.api import compose_each, load_composer, load_quotations, validate
from bicinium.errors import BiciniumError, NotationFileError, ScoreError
from bicinium.formats.registry import read_music, read_score
from bicinium.generation.candidates import Progress
from bicinium.generation.composition import Composition
from bicinium.generation.rerank import ScoreSheet
from bicinium.music.key import Key
from bicinium.music.score import TICKS_PER_QUARTER, Note, Score, Voice
from bicinium.music.voice_reduction import as_single_voice
from bicinium.render.export import write_score
from bicinium.reports.rule_descriptions import describe_rule
from bicinium.reports.verdicts import FileVerdict
from bicinium.studio.piano_samples import piano
from bicinium.studio.schemas import ComposeMessageBase
from bicinium.studio.score_json import wire_score
from bicinium.studio.sheet import sheet
from bicinium.studio.token_analysis import understand
from bicinium.tokenizer.codec import encode, snap

_MOST_UNPACKED = 30_000_000  # bytes of a compressed score
_MOST_VIOLATIONS = 200


def load(model: Path) -> Iterator[None]:
    """Have the model loaded."""
    load_composer(model)
    load_quotations(model)
    yield


def load_engraver() -> Iterator[None]:
    """Have the library that engraves loaded, where it is installed."""
    note = Note(0, 60, TICKS_PER_QUARTER, 80)
    sheet(Score((Voice((note,)), Voice()), 1), 400)
    yield


def compose(message: ComposeMessageBase, model: Path) -> Iterator[dict[str, Any]]:
    """What becomes of the pieces that are wished for: that their wait in the line is over, how far
    each is, and each as soon as it can be had, which need not be in the order of their seeds.
    """
    yield {"begun": True}
    with tempfile.TemporaryDirectory() as folder:
        for told in compose_each(request=message.request(Path(folder), model)):
            yield (
                {"underway": asdict(told)}
                if isinstance(told, Progress)
                else {"piece": _piece(told)}
            )


def engrave(score: Score, width: int) -> Iterator[dict[str, Any]]:
    """The engraved score; see ``sheet``."""
    yield sheet(score, width)


def save(score: Score, about: dict[str, str], form: str, perform: bool) -> Iterator[bytes]:
    """The bytes of a file in a format of ``render.export``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"piece.{form}")
        write_score(score, path, about, perform)
        yield path.read_bytes()


def sound() -> Iterator[bytes]:
    """The piano that the page plays."""
    yield piano()


def read(name: str, data: bytes, reduce: bool) -> Iterator[dict[str, Any]]:
    """What a file holds (``score``, or ``why`` there is none) and what the validator says of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        try:
            _refuse_bombs(path)
            yield _file(path, reduce)
        except BiciniumError as error:
            raise type(error)(str(error).replace(f"{folder}/", "")) from error


def read_sample(path: Path) -> Iterator[dict[str, Any]]:
    """The same of a file that a training run wrote."""
    yield _file(path, reduce=False)


def explain(score: Score, style: str | None, model: Path) -> Iterator[dict[str, Any]]:
    """The grammar laid over a piece; see ``understanding``."""
    composer = load_composer(model)
    found = understand(composer, score, score.key or score.estimated_key or Key(0, "major"), style)
    sounding = encode(snap(score))
    result = composer.validator.validate_sequence(sounding, score.meter, score.bars)
    yield {
        "tick": found.tick,
        "illegal": [round(share, 6) for share in found.illegal],
        "bits": [round(bits, 3) for bits in found.bits],
        "illegal_mass": found.illegal_mass,
        "tokens": len(sounding),
        "slips": [
            asdict(slip.violation) | {"probability": slip.probability, "written": slip.written}
            for slip in found.slips
        ],
        "rules": [
            {
                "name": rule.name,
                "says": describe_rule(rule.name),
                "score": result.rule_scores[rule.name],
            }
            for rule in composer.grammar.rules
        ],
    }


def _piece(piece: Composition) -> dict[str, Any]:
    assert piece.score is not None  # with the grammar every piece spells a score
    asked = piece.conditions
    return {
        "score": wire_score(piece.score),
        "seed": piece.seed,
        "style": asked.style,
        "about": piece.about,
        "valid": piece.result.valid,
        "draws": piece.draws,
        "sheet": _sheet(piece.sheet) if piece.sheet else None,
    }


def _sheet(judged: ScoreSheet) -> dict[str, Any]:
    return asdict(judged) | {
        "adherence": judged.adherence,
        "originality": judged.originality,
        "total": judged.total,
    }


def _file(path: Path, reduce: bool) -> dict[str, Any]:
    verdict = validate(path)
    if verdict.checked_as == "nothing":
        raise ScoreError(verdict.violations[0].message)
    score, why = _score_in(path, reduce)
    return {
        "name": path.name,
        "verdict": _verdict(verdict),
        "score": wire_score(score) if score else None,
        "lines": sum(bool(voice.notes) for voice in score.voices) if score else 0,
        "why": why,
        "reducible": score is None and not reduce and _score_in(path, True)[0] is not None,
    }


def _score_in(path: Path, reduce: bool) -> tuple[Score | None, str]:
    """The score of one or two voices in a file, or why there is none."""
    if path.suffix.lower() == ".json":
        return None, "tokens are judged, but not shown as a score"
    try:
        line = as_single_voice(read_music(path), 0)
        return line or read_score(path, reduce), ""
    except BiciniumError as error:
        return None, str(error).replace(f"{path.parent}/", "").removesuffix(" with --reduce")


def _verdict(verdict: FileVerdict) -> dict[str, Any]:
    return {
        "valid": verdict.valid,
        "grammar_score": verdict.grammar_score,
        "notes": verdict.notes,
        "judged_as": verdict.checked_as,
        "meter": str(verdict.meter),
        "violations": [asdict(one) for one in verdict.violations[:_MOST_VIOLATIONS]],
        "more": max(0, len(verdict.violations) - _MOST_VIOLATIONS),
        "roll": [
            [note.part, note.pitch, note.onset_tick, note.offset_tick, note.closed]
            for note in verdict.roll[:20_000]
        ],
    }


def _refuse_bombs(path: Path) -> None:
    """Raise NotationFileError for a compressed score that would unpack to more than any score."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # the reader says what is wrong
    if unpacked > _MOST_UNPACKED:
        raise NotationFileError(f"{path} unpacks to {unpacked} bytes, more than any score has")
