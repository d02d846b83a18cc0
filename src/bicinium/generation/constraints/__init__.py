"""Constraints on what is composed: one module a family."""
