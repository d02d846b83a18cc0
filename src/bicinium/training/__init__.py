"""Training: the only part of bicinium, with ``model.transformer``, that imports torch."""
