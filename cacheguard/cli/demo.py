"""`cacheguard demo`: the whole thing on one machine, with a provider that isn't one."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cacheguard.cli import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cacheguard.cli.replay import Played

ROUTE = "bank"
PORT = 8000
# What a small hosted model takes for a short answer.
SCRIPT = {"rules": [{"then": {"latency_ms": {"median": 600, "p99": 2000}}}]}
# US dollars per million tokens: an example.
PRICE = {"input_usd_per_mtok": 1.25, "output_usd_per_mtok": 10}
AT_ONCE = 16
START_S = 120.0
POLL_S = 0.05
ANSWER_S = 90.0
STOP_S = 10.0
SHOWN_WRONG = 3
# The threshold that GPTCache ships and LiteLLM's documentation sets.
COSINE = 0.8


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the table instead of staying up.")] = False,
    port: Annotated[
        int | None, typer.Option(metavar="P", help="The service's port; else 8000, or a free one if that is taken.")
    ] = None,
) -> None:
    """See it work: a bank's support chat, warmed from its log, asked 243 further questions. Needs no network.

    A simulated provider answers the misses, some 600 ms each. Everything lives in a temporary folder.

    Example: [bold]cacheguard demo --once[/bold]
    """
    # SIGTERM is to clean up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with tempfile.TemporaryDirectory(prefix="cacheguard-demo-") as folder, ExitStack() as running:
        stage = Stage(Path(folder), service=_port(port), provider=_free_port(0))
        stage.set_up()
        provider = running.enter_context(stage.child("simulate", *stage.provider_arguments))
        _warm(stage)
        cosine = _under_a_cosine(stage)  # now, since misses will fill the cache
        service = running.enter_context(stage.child("serve", "--config", str(stage.config), "--log-level", "warning"))
        wait_until_ready(f"{stage.provider_url}/v1/models", provider, lambda: stage.last_words("simulate"))
        wait_until_ready(f"{stage.service_url}/readyz", service, lambda: stage.last_words("serve"))
        asyncio.run(_show(stage, cosine))
        if not once:
            print(stage.invitation, flush=True)
            with suppress(KeyboardInterrupt):
                service.wait()
                raise CommandFailed(f"the service ended: {stage.last_words('serve')}")


class Stage:
    """A folder with everything that the demo's programs read and write. service, provider: ports."""

    def __init__(self, folder: Path, *, service: int, provider: int) -> None:
        self._folder = folder
        self.config = folder / "cacheguard.yaml"
        self.under_a_cosine = folder / "cosine.yaml"
        self.scored = folder / "scored.jsonl"
        self._script = folder / "script.yaml"
        self._log = Path(str(files("cacheguard.simulate"))) / "bank.jsonl"
        self.replayed = self._log.with_name("bank_replay.jsonl")
        self._service_port, self._provider_port = service, provider

    @property
    def service_url(self) -> str:
        return f"http://127.0.0.1:{self._service_port}"

    @property
    def provider_url(self) -> str:
        return f"http://127.0.0.1:{self._provider_port}"

    @property
    def provider_arguments(self) -> list[str]:
        answers = ["--answers", str(self._log), "--answers", str(self.replayed)]
        return ["--port", str(self._provider_port), *answers, "--script", str(self._script)]

    @property
    def warm_arguments(self) -> list[str]:
        return [str(self._log), "--route", ROUTE, "--config", str(self.config)]

    def set_up(self) -> None:
        import yaml

        self._script.write_text(yaml.safe_dump(SCRIPT), encoding="utf-8")
        settings = self._settings()
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        settings["routes"][ROUTE]["cache"] = {"decision": COSINE}
        self.under_a_cosine.write_text(yaml.safe_dump(settings), encoding="utf-8")

    def _settings(self) -> dict[str, Any]:
        return {
            "server": {"port": self._service_port},
            "store": {"url": f"sqlite:///{self._folder / 'cache.db'}"},
            "index": {"folder": str(self._folder / "index")},
            "providers": {"simulated": {"kind": "openai", "base_url": f"{self.provider_url}/v1"}},
            "tiers": {
                "example": {"provider": "simulated", "model": "example-model", "price": PRICE},
                "sorry": {"template": "Please try again in a few minutes."},
            },
            "routes": {ROUTE: {"models": [ROUTE], "tiers": ["example", "sorry"]}},
        }

    @contextmanager
    def child(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """The program with these arguments in a process of its own, ended when the context is left."""
        with self._output(arguments[0]).open("wb") as output:
            process = subprocess.Popen(command(*arguments), stdout=output, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def last_words(self, name: str) -> str:
        lines = self._output(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _output(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    @property
    def invitation(self) -> str:
        body = '{"model": "bank", "messages": [{"role": "user", "content": "How do I freeze my card?"}]}'
        return (
            "The service stays up until Ctrl-C. Ask it:\n\n"
            f"  curl -si {self.service_url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'\n\n"
            "or by OpenAI's client:\n\n"
            f'  OpenAI(base_url="{self.service_url}/v1", api_key="none").chat.completions.create(model="{ROUTE}", …)\n'
        )


def command(*arguments: str) -> list[str]:
    """This very program."""
    return [sys.executable, "-m", "cacheguard", *arguments]


def _warm(stage: Stage) -> None:
    """By the command that fills any cache."""
    print(f"$ cacheguard warm {shlex.join(stage.warm_arguments)}", flush=True)
    if subprocess.run(command("warm", *stage.warm_arguments), check=False).returncode:  # noqa: S603
        raise CommandFailed("the cache could not be warmed; the line above says why")


def _under_a_cosine(stage: Stage) -> tuple[int, int]:
    """Of the questions to come, how many a plain threshold would serve from this cache, and how many of them wrong."""
    arguments = [str(stage.replayed), "--route", ROUTE, "--out", str(stage.scored)]
    scoring = command("score", *arguments, "--config", str(stage.under_a_cosine))
    done = subprocess.run(scoring, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise CommandFailed(f"the questions could not be scored: {done.stderr.strip()}")
    rows = [json.loads(line) for line in stage.scored.read_text(encoding="utf-8").splitlines()]
    served = [row for row in rows if row["served"]]
    return len(served), sum(row["served"] != row["answer_id"] for row in served)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], last_words: Callable[[], str]) -> None:
    """Ask until the answer is a success. Raises CommandFailed when the process ends first, or takes too long."""
    import httpx

    give_up_at = time.monotonic() + START_S
    with httpx.Client() as client:
        while process.poll() is None and time.monotonic() < give_up_at:
            with suppress(httpx.TransportError):
                if client.get(url).is_success:
                    return
            time.sleep(POLL_S)
    raise CommandFailed(f"nothing answers at {url}: {last_words()}")


async def _show(stage: Stage, cosine: tuple[int, int]) -> None:
    """Replay the questions and print what came of it. cosine: what a plain threshold would serve, and serve wrong."""
    import httpx
    from rich.console import Console

    from cacheguard.cli import replay
    from cacheguard.cli.progress import bars

    asked = replay.questions(stage.replayed)
    async with httpx.AsyncClient(base_url=stage.service_url, timeout=ANSWER_S) as client:
        with bars() as progress:
            progress.begin("Asking", len(asked))
            played = await replay.replay(client, ROUTE, asked, AT_ONCE, lambda: progress.advance(1))
        calls = (await client.get(f"{stage.provider_url}/_simulate/calls")).json()["total"]
    Console(highlight=False).print(replay.table(played))
    for line in (*summary(played, calls), *beside(*cosine)):
        print(line)


def summary(played: Sequence[Played], calls: int) -> Iterator[str]:
    """The table's sums, line by line. calls: that the provider counted."""
    from cacheguard.cli.replay import HITS, saved

    hits = [one for one in played if one.path in HITS]
    wrong = [one for one in hits if one.is_wrong_hit]
    gain = saved(played)
    paid_usd = sum(one.cost_usd for one in played)
    yield f"hit rate        {len(hits)} of {len(played)} ({len(hits) / len(played):.1%})"
    yield f"wrong hits      {len(wrong)} of {len(hits)}"
    for one in wrong[:SHOWN_WRONG]:
        yield f"                asked:  {one.asked.prompt}"
        yield f"                given:  {one.given}"
        yield f"                right:  {one.asked.answer}"
    yield f"provider calls  {calls} instead of {len(played)}"
    yield f"cost saved      ${gain.usd:.4f}, paid ${paid_usd:.4f}, at example prices of {_prices()}"
    yield f"time saved      {gain.seconds:.0f} s of waiting, all clients together"


def beside(served: int, wrong: int) -> Iterator[str]:
    """What a plain threshold would have done, and why ours did not."""
    yield f"a plain cosine  of {COSINE:g}, as other caches start out, would have served {served}, {wrong} of them wrong"
    yield "Ours serves the same words alone until labelled questions prove what more it may: `cacheguard tune --help`."


def _prices() -> str:
    return f"${PRICE['input_usd_per_mtok']:g} (in) and ${PRICE['output_usd_per_mtok']:g} (out) a million tokens"


def _port(asked_for: int | None) -> int:
    """The one asked for, else the usual one or, where that is taken, a free one. Raises CommandFailed."""
    if asked_for is not None:
        return _free_port(asked_for)
    try:
        return _free_port(PORT)
    except CommandFailed:
        return _free_port(0)


def _free_port(wanted: int) -> int:
    from cacheguard.cli.listening import bind

    with bind("127.0.0.1", wanted) as listener:
        port: int = listener.getsockname()[1]
    return port
