"""What kernels work on: the tables and buffers for one network, and the launch.

A ``Workspace`` turns a network's shape into the tables of ``kernels/layout.py``, owns every buffer that a pass
needs, allocated once, and starts the drivers on the right number of threads. Its sizes depend on the network and on
how many samples are at work at a time, never on how many there are.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Hashable, Sequence
from struct import Struct
from typing import Any

import numpy as np

from . import _threads, compiled, plan
from ._jit import address
from .arguments import address_of
from .kernels import costs, dropout, launch
from .kernels.layout import (
    CLASSES,
    DELTA,
    FLOAT32,
    FLOAT64,
    LINE,
    PAD,
    PANEL,
    ROWS,
    RUN,
    SMOOTHED,
    STAGE,
    UINT8,
)
from .kernels.lists import FEWEST_INPUTS
from .kernels.matmul import GROUP
from .kernels.rows import MOST_SAMPLES, tasks_of
from .tables import CHUNK_ROWS, RATE, SAMPLE_SECONDS, SLICES, Shape, layer_table, tile_table

X_KINDS = {"B": UINT8, "f": FLOAT32, "d": FLOAT64}

# Below these shares of inputs that a list would have lists pay (docs/experiments.md): those of groups of bytes, of
# groups of numbers, and of single samples.
LISTED_BYTES, LISTED_NUMBERS, LISTED_ONLINE = 0.7, 0.6, 0.5
# Samples that are looked at for it.
LOOKED_AT = 64
# Waking a thread, and meeting after a stage, in seconds: they decide whether more threads pay.
WAKE_SECONDS, MEETING_SECONDS = 1e-4, 3e-7
# Below so many rows W's way through the cache takes longer than the arithmetic.
FULL_RATE_ROWS = 8

# Inputs up to so many are read where they lie, if they lie as kernels take them.
MOST_IN_PLACE = 128

# Lists have places of 16 bits: of more inputs none is skipped, and online SGD takes the two phases of a mini-batch.
MOST_LISTED = 1 << 16

# Kept, of calls with different numbers of samples.
MOST_PLANS = 64

# Workspaces of fits that ended are kept for the next ones alike, so many, and none that is larger: half the time of a
# short fit went into allocating one and touching its pages for the first time.
MOST_SPARE, SPARE_BYTES = 16, 1 << 22

# What every call sets lies together in the run record, and is written at once: that is ten times quicker than by name.
_write_data, _write_call, _read_totals = Struct("9q").pack_into, Struct("15q").pack_into, Struct("qd").unpack_from
_DATA, _CALL, _TOTALS = (RUN.fields[first][1] for first in ("x", "n_stages", "total_correct"))  # type: ignore[index]


_spare: deque[tuple[Hashable, Workspace]] = deque(maxlen=MOST_SPARE)  # those kept last at its end
_spare_lock = threading.Lock()


def _after_fork() -> None:
    """Another thread may have held the lock."""
    global _spare_lock
    _spare_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def take_spare(key: Hashable) -> Workspace | None:
    """A workspace that was put by under this key, if there is one; nobody else has it then."""
    with _spare_lock:
        for k, (kept, workspace) in enumerate(_spare):
            if kept == key:
                del _spare[k]
                return workspace
    return None


def put_by(key: Hashable, workspace: Workspace) -> None:
    """Keep a workspace that nobody uses any more for who asks for this key, which says all that it depends on."""
    if workspace.nbytes <= SPARE_BYTES:
        with _spare_lock:
            _spare.append((key, workspace))


def _buffer(numbers: int, dtype: Any) -> np.ndarray:
    """Zeros that begin at a cache line; kernels may read, and not use, a block of a panel's rows behind them."""
    dtype = np.dtype(dtype)
    raw = np.zeros((numbers + PAD * PANEL) * dtype.itemsize + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + numbers * dtype.itemsize].view(dtype)


class Workspace:
    """Tables, buffers and launches for one network and up to ``rows`` samples at a time.

    Parameters
    ----------
    shape : Shape
    rows : int
        Samples of the largest batch; more than a block holds go through in blocks.
    online : bool
        Whether every launch will be online SGD (``kernels/online.py``).
    dropout_seed : int, optional
        Of the masks of dropout; None leaves nothing out, whatever the layers say.
    """

    def __init__(self, shape: Shape, rows: int, online: bool = False, dropout_seed: int | None = None) -> None:
        self.shape, self.online, self.dropout_seed = shape, online, dropout_seed
        self.rows = min(shape.block_rows, -(-rows // 8) * 8)
        self.run = _buffer(RUN.itemsize, np.uint8).view(RUN)
        self._numbers: dict[str, np.ndarray] = {}
        self._fields = self.run.data.cast("B")
        self._describe()
        self._allocate()
        self._plans: dict[tuple[int, int, Any], tuple[int, ...]] = {}
        self._stages: dict[tuple[int, int, Any, bool], np.ndarray] = {}  # plans have their addresses
        self._classes = CLASSES
        self["at"] = self._at = self.run.ctypes.data

    def __setitem__(self, field: str, value: float) -> None:
        self.run[field] = value

    def __getitem__(self, field: str) -> Any:
        return self.run[field][0]

    @property
    def nbytes(self) -> int:
        """Of all buffers."""
        return sum(array.nbytes for array in self._numbers.values())

    def _keep(self, field: str, array: np.ndarray) -> np.ndarray:
        """Hold on to ``array`` and let kernels find it under ``field``."""
        self._numbers[field] = array
        self[field] = array.ctypes.data
        return array

    def _describe(self) -> None:
        """Make the tables, and tell the run of them."""
        shape = self.shape
        self.layers, self.sizes = layer_table(shape, self.rows, self.online, self.dropout_seed)
        self["n_layers"], self["layers"] = len(self.layers), self.layers.ctypes.data
        self["n_in"], self["cost"], self["shrink"] = shape.n_in, costs.CODES[shape.cost], 1.0
        if self.layers["drop_rate"].any():
            self["drop"] = address(dropout.drop, dropout.signature(compiled.SCALARS[shape.dtype]))
        self.tiles = tile_table(shape, self.layers, self.rows <= MOST_SAMPLES)
        self["n_tiles"], self["tiles"] = len(self.tiles), self.tiles.ctypes.data
        self["part_size"] = shape.packed

    def _allocate(self) -> None:
        shape, rows, dtype = self.shape, self.rows, self.shape.dtype
        width = int(self.layers[-1]["width"])
        for field in ("acts", "deltas", "theta", "wt"):
            self._keep(field, _buffer(self.sizes[field], dtype))
        chunks = rows // (CHUNK_ROWS // 2) + 1
        self._keep("column_costs", _buffer(chunks * width, dtype))
        self._keep("costs", _buffer(chunks * LINE // 8, np.float64))
        self._keep("correct", _buffer(chunks * LINE // 8, np.int64))
        self._keep("zeros", _buffer(PANEL, dtype))
        self["block"], self["ld_in"], self["ld_slice"] = rows, self.layers[0]["ld_in"], shape.ld_slice
        self._acts_at, self._itemsize = int(self["acts"]), dtype.itemsize
        # Long rows of the user's may be a multiple of 1 KiB apart (layout.py), and cost little to copy.
        as_it_lies = shape.n_in <= MOST_IN_PLACE and not self.layers[0]["drop_rate"]
        self._kind_in_place = X_KINDS[dtype.char] if as_it_lies else None
        partial = (SLICES - 1) * rows * int(self.layers[0]["ld"]) if shape.has_slices else 0
        self._keep("partial", _buffer(partial, dtype))
        self._list_inputs()

    def _list_inputs(self) -> None:
        """Room for lists of inputs, and for online SGD the list of all (``kernels/lists.py``)."""
        shape = self.shape
        self["slice_inputs"] = shape.slice_inputs
        slices = SLICES if shape.has_slices else 1
        self["list_words"] = words = -(-max(shape.sizes) // 64) if self.online else slices * shape.slice_words
        self["list_bytes"] = 8 * (2 * words + 1) + 2 * (64 * words + 64)
        self._can_list = FEWEST_INPUTS <= shape.n_in <= MOST_LISTED
        lists = SLICES * self.rows // GROUP if self._can_list else 0
        self._keep("lists", _buffer(lists * int(self["list_bytes"]), np.uint8))
        self._keep("listed", _buffer(0 if self.online else lists * GROUP * 64 * words, shape.dtype))
        self._keep("sources", _buffer(2 * SLICES * self.rows, np.int64))
        if self.online:
            begins, places = 64 * np.arange(words + 1, dtype=np.int64), np.arange(64 * words, dtype=np.uint16)
            self._keep("every_input", np.concatenate([begins.view(np.uint16), np.zeros(4 * words, np.uint16), places]))

    # ------------------------------------------------------------ what to work on
    def point_at(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        order: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        """Let the next launches take their samples from here; the arrays must stay alive until then.

        With an ``order`` classes are expected in it: in kernels each would have to be waited for.
        """
        x_at, y_at, weights_at, order_at = address_of(x), address_of(y), address_of(weights), address_of(order)
        x_kind, skip_zeros = X_KINDS[x.dtype.char], self._can_list and self._lists_pay(x)
        y_kind = self._classes if y is not None and y.dtype.kind == "i" else ROWS
        offset, rest = divmod(x_at - self._acts_at, self._itemsize)
        in_place = x_kind == self._kind_in_place and order is None and not (skip_zeros or rest)
        numbers = (x_at, x_kind, y_at, y_kind, weights_at, order_at, skip_zeros, in_place, offset)
        _write_data(self._fields, _DATA, *numbers)

    def _lists_pay(self, x: np.ndarray) -> bool:
        """Whether so few inputs are other than zero that the first layer's products should walk lists of these."""
        if self.online:
            return listed_share(x, 1) < LISTED_ONLINE
        return listed_share(x, GROUP) < (LISTED_BYTES if x.dtype == np.uint8 else LISTED_NUMBERS)

    def prepare(
        self,
        what: int,
        batch: int,
        theta: np.ndarray,
        *,
        grad: np.ndarray | None = None,
        out: np.ndarray | None = None,
        each: Any = None,
    ) -> None:
        """Set what the next launches compute (FORWARD, COST or DELTA), and of which flat parameters.

        Hits are counted too, unless only a gradient is wanted. ``out``: where the outputs go, (n, n_out). ``each``: a
        task to run on every chunk's deltas in place of a gradient's tiles (kernels/persample.py); it writes ``out``.
        """
        how, arrays = self._plan(what, batch, each), (address_of(theta), address_of(grad), address_of(out))
        # The last two are totals: a float's 0 has the bits of an int's.
        _write_call(self._fields, _CALL, *how, *arrays, grad is None, 0, 0)

    def _plan(self, what: int, batch: int, each: Any = None) -> tuple[int, ...]:
        """The first fields of a call: how many stages it has, and where; and so on."""
        found = self._plans.get((what, batch, each))
        if found is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            parts = 1 if self.online else self.shape.parts(batch)
            trains = what == DELTA and not (self.online or each or self["clip_sample_norm"])
            slices = self.shape.slices(batch) if trains else 1
            by_rows = self.shape.is_wide and what == DELTA and batch <= MOST_SAMPLES
            table = self._stage_table(what, parts, each, by_rows)
            by_sample = bool(each or (what == DELTA and self["clip_sample_norm"]))
            sizes = what, batch, self.shape.chunk_rows(batch), each is None, parts, slices
            found = self._plans[what, batch, each] = (len(table), table.ctypes.data, *sizes, by_sample)
        return found

    def _stage_table(self, what: int, parts: int, each: Any, by_rows: bool) -> np.ndarray:
        key = what, parts, each, by_rows
        if key not in self._stages:
            size = self.sizes["theta"]
            if what == DELTA and len(self._numbers.get("grad", ())) < parts * size:
                self._keep("grad", _buffer(parts * size, self.shape.dtype))
            limits = [name for name in ("clip_norm", "clip_sample_norm", "max_norm") if self[name]]
            how = {"online": self.online, "each": each, "limits": limits, "parts": parts, "by_rows": by_rows}
            if by_rows and "row_sums" not in self._numbers:
                self["sums_size"] = size = min(self.rows, MOST_SAMPLES) * int(self.layers["ld"].max())
                self._keep("row_sums", _buffer(2 * size * tasks_of(max(self.shape.sizes[1:])), self.shape.dtype))
            stages = plan.stages(self.layers, len(self.tiles), what, **how)
            self._stages[key] = table = np.zeros(len(stages), STAGE)
            for record, stage in zip(table, stages, strict=True):
                for field, value in stage.items():
                    record[field] = compiled.task(value, self.shape.dtype) if field == "work" else value
        return self._stages[key]

    def use_optimizer(self, hyperparameters: dict[str, float], states: Sequence[np.ndarray]) -> None:
        """Let launches update, with these hyper-parameters, and these flat state vectors."""
        for field, value in hyperparameters.items():
            self[field] = value
        for k, state in enumerate(states, 1):
            if f"state{k}" not in self._numbers:
                self._keep(f"state{k}", _buffer(self.sizes["theta"], self.shape.dtype))
            self[f"flat_state{k}"] = state.ctypes.data

    def use_limits(self, given: dict[str, float | None]) -> None:
        """Clip gradients and weights to these norms (``kernels/limits.py``); call it before any ``prepare``."""
        for field, value in given.items():
            self[field] = value or 0.0
        if self["clip_norm"]:
            self._keep("column_squares", _buffer(PANEL * len(self.tiles), self.shape.dtype))
            self._keep("squares", np.zeros(len(self.tiles)))

    def use_smoothing(self, share: float) -> None:
        """Take for each class the targets (1 - share) one-hot + share / n_out."""
        n = self.shape.sizes[-1]
        self._classes = SMOOTHED
        self._keep("class_rows", np.ascontiguousarray((1 - share) * np.eye(n) + share / n, self.shape.dtype))

    def fits(self, rows: int) -> bool:
        """Whether this workspace serves batches of ``rows`` samples as a new one would."""
        return rows <= self.rows or self.rows == self.shape.block_rows

    def expect_epochs(self, epochs: int, samples: int) -> None:
        """Let the next launch be that many whole epochs of so many samples; 1 where it may be a part of one."""
        self["epoch"] = samples if epochs > 1 else 0
        if epochs > 1:
            self._keep("epoch_costs", np.zeros(epochs))
            self._keep("epoch_hits", np.zeros(epochs, np.int64))

    def epoch_totals(self) -> tuple[list[float], list[int]]:
        """Summed cost and hits of each epoch of the last launch."""
        return self._numbers["epoch_costs"].tolist(), self._numbers["epoch_hits"].tolist()

    def totals(self) -> tuple[float, int]:
        """(Summed cost, how many samples were classified right) since ``prepare``."""
        correct, cost = _read_totals(self._fields, _TOTALS)
        return cost, correct

    # ------------------------------------------------------------ launches
    def threads_worth(self, n_threads: int, rows: int) -> int:
        """How many of ``n_threads`` may pay for meeting after every stage of a block of samples: all, or one.

        A narrow network's batch that is a single chunk is work for as many threads as its inputs have slices. What
        others would do of phase 2 costs more than it brings: W goes from one core's cache to the other's, and back.
        """
        rows = min(rows, self.rows)
        if not self.shape.is_wide and self.shape.is_chunk(rows):
            n_threads = min(n_threads, self.shape.slices(rows))
        if n_threads == 1:
            return 1
        seconds = rows * SAMPLE_SECONDS + max(rows, FULL_RATE_ROWS) * self.shape.multiply_adds / RATE
        n_stages, *_ = self._plan(DELTA, rows)
        return n_threads if seconds * (1 - 1 / n_threads) > n_stages * MEETING_SECONDS else 1

    def threads_for_one_call(self, n_threads: int | None, rows: int) -> int:
        """The same for a single call, whose threads have gone to sleep since the last one."""
        if n_threads == 1 or rows * self.shape.sample_seconds < WAKE_SECONDS:
            return 1  # before asking the system how many CPUs there are
        return n_threads or _threads.available()

    def launch(self, start: int, stop: int, n_threads: int) -> int:
        """Work through places ``start`` to ``stop``; the first place not done (``launch._launch``)."""
        if n_threads > 1:
            with _threads.region(n_threads) as granted:
                if granted > 1:
                    self._seat(granted)
                    return int(launch.launch_parallel(self._at, compiled.member(launch.together), start, stop, granted))
        return int(launch.launch_serial(self._at, compiled.member(launch.alone), start, stop, 1))

    def _seat(self, n_threads: int) -> None:
        """Have tickets for a team of this size."""
        numbers = LINE // 8 * (n_threads + 1)
        if "team" not in self._numbers or len(self._numbers["team"]) < numbers:
            self._keep("team", _buffer(numbers, np.int64))


def listed_share(x: np.ndarray, group: int) -> float:
    """Which share of the inputs is other than zero in one of a group of samples, of a few spread over x.

    Examples
    --------
    >>> listed_share(np.eye(8), 1), listed_share(np.eye(8), 4)
    (0.125, 0.5)
    """
    some = x[:: max(1, len(x) // LOOKED_AT)][:LOOKED_AT] != 0
    group = min(group, len(some))
    return float(some[: len(some) // group * group].reshape(group, -1).any(axis=0).mean())
