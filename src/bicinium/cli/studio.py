"""`bicinium studio`: serve the studio in the browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bicinium.errors import RequestError
from bicinium.optional_imports import require_extra


def studio(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")] = 8765,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond this machine a token is asked for.")
    ] = "127.0.0.1",
    watched: Annotated[
        Path | None, typer.Option("--runs", help="A folder whose training runs can be watched.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A checkpoint; else the one built in.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Serve a page on which to compose, hear, see and understand. Ctrl-C ends it."""
    from bicinium.model.checkpoint import DEFAULT_MODEL

    with require_extra("studio", "the studio"):
        from bicinium.studio.guard import Policy, is_loopback, new_token
        from bicinium.studio.open_browser import show
        from bicinium.studio.server import Settings, serve
    if watched and not watched.is_dir():
        raise RequestError(f"there is no folder {watched} whose runs could be watched")

    def started(address: str) -> None:
        typer.echo(f"the studio is at {address} (Ctrl-C closes it)")
        sys.stdout.flush()
        if browser:
            show(address)

    policy = Policy.of(host, "" if is_loopback(host) else new_token())
    serve(Settings(model or DEFAULT_MODEL, watched, policy), host, port, started)
