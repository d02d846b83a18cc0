"""Wrong calls of the command line in plain words: one line that names problem, value and fix.

typer describes them in the words of its libraries, which differ between its versions.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from bicinium.cli.output import print_error

# typer gives this class no public name.
UsageError: Any = next(one for one in typer.BadParameter.__mro__ if one.__name__ == "UsageError")
_SHOWS_HELP = "NoArgsIsHelpError"  # a group without a command; its help has been printed
_LIMITS = {"greater_than_equal": "{ge:g} or more", "less_than_equal": "{le:g} or less"}
_KINDS = (("int", "a whole number"), ("finite", "a number"), ("float", "a number"))


class PlainErrors(TyperGroup):
    """The commands of bicinium; a wrong call ends with one line and status 2."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command, and exit with its status."""
        options |= {"prog_name": "bicinium", "standalone_mode": False}
        try:
            sys.exit(super().main(*arguments, **options))
        except UsageError as error:
            if message := usage_message(error):
                print_error(f"bicinium: {message}")
            sys.exit(2)
        except typer.Abort:
            print_error("bicinium: stopped")
            sys.exit(130)


def usage_message(error: Any) -> str:
    """Return what is wrong with a call; an empty string if its help was shown instead."""
    if type(error).__name__ == _SHOWS_HELP:
        return ""
    command = error.ctx.command_path if error.ctx else "bicinium"
    return f"{_problem(error, command)} See {command} -h."


def _problem(error: Any, command: str) -> str:
    parameter = getattr(error, "param", None)
    if type(error).__name__ == "MissingParameter" and parameter is not None:
        return f"{command} needs {_name(parameter)} (got nothing)."
    if parameter is not None:
        return _wrong_value(error, _name(parameter))
    message = str(error.message).rstrip(".")
    if type(error).__name__ == "NoSuchOption":
        near = " or ".join(error.possibilities or [])
        return f"{command} has no option {error.option_name}." + (
            f" Did you mean {near}?" if near else ""
        )
    if found := re.fullmatch(r"Option '(\S+)' requires an argument", message):
        return f"{found[1]} needs a value (got nothing)."
    if found := re.fullmatch(r"Option '(\S+)' does not take a value", message):
        return f"{found[1]} takes no value. Write {found[1]} alone."
    if found := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message):
        return f"{command} takes no more arguments (got {found[1]}). Options begin with --."
    if found := re.match(r"No such command '(.*?)'", message):
        near = ", ".join(re.findall(r"'([^']*)'", message)[1:]) or ", ".join(
            error.ctx.command.commands
        )
        return f"There is no command {command} {found[1]}. Choose one of {near}."
    return f"{message}."


def _name(parameter: Any) -> str:
    """Return an option as it is written, and an argument in capitals as in the help."""
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.name).upper()


def _wrong_value(error: Any, name: str) -> str:
    """Return what an option must be, and the value that it got."""
    details = getattr(error.__cause__, "errors", None)
    if details is None:
        return f"{name}: {str(error.message).rstrip('.')}."
    (first, *_) = details()
    value, kind = first["input"], first["type"]
    if kind in _LIMITS:
        return f"{name} must be {_LIMITS[kind].format(**first['ctx'])} (got {value})."
    words = next((words for start, words in _KINDS if kind.startswith(start)), None)
    if words:
        return f"{name} must be {words} (got {value!r})."
    return f"{name} cannot be {value!r}: {first['msg']}."
