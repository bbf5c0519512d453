"""ONNX: a network as a graph that onnxruntime and many others run, in a browser or on a phone."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..archive import atomic_write
from ..errors import MissingExtraError
from ..kernels.activations import GELU_CUBIC, GELU_SLOPE, LEAK
from ..model import Network
from .parts import PIXEL, input_dtype_of, parts

OPSET, IR_VERSION = 13, 7  # both of ONNX 1.8 (2020): every operator below is in it, and old runtimes read it
LARGEST = 2**31 - 2**20  # bytes; protocol buffers end at 2 GiB

# activation: (operator, its attributes)
OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": LEAK}),
    "elu": ("Elu", {"alpha": 1.0}),
    "softplus": ("Softplus", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "exp": ("Exp", {}),
}
NO_DOUBLE = frozenset({"leaky_relu", "elu", "softplus"})  # onnxruntime has these operators for float32 only


def write(net: Network, path: str | os.PathLike[str], input_dtype: str | None = None) -> None:
    """Write a network as an ONNX file; see ``Network.to_onnx``.

    Examples
    --------
    >>> write(Network(2, [Dense(3, "gelu"), Dense(2, "softmax")]), "net.onnx")  # doctest: +SKIP
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "exchange", "to_onnx") from error
    layers, given = parts(net), input_dtype_of(net, input_dtype)
    size = net.n_parameters * net.dtype.itemsize
    if size > LARGEST:
        raise ValueError(f"net: got {size:,} bytes of parameters, and an ONNX file holds at most {LARGEST:,}")
    graph = _Graph(onnx, net.dtype)
    at = "x"
    if given != net.dtype:
        at = graph.add("Cast", at, to=graph.type_of(net.dtype))
    if given == np.uint8:
        at = graph.add("Mul", at, graph.number(PIXEL))
    for index, (weights, biases, activation) in enumerate(layers):
        tensors = {f"weights.{index}": weights} | ({} if biases is None else {f"biases.{index}": biases})
        at = graph.add("Gemm", at, *(graph.tensor(name, array) for name, array in tensors.items()))
        at = graph.activate(activation, at)
    graph.add("Identity", at, output="outputs")
    model = graph.model(("x", given, net.n_in), ("outputs", net.dtype, net.n_out))
    onnx.checker.check_model(model, full_check=True)
    atomic_write(path, model.SerializeToString(deterministic=True))


class _Graph:
    """The nodes and tensors of a graph as it grows; a result is known by its name."""

    def __init__(self, onnx: Any, dtype: np.dtype) -> None:
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.tensors: dict[str, Any] = {}

    def type_of(self, dtype: np.dtype) -> int:
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(dtype))

    def tensor(self, name: str, array: np.ndarray) -> str:
        self.tensors[name] = self.onnx.numpy_helper.from_array(array, name)
        return name

    def number(self, value: float) -> str:
        return self.tensor(f"{value:g}", np.array(value, self.dtype))

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{operator.lower()}.{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def activate(self, activation: str, z: str) -> str:
        if activation == "identity":
            return z
        if activation == "gelu" or (activation in NO_DOUBLE and self.dtype == np.float64):
            return self._composed(activation, z)
        operator, attributes = OPERATORS[activation]
        return self.add(operator, z, **attributes)

    def _composed(self, activation: str, z: str) -> str:
        """An activation that no operator computes, or none for the dtype, from simpler ones."""
        add, number = self.add, self.number
        if activation == "gelu":  # z/2 (1 + tanh(slope z (1 + cubic z^2))); the operator Gelu came with opset 20
            cubic = add("Add", add("Mul", add("Mul", z, z), number(GELU_CUBIC)), number(1.0))
            gate = add("Tanh", add("Mul", add("Mul", z, number(GELU_SLOPE)), cubic))
            return add("Mul", add("Mul", z, number(0.5)), add("Add", gate, number(1.0)))
        if activation == "leaky_relu":
            return add("Max", z, add("Mul", z, number(LEAK)))
        positive = add("Relu", z)
        if activation == "elu":
            return add("Add", positive, add("Sub", add("Exp", add("Min", z, number(0.0))), number(1.0)))
        below = add("Exp", add("Neg", add("Abs", z)))
        return add("Add", positive, add("Log", add("Add", below, number(1.0))))  # softplus

    def model(self, given: tuple[str, np.dtype, int], result: tuple[str, np.dtype, int]) -> Any:
        make = self.onnx.helper
        values = [
            make.make_tensor_value_info(name, self.type_of(dtype), ["batch", n]) for name, dtype, n in (given, result)
        ]
        graph = make.make_graph(self.nodes, "fastbp", values[:1], values[1:], initializer=[*self.tensors.values()])
        opset = make.make_opsetid("", OPSET)
        return make.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="fastbp")
