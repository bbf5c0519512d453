"""A launch: from stage to stage, alone or as a team.

The stages are STAGE records (layout.py; plan.py makes them). What leads from one to the next knows only the
addresses of compiled tasks: it is compiled once for all dtypes and networks.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from .._jit import carray, from_dtype, intrinsic, ir, njit, parallel, prange, serial, types
from .layout import COST, LAYER, LINE, RUN, STAGE, TILE
from .memory import load_int, load_scalar, store_int, store_scalar
from .subnormal import flush_subnormals, set_mode
from .team import FINISHED, dismiss, finish, leave, next_stage, open_stage, segment_stop, take
from .update import ADAM


@cache
def signature(scalar: Any) -> Any:
    """The C signature of a task: (theta, run, layers, tiles, task number); theta's type is the dtype to work in."""
    records = [types.CPointer(from_dtype(kind)) for kind in (RUN, LAYER, TILE)]
    return types.void(types.CPointer(scalar), *records, types.int64)


@intrinsic
def call(tc: Any, work: Any, run: Any, layers: Any, tiles: Any, task: Any) -> Any:
    """Call the task function at address ``work``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        fnty = ir.FunctionType(ir.VoidType(), [pointer] * 4 + [ir.IntType(64)])
        addresses = [b.inttoptr(a, pointer) for a in (args[1], args[1], args[2], args[3])]
        b.call(b.inttoptr(args[0], fnty.as_pointer()), [*addresses, args[4]])
        return ctx.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def call_member(tc: Any, work: Any, at: Any, member: Any) -> Any:
    """Call ``alone`` or ``together`` at address ``work``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        fnty = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 2)
        b.call(b.inttoptr(args[0], fnty.as_pointer()), args[1:])
        return ctx.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


def _records(kind: Any) -> Any:
    """A function of an address: the records of a kind there.

    Drivers get plain ints: numba takes 10 us to look at a record array's type.
    """

    @intrinsic
    def records(tc: Any, at: Any) -> Any:
        pointer = types.CPointer(from_dtype(kind))
        return pointer(types.int64), lambda ctx, b, sig, args: b.inttoptr(args[0], ctx.get_value_type(pointer))

    return records


stages_of, layers_of, run_pointer = _records(STAGE), _records(LAYER), _records(RUN)


# ---------------------------------------------------------------- from stage to stage
@njit
def batch_stop(run):
    """The place behind the batch at work; an epoch's last batch may be smaller."""
    return min(run.epoch_stop, run.batch_start + run.batch)


@njit
def start_epoch(run, start):
    """Let an epoch begin at a place; where a launch is a part of one, it ends with the launch."""
    run.epoch_start = start if run.epoch else 0
    run.epoch_stop = min(run.stop, start + run.epoch) if run.epoch else run.stop


@njit
def end_epoch(run):
    """Keep the cost and the hits of one of the launch's epochs."""
    done = run.epoch_start // run.epoch
    store_scalar(run.total_cost, run.epoch_costs + 8 * done)
    store_int(run.total_correct, run.epoch_hits + 8 * done)
    run.total_cost, run.total_correct = 0.0, 0
    start_epoch(run, run.epoch_stop)


@njit
def place_inputs(run, first):
    """Where the first layer finds its inputs: in rows to gather them into, or, where x is as they would be, in x."""
    layer = carray(layers_of(run.layers), run.n_layers)[0]
    a_in = run.x_offset + (first - run.epoch_start) * run.n_in if run.in_place else 0
    ld_in = run.n_in if run.in_place else run.ld_slice if run.apart else run.ld_in
    if layer.a_in != a_in or layer.ld_in != ld_in:  # writing would take the line from the other threads
        layer.a_in, layer.ld_in = a_in, ld_in


@njit
def start_block(run, first, rows):
    """Point the run at ``rows`` samples from ``first``, cut into chunks of about ``chunk_rows``."""
    place_inputs(run, first)
    run.first = first
    if rows != run.rows:
        run.rows = rows
        run.chunks = max(1, (rows + run.chunk_rows // 2) // run.chunk_rows)
    batch_rows = batch_stop(run) - run.batch_start
    run.scale = 1.0 / batch_rows if run.average else 1.0
    run.keep_gradient = first > run.batch_start
    run.complete = first + rows == run.batch_start + batch_rows
    run.update = run.complete and run.learning_rates != 0
    if run.learning_rates and first == run.batch_start:
        start_update(run)


@njit
def start_update(run):
    """Set what depends on the update's number: the learning rate, and Adam's corrections for its zero start."""
    run.eta = load_scalar(1.0, run.rate_at)
    run.rate_at += 8
    run.updates += 1
    if run.optimizer == ADAM:
        run.correction1 = 1.0 / (1.0 - run.beta1**run.updates)
        run.correction2 = 1.0 / (1.0 - run.beta2**run.updates)


@njit
def next_block(run):
    """Go on to the next block of samples, in the next batch or epoch where this one is done; whether there is one."""
    first = run.first + run.rows
    if first == batch_stop(run):
        run.batch_start = first
        if run.epoch and first == run.epoch_stop:
            end_epoch(run)
    if first < run.stop:
        start_block(run, first, min(run.block, batch_stop(run) - first))
    return first < run.stop


@njit
def collect(run):
    """Add the chunks' costs and hits to the run's, in order; whether the cost is still finite."""
    for c in range(run.chunks):
        run.total_cost += load_scalar(1.0, run.costs + LINE * c)
        run.total_correct += load_int(run.correct + LINE * c)
    return math.isfinite(run.total_cost)


@njit
def measure(run):
    """What clipping leaves of the batch's gradient, from the squares of its tiles."""
    total = 0.0
    for tile in range(run.n_tiles):
        total += load_scalar(1.0, run.squares + 8 * tile)
    norm = math.sqrt(total)
    run.shrink = run.clip_norm / norm if norm > run.clip_norm else 1.0


@njit
def enter(run, number):
    """Make a stage the one at work."""
    stage = carray(stages_of(run.stages), run.n_stages)[number]
    run.stage = number
    run.work, run.downwards = stage.work, stage.online
    run.tasks = stage.tasks or run.chunks * (run.slices if run.apart and stage.inputs else 1)


@njit
def advance(run):
    """Go on to the next stage; whether there is one.

    The first stage packs the parameters and the last one unpacks results; those between run for every block of samples.
    Updates stop where the cost is no longer finite; nothing is unpacked then: what diverges leaves no trace.
    """
    stages = carray(stages_of(run.stages), run.n_stages)
    if stages[run.stage].judge and run.what >= COST and not collect(run) and run.learning_rates:
        return False
    if stages[run.stage].measure and run.update:
        measure(run)
    number, last = run.stage + 1, run.n_stages - 1
    if run.stage == 0 or number == last:
        number = 1 if next_block(run) else last
    if run.stage == last:
        return False
    enter(run, number)
    return True


def alone(at, member):
    """Work through all stages on one thread.

    The way back of online SGD begins with the rows of W that the way forward read last: those are still in the cache.
    """
    run, mode, more = carray(run_pointer(at), 1)[0], flush_subnormals(), True
    while more:
        last = run.tasks - 1
        for task in range(run.tasks):
            call(run.work, at, run.layers, run.tiles, last - task if run.downwards else task)
        more = advance(run)
    set_mode(mode)


def together(at, member):
    """Work through all stages as one member of a team (team.py says how)."""
    run, mode = carray(run_pointer(at), 1)[0], flush_subnormals()
    team, threads, stage = run.team, run.threads, 0
    while stage != FINISHED:
        done = 0
        for other in range(threads):
            segment = (member + other) % threads
            if other and run.chunks == 1:  # then tasks are short
                leave(team, segment, stage)
            left = take(team, segment)
            while left:
                call(run.work, at, run.layers, run.tiles, segment_stop(run.tasks, segment, threads) - left)
                done += 1
                left = take(team, segment)
        if finish(team, done):
            if advance(run):
                open_stage(team, run.tasks, threads)
            else:
                dismiss(team, threads)
        stage = next_stage(team, member, stage)
    set_mode(mode)


def _launch(at, work, start, stop, threads):
    """Work through the samples at places ``start`` to ``stop`` of the order, a batch after the other.

    ``at`` is the address of the RUN record, which says what to compute, ``work`` that of ``alone`` or ``together``. A
    batch larger than the work space goes through it in blocks; the gradient is kept between them and the last one
    updates. Places may be those of several epochs, ``run.epoch`` each, one behind the other. Returns the first place
    not done: ``stop``, or where updates stopped as the cost was no longer finite.
    """
    run = carray(run_pointer(at), 1)[0]
    run.stop, run.batch_start, run.first, run.rows = stop, start, start, 0
    run.threads, run.rate_at = threads, run.learning_rates
    run.apart = threads > 1 and run.slices > 1
    start_epoch(run, start)
    enter(run, 0)
    if threads > 1:
        dismiss(run.team, threads)  # numbers begin again, at 0
        open_stage(run.team, run.tasks, threads)
    for member in prange(threads):
        call_member(work, at, member)
    return run.batch_start


launch_serial, launch_parallel = serial(_launch), parallel(_launch)
