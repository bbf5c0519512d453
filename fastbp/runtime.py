"""What fastbp finds on this machine, and getting it ready: ``show_config`` and ``warmup``."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from . import __version__, _jit, _threads
from .layers import Dense
from .model import Network
from .optimizers import SGD
from .trainer import Trainer


def warmup(dtypes: DTypeLike | Sequence[DTypeLike] = "float32") -> float:
    """Compile what fits need, or load it from the cache, so that none waits for it later.

    Dropout, ``clip_sample_norm`` and ``max_norm`` each take some tenths of a second more where they are first used.

    Parameters
    ----------
    dtypes : dtype or sequence of dtypes
        float32, float64 or both: each is compiled on its own. ``explain``, ``explain_batch`` and ``check_gradients``
        compute in float64, whatever the network's.

    Returns
    -------
    float
        Seconds that it took.

    Examples
    --------
    >>> warmup("float32") > 0
    True
    """
    begun = time.perf_counter()
    x, y = np.zeros((64, 64), np.uint8), np.zeros((64, 2))
    for dtype in np.atleast_1d(dtypes).tolist():  # type: ignore[arg-type]
        # Wide enough to be worth two threads, so that both drivers are compiled.
        for width in (1, 1000):
            net = Network(64, [Dense(width, "sigmoid"), Dense(2, "sigmoid")], cost="sum_of_squares", dtype=dtype)
            Trainer(net, SGD(0.1), batch_size=32).fit(x, y, epochs=1)  # two batches: with an order
    return time.perf_counter() - begun


def config() -> dict[str, str | int | None]:
    """Versions, CPU, lanes, threads and the cache folder, as plain data.

    Examples
    --------
    >>> config()["lanes"] in (4, 8, 16)
    True
    """
    others = {name: sys.modules[name].__version__ for name in ("numba", "llvmlite", "numpy")}
    return {
        "fastbp": __version__,
        **others,
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "lanes": _jit.LANES,
        "threading layer": _threads.layer(),
        "threads": _threads.available(),
        "kernel cache": _jit.cache_directory(),
    }


def show_config() -> None:
    """Print ``config()``, a line each.

    Examples
    --------
    >>> show_config()  # doctest: +ELLIPSIS
    fastbp...
    """
    for name, value in config().items():
        print(f"{name:16s} {'none: kernels are compiled in every process' if value is None else value}")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
