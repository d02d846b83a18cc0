"""Render scores as pages, pictures and sound."""
