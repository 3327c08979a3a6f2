"""What a tier may say of its model, and of what is made of a request for it."""

from __future__ import annotations

import json

import pytest

from cacheguard.cascade.adaptation import Adaptation
from cacheguard.cascade.fitness import Abilities
from cacheguard.errors import ConfigError
from cacheguard.settings import effective, effective_yaml, load
from cacheguard.wiring.tiers import make_tiers

FILE = """\
providers: {{local: {{kind: openai, base_url: "http://127.0.0.1:11434/v1"}}}}
tiers:
  small: {{provider: local, model: m, {more}}}
"""


@pytest.fixture
def loaded(tmp_path):
    """Loads settings whose one tier says more."""

    def load_tier(more):
        (tmp_path / "cacheguard.yaml").write_text(FILE.format(more=more), "utf-8")
        return load(None, {}, tmp_path).settings

    return load_tier


def tier_of(settings):
    return make_tiers(settings, {"local": None})["small"]


def test_a_model_can_do_everything_and_gets_what_the_client_sent_unless_its_tier_says_otherwise(loaded):
    tier = tier_of(loaded("timeout_s: 5"))
    assert (tier.abilities, tier.adaptation) == (Abilities(), Adaptation())


def test_what_a_tier_can_do_is_what_its_settings_say(loaded):
    tier = tier_of(loaded("can: [tools], context_window: 8192, languages: [en, de]"))
    assert tier.abilities == Abilities(
        json_schema=False, tools=True, vision=False, context_window=8192, languages=frozenset({"en", "de"})
    )


def test_what_is_made_of_a_request_is_what_the_settings_say(loaded):
    adapt = (
        "adapt: {history_turns: 2, system_prefix: Be short., system_suffix: Be kind., drop: [user], max_tokens: 500, "
        "rename: {max_completion_tokens: max_tokens}, set: {temperature: 0.2}}"
    )
    assert tier_of(loaded(adapt)).adaptation == Adaptation(
        history_turns=2,
        system_prefix="Be short.",
        system_suffix="Be kind.",
        drop=("user",),
        max_tokens=500,
        rename={"max_completion_tokens": "max_tokens"},
        fixed={"temperature": 0.2},
    )


FREE = {
    "number": 0,
    "share": 0.5,
    "flag": True,
    "none": None,
    "text": "ollama",
    "digits": '"1"',
    "endless": "1e999",
    "list": ["a", 2],
    "mapping": {"num_ctx": 8192},
}


def test_fields_are_set_to_numbers_and_flags_and_to_text_that_looks_like_them(loaded):
    settings = loaded(f"adapt: {{set: {json.dumps(FREE)}}}")
    assert tier_of(settings).adaptation.fixed == {**FREE, "digits": "1"}


def test_a_tier_is_shown_as_a_file_would_hold_it(loaded, tmp_path):
    settings = loaded(f"can: [vision], languages: [en], adapt: {{drop: [user], set: {json.dumps(FREE)}}}")
    shown = effective(settings)["tiers"]["small"]
    assert (shown["can"], shown["adapt"]["drop"], shown["adapt"]["set"]) == (["vision"], ["user"], FREE)
    (tmp_path / "cacheguard.yaml").write_text(effective_yaml(settings), "utf-8")
    assert load(None, {}, tmp_path).settings == settings


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("can: [visions]", "can[0] is 'visions'; did you mean 'vision'? known: json_schema, tools, vision"),
        ("context_window: 0", "context_window is '0'; it must be at least 1"),
        (
            "languages: [en, english]",
            "languages[1] is 'english'; it must be the two letters of a language in ISO 639-1: en, de, zh, …",
        ),
        ("adapt: {history_turns: 0}", "adapt.history_turns is '0'; it must be at least 1"),
        ("adapt: {prefix: a}", "adapt.prefix is unknown; did you mean 'system_prefix'? known: history_turns, "),
        ("adapt: {drop: [user, messages]}", "adapt.drop[1] is about 'messages', which every request gets from the"),
        ("adapt: {set: {model: m}}", "adapt.set.model is about 'model', which every request gets from the service"),
        ("adapt: {rename: {stream: s}}", "adapt.rename.stream is about 'stream', which every request gets"),
        ("adapt: {rename: {s: stream}}", "adapt.rename.s is about 'stream', which every request gets"),
        ("adapt: {rename: {seed: seed}}", "adapt.rename.seed is about 'seed', as rename is already"),
        ("adapt: {rename: {a: c, b: c}}", "adapt.rename.b is about 'c', as rename is already"),
        ("adapt: {drop: [b], rename: {a: b}}", "adapt.rename.a is about 'b', as drop is already"),
        ("adapt: {rename: {a: b}, set: {b: 1}}", "adapt.set.b is about 'b', as rename is already"),
        (
            "adapt: {drop: [b], set: {b: 1}}",
            "adapt.set.b is about 'b', as drop is already: a field takes one of drop, rename, set",
        ),
        (
            "adapt: {max_tokens: 5, drop: [max_tokens]}",
            "adapt.drop[0] is about 'max_tokens', which adapt.max_tokens limits: keep one of both",
        ),
        (
            "context_window: 4096, adapt: {max_tokens: 4096}",
            "adapt.max_tokens leaves no room for a prompt in context_window, 4096",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(loaded, more, said):
    with pytest.raises(ConfigError) as refused:
        loaded(more)
    assert str(refused.value).startswith(f"cacheguard.yaml, line 3: tiers.small.{said}")
