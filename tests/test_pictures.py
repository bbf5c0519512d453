"""Pictures: that what is drawn is what was given, on the Axes that were given, and what cannot be drawn says so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import Build, simple

import fastbp
from fastbp import Dense, History, MissingExtraError, Network
from fastbp.explain import Explanation
from fastbp.forensics import SampleForensics, layer_norms, sample_forensics
from fastbp.gradient_log import GradientLog
from fastbp.report import pictures

pytest.importorskip("matplotlib").use("Agg")


@pytest.fixture(autouse=True)
def _close() -> Any:
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture
def network(build: Build) -> Network:
    """A small network that looks at images of 3 x 3."""
    return build(9, [(4, "tanh", True), (3, "softmax", True)], "cross_entropy")[0]


@pytest.fixture
def one(network: Network, rng: np.random.Generator) -> Explanation:
    """One of its samples."""
    return fastbp.explain(network, rng.uniform(size=9), 1)


@pytest.fixture
def found(network: Network, rng: np.random.Generator) -> SampleForensics:
    """Some more."""
    return sample_forensics(network, rng.uniform(size=(8, 9)), rng.integers(0, 3, 8))


HISTORY = History(cost=[3.0, 1.0], accuracy=[0.5, 0.75], validation_accuracy=[0.25, 0.625])
EVERY: dict[str, Callable[[Network, Explanation, SampleForensics, Any], Any]] = {
    "curve": lambda net, e, found, ax: pictures.curve(HISTORY, ax=ax),
    "gradient_norms": lambda net, e, found, ax: pictures.gradient_norms(GradientLog(net, np.eye(2, 9), [0, 1]), ax=ax),
    "gradient_flow": lambda net, e, found, ax: pictures.gradient_flow(found, ax=ax),
    "agreement": lambda net, e, found, ax: pictures.agreement(found.cosines, ax=ax),
    "confusion": lambda net, e, found, ax: pictures.confusion(np.eye(3, dtype=int), ax=ax),
    "weight_images": lambda net, e, found, ax: pictures.weight_images(net.weights[0], ax=ax),
    "sample_images": lambda net, e, found, ax: pictures.sample_images(np.eye(9), ax=ax),
    "unit_nudges": lambda net, e, found, ax: pictures.unit_nudges(e, ax=ax),
    "weight_nudges": lambda net, e, found, ax: pictures.weight_nudges(e, 1, ax=ax),
    "most_sensitive": lambda net, e, found, ax: pictures.most_sensitive(e, ax=ax),
}


def test_every_picture_is_tried_here() -> None:
    assert set(EVERY) == set(pictures.__all__)


@pytest.mark.parametrize("name", EVERY)
def test_a_picture_is_drawn_where_it_is_told(
    name: str, network: Network, one: Explanation, found: SampleForensics
) -> None:
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    ax = Figure(layout="constrained").subplots()
    assert EVERY[name](network, one, found, ax) is ax
    assert not pyplot.get_fignums()
    assert ax.has_data()
    ax.figure.canvas.draw()
    new = EVERY[name](network, one, found, None)
    assert [new.figure.number] == pyplot.get_fignums()


@pytest.mark.parametrize("name", EVERY)
def test_without_matplotlib(
    name: str, network: Network, one: Explanation, found: SampleForensics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(MissingExtraError, match=r'pip install "fastbp\[examples\]"'):
        EVERY[name](network, one, found, None)


def test_units_are_images_on_one_scale_that_is_white_at_zero(network: Network) -> None:
    ax = pictures.weight_images(network.weights[0])
    image, weights = ax.images[0], network.weights[0]
    tiles = np.asarray(image.get_array())
    assert image.get_clim() == (-abs(weights).max(), abs(weights).max())
    for unit, text in enumerate(ax.texts):
        assert text.get_text() == str(unit)
        x, y = (int(place + 0.5) for place in text.get_position())
        np.testing.assert_array_equal(tiles[y + 1 : y + 4, x : x + 3], weights[:, unit].reshape(3, 3))
    assert np.isfinite(tiles).sum() == weights.size


def test_images_that_are_not_square_and_many_units(rng: np.random.Generator) -> None:
    ax = pictures.weight_images(rng.normal(size=(10, 60)), shape=(2, 5))
    assert np.isfinite(np.asarray(ax.images[0].get_array())).sum() == 600
    assert not any(text.get_text() for text in ax.texts)
    assert np.isfinite(np.asarray(pictures.sample_images(np.ones((3, 2, 5))).images[0].get_array())).sum() == 30


def test_arrows_go_from_outputs_to_targets_and_up_is_blue() -> None:
    net = Network(1, [Dense(3, "identity", initializer="zeros")], cost="sum_of_squares")
    ax = pictures.unit_nudges(fastbp.explain(net, [1.0], [1.0, -2.0, 0.0]))
    (up,), (down,) = (lines.get_segments() for lines in ax.collections)
    np.testing.assert_array_equal(up, [[0, 0], [0, 1]])
    np.testing.assert_array_equal(down, [[1, 0], [1, -2]])
    assert ax.collections[0].get_colors()[0][2] > ax.collections[0].get_colors()[0][0]


def test_hidden_units_have_arrows_in_proportion(one: Explanation) -> None:
    ax = pictures.unit_nudges(one, 1)
    segments = [segment for lines in ax.collections for segment in lines.get_segments()]
    lengths = {round(segment[0][0]): segment[1][1] - segment[0][1] for segment in segments}
    nudges = one.activation_nudges[1]
    biggest = int(np.argmax(np.abs(nudges)))
    for unit, length in lengths.items():
        assert length / lengths[biggest] == pytest.approx(nudges[unit] / nudges[biggest])


def test_a_layer_s_nudges_stand_beside_their_factors(one: Explanation) -> None:
    ax = pictures.weight_nudges(one, 1)
    before, above = (np.asarray(child.images[0].get_array()) for child in ax.child_axes)
    np.testing.assert_array_equal(ax.images[0].get_array(), one.weight_nudges[1])
    np.testing.assert_allclose(before @ above, one.weight_nudges[1], rtol=1e-12)


def test_bars_are_times_the_median(one: Explanation) -> None:
    ax = pictures.most_sensitive(one, 4)
    assert [bar.get_width() for bar in ax.patches] == [p.times_median for p in one.most_sensitive(4)]


def test_boxes_and_the_average_of_every_layer(found: SampleForensics) -> None:
    ax = pictures.gradient_flow(found)
    averages = ax.lines[-1].get_ydata()
    np.testing.assert_array_equal(averages, layer_norms(found.gradient))
    medians = [line.get_ydata()[0] for line in ax.lines if line.get_linewidth() == 2 and len(line.get_ydata()) == 2]
    np.testing.assert_allclose(medians, np.median(found.layer_norms, axis=0))


def test_every_sample_is_counted_among_those_that_agree_or_do_not() -> None:
    ax = pictures.agreement([-1.0, -0.3, 0.2, 1.0, 0.21, 0.9])
    assert sum(bar.get_height() for bar in ax.patches) == 6
    assert ax.get_title(loc="left").startswith("33%")


def test_a_curve_has_a_line_for_what_there_is() -> None:
    ax = pictures.curve(HISTORY, "accuracy")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.5, 0.75], [0.25, 0.625]]
    assert len(pictures.curve(HISTORY).lines) == 1
    assert len(pictures.curve(History()).lines) == 0


TINY = fastbp.explain(Network(2, [Dense(3)]), [1.0, 2.0], 0)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: pictures.weight_images(np.ones((10, 3))), r"weights: got 10 inputs, .* give shape=\(height, width\)"),
        (lambda: pictures.weight_images(np.ones((10, 3)), shape=(3, 3)), r"shape: got \(3, 3\), .* product is 10"),
        (lambda: pictures.weight_images(np.ones((10, 3)), shape=10), r"shape: got 10, .* product is 10"),
        (lambda: pictures.weight_images(np.ones((10, 3)), shape=(10, 1, 1)), r"shape: got \(10, 1, 1\), .* is 10"),
        (lambda: pictures.weight_images(np.ones(9)), r"weights: got shape \(9,\)"),
        (lambda: pictures.sample_images(np.ones((2, 7))), "x: got 7 inputs"),
        (lambda: pictures.sample_images(np.ones((2, 4)), ["a"]), "captions: got 1, expected 2"),
        (lambda: pictures.sample_images(np.ones(4)), r"x: got shape \(4,\)"),
        (lambda: pictures.unit_nudges(TINY, 2), "layer: got 2, expected 0 to 1"),
        (lambda: pictures.unit_nudges(TINY, names=["a"]), "names: got 1, expected 3"),
        (lambda: pictures.weight_nudges(TINY, 1), "layer: got 1, expected 0 to 0"),
        (lambda: pictures.most_sensitive(TINY, 0), "k: got 0"),
        (lambda: pictures.curve(HISTORY, "costs"), "quantity: unknown name 'costs'; did you mean 'cost'"),
        (lambda: pictures.agreement([0.1, 1.2]), "cosines: got"),
        (lambda: pictures.agreement([np.nan]), "cosines: got"),
        (lambda: pictures.confusion(np.ones((2, 3))), r"matrix: got shape \(2, 3\)"),
        (lambda: pictures.confusion(np.ones((2, 2)), ["a"]), "names: got 1, expected 2"),
    ],
)
def test_what_cannot_be_drawn(draw: Callable[[], Any], message: str) -> None:
    from matplotlib import pyplot

    with pytest.raises(ValueError, match=message):
        draw()
    assert not pyplot.get_fignums()  # nothing half-drawn is left


def test_delta_flow_and_a_wrong_word(found: SampleForensics) -> None:
    assert len(pictures.gradient_flow(found, "delta").patches) == 2
    with pytest.raises(ValueError, match="of: unknown name 'deltas'; did you mean 'delta'"):
        pictures.gradient_flow(found, "deltas")


def test_layers_that_are_silent_for_every_sample(rng: np.random.Generator) -> None:
    network = Network(4, [Dense(3, "relu", initializer="zeros"), Dense(2, "softmax")])
    silent = sample_forensics(network, rng.normal(size=(5, 4)), [0, 1, 0, 1, 0])
    pictures.gradient_flow(silent).figure.canvas.draw()


def test_a_first_layer_of_many_inputs(build: Build, rng: np.random.Generator) -> None:
    network, _ = build(784, simple([5, 3], "tanh", "sigmoid"), "sum_of_squares")
    e = fastbp.explain(network, rng.integers(0, 256, 784).astype(np.uint8), 2)
    for ax in (pictures.weight_nudges(e, 0), pictures.unit_nudges(e, 0)):
        ax.figure.canvas.draw()
        assert max(ax.figure.get_size_inches()) < 20
