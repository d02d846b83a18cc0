"""`bicinium studio`: serve the studio in the browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import MODEL_HELP, Force
from bicinium.errors import RequestError
from bicinium.optional_imports import require_extra


def studio(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any free port.")] = 8765,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine requires a token.")
    ] = "127.0.0.1",
    runs: Annotated[Path | None, typer.Option(help="Folder of training runs to show.")] = None,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "default",
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    install: Annotated[
        bool,
        typer.Option("--install-plugin", help="Copy the plugin to MuseScore; start no studio."),
    ] = False,
    plugin_folder: Annotated[
        Path | None, typer.Option(help="Folder of MuseScore's plugins, for --install-plugin.")
    ] = None,
    force: Force = False,
) -> None:
    """Serve a web page for composing, playing, viewing and checking pieces. Ctrl-C stops it."""
    from bicinium.model.checkpoint import resolve_model

    if install:
        _install_plugin(plugin_folder, force)
        return
    if plugin_folder or force:
        raise RequestError("--plugin-folder and --force belong to --install-plugin. Add it.")
    with require_extra("studio", "the studio"):
        from bicinium.studio.access_control import AccessPolicy, generate_token, is_loopback
        from bicinium.studio.open_browser import open_in_browser
        from bicinium.studio.server import StudioSettings, serve
    if runs and not runs.is_dir():
        raise RequestError(f"There is no folder {runs}. --runs needs a folder of training runs.")

    def on_start(address: str) -> None:
        typer.echo(f"studio: {address} (Ctrl-C stops it)")
        sys.stdout.flush()
        if browser:
            open_in_browser(address)

    policy = AccessPolicy.for_host(host, "" if is_loopback(host) else generate_token())
    serve(StudioSettings(resolve_model(model), runs, policy), host, port, on_start)


def _install_plugin(folder: Path | None, replace: bool) -> None:
    from bicinium.studio.plugin_folder import install_plugin, musescore_folders

    for path in install_plugin([folder] if folder else musescore_folders(), replace):
        typer.echo(f"The plugin is in {path}. Switch it on in MuseScore's plugin manager.")
