# The C types of ``sequence.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.grammar.state cimport State
from bicinium.model.inputs.bar_lag cimport BarLag
from bicinium.model.inputs.classes cimport bar_class, tick_class, token_class
from bicinium.model.inputs.form_columns cimport FormColumns
from bicinium.model.inputs.lookahead cimport Lookahead
from bicinium.model.inputs.motif_predictor cimport MotifPrediction
from bicinium.model.inputs.row cimport Row

cdef int FAR, SILENT, WAIT_CLASSES, MAX_INTERVAL, MAX_POSITION, MAX_STEP, PITCH_CLASSES, STEPS
cdef int FORM_COLUMNS, TWO_BARS_AGO, MIDDLE_C, LAGGED_REFERENCES, LOOKAHEAD_COLUMNS, LOWEST, QUARTER, VOICE_COUNT

@cython.final
cdef class SequenceInputs:
    cdef readonly bint shows_state, shows_steps, shows_past, shows_lookahead, shows_form
    cdef readonly int meter, mode, style, bars, ending
    cdef readonly Lookahead lookahead
    cdef readonly FormColumns form
    cdef readonly BarLag past

    cpdef void observe(self, State state, int token) except *
    cpdef MotifPrediction predicted_now(self, State state)
    @cython.locals(part=int)
    cpdef void write(self, State state, int token, Row row) except *
    @cython.locals(part=int, pitch=int, slot=int, interval=int, ticks_left=int)
    cdef void _put_state(self, State state, Row row) noexcept
    @cython.locals(pitch="int[::1]", onset="int[::1]", back=int, step=int)
    cdef void _put_steps(self, int part, State state, Row row) noexcept
    cdef void _put_lookahead(self, State state, Row row) except *
    cdef void _put_form(self, State state, Row row) except *
    @cython.locals(part=int, which=int, returning=int)
    cdef void _put_references(self, State state, Row row) except *

cdef void _put_reference(int pitch, Row row) noexcept
@cython.locals(last=int, slot=int)
cdef int _last_sounding(State state, int part) noexcept
@cython.locals(slot=int)
cdef int _last_pitch(State state, int part) noexcept
