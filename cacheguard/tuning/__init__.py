"""Chooses a route's rule from labelled questions, so that what it promises of its hits holds."""
