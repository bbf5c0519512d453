"""Learning and memorising: true labels, noisy labels, shuffled labels: python scripts/memorization.py

A network can learn digits whose labels were shuffled: it memorises them, more slowly, and knows nothing of digits that
it has not seen (Zhang et al. 2017; the conversation in 3Blue1Brown's chapter 2). With a part of the labels shuffled, it
first learns what is true of digits, then memorises the rest: the accuracy on digits not trained on, with their true
labels, peaks before the training labels are all learnt, and then falls (Arpit et al. 2017, figure 7).

Networks 784-w-10, relu and softmax, SGD with batches of 50 and learning rate 0.1, until an epoch in which every sample
was right when its turn came; "fitted" is the number of that epoch. Noise of 40 % means that 40 % of the labels were
shuffled among themselves, so a tenth of those are still right. Figures are means over seeds, which choose the samples,
the noise, the starting weights and the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figures import Report, arguments, digits, new_figure, run, save_figure, whole

from fastbp import SGD, Dense, History, Network, Trainer
from fastbp.datasets import Split

NOISE = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
N, WIDTH = 2000, 256
MOST_EPOCHS = 1000
HELD_OUT = 1500


@dataclass(frozen=True)
class Plan:
    """How much to do: the samples and widths to compare, the noise, the seeds."""

    sizes: tuple[int, ...] = (500, 1000, 2000, 4000)
    widths: tuple[int, ...] = (32, 64, 256)
    width: int = 64  # where the number of samples changes
    noise: tuple[float, ...] = NOISE
    seeds: range = range(5)
    chance: float = 1.0  # how far from 10 % the mean accuracy after shuffled labels may be


# mnist-5k has 4,000 samples to train on, of which 1,500 are held out.
SMALL = Plan(sizes=(500, 2000), seeds=range(3), chance=3.0)
QUICK = Plan(sizes=(125, 500), widths=(32, 256), noise=(0.4,), seeds=range(2), chance=5.0)


@dataclass(frozen=True)
class Run:
    """One training."""

    cost: np.ndarray  # by epoch
    held_out: np.ndarray  # accuracy on digits not trained on, by epoch, in percent; empty if not asked for
    test: float  # accuracy at the end, in percent

    @property
    def fitted(self) -> int:
        """The epoch in which all training samples were right."""
        return len(self.cost)

    @property
    def peak(self) -> int:
        """The epoch with the best held-out accuracy."""
        return int(self.held_out.argmax()) + 1

    @property
    def halved(self) -> int:
        """The first epoch whose cost is at most half of the first one's; one more than there were if none is."""
        return int(np.argmax(np.append(self.cost, 0.0) <= self.cost[0] / 2)) + 1


def shuffled(y: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """The labels, with this fraction of them shuffled among themselves."""
    chosen = rng.permutation(len(y))[: round(fraction * len(y))]
    mixed = y.copy()
    mixed[chosen] = y[rng.permutation(chosen)]
    return mixed


def fitted(trainer: Trainer, epoch: int, history: History) -> bool:
    """Whether the training has learnt every label."""
    return history.accuracy[-1] == 1.0


def train(data: tuple[Split, Split], n: int, width: int, noise: float, seed: int, watch: bool = False) -> Run:
    """Train on n samples until they are fitted; ``watch`` also measures the held-out accuracy after every epoch."""
    pool, test = data
    rng = np.random.default_rng(seed)
    held_out = pool.x[-HELD_OUT:], pool.y[-HELD_OUT:]
    chosen = rng.permutation(len(pool.x) - HELD_OUT)[:n]
    layers = [Dense(width, "relu", initializer="he_normal"), Dense(10, "softmax")]
    network = Network(784, layers, seed=seed)
    trainer = Trainer(network, SGD(0.1), batch_size=50, seed=seed)
    labels = shuffled(pool.y[chosen], noise, rng)
    history = whole(
        trainer.fit(pool.x[chosen], labels, MOST_EPOCHS, validation=held_out if watch else None, callbacks=[fitted])
    )
    accuracies = 100 * np.array(history.validation_accuracy)
    return Run(np.array(history.cost), accuracies, 100 * network.accuracy(test.x, test.y))


def mean(values: Iterable[float]) -> float:
    """The average."""
    return float(np.mean(list(values)))


def least_growth(values: Sequence[float]) -> float:
    """The smallest ratio of a value to the one before it."""
    return float(np.min(np.divide(values[1:], values[:-1])))


def by_noise(report: Report, data: tuple[Split, Split], plan: Plan) -> dict[float, list[Run]]:
    """Train with every amount of noise: where the held-out accuracy peaks, and how far it falls."""
    n = min(N, plan.sizes[-1])
    report.section(f"Noise, {n:,} samples, 784-{WIDTH}-10")
    runs = {}
    for noise in plan.noise:
        runs[noise] = [train(data, n, WIDTH, noise, seed, watch=True) for seed in plan.seeds]
        epochs, at = mean(r.fitted for r in runs[noise]), mean(r.peak for r in runs[noise])
        falls = mean(r.held_out.max() - r.held_out[-1] for r in runs[noise])
        report.note(f"  {noise:.0%}: fitted, epoch", f"{epochs:.1f}")
        report.note(f"  {noise:.0%}: held-out best, %", f"{mean(r.held_out.max() for r in runs[noise]):.2f}")
        if 0 < noise < 1:
            report.check(f"  {noise:.0%}: peak epoch / fit epoch", at / epochs, "before", high=0.5)
            report.check(f"  {noise:.0%}: falls by the fit, %", falls, "falls", low=1.0)
        report.note(f"  {noise:.0%}: test, %", f"{mean(r.test for r in runs[noise]):.2f}")
    return runs


def shuffled_against_true(
    report: Report, data: tuple[Split, Split], plan: Plan
) -> dict[tuple[int, int, float], list[Run]]:
    """Train with true and with shuffled labels, for sizes and widths; runs by (n, width, noise)."""
    settings = [(n, plan.width) for n in plan.sizes] + [(min(N, plan.sizes[-1]), width) for width in plan.widths]
    runs: dict[tuple[int, int, float], list[Run]] = {}
    report.section("True and shuffled labels: epochs until fitted")
    for n, width in dict.fromkeys(settings):
        for noise in (0.0, 1.0):
            runs[n, width, noise] = [train(data, n, width, noise, seed) for seed in plan.seeds]
        true, mixed = (mean(r.fitted for r in runs[n, width, noise]) for noise in (0.0, 1.0))
        report.note(f"  n = {n:,}, width {width}: true", f"{true:.1f}")
        report.check(f"  n = {n:,}, width {width}: shuffled", mixed, "more", low=true)
    growing = [mean(r.fitted for r in runs[n, plan.width, 1.0]) for n in plan.sizes]
    narrowing = [mean(r.fitted for r in runs[settings[-1][0], width, 1.0]) for width in reversed(plan.widths)]
    report.check("  least growth, size to size", least_growth(growing), "grows", low=1.0)
    report.check("  least growth, width to width", least_growth(narrowing), "grows", low=1.0)
    report.section("True and shuffled labels: what is learnt")
    after_shuffled, after_true = (
        [r for key, some in runs.items() if key[2] == noise for r in some] for noise in (1.0, 0.0)
    )
    report.note("  cost halved, epochs: true", f"{mean(r.halved for r in after_true):.1f}")
    report.check("  cost halved, epochs: shuffled", mean(r.halved for r in after_shuffled), "slowly", low=10.0)
    report.note("  test after true labels, %", f"{mean(r.test for r in after_true):.2f}")
    report.note("  test after shuffled: lowest run", f"{min(r.test for r in after_shuffled):.2f}")
    report.note("  test after shuffled: highest run", f"{max(r.test for r in after_shuffled):.2f}")
    name = f"  test after shuffled: mean of {len(after_shuffled)}"
    report.check(name, mean(r.test for r in after_shuffled), "10", 10 - plan.chance, 10 + plan.chance)
    return runs


def too_small(report: Report, train_data: Split) -> None:
    """13,002 parameters learn 60,000 true labels, and cannot hold as many shuffled ones."""
    report.section("784-16-16-10 on 60,000 labels, 30 epochs: training accuracy, %")
    for noise, bounds in ((0.0, (90.0, 100.0)), (1.0, (0.0, 20.0))):
        network = Network(784, [Dense(n, "sigmoid") for n in (16, 16, 10)], cost="sum_of_squares", seed=0)
        labels = shuffled(train_data.y, noise, np.random.default_rng(0))
        whole(Trainer(network, SGD(0.15, momentum=0.9), seed=0).fit(train_data.x, labels, 30))
        name = "  shuffled labels" if noise else "  true labels"
        report.check(name, 100 * network.accuracy(train_data.x, labels), "", *bounds)


def draw(path: Path, noisy: dict[float, list[Run]], runs: dict[tuple[int, int, float], list[Run]], plan: Plan) -> None:
    """Cost and held-out accuracy by epoch, for each amount of noise; epochs until fitted, by samples and width."""
    figure = new_figure(11.0, 3.6)
    if figure is None:
        return
    costs, held_out, epochs = figure.subplots(1, 3)
    for number, (noise, some) in enumerate(noisy.items()):
        one, colour = some[0], f"C{number}"
        costs.plot(range(1, one.fitted + 1), one.cost, color=colour, label=f"{noise:.0%}")
        held_out.plot(range(1, one.fitted + 1), one.held_out, color=colour)
        held_out.plot(one.peak, one.held_out[one.peak - 1], "o", color=colour)
    costs.set(title="training cost, by noise", xlabel="epoch")
    costs.legend(fontsize="small")
    held_out.set(title="held-out accuracy, % (dot: best)", xlabel="epoch", xscale="log", ylim=(0, 100))
    n = min(N, plan.sizes[-1])
    for noise, style, name in ((1.0, "o-", "shuffled"), (0.0, "s--", "true")):
        by_size = [mean(r.fitted for r in runs[size, plan.width, noise]) for size in plan.sizes]
        by_width = [mean(r.fitted for r in runs[n, width, noise]) for width in plan.widths]
        epochs.plot(plan.sizes, by_size, style, color="C0", label=f"{name}, by samples (width {plan.width})")
        epochs.plot(plan.widths, by_width, style, color="C1", label=f"{name}, by width ({n:,} samples)")
    epochs.set(title="epochs until fitted", xlabel="samples, or width", xscale="log", ylim=(0, None))
    ticks = sorted({*plan.sizes, *plan.widths})
    epochs.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=45)
    epochs.minorticks_off()
    epochs.legend(fontsize="x-small")
    for axes in (costs, held_out, epochs):
        axes.grid(alpha=0.3)
    save_figure(figure, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Train all the networks; 1 if they do not learn and memorise as they must."""
    options = arguments(str(__doc__), "memorization", argv)
    train_data, test = digits(options.quick)
    full = len(train_data.x) >= 60_000
    plan = QUICK if options.quick else Plan() if full else SMALL
    report = Report(f"Learning and memorising: {train_data.name}, means over {len(plan.seeds)} seeds")
    runs = shuffled_against_true(report, (train_data, test), plan)
    noisy = by_noise(report, (train_data, test), plan)
    if full:
        too_small(report, train_data)
    status = report.exit_status()
    draw(options.out / "memorization.png", noisy, runs, plan)
    return status


if __name__ == "__main__":
    run(main)
