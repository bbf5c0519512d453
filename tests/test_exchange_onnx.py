"""ONNX: onnxruntime computes what fastbp computes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchanged import ACTIVATIONS, N_IN, assert_nothing_written, make, samples
from numpy.typing import NDArray

from fastbp import Dense, MissingExtraError, Network
from fastbp.exchange import onnx as exchange

onnx = pytest.importorskip("onnx", reason='needs onnx: pip install "fastbp[exchange]"')


def run(path: Path, x: NDArray[Any]) -> NDArray[Any]:
    """The outputs by onnxruntime."""
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (outputs,) = session.run(["outputs"], {"x": x})
    return np.asarray(outputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_same_outputs_for_any_batch(activation: str, dtype: str, tmp_path: Path) -> None:
    network, path = make(activation, dtype), tmp_path / "net.onnx"
    network.to_onnx(path)
    tolerance = 1e-5 if dtype == "float32" else 1e-12  # rounding; outputs reach some hundreds
    for n in 1, 17, 64:
        x = samples(n, dtype)
        outputs = run(path, x)
        assert outputs.dtype == dtype
        np.testing.assert_allclose(outputs, network.forward(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uint8_is_scaled_in_the_graph(dtype: str, tmp_path: Path, rng: np.random.Generator) -> None:
    network, path = make("sigmoid", dtype), tmp_path / "net.onnx"
    x = rng.integers(0, 256, (50, N_IN)).astype(np.uint8)
    network.to_onnx(path, input_dtype="uint8")
    np.testing.assert_allclose(run(path, x), network.forward(x), rtol=1e-6)  # a few roundings of float32


def test_float32_inputs_of_a_float64_network(tmp_path: Path) -> None:
    network, path = make("tanh", "float64"), tmp_path / "net.onnx"
    network.to_onnx(path, input_dtype="float32")
    np.testing.assert_allclose(run(path, samples(9)), network.forward(samples(9)), rtol=1e-12)


def test_what_the_documentation_says_of_the_graph(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    make("gelu").to_onnx(str(path), "uint8")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    assert model.ir_version == 7
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"x": ["batch", N_IN], "outputs": ["batch", 3]}
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        make("elu", "float64").to_onnx(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_nothing_written(tmp_path, "net.onnx", Network.to_onnx)
    path = tmp_path / "other.onnx"
    with pytest.raises(ValueError, match=r"input_dtype: unknown name 'int8'; did you mean 'uint8'"):
        make("tanh").to_onnx(path, input_dtype="int8")
    with monkeypatch.context() as patch:
        patch.setattr(exchange, "LARGEST", 1000)
        with pytest.raises(ValueError, match=r"net: got 1,608 bytes of parameters.* at most 1,000"):
            Network(200, [Dense(2, bias=False), Dense(1, bias=False)]).to_onnx(path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"fastbp\[exchange\]"):
        make("tanh").to_onnx(path)
    assert not path.exists()
