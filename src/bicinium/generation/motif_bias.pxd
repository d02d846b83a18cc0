# The C types of ``motif_bias.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.generation.processors cimport Processor
from bicinium.grammar.state cimport State
from bicinium.model.inputs.motif_predictor cimport MotifPrediction, degree_of
from bicinium.model.inputs.sequence cimport SequenceInputs

cdef int FIRST_ON, LOWEST, PITCHES

cdef class MotifBias(Processor):
    cdef readonly SequenceInputs inputs
    cdef readonly double[::1] factors

    @cython.locals(
        expected=MotifPrediction, factor=double, degree=int, before=double, after=double,
        weight=double, index=int)
    cpdef void weigh(self, State state, double[::1] weights) except *
