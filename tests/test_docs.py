"""The examples in the documents run as they are written."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import bicinium
from bicinium.cli.main import app
from bicinium.formats.registry import read_voice

ROOT = Path(__file__).parents[1]


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DOCTESTED = [
    "docs/composing.md",
    "docs/counterpoint.md",
    "docs/form.md",
    "docs/grammar.md",
    "docs/integrations.md",
    "docs/notebooks.md",
    "docs/quality.md",
    "docs/training.md",
    "docs/tutorials/developer.md",
    "docs/tutorials/researcher.md",
    "README.md",
]
SLOW = ["docs/vocabularies.md"]  # trains a model
TESTED_ELSEWHERE = {
    "docs/http.md": "tests/studio/test_openapi.py",
    "docs/hub.md": "tests/model/test_hub.py",
}


@pytest.mark.parametrize(
    "name", [*DOCTESTED, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(ROOT / name), module_relative=False)
    assert result.failed == 0
    assert result.attempted > 0


def test_the_files_of_the_readme_exist_and_can_be_read():
    named = set(re.findall(r"examples/[\w.]+", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named == {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.musicxml")}
    assert bicinium.read(ROOT / "examples/minuet.musicxml").bars == 8
    tune = read_voice(ROOT / "examples/tune.musicxml", 0)
    assert (tune.bars, str(tune.key), len(tune.voices[0].notes)) == (12, "C major", 42)
    faults = bicinium.check(ROOT / "examples/exercise.musicxml", "species1").faults
    assert [fault.rule for fault in faults if fault.severity == "error"] == ["consecutive_perfects"]


def test_every_python_snippet_is_run_by_a_test():
    for page in PAGES:
        name, text = page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
        blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        if name in TESTED_ELSEWHERE:
            assert page.name in (ROOT / TESTED_ELSEWHERE[name]).read_text(encoding="utf-8")
        elif blocks or re.search(r"^ *>>> ", text, re.MULTILINE):
            assert name in [*DOCTESTED, *SLOW]
            assert all(">>>" in block for block in blocks), name


def _commands() -> Iterator[tuple[str, str]]:
    """Yield each command of bicinium in a code block, with the name of its page."""
    for page in PAGES:
        if page.name in ("log.md", "CHANGELOG.md"):  # commands of earlier versions
            continue
        is_fenced = False
        for line in page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
            is_fenced ^= line.startswith("```")
            if (is_fenced or line.startswith("    ")) and line.strip().startswith("bicinium "):
                yield page.relative_to(ROOT).as_posix(), line.strip()


@pytest.mark.parametrize(("page", "line"), sorted(set(_commands())))
def test_commands_and_options_exist(page, line):
    words = shlex.split(line, comments=True)[1:]
    end = next((i for i, word in enumerate(words) if word in ("|", "||", ">", "&&")), len(words))
    command, words = typer.main.get_command(app), words[:end]
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{page}: {line}"
        command = command.commands[words.pop(0)]
    command.make_context("bicinium", words)  # raises for an unknown option or a missing argument


@pytest.mark.slow
@pytest.mark.parametrize("name", ["composer", "teacher", "researcher"])
def test_the_commands_of_a_tutorial_run_in_order(name, tmp_path):
    if not shutil.which("bash"):
        pytest.skip("there is no bash")
    text = (ROOT / f"docs/tutorials/{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 3
    command = shlex.join([sys.executable, "-m", "bicinium"])
    program = f'set -e\nbicinium() {{ {command} "$@"; }}\n' + "\n".join(blocks)
    ended = subprocess.run(
        ["bash", "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, text=True,
        timeout=1800, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    expected = {
        "composer": ["out/d-minor-3-4-seed-7.mid", "duet/tune-seed-3.musicxml", "rewritten"],
        "teacher": ["class.csv", "class/anna.musicxml"],
        "researcher": ["prepared/manifest.csv", "runs/tiny/model.safetensors", "published"],
    }
    assert all((tmp_path / path).exists() for path in expected[name])
