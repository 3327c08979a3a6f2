"""Hosts that speak the wire formats, and endpoints of users' own."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from cacheguard.providers.anthropic import Messages
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.gemini import GenerateContent
from cacheguard.providers.http_endpoint import HttpEndpoint
from cacheguard.providers.openai import ChatCompletions

if TYPE_CHECKING:
    from cacheguard import settings as configured
    from cacheguard.providers.base import Provider


def make_provider(provider: configured.Provider) -> Provider:
    headers = {name: value.get_secret_value() for name, value in provider.headers.items()}
    host = Host(provider.base_url, provider.keys, headers, provider.connect_timeout_s)
    match provider.kind:
        case "openai":
            wire = ChatCompletions(missing_finish_is_stop=provider.missing_finish_reason_is_stop)
            return HttpProvider(wire, host)
        case "anthropic":
            return HttpProvider(Messages(), host)
        case "gemini":
            return HttpProvider(GenerateContent(), host)
        case "http":
            return HttpEndpoint(host, provider.answer_field)
        case _:
            assert_never(provider.kind)
