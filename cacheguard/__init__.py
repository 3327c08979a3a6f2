"""CacheGuard: a semantic-cache-first answer service for language models."""

__version__ = "0.1.0"
