"""Training. With ``model.transformer``, the only part of bicinium that imports torch."""
