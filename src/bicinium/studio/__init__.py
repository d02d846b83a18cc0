"""The studio: a local web page to compose, listen to, view and analyse pieces."""
