"""The stages of a launch: what a network, and what is asked of it, come to (STAGE records of kernels/layout.py).

    packing | gather, forward, judge, backward | tiles: gradient and update | unpacking

The stages between packing and unpacking run for every block of samples. In a narrow network all of phase 1 is a single
stage, whose tasks are chunks of samples. In a wide one each layer's way forward and back is a stage, whose tasks are
panels of columns, or of small batches rows of W (``kernels/rows.py``): each thread reads its part of W alone, and a
batch of a few samples keeps all threads busy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from .kernels import limits as limit_tasks
from .kernels import minibatch, packing
from .kernels.layout import DELTA, PANEL
from .kernels.rows import tasks_of

# A network with a layer this wide, in panels, is a wide one (docs/experiments.md).
WIDE_PANELS = 8

Stage = dict[str, Any]


def stages(
    layers: np.ndarray,
    n_tiles: int,
    what: int,
    *,
    online: bool = False,
    each: Any = None,
    limits: Collection[str] = (),
    parts: int = 1,
    by_rows: bool = False,
) -> list[Stage]:
    """The stages of a launch, each a mapping of STAGE's fields, with its task function as ``work``.

    Parameters
    ----------
    layers : ndarray of LAYER
    n_tiles : int
        Tiles of the parameters.
    what : int
        FORWARD, COST or DELTA.
    online : bool
        Whether every sample is an update (``kernels/online.py``).
    each : function, optional
        A task for every chunk's deltas, in place of the tiles.
    limits : collection of str
        Which of ``clip_norm``, ``clip_sample_norm`` and ``max_norm`` to keep.
    parts : int
        Parts of the samples that have a gradient of their own before all are added.
    by_rows : bool
        Whether a wide network's tasks share out rows of W (``kernels/rows.py``), as a small batch's do.

    Examples
    --------
    >>> from fastbp import Dense, Network
    >>> workspace = Network(2, [Dense(3), Dense(1)])._borrow(1)
    >>> [stage["work"].__name__ for stage in stages(workspace.layers, 2, DELTA)]
    ['pack', 'samples', 'tiles', 'unpack']
    """
    n, online = len(layers), online and what == DELTA
    passes = _wide(layers, what, online, by_rows) if is_wide(layers["width"]) else [_narrow(n, what, online)]
    found: list[Stage] = [{"work": packing.pack, "tasks": n}]
    found += [{"work": minibatch.samples, **stage} for stage in passes]
    if each is not None:
        found.append({"work": each})
    elif what == DELTA and not online:
        found += _tiles(layers, n_tiles, limits, parts)
    return [*found, {"work": packing.unpack, "tasks": n}]


def is_wide(widths: Iterable[int]) -> bool:
    """Whether columns are shared out, not samples, by the layers' padded widths.

    Examples
    --------
    >>> is_wide([112, 16]), is_wide([1008, 16])
    (False, True)
    """
    return max(widths) >= WIDE_PANELS * PANEL


def _narrow(n: int, what: int, online: bool) -> Stage:
    """All of phase 1."""
    back = {"backward_from": n - 1, "backward_to": -1 if online else 0} if what == DELTA else {}
    return {"gather": 1, "inputs": 1, "forward_to": n, "judge": 1, "online": online, **back}


def _wide(layers: np.ndarray, what: int, online: bool, by_rows: bool) -> list[Stage]:
    """Phase 1 layer by layer; gathering and judging, which need whole samples, by chunks."""
    n, by_rows = len(layers), by_rows and what == DELTA
    columns: list[Stage] = [{"tasks": _panels(width), "by_columns": 1} for width in layers["width"]]
    rows: list[Stage] = [{"tasks": tasks_of(int(n_in)), "by_rows": 1} for n_in in layers["n_in"]]
    own = [columns[0], *(rows if by_rows else columns)[1:]]
    forward = [{**own[k], "forward_from": k, "forward_to": k + 1} for k in range(n)]
    forward[0]["inputs"] = 1
    backward = [
        {**(own[k] if online else columns[k - 1]), "backward_from": k, "backward_to": k - 1, "online": online}
        for k in range(n - 1 if what == DELTA else -1, -1 if online else 0, -1)
    ]
    return [{"gather": 1}, *forward, {"judge": 1, "by_rows": by_rows and n > 1}, *backward]


def _tiles(layers: np.ndarray, n_tiles: int, limits: Collection[str], parts: int) -> list[Stage]:
    """Phase 2: one stage, or more where parts are added, or a limit has to be known before updates or kept after."""
    tiles = {"work": minibatch.tiles, "tasks": n_tiles}
    found: list[Stage] = [{**tiles, "gradient": 1}]
    if parts > 1:
        found[0]["tasks"] *= parts
        found.append({**tiles, "add_parts": 1})
    if "clip_norm" in limits:
        found[-1]["measure"] = 1
        found.append(tiles)
    found[-1] = {**found[-1], "step": 1}
    if "clip_sample_norm" in limits:
        found.insert(0, {"work": limit_tasks.clip_samples})
    if "max_norm" in limits:
        found.append({"work": limit_tasks.shorten, "tasks": sum(_panels(width) for width in layers["width"])})
    return found


def _panels(width: int) -> int:
    return -(-int(width) // PANEL)
