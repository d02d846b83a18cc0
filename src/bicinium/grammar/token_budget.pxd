# The C types of ``token_budget.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.grammar.state cimport State

cdef int END, NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY, SUSTAIN_OFF, PART
cdef int MUSIC, ENDED, ARRIVED, ENTERED, READY, FAR
cdef int GROWTH, ONE_MORE_NOTE, LONGEST_SHIFT, LONGEST_REST, TOKENS
cdef int[::1] _first_token, _tokens_of_kind

@cython.locals(header=int, events=int, gap=int, rests=int, one_tick_on=int, last_shift=int, end=int)
cpdef int reserve(State state) noexcept
@cython.locals(token=int, possible=bint)
cpdef void keep_way_out(State state, unsigned char[::1] allowed) noexcept
@cython.locals(beginning=int, some_part_is_open=bint, gap=int, ticks=int)
cdef int _next_step(State state, unsigned char[::1] allowed) noexcept
cdef int ticks_to_fill(State state) noexcept
cdef int _shift(int ticks) noexcept
@cython.locals(first=int)
cdef bint _any_allowed(int kind, unsigned char[::1] allowed) noexcept
@cython.locals(first=int, after=int)
cdef int _only(int kind, unsigned char[::1] allowed) noexcept
