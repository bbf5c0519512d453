"""What backpropagation is really doing, for a 2: python scripts/what_backprop_does.py

The walk of chapter 3 of 3Blue1Brown's "Deep learning" (2017), with numbers: the network 784-16-16-10, before and after
training, and the first 2 of the test digits. Which outputs want up or down, and how much; the three ways to raise the
2's output; how the wishes of all outputs add up to those of the layer before; how the wishes of many samples average
to the negative gradient; and how much more sensitive the cost is to some weights than to others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from figures import Report, arguments, digits, new_figure, run, save_figure, whole

from fastbp import SGD, Dense, Explanation, Network, Trainer, explain
from fastbp.datasets import Split

DIGIT = 2
N_SAMPLES = 100  # a mini-batch, as in the chapter
ROUNDING = 1e-12  # of sums of at most 784 products in float64, relative to the largest


@dataclass(frozen=True)
class Walk:
    """A network, the digit that it is shown, and the mini-batch that it is averaged over."""

    name: str
    network: Network
    image: np.ndarray
    batch: Split

    @cached_property
    def one(self) -> Explanation:
        """The digit's way through the network and back."""
        return explain(self.network, self.image, DIGIT)

    @cached_property
    def wishes(self) -> np.ndarray:
        """What each output wants of the layer before: (10, 16), -delta_j times its weights. They add up."""
        wishes: np.ndarray = -(self.network.weights[-1] * self.one.delta[-1]).T
        return wishes

    @cached_property
    def each(self) -> np.ndarray:
        """What each sample of the mini-batch wants of all 13,002 parameters."""
        wanted = [explain(self.network, x, y) for x, y in zip(self.batch.x, self.batch.y, strict=True)]
        return np.array([flat(one) for one in wanted])


def flat(one: Explanation) -> np.ndarray:
    """All desired nudges of one sample in the order of ``Network.get_parameters``."""
    parts = zip(one.weight_nudges, one.bias_nudges, strict=True)
    return np.concatenate([np.concatenate([weights.ravel(), biases]) for weights, biases in parts])


def apart(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, relative to the largest number."""
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def outputs(report: Report, walk: Walk) -> None:
    """Which outputs want up or down: in proportion to how far off they are."""
    one = walk.one
    print(f"\n{walk.name}: a {DIGIT}, cost {one.cost:.4f}\n")
    print(f"{'output':>8} {'activation':>11} {'should be':>10} {'wants':>8} {'-dC/da':>9} {'-dC/dz':>9}")
    for digit, (a, target, wants, pull) in enumerate(
        zip(one.output, one.target, one.output_nudges, -one.delta[-1], strict=True)
    ):
        print(f"{digit:8} {a:11.4f} {target:10.0f} {wants:+8.4f} {2 * wants:+9.4f} {pull:+9.4f}")
    print()
    report.section(walk.name)
    report.same(f"  only the {DIGIT} wants up", np.flatnonzero(one.output_nudges > 0).tolist(), [DIGIT])
    slope = one.output * (1 - one.output)
    report.check("  -dC/dz: 2 (t - a) f'(z)", apart(-one.delta[-1], 2 * one.output_nudges * slope), high=ROUNDING)


def three_ways(report: Report, walk: Walk) -> None:
    """Raise one output by its bias, by weights from active units, by the activations behind large weights."""
    one, pull = walk.one, -walk.one.delta[-1][DIGIT]
    a, weights, z = one.a[-2], walk.network.weights[-1][:, DIGIT], one.z[-1][DIGIT]
    bias, nudges, wishes = one.bias_nudges[-1][DIGIT], one.weight_nudges[-1][:, DIGIT], walk.wishes[DIGIT]
    report.note(f"  the {DIGIT}'s bias: by", f"{bias:+.3g}")
    report.note("  most active unit: its weight by", f"{nudges[a.argmax()]:+.3g}")
    report.note("  least active unit: its weight by", f"{nudges[a.argmin()]:+.3g}")
    report.note("  unit of the largest weight: by", f"{wishes[weights.argmax()]:+.3g}")
    report.note("  unit of the lowest weight: by", f"{wishes[weights.argmin()]:+.3g}")
    report.check("  weights: nudge over activation", apart(nudges, pull * a), "constant", high=ROUNDING)
    report.note(f"  the {DIGIT}'s output is", f"{one.output[DIGIT]:.5f}")
    moved = {"the bias": bias, "the weights": nudges @ a, "the activations": wishes @ weights}
    for name, change in moved.items():
        report.check(f"  after moving {name}", 1 / (1 + np.exp(-z - change)), "more", low=one.output[DIGIT])


def adding_up(report: Report, walk: Walk) -> None:
    """The wishes of all ten outputs add up to what the last layer wants of the one before."""
    total = walk.wishes.sum(axis=0)
    report.check("  outputs' wishes add up to -dC/da", apart(total, walk.one.activation_nudges[-1]), high=ROUNDING)
    a = walk.one.a[-2]
    report.check("  times f'(z): the delta before", apart(-total * a * (1 - a), walk.one.delta[-2]), high=ROUNDING)


def averaging(report: Report, walk: Walk) -> None:
    """The average over the samples is the negative gradient; the samples by themselves disagree."""
    average = walk.each.mean(axis=0)
    gradient = walk.network.gradient(walk.batch.x, walk.batch.y).flat
    report.check(f"  average of {len(walk.each)}: -gradient", apart(average, -gradient), high=ROUNDING)
    cosines = walk.each @ average / (np.linalg.norm(walk.each, axis=1) * np.linalg.norm(average))
    report.note("  cosine to the average: median", f"{np.median(cosines):.3f}")
    report.note("  cosine to the average: lowest", f"{cosines.min():.3f}")
    report.note("  samples pulling the other way", f"{(cosines < 0).sum()} of {len(cosines)}")
    # Weights of pixels that are black in all samples have no influence at all: they are not what is compared.
    sizes = np.sort(np.abs(average)[average != 0])
    report.note("  most sensitive : median weight", f"{sizes[-1] / np.median(sizes):.0f} times", "e.g. 32")


def draw(folder: Path, walks: Sequence[Walk]) -> None:
    """One picture a step of the walk, the networks side by side."""
    draw_outputs(folder / "outputs.png", walks)
    draw_weights(folder / "weights.png", walks)
    draw_layer_before(folder / "layer_before.png", walks)
    draw_average(folder / "average.png", walks)


def draw_outputs(path: Path, walks: Sequence[Walk]) -> None:
    """The digit, and each network's outputs with arrows to where they should be."""
    figure = new_figure(9.0, 3.0)
    if figure is None:
        return
    image, *panels = figure.subplots(1, 3, width_ratios=(1, 2, 2))
    image.imshow(walks[0].image.reshape(28, 28), cmap="gray")
    image.set_axis_off()
    for axes, walk in zip(panels, walks, strict=True):
        axes.bar(range(10), walk.one.output, color="lightgray")
        for digit, (a, target) in enumerate(zip(walk.one.output, walk.one.target, strict=True)):
            colour = "C0" if target > a else "C3"
            style = {"arrowstyle": "->", "color": colour, "linewidth": 2}
            axes.annotate("", (digit, target), (digit, a), arrowprops=style)
        axes.set(title=f"{walk.name}: cost {walk.one.cost:.3f}", xlabel="output", ylabel="activation", ylim=(0, 1.05))
        axes.set_xticks(range(10))
    save_figure(figure, path)


def draw_weights(path: Path, walks: Sequence[Walk]) -> None:
    """The nudges of the 2's weights beside the activations that they come from."""
    figure = new_figure(9.0, 3.0)
    if figure is None:
        return
    for axes, walk in zip(figure.subplots(1, 2), walks, strict=True):
        axes.plot(walk.one.a[-2], walk.one.weight_nudges[-1][:, DIGIT], "o", label=f"weights to the {DIGIT}")
        axes.plot(1, walk.one.bias_nudges[-1][DIGIT], "s", label="its bias (an input of 1)")
        axes.plot([0, 1], [0, walk.one.bias_nudges[-1][DIGIT]], color="gray", linewidth=0.8)
        axes.set(title=walk.name, xlabel="activation that the weight comes from", ylabel="desired nudge, -dC/dW")
        axes.ticklabel_format(axis="y", scilimits=(-2, 3))
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    save_figure(figure, path)


def draw_layer_before(path: Path, walks: Sequence[Walk]) -> None:
    """What each output wants of the 16 units before it, and the sum."""
    figure = new_figure(9.0, 4.0)
    if figure is None:
        return
    for axes, walk in zip(figure.subplots(1, 2), walks, strict=True):
        rows = np.vstack([walk.wishes, walk.wishes.sum(axis=0)])
        limit = np.abs(rows).max()
        drawn = axes.imshow(rows, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        axes.axhline(9.5, color="black")
        axes.set_yticks(range(11), [*map(str, range(10)), "sum"])
        axes.set(title=walk.name, xlabel="unit of the layer before", ylabel="what each output wants of it")
        figure.colorbar(drawn, ax=axes, label="desired nudge")
    save_figure(figure, path)


def draw_average(path: Path, walks: Sequence[Walk]) -> None:
    """What a few samples want of one hidden unit's weights, as images, and the average of the whole mini-batch."""
    n = 6
    figure = new_figure(9.0, 3.2)
    if figure is None:
        return
    for row, walk in zip(figure.subplots(len(walks), n + 1), walks, strict=True):
        nudges = walk.each[:, : 784 * 16].reshape(-1, 784, 16)
        unit = np.abs(nudges.mean(axis=0)).sum(axis=0).argmax()
        average = nudges[:, :, unit].mean(axis=0)
        for axes, image in zip(row, [*nudges[:n, :, unit], average], strict=True):
            limit = np.abs(image).max() or 1.0
            axes.imshow(image.reshape(28, 28), cmap="RdBu", vmin=-limit, vmax=limit)
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(walk.name)
        for axes, label in zip(row, walk.batch.y[:n], strict=False):
            axes.set_title(f"a {label} wants", fontsize="small")
        row[n].set_title(f"average of {len(nudges)}", fontsize="small")
    save_figure(figure, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Walk through both networks; 1 if something does not add up."""
    options = arguments(str(__doc__), "what_backprop_does", argv)
    train, test = digits(options.quick)
    image = test.x[np.flatnonzero(test.y == DIGIT)[0]]
    layers = [Dense(n, "sigmoid") for n in (16, 16, 10)]
    # float64, so that what adds up does so to rounding.
    untrained, trained = (Network(784, layers, cost="sum_of_squares", dtype="float64", seed=0) for _ in range(2))
    whole(Trainer(trained, SGD(0.15, momentum=0.9), seed=0).fit(train.x, train.y, 10 if options.quick else 30))
    batch = train.take(N_SAMPLES)
    walks = [Walk("untrained", untrained, image, batch), Walk("trained", trained, image, batch)]

    report = Report(f"What backpropagation does for a {DIGIT}: 784-16-16-10 on {train.name}")
    low = 50 if options.quick else 93 if len(train.x) >= 60_000 else 85  # mnist-5k has 4,000
    report.check("trained: test accuracy, %", 100 * trained.accuracy(test.x, test.y), "96", low=low)
    for walk in walks:
        for step in (outputs, three_ways, adding_up, averaging):
            step(report, walk)
    report.section("")
    report.check("cost: trained, of the untrained", walks[1].one.cost / walks[0].one.cost, high=0.5)
    status = report.exit_status()
    draw(options.out, walks)
    return status


if __name__ == "__main__":
    run(main)
