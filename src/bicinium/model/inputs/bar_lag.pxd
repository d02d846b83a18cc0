# The C types of ``bar_lag.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.grammar.state cimport State
from bicinium.model.inputs.classes cimport token_class, wait_class
from bicinium.model.inputs.motif_predictor cimport MotifPrediction, MotifPredictor
from bicinium.model.inputs.row cimport Row
from bicinium.model.inputs.voice_notes cimport VoiceNotes

cdef int ENDED, NOTE_ON, NOTE_OFF, VOICE_COUNT, BARS_BACK, DEFAULT_BAR_TICKS, MAX_DEGREES
cdef int LOWEST, HIGHEST
cdef int[::1] _kind_of, _value_of

@cython.final
cdef class BarLag:
    cdef readonly list voices, predictions
    cdef readonly MotifPredictor predictor

    @cython.locals(prediction=MotifPrediction, voice=VoiceNotes, kind=int, is_first=bint)
    cpdef void observe(self, State state, int token) except *
    @cython.locals(prediction=MotifPrediction)
    cpdef MotifPrediction predicted_now(self, State state)
    @cython.locals(bars=int, part=int)
    cpdef void put_columns(self, State state, Row row) except *
    @cython.locals(held=int, wait=int, end=int, following=int, note=int)
    cdef void _put_lagged(self, VoiceNotes voice, int then, State state, Row row) noexcept
    @cython.locals(prediction=MotifPrediction, step=int, wait=int, ticks=int)
    cdef void _put_predicted(self, int part, State state, Row row) except *
    @cython.locals(
        part=int, bar_ago=int, voice=VoiceNotes, other=VoiceNotes, last=int,
        prediction=MotifPrediction)
    cpdef int reference(self, int which, State state) except -1

cdef int _bar(State state) noexcept
@cython.locals(moved=int)
cdef int _moved(int pitch, int from_pitch, int to_pitch) noexcept
