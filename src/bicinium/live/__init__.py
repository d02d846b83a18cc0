"""Live playing: the player has one voice, and the model answers with the other on the beat."""
