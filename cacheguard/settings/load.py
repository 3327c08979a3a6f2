"""Where settings come from: a file that is named, one that is found, or those built in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cacheguard.errors import ConfigError
from cacheguard.settings.complaints import complaints, in_order
from cacheguard.settings.document import Document, read
from cacheguard.settings.providers import BASE_URLS
from cacheguard.settings.tiers import ModelTier
from cacheguard.settings.tree import DEFAULT_ROUTE, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "cacheguard.yaml"
VARIABLE = "CACHEGUARD_CONFIG"
BUILT_IN = "embedded defaults"
OLLAMA = "127.0.0.1:11434"


@dataclass(frozen=True, slots=True)
class Hosted:
    """A model server that a key in the environment opens, named as its kind."""

    variable: str
    base_url: str
    model: str


# Each one's small model as of November 2026, without a price: those change, and a wrong one would be counted as true.
HOSTED = {
    "openai": Hosted("OPENAI_API_KEY", "https://api.openai.com/v1", "gpt-6-luna"),
    "anthropic": Hosted("ANTHROPIC_API_KEY", BASE_URLS["anthropic"], "claude-haiku-5-5"),
    "gemini": Hosted("GEMINI_API_KEY", BASE_URLS["gemini"], "gemini-3.8-flash"),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """source: the file's name, or «embedded defaults». notes: what who starts the service should know."""

    settings: Settings
    source: str
    notes: tuple[str, ...]


def load(
    path: Path | None,
    environ: Mapping[str, str],
    cwd: Path,
    *,
    flags: Mapping[str, str | int] | None = None,
) -> Loaded:
    """The settings in `path`, else in $CACHEGUARD_CONFIG, else in ./cacheguard.yaml, else those built in.

    flags: keys of `server` that the command line sets; they win. A file with neither providers nor tiers gets
    those built in. Raises ConfigError, a line for each key that is wrong.
    """
    named = path or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    if named is None and (cwd / FILE).is_file():
        named = Path(FILE)
    document = Document(places={(): BUILT_IN}) if named is None else _read(named, cwd, environ)
    notes: list[str] = []
    if not document.values.keys() & {"providers", "tiers"}:
        notes.append(_add_tiers(document, environ))
    _set_flags(document, flags or {})
    try:
        settings = Settings.model_validate(document.values)
    except ValidationError as exc:
        raise ConfigError(complaints(exc, document)) from None  # the cause holds the values, secrets too
    if document.problems:
        raise ConfigError(in_order(document.problems, document))
    if DEFAULT_ROUTE not in document.values.get("routes", settings.routes):
        tiers = ", ".join(settings.routes[DEFAULT_ROUTE].tiers)
        notes.append(f"routes: none is named {DEFAULT_ROUTE!r}, so one is added that asks {tiers}")
    return Loaded(settings, str(named or BUILT_IN), (*notes, *_warnings(settings)))


def _read(path: Path, cwd: Path, environ: Mapping[str, str]) -> Document:
    try:
        text = (cwd / path).read_text("utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"{path}: can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: is not UTF-8 (byte {exc.start})") from None  # the cause holds the file
    return read(text, str(path), environ)


def _add_tiers(document: Document, environ: Mapping[str, str]) -> str:
    """Add every model server that can be had without a file, and a template behind them; say which."""
    providers: dict[str, Any] = {}
    tiers: dict[str, Any] = {}
    said = []
    for name, hosted in HOSTED.items():
        if key := environ.get(hosted.variable):
            providers[name] = {"kind": name, "base_url": hosted.base_url, "api_key": key}
            tiers[name] = {"provider": name, "model": hosted.model}
            document.places["providers", name, "api_key"] = f"${hosted.variable}"
            said.append(f"{name} ({hosted.variable} found)")
    providers["ollama"] = {"kind": "openai", "base_url": f"http://{OLLAMA}/v1"}
    tiers["ollama"] = {"provider": "ollama", "model": "llama3.2"}
    tiers["sorry"] = {"template": "We can't answer that right now. Please try again in a few minutes."}
    document.values = {**document.values, "providers": providers, "tiers": tiers}
    return f"tiers: {', '.join([*said, f'ollama at {OLLAMA}', 'sorry (a template)'])}"


def _set_flags(document: Document, flags: Mapping[str, str | int]) -> None:
    server = document.values.get("server", {})
    if isinstance(server, dict):  # anything else is refused anyway
        document.values = {**document.values, "server": {**server, **flags}}
        for name, value in flags.items():
            document.places["server", name] = f"--{name}"
            document.shown["server", name] = repr(str(value))
            document.problems.pop(("server", name), None)


def _warnings(settings: Settings) -> list[str]:
    said = []
    if not settings.auth.keys:
        whoever = "every program on this machine" if settings.server.is_local else "whoever reaches the port"
        said.append(f"auth: no keys, so {whoever} may ask")
    for name, route in settings.routes.items():
        first = settings.tiers[route.tiers[0]]
        if len(route.tiers) > 1 and isinstance(first, ModelTier) and first.timeout_s >= route.deadline_s:
            said.append(
                f"routes.{name}: a slow {route.tiers[0]!r} (timeout_s {first.timeout_s:g}) leaves no time for "
                f"{route.tiers[1]!r} before deadline_s {route.deadline_s:g}"
            )
    return [*said, *_unpriced(settings)]


def _unpriced(settings: Settings) -> list[str]:
    """Models that limits would let through because nobody said what they cost; `price: {}` says that it is nothing."""
    limits = [tenant.spending.limit_usd for tenant in settings.auth.tenants.values()]
    for route in settings.routes.values():
        limits += [route.max_cost_usd, route.spending.limit_usd]
    if all(limit is None for limit in limits):
        return []
    return [
        f"tiers.{name}: has no price, so no limit on spending stops it: give it one, or price: {{}} if it is free"
        for name, tier in settings.tiers.items()
        if isinstance(tier, ModelTier) and "price" not in tier.model_fields_set
    ]
