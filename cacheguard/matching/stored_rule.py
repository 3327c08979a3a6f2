"""How a store keeps a calibrated rule: as JSON that a person can read, without guards, which the settings name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cacheguard.matching.confidence import Calibrated, ConfidenceModel

if TYPE_CHECKING:
    from cacheguard.matching.guards.base import Guard


def write_rule(rule: Calibrated) -> str:
    body = {"threshold": rule.threshold, "trusts_exact": rule.trusts_exact, "near_exact": rule.near_exact}
    return json.dumps(body | {"lone_threshold": rule.lone_threshold, "model": rule.model.to_json()})


def _read_near_exact(said: object) -> bool:
    """Rules of before name a cosine, or null. Raises ValueError."""
    if said is None or isinstance(said, bool | float):
        return bool(said)
    raise ValueError(f"a calibrated rule's near_exact is true or false, not {said!r}")


def read_rule(body: str, guards: tuple[Guard, ...] = ()) -> Calibrated:
    """Raises ValueError for one that this program can't follow."""
    try:
        fields = json.loads(body)
        threshold, trusts_exact = float(fields["threshold"]), fields["trusts_exact"]
        near_exact = _read_near_exact(fields["near_exact"])
        lone_threshold = None if fields.get("lone_threshold") is None else float(fields["lone_threshold"])
        model = ConfidenceModel.from_json(fields["model"])
    except (KeyError, TypeError) as exc:
        raise ValueError(f"no calibrated rule: {exc!r}") from exc
    for name, share in (("threshold", threshold), ("lone_threshold", lone_threshold)):
        if share is not None and not 0 < share <= 1:
            raise ValueError(f"a calibrated rule's {name} is above 0 and at most 1, not {share:g}")
    if not isinstance(trusts_exact, bool):
        raise ValueError(f"a calibrated rule's trusts_exact is true or false, not {trusts_exact!r}")  # noqa: TRY004
    return Calibrated(model, threshold, guards, trusts_exact, near_exact, lone_threshold)
