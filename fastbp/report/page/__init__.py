"""The page: one HTML file that holds a trained network, and shows what backpropagation does in it.

Here its data is gathered; the page itself is written in HTML, CSS and JavaScript, in ``web/``:

    template.html   the sections and their texts, page.css their looks
    network.js      forward, cost and backward for one sample, as in ``fastbp.explain``
    wishes.js       a mini-batch's nudges, their average, who agrees; the most sensitive parameters
    digit.js        strokes become a digit as MNIST has them
    pictures.js     colours, numbers, pixels
    drawing.js      the pad to draw on
    diagram.js      the network as a picture
    walk.js         the steps backwards, in words
    tables.js       samples side by side, the most sensitive parameters
    charts.js       curves and the confusion matrix
    sections.js     what is filled once, and the first layer
    page.js         what is chosen, and who shows it
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbp.archive import atomic_write
from fastbp.history import History
from fastbp.model import Network
from fastbp.report.page import gather
from fastbp.report.page.encode import FULL, bits_that_fit

__all__ = ["LARGEST", "save_page"]

LARGEST = 3_000_000  # bytes of a page
NOTES = 3_000  # bytes kept for what is said of the parameters, and for their names
SCRIPTS = (
    "network",
    "wishes",
    "digit",
    "pictures",
    "drawing",
    "diagram",
    "walk",
    "tables",
    "charts",
    "sections",
    "page",
)


def save_page(
    path: str | os.PathLike[str],
    network: Network,
    *,
    title: str = "",
    facts: Sequence[tuple[str, str]] = (),
    history: History | Mapping[str, Any] | None = None,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    batch: tuple[ArrayLike, ArrayLike] | None = None,
    sample: tuple[ArrayLike, int] | None = None,
) -> list[str]:
    """Write a page that holds the network: one HTML file, at most 3 MB, that needs nothing else.

    Parameters
    ----------
    path : path
        The file; its folder must exist. One that is there is replaced in one step.
    network : Network
        Not changed. Where its weights as float32 would make the file too large, the page gets them rounded to the most
        bits that fit (16 to 6), and says what that changes; where that is not enough, it says so and shows the rest.
    title : str, optional
        By default the sizes of the layers.
    facts : sequence of (name, value), optional
        Shown below the title.
    history : History, or what its ``to_json`` holds, optional
        For the curves, of at most 2,000 points.
    test : (x, y), optional
        Samples with whole classes, for the confusion matrix (of at most 100 classes) and the hardest samples.
    batch : (x, y), optional
        The mini-batch whose nudges are averaged: the first 100 are taken. By default of ``test``.
    sample : (x, y), optional
        The sample, and what it should have been, to begin with.

    Returns
    -------
    list of str
        What the page lacks or has rounded, in sentences; the page says them too.

    Raises
    ------
    TypeError, ValueError
        If samples do not fit the network, or it has no output for a label.
    OSError
        The file cannot be written; what was there before is still there.

    Examples
    --------
    >>> import tempfile
    >>> from fastbp import Dense
    >>> network = Network(784, [Dense(16, "sigmoid"), Dense(10, "sigmoid")], cost="sum_of_squares")
    >>> x, y = np.zeros((3, 784), np.uint8), np.array([1, 2, 3])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_page(f"{folder}/page.html", network, test=(x, y))
    ['There is no history of the training, so there are no curves.']
    """
    data: dict[str, Any] = {
        "title": title or "-".join(map(str, network._shape.sizes)),
        "subtitle": gather.description(network),
        "facts": list(facts),
        "notes": [],
        "network": gather.network_data(network),
    }
    checked = {
        name: gather.checked_samples(network, *pair)
        for name, pair in (("test", test), ("batch", batch or test))
        if pair is not None
    }
    if sample is not None:
        x, y = gather.checked_samples(network, np.asarray(sample[0]).reshape(1, -1), [sample[1]])
        data["sample"] = gather.samples_data(network, x, y)
    if curves := gather.history_data(asdict(history) if isinstance(history, History) else history or {}):
        data["history"] = curves
    if "test" in checked:
        data |= gather.errors_data(network, *checked["test"])
    if "batch" in checked:
        data["batch"] = gather.samples_data(network, *checked["batch"])
    data["notes"] += _lacking(data, network)
    _add_parameters(data, network, checked)
    atomic_write(path, _filled(data).encode())
    return list(data["notes"])


def _lacking(data: Mapping[str, Any], network: Network) -> Iterator[str]:
    """What there is no data for, in sentences."""
    if "history" in data:
        shown, epochs = len(data["history"]["epochs"]), data["history"]["epochs"][-1]
        if shown < epochs:
            yield f"The curves show {shown:,} of {epochs:,} epochs."
    elif "sample" not in data:
        yield "There is no history of the training, so there are no curves."
    if "hardest" in data and "confusion" not in data:
        yield f"{network.n_out:,} classes are too many for a confusion matrix."
    if "batch" not in data:
        yield "There are no samples of a data set, so there is no average of what samples want, and no errors."
    if not gather.image_side(network):
        yield f"The network's {network.n_in:,} inputs are no square image, so nothing can be drawn."


def _add_parameters(data: dict[str, Any], network: Network, checked: Mapping[str, tuple[Any, Any]]) -> None:
    """Put the parameters into the room that everything else left, and say what that cost."""
    room = LARGEST - len(_filled(data).encode()) - NOTES
    bits = bits_that_fit(network, room)
    if not bits:
        data["notes"].append(
            f"{network.n_parameters:,} parameters do not fit into a page of {LARGEST:,} bytes, so the network "
            "cannot run in it: no drawing, no diagram, no nudges. In Python, fastbp.explain has them."
        )
        if gather.image_side(network):
            data["pictures"] = gather.pictures_data(network)
        return
    x = next((x for x, _ in checked.values()), None)
    found = gather.parameters_data(network, bits, x)
    data["network"] |= found
    if bits < FULL:
        measured = ""
        if x is not None:
            measured = (
                f" On {len(x):,} samples that moves no output by more than {found['largest_change']:.2g}, and changes "
                f"the class of {found['changed_classes'] or 'none'} of them."
            )
        data["notes"].append(
            f"To keep this page below {LARGEST:,} bytes, its {sum(w.size for w in network.weights):,} weights are "
            f"rounded to {bits} bits each.{measured}"
        )


def _filled(data: Mapping[str, Any]) -> str:
    """The whole page."""
    web = resources.files(__package__) / "web"
    read = {name: (web / name).read_text(encoding="utf-8") for name in ("template.html", "page.css")}
    scripts = "\n".join((web / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    parts = {
        "title": html.escape(data["title"]),
        "css": read["page.css"],
        "data": gather.script_text(data),
        "js": scripts,
    }
    # In one pass, so that nothing in the data is taken for a place to be filled.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], read["template.html"])
