"""Compiles the grammar, the model's inputs and the network, if there is a C compiler.

The rest of the build is in pyproject.toml. The network is a C file. The other sources are
ordinary Python files; their ``.pxd`` neighbours declare the C types. Without a
compiler the same files are installed and run as they are.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

PACKAGE = Path("src/bicinium")
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,  # the C types are in the .pxd files
    "infer_types": True,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "show_performance_hints": False,
}
COMPILE = ["-O3", "-g0", "-ffp-contract=off"]  # no fused multiply-add: the same bits everywhere
LINK = ["-s"]


class CompileAllOrNone(build_ext):
    """Builds the extensions; if that fails, the package is built without any of them.

    ``optional=True`` would not do: Cython drops it, and it would let single modules fail.
    """

    def run(self) -> None:
        try:
            super().run()
        except (BaseError, CCompilerError, OSError) as error:
            print(f"bicinium is installed without compiled modules: {error}", file=sys.stderr)
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = []


def compiled_modules() -> list[Extension]:
    """Return an extension for the network and for each Python file with a ``.pxd`` beside it."""
    if os.environ.get("BICINIUM_UNCOMPILED"):
        return []
    from Cython.Build import cythonize

    sources = [declarations.with_suffix(".py") for declarations in sorted(PACKAGE.rglob("*.pxd"))]
    sources.append(PACKAGE / "_compiled.c")  # generated: what Cython's modules have in common
    sources.append(PACKAGE / "model" / "_network.c")
    unix = os.name == "posix"
    extensions = [
        Extension(
            ".".join(source.relative_to("src").with_suffix("").parts),
            [str(source)],
            depends=[str(header) for header in source.parent.glob("*.h")],
            extra_compile_args=COMPILE if unix else [],
            extra_link_args=LINK if unix else [],
        )
        for source in sources
    ]
    return list(
        cythonize(
            extensions,
            compiler_directives=DIRECTIVES,
            shared_utility_qualified_name="bicinium._compiled",
            build_dir="build",
            quiet=True,
        )
    )


setup(ext_modules=compiled_modules(), cmdclass={"build_ext": CompileAllOrNone})
