"""PyTorch: modules and networks compute the same outputs and the same gradients."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from exchanged import ACTIVATIONS, N_IN, make, samples, spoil

from fastbp import Dense, Dropout, MissingExtraError, Network
from fastbp.exchange.torch import source

torch = pytest.importorskip("torch", reason='needs PyTorch: pip install "fastbp[torch]"')
nn = torch.nn

DTYPES = ["float32", "float64"]
MODULES = sorted({*ACTIVATIONS} - {"exp"})  # torch.nn has no module for exp
# Relative to the largest number: rounding. In float64, PyTorch's softplus is linear above 20, which is e^-20 off.
TOLERANCE = {"float32": 1e-5, "float64": 1e-8}


def assert_the_same(network: Network, module: Any, dtype: str) -> None:
    """Outputs, and gradients of the averaged sum of squares."""
    x = samples(24, dtype)
    y = np.random.default_rng(9).normal(size=(24, network.n_out)).astype(dtype)
    outputs = module(torch.from_numpy(x))
    atol = TOLERANCE[dtype] * max(1.0, float(outputs.detach().abs().max()))
    np.testing.assert_allclose(network.forward(x), outputs.detach().numpy(), rtol=0.0, atol=atol)
    module.zero_grad()
    (outputs - torch.from_numpy(y)).square().sum(dim=1).mean().backward()
    gradient = network.gradient(x, y)
    linear = [leaf for leaf in module.modules() if isinstance(leaf, nn.Linear)]
    for weights, biases, leaf in zip(gradient.weights, gradient.biases, linear, strict=True):
        atol = TOLERANCE[dtype] * max(1.0, float(leaf.weight.grad.abs().max()))
        np.testing.assert_allclose(weights, leaf.weight.grad.numpy().T, rtol=0.0, atol=atol)
        if leaf.bias is not None:
            np.testing.assert_allclose(biases, leaf.bias.grad.numpy(), rtol=0.0, atol=atol)


def test_an_activation_that_is_no_module() -> None:
    for export in Network.to_torch, source:
        with pytest.raises(ValueError, match="activation exp"):
            export(make("exp"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", MODULES)
def test_to_torch_and_back(activation: str, dtype: str) -> None:
    network = make(activation, dtype)
    module = network.to_torch()
    assert_the_same(network, module, dtype)
    back = Network.from_torch(module, cost="sum_of_squares")
    assert back.config() == network.config()
    np.testing.assert_array_equal(back.get_parameters(), network.get_parameters())


FROM_PYTORCH: dict[str, Callable[[], Any]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "gelu": lambda: nn.GELU(approximate="tanh"),
    "identity": nn.Identity,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", FROM_PYTORCH)
def test_from_torch(activation: str, dtype: str) -> None:
    torch.manual_seed(3)
    build = FROM_PYTORCH[activation]
    module = nn.Sequential(
        nn.Flatten(),
        nn.Sequential(nn.Linear(N_IN, 8, bias=False), nn.Dropout(0.5), build()),
        nn.Dropout(0.3),
        nn.Linear(8, 6),
        build(),
        nn.Linear(6, 2),
    ).to(getattr(torch, dtype))
    network = Network.from_torch(module.eval(), cost="sum_of_squares")
    assert [layer.activation for layer in network.layers] == [activation, activation, "identity"]
    assert [layer.bias for layer in network.layers] == [False, True, True]
    rate = 0.65 if activation == "identity" else 0.3  # 1 - 0.5 * 0.7: nothing stands between the two then
    assert [layer.dropout for layer in network.layers] == pytest.approx([0.0, rate, 0.0], abs=1e-15)
    assert network.dtype == dtype
    assert_the_same(network, module, dtype)


def test_dropout_there_and_back() -> None:
    network = Network(N_IN, [Dropout(0.2), Dense(8, "tanh"), Dropout(0.3), Dense(6), Dense(2)], cost="sum_of_squares")
    module = network.to_torch()
    assert [type(leaf).__name__ for leaf in module] == [
        "Dropout",
        "Linear",
        "Tanh",
        "Dropout",
        "Linear",
        "ReLU",
        "Linear",
    ]
    assert_the_same(network, module, "float32")
    assert Network.from_torch(module, cost="sum_of_squares").config() == network.config()
    module.train()
    x = torch.from_numpy(samples(24, "float32"))
    assert not torch.equal(module(x), module(x))


def test_dropout_twice_and_of_everything() -> None:
    twice = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.2), nn.Linear(N_IN, 2))
    assert Network.from_torch(twice).layers[0].dropout == pytest.approx(0.6, abs=1e-15)  # 1 - 0.5 * 0.8
    with pytest.raises(ValueError, match=r"module 0: got Dropout with p=1.0, expected a number from 0 to below 1"):
        Network.from_torch(nn.Sequential(nn.Dropout(1.0), nn.Linear(N_IN, 2)))


def test_one_activation_in_two_places() -> None:
    tanh = nn.Tanh()
    module = nn.Sequential(nn.Linear(N_IN, 4), tanh, nn.Linear(4, 3), tanh)
    assert_the_same(Network.from_torch(module, cost="sum_of_squares"), module, "float32")


@pytest.mark.parametrize("dim", [1, -1])
def test_softmax_and_the_cost(dim: int) -> None:
    module = nn.Sequential(nn.Linear(N_IN, 3), nn.Softmax(dim=dim))
    network = Network.from_torch(module)
    assert network.cost_name == "cross_entropy"
    assert_the_same(Network.from_torch(module, cost="sum_of_squares"), module, "float32")
    with pytest.raises(ValueError, match="cost: got cross_entropy after tanh"):
        Network.from_torch(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), cost="cross_entropy")


def test_cross_entropy_gradients_from_logits() -> None:
    """PyTorch takes the logits: its loss has the softmax in it."""
    network = Network(N_IN, [Dense(4, "gelu"), Dense(3, "softmax")], seed=5)
    module, x, y = network.to_torch(), samples(16), np.arange(16) % 3
    nn.functional.cross_entropy(module[:-1](torch.from_numpy(x)), torch.from_numpy(y)).backward()
    gradient = network.gradient(x, y)
    for weights, leaf in zip(gradient.weights, (module[0], module[2]), strict=True):
        atol = 1e-5 * max(1.0, float(leaf.weight.grad.abs().max()))  # float32, inputs of up to 100
        np.testing.assert_allclose(weights, leaf.weight.grad.numpy().T, rtol=0.0, atol=atol)


def test_copies_not_views() -> None:
    network = make("tanh")
    before = network.get_parameters()
    module = network.to_torch()
    again = Network.from_torch(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    np.testing.assert_array_equal(network.get_parameters(), before)
    np.testing.assert_array_equal(again.get_parameters(), before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", MODULES)
def test_source_builds_the_module(activation: str, dtype: str) -> None:
    network = make(activation, dtype)
    built = eval(source(network), {"nn": nn})
    built.load_state_dict(network.to_torch().state_dict())
    assert str(built) == str(network.to_torch())
    assert_the_same(network, built, dtype)


class Linear(nn.Linear):  # type: ignore[name-defined, misc]
    """May compute anything, whatever its name."""


def pruned(linear: Any) -> Any:
    from torch.nn.utils import prune

    return prune.random_unstructured(linear, "weight", 0.5)


def hooked() -> Any:
    module = nn.Sequential(nn.Linear(2, 3))
    module.register_forward_hook(lambda module, inputs, output: 2 * output)
    return module


def tied() -> Any:
    linear = nn.Linear(3, 3)
    return nn.Sequential(linear, nn.Tanh(), nn.Sequential(linear))


def spoilt() -> Any:
    module = nn.Sequential(nn.Sequential(nn.Linear(2, 3)), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        module[2].bias[0] = float("inf")
    return module


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown layer": (lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), r"module 1: .*BatchNorm1d.*Linear"),
    "nested": (lambda: nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Tanh(), nn.SiLU())), r"module 1\.1: .*SiLU"),
    "own class": (lambda: nn.Sequential(Linear(2, 3)), r"module 0: got test_exchange_torch\.Linear"),
    "alone": (lambda: nn.Conv2d(1, 1, 3), r"module \(the module itself\): .*Conv2d"),
    "no module": (lambda: [nn.Linear(2, 3)], r"builtins\.list"),
    "exact gelu": (lambda: nn.Sequential(nn.Linear(2, 3), nn.GELU()), r"module 1: got GELU with approximate='none', "
                   "expected 'tanh'"),
    "slope": (lambda: nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.2)), r"module 1: .*negative_slope=0.2"),
    "elu": (lambda: nn.Sequential(nn.Linear(2, 3), nn.ELU(2.0)), r"module 1: .*alpha=2.0, expected 1.0"),
    "softplus": (lambda: nn.Sequential(nn.Linear(2, 3), nn.Softplus(beta=2)), r"module 1: .*beta=2"),
    "over samples": (lambda: nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=0)), r"module 1: .*dim=0, expected -1 or 1"),
    "flatten": (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(2, 3)), r"module 0: .*start_dim=0"),
    "hidden softmax": (lambda: nn.Sequential(nn.Linear(2, 3), nn.Softmax(-1), nn.Linear(3, 1)), "softmax in hidden"),
    "activation first": (lambda: nn.Sequential(nn.Tanh(), nn.Linear(2, 3)), r"module 0: got Tanh first"),
    "two": (lambda: nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.ReLU()), r"module 2: got ReLU behind another"),
    "none": (lambda: nn.Sequential(), "got no Linear"),
    "half": (lambda: nn.Sequential(nn.Linear(2, 3)).half(), r"module 0\.weight: got torch.float16"),
    "dtypes": (lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1).double()), "float32 and float64"),
    "sizes": (lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 1)), r"module 1: .*4 inputs, expected 3"),
    "tied": (tied, r"module 2\.0: got the Linear of 0 again"),
    "pruned": (lambda: nn.Sequential(pruned(nn.Linear(2, 3))), r"module 0: got hooks"),
    "a hook": (hooked, r"module \(the module itself\): got hooks"),
    "infinite": (spoilt, r"module 2\.bias: got NaN or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_modules_that_are_no_network(case: str) -> None:
    build, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        Network.from_torch(build())


def test_nan_and_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"net\.weights\[0\]: got NaN"):
        spoil(make("tanh"), "weights[0]").to_torch()
    monkeypatch.setitem(sys.modules, "torch", None)
    for call in make("tanh").to_torch, lambda: Network.from_torch(None):
        with pytest.raises(MissingExtraError, match=r"fastbp\[torch\]"):
            call()
