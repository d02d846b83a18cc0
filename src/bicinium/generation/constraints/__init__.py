"""Constraints beyond the grammar: one file a family, all registered in ``registry``."""

from bicinium.generation.constraints.config import Constraints

__all__ = ["Constraints"]
