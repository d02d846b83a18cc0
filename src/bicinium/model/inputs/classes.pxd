# The C types of ``classes.py``. Nothing here but declarations: the code is ordinary Python.
cdef int EXACT_TICKS, TICK_CLASSES, WAIT_CLASSES, MAX_BARS, FIRST_PITCH, LOWEST, QUARTER
cdef int TOKENS, UNKNOWN_TOKEN
cdef int[::1] _bar_classes

cpdef int token_class(int token) noexcept
cpdef int tick_class(int ticks) noexcept
cpdef int wait_class(int ticks) noexcept
cpdef int bar_class(int bars) noexcept
cpdef int held_class(int pitch) noexcept
