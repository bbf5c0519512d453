"""What a whole process costs: import, first compilation, a start from the cache, peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time

TRAIN = """
import numpy as np
from fastbp import Dense, Network, SGD, Trainer
rng = np.random.default_rng(0)
x = rng.integers(0, 256, (60000, 784), dtype=np.uint8)
x[x > 48] = 0  # 19 % are left, as in MNIST
y = rng.integers(0, 10, 60000)
net = Network(784, [Dense(16, "sigmoid"), Dense(16, "sigmoid"), Dense(10, "sigmoid")], cost="sum_of_squares")
Trainer(net, SGD(0.5)).fit(x, y, epochs=1)
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
# The same with data that cost nothing to make: what remains is the start, and one epoch.
START = TRAIN.replace(
    "rng.integers(0, 256, (60000, 784), dtype=np.uint8)\nx[x > 48] = 0", "np.zeros((60000, 784), np.uint8)"
)


def run(code: str, cache: str | None = None) -> tuple[float, str]:
    """Seconds that a new Python process takes for ``code``, and what it printed."""
    environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cache else {}) | {"FASTBP_QUIET": "1"}
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return time.perf_counter() - begun, done.stdout


class Process:
    """Whole processes, on a kernel cache of their own."""

    timeout = 600
    unit = "seconds"
    version = "1"

    def setup_cache(self) -> tuple[str, float]:
        """The folder of the compiled kernels, and the seconds that the process took which compiled them."""
        cache = os.path.abspath("numba")  # asv runs this in a folder that it removes after the last benchmark
        seconds = run("import fastbp; fastbp.warmup()", cache)[0]
        run(START, cache)
        return cache, seconds

    def track_import(self, cached: tuple[str, float]) -> float:
        return round(min(run("import fastbp", cached[0])[0] for _ in range(3)), 3)

    def track_cold_compile(self, cached: tuple[str, float]) -> float:
        return round(cached[1], 2)

    def track_cached_start_to_first_epoch(self, cached: tuple[str, float]) -> float:
        return round(min(run(START, cached[0])[0] for _ in range(3)), 3)

    def track_peak_memory(self, cached: tuple[str, float]) -> float:
        return float(run(TRAIN, cached[0])[1])


Process.track_peak_memory.unit = "bytes"
