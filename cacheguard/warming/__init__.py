"""Fills the cache from logs: read, grouped by answer, embedded, kept."""
