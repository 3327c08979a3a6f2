"""Settings to a running service: the only place that picks implementations."""

from cacheguard.wiring.providers import make_provider
from cacheguard.wiring.service import Service, running
from cacheguard.wiring.storage import open_model, open_store, reach_vector_sets

__all__ = ["Service", "make_provider", "open_model", "open_store", "reach_vector_sets", "running"]
