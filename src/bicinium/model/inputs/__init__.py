"""What the model sees at each step, besides the token."""
