# The C types of ``voice_notes.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.model.inputs.classes cimport held_class

cdef int SILENT, SOUNDING, ROOM

@cython.final
cdef class VoiceNotes:
    cdef readonly int count
    cdef readonly int[::1] onset, offset, pitch

    cpdef void begin(self, int tick, int pitch) except *
    @cython.locals(note=int)
    cpdef void end(self, int tick) noexcept
    @cython.locals(low=int, high=int, middle=int)
    cpdef int first_after(self, int tick) noexcept
    @cython.locals(note=int)
    cpdef int held_class(self, int tick) noexcept
    @cython.locals(note=int)
    cpdef int pitch_begun(self, int tick, int earlier) noexcept
    @cython.locals(note=int)
    cpdef int uncrossed(self, int tick) noexcept

cdef int[::1] _with_room(int[::1] values)
