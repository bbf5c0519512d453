"""Kill a training at random moments, resume it each time, and compare: python scripts/kill_and_resume.py

A small training saves checkpoints as often as it can. Again and again it is killed (SIGKILL, which no process can
notice) at a random moment and resumed from the checkpoint it left, which must load. Whenever it gets to its end, its
parameters, the optimizer's vectors and the history must have the same bits as those of the training that was left
alone. Exit status 1 where they have not. POSIX only.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from fastbp import SGD, CheckpointError, Dense, Network, Trainer, pace
from fastbp.callbacks import Checkpoint, EarlyStopping

EPOCHS = 3
# An epoch this small would be one slice. With no time at all, a slice is a mini-batch, and a checkpoint follows.
pace.SLICE_SECONDS = 0.0


def make_samples() -> tuple[np.ndarray, np.ndarray]:
    """Bytes, and three classes that they tell apart more often than not."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 1500)
    x = rng.integers(0, 200, (1500, 20))
    x[np.arange(1500), y] += 50
    return x.astype(np.uint8), y


def train(path: Path, samples: tuple[np.ndarray, np.ndarray]) -> Trainer:
    """Train to the end, from the checkpoint where there is one."""
    network = Network(20, [Dense(16, "tanh"), Dense(3, "softmax")], seed=0)
    trainer = Trainer(network, SGD(0.2, momentum=0.9), batch_size=100, n_threads=1, seed=0)
    callbacks = [Checkpoint(path, every_seconds=1e-9), EarlyStopping(patience=EPOCHS, restore_best=True)]
    resume = path if path.exists() else None
    trainer.fit(*samples, epochs=EPOCHS, validation_split=0.2, callbacks=callbacks, resume=resume)
    return trainer


def outcome(trainer: Trainer) -> bytes:
    """Every bit that a training leaves, but for how long it took."""
    history = trainer.history
    lists = (history.cost, history.accuracy, history.validation_cost, history.validation_accuracy)
    vectors = (trainer.network.get_parameters(), *trainer._states)
    return b"".join(vector.tobytes() for vector in vectors) + repr((lists, trainer.updates)).encode()


def train_and_be_killed(path: Path, samples: tuple[np.ndarray, np.ndarray], after: float, result: Path) -> bool:
    """Train in a child process and kill it ``after`` seconds; whether it had come to its end before."""
    child = os.fork()
    if not child:
        status = 1
        try:
            result.write_bytes(outcome(train(path, samples)))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a training failed")
    return os.WIFEXITED(status)


def main(kills: int, seed: int) -> int:
    """Kill that many times; 0 where all went well."""
    rng, samples, seen = random.Random(seed), make_samples(), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, result = folder / "run.npz", folder / "result"
        train(folder / "first.npz", samples)  # loads the compiled kernels, which the children share
        begun = time.perf_counter()
        want = outcome(train(folder / "alone.npz", samples))
        lasted = time.perf_counter() - begun
        while seen["killed"] < kills:
            if not train_and_be_killed(path, samples, rng.uniform(0, lasted / 2), result):
                seen["killed"] += 1
                seen["while a file was written"] += len(list(folder.glob(".fastbp-*.tmp"))) > 0
                for left in folder.glob(".fastbp-*.tmp"):
                    left.unlink()
                if not path.exists():
                    seen["before the first checkpoint"] += 1
                    continue
                try:
                    seen["within an epoch"] += Trainer.load(path).place.done > 0
                except CheckpointError as error:
                    print(f"kill {seen['killed']}: {error}", file=sys.stderr)
                    return 1
                continue
            seen["came to the end"] += 1
            if result.read_bytes() != want:
                print(f"after {seen['killed']} kills: other bits than those of the run left alone", file=sys.stderr)
                return 1
            path.unlink()
        same = outcome(train(path, samples)) == want
        seen["came to the end"] += 1
    print(", ".join(f"{name}: {n}" for name, n in seen.items()), "| the same bits" if same else "| OTHER BITS")
    return 0 if same else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (default: %(default)s)")
    args = parser.parse_args()
    # Python 3.12 warns of forks beside threads. Those of NumPy's BLAS stay in the parent, and none of ours was started.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    sys.exit(main(args.kills, args.seed))
