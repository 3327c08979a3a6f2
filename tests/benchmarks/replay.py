"""A real log end to end: warm from it, ask other people's questions by the official client, kill, start, ask again.

The service is `cacheguard serve`, filled by `cacheguard warm`; `cacheguard simulate` answers the misses.
"""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from openai import OpenAI
from rich.console import Console
from rich.progress import track

from cacheguard.cli.replay import HITS, MISS, SHARED, Asked, Played, by_path, path_of, table
from tests.benchmarks.asking import logs
from tests.benchmarks.processes import PROGRAM, choose_cores, environment, free_port, server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUTE = "faq"


def main() -> None:
    console = Console()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cacheguard-replay-")))
        log, replay = logs()
        provider = stack.enter_context(simulated(folder, replay))
        settings = folder / "settings.json"
        settings.write_text(json.dumps(settings_for(provider)), encoding="utf-8")
        run(folder, "warm", log, "--route", ROUTE, "--config", settings)
        with service(folder, settings) as (client, child):
            first = ask_all(client, questions(replay))
            show(console, f"{replay.name} after {log.name}", first, calls(provider))
            child.send_signal(signal.SIGKILL)
            child.wait()
        with service(folder, settings) as (client, _):
            again = ask_all(client, questions(replay))
            show(console, "the same questions after kill -9 and a new start", again, calls(provider))
        missed = {one.asked.prompt for one in first if one.path in {MISS, SHARED}}
        now_exact = sum(one.asked.prompt in missed and one.path == HITS[0] for one in again)
        were_missed = sum(one.asked.prompt in missed for one in again)
        console.print(f"of {were_missed} questions that were missed at first, {now_exact} are exact hits now")


def ask_all(client: OpenAI, asked: Sequence[Asked]) -> list[Played]:
    """One after the other."""
    return [ask(client, one) for one in track(asked, "asking", console=Console(stderr=True), transient=True)]


def ask(client: OpenAI, asked: Asked) -> Played:
    began = time.perf_counter()
    raw = client.chat.completions.with_raw_response.create(
        model=ROUTE, messages=[{"role": "user", "content": asked.prompt}]
    )
    ms = (time.perf_counter() - began) * 1000
    given = raw.parse().choices[0].message.content or ""
    return Played(asked, path_of(raw.headers["cache-status"]), given, ms)


def show(console: Console, title: str, played: Sequence[Played], provider_calls: int) -> None:
    groups = by_path(played)
    hits = [one for path in HITS for one in groups.get(path, [])]
    wrong = {path: sum(one.is_wrong_hit for one in groups.get(path, [])) for path in HITS}
    console.print(f"\n{title}", table(played), highlight=False)
    console.print(
        f"hits {len(hits)} of {len(played)}; wrong {sum(wrong.values())}"
        f" ({', '.join(f'{number} {path}' for path, number in wrong.items())});"
        f" misses {len(groups.get(MISS, []))}, collapsed {len(groups.get(SHARED, []))};"
        f" calls made to the provider so far: {provider_calls}",
        highlight=False,
    )


def questions(path: Path) -> list[Asked]:
    reader = gzip.open if path.suffix == ".gz" else open
    with reader(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Asked(row["prompt"], row["answer"]) for row in rows]


def settings_for(provider: str) -> dict[str, object]:
    return {
        "providers": {"simulated": {"kind": "openai", "base_url": f"{provider}/v1"}},
        "tiers": {"simulated": {"provider": "simulated", "model": "simulated"}},
        "routes": {ROUTE: {"models": [ROUTE], "tiers": ["simulated"]}},
    }


@contextmanager
def simulated(folder: Path, answers: Path) -> Iterator[str]:
    """The provider's address."""
    port = free_port()
    command = [PROGRAM, "simulate", "--port", str(port), "--answers", str(answers)]
    with server(command, port, folder, choose_cores().asking, ready="/_simulate/calls"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def service(folder: Path, settings: Path) -> Iterator[tuple[OpenAI, subprocess.Popen[bytes]]]:
    """A client of a service that is ready, and the service's process."""
    port = free_port()
    command = [PROGRAM, "serve", "--config", str(settings), "--port", str(port), "--log-level", "warning"]
    with server(command, port, folder, set()) as child:
        yield OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0), child


def calls(provider: str) -> int:
    with urllib.request.urlopen(f"{provider}/_simulate/calls") as response:
        return int(json.load(response)["total"])


def run(folder: Path, *arguments: object) -> None:
    """The program, with its summary on this process's own output."""
    subprocess.run([PROGRAM, *map(str, arguments)], cwd=folder, env=environment(), check=True, stdout=sys.stdout)


if __name__ == "__main__":
    main()
