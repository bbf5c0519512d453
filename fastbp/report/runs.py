"""A run's folder, and the few figures that say how it went."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from fastbp.archive import atomic_write
from fastbp.errors import MissingExtraError
from fastbp.history import History
from fastbp.model import Network
from fastbp.report.curves import save_curve
from fastbp.trainer import Trainer


def save_run(
    folder: str | os.PathLike[str], network: Network, history: History, config: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write model.npz, history.json, config.json and curve.png into a folder, each of them whole or not at all.

    Parameters
    ----------
    folder : path
        Made where it is missing. Files of an earlier run in it are replaced, one by one.
    network : Network
        Becomes model.npz.
    history : History
        Becomes history.json and, where matplotlib is installed, curve.png.
    config : mapping, optional
        Becomes config.json: whatever settings should be remembered, as JSON takes them.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    OSError
        The folder or a file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from fastbp import Dense, Trainer
    >>> network = Network(2, [Dense(4, "tanh"), Dense(2, "softmax")], seed=0)
    >>> history = Trainer(network).fit([[0.0, 1.0], [1.0, 0.0]], [0, 1], epochs=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_run(folder, network, history, {"epochs": 3})]
    ['model.npz', 'history.json', 'config.json', 'curve.png']
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model, curve = folder / "model.npz", folder / "curve.png"
    texts = {folder / "history.json": history.to_json()}
    if config is not None:
        texts[folder / "config.json"] = json.dumps(config, indent=2)
    network.save(model)
    for path, text in texts.items():
        atomic_write(path, f"{text}\n".encode())
    written = [model, *texts]
    with suppress(MissingExtraError):
        save_curve(history, curve)
        written.append(curve)
    if curve not in written:
        curve.unlink(missing_ok=True)  # an earlier run's curve would be taken for this one's
    return written


def summary(trainer: Trainer, n_samples: int, test: tuple[ArrayLike, ArrayLike]) -> dict[str, float | int]:
    """Return the figures of a training run: how good the network is now, and how fast it got there.

    Parameters
    ----------
    trainer : Trainer
        After ``fit``.
    n_samples : int
        Samples in an epoch.
    test : (x, y)
        Samples that it did not train on.

    Examples
    --------
    >>> from fastbp import Dense
    >>> trainer = Trainer(Network(2, [Dense(4, "tanh"), Dense(2, "softmax")], seed=0))
    >>> x, y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
    >>> history = trainer.fit(x, y, epochs=3)
    >>> list(summary(trainer, 2, test=(x, y)))
    ['test_accuracy', 'test_cost', 'epochs', 'seconds', 'samples_per_second', 'threads']
    """
    # Not the history's last entries: an interrupted epoch has none, but it did change the network.
    seconds, epochs = sum(trainer.history.seconds), len(trainer.history.seconds)
    return {
        "test_accuracy": trainer.network.accuracy(*test),
        "test_cost": trainer.network.cost(*test),
        "epochs": epochs,
        "seconds": seconds,
        "samples_per_second": n_samples * epochs / seconds if seconds else 0.0,
        "threads": trainer.n_threads,
    }


def table(rows: Mapping[str, object]) -> str:
    """Format names and values as lines of two columns: accuracies in percent, small numbers to four digits.

    Examples
    --------
    >>> print(table({"test_accuracy": 0.94625, "samples": 60000, "cost": 0.12345}))
    test accuracy  94.62 %
    samples        60,000
    cost           0.1235
    """
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name.replace('_', ' '):{width}}  {_text(name, value)}" for name, value in rows.items())


def _text(name: str, value: object) -> str:
    if name.endswith("accuracy") and isinstance(value, float):
        return f"{value:.2%}".replace("%", " %")
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
