"""Models of the Hugging Face hub, by names like ``user/repo@revision``.

The revision is what asks for the hub: a name without one is never looked up. Files go to the cache
of huggingface_hub (``HF_HOME``); a commit that is there needs no connection. ``config.json`` of the
repository lists the files of the model with their hashes (``bicinium publish`` writes it).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from bicinium.errors import CheckpointError
from bicinium.optional_imports import import_optional

CONFIG_FILE = "config.json"
MODEL_TYPE = "bicinium"  # in CONFIG_FILE
MODEL_FILES = ("model.safetensors", "model.quotations.npz", "model.critic.json")
_NAME = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)@(?P<revision>[\w./-]+)", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BARE_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


def is_hub_name(name: str) -> bool:
    """Return whether a name asks for a model of the hub, like ``user/repo@revision``."""
    return _NAME.fullmatch(name) is not None


def hub_hint(name: str) -> str:
    """Return how to ask for the hub, if a name without a revision may mean a model there."""
    return f" {name}@main would ask for a model of the hub." if _BARE_NAME.fullmatch(name) else ""


def fetch_model(name: str, endpoint: str | None = None, cache: Path | None = None) -> Path:
    """Return the weights of a hub model, with its other files beside them in the cache.

    endpoint: address of the hub; None: that of ``HF_ENDPOINT``, or huggingface.co.
    cache: folder of the cache; None: that of huggingface_hub.

    Raises MissingExtraError without huggingface_hub, and CheckpointError if the model cannot be
    fetched, was not written by ``bicinium publish``, or has a file with another hash.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read at the import
    hub = import_optional("huggingface_hub", "hub", f"the model {name}")
    found = _NAME.fullmatch(name)
    if found is None:
        raise CheckpointError(f"A model of the hub is named user/repo@revision (got {name}).")
    place = {
        "repo_id": found["repo"],
        "revision": found["revision"],
        "endpoint": endpoint or os.environ.get("HF_ENDPOINT"),
        "cache_dir": cache,
    }
    config = _download(hub, name, CONFIG_FILE, place)
    place["revision"] = config.parent.name  # the commit, so that all files are of the same one
    hashes = _read_hashes(name, config)
    for file, expected in hashes.items():
        path = _download(hub, name, file, place)
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise CheckpointError(
                f"{file} of {name} does not have the sha256 that its {CONFIG_FILE} lists. Delete "
                f"{path} and try again, or ask its author to publish it again."
            )
    return config.with_name(MODEL_FILES[0])


def _download(hub: Any, name: str, file: str, place: dict[str, Any]) -> Path:
    """Return a file of the repository. The cache is enough if the revision is a commit."""
    if _COMMIT.fullmatch(place["revision"]):
        repo, revision, cache = (place[key] for key in ("repo_id", "revision", "cache_dir"))
        cached = hub.try_to_load_from_cache(repo, file, cache_dir=cache, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
    try:
        return Path(hub.hf_hub_download(filename=file, **place))
    except Exception as error:  # also those of its HTTP library, which changes between versions
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
        raise CheckpointError(
            f"{file} of {name} cannot be fetched from the hub: {reason}. Check the name, the "
            "revision and the connection."
        ) from error


def _read_hashes(name: str, config: Path) -> dict[str, str]:
    """Return the sha256 of each file of the model, by the file's name."""
    try:
        document = json.loads(config.read_text(encoding="utf-8"))
        hashes: dict[str, str] = document["files"]
        is_ours = document["model_type"] == MODEL_TYPE and MODEL_FILES[0] in hashes
        is_ours = is_ours and hashes.keys() <= set(MODEL_FILES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise CheckpointError(
            f"{name} is no model of bicinium: its {CONFIG_FILE} does not list {MODEL_FILES[0]} "
            "with its hash. Publish the model with 'bicinium publish'."
        )
    return hashes
