"""Measuring models and music. Needs no torch."""
