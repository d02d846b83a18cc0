"""Fuzz everything that reads a file or a request: ``python tests/fuzz/fuzz.py TARGET``.

Random changes of the files in ``seeds/`` and ``found/`` are read, guided by the lines that they
reach (atheris, libFuzzer). Only a ``BiciniumError`` may be raised, within 5 seconds and 1 GiB.
Every other exception is written to ``--found``, once for each place, and the search goes on.
``--replay`` only reads the seeds and what was found before.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

MAX_SECONDS, MAX_MEGABYTES = 5, 1024
_FOLDERS = ("seeds", "found")
_HERE = Path(__file__).parent
_MAX_INPUT_BYTES = 8192


@contextmanager
def _instrumented() -> Iterator[None]:
    """Count the lines that are reached in what is imported in the block, unless in a replay."""
    if "--replay" in sys.argv:
        yield
        return
    import atheris

    with atheris.instrument_imports(include=["bicinium"]):
        yield


with _instrumented():
    from bicinium.counterpoint.rule_sets import load_rule_set
    from bicinium.data.import_piece import import_files
    from bicinium.data.report import corpus_report
    from bicinium.data.shards import load_checked
    from bicinium.data.source_file import SourceFile
    from bicinium.data.sources import find_sources
    from bicinium.errors import BiciniumError, RequestError
    from bicinium.formats.registry import read_score
    from bicinium.generation.critic import Critic
    from bicinium.generation.memorization import QuotationIndex
    from bicinium.grammar.config import MusicalGrammarConfig
    from bicinium.model.checkpoint import DEFAULT_MODEL, load_checkpoint, weight_shapes
    from bicinium.model.config import ModelConfig
    from bicinium.reports.verdicts import validate_file
    from bicinium.studio import schemas
    from bicinium.studio.run_files import RunDirectory
    from bicinium.studio.score_json import describe_validation_error
    from bicinium.tokenizer.vocabulary import vocabulary_hash
    from bicinium.training.compare_runs import compare_runs
    from bicinium.training.config import load_config
    from bicinium.training.run_dir import read_records

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from pydantic import ValidationError  # noqa: E402
from safetensors.numpy import save  # noqa: E402


def _music(suffix: str) -> Callable[[bytes, Path], None]:
    """Return what imports, validates and reads a music file with this suffix."""

    def read(data: bytes, folder: Path) -> None:
        path = folder / f"music{suffix}"
        path.write_bytes(data)
        ((record, *_),) = import_files([SourceFile(path, name="music")])
        verdict = validate_file(path)
        for message in (record.reason, *(v.message for v in verdict.violations[:1])):
            if "broke bicinium" in message:
                raise RuntimeError(message)
        read_score(path, reduce=True, quantize=True, unfold=True)

    return read


def _mxl(data: bytes, folder: Path) -> None:
    """Read an archive, or an archive that holds these bytes as its score."""
    if not data.startswith(b"PK"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("score.xml", data)
        data = packed.getvalue()
    _music(".mxl")(data, folder)


def _tokens(data: bytes, folder: Path) -> None:
    path = folder / "tokens.json"
    path.write_bytes(data)
    for violation in validate_file(path).violations[:1]:
        if "broke bicinium" in violation.message:
            raise RuntimeError(violation.message)


def _config(data: bytes, folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_bytes(data)
    load_config(path, [data.decode("utf-8", "replace").partition("\n")[0]])


def _rules(data: bytes, folder: Path) -> None:
    path = folder / "rules.yaml"
    path.write_bytes(data)
    load_rule_set(str(path))


def _checkpoint(data: bytes, folder: Path) -> None:
    """Read a checkpoint, or one whose header has these two lines as its configuration and record.

    Bytes alone would seldom be a header with the right length.
    """
    path = folder / "model.safetensors"
    if data.startswith(b"{"):
        config, _, record = data.decode("utf-8", "replace").partition("\n")
        metadata = {
            "config": config,
            "record": record,
            "vocabulary": vocabulary_hash(),
            "grammar": MusicalGrammarConfig().config_hash,
        }
        data = save(_tiny_weights(), metadata)
    path.write_bytes(data)
    checkpoint = load_checkpoint(path)
    checkpoint.styles  # noqa: B018 (read from the record)


@cache
def _tiny_weights() -> dict[str, NDArray[np.float32]]:
    """Return the weights that fit the configuration of the seed."""
    config, _, _ = (_HERE / "seeds/checkpoint/header.json").read_text("utf-8").partition("\n")
    shapes = weight_shapes(ModelConfig.model_validate_json(config))
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def _critic(data: bytes, folder: Path) -> None:
    path = folder / "critic.json"
    path.write_bytes(data)
    Critic.load(path)


def _quotations(data: bytes, folder: Path) -> None:
    path = folder / "quotations.npz"
    path.write_bytes(data)
    QuotationIndex.load(path)


def _shards(data: bytes, folder: Path) -> None:
    """Read a shard, or one whose columns are these as JSON: bytes alone seldom change the types."""
    path = folder / "pieces-000.parquet"
    if data.startswith(b"{"):
        import pyarrow
        import pyarrow.parquet

        try:
            table = pyarrow.table(json.loads(data))
            pyarrow.parquet.write_table(table, path)
        except Exception:
            return  # No shard can be written of these values.
    else:
        path.write_bytes(data)
    load_checked(folder)


def _manifest(data: bytes, folder: Path) -> None:
    """Read the manifest of a folder of music, and the same as that of a prepared corpus."""
    (folder / "manifest.csv").write_bytes(data)
    (folder / "a.mid").touch()
    for read in (lambda: list(find_sources([folder])), lambda: corpus_report(folder)):
        try:
            read()
        except BiciniumError:
            continue


def _records(data: bytes, folder: Path) -> None:
    for name in ("metrics.jsonl", "events.jsonl"):
        (folder / name).write_bytes(data)
    read_records(folder / "events.jsonl")
    runs = RunDirectory(folder)
    runs.read_run(folder.name, True, runs.version(folder.name))
    compare_runs([folder])


def _bodies(data: bytes, folder: Path) -> None:
    """Read the bytes as the body of every kind of request."""
    for name in ("ComposeSchema", "EngraveSchema", "ExportSchema", "AnalyseSchema"):
        try:
            body = getattr(schemas, name).model_validate_json(data)
        except ValidationError as error:
            describe_validation_error(error)
            continue
        try:
            if name == "ComposeSchema":
                body.to_request(folder, DEFAULT_MODEL)
            else:
                body.score.to_score()
        except RequestError:
            continue


def _broken(data: bytes, folder: Path) -> None:
    """Break at once, so that a test can see that this is found."""
    raise ZeroDivisionError


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "midi": _music(".mid"),
    "tokens": _tokens,
    "musicxml": _music(".musicxml"),
    "mxl": _mxl,
    "abc": _music(".abc"),
    "kern": _music(".krn"),
    "mei": _music(".mei"),
    "config": _config,
    "rules": _rules,
    "checkpoint": _checkpoint,
    "critic": _critic,
    "quotations": _quotations,
    "shards": _shards,
    "manifest": _manifest,
    "records": _records,
    "bodies": _bodies,
    "broken": _broken,
}


def _odd_values() -> list[bytes]:
    """Return the words of ``words.dict``."""
    lines = (_HERE / "words.dict").read_text("utf-8").splitlines()
    quoted = [line[1:-1] for line in lines if line.startswith('"')]
    return [word.encode().decode("unicode_escape").encode("latin-1") for word in quoted]


_VALUE = re.compile(rb"-?\d+(?:\.\d+)?|\"[^\"]*\"|\w+")


def change_value(data: bytes, odd: list[bytes], rng: random.Random) -> bytes:
    """Return a text with one of its numbers, words or strings replaced by an odd value."""
    places = list(_VALUE.finditer(data))
    if not places:
        return data
    place = rng.choice(places)
    return data[: place.start()] + rng.choice(odd) + data[place.end() :]


_TARGETS_WITH_SEEDS = [name for name in TARGETS if name != "broken"]


class Search:
    """Runs one target on inputs and keeps those that break it."""

    def __init__(self, name: str, found: Path) -> None:
        self.name, self.found = name, found
        self.target = TARGETS[name]
        self.folder = tempfile.TemporaryDirectory(dir=_memory_folder())
        self.places: set[str] = set()

    def run(self, data: bytes) -> None:
        """Run the target. Write the input to ``found`` if it broke it at a new place."""
        started = time.process_time()
        try:
            self.target(data, Path(self.folder.name))
        except BiciniumError as error:
            if "broke bicinium" in str(error):
                self._keep(data, str(error), error)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            last = [
                frame for frame in frames if "bicinium" in frame.filename or frame is frames[0]
            ][-1]
            place = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            self._keep(data, place, error)
        if time.process_time() - started > MAX_SECONDS:
            self._keep(data, f"over {MAX_SECONDS} seconds", None)

    def _keep(self, data: bytes, place: str, error: Exception | None) -> None:
        if place in self.places:
            return
        self.places.add(place)
        folder = self.found / self.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sha256(data).hexdigest()[:12]).write_bytes(data)
        print(f"FOUND {self.name}: {place}: {error}", flush=True)


def _memory_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def known_inputs(name: str) -> list[Path]:
    """Return the seeds of a target and what was found before."""
    return [path for folder in _FOLDERS for path in sorted((_HERE / folder / name).glob("*"))]


def main() -> int:
    """Fuzz one target for some seconds, or replay what is known of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", choices=TARGETS, help="what to fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--found", type=Path, default=Path("found"), help="folder for what breaks")
    parser.add_argument("--seeds", type=Path, nargs="*", default=[], help="more folders of seeds")
    parser.add_argument("--replay", action="store_true", help="only read known inputs")
    options = parser.parse_args()
    if options.replay:
        broken = 0
        for name in [options.target] if options.target else _TARGETS_WITH_SEEDS:
            search = Search(name, options.found)
            for path in known_inputs(name) or [Path(__file__)]:
                search.run(path.read_bytes())
            broken += len(search.places)
        return int(broken > 0)
    import atheris

    search = Search(options.target, options.found)
    with tempfile.TemporaryDirectory() as corpus:
        seeds = [_HERE / folder / options.target for folder in _FOLDERS] + options.seeds
        arguments = [
            sys.argv[0], f"-max_total_time={options.seconds}", f"-timeout={2 * MAX_SECONDS}",
            f"-rss_limit_mb={MAX_MEGABYTES}", f"-max_len={_MAX_INPUT_BYTES}",
            f"-dict={_HERE / 'words.dict'}", f"-artifact_prefix={options.found}/stopped-",
            "-print_final_stats=1", "-verbosity=0",
            corpus, *(str(folder) for folder in seeds if folder.is_dir()),
        ]  # fmt: skip
        odd = _odd_values()

        def mutate(data: bytes, max_size: int, seed: int) -> bytes:
            rng = random.Random(seed)
            if rng.random() < 0.5:
                return atheris.Mutate(data, max_size)
            return change_value(data, odd, rng)[:max_size]

        atheris.Setup(arguments, search.run, custom_mutator=mutate)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
