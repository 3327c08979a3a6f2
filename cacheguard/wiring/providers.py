"""Hosts that speak the wire formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from cacheguard.providers.anthropic import AnthropicProvider
from cacheguard.providers.gemini import GeminiProvider
from cacheguard.providers.openai import OpenAIProvider

if TYPE_CHECKING:
    from cacheguard import settings as configured
    from cacheguard.providers.base import Provider


def make_provider(provider: configured.Provider) -> Provider:
    api_key = provider.api_key.get_secret_value()
    headers = {name: value.get_secret_value() for name, value in provider.headers.items()}
    timeout_s = provider.connect_timeout_s
    match provider.kind:
        case "openai":
            return OpenAIProvider(
                provider.base_url,
                api_key=api_key,
                headers=headers,
                connect_timeout_s=timeout_s,
                missing_finish_is_stop=provider.missing_finish_reason_is_stop,
            )
        case "anthropic":
            return AnthropicProvider(provider.base_url, api_key=api_key, headers=headers, connect_timeout_s=timeout_s)
        case "gemini":
            return GeminiProvider(provider.base_url, api_key=api_key, headers=headers, connect_timeout_s=timeout_s)
        case _:
            assert_never(provider.kind)
