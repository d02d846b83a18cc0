"""The 774 tokens, and scores written in them."""
