"""Tasks of the worker processes. Each is a generator of JSON values or bytes for the page."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bicinium.api import compose_each, load_composer, load_quotations, validate
from bicinium.counterpoint import check_score
from bicinium.counterpoint.repair import propose
from bicinium.errors import (
    BiciniumError,
    NotationFileError,
    ReductionNeededError,
    RequestError,
    ScoreError,
)
from bicinium.formats.registry import read_music, read_score
from bicinium.generation.candidates import Finished, Found
from bicinium.generation.composition import Composition
from bicinium.generation.deadline import deadline
from bicinium.generation.rerank import ScoreSheet
from bicinium.generation.surprisal import surprisal_bits
from bicinium.generation.unmet import explain_unmet
from bicinium.music.key import Key
from bicinium.music.remarks import remarks
from bicinium.music.score import TICKS_PER_QUARTER, Note, Score, Voice
from bicinium.music.voice_reduction import as_single_voice
from bicinium.render.export import write_score
from bicinium.reports.verdicts import FileVerdict
from bicinium.request import ComposeRequest
from bicinium.studio.engraving import engrave_for_page
from bicinium.studio.piano_samples import render_piano_samples
from bicinium.studio.schemas import (
    SOURCE_NAME,
    CheckSchema,
    ComposeSchemaBase,
    ProposalsSchema,
    RulesFileSchema,
)
from bicinium.studio.score_json import score_to_json
from bicinium.studio.token_analysis import analyse_tokens
from bicinium.tokenizer.codec import encode, snap

_MAX_UNPACKED_BYTES = 30_000_000  # of a compressed score
_MAX_VIOLATIONS = 200
MAX_PROPOSALS = 3
MAX_COMPOSE_SECONDS = 240.0  # then the best so far; before the pool would end the process
_MAX_ROLL_NOTES = 20_000


def load_model(model: Path) -> Iterator[None]:
    """Load the model and its quotation index."""
    load_composer(model)
    load_quotations(model)
    yield


def load_engraver() -> Iterator[None]:
    """Load the engraving library by engraving one note."""
    note = Note(0, 60, TICKS_PER_QUARTER, 80)
    engrave_for_page(Score((Voice((note,)), Voice()), 1), 400)
    yield


def compose(body: ComposeSchemaBase, model: Path) -> Iterator[dict[str, Any]]:
    """Yield ``started``, ``progress``, each ``candidate``, and each ``piece`` when it is chosen.

    Progress is that of the candidate of a piece that is farthest. The pieces need not come in the
    order of their seeds.
    """
    yield {"started": True}
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield from _compose(body.to_request(Path(folder), model), body.seed)
        except BiciniumError as error:
            message = str(error).replace(str(Path(folder, SOURCE_NAME)), "The score")
            raise type(error)(message) from error


def _compose(request: ComposeRequest, first_seed: int) -> Iterator[dict[str, Any]]:
    farthest: dict[int, tuple[int, int]] = {}
    for item in compose_each(request=request, expired=deadline(MAX_COMPOSE_SECONDS)):
        seed = first_seed + item.index
        if isinstance(item, Finished):
            yield {"piece": _piece_json(item.composition)}
        elif isinstance(item, Found):
            farthest.pop(item.index, None)  # others may be composed after it
            candidate = _piece_json(item.composition)
            yield {"candidate": candidate | {"seed": seed, "is_best": item.is_best}}
        elif (item.draw, item.bars) > farthest.get(item.index, (0, 0)):
            farthest[item.index] = (item.draw, item.bars)
            yield {"progress": asdict(item) | {"seed": seed}}


def engrave(score: Score, width: int) -> Iterator[dict[str, Any]]:
    """Yield the result of ``engrave_for_page``."""
    yield engrave_for_page(score, width)


def export(score: Score, about: dict[str, str], suffix: str, perform: bool) -> Iterator[bytes]:
    """Yield the bytes of a file in a format of ``render.export``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"piece.{suffix}")
        write_score(score, path, about, perform)
        yield path.read_bytes()


def piano_samples() -> Iterator[bytes]:
    """Yield the recording of the piano."""
    yield render_piano_samples()


def import_file(name: str, data: bytes, reduce: bool) -> Iterator[dict[str, Any]]:
    """Yield the ``score`` in a file, or the ``problem`` if there is none, and its validation."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        try:
            _check_unpacked_size(path)
            yield _file_json(path, reduce)
        except BiciniumError as error:
            raise type(error)(str(error).replace(f"{folder}/", "")) from error


def read_sample(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the same for a file of a training run."""
    yield _file_json(path, reduce=False)


def analyse(score: Score, style: str | None, model: Path) -> Iterator[dict[str, Any]]:
    """Yield the token analysis of a piece and the score of each grammar rule."""
    composer = load_composer(model)
    key = score.key or score.estimated_key or Key(0, "major")
    analysis = analyse_tokens(composer, score, key, style)
    tokens = encode(snap(score))
    result = composer.validator.validate_sequence(tokens, score.meter, score.bars)
    yield {
        "tick": analysis.tick,
        "illegal_mass": [round(mass, 6) for mass in analysis.illegal_mass],
        "surprisal_bits": [round(bits, 3) for bits in analysis.surprisal_bits],
        "mean_illegal_mass": analysis.mean_illegal_mass,
        "tokens": len(tokens),
        "forbidden_choices": [
            asdict(choice.violation)
            | {"probability": choice.probability, "written": choice.written}
            for choice in analysis.forbidden_choices
        ],
        "rules": [
            {
                "name": rule.name,
                "description": rule.description,
                "score": result.rule_scores[rule.name],
            }
            for rule in composer.grammar.rules
        ],
    }


def check(body: CheckSchema) -> Iterator[dict[str, Any]]:
    """Yield the report on the counterpoint of a score."""
    yield check_score(body.score.to_score(), body.rule_set(), body.cantus).as_json()


def read_rules(body: RulesFileSchema) -> Iterator[dict[str, str]]:
    """Yield the name and the description of a rule set of the user's own."""
    rule_set = body.rule_set()
    yield {"name": rule_set.name, "description": rule_set.description}


def propose_repairs(body: ProposalsSchema, model: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield up to three proposals for a fault, those that the model finds most likely first."""
    rule_set = body.rule_set()
    report = check_score(body.score.to_score(), rule_set, body.cantus)
    if body.fault >= len(report.faults):
        raise RequestError("The score has changed. Check it again.")
    composer = load_composer(model)

    def likelihood(score: Score) -> float:
        return surprisal_bits(composer, score)

    proposals = propose(report, report.faults[body.fault], rule_set, MAX_PROPOSALS, likelihood)
    yield [
        {
            "changes": [
                {"voice": one.voice, "tick": one.onset_tick, "text": str(one)}
                for one in proposal.changes
            ],
            "bits": proposal.bits,
            "score": score_to_json(proposal.score),
        }
        for proposal in proposals
    ]


def _piece_json(piece: Composition) -> dict[str, Any]:
    assert piece.score is not None  # with the grammar every piece can be decoded
    return {
        "score": score_to_json(piece.score),
        "seed": piece.seed,
        "style": piece.conditions.style,
        "about": piece.about,
        "valid": piece.result.valid,
        "remarks": [*piece.search_remarks, *remarks(piece.score)],
        "draws": piece.draws,
        "sheet": _sheet_json(piece.sheet) if piece.sheet else None,
        "unmet": explain_unmet(piece),
    }


def _sheet_json(sheet: ScoreSheet) -> dict[str, Any]:
    return asdict(sheet) | {
        "adherence": sheet.adherence,
        "originality": sheet.originality,
        "total": sheet.total,
    }


def _file_json(path: Path, reduce: bool) -> dict[str, Any]:
    verdict = validate(path)
    if verdict.checked_as == "nothing":
        raise ScoreError(verdict.violations[0].message)
    score, problem = _read_score(path, reduce)
    return {
        "name": path.name,
        "verdict": _verdict_json(verdict),
        "score": score_to_json(score) if score else None,
        "voices": sum(bool(voice.notes) for voice in score.voices) if score else 0,
        "problem": problem,
        "losses": [str(loss) for loss in (score or verdict).losses],
        "reducible": score is None and not reduce and _read_score(path, True)[0] is not None,
    }


def _read_score(path: Path, reduce: bool) -> tuple[Score | None, str]:
    """Return the score of one or two voices in a file, or None and the problem."""
    if path.suffix.lower() == ".json":
        return None, "token files are validated, but not shown as a score"
    try:
        single_voice = as_single_voice(read_music(path), 0)
        return single_voice or read_score(path, reduce), ""
    except BiciniumError as error:
        # The page has a button of its own for the reduction, so it needs no shell command.
        problem = error.problem if isinstance(error, ReductionNeededError) else str(error)
        return None, problem.replace(f"{path.parent}/", "")


def _verdict_json(verdict: FileVerdict) -> dict[str, Any]:
    return {
        "valid": verdict.valid,
        "grammar_score": verdict.grammar_score,
        "notes": verdict.notes,
        "judged_as": verdict.checked_as,
        "meter": str(verdict.meter),
        "violations": [asdict(violation) for violation in verdict.violations[:_MAX_VIOLATIONS]],
        "more": max(0, len(verdict.violations) - _MAX_VIOLATIONS),
        "roll": [
            [note.part, note.pitch, note.onset_tick, note.offset_tick, note.closed]
            for note in verdict.roll[:_MAX_ROLL_NOTES]
        ],
    }


def _check_unpacked_size(path: Path) -> None:
    """Raise NotationFileError if a compressed score is too large when unpacked."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # the reader reports the problem
    if unpacked > _MAX_UNPACKED_BYTES:
        raise NotationFileError(
            f"{path} has {unpacked} bytes when unpacked. The limit is {_MAX_UNPACKED_BYTES}."
        )
