"""Write a model as a folder that can be uploaded to the Hugging Face hub. Imports no torch.

``model.safetensors`` with its quotation index and critic, ``config.json`` with the shape of the
model and the hash of each file (``model.hub`` checks them), and ``README.md``, the model card.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

import yaml

from bicinium.atomic_write import atomic_write
from bicinium.data.prepare import SUMMARY_NAME
from bicinium.errors import CorpusError
from bicinium.generation.critic import critic_path
from bicinium.generation.memorization import quotations_path
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from bicinium.model.hub import CONFIG_FILE, MODEL_FILES, MODEL_TYPE
from bicinium.tokenizer.vocabulary import vocabulary_hash

CARD = "README.md"
_USE = """\
## Use

    pip install 'bicinium[hub]'
    bicinium compose --model USER/NAME@REVISION

Replace `USER/NAME` by the name of this repository, and `REVISION` by a commit or a tag.
"""


def published_files(model: Path) -> dict[str, Path]:
    """Return the files of a checkpoint that exist, by their names in the published folder."""
    sources = (model, quotations_path(model), critic_path(model))
    return {name: path for name, path in zip(MODEL_FILES, sources, strict=True) if path.is_file()}


def data_licences(checkpoint: Checkpoint, data: Path | None = None) -> dict[str, int]:
    """Return how many training pieces have each licence.

    data: prepared corpus; None: the one that the training record names, if it is still there.

    Raises CorpusError if ``data`` has no readable summary.
    """
    recorded = checkpoint.record.get("config", {}).get("data", {}).get("prepared")
    folder = data or (Path(recorded) if isinstance(recorded, str) else None)
    if folder is None or (data is None and not (folder / SUMMARY_NAME).is_file()):
        return {}
    try:
        document = json.loads((folder / SUMMARY_NAME).read_text(encoding="utf-8"))
        return {str(name): int(count) for name, count in document["licences"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(
            f"{folder / SUMMARY_NAME} cannot be read. --data needs a folder that "
            "'bicinium corpus prepare' wrote."
        ) from error


def publish(model: Path, out: Path, licence: str, data: Path | None = None) -> list[Path]:
    """Write the folder ``out`` and return its files.

    licence: identifier of the licence of the weights, as the hub knows it.
    data: prepared corpus, whose licences the card lists; see ``data_licences``.
    """
    checkpoint = load_checkpoint(model)
    licences = data_licences(checkpoint, data)
    out.mkdir(parents=True, exist_ok=True)
    files = published_files(model)
    for name in MODEL_FILES[1:]:  # one of an earlier publication would belong to another model
        (out / name).unlink(missing_ok=True)
    for name, source in files.items():
        if name == MODEL_FILES[0]:
            dtype = next(iter(checkpoint.weights.values())).dtype.type
            record = without_folders(checkpoint.record)
            save_checkpoint(out / name, checkpoint.config, checkpoint.weights, record, dtype)
        else:
            with atomic_write(out / name) as temporary:
                shutil.copyfile(source, temporary)
    config = {
        "model_type": MODEL_TYPE,
        "model": checkpoint.config.model_dump(mode="json"),
        "vocabulary": vocabulary_hash(),
        "grammar": MusicalGrammarConfig().config_hash,
        "files": {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in files},
    }
    texts = {
        CONFIG_FILE: json.dumps(config, indent=2) + "\n",
        CARD: model_card(checkpoint, licence, licences),
    }
    for name, text in texts.items():
        with atomic_write(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [out / name for name in (*files, *texts)]


def without_folders(value: Any) -> Any:
    """Return a record in which absolute paths, which tell of its author, are names of files."""
    if isinstance(value, Mapping):
        return {key: without_folders(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_folders(one) for one in value]
    if isinstance(value, str):
        for kind in (PurePath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
    return value


def model_card(checkpoint: Checkpoint, licence: str, licences: Mapping[str, int]) -> str:
    """Return the model card: the hub's YAML header, and what the checkpoint says of itself."""
    config, record = checkpoint.config, checkpoint.record
    measures = _measures(record)
    header: dict[str, Any] = {
        "library_name": "bicinium",
        "license": licence,
        "tags": ["music", "music-generation", "symbolic-music", "counterpoint", "midi"],
    }
    if measures:
        result = {
            "task": {"type": "music-generation", "name": "Two-voice keyboard music"},
            "dataset": {"type": "validation", "name": "Validation pieces of the training set"},
            "metrics": [
                {"type": name.replace(" ", "_"), "name": name, "value": value}
                for name, value in measures.items()
            ],
        }
        header["model-index"] = [{"name": "bicinium model", "results": [result]}]
    parameters = sum(weight.size for weight in checkpoint.weights.values())
    training = {
        "steps": record.get("steps"),
        "training pieces": record.get("training_pieces"),
        "training tokens": record.get("training_tokens"),
        "rollbacks": record.get("rollbacks"),
    }
    rows = [f"| {name} | {value:,} |" for name, value in training.items() if type(value) is int]
    rows += [f"| {name} | {value:.4g} |" for name, value in measures.items()]
    return (
        "\n".join(
            [
                f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n",
                "# Model card\n",
                "This model composes two-voice keyboard music with bicinium. It is a "
                f"transformer of {config.n_layers} layers and {parameters:,} parameters.\n",
                f"- Styles: {', '.join(checkpoint.styles) or 'none'}.",
                f"- Metres: {', '.join(config.meters) or 'none'}.\n",
                _USE,
                "## Training and results\n",
                *(
                    ["| measure | value |", "|---|---|", *rows]
                    if rows
                    else ["Nothing was recorded."]
                ),
                "\nThe last measures are those of the validation that chose these weights.\n"
                if measures
                else "",
                "## Training data\n",
                *_licence_table(licences),
                f"\nLicence of the weights: {licence}.",
            ]
        )
        + "\n"
    )


def _measures(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of the validation that chose the weights."""
    validation = record.get("validation")
    if not isinstance(validation, dict):
        return {}
    return {
        name.replace("_", " "): float(validation[name])
        for name in ("bits_per_note", "grammar_score")
        if isinstance(validation.get(name), int | float)
    }


def _licence_table(licences: Mapping[str, int]) -> list[str]:
    if not licences:
        return ["The licences of the training pieces were not available."]
    rows = sorted(licences.items(), key=lambda item: (-item[1], item[0]))
    cells = [(name.replace("|", "/") or "not stated", count) for name, count in rows]
    return [
        "| licence | pieces |",
        "|---|---|",
        *(f"| {name} | {count:,} |" for name, count in cells),
    ]
