"""Training from several Python threads at once and in forked children, on each threading layer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys, threading, warnings
import numpy as np
import numba
import fastbp
from fastbp.kernels import launch

warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads is the point
parallel, launches = launch.launch_parallel, []
launch.launch_parallel = lambda *arguments: (launches.append(os.getpid()), parallel(*arguments))[1]

def trained(seed, n_threads):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(400, 64)).astype(np.float32), rng.integers(0, 10, 400)
    net = fastbp.Network(64, [fastbp.Dense(3000, "tanh"), fastbp.Dense(10, "softmax")], seed=seed)
    fastbp.Trainer(net, fastbp.SGD(0.1), batch_size=400, n_threads=n_threads).fit(x, y, epochs=6)
    return net.get_parameters().tobytes()

expected = [trained(seed, 1) for seed in range(4)]
assert not launches
assert trained(0, 2) == expected[0] and launches, "two threads"
assert numba.threading_layer() == sys.argv[1]

found = [None] * 4
def work(seed):
    found[seed] = trained(seed, 2)
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
assert found == expected, "Python threads at once"

def forked(work):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, "a child failed"

def child():
    assert trained(1, 2) == expected[1]
    forked(grandchild)

def grandchild():
    assert trained(2, 2) == expected[2]

forked(child)
assert trained(3, 2) == expected[3], "the parent afterwards"
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_threads_and_forks_train_to_the_same_bits(layer: str) -> None:
    environment = os.environ | {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2", "FASTBP_QUIET": "1"}
    command = [sys.executable, "-c", SCRIPT, layer]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
