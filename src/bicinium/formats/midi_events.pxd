# The C types of ``midi_events.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython

cdef bytes _PADDING

cdef class TrackEvents:
    cdef public list onsets, pitches, ends, velocities, channels, metas, stray_ends, never_ended
    cdef public long pedal_uses, tick
    cdef public bint has_ended
    cdef public Py_ssize_t position, end
    cdef public int status
    cdef public bytes data
    cdef public dict sounding

    cpdef scan(self, bytes data, Py_ssize_t start, Py_ssize_t end)
    @cython.locals(value=long, byte=int)
    cpdef long number(self) except -1
    @cython.locals(byte=int, command=int, first=int, second=int)
    cpdef event(self)
    @cython.locals(kind=int, length=long)
    cpdef system(self, int byte)
    @cython.locals(key=int)
    cpdef note_on(self, int pitch, int velocity)
    @cython.locals(key=int, waiting=list)
    cpdef note_off(self, int pitch)
