"""Embedding and comparing on Ray Data: on a cluster, or on as many processes of this machine as it has cores.

Every machine needs this package; each process there opens the model itself. The results are those of `Local`: blocks
are compared by the same function, and what company a text is embedded in moves a component by at most 6e-8.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from cacheguard.errors import FileUnusable
from cacheguard.warming.neighbours import NEAREST, Near, nearest
from embeddings.base import Embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cacheguard.warming.engine import Block
    from cacheguard.warming.neighbours import Rows
    from embeddings.export import Precision

T = TypeVar("T")

# Batches handed out at once; their results come back in order, so that no more than these are in memory.
_WAVE: Final = 64


class Ray:
    """address: of a cluster; None: one begins on this machine. workers: processes; None: as many as it has cores."""

    def __init__(self, model: str, precision: Precision, address: str | None, workers: int | None = None) -> None:
        self._model = model
        self._precision = precision
        self._address = address
        self._workers = workers

    async def embed(self, batches: Iterable[Sequence[str]]) -> AsyncIterator[Embedded]:
        rows = ({"number": number, "texts": list(batch)} for number, batch in enumerate(batches))
        made = _Embedding, (self._model, self._precision)
        async for one in self._mapped(rows, *made):
            vectors = np.frombuffer(one["vectors"], np.float32).reshape(len(one["cut"]), -1)
            yield Embedded(vectors, tuple(bool(cut) for cut in one["cut"]))

    async def neighbours(self, rows: Rows, blocks: Iterable[Block]) -> AsyncIterator[Near]:
        wanted = [
            dict[str, Any](number=number, mine=list(mine), scope=list(scope))
            for number, (mine, scope) in enumerate(blocks)
        ]
        if not wanted:
            return
        with self._cluster() as ray:
            first = min(one["scope"][0] for one in wanted)
            held = ray.put(rows(first, max(one["scope"][1] for one in wanted)))
            async for one in self._mapped(wanted, _Comparing, (held, first)):
                places = np.frombuffer(one["places"], np.int64).reshape(-1, NEAREST)
                yield Near(one["mine"][0], places, np.frombuffer(one["cosines"], np.float32).reshape(-1, NEAREST))

    async def _mapped(
        self, rows: Iterable[dict[str, Any]], made: type, arguments: tuple[Any, ...]
    ) -> AsyncIterator[Any]:
        """Each row through one of the workers' `made(*arguments)`, in their order."""
        with self._cluster() as ray:
            data = import_module("ray.data")
            workers = self._workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            numbered = iter(rows)
            while wave := list(islice(numbered, _WAVE)):
                mapped = data.from_items(wave, override_num_blocks=len(wave)).map(
                    made,
                    fn_constructor_args=arguments,
                    compute=data.ActorPoolStrategy(size=min(workers, len(wave))),
                )
                found = await asyncio.to_thread(mapped.take_all)
                for one in sorted(found, key=lambda row: row["number"]):
                    yield one

    @contextmanager
    def _cluster(self) -> Iterator[Any]:
        """Ray, connected; what was begun here ends here."""
        try:
            import ray  # noqa: PLC0415 - an extra
        except ImportError:
            raise FileUnusable("--engine ray needs Ray: pip install 'cacheguard[ray]'") from None
        if ray.is_initialized():
            yield ray
            return
        ray.init(
            address=self._address,
            **({} if self._address else {"num_cpus": self._workers, "include_dashboard": False}),
            log_to_driver=False,
            logging_level="ERROR",
        )
        import_module("ray.data").DataContext.get_current().enable_progress_bars = False
        try:
            yield ray
        finally:
            ray.shutdown()


class _Embedding:
    def __init__(self, model: str, precision: Precision) -> None:
        from embeddings.export import prepare  # noqa: PLC0415 - in the worker
        from embeddings.onnx import Encoder  # noqa: PLC0415

        self._encoder = Encoder(prepare(model, precision))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        embedded = self._encoder.encode(list(row["texts"]))
        return {"number": row["number"], "vectors": embedded.vectors.tobytes(), "cut": list(embedded.cut)}


class _Comparing:
    def __init__(self, held: Any, first: int) -> None:
        import ray  # noqa: PLC0415 - in the worker

        self._vectors: NDArray[np.float32] = ray.get(held)
        self._first = first

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        (start, stop), (scope_from, scope_to) = row["mine"], row["scope"]
        near = nearest(self._rows, (int(start), int(stop)), (int(scope_from), int(scope_to)))
        return {
            "number": row["number"],
            "mine": list(row["mine"]),
            "places": near.places.astype(np.int64).tobytes(),
            "cosines": near.cosines.astype(np.float32).tobytes(),
        }

    def _rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._vectors[start - self._first : stop - self._first]
