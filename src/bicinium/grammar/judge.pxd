# The C types of ``judge.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython
from bicinium.grammar cimport rules, token_budget
from bicinium.grammar.rules cimport RuleSet
from bicinium.grammar.state cimport Limits, State

cdef int MUSIC, NOTE_ON, VELOCITY, KINDS, TOKENS, UNKNOWN
cdef int[::1] _kind_of, _value_of, _first_token, _tokens_of_kind

@cython.final
cdef class Judge:
    cdef readonly Limits limits
    cdef readonly RuleSet rule_set
    cdef int[::1] numbers
    cdef readonly int built_in, look_ahead, order
    cdef readonly bint has_own
    cdef readonly list own, questions

    @cython.locals(kind=int, value=int)
    cpdef int first_broken(self, State state, int token) except? -2
    @cython.locals(index=int)
    cdef int _first_built_in_broken(self, State state, int kind, int value) except? -2
    cpdef int first_own_broken(self, State state, int token) except? -2
    @cython.locals(first=int, token=int, forbidden=bint)
    cpdef bint some_note_fits(self, State state) except -1
    cdef bint _own_rules_forbid_note(self, State state, int token) except -1
    @cython.locals(first=int, after=int)
    cpdef void mark_legal(self, State state, unsigned char[::1] legal) except *
    cpdef bint mark_allowed(self, State state, unsigned char[::1] allowed) except -1
    @cython.locals(first=int, token=int)
    cpdef void mark_broken(self, int index, State state, unsigned char[::1] broken) except *
    cdef bint _own_rule_forbids(self, int asked, State state, int token) except -1
    cdef bint _any(self, unsigned char[::1] marks, int first, int after) noexcept
