"""How a store keeps a calibrated rule: as JSON that a person can read, without guards, which the settings name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cacheguard.matching.confidence import Calibrated, ConfidenceModel

if TYPE_CHECKING:
    from cacheguard.matching.guards.base import Guard


def write_rule(rule: Calibrated) -> str:
    body = {"threshold": rule.threshold, "trusts_exact": rule.trusts_exact, "model": rule.model.to_json()}
    return json.dumps(body)


def read_rule(body: str, guards: tuple[Guard, ...] = ()) -> Calibrated:
    """Raises ValueError for one that this program can't follow."""
    try:
        fields = json.loads(body)
        threshold, trusts_exact = float(fields["threshold"]), fields["trusts_exact"]
        model = ConfidenceModel.from_json(fields["model"])
    except (KeyError, TypeError) as exc:
        raise ValueError(f"no calibrated rule: {exc!r}") from exc
    if not 0 < threshold <= 1 or not isinstance(trusts_exact, bool):
        raise ValueError(f"no calibrated rule has the threshold {threshold:g} and trusts_exact {trusts_exact!r}")
    return Calibrated(model, threshold, guards, trusts_exact)
