"""The commands that look into a network: ``fastbp report`` and ``fastbp explain``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastbp
from fastbp import Explanation, Network, datasets, report
from fastbp.cli.output import note, show
from fastbp.cli.parser import UsageError
from fastbp.datasets import Split
from fastbp.datasets.catalog import CATALOG
from fastbp.errors import DataError, MissingExtraError

BATCH = 100  # samples of the mini-batch in a page


def report_run(args: argparse.Namespace) -> int:
    """Write a page that holds the network of a run."""
    if not (args.run / "model.npz").is_file():
        raise UsageError(f"argument run: {args.run} is not the folder of a run: there is no model.npz in it")
    network = Network.load(args.run / "model.npz")
    history, config = (_read_json(args.run / name) for name in ("history.json", "config.json"))
    out = args.out or args.run / "report.html"
    _check_out(out)
    splits = _splits(args, config, network)
    sizes = "-".join(map(str, network._shape.sizes))
    name = splits[1].name if splits else Path(str(config.get("data", ""))).name
    result: dict[str, Any] = {"page": str(out)}
    options: dict[str, Any] = {}
    if splits:
        train, test = splits
        accuracy, cost = network.accuracy(test.x, test.y), network.cost(test.x, test.y)
        result |= {"data": test.name, "test_accuracy": accuracy, "test_cost": cost}
        options = {"test": (test.x, test.y), "batch": (train.x[:BATCH], train.y[:BATCH])}
    facts = [*_figures(result), *_settings(history, config)]
    notes = report.save_page(
        out, network, title=f"{sizes} on {name}" if name else sizes, facts=facts, history=history, **options
    )
    for text in notes:
        note(text)
    result["bytes"] = out.stat().st_size if out.is_file() else 0
    show(args, result, report.table(result))
    return 0


def explain(args: argparse.Namespace) -> int:
    """Say what one sample wants of the network, and write a page that shows it."""
    network = Network.load(args.model)
    train, test = load_data(args, network)
    split = test if args.split == "test" else train
    if not 0 <= args.sample < len(split.x):
        raise UsageError(f"argument --sample: got {args.sample}, expected 0 to {len(split.x) - 1}, as {split.name} has")
    x, true = split.x[args.sample], int(split.y[args.sample])
    label = true if args.label is None else args.label
    top = max(network.n_out, 2) - 1
    if not 0 <= label <= top:
        raise UsageError(f"argument --label: got {label}, but the network has outputs for 0 to {top}")
    if args.out:
        _check_out(args.out)
    found = fastbp.explain(network, x, label)
    result = {
        "data": split.name, "split": args.split, "sample": args.sample, "class": true, "label": label,
        "predicted": int(network.classify(x)[0]), "cost": found.cost,
        "outputs": found.output.tolist(), "output_nudges": found.output_nudges.tolist(),
    }  # fmt: skip
    if args.out:
        name = f"{split.name}, {args.split} sample {args.sample}"
        batch = train.x[:BATCH], train.y[:BATCH]
        facts = [
            ("cost", f"{found.cost:.4g}"),
            ("true class", str(true)),
            ("the network says", str(result["predicted"])),
        ]
        for text in report.save_page(args.out, network, title=name, facts=facts, batch=batch, sample=(x, label)):
            note(text)
        result["page"] = str(args.out)
    show(args, result, _explain_text(result, found))
    return 0


def _explain_text(result: Mapping[str, Any], found: Explanation) -> str:
    """The sample in a few lines, and a line an output: which wants up or down."""
    lists = ("outputs", "output_nudges")
    lines = [report.table({name: value for name, value in result.items() if name not in lists})]
    lines.append(f"\n{'output':>6}{'is':>10}{'wants':>10}")
    for unit, (value, nudge) in enumerate(zip(found.output, found.output_nudges, strict=True)):
        lines.append(f"{unit:6}{value:10.4f}{nudge:+10.4f}")
    return "\n".join(lines)


def _figures(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The test's figures as a page shows them."""
    if "test_accuracy" not in result:
        return []
    return [("test accuracy", f"{100 * result['test_accuracy']:.2f} %"), ("test cost", f"{result['test_cost']:.4g}")]


def _settings(history: Mapping[str, Any], config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How the network was trained, as far as the run's files tell."""
    seconds, optimizer = history.get("seconds"), config.get("optimizer")
    found = []
    if isinstance(seconds, list) and seconds:
        found += [("epochs", str(len(seconds))), ("training", f"{sum(seconds):.3g} s")]
    if isinstance(optimizer, dict):
        settings = [f"{key.replace('_', ' ')} {value}" for key, value in optimizer.items() if value and key != "name"]
        found.append((", ".join(settings), str(optimizer.get("name", ""))))
    if "batch_size" in config:
        found.append(("batch size", str(config["batch_size"])))
    return found


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a run's folder; an empty one where there is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds a {type(found).__name__}, expected a JSON object")
    return found


def _splits(args: argparse.Namespace, config: Mapping[str, Any], network: Network) -> tuple[Split, Split] | None:
    """The data set that was asked for, or else the run's own; None, and a note, where that is not to be had."""
    if args.data is not None:
        return _asked_for(args.data, network, args.run)
    try:
        return _own_data(config, network)
    except (DataError, MissingExtraError, ValueError, OSError) as error:
        note(f"no samples, as the run's data could not be had: {error}; --data names another data set")
        return None


def load_data(args: argparse.Namespace, network: Network) -> tuple[Split, Split]:
    """The data set that was asked for, or else what config.json beside the model names, or else MNIST."""
    if args.data is None and (config := _read_json(args.model.parent / "config.json")).get("data"):
        return _own_data(config, network)
    return _asked_for(args.data or "mnist", network, args.model)


def _own_data(config: Mapping[str, Any], network: Network) -> tuple[Split, Split]:
    name, source = str(config.get("data", "")), str(config.get("source", ""))
    if not name:
        raise DataError("there is no config.json that names it")
    # What train keeps is a name or an absolute path; older files have a folder's name, and where it was.
    splits = datasets.load(name if name in CATALOG or os.path.isabs(name) else Path(source))
    if splits[1].x.shape[1] != network.n_in or splits[1].y.max() >= max(network.n_out, 2):
        raise DataError(f"{name} is no longer what the network was trained on")
    return splits


def _asked_for(name: str, network: Network, model: object) -> tuple[Split, Split]:
    splits, top = datasets.load(name), max(network.n_out, 2) - 1
    for split in splits:
        if split.x.shape[1] != network.n_in:
            raise UsageError(f"argument --data: {name} has {split.x.shape[1]} inputs, {model} {network.n_in}")
        if split.y.max() > top:
            label = split.y.max()
            raise UsageError(f"argument --data: {name} has a label {label}, but {model} has outputs for 0 to {top}")
    return splits


def _check_out(out: Path) -> None:
    """Find a place that cannot be written before the work, not after it."""
    if out.is_dir():
        raise UsageError(f"argument --out: {out} is a folder, expected a file")
    folder = out.parent
    if not folder.is_dir():
        raise UsageError(f"argument --out: there is no folder {folder}")
    written = out if out.exists() and not out.is_file() else folder  # /dev/stdout is written to, a file replaced
    if not os.access(written, os.W_OK):
        raise UsageError(f"argument --out: {written} cannot be written to")
