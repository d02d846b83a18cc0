# The C types of ``harmony.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.generation.constraints.base cimport Constraint, ConstraintContext

cdef double ROUNDING
cdef int NO_PITCH, UPPER, LOWER, FAR
cdef const unsigned char[::1] _in_scale, _is_consonant

cdef class InKey(Constraint):
    cdef readonly double share
    cdef readonly int notes, outside

    cpdef void observe_onset(self, int voice, int tick, int pitch, bint own) except *
    @cython.locals(allowed=double)
    cpdef bint forbids(self, ConstraintContext context, int voice, int pitch) except -1
    cdef bint _is_in_key(self, int pitch) noexcept

cdef class Consonance(Constraint):
    cpdef bint forbids(self, ConstraintContext context, int voice, int pitch) except -1
    @cython.locals(period=int, left=int, strong=int)
    cpdef int time_limit(self, ConstraintContext context) except? -1
    cpdef bint upper_must_move(self, ConstraintContext context) except -1

cpdef bint are_dissonant(int one, int other) noexcept
