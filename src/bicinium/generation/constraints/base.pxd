# The C types of ``base.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.generation.fixed_notes_table cimport FixedNotesTable
from bicinium.grammar.state cimport State

cdef int FAR, LONG, NO_PITCH, FIRST_OFF, PITCHES, LOWER, VOICES

@cython.final
cdef class PiecePlan:
    cdef readonly bint minor, tonic_above
    cdef readonly int to_home, beat, strong_period, end, last_bar, deadline, approach, quiet
    cdef readonly int[::1] lowest, highest

@cython.final
cdef class ConstraintContext:
    cdef readonly FixedNotesTable fixed_notes
    cdef readonly bint beside_fixed
    cdef readonly int tick, part, moment
    cdef public int lower_after
    cdef readonly int coming
    cdef readonly int[::1] pitch, onset, until, last_pitch, ended_tick, ended_pitch, fixed

    cpdef void observe(self, State state, int token) noexcept
    @cython.locals(voice=int, slot=int)
    cpdef void look(self, State state) noexcept
    @cython.locals(voice=int)
    cpdef void copy(self, ConstraintContext other) noexcept
    cpdef void begin(self, int voice, int pitch) noexcept
    cpdef void end(self, int voice) noexcept
    cpdef bint arrived(self) noexcept
    cpdef bint is_free(self, int voice) noexcept

cdef class Constraint:
    cdef readonly PiecePlan plan
    cdef readonly FixedNotesTable fixed_notes

    cpdef void observe_onset(self, int voice, int tick, int pitch, bint own) except *
    cpdef bint forbids(self, ConstraintContext context, int voice, int pitch) except -1
    cpdef int time_limit(self, ConstraintContext context) except? -1
    cpdef bint upper_must_move(self, ConstraintContext context) except -1
