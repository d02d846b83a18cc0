"""Model inputs: everything the model sees at each step, as small integers."""
