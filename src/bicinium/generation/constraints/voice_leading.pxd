# The C types of ``voice_leading.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.generation.constraints.base cimport Constraint, ConstraintContext

cdef int NO_PITCH, UPPER, LOWER, OCTAVE, FIFTH, FAR

cdef class Parallels(Constraint):
    @cython.locals(upper=int, lower=int, upper_before=int)
    cpdef bint forbids(self, ConstraintContext context, int voice, int pitch) except -1

@cython.locals(interval=int)
cpdef bint is_parallel(int upper_before, int upper, int lower_before, int lower) noexcept

cdef class Crossing(Constraint):
    @cython.locals(upper=int)
    cpdef bint forbids(self, ConstraintContext context, int voice, int pitch) except -1
    @cython.locals(upper=int, crossed=bint, now=bint, before=bint)
    cpdef int time_limit(self, ConstraintContext context) except? -1
    @cython.locals(upper=int)
    cpdef bint upper_must_move(self, ConstraintContext context) except -1

cdef class Leap(Constraint):
    cdef readonly int max_leap

    @cython.locals(last=int)
    cpdef bint forbids(self, ConstraintContext context, int voice, int pitch) except -1
