"""Vectors to nearest neighbours: a leaf package, usable alone."""
