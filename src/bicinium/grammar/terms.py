"""The words of the grammar as whole numbers: kinds of token, stages of a piece, moments in a tick.

The compiled modules import these names and declare them as C integers in their ``.pxd`` files.
"""

from __future__ import annotations

from bicinium.tokenizer.vocabulary import BLOCKS, KINDS, VALUES, Kind

FAR = 2**30  # above every tick, number of tokens, part and pitch: none
SILENT = -1  # in ``State.held_pitch``: no note in this slot


class Stage:
    """Where in the sequence we are."""

    BEFORE_START = 0
    BEFORE_TEMPO = 1
    MUSIC = 2
    ENDED = 3


class Moment:
    """What has happened in this tick. The canonical order is a walk through these moments."""

    ARRIVED = 0  # by a TIME_SHIFT that is not the longest: no further TIME_SHIFT may follow
    LONG = 1  # by the longest TIME_SHIFT, or at the beginning: a further TIME_SHIFT may follow
    ENTERED = 2  # a PART was named: an event in it must follow
    PEDAL = 3  # the pedal of this part has moved
    OFF = 4  # a note of this part has ended
    ON = 5  # a note of this part has begun
    READY = 6  # a VELOCITY was named: a NOTE_ON must follow


# The same as plain integers.
START, END, PAD, UNK = int(Kind.START), int(Kind.END), int(Kind.PAD), int(Kind.UNK)
NOTE_ON, NOTE_OFF = int(Kind.NOTE_ON), int(Kind.NOTE_OFF)
TIME_SHIFT, VELOCITY = int(Kind.TIME_SHIFT), int(Kind.VELOCITY)
SUSTAIN_ON, SUSTAIN_OFF = int(Kind.SUSTAIN_ON), int(Kind.SUSTAIN_OFF)
TEMPO, PART = int(Kind.TEMPO), int(Kind.PART)
BEFORE_START, BEFORE_TEMPO = Stage.BEFORE_START, Stage.BEFORE_TEMPO
MUSIC, ENDED = Stage.MUSIC, Stage.ENDED
ARRIVED, LONG, ENTERED, PEDAL = Moment.ARRIVED, Moment.LONG, Moment.ENTERED, Moment.PEDAL
OFF, ON, READY = Moment.OFF, Moment.ON, Moment.READY

KIND_OF = KINDS.astype("int32").tolist()  # (V,) the kind of each token
VALUE_OF = VALUES.astype("int32").tolist()  # (V,) its pitch, ticks, bin or part
FIRST_TOKEN = [block.first_id for block in BLOCKS]  # of each kind
FIRST_VALUE = [block.first_value for block in BLOCKS]
TOKENS_OF_KIND = [block.size for block in BLOCKS]
FIRST_OFF, FIRST_ON = FIRST_TOKEN[NOTE_OFF], FIRST_TOKEN[NOTE_ON]
FIRST_VELOCITY, FIRST_SHIFT = FIRST_TOKEN[VELOCITY], FIRST_TOKEN[TIME_SHIFT]
FIRST_PART = FIRST_TOKEN[PART]
LOWEST, PITCHES = FIRST_VALUE[NOTE_ON], TOKENS_OF_KIND[NOTE_ON]
VELOCITIES = TOKENS_OF_KIND[VELOCITY]
