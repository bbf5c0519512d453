"""Threads that work through the stages of a launch together, and wait for nobody who has not come.

A launch is a sequence of stages, each a number of tasks that may run in any order. One ``prange`` a launch sends
every thread into ``launch.together``, which stays until the last stage is done: starting a ``prange`` for every stage
took 0.9 us each (``omp``; 85 us with ``workqueue``), and a thread that fell asleep between two was often woken on the
CPU of the one that waited for it.

A stage's tasks are cut into one segment a member. Each member takes the tasks of its own segment first, the same
ones in every batch, so that its part of the parameters stays in its own cache, and then what others have left. Who
finishes a stage's last task opens the next stage. So a member is waited for only while it holds a task that it took:
one that comes late, or that the system gives no CPU, is done without. (In small batches, whose tasks take less time
than what they work on takes from core to core, others' tasks are left to them for a microsecond or two: ``leave``.)

    tickets    one a member, on a cache line of its own: stage << 32 | tasks of the segment that nobody took yet
    left       tasks of the stage that are not finished yet; who brings it to 0 opens the next stage

A task is taken by a compare-and-swap of the whole ticket, so that nobody who read the ticket of a stage long gone can
take a task of another. While somebody holds a task the stage stays open: what describes it may be read without care.
"""

from __future__ import annotations

import platform
import sys
from typing import Any

from .._jit import cgutils, intrinsic, ir, njit, types
from .layout import LINE

FINISHED = -1
TAKEABLE = 0xFFFFFFFF
# Looks at a ticket before a waiting thread offers its CPU to others, as another program may want it. 10 to 30 us.
SPINS = 1000
# Looks at another member's ticket before its tasks are taken, and pauses between them, as a look takes the ticket's
# line from it. 1.1 us on machine G of docs/performance.md; next to nothing where ``relax`` does nothing.
PATIENCE, PAUSES = 16, 8
YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"

_I64 = ir.IntType(64)


# ---------------------------------------------------------------- memory that threads share
@intrinsic
def load_shared(tc: Any, address: Any) -> Any:
    """The int64 at ``address``, and with it all that was written before it was stored (acquire)."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.load_atomic(b.inttoptr(args[0], _I64.as_pointer()), "acquire", 8, typ=_I64)

    return types.int64(types.int64), codegen


@intrinsic
def store_shared(tc: Any, value: Any, address: Any) -> Any:
    """Write an int64 for other threads, after all that was written before (release)."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        b.store_atomic(args[0], b.inttoptr(args[1], _I64.as_pointer()), "release", 8)
        return ctx.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def subtract_shared(tc: Any, value: Any, address: Any) -> Any:
    """Subtract from the int64 at ``address``; what it was before."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return b.atomic_rmw("sub", b.inttoptr(args[1], _I64.as_pointer()), args[0], "acq_rel")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def swap_if(tc: Any, address: Any, expected: Any, value: Any) -> Any:
    """Write ``value`` where ``expected`` is; returns what was there."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        pair = b.cmpxchg(b.inttoptr(args[0], _I64.as_pointer()), args[1], args[2], "acq_rel", "acquire")
        return b.extract_value(pair, 0)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def relax(tc: Any) -> Any:
    """Tell the CPU that this is a loop that waits, for the good of its other hardware thread."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        if platform.machine().lower() in ("x86_64", "amd64"):
            fnty = ir.FunctionType(ir.VoidType(), [])
            b.call(cgutils.get_or_insert_function(b.module, fnty, "llvm.x86.sse2.pause"), [])
        return ctx.get_dummy_value()

    return types.void(), codegen


@intrinsic
def yield_cpu(tc: Any) -> Any:
    """Let another thread have this CPU, if one wants it."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        fn = cgutils.get_or_insert_function(b.module, ir.FunctionType(ir.IntType(32), []), YIELD)
        b.call(fn, [])
        return ctx.get_dummy_value()

    return types.void(), codegen


# ---------------------------------------------------------------- a stage's tasks
@njit
def segment_stop(tasks, segment, threads):
    """The task behind a segment's last."""
    return tasks * (segment + 1) // threads


@njit
def open_stage(team, tasks, threads):
    """Let the members take ``tasks`` tasks. The count of unfinished ones stands before any can be taken."""
    stage = (load_shared(team + LINE) >> 32) + 1
    store_shared(tasks, team)
    start = 0
    for segment in range(threads):
        stop = segment_stop(tasks, segment, threads)
        store_shared((stage << 32) | (stop - start), team + LINE * (1 + segment))
        start = stop


@njit
def dismiss(team, threads):
    """Tell the members that the launch is over."""
    for segment in range(threads):
        store_shared(FINISHED, team + LINE * (1 + segment))


@njit
def take(team, segment):
    """Take a task of a segment: how many there were, counted from its end; 0 where none is left."""
    at = team + LINE * (1 + segment)
    ticket = load_shared(at)
    while ticket != FINISHED and ticket & TAKEABLE:
        seen = swap_if(at, ticket, ticket - 1)
        if seen == ticket:
            return ticket & TAKEABLE
        ticket = seen
    return 0


@njit
def leave(team, segment, stage):
    """Wait a moment for a member to take its segment's tasks of a stage itself: what they need is in its cache.

    How often it looked in vain.
    """
    at = team + LINE * (1 + segment)
    looks, ticket = 0, load_shared(at)
    while looks < PATIENCE and ticket >> 32 == stage and ticket & TAKEABLE:
        for _ in range(PAUSES):
            relax()
        looks, ticket = looks + 1, load_shared(at)
    return looks


@njit
def finish(team, tasks):
    """Hand in finished tasks; whether they were the stage's last."""
    return tasks > 0 and subtract_shared(tasks, team) == tasks


@njit
def next_stage(team, member, stage):
    """Wait until a member's ticket is of another stage; that stage, or FINISHED."""
    looks = 0
    while True:
        ticket = load_shared(team + LINE * (1 + member))
        if ticket >> 32 != stage:
            return ticket >> 32
        relax()
        looks += 1
        if looks > SPINS:
            yield_cpu()
