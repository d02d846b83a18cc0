# The C types of ``scan.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.grammar.state cimport State
from bicinium.model.inputs.bar_lag cimport BarLag
from bicinium.model.inputs.row cimport Row
from bicinium.model.inputs.sequence cimport SequenceInputs
from bicinium.model.inputs.voice_notes cimport VoiceNotes

@cython.locals(index=Py_ssize_t)
cpdef void write_along(
    SequenceInputs sequence, State state, int[:, ::1] table, int[::1] tokens, Py_ssize_t start,
    Row row) except *
@cython.locals(index=Py_ssize_t, past=BarLag, voice=VoiceNotes)
cpdef list notes_along(State state, int[:, ::1] table, int[::1] tokens)
