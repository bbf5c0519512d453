"""The tables that kernels read at run time, so that one compilation serves every architecture.

Parameters live twice. The user's theta is flat, W1 row-major, b1, W2, ...: ``weights[l]`` is a view of it. Kernels
work on a packed copy: each W is cut into **panels** of 32 columns, and a panel's n_in + 1 rows (the last one is
the bias) lie one after another. So a panel streams through the cache front to back, and a tile of it is one run of
memory that the optimizer updates without looking at rows. Padding columns are zero and stay zero. W^T is kept in the
same form (layers after the first), because the deltas travel through it.

Activations and deltas of a block of samples lie row by row, ``ld`` numbers a row. Offsets count numbers, not bytes.
"""

from __future__ import annotations

import numpy as np

PANEL = 32
PAD = 16
# Numbers of a gradient's tile, at most: they stay in the first-level cache through their sum and their update. Its rows
# are a multiple of 64, as what a list says of them (lists.py).
TILE_NUMBERS = 4 * 64 * PANEL

# What one thread writes and another reads lies so many bytes apart: two lines of 64, as the hardware fetches pairs.
LINE = 128

# Kinds of input, as the gather kernel finds them.
UINT8, FLOAT32, FLOAT64 = range(3)
# Kinds of targets: a row of them a sample, its class, or its class where the classes have rows of targets.
ROWS, CLASSES, SMOOTHED = range(3)
# What a pass over samples computes: each includes the ones before it.
FORWARD, COST, DELTA = range(3)


def _record(integers: str, floats: str = "") -> np.dtype:
    names = [(name, np.int64) for name in integers.split()] + [(name, np.float64) for name in floats.split()]
    return np.dtype(names, align=True)


# One row a layer. first: whether its inputs are the samples'; flat: its W in theta; w: its first panel in the packed
# copy; wt: the same of W^T, or -1; a_in, z, a, d: rows of its inputs, weighted inputs, activations and deltas. z is a
# unless f' or the cost needs z kept. Where dropout is at work a_in has rows of its own; drop_rate: the digits of its
# inputs' rate, 0 for none; at: the address of the row itself (dropout.py).
LAYER = _record(
    "first n_in n_out width bias activation flat w wt a_in ld_in z a d ld at drop_rate drop_key", "drop_scale"
)

# One row a task of phase 2: columns j0.. of a panel, rows i0 to i1, and whether the bias row comes along.
TILE = _record("layer j0 i0 i1 bias")

# One row a stage of a launch: a compiled task and how often to run it (0: once a chunk of the block's samples). A stage
# of ``samples`` says which part of the network to compute: layers forward_from to forward_to, the outputs' cost, back
# from backward_from to backward_to; by columns: task t computes the t-th panel of all samples; by rows: what the t-th
# rows of W bring (rows.py); else all of the t-th samples; ``inputs``: whether to multiply the first layer's, slice by
# slice (slices.py).
# A stage of ``tiles`` says whether to sum the gradient (a task a tile and part of the samples), to add up its parts, to
# measure it for clipping, and to update.
STAGE = _record(
    "work tasks by_columns by_rows gather inputs forward_from forward_to judge backward_from backward_to online "
    "gradient add_parts measure step"
)

# All that a launch needs to know: sizes, addresses of arrays, and the optimizer's numbers. What changes with the stage
# or the batch stands in cache lines of its own (64 bytes, 8 fields; ``_1`` and so on fill them up): all else beside it
# would have to be fetched again.
RUN = _record(
    # the stage at work, its compiled task and how often to run it; the batch and the block at work
    "stage work tasks batch_start first rows chunks keep_gradient "
    # whether the batch ends with the block, and whether to update then; updates so far, and where their learning rate
    # is; the epoch at work, where a launch has several; whether one thread takes the stage's last task first
    "complete update updates rate_at epoch_start epoch_stop downwards _1 "
    # the tables; the threads and their tickets
    "n_layers layers n_tiles tiles threads team "
    # the address of the record itself, and of dropout's code
    "at drop "
    # parameters, gradient and the optimizer's state, all packed; rows of a block's samples; zeros to read
    "flat_state1 flat_state2 theta wt grad state1 state2 acts deltas column_costs zeros "
    # where x is not zero: lists, bytes from one to the next and words of 64 inputs of the longest; for online SGD, a
    # list of every input; the inputs that are listed; addresses of rows' bytes, and of those to ask for (lists.py)
    "n_in lists list_bytes list_words every_input listed sources "
    # what all slices of the inputs but the first bring to z, whether they lie apart, and inputs of one (slices.py)
    "partial apart slice_inputs "
    # what a task's rows of W bring to z, and numbers from one task's to the next (rows.py)
    "row_sums sums_size "
    # numbers of a row of inputs that are gathered, and of a slice of one
    "ld_in ld_slice "
    # the place to stop at, a block's most samples; numbers from the gradient of one part to the next; costs and hits of
    # chunks, LINE bytes apart; behind each cost, how many of the chunk's slices are done
    "stop block part_size costs correct "
    "cost optimizer nesterov learning_rates "
    # squares of each tile's gradient, by columns and in all; a row of targets for each class, where smoothed
    "column_squares squares class_rows "
    # the data: x and its kind; classes, in the order in which samples are taken, or targets; what each sample counts
    # (0: one); that order (0: as they lie); whether to skip what is zero; whether x serves as it lies, and how far it
    # is from acts
    "x x_kind y y_kind sample_weights order skip_zeros in_place x_offset "
    # samples of an epoch, where a launch has several (0: one, or a part of one); where each leaves its cost and hits
    "epoch epoch_costs epoch_hits _2 _3 "
    # what to compute: the stages; samples of a batch and of a chunk, whether to average, the parts that have gradients
    # of their own, slices of the inputs, whether tasks want each sample's own inputs; flat parameters and gradient;
    # where the outputs go (0: nowhere); hits and, as the first of the floats, the cost of all samples
    "n_stages stages what batch chunk_rows average parts slices by_sample "
    "flat_theta flat_grad out count_hits total_correct",
    # what changes from batch to batch: Adam's corrections, and what clipping leaves of the gradient, among them
    "total_cost scale eta correction1 correction2 shrink _4 "
    "l1 l2 momentum beta1 beta2 epsilon weight_decay "
    # limits (0: none)
    "clip_norm clip_sample_norm max_norm",
)


def pad(n: int) -> int:
    """``n`` rounded up to a whole number of the widest vectors."""
    return -(-n // PAD) * PAD


def leading_dimension(n: int, itemsize: int) -> int:
    """Numbers from one sample's row to the next.

    A stride of a multiple of 1 KiB would put one column of many rows into a few sets of the cache: step past it.
    """
    ld = pad(n)
    return ld + PAD if ld * itemsize % 1024 == 0 else ld


def packed_size(n_rows: int, n_columns: int) -> int:
    """Numbers that the panels of an (n_rows, n_columns) matrix take."""
    return n_rows * pad(n_columns)
