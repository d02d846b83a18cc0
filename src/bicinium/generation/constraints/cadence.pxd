# The C types of ``cadence.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.generation.constraints.base cimport Constraint, ConstraintContext
from bicinium.generation.fixed_notes_table cimport FixedNotesTable

cdef int NO_PITCH, UPPER, LOWER, FAR, MAX_SHIFT_TICKS
cdef const unsigned char[::1] _closing_classes, _leading_classes

cdef class Cadence(Constraint):
    cdef readonly bint upper_is_exempt, lower_is_exempt
    cdef readonly int lowest_tonic

    @cython.locals(fixed=FixedNotesTable)
    cdef bint _is_exempt(self, int voice) noexcept
    cdef bint _exempts(self, int voice) noexcept
    cdef bint _has_class(
        self, const unsigned char[::1] classes, int voice, int pitch) noexcept
    cdef bint _closes(self, int voice, int pitch) noexcept
    cpdef bint forbids(self, ConstraintContext context, int voice, int pitch) except -1
    cdef bint _is_not_leading(self, ConstraintContext context, int voice, int pitch) noexcept
    cdef bint _is_not_closing(self, ConstraintContext context, int voice, int pitch) noexcept
    cdef bint _must_be_tonic(self, ConstraintContext context, int voice) noexcept
    cpdef int quiet_after(self) noexcept
    cpdef bint waits_for_end(self, ConstraintContext context) noexcept
    @cython.locals(then=int, silent=bint)
    cpdef bint forbids_shift(self, ConstraintContext context, int ticks) noexcept
    cdef bint _is_open(self, ConstraintContext context, int voice) noexcept
    cdef bint _is_to_lead(self, ConstraintContext context) noexcept
    cpdef bint lower_must_begin(self, ConstraintContext context) noexcept
    @cython.locals(left=int)
    cpdef int time_limit(self, ConstraintContext context) except? -1
    cpdef bint upper_must_move(self, ConstraintContext context) except -1
