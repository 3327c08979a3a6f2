"""Hosts that speak the wire formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from cacheguard.providers.anthropic import Messages
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.gemini import GenerateContent
from cacheguard.providers.openai import ChatCompletions

if TYPE_CHECKING:
    from cacheguard import settings as configured
    from cacheguard.providers.base import Provider
    from cacheguard.providers.calling import WireFormat


def make_provider(provider: configured.Provider) -> Provider:
    headers = {name: value.get_secret_value() for name, value in provider.headers.items()}
    host = Host(provider.base_url, provider.keys, headers, provider.connect_timeout_s)
    return HttpProvider(_wire_format(provider), host)


def _wire_format(provider: configured.Provider) -> WireFormat:
    match provider.kind:
        case "openai":
            return ChatCompletions(missing_finish_is_stop=provider.missing_finish_reason_is_stop)
        case "anthropic":
            return Messages()
        case "gemini":
            return GenerateContent()
        case _:
            assert_never(provider.kind)
