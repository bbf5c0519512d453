"""What each command does, ``report`` and ``explain`` aside (pages.py): its arguments in, its result out."""

from __future__ import annotations

import argparse
import json
import shlex
import textwrap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import fastbp
from fastbp import Dense, Network, Trainer, TrainingDiverged, datasets, report, runtime
from fastbp.archive import atomic_write
from fastbp.callbacks import Callback, Checkpoint, EarlyStopping, LambdaCallback
from fastbp.cli import pages
from fastbp.cli.images import read_samples
from fastbp.cli.output import note, show
from fastbp.cli.parser import FORMATS, RESUME_FILE, RESUME_OPTIONS, UsageError, blame_the_arguments, every
from fastbp.datasets import Split
from fastbp.errors import DataError
from fastbp.exchange import torch
from fastbp.gradcheck import GradientCheck, check_gradients
from fastbp.optimizers import OPTIMIZERS, Optimizer

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def train(args: argparse.Namespace) -> int:
    """Train a network on the training samples, and save it with its history."""
    train, test = datasets.load(args.data)
    if train.y.min() == train.y.max():
        got = f"{args.data}, whose training samples are all of class {train.y[0]}"
        raise UsageError(f"argument --data: got {got}, expected two classes or more")
    classes = int(max(train.y.max(), test.y.max())) + 1
    sizes = args.layers or (train.x.shape[1], 100, classes)
    _check_sizes(sizes, train, classes)
    network = _network(args, sizes, args.dtype)
    with blame_the_arguments(args):
        trainer = Trainer(network, _optimizer(args), args.batch_size, n_threads=args.threads, seed=args.seed)
    folder = _folder(args, train)
    options = _fit_options(args, folder, test)
    trained: set[str] = set()
    options["callbacks"].append(LambdaCallback(on_slice_end=lambda *_: trained.add("a slice")))
    try:
        trainer.fit(train.x, train.y, args.epochs, progress=not args.quiet, max_seconds=args.max_seconds, **options)
    except (TrainingDiverged, OSError) as error:  # OSError of a checkpoint: the run itself may still find room
        if trainer.history.cost:
            with suppress(OSError):
                _save(folder, trainer, args, train)
                error.add_note(f"what was learnt is in {folder}")
        raise
    _save(folder, trainer, args, train)
    result = report.summary(trainer, trainer.run.samples, (test.x, test.y)) | {"folder": str(folder)}
    show(args, result, report.table(result))
    if not trained:
        done, ended_by = len(trainer.history.cost), trainer.history.ended_by
        more = f"--epochs {done + 10} would go on" if ended_by == "epochs" else f"ended by {ended_by}"
        note(f"{folder} has {done} epochs already: nothing was left to do ({more})")
    if not args.quiet:
        note(f"to look into the network, and draw digits for it: fastbp report {shlex.quote(str(folder))}")
    if trainer.history.interrupted:
        how = f", and goes on with: fastbp train --resume {shlex.quote(str(folder))}" if args.checkpoint_every else ""
        note(f"interrupted; what was learnt is in {folder}{how}")
        return INTERRUPTED
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Say how well a saved network does on a data set."""
    network = Network.load(args.model)
    split = pages.load_data(args, network)[args.split == "test"]
    accuracy, cost = network.accuracy(split.x, split.y), network.cost(split.x, split.y)
    result = {"data": split.name, "split": args.split, "samples": len(split.x), "accuracy": accuracy, "cost": cost}
    show(args, result, report.table(result))
    return 0


def predict(args: argparse.Namespace) -> int:
    """Print the class of every sample in the files."""
    network, found = Network.load(args.model), []
    for path in args.files:
        x, done = read_samples(path, network.n_in)
        if done:
            note(f"{path}: {done}")
        try:
            outputs, classes = network.forward(x), network.classify(x)
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}: {error}") from error
        for i, (label, output) in enumerate(zip(classes.tolist(), outputs.tolist(), strict=True)):
            found.append({"file": str(path), "index": i, "class": label, "outputs": output})
    several = {item["file"] for item in found if item["index"]}
    show(args, found, "\n".join(_line(item, item["file"] in several) for item in found))
    return 0


def _line(item: dict[str, Any], numbered: bool) -> str:
    where = f"{item['file']}[{item['index']}]" if numbered else item["file"]
    outputs = item["outputs"]
    return f"{where}: {item['class']} ({outputs[item['class'] if len(outputs) > 1 else 0]:.3f})"


def check(args: argparse.Namespace) -> int:
    """Compare the gradient with differences of the cost on random samples; status 1 where they disagree."""
    network = _network(args, args.layers, "float64")
    rng = np.random.default_rng(args.seed)
    x = rng.uniform(size=(args.samples, network.n_in))
    y = rng.integers(0, max(network.n_out, 2), args.samples)
    result = check_gradients(
        network, x, y if network.n_out > 1 else y.astype(np.float64), n_parameters=args.parameters, seed=args.seed
    )
    layers = [
        {"layer": number, "inputs": weights.shape[0], "outputs": weights.shape[1], "activation": layer.activation,
         "max_relative_error": error, "passed": error <= result.tolerance}
        for number, (weights, layer, error) in enumerate(
            zip(network.weights, network.layers, result.per_layer, strict=True))
    ]  # fmt: skip
    found = {name: getattr(result, name) for name in ("passed", "max_relative_error", "tolerance", "worst")}
    show(args, found | {"parameters": len(result.indices), "layers": layers}, _check_text(result, layers))
    return 0 if result.passed else 1


def _check_text(result: GradientCheck, layers: list[dict[str, Any]]) -> str:
    """A line a layer, between a heading and the verdict; layers count from 0, as in ``network.weights``."""
    lines = [f"{'layer':>5}{'inputs':>9}{'outputs':>9}  {'activation':12}{'relative error':>14}"]
    for layer in layers:
        sizes = f"{layer['layer']:5}{layer['inputs']:9}{layer['outputs']:9}"
        verdict = "ok" if layer["passed"] else "WRONG"
        lines.append(f"{sizes}  {layer['activation']:12}{layer['max_relative_error']:14.1e}  {verdict}")
    verdict = "passed" if result.passed else "FAILED"
    lines.append(f"{verdict}: {len(result.indices):,} parameters, tolerance {result.tolerance:.0e}")
    lines.append("worst: layer {}, row {}, column {}".format(*result.worst))
    return "\n".join(lines)


def export(args: argparse.Namespace) -> int:
    """Write a saved network for other programs."""
    network, path = Network.load(args.model), args.out or args.model.with_suffix(FORMATS[args.to])
    if path.resolve() == args.model.resolve():
        raise UsageError(f"argument --out: {path} is the model itself")
    given = {key: value for key in ("input_dtype", "name") if (value := getattr(args, key)) is not None}
    takes = {"onnx": {"input_dtype"}, "c": {"input_dtype", "name"}}.get(args.to, set())
    if wrong := [key for key in given if key not in takes]:
        raise UsageError(f"argument --{wrong[0].replace('_', '-')}: not of --to {args.to}")
    with blame_the_arguments(args):
        getattr(network, "to_safetensors" if args.to == "torch" else f"to_{args.to}")(path, **given)
    result = {"file": str(path), "format": args.to, "bytes": path.stat().st_size}
    if args.to == "torch":
        result["code"] = torch.loading_source(network, path)
    show(args, result, result.get("code") or report.table(result))
    return 0


def data_list(args: argparse.Namespace) -> int:
    """List the data sets that have a name."""
    items = datasets.available()
    margin = 15
    lines = [
        textwrap.fill(item.description, 80, initial_indent=item.name.ljust(margin), subsequent_indent=" " * margin)
        + f"\n{' ' * margin}{item.found or 'not here yet'}"
        for item in items
    ]
    show(args, [item._asdict() for item in items], "\n".join(lines))
    return 0


def data_fetch(args: argparse.Namespace) -> int:
    """Make sure that a data set is here, and print its folder."""
    folder = datasets.fetch(args.name)
    show(args, {"name": args.name, "folder": str(folder)}, str(folder))
    return 0


def config(args: argparse.Namespace) -> int:
    """Say what fastbp runs on."""
    if args.json:
        show(args, runtime.config(), "")
    else:
        fastbp.show_config()
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "report": pages.report_run,
    "explain": pages.explain,
    "check": check,
    "export": export,
    "data list": data_list,
    "data fetch": data_fetch,
    "config": config,
}


def _check_sizes(sizes: tuple[int, ...], data: Split, classes: int) -> None:
    if sizes[0] != data.x.shape[1] or (sizes[-1] < classes and not sizes[-1] == 1 >= classes - 1):
        got = ",".join(map(str, sizes))
        raise UsageError(
            f"argument --layers: got {got}, but {data.name} has {data.x.shape[1]} inputs and {classes} classes"
        )


def _network(args: argparse.Namespace, sizes: tuple[int, ...], dtype: str) -> Network:
    of_classes = "sigmoid" if sizes[-1] == 1 else "softmax"
    last = args.output_activation or (of_classes if args.cost == "cross_entropy" else args.activation)
    with blame_the_arguments(args):
        layers = [*(Dense(n, args.activation) for n in sizes[1:-1]), Dense(sizes[-1], last)]
        return Network(sizes[0], layers, cost=args.cost, dtype=dtype, seed=args.seed)


def _optimizer(args: argparse.Namespace) -> Optimizer:
    name = args.optimizer or ("adam" if args.momentum is None else "sgd")
    if args.momentum is not None and name != "sgd":
        raise UsageError(f"argument --momentum: {name} has none; it is for --optimizer sgd")
    given = {"learning_rate": args.learning_rate, "momentum": args.momentum}
    return OPTIMIZERS[name](**{key: value for key, value in given.items() if value is not None})


def _folder(args: argparse.Namespace, data: Split) -> Path:
    """Make the run's folder, so that a place that cannot be written is found before the training."""
    if args.resume is not None:
        if args.out is not None:
            raise UsageError("argument --out: not with --resume, which goes on in the folder of its run")
        return Path(args.resume)
    folder: Path = args.out or Path("runs") / data.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"argument --out: {folder}: {error.strerror}") from error
    if (folder / "model.npz").exists():
        note(f"replacing the run in {folder}")
    return folder


def _fit_options(args: argparse.Namespace, folder: Path, test: Split) -> dict[str, Any]:
    """What ``fit`` is to do beside training, and the files that ``--resume`` will need."""
    callbacks: list[Callback] = []
    options: dict[str, Any] = {"callbacks": callbacks, "validation": (test.x, test.y)}
    if args.patience is not None:  # not by the test samples, which then would no longer say how good the network is
        callbacks.append(EarlyStopping(patience=args.patience, restore_best=True))
        options |= {"validation": None, "validation_split": 0.1}
    if args.checkpoint_every is None:
        return options
    checkpoint = folder / "checkpoint.npz"
    callbacks.append(Checkpoint(checkpoint, **every(args.checkpoint_every)))
    given = {name: getattr(args, name) for name in RESUME_OPTIONS}

    def keep(*_: Any) -> None:
        atomic_write(folder / RESUME_FILE, f"{json.dumps(given, indent=2)}\n".encode())

    if args.resume is None:
        checkpoint.unlink(missing_ok=True)  # an earlier run's would be taken for this one's
        keep()
        return options
    callbacks.append(LambdaCallback(on_train_begin=keep))  # --epochs, say; what is refused changes nothing
    if checkpoint.exists():
        options["resume"] = checkpoint
    else:
        note(f"{folder} has no checkpoint yet: beginning from the first epoch")
    return options


def _save(folder: Path, trainer: Trainer, args: argparse.Namespace, data: Split) -> None:
    if args.checkpoint_every is None:  # those of an earlier run would be taken for this one's
        for name in ("checkpoint.npz", RESUME_FILE):
            (folder / name).unlink(missing_ok=True)
    network, optimizer = trainer.network, trainer.optimizer
    settings = {
        "fastbp": fastbp.__version__,
        "data": args.data,
        "source": data.source,
        "layers": network._shape.sizes,
        "activations": [layer.activation for layer in network.layers],
        "cost": network.cost_name,
        "dtype": str(network.dtype),
        "optimizer": {"name": optimizer.name, **asdict(optimizer)},
        "epochs": max(args.epochs, len(trainer.history.cost)),
        "batch_size": trainer.batch_size,
        "seed": args.seed,
        "threads": trainer.n_threads,
    }
    if folder / "curve.png" not in report.save_run(folder, network, trainer.history, settings):
        note('no curve.png, which needs matplotlib: pip install "fastbp[examples]"')
