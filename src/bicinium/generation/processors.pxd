# The C types of ``processors.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.grammar.judge cimport Judge
from bicinium.grammar.state cimport State

cdef int BEFORE_TEMPO, TOKENS
cdef const unsigned char[::1] _is_onset

cdef class Processor:
    cpdef void observe(self, State state, int token) except *
    cpdef void forbid(self, State state, unsigned char[::1] allowed) except *
    cpdef void weigh(self, State state, double[::1] weights) except *

cdef class RequestedTempo(Processor):
    cdef readonly int token

    @cython.locals(token=int)
    cpdef void forbid(self, State state, unsigned char[::1] allowed) except *

cdef class IllegalTokens(Processor):
    cdef readonly Judge judge
    cdef readonly double probability
    cdef readonly object rng
    cdef readonly bint any_pitch

    @cython.locals(token=int, illegal=bint, off_pitch=bint, some_illegal=bint, some_onset=bint)
    cpdef void forbid(self, State state, unsigned char[::1] allowed) except *
    @cython.locals(token=int)
    cpdef void weigh(self, State state, double[::1] weights) except *
