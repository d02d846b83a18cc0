"""What the studio offers: styles and metres of the model, constraints, limits, file formats."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bicinium import __version__
from bicinium.counterpoint import RULE_SETS
from bicinium.errors import RequestError
from bicinium.formats.registry import MUSIC_SUFFIXES
from bicinium.generation.conditions import MAX_BARS, MAX_TEMPO_QPM, MIN_TEMPO_QPM
from bicinium.generation.constraints.config import DESCRIPTIONS, STRENGTHS, Constraints
from bicinium.generation.manner import MANNERS
from bicinium.generation.memorization import quotations_path
from bicinium.model.checkpoint import load_checkpoint
from bicinium.music.key import ALL_KEYS
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH
from bicinium.render.export import require_libraries
from bicinium.studio.messages import CONSTRAINT_LABELS
from bicinium.studio.piano_samples import SAMPLE_PITCHES, SAMPLE_SECONDS
from bicinium.studio.request_body import MAX_BODY_BYTES
from bicinium.studio.schemas import MAX_CANDIDATES, MAX_PIECES

MEDIA_TYPES = {
    "mid": "audio/midi",
    "musicxml": "application/vnd.recordare.musicxml+xml",
    "pdf": "application/pdf",
    "wav": "audio/wav",
    "svg": "image/svg+xml",
}  # of the export formats
UPLOAD_SUFFIXES = (*MUSIC_SUFFIXES, ".json")


def capabilities(model: Path, has_runs: bool) -> dict[str, Any]:
    """Return the JSON that the page reads when it opens."""
    checkpoint = load_checkpoint(model)
    defaults = asdict(Constraints())
    return {
        "version": __version__,
        "model": checkpoint.name,
        "meters": checkpoint.config.meters,
        "styles": checkpoint.styles,
        "manners": list(MANNERS),
        "keys": [{"name": str(key), "printed": key.display_name} for key in ALL_KEYS],
        "limits": {
            "bars": MAX_BARS,
            "pieces": MAX_PIECES,
            "candidates": MAX_CANDIDATES,
            "bytes": MAX_BODY_BYTES,
        },
        "tempo": [MIN_TEMPO_QPM, MAX_TEMPO_QPM],
        "constraints": [
            {
                "name": name,
                "label": CONSTRAINT_LABELS.get(name, description),
                "default": defaults[name],
                "is_strength": name in STRENGTHS,
            }
            for name, description in DESCRIPTIONS.items()
            if name != "ranges"  # which has controls of its own
        ],
        "rule_sets": [
            {"name": rule_set.name, "description": rule_set.description}
            for rule_set in RULE_SETS.values()
        ],
        "default_ranges": defaults["ranges"],
        "formats": [suffix for suffix in MEDIA_TYPES if _is_installed(suffix)],
        "engraving": _is_installed("svg"),
        "piano": {"pitches": SAMPLE_PITCHES, "seconds": SAMPLE_SECONDS}
        if _is_installed("wav")
        else None,
        "pitches": [LOWEST_PITCH, HIGHEST_PITCH],
        "quotations": quotations_path(model).is_file(),
        "runs": has_runs,
        "uploads": UPLOAD_SUFFIXES,
    }


def _is_installed(suffix: str) -> bool:
    try:
        require_libraries(suffix)
    except RequestError:
        return False
    return True
