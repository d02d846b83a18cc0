# The C types of ``motif_predictor.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython

cdef int ORDER_WITHOUT_TICKS, CONTEXTS, MAX_ORDER, LOWEST, HIGHEST, TICK_SPAN, FREE, ROOM
cdef unsigned long long MULTIPLIER, BITS
cdef int[::1] _is_order, _degree_of, _white_key

@cython.final
cdef class MotifPrediction:
    cdef readonly int confidence, step, ticks, pitch

@cython.final
cdef class Continuations:
    cdef readonly int used
    cdef readonly unsigned long long[::1] context
    cdef readonly int[::1] step, ticks

    @cython.locals(last=int, place=int)
    cpdef int place_of(self, unsigned long long context) noexcept
    @cython.locals(place=int)
    cpdef void record(self, unsigned long long context, int step, int ticks) except *
    @cython.locals(
        contexts="unsigned long long[::1]", steps="int[::1]", ticks="int[::1]", place=int)
    cdef void _double(self) except *
    cdef void _make_room(self, int places) except *

@cython.final
cdef class MotifPredictor:
    cdef readonly Continuations continuations
    cdef readonly int[::1] last_degree, last_tick, steps, step, ticks, contexts
    cdef readonly unsigned long long[::1] context

    @cython.locals(degree=int, kind=int, place=int, ticks=int, step=int)
    cpdef MotifPrediction observe(self, int voice, int tick, int pitch)
    @cython.locals(first=int, kind=int, back=int)
    cdef void _move_on(self, int voice, int step, int ticks) except *
    @cython.locals(
        with_ticks=cython.ulonglong, alone=cython.ulonglong, found=int, back=int, step=int, ticks=int)
    cdef void _hash_contexts(self, int voice) noexcept

cpdef int degree_of(int pitch) noexcept
@cython.locals(pitch=int)
cdef int _pitch_of(int degree) noexcept
