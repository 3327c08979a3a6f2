"""Text to vectors: a leaf package, usable alone."""
