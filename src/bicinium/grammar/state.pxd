# The C types of ``state.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython

cdef int START, END, NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY, SUSTAIN_ON, SUSTAIN_OFF, PART
cdef int BEFORE_START, BEFORE_TEMPO, MUSIC, ENDED
cdef int ARRIVED, LONG, ENTERED, PEDAL, OFF, ON, READY
cdef int FAR, SILENT, LONGEST_SHIFT, SCALARS, TOKENS, UNKNOWN
cdef int[::1] _kind_of, _value_of

@cython.final
cdef class Limits:
    cdef readonly int voices, max_polyphony, max_note_ticks, lowest_velocity_bin
    cdef readonly int max_identical_tokens
    cdef readonly bint sustain
    cdef readonly int[::1] lowest_pitch, highest_pitch

@cython.final
cdef class State:
    cdef readonly Limits limits
    cdef readonly int slots
    cdef public int bar_ticks, end_tick, tokens_left, transposition
    cdef readonly int stage, moment, tick, part, velocity, notes
    cdef readonly int last_on, last_off, last_token, run, sounding, first_due
    cdef int[::1] of_parts
    cdef readonly int[::1] pedal, recent_pitch, recent_onset, held_pitch, held_onset, held_until

    cpdef bint has_part(self, int part) noexcept nogil
    cpdef bint sounds(self, int part, int pitch) noexcept nogil
    cpdef int sounding_in(self, int part) noexcept nogil
    cpdef bint is_open(self, int part) noexcept nogil
    cpdef int last_pitch(self, int part) noexcept nogil
    cpdef int last_onset(self, int part) noexcept nogil
    cpdef int position_in_bar(self) noexcept nogil
    @cython.locals(kind=int, value=int)
    cpdef void advance(self, int token) noexcept nogil
    cdef void _apply(self, int kind, int value) noexcept nogil
    @cython.locals(slot=int, until=int, latest=int)
    cdef void _begin_note(self, int pitch) noexcept nogil
    cdef void _end_note(self, int pitch) noexcept nogil
    @cython.locals(first=int, best=int, free=int)
    cdef int _slot_for(self, int pitch) noexcept nogil
    cdef void _note_what_sounds(self) noexcept nogil
    cpdef void save(self, int[:, ::1] table, Py_ssize_t row) noexcept nogil
    cpdef void load(self, int[:, ::1] table, Py_ssize_t row) noexcept nogil
