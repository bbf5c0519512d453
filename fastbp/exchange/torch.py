"""PyTorch: a network as ``torch.nn.Sequential`` and back, module by module, without a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import MissingExtraError
from ..kernels.activations import LEAK
from ..layers import Dense
from ..model import Network
from .parts import parts

# activation: (class in torch.nn, the options that make it ours: what to_torch gives, then what from_torch takes too)
MODULES: dict[str, tuple[str, dict[str, tuple[Any, ...]]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": (LEAK,)}),
    "elu": ("ELU", {"alpha": (1.0,)}),
    "softplus": ("Softplus", {"beta": (1.0,), "threshold": (20.0,)}),
    "gelu": ("GELU", {"approximate": ("tanh",)}),
    "softmax": ("Softmax", {"dim": (-1, 1)}),
    "identity": ("Identity", {}),
}
OURS = {name: (activation, options) for activation, (name, options) in MODULES.items()}
# Modules that change nothing, as samples are rows here; Dropout does not outside training, and is kept before a Linear.
IGNORED: dict[str, dict[str, tuple[Any, ...]]] = {"Dropout": {}, "Flatten": {"start_dim": (1,), "end_dim": (-1,)}}


def to_module(net: Network) -> Any:
    """Build the ``torch.nn.Sequential`` of a network; see ``Network.to_torch``."""
    torch = _torch("to_torch")
    numbers = iter(parts(net))
    modules: list[Any] = []
    for name, sizes, options in _modules(net):
        if name == "Linear":
            dtype = _dtypes(torch)[net.dtype.name]
            modules.append(torch.nn.utils.skip_init(torch.nn.Linear, *sizes, **options, dtype=dtype))
            weights, biases, _ = next(numbers)
            with torch.no_grad():
                modules[-1].weight.copy_(torch.from_numpy(weights.T.copy()))
                if biases is not None:
                    modules[-1].bias.copy_(torch.from_numpy(biases.copy()))
        else:
            modules.append(getattr(torch.nn, name)(**options))
    return torch.nn.Sequential(*modules).eval()


def source(net: Network) -> str:
    """The Python expression that builds what ``to_module`` returns, with weights of its own.

    Examples
    --------
    >>> from fastbp import Dropout
    >>> print(source(Network(784, [Dense(16, "gelu"), Dropout(0.5), Dense(10, "softmax", bias=False)])))
    nn.Sequential(
        nn.Linear(784, 16),
        nn.GELU(approximate='tanh'),
        nn.Dropout(p=0.5),
        nn.Linear(16, 10, bias=False),
        nn.Softmax(dim=-1),
    ).eval()
    """
    body = ""
    for name, sizes, options in _modules(net):
        arguments = [*map(repr, sizes), *(f"{option}={value!r}" for option, value in options.items())]
        body += f"    nn.{name}({', '.join(arguments)}),\n"
    drops = any(layer.dropout for layer in net.layers)
    return f"nn.Sequential(\n{body})" + ".eval()" * drops + ".double()" * (net.dtype == np.float64)


def _modules(net: Network) -> Iterator[tuple[str, tuple[int, ...], dict[str, Any]]]:
    """The modules of torch.nn that a network is: a class, its sizes and its options, one behind the other."""
    n_in = net.n_in
    for layer in net.layers:
        if layer.dropout:
            yield "Dropout", (), {"p": layer.dropout}
        yield "Linear", (n_in, layer.n), {} if layer.bias else {"bias": False}
        n_in = layer.n
        if layer.activation != "identity":
            name, options = _module_of(str(layer.activation))
            yield name, (), {option: taken[0] for option, taken in options.items()}


def loading_source(net: Network, path: str | os.PathLike[str]) -> str:
    """The Python that makes a module of a file that ``Network.to_safetensors`` wrote, for who has PyTorch only.

    Examples
    --------
    >>> print(loading_source(Network(2, [Dense(1)]), "net.safetensors"))
    from safetensors.torch import load_file
    from torch import nn
    <BLANKLINE>
    model = nn.Sequential(
        nn.Linear(2, 1),
    )
    model.load_state_dict(load_file('net.safetensors'))
    """
    imports = "from safetensors.torch import load_file\nfrom torch import nn\n\n"
    return f"{imports}model = {source(net)}\nmodel.load_state_dict(load_file({os.fspath(path)!r}))"


def _module_of(activation: str) -> tuple[str, dict[str, tuple[Any, ...]]]:
    if activation not in MODULES:
        raise ValueError(f"net: got the activation {activation}, which no module of torch.nn computes")
    return MODULES[activation]


def from_module(module: Any, cost: str | None = None) -> Network:
    """Build the network of a ``torch.nn`` module; see ``Network.from_torch``."""
    torch = _torch("from_torch")
    layers: list[Dense] = []
    tensors: list[dict[str, np.ndarray]] = []
    activated, rate = True, 0.0  # whether the last layer has its activation; what dropout takes of the next's inputs
    seen: dict[int, str] = {}
    for name, leaf in _leaves(torch, module, ""):
        kind = _kind(torch, name, leaf)
        if kind == "Linear":
            if layers and leaf.in_features != layers[-1].n:
                raise ValueError(f"module {name}: got a Linear of {leaf.in_features} inputs, expected {layers[-1].n}")
            if (first := seen.setdefault(id(leaf), name)) != name:
                raise ValueError(f"module {name}: got the Linear of {first} again, expected weights of its own")
            layers.append(Dense(leaf.out_features, "identity", bias=leaf.bias is not None, dropout=rate))
            tensors.append(_arrays(torch, name, leaf))
            activated, rate = False, 0.0
        elif kind == "Dropout":
            rate += (1.0 - rate) * _rate(name, leaf)
        elif kind in OURS and kind != "Identity":
            if activated:
                where = "behind another activation" if layers else "first"
                raise ValueError(f"module {name}: got {kind} {where}, expected one activation behind a Linear")
            layers[-1] = replace(layers[-1], activation=OURS[kind][0])
            activated, rate = True, 0.0
    if not layers:
        raise ValueError("module: got no Linear, expected a Sequential of Linear and activations")
    dtypes = {array.dtype.name for named in tensors for array in named.values()}
    if len(dtypes) > 1:
        raise ValueError(f"module: got tensors of {' and '.join(sorted(dtypes))}, expected one dtype")
    net = Network(tensors[0]["weight"].shape[1], layers, cost=cost, dtype=dtypes.pop())
    for named, weights, biases in zip(tensors, net.weights, net.biases, strict=True):
        weights[:] = named["weight"].T
        biases[:] = named.get("bias", ())
    return net


def _leaves(torch: Any, module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every module that is no Sequential, in order, with the name that PyTorch gives it."""
    # Pruning and weight norm set the weights in such a hook, just before the module computes.
    own = getattr(module, "__dict__", {})
    if own.get("_forward_hooks") or own.get("_forward_pre_hooks") or "forward" in own:
        where = name or "(the module itself)"
        raise ValueError(f"module {where}: got hooks or a forward of its own, which fastbp would not call")
    if type(module) is torch.nn.Sequential:
        for child, inner in module._modules.items():  # named_children passes over a module that comes again
            yield from _leaves(torch, inner, f"{name}.{child}" if name else child)
    else:
        yield name or "(the module itself)", module


def _kind(torch: Any, name: str, leaf: Any) -> str:
    """The name of a module's class, if it is one that a network can have, with options that a network can have."""
    kind = type(leaf).__name__
    options = IGNORED[kind] if kind in IGNORED else OURS[kind][1] if kind in OURS else {}
    # The very class: one derived from it may compute something else.
    if type(leaf) is not getattr(torch.nn, kind, None) or kind not in {"Linear", *OURS, *IGNORED}:
        known = ", ".join(["Sequential", "Linear", *OURS, *IGNORED])
        raise ValueError(f"module {name}: got {type(leaf).__module__}.{kind}, which fastbp has no layer for; "
                         f"supported in torch.nn: {known}")  # fmt: skip
    for option, taken in options.items():
        got = getattr(leaf, option)
        if got not in taken:
            expected = " or ".join(map(repr, taken))
            raise ValueError(f"module {name}: got {kind} with {option}={got!r}, expected {expected}")
    return kind


def _rate(name: str, dropout: Any) -> float:
    if not 0 <= dropout.p < 1:
        raise ValueError(f"module {name}: got Dropout with p={dropout.p}, expected a number from 0 to below 1")
    return float(dropout.p)


def _arrays(torch: Any, name: str, linear: Any) -> dict[str, np.ndarray]:
    """A Linear's tensors as arrays, checked."""
    found = {}
    for key, tensor in (("weight", linear.weight), ("bias", linear.bias)):
        if tensor is None:
            continue
        if tensor.dtype not in _dtypes(torch).values():
            raise ValueError(f"module {name}.{key}: got {tensor.dtype}, expected torch.float32 or torch.float64")
        array = tensor.detach().cpu().numpy()
        if not np.isfinite(array).all():
            raise ValueError(f"module {name}.{key}: got NaN or infinity, expected finite numbers")
        found[key] = array
    return found


def _dtypes(torch: Any) -> dict[str, Any]:
    return {"float32": torch.float32, "float64": torch.float64}


def _torch(purpose: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch", purpose) from error
    return torch
