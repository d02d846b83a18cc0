"""`make metrics`: each measure on a small package whose values are known."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_SCRIPT = Path(__file__).parents[2] / "tools" / "metrics.py"


@pytest.fixture(scope="module")
def metrics() -> ModuleType:
    spec = importlib.util.spec_from_file_location("metrics", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["metrics"] = module
    spec.loader.exec_module(module)
    return module


def _function(text: str) -> Any:
    return ast.parse(text).body[0]


@pytest.mark.parametrize(
    ("text", "complexity"),
    [
        ("def f(): pass", 1),
        ("def f(a):\n  if a: pass\n  elif not a: pass", 3),
        ("def f(a, b):\n  return a and b or 1 if a else 2", 4),
        ("def f(a):\n  return [b for b in a if b]", 3),
        ("def f(a):\n  for b in a: pass\n  else: pass", 3),
        ("def f(a):\n  match a:\n    case 1: pass\n    case 2: pass\n    case _: pass", 3),
        ("def f():\n  def g(a):\n    if a: pass\n  return g", 1),
    ],
)
def test_complexity_counts_like_radon(metrics: ModuleType, text: str, complexity: int) -> None:
    assert metrics.complexity(_function(text)) == complexity


def test_self_is_not_a_parameter(metrics: ModuleType) -> None:
    assert metrics.parameters(_function("def f(self, a, /, b, *, c): pass")) == 3


def _write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_import_circles_ignore_imports_for_type_checking(
    metrics: ModuleType, tmp_path: Path
) -> None:
    folder = _write(
        tmp_path,
        a="from bicinium.b import x\n",
        b="def f():\n  import bicinium.a\n",
        c="from bicinium import d\n",
        d="if TYPE_CHECKING:\n  from bicinium.c import y\n",
    )
    assert metrics.import_circles(metrics.read_modules(folder)) == ["a <-> b"]


def test_private_names_in_tests_are_found(metrics: ModuleType) -> None:
    text = (
        "from bicinium.a import _hidden\n"
        "monkeypatch.setattr(thing, '_patched', 1)\n"
        "thing._read\n"
        "thing._replace(b=1)\n"
    )
    path = metrics.ROOT / "tests" / "test_example.py"
    module = metrics.Module("test_example", path, text, ast.parse(text))
    found = metrics.private_uses([module], {"_hidden", "_patched", "_read"})
    assert [place.split()[-1] for place in found] == ["_hidden", "_patched", "_read"]
