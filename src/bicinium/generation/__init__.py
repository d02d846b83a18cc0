"""From what is asked for to a finished piece."""
