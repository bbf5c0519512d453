"""One peer in a process of its own: reads requests from stdin, writes one line of JSON for each to stdout.

    python -m peers.worker NAME THREADS FOLDER

The process binds itself to as many CPUs as it has threads before anything is imported that starts a thread pool.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from .cells import Cell

# name: (distribution, module, class)
PEERS = {
    "fastbp": ("fastbp", "fastbp_peer", "FastbpPeer"),
    "numpy": ("numpy", "numpy_peer", "NumpyPeer"),
    "torch": ("torch", "torch_peer", "TorchPeer"),
    "torch-compile": ("torch", "torch_peer", "CompiledTorchPeer"),
    "jax": ("jax", "jax_peer", "JaxPeer"),
    "sklearn": ("scikit-learn", "sklearn_peer", "SklearnPeer"),
}


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bind(threads: int) -> None:
    """Leave this process ``threads`` CPUs, where the system can: no peer then uses more, whatever its pools think."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def answers() -> TextIO:
    """Where answers go: stdout as it was. What a library prints from now on goes to stderr, not between them."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return channel


def check(peer: Any, work: Any) -> dict[str, float]:
    """The numbers by which results are compared; running it also compiles and warms what the turns will run."""
    import numpy as np

    from .work import cost, fingerprint

    task = work.cell.task
    if task == "train":
        peer.train(work.cell.check_repeats, shuffle=False)
        return {"cost": cost(work, peer.parameters()), **fingerprint(moved(peer, work))}
    if task == "gradient":
        parts = peer.gradient()
        leaves = [leaf for part in parts for leaf in (part if isinstance(part, tuple) else (part,))]
        return fingerprint(np.concatenate([np.asarray(leaf, dtype=np.float64).ravel() for leaf in leaves]))
    return fingerprint(np.asarray(peer.forward(), dtype=np.float64).ravel())


def moved(peer: Any, work: Any) -> Any:
    """How far training has taken the parameters from where they began."""
    from .work import flat

    return flat(peer.parameters()) - flat(work.parameters)


def turn(peer: Any, cell: Cell) -> float:
    """Seconds of one epoch, step or call, averaged over the turn.

    The first of all is not timed: it brings back what the others' turns pushed out of the caches.
    """
    repeat(peer, cell, 1)
    start = time.perf_counter()
    repeat(peer, cell, cell.repeats)
    return (time.perf_counter() - start) / cell.repeats


def repeat(peer: Any, cell: Cell, times: int) -> None:
    """Train so many epochs, or make so many calls."""
    if cell.task == "train":
        peer.train(times, shuffle=True)
    else:
        call = peer.gradient if cell.task == "gradient" else peer.forward
        for _ in range(times):
            call()


def answer(state: dict[str, Any], request: dict[str, Any], name: str, threads: int, folder: Path) -> dict[str, Any]:
    """Do one request; what goes wrong is an answer too, so that the other peers go on."""
    from .work import cell_from_json, fingerprint, make_work

    try:
        if request["do"] == "turn":
            return {"seconds": turn(state["peer"], state["cell"])}
        state.clear()  # frees the last cell's data before the next is made
        cell = cell_from_json(request["cell"])
        work = make_work(cell, folder)
        peer = load(name)(work, threads)
        state.update(peer=peer, cell=cell)
        found = check(peer, work)
        turn(peer, cell)  # warms, and is looked at too: only turns shuffle
        return {"check": found, "moved": fingerprint(moved(peer, work))["norm"]}
    except NotImplementedError as error:
        return {"unsupported": str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def load(name: str) -> Any:
    """The class of a peer; ImportError where it is not installed."""
    _, module, attribute = PEERS[name]
    return getattr(importlib.import_module(f".{module}", __package__), attribute)


def main(name: str, threads: int, folder: Path) -> None:
    """Serve until stdin ends."""
    bind(threads)
    channel = answers()

    def send(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    try:
        load(name)
    except ImportError as error:
        return send({"error": str(error)})
    try:
        found = version(PEERS[name][0])
    except PackageNotFoundError:
        found = "not installed, from the source tree"
    send({"version": found})
    state: dict[str, Any] = {}
    for line in sys.stdin:
        send(answer(state, json.loads(line), name, threads, folder))
    return None


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
