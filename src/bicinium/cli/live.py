"""`bicinium live`: play one voice, and hear the other."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Annotated

import typer

from bicinium.cli.options import MODEL_HELP

_FRESH_SEEDS = 1_000_000


class PlayedVoice(StrEnum):
    """The voice that the player has."""

    UPPER = "upper"
    LOWER = "lower"


def live(
    midi_in: Annotated[
        str | None,
        typer.Option("--in", help="MIDI input: part of its name, or virtual for a new port."),
    ] = None,
    midi_out: Annotated[
        str | None,
        typer.Option("--out", help="MIDI output: part of its name, or virtual for a new port."),
    ] = None,
    osc_in: Annotated[
        str | None, typer.Option(help="Address to listen for OSC, like 127.0.0.1:9000.")
    ] = None,
    osc_out: Annotated[
        str | None, typer.Option(help="Address to send OSC to, like 127.0.0.1:9001.")
    ] = None,
    voice: Annotated[PlayedVoice, typer.Option(help="The voice that you play.")] = (
        PlayedVoice.UPPER
    ),
    key: Annotated[str, typer.Option(help="Key, like 'D minor'.")] = "C major",
    meter: Annotated[str, typer.Option(help="Metre, like 3/4.")] = "4/4",
    tempo: Annotated[
        float, typer.Option(help="Beats a minute: quarters in 3/4, dotted quarters in 6/8.")
    ] = 80.0,
    style: Annotated[str, typer.Option(help="Style of the answer.")] = "bach",
    grid: Annotated[
        int, typer.Option(help="Shortest note: 16 for sixteenths; 4, 8, 12, 16 or 24.")
    ] = 16,
    seed: Annotated[int | None, typer.Option(help="Seed of the answers (default: random).")] = None,
    click: Annotated[bool, typer.Option(help="Clicks of the metronome on MIDI channel 10.")] = True,
    channel: Annotated[int, typer.Option(min=1, max=16, help="MIDI channel of the answer.")] = 1,
    streamed: Annotated[
        bool,
        typer.Option("--stream", help="Print the notes of both voices as lines of JSON."),
    ] = False,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "default",
) -> None:
    """Answer one voice with the other while you play, on the beat. Ctrl-C stops it."""
    from bicinium.live.connect import Connections, connected
    from bicinium.live.options import LiveOptions, stopped_by_signals

    connections = Connections(midi_in, midi_out, osc_in, osc_out, channel, click, streamed)
    fresh = secrets.randbelow(_FRESH_SEEDS) if seed is None else seed
    player = int(voice == PlayedVoice.LOWER)
    options = LiveOptions(player, key, meter, tempo, style, grid, fresh, model)
    with connected(connections) as (inbox, sinks):
        session = options.session(inbox, sinks)
        with stopped_by_signals(inbox):
            typer.echo(f"live: {tempo:g} beats a minute in {key}. Play when you like.", err=True)
            session.run()
