# The C types of ``rules.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.grammar.state cimport State

cdef int START, END, PAD, NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY, SUSTAIN_ON, SUSTAIN_OFF
cdef int TEMPO, PART
cdef int BEFORE_START, BEFORE_TEMPO, ENDED
cdef int ARRIVED, LONG, ENTERED, PEDAL, OFF, ON, READY
cdef int FAR, HIGHEST, LOWEST, TOKENS
cdef int[::1] _kind_of, _value_of, _first_token, _first_value, _tokens_of_kind

cpdef bint pairing(State state, int kind, int value) noexcept nogil
cpdef bint duration(State state, int kind, int value) noexcept nogil
cpdef bint time(State state, int kind, int value) noexcept nogil
cpdef bint voices(State state, int kind, int value) noexcept nogil
cpdef bint order(State state, int kind, int value) noexcept nogil
cpdef bint out_of_place(State state, int kind) noexcept nogil
cpdef bint out_of_order(State state, int kind, int value) noexcept nogil
cpdef bint velocity(State state, int kind, int value) noexcept nogil
cpdef bint repetition(State state, int kind, int value) noexcept nogil
@cython.locals(sounding_pitch=int)
cpdef bint pitch_range(State state, int kind, int value) noexcept nogil

cdef bint sounds_here(State state, int pitch) noexcept nogil
cpdef bint began_now(State state, int pitch) noexcept nogil
cdef int first_part_due(State state) noexcept nogil
@cython.locals(lowest=int)
cdef int first_pitch_due(State state, int part) noexcept nogil
cdef bint passes_over_due_note(State state, int pitch) noexcept nogil
cdef int ticks_until_due(State state) noexcept nogil
@cython.locals(ticks=int)
cdef int ticks_until_end(State state) noexcept nogil
cdef int lowest_pedal(State state) noexcept nogil

cpdef bint breaks(int rule, State state, int kind, int value) noexcept nogil

@cython.locals(token=int)
cpdef void mark_broken(int rule, State state, unsigned char[::1] broken) noexcept nogil

@cython.final
cdef class RuleSet:
    cdef readonly bint pairing, duration, time, voices, order, velocity, repetition, pitch_range

    cpdef bint forbids(self, State state, int kind, int value) noexcept nogil
    cpdef bint forbids_value(self, State state, int kind, int value) noexcept nogil
    @cython.locals(first=int, count=int, token=int, value=int, forbidden=bint, after_longest=int)
    cpdef void mark_legal(self, State state, int kind, unsigned char[::1] legal) noexcept nogil
    @cython.locals(longest=int)
    cpdef int longest_shift(self, State state) noexcept nogil
