"""A user's own endpoint is a tier like any other: asked on a miss, kept, served on a hit, passed by when it is down."""

from __future__ import annotations

import pytest
from services import LIMIT, PARCEL, running
from upstreams import verbatim

SETTINGS = """
store: {{url: "memory://"}}
providers:
  papers: {{kind: http, base_url: "{endpoint}/ask"}}
  host: {{kind: openai, base_url: "${{PROVIDER}}"}}
tiers:
  found: {{provider: papers}}
  strong: {{provider: host, model: strong-model}}
routes: {{default: {{tiers: [found, strong]}}}}
"""


@pytest.fixture(scope="module")
def endpoint():
    with verbatim() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def asker(endpoint, tmp_path_factory):
    with running(tmp_path_factory.mktemp("papers"), SETTINGS.format(endpoint=endpoint.url)) as service:
        yield service.asker()


@pytest.mark.parametrize(("prompt", "streamed"), [(LIMIT, False), (PARCEL, True)])
def test_what_it_found_is_given_and_kept(asker, endpoint, prompt, streamed):
    endpoint.says({"answer": "It says so in the papers."})
    first, second = (asker.ask(prompt, stream=streamed) for _ in range(2))
    assert first.headers["x-cacheguard-tier"] == "found"
    assert "hit" in second.headers["cache-status"]
    assert endpoint.requests[-1][1]["question"] == prompt


@pytest.mark.parametrize("status", [204, 404, 503])
def test_where_it_finds_nothing_a_model_is_asked(asker, endpoint, status):
    endpoint.says(b"", status=status)
    assert asker.ask(f"What is {status} squared?").headers["x-cacheguard-tier"] == "strong"
