"""A real store and the real model, without a service around them."""

from __future__ import annotations

import pytest

from cacheguard.cascade.plan import Plan
from cacheguard.cascade.tier import Tier
from cacheguard.matching.decide import CosineThreshold
from cacheguard.matching.freshness import Terms
from cacheguard.place import Place
from cacheguard.providers.template import TemplateProvider
from cacheguard.routes import Mode, Route
from cacheguard.stores.sqlite import SqliteStore
from cacheguard.validation import REGISTRY
from embeddings.batching import Gathering
from embeddings.export import prepare
from embeddings.onnx import Encoder


@pytest.fixture(scope="session")
def encoder():
    return Encoder(prepare("bundled"))


@pytest.fixture
async def embedder(encoder):
    gathering = Gathering(encoder, workers=2)
    yield gathering
    await gathering.aclose()


@pytest.fixture
async def store(tmp_path, embedder):
    opened = SqliteStore(tmp_path / "cache.db")
    await opened.open(embedder.spec.fingerprint)
    yield opened
    await opened.aclose()


@pytest.fixture(scope="session")
def place():
    """Where the tenant `default` asks the route `faq`."""
    tier = Tier("sorry", TemplateProvider("Later."), "sorry", timeout_s=1, first_token_timeout_s=1, is_template=True)
    terms = Terms(ttl_s=86400, stale_while_revalidate_s=3600, stale_if_error_s=604800)
    validators = tuple(make() for make in REGISTRY.values())
    return Place(
        Route(
            "faq",
            ("faq",),
            Plan((tier,), validators=validators),
            Mode.READ_WRITE,
            terms,
            CosineThreshold(0.97),
            "exact",
        ),
        "default",
    )
