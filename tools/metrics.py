"""Measure the structure of the package against its targets: `make metrics`.

Prints one line for each measure with its value, its target and the places that miss it. Exit
status 1 if a target is missed. Reads the syntax trees only; for the count of stack frames it
composes one bar with the default model.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bicinium"

MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8
MAX_COMPLEXITY = 15
MAX_MODULE_LINES = 350
MAX_CLASS_LINES = 200
MAX_LONG_MODULES = 4
MAX_FRAMES = 6
MAX_REQUEST_TYPES = 4

# Places that may miss a target, with the reason in one line.
EXCEPTIONS: dict[str, str] = {
    "cli.compose.compose": "its signature is the table of the 30 options",
    "generation.conditions.Conditions": "values of one piece; a request has several pieces",
    "generation.config.GenerationConfig": "options of the token loop, which training sets as well",
    "generation.constraints.terms.CadencePlan": "drawn by the program; holds no option",
    "generation.fixed_notes.FixedNotes": "the given music, not an option",
    "model.inputs.encode.PieceConditions": "ids of the model; holds no option",
    "model.inputs.from_tokens.SequenceConditions": "inputs of the network in a loop of one's own",
    "grammar.automaton.MusicalGrammar": "the same questions for one sequence and for a batch",
    "grammar.state.State": "one compiled class: its fields and the events that change them",
}

# Types that describe what to compose, old names and new. The target counts those that exist.
REQUEST_TYPES = re.compile(
    r"Wish|WireGiven|Asked|Request|ComposeRequest|\w*Conditions|Given|GivenNotes|FixedNotes(Batch)?"
    r"|Sampling|Constraints|Manner|GenerationConfig|Closing|CadencePlan|Pieces"
)
REQUEST_PACKAGES = ("request", "api", "generation", "model", "studio", "cli")


@dataclass(frozen=True)
class Module:
    """A source file with its syntax tree; ``name`` is dotted, without the package's own name."""

    name: str
    path: Path
    text: str
    tree: ast.Module = field(repr=False)

    @property
    def lines(self) -> int:
        return self.text.count("\n")


@dataclass(frozen=True)
class Measure:
    """A measure, its target and the places that miss it, apart from the argued exceptions."""

    name: str
    value: int
    target: int
    places: list[str]

    @property
    def met(self) -> bool:
        return self.value <= self.target


def read_modules(folder: Path) -> list[Module]:
    """Parse every Python file below ``folder``."""
    modules = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        modules.append(Module(name, path, text, ast.parse(text)))
    return modules


def definitions(
    module: Module,
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Yield (dotted name, node) of every function and class, nested ones included."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}.{child.name}"
                yield name, child
                yield from walk(child, name)
            else:
                yield from walk(child, prefix)

    yield from walk(module.tree, module.name)  # type: ignore[misc]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """Return the lines from ``def`` or ``class`` to the end, docstring included."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of parameters apart from ``self`` and ``cls``."""
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(each.arg not in ("self", "cls") for each in named)


def long_functions(modules: list[Module]) -> list[str]:
    return [
        f"{name} ({length(node)})"
        for module in modules
        for name, node in definitions(module)
        if not isinstance(node, ast.ClassDef) and length(node) > MAX_FUNCTION_LINES
    ]


def long_classes(modules: list[Module]) -> list[str]:
    return [
        f"{name} ({length(node)})"
        for module in modules
        for name, node in definitions(module)
        if isinstance(node, ast.ClassDef) and length(node) > MAX_CLASS_LINES
    ]


def many_parameters(modules: list[Module]) -> list[str]:
    return [
        f"{name} ({parameters(node)})"
        for module in modules
        if module.name.partition(".")[0] != "cli"
        for name, node in definitions(module)
        if not isinstance(node, ast.ClassDef) and parameters(node) > MAX_PARAMETERS
    ]


def complexity(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the cyclomatic complexity of a function as radon counts it, nested functions apart.

    Stricter than ruff's C901: conditional expressions, `and`, `or`, comprehensions and assertions
    count too.
    """

    def points(node: ast.AST) -> int:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return 0
            case ast.If() | ast.IfExp() | ast.Assert():
                own = 1
            case ast.For() | ast.AsyncFor() | ast.While():
                own = 1 + bool(node.orelse)
            case ast.Try():
                own = len(node.handlers) + bool(node.orelse)
            case ast.BoolOp():
                own = len(node.values) - 1
            case ast.comprehension():
                own = 1 + len(node.ifs)
            case ast.Match():
                last = node.cases[-1].pattern
                own = len(node.cases) - (isinstance(last, ast.MatchAs) and last.pattern is None)
            case _:
                own = 0
        return own + sum(points(child) for child in ast.iter_child_nodes(node))

    return 1 + sum(points(statement) for statement in node.body)


def complex_functions(modules: list[Module]) -> list[str]:
    return [
        f"{name} ({complexity(node)})"
        for module in modules
        for name, node in definitions(module)
        if not isinstance(node, ast.ClassDef) and complexity(node) > MAX_COMPLEXITY
    ]


def long_modules(modules: list[Module]) -> list[str]:
    return [
        f"{module.name} ({module.lines})" for module in modules if module.lines > MAX_MODULE_LINES
    ]


def imports(module: Module, names: set[str]) -> set[str]:
    """Return the modules of the package that ``module`` imports, at any depth of the file.

    Imports for type checkers only are left out. Imports inside functions count: they hide a
    circle, they do not remove it.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                visit(child)
            return
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bicinium":
            base = (node.module or "").removeprefix("bicinium").removeprefix(".")
            for alias in node.names:
                below = f"{base}.{alias.name}".removeprefix(".")
                found.add(below if below in names else base)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("bicinium."):
                    found.add(alias.name.removeprefix("bicinium."))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(module.tree)
    return (found & names) - {module.name}


def import_circles(modules: list[Module]) -> list[str]:
    """Return the strongly connected components of the import graph with two modules or more."""
    names = {module.name for module in modules}
    graph = {module.name: imports(module, names) for module in modules}

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in graph[waiting.pop()] - seen:
                seen.add(name)
                waiting.append(name)
        return seen

    reach = {name: reachable(name) for name in graph}
    circles = {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in graph
        if name in reach[name]
    }
    return sorted(" <-> ".join(sorted(circle)) for circle in circles)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(modules: list[Module]) -> set[str]:
    """Return the private functions, classes, constants and attributes that the modules define."""
    names: set[str] = set()
    for module in modules:
        for node in ast.walk(module.tree):
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    names.add(name)
                case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                    names.add(name)
    return {name for name in names if is_private(name)}


def private_uses(tests: list[Module], private: set[str]) -> list[str]:
    """Return the places at which tests import, read or patch a private name of the package."""
    places = []
    for module in tests:
        own = private_names([module])
        for node in ast.walk(module.tree):
            used: list[str] = []
            match node:
                case ast.ImportFrom(module=str(source), names=aliases):
                    if source.startswith("bicinium"):
                        used = [alias.name for alias in aliases if is_private(alias.name)]
                case ast.Attribute(attr=name, value=value):
                    if name in private and not (
                        name in own and isinstance(value, ast.Name) and value.id in ("self", "cls")
                    ):
                        used = [name]
                case ast.Call(func=ast.Attribute(attr="setattr" | "delattr"), args=arguments):
                    texts = [a.value for a in arguments[:2] if isinstance(a, ast.Constant)]
                    last = [str(text).rpartition(".")[2] for text in texts]
                    used = [name for name in last if name in private]
            places += [f"{module.path.relative_to(ROOT)}:{node.lineno} {name}" for name in used]
    return places


def request_types(modules: list[Module]) -> list[str]:
    return [
        name
        for module in modules
        if module.name.split(".")[0] in REQUEST_PACKAGES
        for name, node in definitions(module)
        if isinstance(node, ast.ClassDef) and REQUEST_TYPES.fullmatch(node.name)
    ]


def frames_to_decoder() -> tuple[int, list[str]]:
    """Return the depth of `Decoder.step` below `compose`, and the functions in between.

    A profile hook looks at the stack at the first call of the step, so nothing is patched.
    """
    sys.path.insert(0, str(ROOT / "src"))
    from bicinium.api import compose
    from bicinium.model.decoder import Decoder

    stack: list[str] = []

    def look(frame: object, event: str, argument: object) -> None:
        if event != "call" or stack or frame.f_code is not Decoder.step.__code__:  # type: ignore[attr-defined]
            return
        while frame is not None and frame.f_code is not compose.__code__:  # type: ignore[attr-defined]
            stack.append(frame.f_code.co_qualname)  # type: ignore[attr-defined]
            frame = frame.f_back  # type: ignore[attr-defined]

    sys.setprofile(look)
    try:
        compose(bars=1, seed=0)
    finally:
        sys.setprofile(None)
    return len(stack), list(reversed(stack))


def measures() -> list[Measure]:
    modules = read_modules(PACKAGE)
    tests = read_modules(ROOT / "tests")
    frames, path = frames_to_decoder()
    lists = [
        (f"functions over {MAX_FUNCTION_LINES} lines", 0, long_functions(modules)),
        (f"functions with over {MAX_PARAMETERS} parameters", 0, many_parameters(modules)),
        (f"complexity over {MAX_COMPLEXITY}", 0, complex_functions(modules)),
        (f"modules over {MAX_MODULE_LINES} lines", MAX_LONG_MODULES, long_modules(modules)),
        (f"classes over {MAX_CLASS_LINES} lines", 0, long_classes(modules)),
        ("import circles", 0, import_circles(modules)),
        ("private names in tests", 0, private_uses(tests, private_names(modules))),
        ("types of a request", MAX_REQUEST_TYPES, request_types(modules)),
    ]
    found = []
    for name, target, places in lists:
        left = [place for place in places if place.partition(" ")[0] not in EXCEPTIONS]
        found.append(Measure(name, len(left), target, left))
    found.append(Measure("frames from compose to the step", frames, MAX_FRAMES, path))
    return found


def main() -> int:
    """Print the table. With ``--places`` every place is printed, else ten of a measure."""
    shown = None if "--places" in sys.argv else 10
    found = measures()
    print(f"{'measure':<36} {'value':>5}  {'target':>6}")
    for measure in found:
        flag = "" if measure.met else "  MISSED"
        print(f"{measure.name:<36} {measure.value:>5}  {measure.target:>6}{flag}")
    print("\nargued exceptions:")
    for place, reason in EXCEPTIONS.items():
        print(f"  {place}: {reason}")
    for measure in found:
        if not measure.met:
            print(f"\n{measure.name}:")
            for place in measure.places[:shown]:
                print(f"  {place}")
            hidden = len(measure.places[shown:]) if shown else 0
            if hidden:
                print(f"  and {hidden} more; --places shows all")
    return 0 if all(measure.met for measure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
