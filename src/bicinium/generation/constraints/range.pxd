# The C types of ``range.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.generation.constraints.base cimport Constraint, ConstraintContext

cdef int SPAN_TICKS

cdef class InRange(Constraint):
    cdef readonly int[::1] lowest, highest

    cpdef bint forbids(self, ConstraintContext context, int voice, int pitch) except -1

cdef class HandSpan(Constraint):
    cdef readonly int span
    cdef readonly int[::1] onset, pitch, count

    @cython.locals(place=int)
    cpdef void observe_onset(self, int voice, int tick, int pitch, bint own) except *
    @cython.locals(place=int)
    cpdef bint forbids(self, ConstraintContext context, int voice, int pitch) except -1
