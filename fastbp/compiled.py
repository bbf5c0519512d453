"""The addresses of compiled tasks; where none was compiled before, two CPUs share the work.

numba compiles under a lock of its own, so threads gain nothing. But compiled code comes through the cache on disk: a
second process compiles all others of a fit's tasks, while this one compiles the largest. If that fails, for whatever
reason, this one finds nothing in the cache and compiles them too. NUMBA_NUM_THREADS=1 keeps everything in one process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import _threads
from ._jit import address, global_compiler_lock, int64, is_missing, types
from .kernels import launch, minibatch, packing, shuffle

SCALARS = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}
# Waiting for the second process any longer would mean that it hangs.
PATIENCE = 60.0


@cache
def member(work: Any) -> int:
    """The address of ``launch.alone`` or ``launch.together``."""
    return int(address(work, types.void(types.int64, types.int64)))


@cache
def task(work: Any, dtype: np.dtype) -> int:
    """The address of a task of ``plan.stages``."""
    _compile_the_largest(dtype)
    return _task(work, dtype)


def _task(work: Any, dtype: np.dtype) -> int:
    return int(address(work, launch.signature(SCALARS[dtype])))


@cache
@global_compiler_lock  # type: ignore[untyped-decorator, unused-ignore]
def _compile_the_largest(dtype: np.dtype) -> None:  # of many threads that come at once, one starts a second process
    if is_missing(minibatch.samples, launch.signature(SCALARS[dtype])):
        with _second_process(dtype):
            _task(minibatch.samples, dtype)


def compile_others(dtype: str) -> None:
    """Compile what a fit needs beside the largest task: what the second process does.

    Examples
    --------
    >>> compile_others("float32")
    """
    for work in (minibatch.tiles, packing.pack, packing.unpack):
        _task(work, np.dtype(dtype))
    for way in (launch.alone, launch.together):
        member(way)
    for driver in (launch.launch_serial, launch.launch_parallel):
        driver.compile((int64,) * 5)
    shuffle.write_order.compile((int64,) * 8)


@contextmanager
def _second_process(dtype: np.dtype) -> Iterator[None]:
    """Have ``compile_others`` done meanwhile, and wait for it at the end."""
    process = _start(dtype)
    try:
        yield
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
    finally:
        if process is not None:
            process.kill()
            process.wait()


def _start(dtype: np.dtype) -> subprocess.Popen[bytes] | None:
    """Start a second Python like this one; None where there is no CPU for it, or where this is no ordinary Python."""
    python = sys.executable or ""
    ordinary = Path(python).name.startswith("python") and not getattr(sys, "frozen", False)
    if not ordinary or _threads.available() < 2:
        return None
    here = {"PYTHONPATH": os.pathsep.join(str(path) or os.getcwd() for path in sys.path), "FASTBP_QUIET": "1"}
    call = f"from {__name__} import compile_others; compile_others({str(dtype)!r})"
    nothing = subprocess.DEVNULL
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows has it
    with suppress(OSError, ValueError):
        return subprocess.Popen(
            [python, "-P", "-c", call],
            env=os.environ | here, stdin=nothing, stdout=nothing, stderr=nothing, creationflags=hidden,
        )  # fmt: skip
    return None
