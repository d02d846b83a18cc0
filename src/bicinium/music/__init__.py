"""Scores: notes in integer ticks, and the files they come from and go to."""
