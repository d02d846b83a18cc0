"""Wrong calls of every command are one line that names problem, value and fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

import pytest
import typer
from typer.models import OptionInfo

from bicinium.cli.main import app

_NUMBERS = {int: "a whole number", float: "a number"}


def _number_options() -> Iterator[tuple[list[str], str, str]]:
    """Yield every option of every command that takes a number: command, option, kind in words."""
    for command, callback in _commands(app):
        hints = get_type_hints(callback, include_extras=True)
        for name, hint in hints.items():
            for info in getattr(hint, "__metadata__", ()):
                kinds = get_args(get_args(hint)[0]) or get_args(hint)[:1]
                words = [_NUMBERS[kind] for kind in kinds if kind in _NUMBERS]
                if isinstance(info, OptionInfo) and words:
                    option = "-n" if name == "n" else f"--{name.replace('_', '-')}"
                    yield command, option, words[0]


def _commands(group: typer.Typer, *above: str) -> Iterator[tuple[list[str], Callable[..., None]]]:
    for one in group.registered_commands:
        assert one.callback is not None
        yield [*above, one.name or one.callback.__name__], one.callback
    for below in group.registered_groups:
        assert below.typer_instance is not None
        assert below.name is not None
        yield from _commands(below.typer_instance, *above, below.name)


@pytest.mark.parametrize(("command", "option", "words"), _number_options())
def test_a_word_for_a_number_is_refused_in_our_words(
    run_cli: Callable[..., Any], command: list[str], option: str, words: str
) -> None:
    ran = run_cli(*command, option, "some-5")
    ran.assert_error(rf"^bicinium: {option} must be {words} \(got 'some-5'\)\. See ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("compose --bars 5-8", "--bars must be a whole number (got '5-8')."),
        ("finetune x --max-steps 0", "--max-steps must be 1 or more (got 0)."),
        ("studio --port 99999", "--port must be 65535 or less (got 99999)."),
        ("compose --barz 4", "bicinium compose has no option --barz. Did you mean --bars?"),
        ("compose --upper", "--upper needs a value (got nothing)."),
        ("compose --perform=yes", "--perform takes no value. Write --perform alone."),
        ("compose tune.mid", "bicinium compose takes no more arguments (got tune.mid)."),
        ("convert a.mid", "bicinium convert needs TARGET (got nothing)."),
        ("compos", "There is no command bicinium compos. Choose one of compose, corpus."),
        ("runs x", "There is no command bicinium runs x. Choose one of compare, average."),
    ],
)
def test_wrong_calls_are_refused_in_one_line(
    run_cli: Callable[..., Any], arguments: str, message: str
) -> None:
    run_cli(*arguments.split()).assert_error(f"^bicinium: {re.escape(message)}.* See bicinium .*-h")
