"""What the studio will not do, with the HTTP status and the sentence that the page shows."""

from __future__ import annotations

from bicinium.errors import BiciniumError


class RefusedError(BiciniumError):
    """A request that is answered with an error ``status`` and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
