"""The page's arithmetic against the oracle's, in a JavaScript engine without a browser.

The page computes in double precision from float32 parameters; what it is compared with does the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
import pytest
from conftest import Build, simple, targets_for
from numpy.typing import NDArray
from reference import ACTIVATIONS, OUTPUTS, Reference

import fastbp
from fastbp import Dense, Network
from fastbp.report.page import gather
from fastbp.report.page.encode import BITS, FULL, bits_that_fit, packed, packed_size

racer = pytest.importorskip("py_mini_racer")

# Another order of the sums and another exp: some units in the last place of numbers up to about 10.
CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}
ATOB = """
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
function atob(text) {
  let [bytes, bits, held] = ["", 0, 0];
  for (const letter of text.replace(/=/g, "")) {
    bits = ((bits << 6) | LETTERS.indexOf(letter)) & 0xffff;
    held += 6;
    if (held >= 8) bytes += String.fromCharCode((bits >> (held -= 8)) & 0xff);
  }
  return bytes;
}
const plain = (value) => JSON.stringify(value, (_, item) => (ArrayBuffer.isView(item) ? Array.from(item) : item));
"""
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run() -> Run:
    """Return ``run(expression, name=value, ...)``: what the page's own files make of an expression."""
    context = racer.MiniRacer()
    web = resources.files("fastbp.report.page") / "web"
    context.eval(ATOB + "".join((web / f"{name}.js").read_text() for name in ("network", "wishes", "digit")))

    def run(expression: str, **values: Any) -> Any:
        given = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        return json.loads(context.eval(f"(() => {{ {given} return plain({expression}); }})()"))

    return run


def as_data(network: Network, bits: int = FULL) -> dict[str, Any]:
    """The network as the page gets it."""
    return gather.network_data(network) | gather.parameters_data(network, bits, None)


def assert_agrees(run: Run, network: Network, oracle: Reference, x: NDArray[Any], label: float) -> None:
    """Every array that the page has for one sample, against the oracle."""
    found = run("explain(readNetwork(data), x, label)", data=as_data(network), x=x.tolist(), label=label)
    z, a = oracle.forward_sample(x)
    target = np.eye(network.n_out)[int(label)] if network.n_out > 1 else np.array([label])
    for name, want in (("z", z), ("a", a)):
        for one, other in zip(found[name], want, strict=True):
            np.testing.assert_allclose(one, other, **CLOSE)
    np.testing.assert_allclose(found["cost"], oracle.costs(x[np.newaxis], target[np.newaxis])[0], **CLOSE)
    np.testing.assert_allclose(found["outputNudges"], target - a[-1], **CLOSE)
    parts = Reference(oracle.n_in, oracle.layers, oracle.cost_name, oracle.gradient_sample(x, target)).unpack()
    for (weights, biases), (_, _, bias), a_in, delta in zip(parts, oracle.layers, a, found["delta"], strict=False):
        np.testing.assert_allclose(np.outer(a_in, delta), weights, **CLOSE)
        if bias:
            np.testing.assert_allclose(delta, biases, **CLOSE)
    for (weights, _), delta, nudges in list(
        zip(oracle.unpack(), found["delta"], found["activationNudges"], strict=True)
    )[1:]:
        np.testing.assert_allclose(nudges, -(weights @ np.array(delta)), **CLOSE)


@pytest.mark.parametrize(("activation", "cost", "n_out"), OUTPUTS)
def test_every_output_pair(
    activation: str, cost: str, n_out: int, run: Run, build: Build, rng: np.random.Generator
) -> None:
    network, oracle = build(4, simple([5, n_out], "tanh", activation), cost, "float32")
    assert_agrees(run, network, oracle, rng.normal(size=4), float(targets_for(cost, 1, n_out, rng)[0]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_hidden_activation_with_and_without_biases(
    activation: str, run: Run, build: Build, rng: np.random.Generator
) -> None:
    layers = [(17, activation, False), (3, activation, True), (2, "identity", False)]
    network, oracle = build(4, layers, "sum_of_squares", "float32")
    assert_agrees(run, network, oracle, 3 * rng.normal(size=4), 1)


def test_large_z_overflows_nowhere(run: Run, build: Build) -> None:
    for activation in ("sigmoid", "softmax"):
        network, oracle = build(2, simple([3], "tanh", activation), "cross_entropy", "float32")
        network.set_parameters(np.arange(-400.0, 500.0, 100.0)[: network.n_parameters])
        oracle.theta = network.get_parameters().astype(np.float64)
        for x in ([3.0, -2.0], [-3.0, 2.0]):  # z from -800 to 1200
            assert_agrees(run, network, oracle, np.array(x), 1)


def test_an_image_as_the_page_has_it_agrees_with_python(run: Run, rng: np.random.Generator) -> None:
    network = Network(784, [Dense(16, "sigmoid"), Dense(16, "relu"), Dense(10, "softmax")], seed=3)
    x, y = rng.integers(0, 256, (2, 784)).astype(np.uint8), np.array([7, 2])
    sample = gather.samples_data(network, x, y)
    expression = "explain(readNetwork(data), Array.from(bytesOf(text), (byte) => byte / 255).slice(784), 2)"
    found = run(expression, data=as_data(network), text=sample["x"])
    e = fastbp.explain(network, x[1], 2)
    np.testing.assert_allclose(found["a"][-1], network.forward(x[1]), atol=1e-5)  # float32 in Python
    np.testing.assert_allclose(found["a"][-1], e.output, **CLOSE)
    np.testing.assert_allclose(found["activationNudges"][1], e.activation_nudges[1], **CLOSE)
    assert found["predicted"] == sample["predicted"][1]


BATCH = "const network = readNetwork(data); const batch = x.map((one, k) => explain(network, one, y[k])); return plain"


@pytest.fixture
def samples(build: Build, rng: np.random.Generator) -> tuple[Network, NDArray[Any], NDArray[Any]]:
    """A network, with a layer without biases, and samples with zeros in them."""
    network, _ = build(6, [(5, "tanh", True), (4, "sigmoid", False), (3, "softmax", True)], "cross_entropy", "float64")
    network.set_parameters(network.get_parameters().astype(np.float32))
    x = rng.normal(size=(7, 6)) * (rng.random((7, 6)) > 0.3)
    return network, x, rng.integers(0, 3, 7)


def in_batch(run: Run, samples: tuple[Network, NDArray[Any], NDArray[Any]], expression: str) -> Any:
    """What the page makes of an expression in ``network`` and ``batch``."""
    network, x, y = samples
    return run(f"(() => {{ {BATCH}({expression}) }})()", data=as_data(network), x=x.tolist(), y=y.tolist())


def test_the_average_is_the_negative_gradient(run: Run, samples: tuple[Network, NDArray[Any], NDArray[Any]]) -> None:
    network, x, y = samples
    text = in_batch(run, samples, "averageWishes(network, batch)")
    found, gradient = json.loads(text), network.gradient(x, y)
    for layer, (weights, biases) in enumerate(zip(gradient.weights, gradient.biases, strict=True)):
        np.testing.assert_allclose(found["weights"][layer], -weights.ravel(), **CLOSE)
        if len(biases):
            np.testing.assert_allclose(found["biases"][layer], -biases, **CLOSE)
    norm = in_batch(run, samples, "averageWishes(network, batch).norm()")
    assert json.loads(norm) == pytest.approx(np.linalg.norm(gradient.flat), rel=1e-10)


def test_who_agrees_with_whom(run: Run, samples: tuple[Network, NDArray[Any], NDArray[Any]]) -> None:
    network, x, y = samples
    each = network.per_sample_gradients(x, y)
    unit = each / np.linalg.norm(each, axis=1, keepdims=True)
    pairs = in_batch(run, samples, "batch.map((one) => batch.map((other) => agreement(network, one, other)))")
    np.testing.assert_allclose(json.loads(pairs), unit @ unit.T, **CLOSE)
    mean = each.mean(axis=0)
    to_average = "batch.map((one) => agreementWithAverage(network, one, averageWishes(network, batch)))"
    np.testing.assert_allclose(
        json.loads(in_batch(run, samples, to_average)), unit @ mean / np.linalg.norm(mean), **CLOSE
    )
    norms = json.loads(in_batch(run, samples, "batch.map((one) => wishesOf(one).norm(network))"))
    np.testing.assert_allclose(norms, np.linalg.norm(each, axis=1), **CLOSE)


def test_the_most_sensitive_parameters_and_the_median(
    run: Run, samples: tuple[Network, NDArray[Any], NDArray[Any]]
) -> None:
    network, x, y = samples
    gradient = network.gradient(x[:1], y[:1])
    sizes = np.abs(gradient.flat)
    found = json.loads(in_batch(run, samples, "mostSensitive(network, batch[0], 9)"))
    np.testing.assert_allclose([abs(one["nudge"]) for one in found], np.sort(sizes)[::-1][:9], **CLOSE)
    for one in found:
        part = gradient.biases[one["l"]] if one["i"] < 0 else gradient.weights[one["l"]][one["i"]]
        assert -part[one["j"]] == pytest.approx(one["nudge"], rel=1e-10)
    medians = json.loads(in_batch(run, samples, "batch.map((one) => medianSensitivity(network, one))"))
    each = [sizes[sizes > 0] for sizes in np.abs(network.per_sample_gradients(x, y))]
    assert {len(sizes) % 2 for sizes in each} == {0, 1}  # a median of either kind
    for median, sizes in zip(medians, each, strict=True):
        assert (median["count"], median["total"]) == (len(sizes), network.n_parameters)
        assert median["median"] == pytest.approx(np.median(sizes), rel=1e-10)


def test_the_ratio_is_that_of_most_sensitive(run: Run, samples: tuple[Network, NDArray[Any], NDArray[Any]]) -> None:
    network, x, y = samples
    x[0, np.flatnonzero(x[0])[:2]] = 5e-324  # not 0, but its product with any delta here is
    expression = "batch.map((one) => [mostSensitive(network, one, 9), medianSensitivity(network, one).median])"
    for (page, median), sample, label in zip(json.loads(in_batch(run, samples, expression)), x, y, strict=True):
        python = fastbp.explain(network, sample, label).most_sensitive(9)
        for one, other in zip(page, python, strict=True):
            assert (one["l"], one["i"], one["j"]) == (other.layer, -1 if other.is_bias else other.row, other.column)
            assert abs(one["nudge"]) / median == pytest.approx(other.times_median, rel=1e-10)


@pytest.mark.parametrize("bits", BITS)
def test_the_page_unpacks_what_was_packed(bits: int, run: Run, build: Build) -> None:
    network, _ = build(7, [(5, "relu", True), (3, "softmax", False)], "cross_entropy", "float32")
    network.weights[0][:, 2] = 0.0
    layers, rounded = packed(network, bits)
    assert sum(len(text) for layer in layers for text in layer.values()) == packed_size(network, bits)
    found = run("readNetwork(data).layers", data=as_data(network, bits))
    for one, weights, exact, biases in zip(found, rounded.weights, network.weights, network.biases, strict=True):
        np.testing.assert_array_equal(np.float32(one["weights"]), weights.ravel())
        step = np.abs(exact).max(axis=0) / (2 ** (bits - 1) - 1)
        assert (np.abs(weights - exact) <= 0.501 * step).all()
        np.testing.assert_array_equal(one["biases"], biases if len(biases) else np.zeros(3))


def test_the_bits_are_the_most_that_fit() -> None:
    network = Network(784, [Dense(30), Dense(10)])
    for room in range(10_000, 120_000, 1_111):
        bits = bits_that_fit(network, room)
        assert bits == 0 or packed_size(network, bits) <= room
        assert all(packed_size(network, more) > room for more in BITS if more > bits)


def test_base64_is_little_endian() -> None:
    from fastbp.report.page.encode import base64_text

    big = np.array([1.5, -2.0], ">f4")
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(base64_text(big)), "<f4"), [1.5, -2.0])


# ------------------------------------------------------------ drawings
def draw(run: Run, strokes: Any, side: int = 28, box: int = 20) -> NDArray[np.float64]:
    """The picture that the page makes of strokes."""
    found = run("strokesToDigit(strokes, side, box)", strokes=strokes, side=side, box=box)
    return np.reshape(found, (side, side))


SEVEN = [[[0.1, 0.1], [0.9, 0.1], [0.4, 0.8]], [[0.3, 0.45], [0.8, 0.45]]]


def centre(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """The centre of mass, (row, column), from the picture's upper left corner."""
    rows, columns = np.indices(picture.shape) + 0.5
    return np.array([(picture * rows).sum(), (picture * columns).sum()]) / picture.sum()


def test_a_drawing_becomes_a_digit_of_mnist(run: Run) -> None:
    picture = draw(run, SEVEN)
    inked = np.argwhere(picture > 0.25)
    assert 19 <= (inked.max(axis=0) - inked.min(axis=0)).max() + 1 <= 21
    np.testing.assert_allclose(centre(picture), [14, 14], atol=0.05)
    assert picture.min() == 0
    assert picture.max() == 1


def test_where_and_how_large_it_is_drawn_does_not_matter(run: Run) -> None:
    small = [[[0.6 + 0.2 * x, 0.3 + 0.2 * y] for x, y in stroke] for stroke in SEVEN]
    np.testing.assert_allclose(draw(run, small), draw(run, SEVEN), atol=1e-9)


def test_a_dot_a_line_and_nothing(run: Run) -> None:
    assert draw(run, []).sum() == 0
    dot = draw(run, [[[0.2, 0.7]]])
    assert dot.sum() > 1
    np.testing.assert_allclose(centre(dot), [14, 14], atol=1e-6)
    line = draw(run, [[[0.5, 0.1], [0.5, 0.9]]])
    assert np.argwhere(line > 0.5)[:, 1].tolist().count(0) == 0
    assert set(np.argwhere(line > 0.5)[:, 1]) <= {12, 13, 14, 15}


def test_nothing_leaves_a_picture_that_the_box_fills(run: Run) -> None:
    hook = [[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]  # its mass is far off its middle
    picture = draw(run, hook, 8, 8)
    assert (picture[0] > 0.5).all()
    assert (picture[:, 0] > 0.5).all()


def test_the_box_is_that_of_the_data(run: Run) -> None:
    samples = np.zeros((3, 28, 28))
    for sample, size in zip(samples, (20, 20, 12), strict=True):
        sample[4 : 4 + size, 10:15] = 1
    assert run("boxOf(samples, 28)", samples=samples.reshape(3, -1).tolist()) == 20
    assert run("boxOf([], 28)") == 20
