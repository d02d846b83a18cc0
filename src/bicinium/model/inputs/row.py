"""The rows of a table of inputs, written value by value.

Compiled when the package is built; the C types are in ``row.pxd``.
"""

from __future__ import annotations


class Row:
    """Writes rows of a table (N, C) from left to right.

    first: (C,) what is added to the values of each column. For an embedded input this is the row of
    the embedding table at which it begins.
    """

    def __init__(self, table: memoryview, first: memoryview) -> None:
        if table.shape is None or table.shape[1] != len(first):
            raise ValueError(f"the table must have {len(first)} columns (got {table.shape})")
        self.table = table
        self.first = first
        self.index = 0
        self.column = 0

    def begin(self, index: int) -> None:
        """Go to the beginning of a row."""
        self.index = index
        self.column = 0

    def put(self, value: int) -> None:
        """Write the next value."""
        self.table[self.index, self.column] = self.first[self.column] + value
        self.column += 1
