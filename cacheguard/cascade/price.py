"""What a call costs: as counted by its provider, and as estimated before and without that."""

from __future__ import annotations

from dataclasses import dataclass

from cacheguard.providers.base import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens. cached_input_usd_per_mtok: what the provider had cached; None: as any input."""

    input_usd_per_mtok: float = 0.0
    output_usd_per_mtok: float = 0.0
    cached_input_usd_per_mtok: float | None = None

    @property
    def is_free(self) -> bool:
        return not (self.input_usd_per_mtok or self.output_usd_per_mtok or self.cached_input_usd_per_mtok)

    def cost_usd(self, usage: Usage) -> float:
        """US dollars for what the provider counted."""
        known = self.cached_input_usd_per_mtok
        cached_usd = usage.cached_input * (self.input_usd_per_mtok if known is None else known)
        # Some hosts count cached input beside the input, not within it: nothing is worth less than nothing.
        new_usd = max(0, usage.input - usage.cached_input) * self.input_usd_per_mtok
        return (new_usd + cached_usd + usage.output * self.output_usd_per_mtok) / 1e6

    def estimate_usd(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars for so many tokens, none of them cached."""
        return self.cost_usd(Usage(input_tokens, output_tokens))


def reserve_usd(price: Price, input_tokens: int, output_tokens_wanted: int | None, typical_output: int) -> float:
    """What a call may cost: its whole output where the request limits that, else what its model writes as a rule."""
    return price.estimate_usd(input_tokens, typical_output if output_tokens_wanted is None else output_tokens_wanted)


def abandoned_usd(price: Price, input_tokens: int, output_so_far_tokens: int) -> float:
    """What a call has cost whose end nobody waited for, as far as can be known: all of the input, and what came."""
    return price.estimate_usd(input_tokens, output_so_far_tokens)
