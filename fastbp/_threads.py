"""How many threads a kernel may use, and the context around every launch of one.

    with region(n_threads) as granted:
        (kernel_parallel if granted > 1 else kernel_serial)(...)

numba runs ``prange`` on a threading layer: ``omp``, or ``workqueue`` where there is no libgomp, or ``tbb``. Two things
end the whole process: entering ``workqueue`` from two Python threads at once, and entering ``omp`` in a child forked
from a process that has started it (in the child's children it hangs). ``region`` lets neither happen.
"""

# mypy: disable-error-code="attr-defined"
# numba's type hints leave these names out.

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path

import numba

from .scalars import count

# Layers that several Python threads may enter at once.
THREAD_SAFE = ("omp", "tbb")

# By default libgomp lets threads spin some milliseconds for one that is late. Where others share the CPUs, the late one
# waits for the very CPU on which they spin: an epoch of 18 ms took 4,600, when every phase was a launch. Now a launch
# is a slice (kernels/team.py), and they spin only between two. Spinning too little is no better: the system then wakes
# a sleeping thread on the waker's own CPU. libgomp reads this when numba loads it; where the user has a say it is left
# alone.
SPIN_COUNT = "20000"
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)

_one_at_a_time = threading.RLock()
_forked_from_threads = False


# ---------------------------------------------------------------- how many
def _cgroup_folders(proc: Path, root: Path) -> Iterator[Path]:
    """List the folders that may limit this process: its groups (v2, and v1's cpu controller) and all above them."""
    for line in proc.read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            # In a container the group may be named as the host sees it: its folder is not there, but the top is.
            path = Path(group)
            for part in (path, *path.parents):
                for mount in ("", "unified") if not controllers else ("cpu", controllers):
                    yield root / mount / part.relative_to("/")


def _limit(folder: Path) -> float:
    """Read one folder's quota in CPUs: infinity where it sets none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else math.inf
    except (OSError, ValueError):  # not there, or "max"
        return math.inf


@cache
def _quota(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """Count the CPUs that a container's limit is worth, rounded up; infinity without one. Read once a process."""
    try:
        limit = min(map(_limit, _cgroup_folders(proc, root)), default=math.inf)
    except (OSError, ValueError):  # no Linux
        return math.inf
    return max(1, math.ceil(limit)) if math.isfinite(limit) else limit


def available() -> int:
    """Count the CPUs that this process may use: the least of affinity, container's quota and NUMBA_NUM_THREADS.

    Examples
    --------
    >>> available() >= 1
    True
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(min(affinity, _quota(), numba.config.NUMBA_NUM_THREADS))


def check(n_threads: int | None) -> int:
    """Turn a user's ``n_threads`` into a number of threads.

    Parameters
    ----------
    n_threads : int or None
        1 or more; None stands for ``available()``. More than numba has started threads for (``NUMBA_NUM_THREADS``, by
        default one a CPU) is cut down to that: the results have the same bits for any number.

    Raises
    ------
    TypeError, ValueError
        If it is neither None nor a whole number of 1 or more.

    Examples
    --------
    >>> check(1), check(10**6) == numba.config.NUMBA_NUM_THREADS
    (1, True)
    >>> check(0)
    Traceback (most recent call last):
    ValueError: n_threads: got 0, expected a whole number of 1 or more
    """
    if n_threads is None:
        return available()
    return min(count("n_threads", n_threads), int(numba.config.NUMBA_NUM_THREADS))


# ---------------------------------------------------------------- the threading layer
def _started() -> str | None:
    """Name the layer whose threads are started; None before that."""
    try:
        return str(numba.threading_layer())
    except ValueError:
        return None


def layer() -> str:
    """Name numba's threading layer: "omp", "workqueue" or "tbb".

    The first call lets numba choose and start it, which honours NUMBA_THREADING_LAYER, compiles nothing, and takes
    about 20 ms.

    Examples
    --------
    >>> layer() in ("omp", "workqueue", "tbb")
    True
    """
    if _started() is None:
        numba.get_num_threads()
    return str(numba.threading_layer())


def _after_fork() -> None:
    """Note, in a forked child, that the threads it believes to have stayed with its parent.

    The lock may have stayed locked, too. It is only taken once the threads are started, so never again in this child.
    """
    global _forked_from_threads
    _forked_from_threads = _started() is not None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def region(n_threads: int | None) -> Iterator[int]:
    """Surround every launch of a kernel: yields how many threads it may use.

    Where that is 1, the caller takes its serial kernel, and nothing touches the threading layer. Otherwise numba's
    number of threads is set for this Python thread, and put back at the end whatever happens. A child forked after
    the threads were started gets 1.

    Parameters
    ----------
    n_threads : int or None
        As ``check`` takes it.

    Examples
    --------
    >>> with region(1) as granted:
    ...     granted
    1
    """
    granted = check(n_threads)
    if granted == 1 or _forked_from_threads:
        yield 1
        return
    with nullcontext() if layer() in THREAD_SAFE else _one_at_a_time:
        before = numba.get_num_threads()
        numba.set_num_threads(granted)
        try:
            yield granted
        finally:
            numba.set_num_threads(before)
