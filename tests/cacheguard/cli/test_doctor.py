from __future__ import annotations

import pytest
from programs import configure, run
from servers import serve
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from upstreams import simulated

from cacheguard.cli.doctor import _provider
from cacheguard.settings import Provider


def states(done):
    """What it said of each part."""
    return {line[9:29].strip(): line.split()[0] for line in done.stdout.splitlines()}


def test_all_is_well(tmp_path):
    with simulated() as host:
        configure(tmp_path, host.base_url)
        done = run(tmp_path, "doctor")
    assert done.returncode == 0, done.stdout
    assert states(done) == dict.fromkeys(["settings", "model", "store", "index", "disk", "provider simulated"], "ok")


def test_a_provider_that_does_not_listen_fails_and_one_that_nobody_asks_is_skipped(tmp_path):
    nowhere = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1"}
    configure(tmp_path, "", providers={"simulated": nowhere, "spare": nowhere})
    done = run(tmp_path, "doctor")
    assert done.returncode == 1
    assert states(done) | {"provider simulated": "failed", "provider spare": "skipped"} == states(done)


# status: of the list of models. kind: the provider's wire format, each of which lists them elsewhere.
@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (401, "failed", "refuses the key"),
        (402, "failed", "account of api_key is spent"),
        (503, "failed", "answers with 503"),
        (404, "ok", "answers, without a key"),
    ],
)
async def test_a_provider_is_judged_by_what_it_says_to_a_question_that_is_free(kind, status, state, words):
    async def models(_):
        return Response(status_code=status)

    with serve(Starlette(routes=[Route("/v1/models", models), Route("/v1beta/models", models)])) as url:
        base_url = f"{url}/v1" if kind == "openai" else url
        finding = await _provider("host", Provider(kind=kind, base_url=base_url))
    assert finding.state == state
    assert words in finding.text


async def test_the_key_that_a_provider_refuses_is_named_among_several():
    async def models(request):
        return Response(status_code=401 if request.headers["x-api-key"] == "dead" else 200)

    with serve(Starlette(routes=[Route("/v1/models", models)])) as url:
        finding = await _provider("host", Provider(kind="anthropic", base_url=url, api_keys=["live", "dead"]))
    assert finding.state == "failed"
    assert "correct api_keys[1]" in finding.text
    assert "dead" not in finding.text


def test_without_its_model_the_store_is_not_judged(tmp_path):
    configure(tmp_path, "http://127.0.0.1:9/v1", embedding={"model": "./nowhere"})
    done = run(tmp_path, "doctor")
    assert done.returncode == 1
    assert states(done) | {"model": "failed", "store": "skipped"} == states(done)


def test_vector_sets_are_asked_for_and_missed(tmp_path, redis_server):
    configure(tmp_path, "http://127.0.0.1:9/v1", index={"backend": "redis", "url": redis_server.url})
    assert states(run(tmp_path, "doctor"))["index"] == "ok"
    redis_server.kill()
    done = run(tmp_path, "doctor")
    assert states(done)["index"] == "failed"
    assert "can't reach Redis" in done.stdout


def test_a_store_that_is_no_database_fails(tmp_path):
    configure(tmp_path, "http://127.0.0.1:9/v1", store={"url": "sqlite:///./cache.db"})
    (tmp_path / "cache.db").write_text("shopping list\n" * 100)
    done = run(tmp_path, "doctor")
    assert states(done)["store"] == "failed"
    assert "is not a database" in done.stdout


def test_wrong_settings_are_a_failed_line(tmp_path):
    (tmp_path / "cacheguard.yaml").write_text("stroe: {}\n")
    done = run(tmp_path, "doctor")
    assert done.returncode == 1
    assert done.stdout.startswith("failed   settings            cacheguard.yaml, line 1: stroe is unknown")


def test_a_redis_is_looked_into_and_what_is_unwise_about_it_is_a_warning(tmp_path, redis_server):
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("requirepass", "s3cret")
    with simulated() as host:
        configure(tmp_path, host.base_url, store={"url": redis_server.url.replace("redis://", "redis://:s3cret@")})
        done = run(tmp_path, "doctor")
    assert done.returncode == 0, done.stdout
    assert f"ok       store               {redis_server.url.removesuffix('/0')}: 0 answers" in done.stdout
    assert "warning  store               it throws keys away when it is full (allkeys-lru)" in done.stdout
    assert "s3cret" not in done.stdout
