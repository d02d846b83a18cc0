"""Musical values and measures: notes, scores, keys, counterpoint, descriptors."""
