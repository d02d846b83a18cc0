"""Verdicts on files, and reports of them as HTML."""
