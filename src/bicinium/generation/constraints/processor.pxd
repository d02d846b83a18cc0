# The C types of ``processor.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.generation.constraints.base cimport Constraint, ConstraintContext
from bicinium.generation.constraints.cadence cimport Cadence
from bicinium.generation.fixed_notes_table cimport FixedNotesTable
from bicinium.generation.processors cimport Processor
from bicinium.grammar.state cimport State

cdef int TOKENS, MAX_SHIFT_TICKS, FIRST_OFF, FIRST_ON, FIRST_VELOCITY, FIRST_SHIFT, FIRST_PART
cdef int LOWEST, PITCHES, VELOCITIES, NO_PITCH, UPPER, LOWER

cdef class ConstraintProcessor(Processor):
    cdef readonly FixedNotesTable fixed_notes
    cdef readonly ConstraintContext context, later
    cdef readonly unsigned char[::1] marks
    cdef readonly list active, strict, lenient
    cdef readonly Cadence cadence

    @cython.locals(own=bint, pitch=int, constraint=Constraint)
    cpdef void observe(self, State state, int token) except *
    @cython.locals(constraint=Constraint, ticks=int, token=int)
    cpdef void forbid(self, State state, unsigned char[::1] allowed) except *
    @cython.locals(constraint=Constraint, factor=double, token=int)
    cpdef void weigh(self, State state, double[::1] weights) except *
    cdef void _look(self, State state) noexcept
    @cython.locals(token=int)
    cdef void _clear_marks(self) noexcept
    @cython.locals(token=int)
    cdef void _mark_range(self, int first, int count) noexcept
    @cython.locals(voice=int, index=int)
    cdef void _mark_onsets(self, Constraint constraint) except *
    @cython.locals(context=ConstraintContext, index=int)
    cdef void _mark_onsets_without_close(self) except *
    @cython.locals(pitch=int, forbidden=bint, constraint=Constraint)
    cdef bint _some_pitch_fits(self, ConstraintContext context, int voice) except -1
    @cython.locals(index=int)
    cdef void _mark_velocities(self) noexcept
    @cython.locals(limit=int)
    cdef void _mark_time(self, Constraint constraint) except *
    @cython.locals(context=ConstraintContext)
    cdef void _mark_turns(self, Constraint constraint) except *
    @cython.locals(context=ConstraintContext, other=int)
    cdef void _mark_idle_turn(self) except *
