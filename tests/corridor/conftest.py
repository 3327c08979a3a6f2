"""One service for each file of tests; every test asks in a partition of its own."""

from __future__ import annotations

import pytest
from services import SETTINGS, running


@pytest.fixture(scope="module")
def service(request, tmp_path_factory):
    """With the settings that the test file has under SETTINGS, else the usual ones."""
    settings = getattr(request.module, "SETTINGS", SETTINGS)
    with running(tmp_path_factory.mktemp("service"), settings) as service:
        yield service


@pytest.fixture
def asker(service):
    """Somebody whose questions nobody asked before, and a provider that behaves."""
    service.behaves()
    return service.asker()


@pytest.fixture
def provider(service, asker):
    return service.provider
