"""One service for each file of tests; every test asks in a partition of its own."""

from __future__ import annotations

from corridor.conftest import asker, provider, service  # noqa: F401
