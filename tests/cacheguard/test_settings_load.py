"""Settings as a person meets them: which file is taken, what is said when it is wrong."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from cacheguard.errors import ConfigError
from cacheguard.settings import effective, effective_yaml, load

CONTRACT = """\
server:    {host: 127.0.0.1, port: 8000, max_body_mb: 1, max_in_flight: 512}
store:     {url: "sqlite:///./.cacheguard/cache.db"}
index:     {backend: faiss}
embedding: {model: bundled, precision: int8}
providers:
  openai:  {kind: openai, base_url: "https://api.openai.com/v1", api_key: "${OPENAI_API_KEY}"}
  local:   {kind: openai, base_url: "http://127.0.0.1:11434/v1"}
tiers:
  strong:
    {provider: openai, model: gpt-5, timeout_s: 30, first_token_timeout_s: 8,
     price: {input_usd_per_mtok: 1.25, output_usd_per_mtok: 10}}
  cheap:   {provider: local, model: llama3.2}
  sorry:   {template: "We can't answer that right now. Please try again in a few minutes."}
routes:
  faq:
    models: ["faq", "gpt-4o*"]
    tiers: [strong, cheap, sorry]
    deadline_s: 45
    cache:
      mode: read-write
      ttl_s: 86400
      stale_while_revalidate_s: 3600
      stale_if_error_s: 604800
      decision: auto
      context: exact
    validate: [not_empty, complete, not_refusal]
  default: {tiers: [strong, cheap, sorry]}
"""

LEAK = "hunter2"
TIERS = "tiers: {a: {template: hi}}\n"


@pytest.fixture
def loaded(tmp_path):
    """Loads a text as ./cacheguard.yaml, under an environment, with flags."""

    def load_text(text, environ=None, **flags):
        (tmp_path / "cacheguard.yaml").write_text(text, "utf-8")
        return load(None, environ or {}, tmp_path, flags=flags)

    return load_text


@pytest.fixture
def refusal(loaded):
    """What is said about a text, line by line, without the file's name."""

    def refused_text(text, environ=None, **flags):
        with pytest.raises(ConfigError) as refused:
            loaded(text, environ, **flags)
        return [line.removeprefix("cacheguard.yaml, ") for line in str(refused.value).splitlines()]

    return refused_text


def test_the_documented_file_is_taken_as_it_is_written(loaded):
    settings = loaded(CONTRACT, {"OPENAI_API_KEY": "sk-1"}).settings
    assert settings.providers["openai"].api_key.get_secret_value() == "sk-1"
    assert settings.tiers["strong"].price.output_usd_per_mtok == 10
    assert settings.routes["faq"].models == ("faq", "gpt-4o*")
    assert settings.routes["faq"].cache.stale_if_error_s == 604800
    assert settings.routes["default"].validators == ("not_empty", "complete", "not_refusal")


def test_the_file_is_the_named_one_then_the_variables_one_then_the_folders_one(tmp_path):
    for name, port in [("named.yaml", 1), ("variable.yaml", 2), ("cacheguard.yaml", 3)]:
        (tmp_path / name).write_text(f"server: {{port: {port}}}\n", "utf-8")
    environ = {"CACHEGUARD_CONFIG": str(tmp_path / "variable.yaml")}
    assert load(Path("named.yaml"), environ, tmp_path).settings.server.port == 1
    assert load(None, environ, tmp_path).settings.server.port == 2
    assert load(None, {"CACHEGUARD_CONFIG": ""}, tmp_path).settings.server.port == 3
    assert load(None, {}, tmp_path).source == "cacheguard.yaml"


def test_without_a_file_the_defaults_are_embedded(tmp_path):
    found = load(None, {}, tmp_path)
    assert found.source == "embedded defaults"
    assert found.settings.store.url == "sqlite:///./.cacheguard/cache.db"
    assert found.settings.embedding.model == "bundled"
    assert found.settings.routes["default"].tiers == ("ollama", "sorry")
    assert found.notes == (
        "tiers: ollama at 127.0.0.1:11434, sorry (a template)",
        "auth: no keys, so every program on this machine may ask",
    )


def test_without_a_file_the_tiers_are_those_that_the_environment_has_keys_for(tmp_path):
    environ = {"GEMINI_API_KEY": "g-1", "OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": ""}
    found = load(None, environ, tmp_path)
    assert found.settings.routes["default"].tiers == ("openai", "gemini", "ollama", "sorry")
    assert found.settings.providers["gemini"].api_key.get_secret_value() == "g-1"
    assert [found.settings.providers[name].kind for name in ("openai", "gemini")] == ["openai", "gemini"]
    assert found.notes[0] == (
        "tiers: openai (OPENAI_API_KEY found), gemini (GEMINI_API_KEY found), ollama at 127.0.0.1:11434, "
        "sorry (a template)"
    )


def test_a_file_that_names_no_models_gets_the_embedded_ones(loaded):
    found = loaded("server: {port: 9000}\n", {"OPENAI_API_KEY": "sk-1"}).settings
    assert found.server.port == 9000
    assert found.routes["default"].tiers == ("openai", "ollama", "sorry")


def test_flags_win_over_the_file(loaded):
    server = loaded("server: {port: 9000, host: localhost}\n", port=7000).settings.server
    assert (server.host, server.port) == ("localhost", 7000)


def test_checks_with_options_are_shown_as_they_are_written(loaded):
    checks = [
        "complete",
        {"length": {"min_chars": 1, "max_chars": 2000}},
        {"pattern": {"must": "[0-9]"}},
        {"relevance": {"min_similarity": 0.2}},
        "language",
        {"language": {"only": ["en", "de"]}},
        {"self_consistency": {"samples": 3, "min_similarity": 0.9}},
        {"forbidden": {"words": ["C++"], "pattern": "(?i)cobol"}},
    ]
    given = loaded(f"{TIERS}routes: {{faq: {{tiers: [a], validate: {json.dumps(checks)}}}}}\n").settings
    assert effective(given)["routes"]["faq"]["validate"] == checks
    assert loaded(effective_yaml(given)).settings == given


def test_a_check_by_other_samples_has_usual_options(loaded):
    given = loaded(f"{TIERS}routes: {{faq: {{tiers: [a], validate: [self_consistency: {{}}]}}}}\n").settings
    assert effective(given)["routes"]["faq"]["validate"] == [
        {"self_consistency": {"samples": 2, "min_similarity": 0.8}}
    ]


def test_a_judge_is_any_tier_that_asks_a_model(loaded):
    text = (
        "providers: {p: {kind: openai, base_url: 'http://127.0.0.1:1/v1'}}\n"
        "tiers: {a: {template: hi}, strict: {provider: p, model: m}}\n"
        "routes: {faq: {tiers: [a], validate: [judge: {tier: strict}]}}\n"
    )
    checks = effective(loaded(text).settings)["routes"]["faq"]["validate"]
    assert checks == [{"judge": {"tier": "strict", "criteria": ""}}]


def test_a_wrong_flag_is_named_as_a_flag(refusal):
    assert refusal("", port=99999) == ["--port: server.port is '99999'; it must be at most 65535"]


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_variable_may_be_a_number(loaded, quote):
    text = f"server:\n  port: {quote}${{PORT:-8000}}{quote}\n"
    assert loaded(text).settings.server.port == 8000
    assert loaded(text, {"PORT": "9"}).settings.server.port == 9


def test_a_number_may_be_a_name(loaded):
    text = "providers: {1: {kind: openai, base_url: http://x}}\ntiers: {no: {provider: 1, model: 4}}\n"
    assert loaded(text).settings.tiers["no"].model == "4"


def test_a_byte_order_mark_is_no_part_of_the_first_key(loaded):
    assert loaded("\ufeffserver: {port: 9}\n").settings.server.port == 9


def test_a_route_that_leaves_no_time_for_its_second_tier_is_noted(loaded):
    text = CONTRACT.replace("deadline_s: 45", "deadline_s: 20")
    assert loaded(text, {"OPENAI_API_KEY": "sk-1"}).notes[-1] == (
        "routes.faq: a slow 'strong' (timeout_s 30) leaves no time for 'cheap' before deadline_s 20"
    )


def test_an_added_default_route_is_noted(loaded):
    notes = loaded(TIERS + "routes: {faq: {tiers: [a]}}\n").notes
    assert notes[0] == "routes: none is named 'default', so one is added that asks a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "server: {prot: 1}",
            (
                "line 1: server.prot is unknown; did you mean 'port'? known: host, port, max_body_mb, max_in_flight, "
                "workers, shutdown_grace_s"
            ),
        ),
        (
            "sever: {}",
            (
                "line 1: sever is unknown; did you mean 'server'? known: server, auth, store, index, embedding, "
                "providers, tiers, routes"
            ),
        ),
        ("server:\n  port: eighty", "line 2: server.port is 'eighty'; it must be a whole number"),
        ("server: {port: 8.5}", "line 1: server.port is '8.5'; it must be a whole number"),
        ("server: {port: -1}", "line 1: server.port is '-1'; it must be at least 0"),
        ("server: {port: yes}", "line 1: server.port is 'yes'; it must be a whole number"),
        ("server: {port: [1]}", "line 1: server.port is a list; it must be a whole number"),
        ("server: {port: }", "line 1: server.port is empty: give it a value, or take it out"),
        ("server: {port: ''}", "line 1: server.port is ''; it must be a whole number"),
        ("server: {host: ''}", "line 1: server.host is empty"),
        ("server: {max_body_mb: 0}", "line 1: server.max_body_mb is '0'; it must be above 0"),
        ("server: {max_body_mb: inf}", "line 1: server.max_body_mb is 'inf'; it must be a finite number"),
        ("server: 8000", "line 1: server is text; it must be a mapping"),
        ("server: [1]", "line 1: server is a list; it must be a mapping"),
        ("server: {port: 1}\nserver: {port: 2}", "line 1: server stands twice, on line 1 and line 2: keep one"),
        (
            "server: {port: !x 1}",
            "line 1: server.port has a tag, which means nothing here: text after a ! needs quotes",
        ),
        (
            "server:\n  port: ${PORT}",
            "line 2: server.port needs the environment variable PORT: set it, or write ${PORT:-default}",
        ),
        (
            "store: {url: 'valkey://u:pw@h/0'}",
            "line 1: store.url has the scheme 'valkey'; known: sqlite:///PATH, redis://HOST:PORT/DB, memory://",
        ),
        (
            "store: {url: 'redis://u:pw@h/first'}",
            "line 1: store.url must end with the number of a database, as in redis://HOST:6379/0, or with its port",
        ),
        (
            "store: {url: 'redis+sentinel://u:pw@h:26379'}",
            "line 1: store.url must name the master that the sentinels watch: redis+sentinel://HOST:26379/SERVICE",
        ),
        (
            "store: {url: cache.db}",
            "line 1: store.url names no store; known: sqlite:///PATH, redis://HOST:PORT/DB, memory://",
        ),
        (
            "store: {url: 'memory://'}\nserver: {workers: 2}",
            "line 1: store.url can't be shared by server.workers, 2; use sqlite:///PATH or redis://HOST",
        ),
        ("index: {backend: radis}", "line 1: index.backend is 'radis'; did you mean 'redis'? known: faiss, redis"),
        (
            "index: {backend: redis}",
            (
                "line 1: index.url is missing: the store is no Redis, so say which one holds the vectors, "
                "redis://HOST:PORT"
            ),
        ),
        (
            "index: {backend: redis, url: 'http://h'}",
            (
                "line 1: index.url has no scheme of a Redis; known: redis://, rediss://, redis+cluster://, "
                "rediss+cluster://, redis+sentinel://, rediss+sentinel://"
            ),
        ),
        (
            "index: {shards: 2}",
            "line 1: index.shards is not for backend 'faiss': take it out, or name the other backend",
        ),
        (
            "index:\n  backend: redis\n  url: redis://h\n  max_mb: 1",
            "line 4: index.max_mb is not for backend 'redis': take it out, or name the other backend",
        ),
        (
            "embedding: {precision: int88}",
            "line 1: embedding.precision is 'int88'; did you mean 'int8'? known: int8, fp32",
        ),
        ("embedding: {model: 'openai:'}", "line 1: embedding.model lacks the model's name behind openai:"),
        (
            "embedding: {api_key: x}",
            "line 1: embedding.api_key is for openai:NAME models only: name one, or take it out",
        ),
        (
            "server:\n  host: 0.0.0.0",
            (
                "cacheguard.yaml: auth has no keys, but server.host '0.0.0.0' lets other machines in: add auth.keys, "
                "or say auth: {mode: none}"
            ),
        ),
        (
            "auth: {mode: none, keys: [{key: a}]}",
            "line 1: auth.mode is 'none', but there are keys: take them out or say mode: keys",
        ),
        (
            "auth: {keys: [{key: ''}]}",
            "line 1: auth.keys[0].key is empty: it would let in whoever sends an empty key",
        ),
        (
            "auth:\n  keys:\n    - key: a\n    - key: a",
            "line 4: auth.keys[1].key is the same key as auth.keys[0].key",
        ),
        (
            "auth: {keys: [{key: a, tenant: 'a b'}]}",
            (
                "line 1: auth.keys[0].tenant is no name: letters, digits, '.', '_' and '-' only, the first a letter or "
                "digit, 64 at most"
            ),
        ),
        (
            "auth: {keys: [{key: a, admin: perhaps}]}",
            "line 1: auth.keys[0].admin is 'perhaps'; it must be true or false",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_its_line_and_the_way_out(refusal, text, message):
    assert refusal(text) == [message]


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        ("{}", "a needs provider and model, or template"),
        ("{timeout_s: 3}", "a needs provider and model, or template"),
        (
            "{provider: local, model: m, template: t}",
            "a is a model and a template at once: keep provider and model, or template",
        ),
        ("{provider: local}", "a.model is missing"),
        ("{template: t, timeout_s: 3}", "a.timeout_s is unknown; known: template"),
        ("{template: ''}", "a.template is empty"),
        ("{provider: locl, model: m}", "a.provider is 'locl'; did you mean 'local'? known: local"),
        (
            "{provider: local, model: m, timeout_s: 3, first_token_timeout_s: 4}",
            "a.first_token_timeout_s is longer than timeout_s, 3",
        ),
        (
            "{provider: local, model: m, price: {input_usd: 1}}",
            (
                "a.price.input_usd is unknown; did you mean 'input_usd_per_mtok'? known: input_usd_per_mtok, "
                "output_usd_per_mtok, cached_input_usd_per_mtok"
            ),
        ),
        ("text", "a is text; it must be a mapping"),
    ],
)
def test_a_wrong_tier_is_named_with_the_way_out(refusal, tier, message):
    providers = "providers: {local: {kind: openai, base_url: http://x/v1}}\n"
    assert refusal(f"{providers}tiers:\n  a: {tier}\n") == [f"line 3: tiers.{message}"]


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("{base_url: http://x}", "kind is missing"),
        (
            "{kind: gemni, base_url: http://x}",
            "kind is 'gemni'; did you mean 'gemini'? known: openai, anthropic, gemini, http",
        ),
        (
            "{kind: gemini, missing_finish_reason_is_stop: true}",
            "missing_finish_reason_is_stop is for kind openai: gemini always says why it stops",
        ),
        ("{kind: openai}", "base_url is missing"),
        ("{kind: openai, base_url: x/v1}", "base_url must be an address like https://api.openai.com/v1"),
        ("{kind: openai, base_url: 'http://['}", "base_url must be an address like https://api.openai.com/v1"),
        (
            "{kind: openai, base_url: 'http://u:pw@x'}",
            "base_url holds a user or password: give them as api_key or headers, where they are masked",
        ),
        (
            "{kind: openai, base_url: 'http://x/?key=1'}",
            "base_url must end with its path: /chat/completions and the like are appended to it",
        ),
        (
            '{kind: openai, base_url: http://x, api_key: "a\\n"}',
            "api_key can't be sent in a header: visible ASCII only, without line ends or outer spaces",
        ),
    ],
)
def test_a_wrong_provider_is_named_with_the_way_out(refusal, provider, message):
    assert refusal(f"{TIERS}providers:\n  p: {provider}\n") == [f"line 3: providers.p.{message}"]


def test_a_companys_own_service_needs_no_address_but_may_have_another(loaded):
    text = (
        "tiers: {a: {template: hi}}\n"
        "providers: {a: {kind: anthropic}, g: {kind: gemini}, p: {kind: gemini, base_url: http://proxy/g/}}\n"
    )
    assert {name: provider.base_url for name, provider in loaded(text).settings.providers.items()} == {
        "a": "https://api.anthropic.com",
        "g": "https://generativelanguage.googleapis.com",
        "p": "http://proxy/g",
    }


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("{}", "tiers is missing"),
        ("{tiers: []}", "tiers is empty"),
        ("{tiers: a}", "tiers is text; it must be a list"),
        ("{tiers: [b]}", "tiers[0] is 'b'; known: a"),
        (
            "{tiers: [a], validate: [complet]}",
            (
                "validate[0] is 'complet'; did you mean 'complete'? known: not_empty, complete, not_refusal, length, "
                "pattern, forbidden, relevance, language, self_consistency, judge"
            ),
        ),
        ("{tiers: [a], validate: [length]}", "validate[0] needs options: length: {min_chars, max_chars}"),
        (
            "{tiers: [a], validate: [complete: {}]}",
            "validate[0] gives complete options, but it has none: write it alone",
        ),
        (
            "{tiers: [a], validate: [lenght: {}]}",
            (
                "validate[0] must be one check with its options; known: length, pattern, forbidden, relevance, "
                "language, self_consistency, judge"
            ),
        ),
        ("{tiers: [a], validate: [length: ]}", "validate[0].length is empty: give it a value, or take it out"),
        (
            "{tiers: [a], validate: [[complete]]}",
            "validate[0] must be the name of a check, or a mapping of its name to its options",
        ),
        (
            "{tiers: [a], validate: [length: {max_char: 5}]}",
            "validate[0].length.max_char is unknown; did you mean 'max_chars'? known: min_chars, max_chars",
        ),
        (
            "{tiers: [a], validate: [length: {min_chars: 5, max_chars: 4}]}",
            "validate[0].length.max_chars is less than min_chars, 5",
        ),
        (
            "{tiers: [a], validate: [length: {max_chars: 0}]}",
            "validate[0].length.max_chars is '0'; it must be at least 1",
        ),
        ("{tiers: [a], validate: [pattern: {}]}", "validate[0].pattern.must is missing"),
        (
            "{tiers: [a], validate: [pattern: {must: '(a'}]}",
            "validate[0].pattern.must can't be used as a regular expression: unclosed group",
        ),
        (
            "{tiers: [a], validate: [complete, forbidden: {pattern: '(?=a)'}]}",
            (
                "validate[1].forbidden.pattern can't be used as a regular expression: look-around, including "
                "look-ahead and look-behind, is not supported"
            ),
        ),
        (
            "{tiers: [a], validate: [forbidden: {}]}",
            "validate[0].forbidden forbids nothing: give it words or a pattern",
        ),
        ("{tiers: [a], validate: [language: {}]}", "validate[0].language.only is missing"),
        ("{tiers: [a], validate: [language: {only: []}]}", "validate[0].language.only is empty"),
        (
            "{tiers: [a], validate: [language: {only: [de, gb]}]}",
            (
                "validate[0].language.only[1] is 'gb'; it must be the two letters of a language in ISO 639-1: "
                "en, de, zh, …"
            ),
        ),
        (
            "{tiers: [a], validate: [self_consistency: {samples: 11}]}",
            "validate[0].self_consistency.samples is '11'; it must be at most 10",
        ),
        (
            "{tiers: [a], validate: [self_consistency: {min_similarity: 0}]}",
            "validate[0].self_consistency.min_similarity is '0'; it must be above 0",
        ),
        ("{tiers: [a], validate: [judge]}", "validate[0] needs options: judge: {tier, criteria}"),
        ("{tiers: [a], validate: [judge: {}]}", "validate[0].judge.tier is missing"),
        ("{tiers: [a], validate: [complete, judge: {tier: b}]}", "validate[1].judge.tier is 'b'; known: a"),
        (
            "{tiers: [a], validate: [complete, judge: {tier: a}]}",
            "validate[1].judge.tier is 'a', a template, which can't judge",
        ),
        ("{tiers: [a], deadline_s: 0}", "deadline_s is '0'; it must be above 0"),
        ("{tiers: [a], cache: {ttl_s: -1}}", "cache.ttl_s is '-1'; it must be at least 0"),
        ("{tiers: [a], cache: {context: last}}", "cache.context is 'last'; known: none, exact, chain"),
        (
            "{tiers: [a], cache: {decision: 1.5}}",
            "cache.decision must be auto, or a cosine above 0 and at most 1",
        ),
        (
            "{tiers: [a], cache: {guards: [numbers, name]}}",
            (
                "cache.guards[1] is 'name'; did you mean 'names'? known: numbers, negation, one_word, direction, "
                "names, time_sensitive, personal, language"
            ),
        ),
        ("{tiers: [a], cache: {max_wrong_hits: 0}}", "cache.max_wrong_hits is '0'; it must be above 0"),
        ("{tiers: [a], cache: {max_wrong_hits: 0.5}}", "cache.max_wrong_hits is '0.5'; it must be below 0.5"),
        (
            "{tiers: [a], cache: {decision: 0.9, max_wrong_hits: 0.01}}",
            "cache.max_wrong_hits needs decision: auto, since a plain cosine is never made stricter",
        ),
        ("{tiers: [a], cache: {judge: {}}}", "cache.judge.tier is missing"),
        ("{tiers: [a], cache: {judge: {tier: b}}}", "cache.judge.tier is 'b'; known: a"),
        ("{tiers: [a], cache: {judge: {tier: a}}}", "cache.judge.tier is 'a', a template, which can't judge"),
        ("{tiers: [a], cache: {judge: {tier: a, hits: 2}}}", "cache.judge.hits is '2'; it must be at most 1"),
        ("{tiers: [a, a]}", "tiers[0] is 'a', a template, which always answers: put it last"),
        ("{tiers: [a], models: [m, m]}", "models[1] is 'm', which route 'r' takes"),
    ],
)
def test_a_wrong_route_is_named_with_the_way_out(refusal, route, message):
    assert refusal(f"{TIERS}routes:\n  r: {route}\n") == [f"line 3: routes.r.{message}"]


def test_a_model_takes_one_route_only(refusal):
    routes = "routes:\n  r: {tiers: [a], models: [x]}\n  s: {tiers: [a], models: [y, x]}\n"
    assert refusal(TIERS + routes) == ["line 4: routes.s.models[1] is 'x', which route 'r' takes"]


def test_a_file_with_providers_but_without_tiers_lacks_tiers(refusal):
    providers = "providers: {p: {kind: openai, base_url: http://x}}\n"
    assert refusal(providers) == ["cacheguard.yaml: tiers is missing"]


def test_all_that_is_wrong_is_said_at_once_in_the_files_order(refusal):
    text = (
        "routes:\n  r: {tiers: [a], deadline_s: x}\n"
        "tiers:\n  a: {provider: locl, model: m}\n"
        "providers:\n  local: {kind: openai, base_url: http://x}\n"
        "server:\n  port: ${PORT}\n  prot: 1\n"
    )
    assert [line.split(" ")[1:3] for line in refusal(text)] == [
        ["2:", "routes.r.deadline_s"],
        ["4:", "tiers.a.provider"],
        ["8:", "server.port"],
        ["9:", "server.prot"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "providers: {p: {kind: openai, base_url: http://x, api_key: {hunter2: hunter2}}}",
        "providers: {p: {kind: openai, base_url: http://x, api_key: [hunter2]}}",
        "providers: {p: {kind: openai, base_url: http://x, headers: hunter2}}",
        'providers: {p: {kind: openai, base_url: http://x, headers: {A: "hunter2\\n"}}}',
        "providers: {p: {kind: openai, base_url: 'http://me:hunter2@x'}}",
        "providers: {p: hunter2}",
        "providers: {p: {kind: '${SECRET}', base_url: '${SECRET}'}}",
        "providers: {p: {kind: openai, base_url: http://x, api_key: *hunter2 }}",
        "tiers: {a: {provider: '${SECRET}', model: m}}",
        "auth: hunter2",
        "auth: {keys: hunter2}",
        "auth: {keys: [hunter2]}",
        "auth: {keys: [{hunter2: acme}]}",
        "auth: {keys: {hunter2: acme}}",
        "auth: {keys: [{key: hunter2}, {key: hunter2}]}",
        "auth: {mode: none, keys: [{key: hunter2}]}",
        "store: {url: 'redis://me:hunter2@x/hunter2'}",
        "index: {url: 'redis://me:hunter2@x'}",
        "index: {backend: redis, url: 'redis://me:hunter2@x:y'}",
        "server: {port: '${SECRET}'}",
    ],
)
def test_no_secret_is_repeated_when_a_setting_is_wrong(loaded, text):
    with pytest.raises(ConfigError) as refused:
        loaded(text, {"SECRET": LEAK})
    assert LEAK not in "".join(traceback.format_exception(refused.value))


def test_a_key_in_the_environment_that_cannot_be_sent_is_named_by_its_variable(tmp_path):
    with pytest.raises(ConfigError, match=r"^\$OPENAI_API_KEY: providers.openai.api_key can't be sent") as refused:
        load(None, {"OPENAI_API_KEY": "hunter2\n"}, tmp_path)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"server: {host: caf\xe9}")
    for name, why in [
        ("absent.yaml", "can't be read: No such file or directory"),
        (".", "can't be read: Is a directory"),
        ("latin.yaml", "is not UTF-8 (byte 18)"),
    ]:
        with pytest.raises(ConfigError) as refused:
            load(Path(name), {}, tmp_path)
        assert str(refused.value) == f"{name}: {why}"
