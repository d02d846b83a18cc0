"""MIDI ports, OSC and standard output, as the sources and sinks of a session."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol

from bicinium.errors import LiveError
from bicinium.generation.conditions import MAX_TEMPO_QPM, MIN_TEMPO_QPM
from bicinium.generation.streaming import NoteEvent
from bicinium.live.session import Key, Message, Stop, TempoChange
from bicinium.optional_imports import import_optional

VIRTUAL = "virtual"  # instead of a port's name: open a port that other programs connect to
_CLIENT = "bicinium"
_NOTE_OFF, _NOTE_ON, _CONTROL = 0x80, 0x90, 0xB0
_ALL_SOUND_OFF, _ALL_NOTES_OFF = 120, 123
_PERCUSSION, _BAR_CLICK, _BEAT_CLICK = 9, 76, 77  # General MIDI: high and low wood block
_CHECK_SECONDS = 1.0  # between two looks at whether the ports are still there
_SPARE_SECONDS = 0.05  # a look takes less


class MidiPort(Protocol):
    """What is used of ``rtmidi.MidiIn`` and ``rtmidi.MidiOut``."""

    def get_ports(self) -> list[str]: ...

    def open_port(self, port: int, name: str) -> Any: ...

    def open_virtual_port(self, name: str) -> Any: ...

    def close_port(self) -> None: ...


class MidiOutPort(MidiPort, Protocol):
    """An output."""

    def send_message(self, message: Sequence[int]) -> None: ...


class MidiInPort(MidiPort, Protocol):
    """An input. It calls the function with (message, seconds since the last one) and data."""

    def set_callback(self, function: Callable[..., None]) -> None: ...


def midi_in() -> MidiInPort:
    """Return a MIDI input that is not open yet."""
    return _rtmidi_port("MidiIn")


def midi_out() -> MidiOutPort:
    """Return a MIDI output that is not open yet."""
    return _rtmidi_port("MidiOut")


def _rtmidi_port(kind: str) -> Any:
    """Return a port of the first MIDI system that runs here: ALSA before JACK on Linux."""
    rtmidi = import_optional("rtmidi", "live", "playing live")
    problem = "rtmidi was built without any"
    for system in rtmidi.get_compiled_api():
        try:
            return getattr(rtmidi, kind)(system, name=_CLIENT)
        except rtmidi.RtMidiError as error:
            problem = str(error).rstrip(".")
    raise LiveError(
        f"No MIDI system runs here: {problem}. Start ALSA or JACK, or use --osc-in and --osc-out."
    )


def open_port(port: MidiPort, wanted: str, option: str) -> PortWatch:
    """Open the port whose name contains ``wanted``, or a virtual one."""
    if wanted == VIRTUAL:
        port.open_virtual_port(option.strip("-"))
        return PortWatch(port, "")
    names = port.get_ports()
    found = [index for index, name in enumerate(names) if wanted.lower() in name.lower()]
    if wanted in names:
        found = [names.index(wanted)]
    if len(found) != 1:
        there = "; ".join(names) or "none"
        problem = "Several MIDI ports match" if found else "No MIDI port matches"
        raise LiveError(
            f"{problem} {option} {wanted!r}. Name one of the ports, or {VIRTUAL} for a port that "
            f"other programs connect to. Ports: {there}."
        )
    port.open_port(found[0], _CLIENT)
    return PortWatch(port, names[found[0]])


class PortWatch:
    """Knows whether an open port is still there. A virtual port always is."""

    def __init__(self, port: MidiPort, name: str) -> None:
        self._port, self._name = port, name

    def check(self) -> None:
        """Raise LiveError if the port has gone."""
        if self._name and self._name not in self._port.get_ports():
            raise LiveError(f"The MIDI port {self._name!r} has gone. Connect it and start again.")


class Inbox:
    """The source of a session: messages of all inputs, and the clock. Any thread may put."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._watches: list[PortWatch] = []
        self._checked = self.now()

    def watch(self, watch: PortWatch) -> None:
        """Look now and then whether a port is still there."""
        self._watches.append(watch)

    def now(self) -> float:
        """Return the time in seconds of a clock that is never set."""
        return time.perf_counter()

    def put(self, message: Message) -> None:
        """Add a message."""
        self._messages.put(message)

    def receive(self, until: float) -> Message | None:
        """Wait for the next message. Raise LiveError if a port has gone."""
        now = self.now()
        if now - self._checked > _CHECK_SECONDS and until - now > _SPARE_SECONDS:
            self._checked = now
            for watch in self._watches:
                watch.check()
        with suppress(queue.Empty):
            return self._messages.get(timeout=max(0.0, until - self.now()))
        return None

    def take_midi(self, event: tuple[Sequence[int], float], data: object = None) -> None:
        """Take a message from an input of rtmidi. Only notes count, on any channel."""
        status, *values = event[0]
        kind = status & 0xF0
        if kind in (_NOTE_OFF, _NOTE_ON) and len(values) == 2:
            pitch, velocity = values
            self.put(Key(self.now(), pitch, velocity if kind == _NOTE_ON else 0))


class MidiSink:
    """Plays the partner's notes on a channel (0 to 15), and clicks on the percussion channel."""

    def __init__(self, port: MidiOutPort, channel: int, click: bool) -> None:
        self._port, self._channel, self._click = port, channel, click
        self._sounding: set[int] = set()

    def note(self, event: NoteEvent, is_partner: bool) -> None:
        """Send a note of the partner."""
        if not is_partner:
            return
        if event.begins:
            self._sounding.add(event.pitch)  # before it sounds, so that it is ended in any case
            self._send(_NOTE_ON | self._channel, event.pitch, event.velocity)
        else:
            self._send(_NOTE_OFF | self._channel, event.pitch, 0)
            self._sounding.discard(event.pitch)

    def beat(self, bar: int, beat: int) -> None:
        """Send a click, which ends at once."""
        if self._click:
            pitch = _BAR_CLICK if beat == 1 else _BEAT_CLICK
            self._send(_NOTE_ON | _PERCUSSION, pitch, 90)
            self._send(_NOTE_OFF | _PERCUSSION, pitch, 0)

    def silence(self) -> None:
        """End every note, also those that nobody remembers."""
        for pitch in sorted(self._sounding):
            self._send(_NOTE_OFF | self._channel, pitch, 0)
        self._sounding.clear()
        for control in (_ALL_NOTES_OFF, _ALL_SOUND_OFF):
            self._send(_CONTROL | self._channel, control, 0)

    def _send(self, *message: int) -> None:
        try:
            self._port.send_message(message)
        except Exception as error:  # of whatever kind the port has
            raise LiveError(
                f"The MIDI output no longer works: {str(error).rstrip('.')}. Connect it and start "
                "again."
            ) from error


class StreamSink:
    """Prints the notes of both voices as lines of JSON, like ``bicinium compose --stream``."""

    def note(self, event: NoteEvent, is_partner: bool) -> None:
        """Print a note."""
        sys.stdout.write(json.dumps(asdict(event)) + "\n")
        sys.stdout.flush()

    def beat(self, bar: int, beat: int) -> None:
        """Print nothing."""

    def silence(self) -> None:
        """Print nothing."""


class OscSink:
    """Sends ``/bicinium/note`` (tick, second, voice, pitch, velocity) and ``/bicinium/beat``."""

    def __init__(self, host: str, port: int) -> None:
        osc = import_optional("pythonosc.udp_client", "live", "OSC")
        try:
            self._client = osc.SimpleUDPClient(host, port)
        except OSError as error:
            raise LiveError(f"--osc-out {host}:{port} is no address that OSC can reach.") from error

    def note(self, event: NoteEvent, is_partner: bool) -> None:
        """Send a note."""
        self._client.send_message("/bicinium/note", list(asdict(event).values()))

    def beat(self, bar: int, beat: int) -> None:
        """Send a beat."""
        self._client.send_message("/bicinium/beat", [bar, beat])

    def silence(self) -> None:
        """Send that nothing sounds any more."""
        self._client.send_message("/bicinium/silence", [])


class OscInput:
    """Listens for OSC and puts it into an inbox. Messages with other values are ignored.

    ``/bicinium/key`` has pitch and velocity, 0 when the key is let go; ``/bicinium/tempo`` has
    quarter notes a minute; ``/bicinium/stop`` has nothing.
    """

    def __init__(self, host: str, port: int, inbox: Inbox) -> None:
        dispatcher = import_optional("pythonosc.dispatcher", "live", "OSC").Dispatcher()
        server = import_optional("pythonosc.osc_server", "live", "OSC")
        self._inbox = inbox
        dispatcher.map("/bicinium/key", self._key)
        dispatcher.map("/bicinium/tempo", self._tempo)
        dispatcher.map("/bicinium/stop", self._stop)
        try:
            self._server = server.BlockingOSCUDPServer((host, port), dispatcher)
        except OSError as error:
            raise LiveError(
                f"--osc-in cannot listen at {host}:{port}: {error.strerror or error}. Choose "
                "another port."
            ) from error
        self.address = self._server.server_address
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _key(self, address: str, *values: object) -> None:
        match values:
            case int(pitch), int(velocity) if 0 <= pitch <= 127 and 0 <= velocity <= 127:
                self._inbox.put(Key(self._inbox.now(), pitch, velocity))

    def _tempo(self, address: str, *values: object) -> None:
        match values:
            case (int(tempo) | float(tempo),) if MIN_TEMPO_QPM <= tempo <= MAX_TEMPO_QPM:
                self._inbox.put(TempoChange(self._inbox.now(), float(tempo)))

    def _stop(self, address: str, *values: object) -> None:
        self._inbox.put(Stop())
