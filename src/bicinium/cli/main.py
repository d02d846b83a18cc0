"""The command line: one table, command -> function.

Commands import heavy modules when they run. Exit status: 0 success; 1 a checked file or model is
invalid; 2 the call or an input file is wrong.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from bicinium import __version__
from bicinium.cli.check import check
from bicinium.cli.compose import compose
from bicinium.cli.compose_help import COMPOSE_EXAMPLES, COMPOSE_PANELS
from bicinium.cli.convert import convert
from bicinium.cli.corpus import corpus_fetch, corpus_prepare, corpus_report_page, corpus_validate
from bicinium.cli.evaluate import doctor, evaluate
from bicinium.cli.live import live
from bicinium.cli.options import grouped
from bicinium.cli.output import print_error
from bicinium.cli.publish import publish
from bicinium.cli.species import species
from bicinium.cli.stop_signals import stop_signals
from bicinium.cli.studio import studio
from bicinium.cli.train import finetune, runs_average, runs_compare, train
from bicinium.cli.usage_errors import PlainErrors
from bicinium.cli.validate import validate
from bicinium.compiled import NOT_COMPILED, is_compiled
from bicinium.errors import BiciniumError, CollapseError


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bicinium {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=PlainErrors,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command(epilog=COMPOSE_EXAMPLES)(grouped(compose, COMPOSE_PANELS))
for command in (
    convert, validate, check, species, train, finetune, doctor, evaluate, publish, studio, live,
):  # fmt: skip
    app.command()(command)

corpus = typer.Typer(no_args_is_help=True, help="Download, prepare and check training data.")
corpus.command("prepare")(corpus_prepare)
corpus.command("fetch")(corpus_fetch)
corpus.command("validate")(corpus_validate)
corpus.command("report")(corpus_report_page)
app.add_typer(corpus, name="corpus")

runs = typer.Typer(no_args_is_help=True, help="Compare and average training runs.")
runs.command("compare")(runs_compare)
runs.command("average")(runs_average)
app.add_typer(runs, name="runs")


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Version.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Compose two-voice keyboard music that is grammatical by construction."""


def _describe_os_error(error: OSError) -> str:
    """Return what the operating system refused, where no command has a better sentence."""
    try:
        os.getcwd()
    except OSError:
        return "The working folder no longer exists. Change to another folder."
    return f"{error.filename or 'A file'} cannot be used: {error.strerror or error}."


def main() -> None:
    """Run the command line. Print an error as one line, and exit with status 1 or 2."""
    if not is_compiled():
        print_error(NOT_COMPILED)
    try:
        with stop_signals():
            app()
    except BiciniumError as error:
        print_error(f"bicinium: {error}")
        sys.exit(1 if isinstance(error, CollapseError) else 2)
    except OSError as error:
        print_error(f"bicinium: {_describe_os_error(error)}")
        sys.exit(2)
    except MemoryError:
        print_error("bicinium: the memory is not enough. Ask for less, or end other programs.")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
