"""The studio: a local page on which to compose, hear, see and understand."""
