"""Rows of a wide network's W shared out among threads, where a batch is small: each keeps its own through the batch.

A batch of a few samples updates all of W, and hardly computes with it: its time is that of W's way through the caches.
On the way back a task takes rows of W, as d_i = W[i] . delta needs a row, which online SGD updates in the same walk.
If tasks took columns forward, half of W would cross from core to core, there and back, in every batch. So forward they
take the same rows, too, and tiles stand in the order of rows (tables.py):

    z = (sum over the first task's i of a_i W[i]) + (sum over the second's) + ... + (sum over the last one's + b)

What crosses is these sums. They are added up by those who need their activations next: a task does it for the units of
the layer before that are its own rows' inputs. At the first layer, where nothing flows back, columns are shared out,
forward and back, and in larger batches everywhere (plan.py).
"""

from __future__ import annotations

from .._jit import njit
from .dense import panel_width
from .layout import PANEL
from .lists import every_input
from .matmul import matmul, whole_rows
from .memory import lanes_of, load, number, size_of, store
from .online import row_product

# Rows of W that are a task's; and the most samples of a batch: all tasks' sums together should be much less than W.
TASK_ROWS, MOST_SAMPLES = 128, 16


def tasks_of(n_in: int) -> int:
    """How many tasks share a layer's rows."""
    return -(-n_in // TASK_ROWS)


@njit
def rows_of(layer, task):
    """The rows of W that are a task's, from and to; the last one's include b."""
    stop = TASK_ROWS * (task + 1)
    return TASK_ROWS * task, stop if stop < layer.n_in else layer.n_in + 1


@njit
def sums_at(one, run, l, task):  # noqa: E741
    """Where a task leaves what its rows bring to z of layer l, while others may still read those of layer l - 1."""
    return run.row_sums + size_of(one) * run.sums_size * (2 * task + l % 2)


@njit
def multiply_rows(one, run, layer, l, task):  # noqa: E741
    """What a task's rows of W, the last one's with b, bring to z of layer l of all samples; no inputs are skipped."""
    size, (i0, i1), to = size_of(one), rows_of(layer, task), sums_at(one, run, l, task)
    x, count, places = run.acts + size * (layer.a_in + i0), min(i1, layer.n_in) - i0, every_input(run)[1]
    for j in range(0, layer.width, PANEL):
        width = panel_width(layer.width, j)
        w, row, z = run.theta + size * (layer.w + j * (layer.n_in + 1)), size * width, to + size * j
        start = w + row * layer.n_in if i1 > layer.n_in else run.zeros
        if run.every_input:
            row_product(one, x, places, count, w + row * i0, row, start, z, width)
        else:
            a, b, rows = (x, size * layer.ld_in, size), (w + row * i0, row), whole_rows(run.rows, 4)
            matmul(one, a, b, (start, 0), (z, size * layer.ld), rows, width, count, number(one, 0.0))


@njit
def add_row_sums(one, run, layer, l, r0, r1, j0, j1):  # noqa: E741
    """z of samples r0 to r1, columns j0 to j1: the sum of all tasks' sums, in order."""
    size, tasks = size_of(one), (layer.n_in + TASK_ROWS - 1) // TASK_ROWS
    far = sums_at(one, run, l, 1) - sums_at(one, run, l, 0)
    for r in range(r0, r1):
        row = size * r * layer.ld
        for j in range(size * j0, size * j1, size * lanes_of(one)):
            at = sums_at(one, run, l, 0) + row + j
            total = load(one, at)
            for other in range(at + far, at + tasks * far, far):
                total = total + load(one, other)
            store(total, run.acts + size * layer.z + row + j)
