# The C types of ``piece.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.generation.processors cimport Processor
from bicinium.generation.sampler cimport Sampler
from bicinium.grammar.judge cimport Judge
from bicinium.grammar.state cimport State
from bicinium.model.inputs.row cimport Row
from bicinium.model.inputs.sequence cimport SequenceInputs

cdef int ENDED, FIRST, TOKENS

@cython.final
cdef class Piece:
    cdef readonly State state
    cdef readonly SequenceInputs inputs
    cdef readonly Sampler sampler
    cdef readonly object rng, grammar
    cdef readonly Judge judge
    cdef readonly list processors
    cdef readonly int token
    cdef unsigned char[::1] allowed
    cdef double[::1] weights

    @cython.locals(processor=Processor)
    cpdef bint advance(self) except -1
    cpdef bint take(self, int token) except -1
    cpdef void write_inputs(self, Row row) except *
    @cython.locals(processor=Processor, token=int)
    cpdef bint draw(self, double[::1] logits) except -1
