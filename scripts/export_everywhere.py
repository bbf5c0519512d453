"""One network, four runtimes, the same classes: python scripts/export_everywhere.py [runs/mnist/model.npz]

Takes the network that scripts/train_mnist.py trained on MNIST (uint8 images), writes it as ONNX, safetensors and C, and
has onnxruntime, PyTorch and the compiled C file classify the test digits. Exit status 1 where one of them sees another
class than fastbp does; a runtime that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp import CheckpointError, DataError, MissingExtraError, Network, datasets

Images = NDArray[np.uint8]
Outputs = NDArray[np.floating[Any]]


def by_onnxruntime(network: Network, x: Images, folder: Path) -> Outputs:
    """The graph takes the images as they are."""
    import onnxruntime

    network.to_onnx(folder / "network.onnx", input_dtype="uint8")
    session = onnxruntime.InferenceSession(str(folder / "network.onnx"), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["outputs"], {"x": x})[0])


def by_pytorch(network: Network, x: Images, folder: Path) -> Outputs:
    """The weights go through the safetensors file; the images are scaled here."""
    import torch
    from safetensors.torch import load_file

    network.to_safetensors(folder / "network.safetensors")
    module = network.to_torch()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()  # so that only the file can bring them back
        module.load_state_dict(load_file(folder / "network.safetensors"))
        return np.asarray(module(torch.from_numpy(x).to(module[0].weight.dtype) / 255))


def by_c(network: Network, x: Images, folder: Path) -> Outputs:
    """The file is compiled, and called for one image after the other."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise ImportError("a C compiler, gcc or cc")
    source, library = folder / "network.c", folder.resolve() / "network.so"
    network.to_c(source, input_dtype="uint8")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, source, "-o", library, "-lm"], check=True)
    forward = ctypes.CDLL(str(library)).network_forward
    forward.restype = None
    outputs = np.empty((len(x), network.n_out), network.dtype)
    for image, row in zip(x, outputs, strict=True):
        forward(ctypes.c_void_p(image.ctypes.data), ctypes.c_void_p(row.ctypes.data))
    return outputs


RUNTIMES: dict[str, Callable[[Network, Images, Path], Outputs]] = {
    "onnxruntime": by_onnxruntime,
    "PyTorch": by_pytorch,
    "C": by_c,
}


def classes_of(outputs: Outputs) -> NDArray[np.int64]:
    """As ``Network.classify`` does it."""
    return outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] >= 0.5).astype(np.int64)


def compare(network: Network, x: Images, y: NDArray[np.int64], folder: Path) -> bool:
    """Print a line a runtime; whether all that are here see the classes that fastbp sees."""
    expected, agreed = network.forward(x), True
    classes = network.classify(x)
    print(f"{'runtime':13}{'as fastbp':>18}{'largest difference':>22}{'accuracy':>12}")
    print(f"{'fastbp':13}{'':>18}{'':>22}{network.accuracy(x, y):>12.2%}")
    for name, run in RUNTIMES.items():
        try:
            outputs = run(network, x, folder)
        except ImportError as error:
            needed = str(error) if isinstance(error, MissingExtraError) else f"needs {error.name or error}"
            print(f"{name:13}not here: {needed}")
            continue
        found = classes_of(outputs)
        same = int((found == classes).sum())
        agreed &= same == len(x)
        difference = float(np.abs(outputs - expected).max())
        print(f"{name:13}{f'{same:,} of {len(x):,}':>18}{difference:>22.1e}{np.mean(found == y):>12.2%}")
    return agreed


def main(argv: Sequence[str] | None = None) -> int:
    """Read the arguments and compare; the exit status."""
    parser = argparse.ArgumentParser(description="One network, four runtimes, the same classes.")
    parser.add_argument("model", nargs="?", type=Path, default=Path("runs/mnist/model.npz"), help="(%(default)s)")
    parser.add_argument("--data", default="mnist", metavar="NAME", help="images to classify (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the files (default: exported, by the model)")
    args = parser.parse_args(argv)
    try:
        network, test = Network.load(args.model), datasets.load(args.data)[1]
    except (OSError, CheckpointError, DataError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    folder: Path = args.out or args.model.parent / "exported"
    folder.mkdir(parents=True, exist_ok=True)
    agreed = compare(network, test.x, test.y, folder)
    print(f"the files are in {folder}")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
