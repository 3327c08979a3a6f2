"""Scripts: what is read, what is refused and how, and which rule a call gets."""

from __future__ import annotations

from random import Random
from statistics import median, quantiles

import pytest

from cacheguard.errors import ConfigError
from cacheguard.simulate.director import Director
from cacheguard.simulate.script import Pause, Script, load_script, parse_script

FULL = b"""
models: [gpt-large, gpt-small]
rules:
- when: {model: "gpt-*", prompt: weather, calls: {from: 2, to: 3}, share: 0.5}
  then: {latency_ms: {median: 300, p99: 1500}, status: 429, retry_after_s: 2}
- then: {first_token_ms: 20}
"""


def plays(rules, asked, seed=0):
    """Which rule, by its text, each of the (model, prompt) calls gets."""
    director = Director(Script.model_validate({"rules": rules}), seed)
    return [director.cue(model, prompt).text for model, prompt in asked]


def test_a_script_is_read_from_yaml(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_bytes(FULL)
    script = load_script(path)
    assert script.models == ("gpt-large", "gpt-small")
    assert script.rules[0].when.calls.last == 3
    assert script.rules[0].then.latency_ms == Pause(median=300, p99=1500)
    assert script.rules[1].then.first_token_ms == Pause(median=20)


def test_an_empty_script_has_no_rules():
    assert parse_script(b"", source="here") == Script()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rule: []", "rule: no such key; known: models, rules"),
        ("rules: [{then: {latency: 3}}]", r"rules\.0\.then\.latency: no such key; known: latency_ms, "),
        (
            "rules: [{when: {calls: {until: 3}}}]",
            r"rules\.0\.when\.calls\.until: no such key; known: from, to",
        ),
        ("rules: [{then: {status: 200}}]", r"rules\.0\.then\.status: .*greater than or equal to 400"),
        ("rules: [{then: {latency_ms: slow}}]", r"rules\.0\.then\.latency_ms\.median: .*valid number"),
        ("rules: [{then: {latency_ms: {median: 9, p99: 3}}}]", r"latency_ms: p99 3 needs a median above 0"),
        ("rules: [{then: {latency_ms: {median: 0, p99: 3}}}]", r"latency_ms: p99 3 needs a median above 0"),
        ("rules: [{then: {status: 500, garbage: html}}]", "status and garbage exclude each other"),
        ("rules: [{then: {cut_after_tokens: 0, error_after_tokens: 0}}]", "exclude each other: keep one"),
        ("rules: [{when: {pattern: '('}}]", r"rules\.0\.when\.pattern: not a regular expression"),
        ("rules: [{when: {calls: {from: 3, to: 2}}}]", r"rules\.0\.when\.calls: to 2 is less than from 3"),
        ("rules: [{when: {share: 1.5}}]", r"rules\.0\.when\.share: .*less than or equal to 1"),
        ("- just a list", "the script: "),
        ("rules: [", "not YAML: "),
        ("\x00", "not YAML: "),
    ],
)
def test_a_wrong_script_is_refused_with_its_file_and_key(tmp_path, text, message):
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as refused:
        load_script(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_missing_script_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"can't read the script .*nowhere\.yaml: No such file"):
        load_script(tmp_path / "nowhere.yaml")


def test_the_first_rule_that_fits_is_played():
    rules = [
        {"when": {"model": "gpt-*", "prompt": "WEATHER"}, "then": {"text": "both"}},
        {"when": {"model": "gpt-*"}, "then": {"text": "model"}},
        {"when": {"pattern": r"\b\d{4}\b"}, "then": {"text": "pattern"}},
    ]
    asked = [
        ("gpt-5", "The weather?"),
        ("gpt-5", "Hello"),
        ("other", "in 2031?"),
        ("other", "weather in 31?"),
    ]
    assert plays(rules, asked) == ["both", "model", "pattern", None]


def test_calls_are_counted_over_all_that_fit_whoever_took_them():
    rules = [
        {"when": {"calls": {"to": 2}}, "then": {"text": "first two"}},
        {"when": {"model": "a", "calls": {"from": 3, "to": 3}}, "then": {"text": "third of a"}},
        {"when": {"calls": {"from": 5}}, "then": {"text": "late"}},
    ]
    asked = [(model, "") for model in "ababaa"]
    assert plays(rules, asked) == ["first two", "first two", None, None, "third of a", "late"]


def test_a_share_is_drawn_with_the_seed():
    rules = [{"when": {"share": 0.25}, "then": {"text": "hit"}}]
    asked = [("m", "")] * 2000
    first, again, other = (plays(rules, asked, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert 400 < first.count("hit") < 600


def test_a_share_of_all_or_nothing_needs_no_luck():
    assert plays([{"when": {"share": 1}, "then": {"text": "x"}}], [("m", "")] * 50) == ["x"] * 50
    assert plays([{"when": {"share": 0}, "then": {"text": "x"}}], [("m", "")] * 50) == [None] * 50


def test_a_pause_has_the_median_and_the_99th_percentile_it_names():
    random = Random(5)
    drawn = [Pause(median=200, p99=1000).seconds(random) for _ in range(20_000)]
    assert median(drawn) == pytest.approx(0.2, rel=0.03)
    assert quantiles(drawn, n=100)[-1] == pytest.approx(1.0, rel=0.1)


def test_a_constant_pause_is_constant():
    assert Pause.model_validate(250).seconds(Random(5)) == 0.25
