# The C types of ``lookahead.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.model.inputs.classes cimport held_class, tick_class
from bicinium.model.inputs.row cimport Row
from bicinium.model.inputs.voice_notes cimport VoiceNotes

cdef int VOICE_COUNT, QUARTER, NEXT_ONSETS, UNKNOWN
cdef int[::1] _beats_ahead

@cython.final
cdef class Lookahead:
    cdef readonly list voices
    cdef readonly int[::1] known_from, known_until

    @cython.locals(part=int, ahead=int)
    cpdef void put_columns(self, int tick, Row row) except *
    @cython.locals(voice=VoiceNotes)
    cdef int _held(self, int part, int tick) except -1
    @cython.locals(voice=VoiceNotes, note=int, following=int)
    cdef void _put_next_onsets(self, int part, int tick, Row row) except *
