"""MIDI ports without hardware, and OSC over this machine's network."""

from __future__ import annotations

import json
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from bicinium.errors import LiveError, MissingExtraError, RequestError
from bicinium.generation.streaming import NoteEvent
from bicinium.live.connect import Connections, connected
from bicinium.live.ports import Inbox, MidiSink, OscInput, OscSink, midi_out
from bicinium.live.session import Key, Stop, TempoChange

NOTE = NoteEvent(0, 0.0, 1, 60, 79)
NOTE_END = NoteEvent(24, 0.5, 1, 60, 0)


class FakePort:
    """A port of rtmidi, of which nothing is real but the names."""

    def __init__(self, names=("Piano 20:0", "Synth 28:0")):
        self.names, self.sent, self.opened, self.callback = list(names), [], None, None

    def get_ports(self):
        return self.names

    def open_port(self, port, name):
        self.opened = self.names[port]

    def open_virtual_port(self, name):
        self.opened = f"virtual {name}"

    def close_port(self):
        self.opened = None

    def send_message(self, message):
        if self.opened is None:
            raise RuntimeError("port is closed")
        self.sent.append(tuple(message))

    def set_callback(self, function):
        self.callback = function


def test_ports_are_opened_by_part_of_their_names_and_closed():
    keys, synth = FakePort(), FakePort()
    names = Connections(midi_in="piano", midi_out="virtual")
    with connected(names, lambda: keys, lambda: synth) as (inbox, sinks):
        assert (keys.opened, synth.opened) == ("Piano 20:0", "virtual out")
        keys.callback(([0x93, 60, 100], 0.0), None)
        keys.callback(([0x93, 60, 0], 0.1), None)  # a NOTE_ON of velocity 0 ends the note
        keys.callback(([0x83, 62, 64], 0.1), None)
        for other in ([0xB0, 64, 127], [0xF8], [0xC0, 1]):
            keys.callback((other, 0.0), None)
        found = [inbox.receive(0.0) for _ in range(4)]
        assert [(key.pitch, key.velocity) for key in found[:3]] == [(60, 100), (60, 0), (62, 0)]
        assert found[3] is None
        assert len(sinks) == 1
    assert keys.opened is synth.opened is None


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("organ", "No MIDI port matches --in 'organ'.*Piano 20:0; Synth 28:0"),
        (":0", "Several MIDI ports match --in ':0'"),
    ],
)
def test_a_port_that_is_not_there(refuses, wanted, message):
    out = FakePort()
    names = Connections(midi_in=wanted, midi_out="virtual")
    with refuses(LiveError, message), connected(names, FakePort, lambda: out):
        pass
    assert out.opened is None  # it was closed again


def test_a_session_needs_an_input_and_an_output(refuses):
    with refuses(RequestError, "nothing to listen to"):
        Connections(midi_out="virtual")
    with refuses(RequestError, "nowhere to play"):
        Connections(midi_in="virtual")


@pytest.mark.parametrize("address", ["localhost:", "localhost:70000", "host:x"])
def test_an_address_that_is_none(refuses, address):
    names = Connections(osc_in=address, streamed=True)
    with refuses(RequestError, "--osc-in must be like 127.0.0.1:9000"), connected(names):
        pass


@pytest.mark.slow
def test_the_virtual_ports_of_rtmidi_over_jack(tmp_path):
    """The command between two other programs' ports, on a JACK server without hardware."""
    rtmidi = pytest.importorskip("rtmidi")
    if shutil.which("jackd") is None or rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        pytest.skip("needs jackd (apt-get install jackd2) and rtmidi with JACK")
    server = subprocess.Popen(
        ["jackd", "-r", "-d", "dummy"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(3)
    command = [sys.executable, "-m", "bicinium", "live", "--in", "virtual", "--out", "virtual"]
    live = subprocess.Popen([*command, "--tempo", "240", "--seed", "1"], stderr=subprocess.PIPE)
    try:
        assert live.stderr is not None
        while line := live.stderr.readline():
            if line.startswith(b"live: 240"):
                break
        heard: list[list[int]] = []
        synth = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="synth")
        synth.set_callback(lambda event, data: heard.append(event[0]))
        keys = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="keys")
        synth.open_port(_index(synth, "bicinium"))
        keys.open_port(_index(keys, "bicinium"))
        for pitch in [72, 74, 76, 74, 72, 71, 72, 74, 76, 77, 79, 77, 76, 74, 72, 71]:
            keys.send_message([0x90, pitch, 80])
            time.sleep(0.24)
            keys.send_message([0x80, pitch, 0])
        live.send_signal(signal.SIGINT)
        assert live.wait(timeout=30) == 0
        time.sleep(0.5)
        begun = [message[1] for message in heard if message[0] == 0x90]
        ended = [message[1] for message in heard if message[0] == 0x80]
        assert begun
        assert Counter(begun) == Counter(ended)  # no note hangs
        assert any(message[0] == 0x99 for message in heard)
    finally:
        live.kill()
        server.terminate()
        live.wait()
        server.wait()


def _index(port, name: str) -> int:
    return next(index for index, found in enumerate(port.get_ports()) if name in found)


def test_notes_clicks_and_silence_as_midi():
    port = FakePort()
    port.open_virtual_port("out")
    sink = MidiSink(port, channel=2, click=True)
    sink.note(NOTE, True)
    sink.note(NOTE, False)  # the player's: it is not played again
    sink.beat(1, 1)
    sink.beat(1, 2)
    sink.silence()
    assert port.sent[0] == (0x92, 60, 79)
    assert port.sent[1:5] == [(0x99, 76, 90), (0x89, 76, 0), (0x99, 77, 90), (0x89, 77, 0)]
    assert port.sent[5:] == [(0x82, 60, 0), (0xB2, 123, 0), (0xB2, 120, 0)]
    port.sent.clear()
    sink.note(NOTE, True)
    sink.note(NOTE_END, True)
    sink.silence()
    assert port.sent[2:] == [(0xB2, 123, 0), (0xB2, 120, 0)]


def test_an_output_that_fails_is_one_error(refuses):
    with refuses(LiveError, "The MIDI output no longer works: port is closed. Connect it"):
        MidiSink(FakePort(), 0, click=True).note(NOTE, True)


def test_a_port_that_has_gone_ends_the_session(refuses):
    keys, synth = FakePort(), FakePort()
    names = Connections(midi_in="piano", midi_out="synth")
    with connected(names, lambda: keys, lambda: synth) as (inbox, _):
        keys.names.remove("Piano 20:0")
        with refuses(LiveError, "The MIDI port 'Piano 20:0' has gone"):
            while True:
                inbox.receive(inbox.now() + 0.2)


def received(inbox: Inbox):
    return inbox.receive(inbox.now() + 5)


def test_osc_in_and_out():
    inbox = Inbox()
    listening = OscInput("127.0.0.1", 0, inbox)
    try:
        client = pytest.importorskip("pythonosc.udp_client").SimpleUDPClient(*listening.address)
        for wrong in ([60], [60, 200], ["a", 1], [60, 1, 2], []):
            client.send_message("/bicinium/key", wrong)
        client.send_message("/bicinium/tempo", [1e9])
        client.send_message("/somebody/else", [1])
        client.send_message("/bicinium/key", [60, 80])
        client.send_message("/bicinium/tempo", [96])
        client.send_message("/bicinium/stop", [])
        key, tempo, stop = received(inbox), received(inbox), received(inbox)
        assert isinstance(key, Key)
        assert (key.pitch, key.velocity) == (60, 80)
        assert isinstance(tempo, TempoChange)
        assert tempo.tempo_qpm == 96
        assert stop == Stop()
    finally:
        listening.close()


def test_what_osc_out_sends():
    server = pytest.importorskip("pythonosc.osc_server")
    heard: queue.SimpleQueue[tuple[object, ...]] = queue.SimpleQueue()
    dispatcher = pytest.importorskip("pythonosc.dispatcher").Dispatcher()
    dispatcher.set_default_handler(lambda *message: heard.put(message))
    with server.BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher) as listening:
        listening.timeout = 5
        sink = OscSink(*listening.server_address)
        sink.note(NOTE, True)
        sink.beat(2, 3)
        sink.silence()
        for _ in range(3):
            listening.handle_request()
    assert heard.get(timeout=1) == ("/bicinium/note", 0, 0.0, 1, 60, 79)
    assert heard.get(timeout=1) == ("/bicinium/beat", 2, 3)
    assert heard.get(timeout=1) == ("/bicinium/silence",)


def test_without_the_extra_the_error_names_it(monkeypatch, refuses):
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    with refuses(MissingExtraError, r"bicinium\[live\]"):
        midi_out()
    monkeypatch.setitem(sys.modules, "pythonosc.udp_client", None)
    with refuses(MissingExtraError, r"bicinium\[live\]"):
        OscSink("127.0.0.1", 9)


def test_the_command_answers_over_osc_until_a_signal():
    """A session of the command itself: keys by OSC, both voices on standard output."""
    udp = pytest.importorskip("pythonosc.udp_client")
    port = 20000 + time.time_ns() % 20000
    command = [sys.executable, "-m", "bicinium", "live", "--osc-in", f"127.0.0.1:{port}"]
    command += ["--stream", "--tempo", "240", "--seed", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as live:
        assert live.stderr is not None
        assert live.stderr.readline().startswith("live: 240 beats a minute in C major.")
        client = udp.SimpleUDPClient("127.0.0.1", port)
        for pitch in [72, 74, 76, 74, 72, 71, 72, 74, 76, 77, 79, 77, 76, 74, 72, 71]:
            client.send_message("/bicinium/key", [pitch, 80])
            time.sleep(0.24)
            client.send_message("/bicinium/key", [pitch, 0])
        live.terminate()
        printed, _ = live.communicate(timeout=30)
    events = [json.loads(line) for line in printed.splitlines()]
    assert live.returncode == 0
    assert set(events[0]) == {"tick", "second", "voice", "pitch", "velocity"}
    assert sum(event["voice"] == 0 and event["velocity"] > 0 for event in events) == 16
    answers = [event for event in events if event["voice"] == 1]
    assert sum(event["velocity"] > 0 for event in answers) > 0
    held: set[int] = set()
    for event in answers:
        (held.add if event["velocity"] else held.remove)(event["pitch"])
    assert not held
