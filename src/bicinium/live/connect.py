"""Which ports a session uses, and how they are opened and closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bicinium.errors import RequestError
from bicinium.live import ports
from bicinium.live.session import Sink


@dataclass(frozen=True, slots=True)
class Connections:
    """Names of MIDI ports and addresses of OSC; None for what is not used.

    channel: MIDI channel of the answer, 1 to 16. Raises RequestError without an input or output.
    """

    midi_in: str | None = None
    midi_out: str | None = None
    osc_in: str | None = None
    osc_out: str | None = None
    channel: int = 1
    click: bool = True
    streamed: bool = False

    def __post_init__(self) -> None:
        if not (self.midi_in or self.osc_in):
            raise RequestError("There is nothing to listen to. Name --in or --osc-in.")
        if not (self.midi_out or self.osc_out or self.streamed):
            raise RequestError("There is nowhere to play. Name --out, --osc-out or --stream.")


@contextmanager
def connected(
    names: Connections,
    new_input: Callable[[], ports.MidiInPort] = ports.midi_in,
    new_output: Callable[[], ports.MidiOutPort] = ports.midi_out,
) -> Iterator[tuple[ports.Inbox, list[Sink]]]:
    """Open all ports; close them at the end. Raises LiveError for one that cannot be used."""
    with ExitStack() as stack:
        inbox, sinks = ports.Inbox(), list[Sink]()
        if names.midi_out:
            output = new_output()
            stack.callback(output.close_port)
            inbox.watch(ports.open_port(output, names.midi_out, "--out"))
            sinks.append(ports.MidiSink(output, names.channel - 1, names.click))
        if names.osc_out:
            sinks.append(ports.OscSink(*_address(names.osc_out, "--osc-out")))
        if names.streamed:
            sinks.append(ports.StreamSink())
        if names.midi_in:
            keys = new_input()
            stack.callback(keys.close_port)
            inbox.watch(ports.open_port(keys, names.midi_in, "--in"))
            keys.set_callback(inbox.take_midi)
        if names.osc_in:
            stack.callback(ports.OscInput(*_address(names.osc_in, "--osc-in"), inbox).close)
        yield inbox, sinks


def _address(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise RequestError(f"{option} must be like 127.0.0.1:9000 (got {text!r}).")
    return host.strip("[]") or "127.0.0.1", int(port)
