# The C types of ``fixed_notes_table.py``. Nothing but declarations: the code is ordinary Python.
cimport cython
from bicinium.generation.processors cimport Processor
from bicinium.grammar.state cimport State

cdef int FAR, SILENT, VOICES, MAX_SHIFT_TICKS, LONGEST, MOST_IN_A_ROW, END
cdef int FIRST_OFF, FIRST_ON, FIRST_VELOCITY, FIRST_SHIFT, FIRST_PART, LOWEST, PITCHES, VELOCITIES

cdef class FixedNotesTable(Processor):
    cdef readonly int begun_by, last
    cdef readonly object lookahead
    cdef readonly int[:, ::1] fixed, ends, begins, holds, loudness, reaches
    cdef readonly int[::1] can_land, next_landing, next_event

    cpdef bint is_fixed(self, int voice, int tick) noexcept
    cpdef int coming_pitch(self, int voice, int tick) noexcept
    cpdef int held_pitch(self, int voice, int tick) noexcept
    @cython.locals(upper_pending=bint, lower_pending=bint, shift=int)
    cpdef void forbid(self, State state, unsigned char[::1] allowed) except *
    @cython.locals(slot=int)
    cdef bint _is_fresh(self, State state, int voice) noexcept
    @cython.locals(tick=int)
    cdef bint _must_end(self, State state, int voice) noexcept
    cdef bint _must_begin(self, State state, int voice) noexcept
    @cython.locals(voice=int, skips_upper=bint, fixed=bint, index=int, pitch=int)
    cdef void _forbid_notes(
        self, State state, bint upper_pending, unsigned char[::1] allowed) noexcept
    @cython.locals(index=int, velocity=int)
    cdef void _allow_onset(
        self, int pitch, int loudness, State state, unsigned char[::1] allowed) noexcept
    @cython.locals(limit=int, shift=int, tick=int, lands=bint)
    cdef void _forbid_shifts(self, State state, unsigned char[::1] allowed) noexcept
    @cython.locals(limit=int, voice=int)
    cdef int _latest_landing(self, State state) noexcept
    @cython.locals(again=int, tick=int, wait=int)
    cdef bint _repeated_shifts_land(self, State state, int limit) noexcept
