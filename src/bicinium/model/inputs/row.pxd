# The C types of ``row.py``. Nothing here but declarations: the code is ordinary Python.
cimport cython

@cython.final
cdef class Row:
    cdef readonly int[:, ::1] table
    cdef readonly int[::1] first
    cdef readonly Py_ssize_t index, column

    cpdef void begin(self, Py_ssize_t index) noexcept
    cpdef void put(self, int value) noexcept
