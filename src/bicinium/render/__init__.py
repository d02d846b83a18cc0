"""Scores as pages, pictures and sound."""
