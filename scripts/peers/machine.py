"""What this machine could do at most: multiply-adds a second from registers, and bytes a second from memory."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .worker import cpus

CHAINS = 12  # independent sums: more than latency x units of any CPU around, few enough for 16 registers


def describe() -> str:
    """CPU, its count for this process, Python and system."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{cpus()} CPUs of {model}; Python {platform.python_version()}, {platform.system()}"


def _chains() -> tuple[Callable[[int, float], float], int]:
    """A compiled loop of nothing but multiply-adds on vectors in registers, and its operations a step."""
    import llvmlite.binding as llvm
    from llvmlite import ir
    from numba import njit
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    features = llvm.get_host_cpu_features()
    lanes = 16 if features.get("avx512f") else 8 if features.get("avx") else 4
    vector = ir.VectorType(ir.FloatType(), lanes)

    @intrinsic  # type: ignore[misc]
    def multiply_add(tc: Any, steps: Any, x: Any) -> Any:
        def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            first = b.insert_element(undefined, args[1], ir.IntType(32)(0))
            factor = b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))
            sums = [cgutils.alloca_once_value(b, ir.Constant(vector, [float(k)] * lanes)) for k in range(CHAINS)]
            with cgutils.for_range(b, args[0]):
                for s in sums:
                    product = b.fmul(b.load(s), factor, flags=("contract",))
                    b.store(b.fadd(product, factor, flags=("contract",)), s)
            total = b.load(sums[0])
            for s in sums[1:]:
                total = b.fadd(total, b.load(s))
            return b.extract_element(total, ir.IntType(32)(0))

        return types.float32(types.int64, types.float32), codegen

    @njit(nogil=True)  # type: ignore[misc]
    def run(steps: int, x: float) -> float:
        return multiply_add(steps, np.float32(x))

    run(1, 0.5)
    return run, 2 * lanes * CHAINS


def _rate(works: list[Callable[[], Any]], amount: float) -> float:
    """``amount`` of each work a second, one thread each; the best of five, for interruptions only ever slow it down."""
    best = 0.0
    for _ in range(5):
        team = [threading.Thread(target=work) for work in works]
        start = time.perf_counter()
        for member in team:
            member.start()
        for member in team:
            member.join()
        best = max(best, len(works) * amount / (time.perf_counter() - start))
    return best


def limits(threads: int) -> dict[str, float]:
    """GFLOP/s of float32 multiply-adds, and GB/s read and written by a copy, with ``threads`` threads."""
    (run, flops), steps = _chains(), 5_000_000
    gflops = _rate([partial(run, steps, 0.5)] * threads, 1e-9 * steps * flops)
    pairs = [(np.ones(16 << 20, np.float32), np.ones(16 << 20, np.float32)) for _ in range(threads)]
    gbytes = _rate([partial(np.copyto, *pair) for pair in pairs], 2e-9 * pairs[0][0].nbytes)
    return {"gflops": gflops, "gbytes": gbytes}
