"""Pure functions from arrays to figures: privacy, uncertainty, sample quality, training stability."""
