# The C types of ``midi_events.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython

cdef bytes _PADDING
cdef int _END_OF_TRACK, _SUSTAIN, _SOUND_OFF, _NOTES_OFF, _KEYS, _NEXT

cdef class TrackEvents:
    cdef public object notes
    cdef public list metas, stray_ends, never_ended
    cdef public long pedal_uses, tick
    cdef long long[:, ::1] table
    cdef long long[::1] first
    cdef public bint has_ended
    cdef public Py_ssize_t position, end, count
    cdef public int status
    cdef public bytes data

    @cython.locals(key=int)
    cpdef scan(self, bytes data, Py_ssize_t start, Py_ssize_t end)
    @cython.locals(value=long, byte=int)
    cpdef long number(self) except -1
    @cython.locals(byte=int, command=int, first=int, second=int)
    cpdef event(self)
    @cython.locals(kind=int, length=long)
    cpdef system(self, int byte)
    @cython.locals(channel=int, key=int, index=Py_ssize_t, last=Py_ssize_t)
    cpdef note_on(self, int pitch, int velocity)
    @cython.locals(key=int)
    cpdef note_off(self, int pitch)
    @cython.locals(index=Py_ssize_t)
    cpdef end_first(self, int key)
    @cython.locals(key=int)
    cpdef control(self, int controller, int value)
