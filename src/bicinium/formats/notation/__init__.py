"""Common Western notation of a score: note values, ties, tuplets, beams, clefs."""
