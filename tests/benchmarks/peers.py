"""Misses beside gateways of others: a LiteLLM proxy and Portkey's, each in an environment of its own.

They are installed when they are first measured, outside the tree, and run as their makers say that production should.
"""

from __future__ import annotations

import subprocess
import venv
from functools import partial
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from tests.benchmarks import misses
from tests.benchmarks.asking import ROUTE
from tests.benchmarks.misses import Gateway, Place
from tests.benchmarks.processes import write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.figures import Findings

LITELLM = "1.106.2"
PORTKEY = "1.15.2"
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


def measure() -> Findings:
    home = user_cache_path("cacheguard") / "peers"
    return misses.measure((partial(litellm, installed_litellm(home)), partial(portkey, installed_portkey(home))))


def litellm(program: Path, place: Place) -> Gateway:
    upstream = {"model": f"openai/{ROUTE}", "api_base": place.provider_url, "api_key": "none"}
    config = write(place.folder / "litellm.yaml", {"model_list": [{"model_name": ROUTE, "litellm_params": upstream}]})
    serve = [program, "--config", config, "--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"]
    return Gateway(f"LiteLLM {LITELLM}", ["env", *LITELLM_RUNS_IN, *serve], "/health/liveliness", {})


def portkey(program: Path, place: Place) -> Gateway:
    headers = {
        "Authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": place.provider_url,
    }
    serve = ["env", "NODE_ENV=production", "node", program, f"--port={place.port}", "--headless"]
    return Gateway(f"Portkey {PORTKEY}", serve, "/", headers)


def installed_litellm(home: Path) -> Path:
    """Its program. Installing takes a minute or two."""
    place = home / f"litellm-{LITELLM}"
    program = place / "bin" / "litellm"
    if not program.exists():
        venv.create(place, with_pip=True, clear=True)
        pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"litellm[proxy]=={LITELLM}"], check=True)
    return program


def installed_portkey(home: Path) -> Path:
    """Its program. Wants node and npm."""
    place = home / f"portkey-{PORTKEY}"
    program = place / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not program.exists():
        place.mkdir(parents=True, exist_ok=True)
        npm = ["npm", "install", "--prefix", place, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run([*npm, f"@portkey-ai/gateway@{PORTKEY}"], check=True)
    return program
