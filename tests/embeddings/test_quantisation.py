"""int8 products next to float32 ones, in graphs small enough to check by hand."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from embeddings.quantisation import quantise  # noqa: E402

RANDOM = np.random.default_rng(0)


def run(model, x):
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


@pytest.fixture
def product():
    """The graph of x @ a + x @ b, x of shape (rows, 64)."""
    weights = {name: RANDOM.normal(size=(64, 32)).astype(np.float32) for name in "ab"}
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["xa"]),
        helper.make_node("MatMul", ["x", "b"], ["xb"]),
        helper.make_node("Add", ["xa", "xb"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 64])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 32])
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], tensors), opset_imports=opset, ir_version=8)


def test_products_stay_what_they_were_within_a_hundredth(product):
    x = RANDOM.normal(size=(10, 64)).astype(np.float32)
    exact = run(product, x)
    quantise(product)
    assert {node.op_type for node in product.graph.node}.isdisjoint({"MatMul"})
    assert np.linalg.norm(run(product, x) - exact) < 0.02 * np.linalg.norm(exact)


def test_a_row_does_not_depend_on_its_neighbours(product):
    quantise(product)
    row = RANDOM.normal(size=(1, 64)).astype(np.float32)
    loud = 1000 * RANDOM.normal(size=(1, 64)).astype(np.float32)
    assert np.allclose(run(product, np.vstack([row, loud]))[0], run(product, row)[0], rtol=1e-6)


def test_a_row_of_zeros_stays_zero(product):
    quantise(product)
    assert not run(product, np.zeros((1, 64), np.float32)).any()
