"""Train 784-16-16-10 on handwritten digits: python scripts/train_mnist.py

Its model, history and learning curve are then in runs/mnist. The same from the
shell, with every setting an option: fastbp train --help
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fastbp import SGD, DataError, Dense, Network, Trainer, datasets, report
from fastbp.datasets import Split


def load_digits() -> tuple[Split, Split]:
    """MNIST; on a machine that neither has it nor can download it, the 5,000 digits that a package carries."""
    try:
        return datasets.load("mnist")
    except DataError:
        if any(item.found for item in datasets.available() if item.name == "mnist"):
            raise  # it is here, but damaged: that should not go unnoticed
        print("MNIST is not here and cannot be downloaded: training on mnist-5k, 5,000 of its digits", file=sys.stderr)
        return datasets.load("mnist-5k")


def main(folder: Path = Path("runs/mnist"), epochs: int = 30) -> None:
    """Train, say how it went, and save what was learnt."""
    train, test = load_digits()
    network = Network(
        784, [Dense(16, "sigmoid"), Dense(16, "sigmoid"), Dense(10, "sigmoid")], cost="sum_of_squares", seed=0
    )
    trainer = Trainer(network, SGD(learning_rate=0.15, momentum=0.9), batch_size=100, seed=0)
    history = trainer.fit(train.x, train.y, epochs, validation=(test.x, test.y), progress=True)

    print(report.table(report.summary(trainer, len(train.x), (test.x, test.y))))
    for path in report.save_run(folder, network, history, {"data": train.name}):
        print(f"saved {path}")
    print(f"to look into the network, and draw digits for it: fastbp report {folder}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    main()
