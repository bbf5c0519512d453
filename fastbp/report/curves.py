"""A run's learning curve as a file: cost and accuracy, epoch by epoch."""

from __future__ import annotations

import io
import os

from fastbp.archive import atomic_write
from fastbp.errors import MissingExtraError
from fastbp.history import History
from fastbp.report.pictures.charts import curve


def save_curve(history: History, path: str | os.PathLike[str]) -> None:
    r"""Draw cost and accuracy against the epoch, for training and, where there is one, validation.

    Parameters
    ----------
    history : History
        What ``Trainer.fit`` returned.
    path : path
        The PNG file; its folder must exist. One that is there is replaced in one step.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    OSError
        The file cannot be written; what was there before is still there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastbp import Dense, Network, Trainer
    >>> network = Network(2, [Dense(4, "tanh"), Dense(2, "softmax")], seed=0)
    >>> history = Trainer(network).fit([[0.0, 1.0], [1.0, 0.0]], [0, 1], epochs=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_curve(history, f"{folder}/curve.png")
    ...     Path(folder, "curve.png").read_bytes()[:4]
    b'\x89PNG'
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "examples", "drawing a curve") from error
    figure = Figure(figsize=(8.0, 3.5), layout="constrained")  # not pyplot: no window, no global state
    for quantity, ax in zip(("cost", "accuracy"), figure.subplots(1, 2), strict=True):
        curve(history, quantity, ax)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    atomic_write(path, buffer.getvalue())
