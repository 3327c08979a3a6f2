"""Settings for people and editors: the effective ones, and the schema of their file."""

from __future__ import annotations

from typing import Any

import yaml

from cacheguard.settings.tree import Settings


def effective(settings: Settings) -> dict[str, Any]:
    """The settings as a file would hold them: defaults filled in, secrets masked."""
    return settings.model_dump(mode="json", by_alias=True)


def effective_yaml(settings: Settings) -> str:
    """What `effective` gives, as YAML."""
    return yaml.safe_dump(effective(settings), sort_keys=False, allow_unicode=True, width=110)


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a configuration file."""
    schema = Settings.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "cacheguard.yaml"}
