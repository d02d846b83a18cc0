# The C types of ``form_columns.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.grammar.state cimport State
from bicinium.model.inputs.classes cimport held_class, tick_class, wait_class
from bicinium.model.inputs.motif_predictor cimport degree_of
from bicinium.model.inputs.row cimport Row
from bicinium.model.inputs.voice_notes cimport VoiceNotes

cdef int VOICE_COUNT, LOWEST, HIGHEST, KINDS, BACK_CLASSES, WAITS, STEPS, FIRST_RETURN, NO_CLOSE
cdef int FAR_CLOSE
cdef int[::1] _white_key

@cython.final
cdef class FormColumns:
    cdef readonly int bars
    cdef readonly int[::1] kind, back, other, step, close, to_close

    @cython.locals(bar=int, ahead=int)
    cdef void _count_down(self, list closes) except *
    @cython.locals(bar=int, place=int)
    cpdef int source(self, int part, State state) except -2
    @cython.locals(place=int)
    cpdef int source_voice(self, int part, State state) except -1
    @cython.locals(step=int, moved=int)
    cpdef int moved(self, int pitch, int part, State state) except -1
    @cython.locals(bar=int, part=int, place=int, known=bint, returns=bint)
    cpdef void put_columns(self, list voices, State state, Row row) except *
    @cython.locals(kind=int)
    cdef int _kind_class(self, int place) except -1
    @cython.locals(
        held=int, age=int, end=int, wait=int, then=int, barline=int, following=int, note=int,
        pitch=int, voice=VoiceNotes)
    cdef void _put_source(self, int part, list voices, State state, Row row) except *
    @cython.locals(then=int, voice=VoiceNotes)
    cpdef int reference(self, int part, list voices, State state) except -1

@cython.locals(degree=int, octave=int, white=int)
cpdef int moved_pitch(int pitch, int step) noexcept
