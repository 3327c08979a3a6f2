"""A torch module becomes an ONNX graph. Only processes that have torch loaded come here."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch

    from embeddings.export import Precision

_OPSET = 17  # the last one in which ReduceMax takes its axes as an attribute


def write_graph(
    forward: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    model: torch.nn.Module,
    features: Mapping[str, torch.Tensor],
    *,
    output: str,
    precision: Precision,
    path: Path,
) -> None:
    """What `forward` makes of features of any number of texts. features: an example, with padding in it.

    model: whose weights `forward` uses. output: the name of what comes out, (texts, …).
    """
    import onnx  # noqa: PLC0415
    import torch  # noqa: PLC0415

    from embeddings.quantisation import quantise  # noqa: PLC0415

    class Whole(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy
        """Tensors in, one tensor out: what tracing wants of the model's dictionaries."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> Any:
            return forward(dict(zip(features, inputs, strict=True)))

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of each shape that it takes for a constant
        torch.onnx.export(
            Whole().eval(),
            tuple(features.values()),
            str(path),
            input_names=list(features),
            output_names=[output],
            dynamic_axes={**{name: {0: "batch", 1: "tokens"} for name in features}, output: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    if precision == "int8":
        graph = onnx.load(path)
        quantise(graph)
        onnx.save(graph, path)
