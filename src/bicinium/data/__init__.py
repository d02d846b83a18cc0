"""Corpora: where music comes from and how it becomes training data."""
