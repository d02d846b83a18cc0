"""The vocabulary of 774 tokens, and scores as tokens."""
