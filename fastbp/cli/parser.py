"""The arguments of the ``fastbp`` command, and what to say of wrong ones."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from fastbp.archive import blame_the_file
from fastbp.datasets.catalog import CATALOG
from fastbp.errors import CheckpointError, unknown_name
from fastbp.exchange.parts import INPUT_DTYPES
from fastbp.kernels.activations import CODES as ACTIVATIONS
from fastbp.kernels.activations import LAST_ONLY
from fastbp.kernels.costs import CODES as COSTS
from fastbp.optimizers import OPTIMIZERS
from fastbp.scalars import positive

# Beside a run's checkpoint: the options that it began with, but for those that say where to and what to show.
RESUME_FILE = "checkpoint.json"
RESUME_OPTIONS = (
    "data", "layers", "activation", "output_activation", "cost", "seed", "optimizer", "learning_rate", "momentum",
    "epochs", "batch_size", "threads", "dtype", "checkpoint_every", "patience",
)  # fmt: skip

FORMATS = {"onnx": ".onnx", "safetensors": ".safetensors", "c": ".c", "torch": ".safetensors"}  # and their suffixes

_EXIT = "exit status: 0; 2 usage error; 1 anything else that is wrong; 130 Ctrl-C"


class UsageError(Exception):
    """The command line asks for something that cannot be; the message names the argument.

    ``command`` is the part of the command line whose help would help, such as ``fastbp train``, where it is known.
    """

    def __init__(self, message: str, command: str | None = None) -> None:
        super().__init__(message)
        self.command = command


class Parser(argparse.ArgumentParser):
    """An argument parser that leaves saying what is wrong, in one line, to its caller."""

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError in place of printing the usage and leaving."""
        raise UsageError(message, self.prog)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as a terminal of 80 columns, whatever the terminal."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"max_help_position": 26, "width": 80, **options})


@contextmanager
def blame_the_arguments(parser_options: argparse.Namespace) -> Iterator[None]:
    """Turn the library's complaint about a value, ``batch_size: got -1, ...``, into one about ``--batch-size``.

    Examples
    --------
    >>> from fastbp import SGD
    >>> with blame_the_arguments(argparse.Namespace(learning_rate=-1.0)):
    ...     SGD(-1.0)
    Traceback (most recent call last):
    fastbp.cli.parser.UsageError: argument --learning-rate: got -1.0, expected a finite number above 0
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        name, _, rest = str(error).partition(": ")
        name = name.removeprefix("n_")
        known = rest and hasattr(parser_options, name)
        raise UsageError(f"argument --{name.replace('_', '-')}: {rest}" if known else str(error)) from error


def parse(version: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; with ``train --resume RUN`` options not given are those of that run.

    Examples
    --------
    >>> parse("0", ["train", "--epochs", "3"]).epochs
    3
    """
    args = build_parser(version).parse_args(argv)
    if getattr(args, "resume", None) is None:
        return args
    path = args.resume / RESUME_FILE
    try:
        with blame_the_file(path):
            options = {name: value for name, value in json.loads(path.read_text()).items() if name in RESUME_OPTIONS}
    except CheckpointError as error:
        if path.exists():
            raise
        message = f"argument --resume: {args.resume} has no {RESUME_FILE}: no run with --checkpoint-every began there"
        raise UsageError(message, "fastbp train") from error
    return build_parser(version, options).parse_args(argv)


def build_parser(version: str, train_defaults: Mapping[str, Any] | None = None) -> Parser:
    """Return the parser of the whole command; ``command`` in what it parses is such as ``train`` or ``data list``.

    Examples
    --------
    >>> args = build_parser("0").parse_args(["train", "--layers", "784,16,10", "--json"])
    >>> args.command, args.layers, args.epochs, args.json
    ('train', (784, 16, 10), 10, True)
    """
    parser = Parser("fastbp", description="Train small neural networks fast on a CPU.", epilog=_EXIT)
    parser.formatter_class = _Help
    parser.add_argument("--version", action="version", version=f"fastbp {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_train(commands).set_defaults(**(train_defaults or {}))
    _add_evaluate(commands)
    _add_predict(commands)
    _add_report(commands)
    _add_explain(commands)
    _add_check(commands)
    _add_export(commands)
    data = commands.add_parser("data", help="data sets: what there is, and fetching one", formatter_class=_Help)
    data_commands = data.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add(data_commands, "list", "the data sets that have a name, and where each is found", command="data list")
    fetch = _add(data_commands, "fetch", "download and check a data set", command="data fetch")
    fetch.add_argument("name", type=_name(CATALOG), help="such as mnist; fastbp data list shows them all")
    _add(commands, "config", "versions, CPU, threads and cache folder")
    return parser


def _add(commands: Any, name: str, text: str, *, command: str | None = None, epilog: str = _EXIT) -> Parser:
    """Add a command, with the options that every command has."""
    sentence = f"{text[0].upper()}{text[1:]}."
    parser: Parser = commands.add_parser(
        name, help=text, description=sentence, epilog=epilog, formatter_class=_Help, allow_abbrev=False
    )
    parser.set_defaults(command=command or name)
    group = parser.add_argument_group("what is shown")
    group.add_argument("--json", action="store_true", help="print the result as JSON, for machines")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add_train(commands: Any) -> Parser:
    epilog = (
        "Example: the network 784-16-16-10 with sigmoid units and the sum of squares:\n"
        "  fastbp train --layers 784,16,16,10 --activation sigmoid \\\n"
        "    --cost sum_of_squares --learning-rate 0.15 --momentum 0.9 --out runs/seed\n\n"
        "The folder of the run gets model.npz, history.json, config.json and curve.png.\n"
        "Files of an earlier run in it are replaced, each of them whole.\n"
        "Ctrl-C ends the training, saves what was learnt, and exits with 130.\n"
        "A run with --checkpoint-every that was stopped or killed goes on, to the same\n"
        "bits as if it had not been, with\n"
        "  fastbp train --resume runs/seed\n\n"
    )
    parser = _add(commands, "train", "train a network and save it", epilog=epilog + _EXIT)
    _add_data(parser, "mnist", default="mnist")
    _add_network(parser, "the data's inputs, 100, the data's classes")
    add = parser.add_argument
    add("--optimizer", type=_name(OPTIMIZERS), metavar="NAME",
        help=f"{', '.join(OPTIMIZERS)} (default: adam; sgd where --momentum is given)")  # fmt: skip
    add("--learning-rate", type=float, metavar="X", help="step size (default: the optimizer's)")
    add("--momentum", type=float, metavar="X", help="of sgd, 0 to below 1 (default: 0)")
    add("--epochs", type=_count, default=10, metavar="N", help="passes over the data (default: %(default)s)")
    add("--batch-size", type=int, default=100, metavar="N", help="samples in a mini-batch (default: %(default)s)")
    add("--threads", type=int, metavar="N", help="default: all CPUs that the process may use")
    add("--dtype", default="float32", metavar="NAME", help="float32 or float64 (default: %(default)s)")
    add("--out", type=Path, metavar="FOLDER", help="folder of the run (default: runs/ and the data's name)")
    add("--checkpoint-every", type=_every, metavar="N",
        help="save a checkpoint every N epochs, or with 60s every 60 seconds; see --resume")  # fmt: skip
    add("--resume", type=Path, metavar="FOLDER",
        help="go on with the run in this folder; options not given are that run's")  # fmt: skip
    add("--patience", type=_count, metavar="N",
        help="hold out a tenth of the training samples, end when their cost has not fallen for N epochs, and keep "
        "the best network (default: train all samples for all epochs)")  # fmt: skip
    add("--max-seconds", type=_seconds, metavar="X", help="end the training after that time")
    add("--quiet", action="store_true", help="no progress on stderr")
    return parser


def _add_evaluate(commands: Any) -> None:
    parser = _add(commands, "evaluate", "accuracy and cost of a saved network")
    parser.add_argument("model", type=_model, help="a model.npz, or the folder of its run")
    _add_data(parser, "what its run was trained on, or else mnist")
    _add_split(parser)


def _add_predict(commands: Any) -> None:
    epilog = (
        "Prints the class of each sample and, in brackets, its output. A picture becomes\n"
        "gray, light on dark, and of the network's size, as the images of MNIST are.\n\n"
    )
    parser = _add(commands, "predict", "classify pictures and .npy files", epilog=epilog + _EXIT)
    parser.add_argument("model", type=_model, help="a model.npz, or the folder of its run")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a PNG, or samples (n, n_in) in a .npy")


def _add_report(commands: Any) -> None:
    epilog = (
        "One HTML file, at most 3 MB, that loads nothing: curves, errors, a pad to draw a\n"
        "digit on, and what the digit wants of every weight. Open it in any browser.\n\n"
    )
    parser = _add(
        commands, "report", "a page that holds a run's network, to draw on and look into", epilog=epilog + _EXIT
    )
    parser.add_argument("run", type=Path, help="the folder of a run")
    _add_data(parser, "what the run was trained on")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: report.html in the run's folder)")


def _add_explain(commands: Any) -> None:
    epilog = (
        "Example: why is test sample 3 no 7, and which weights would make it one?\n"
        "  fastbp explain runs/seed/model.npz --sample 3 --label 7 --out one.html\n\n"
    )
    parser = _add(commands, "explain", "what one sample wants of outputs and weights", epilog=epilog + _EXIT)
    parser.add_argument("model", type=_model, help="a model.npz, or the folder of its run")
    _add_data(parser, "what its run was trained on, or else mnist")
    _add_split(parser)
    add = parser.add_argument
    add("--sample", type=int, default=0, metavar="N", help="which one, counted from 0 (default: %(default)s)")
    add("--label", type=int, metavar="N", help="what it should have been (default: what the data says)")
    add("--out", type=Path, metavar="FILE", help="write a page too, with the network, that begins with this sample")


def _add_check(commands: Any) -> None:
    parser = _add(commands, "check", "compare gradients with finite differences, a line a layer")
    _add_network(parser, "784,16,16,10", (784, 16, 16, 10))
    parser.add_argument("--samples", type=_count, default=8, metavar="N", help="random ones (default: %(default)s)")
    parser.add_argument("--parameters", type=_count, metavar="N", help="of each layer, drawn at random (default: all)")


def _add_export(commands: Any) -> None:
    epilog = (
        "onnx, safetensors: for all that read them. c: one file of C99 with the weights.\n"
        "torch: the state dict as safetensors, and on stdout the Python that loads it.\n\n"
    )
    parser = _add(commands, "export", "write a saved network for other programs", epilog=epilog + _EXIT)
    parser.add_argument("model", type=_model, help="a model.npz, or the folder of its run")
    add = parser.add_argument
    add("--to", type=_name(FORMATS), required=True, metavar="FORMAT", help=", ".join(FORMATS))
    add("--out", type=Path, metavar="FILE", help="default: beside the model, with the format's suffix")
    add("--input-dtype", type=_name(INPUT_DTYPES), metavar="NAME",
        help="of onnx and c: uint8 (pixels, scaled by 1/255), float32 or float64 (default: the network's)")  # fmt: skip
    add("--name", metavar="NAME", help="what the names in a C file begin with (default: network)")


def _add_data(parser: Parser, text: str, default: str | None = None) -> None:
    names = f"{', '.join(CATALOG)}, or a folder with the four IDX files (default: {text})"
    parser.add_argument("--data", type=_data, default=default, metavar="NAME", help=names)


def _add_split(parser: Parser) -> None:
    parser.add_argument("--split", type=_name(("test", "train")), default="test", metavar="NAME",
                        help="test or train (default: %(default)s)")  # fmt: skip


def _add_network(parser: Parser, text: str, layers: tuple[int, ...] | None = None) -> None:
    add = parser.add_argument
    add("--layers", type=_sizes, default=layers, metavar="N,N,...",
        help=f"inputs, units of each hidden layer, outputs (default: {text})")  # fmt: skip
    add("--activation", type=_name(ACTIVATIONS), default="relu", metavar="NAME",
        help=f"{', '.join(name for name in ACTIVATIONS if name not in LAST_ONLY)} (default: %(default)s)")  # fmt: skip
    add("--output-activation", type=_name(ACTIVATIONS), metavar="NAME",
        help="of the last layer: one of those, softmax or exp (default: with cross_entropy softmax, of one output "
        "sigmoid; else as --activation)")  # fmt: skip
    add("--cost", type=_name(COSTS), default="cross_entropy", metavar="NAME",
        help=f"{', '.join(COSTS)} (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="of weights and shuffling (default: %(default)s)")


def _name(known: Collection[str]) -> Callable[[str], str]:
    """An argument type: one of ``known``, or an error with the nearest of them."""

    def convert(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(_unknown(text, known))
        return text

    return convert


def _unknown(text: str, known: Collection[str]) -> str:
    """What ``unknown_name`` says, but for the argument, which argparse names."""
    return str(unknown_name("", text, known)).partition(": ")[2]


def _model(text: str) -> Path:
    """The file of a model, or the one in a run's folder."""
    path = Path(text)
    return path / "model.npz" if path.is_dir() else path


def _data(text: str) -> str:
    """Check a data set's name, or make a folder's path absolute: a run's files keep it, and are read elsewhere."""
    folder = os.path.expanduser(text)
    if text not in CATALOG and not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f"{_unknown(text, CATALOG)}, or a folder")
    return text if text in CATALOG else os.path.realpath(folder)


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number of 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        return positive("seconds", float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of seconds above 0") from None


def _every(text: str) -> str:
    """Check ``5`` (epochs) or ``60s``; it stays text, as a run's file keeps it."""
    try:
        every(text)
    except argparse.ArgumentTypeError:
        message = f"got {text!r}, expected epochs such as 5, or seconds such as 60s"
        raise argparse.ArgumentTypeError(message) from None
    return text


def every(text: str) -> dict[str, Any]:
    """How often ``Checkpoint`` saves, from what ``--checkpoint-every`` was given.

    Examples
    --------
    >>> every("5"), every("0.5s")
    ({'every_epochs': 5}, {'every_seconds': 0.5})
    """
    return {"every_seconds": _seconds(text[:-1])} if text.endswith("s") else {"every_epochs": _count(text)}


def _sizes(text: str) -> tuple[int, ...]:
    """Convert ``784,16,10``: two sizes or more, all of them 1 or more."""
    sizes = tuple(int(part) if part.strip().isdecimal() else 0 for part in text.split(","))
    if len(sizes) < 2 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected sizes of 1 or more such as 784,16,16,10")
    return sizes
