# The C types of ``sampler.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython

cdef int TERMS
cdef double LOWEST_LOGIT, LOG2_E, LN2_HIGH, LN2_LOW, LEAST_EXPONENT
cdef double[::1] _inverse, _power

@cython.final
cdef class Sampler:
    cdef readonly object sampling
    cdef readonly double temperature
    cdef readonly int tokens, waiting
    cdef readonly bint truncates
    cdef readonly int[::1] heap

    @cython.locals(best=int, highest=double, token=int)
    cpdef bint weigh(
        self, double[::1] logits, unsigned char[::1] allowed, double[::1] weights) noexcept
    @cython.locals(total=double, target=double, last=int, token=int)
    cpdef int choose(self, double[::1] weights, double uniform) noexcept
    @cython.locals(
        total=double, enough=double, least=double, mass=double, most=int, kept=int, token=int,
        place=int)
    cpdef void truncate(self, double[::1] weights) noexcept
    @cython.locals(token=int, child=int)
    cdef void _sink(self, int place, double[::1] weights) noexcept

cdef bint _comes_first(int token, int other, double[::1] weights) noexcept
cdef double number(double logit) noexcept
@cython.locals(halvings=int, n=int, rest=double, power=double)
cpdef double exponential(double x) noexcept
