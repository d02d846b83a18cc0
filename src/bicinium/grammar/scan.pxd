# The C types of ``scan.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.grammar.judge cimport Judge
from bicinium.grammar.state cimport State

cdef int NOTE_OFF, TOKENS
cdef int[::1] _kind_of

cdef unsigned char[::1] row_of(unsigned char[::1] marks, Py_ssize_t row)
cpdef void advance(State state, int[:, ::1] table, int[::1] tokens) noexcept
@cython.locals(dead=int)
cpdef int mark_allowed(
    Judge judge, State state, int[:, ::1] table, unsigned char[::1] allowed) except? -2
cpdef void mark_legal(
    Judge judge, State state, int[:, ::1] table, unsigned char[::1] legal) except *
cpdef void mark_broken(
    Judge judge, int rule, State state, int[:, ::1] table, unsigned char[::1] broken) except *
cpdef void first_broken(
    Judge judge, State state, int[:, ::1] table, int[::1] tokens, int[::1] broken) except *
@cython.locals(token=Py_ssize_t, row=Py_ssize_t)
cpdef void states(
    State state, int[:, ::1] initial, int[::1] tokens, int[::1] lengths, int[:, ::1] table) noexcept
@cython.locals(token=Py_ssize_t, rule=int, pairs=int)
cpdef void validate(
    Judge judge, State state, int[:, ::1] initial, int[::1] tokens, int[::1] lengths,
    int[::1] broken, int[:, ::1] last, int[::1] paired) except *
