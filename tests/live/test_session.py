"""Sessions with a virtual clock."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from bicinium.errors import RequestError
from bicinium.live.options import LiveOptions
from bicinium.live.session import Key, TempoChange


def options(**changed):
    return LiveOptions(**({"key": "D minor", "tempo": 120} | changed))


def play(script, listener, messages, end, **changed):
    source = script(messages, end)
    heard = listener(source)
    options(**changed).session(source, [heard]).run()
    return heard


@pytest.mark.parametrize("player", [0, 1])
def test_it_answers_on_the_grid_and_exactly_in_time(script, listener, walk, player):
    heard = play(script, listener, walk(16), 26, player=player)
    assert len(heard.partner) > 15
    assert all(event.tick % 6 == 0 for event in heard.partner)
    assert all(event.voice == 1 - player for event in heard.partner)
    assert max(heard.late) < 1e-6
    assert min(heard.late) > -1e-6


def test_it_waits_for_the_first_note_and_rests_after_the_last(script, listener):
    keys = [Key(10.0, 69, 80), Key(10.4, 69, 0), Key(10.5, 71, 80), Key(11.0, 71, 0)]
    heard = play(script, listener, keys, 30)
    assert heard.partner[0].second > 9.9
    assert heard.partner[-1].second < 11.0 + 2 * 2.0 + 2.0  # two bars, and up to one more
    assert not heard.held


def test_it_does_not_cross_the_player(script, listener, walk):
    heard = play(script, listener, walk(16), 17)
    assert sum(event.begins for event in heard.partner) > 10
    sounding, crossings = 0, 0
    for event in sorted(heard.player + heard.partner, key=lambda event: (event.tick, event.voice)):
        if event.voice == 0:
            sounding = event.pitch if event.begins else 0
        elif event.begins and sounding:
            crossings += event.pitch > sounding
    assert crossings <= 2  # against notes that came after the answer


def test_a_seed_plays_the_same_again(script, listener, walk):
    one, same, other = (play(script, listener, walk(8), 9, seed=seed).partner for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_the_player_s_last_note_is_heard_before_the_answer(script, listener):
    """Two players who differ from a moment on get the same answers before it, and no lookahead."""
    start = [Key(1.0 + i, 65 + i, 80) for i in range(6)]
    ends = [[Key(7.0, 60, 80), Key(8.0, 61, 80)], [Key(7.0, 84, 80), Key(8.0, 86, 80)]]
    heard = [play(script, listener, start + end, 12).partner for end in ends]
    before = [[event for event in events if event.second < 6.98] for events in heard]
    assert before[0] == before[1] != []
    assert heard[0] != heard[1]


def test_the_metronome_counts_in_its_metre_and_follows_the_tempo(script, listener):
    heard = play(script, listener, [TempoChange(2.0, 60.0)], 5.5, meter="3/4")
    assert heard.beats[:5] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    assert len(heard.beats) == 4 + 4  # at 0, 0.5, 1, 1.5 and, slower, at 2, 3, 4, 5 seconds


def test_a_key_that_stays_down_does_not_keep_it_playing(script, listener):
    heard = play(script, listener, [Key(1.0, 69, 80)], 60)
    assert heard.partner
    assert heard.partner[-1].second < 1 + 10 * 2
    assert not heard.held


def test_notes_beyond_the_piano_and_keys_all_at_once(script, listener):
    keys = [Key(1.0 + i / 10, pitch, 127) for i, pitch in enumerate([0, 127, 1, 126, 12, 60, 60])]
    chords = [Key(3.0 + i, 60 + j, 80) for i in range(8) for j in range(5)]
    ends = [Key(3.9 + i, 60 + j, 0) for i in range(8) for j in range(5)]
    heard = play(script, listener, keys + chords + ends, 20)
    assert len(heard.partner) > 10
    assert not heard.held


class BrokenSource:
    """A source that raises an error once the partner holds a note."""

    def __init__(self, source, error):
        self.source, self.error, self.listener = source, error, None

    def now(self):
        return self.source.now()

    def receive(self, until):
        if self.listener.held:
            raise self.error
        return self.source.receive(until)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("unplugged"), SystemExit(1)])
def test_no_note_hangs_after_an_error_of_the_source(script, listener, walk, error):
    inner = script(walk(60), 61)
    source, heard = BrokenSource(inner, error), listener(inner)
    source.listener = heard
    with pytest.raises(type(error)):
        options().session(source, [heard]).run()
    assert heard.partner
    assert not heard.held
    assert heard.silenced == 1


class BrokenSink:
    """A sink that fails at its fifth note, and at everything after."""

    def __init__(self):
        self.left = 5

    def note(self, event, is_partner):
        self.left -= is_partner
        if self.left <= 0:
            raise OSError("gone")

    def beat(self, bar, beat):
        pass

    def silence(self):
        raise OSError("gone")


@pytest.mark.parametrize("first", [True, False])
def test_a_sink_that_fails_keeps_no_note_of_another(script, listener, walk, first):
    source = script(walk(60), 61)
    heard, broken = listener(source), BrokenSink()
    sinks = [broken, heard] if first else [heard, broken]
    with pytest.raises(OSError, match="gone"):
        options().session(source, sinks).run()
    assert heard.silenced == 1
    assert not heard.held


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"grid": 5}, "--grid must be one of 4, 8, 12, 16, 24 "),
        ({"seed": -1}, "--seed must be 0 or more"),
        ({"tempo": 1000}, "tempo must be between"),
        ({"style": "polka"}, "has not learned the style"),
        ({"meter": "7/4"}, "has not learned the metre"),
    ],
)
def test_options_outside_their_limits(script, refuses, changed, message):
    with refuses(RequestError, message):
        options(**changed).session(script([], 1), [])


def test_a_model_that_looks_back_too_few_tokens(tiny_model, script, refuses):
    with refuses(RequestError, "looks back 256 tokens"):
        options(model=str(tiny_model)).session(script([], 1), [])


class Counter:
    """A sink that counts notes and keeps nothing."""

    def __init__(self, source):
        self.source, self.held, self.notes = source, set(), 0
        self.measured = []

    def note(self, event, is_partner):
        if is_partner and event.begins:
            self.notes += 1
            self.held.add(event.pitch)
        elif is_partner:
            self.held.remove(event.pitch)

    def beat(self, bar, beat):
        if (bar - 1) % 150 == 0 and beat == 1:  # every five minutes
            gc.collect()
            self.measured.append(tracemalloc.get_traced_memory()[0])

    def silence(self):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("player", [0, 1])
def test_half_an_hour_without_a_hanging_note_or_growth_of_memory(script, walk, player):
    source = script(walk(1800), 1801)
    heard = Counter(source)
    session = options(player=player).session(source, [heard])
    tracemalloc.start()
    try:
        session.run()
    finally:
        tracemalloc.stop()
    assert heard.notes > 1000
    assert not heard.held
    assert len(heard.measured) == 7
    assert heard.measured[-1] - heard.measured[1] < 200_000  # bytes
