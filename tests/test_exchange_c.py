"""C: compiled without a warning, the file computes what fastbp computes, and is small."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchanged import ACTIVATIONS, N_IN, assert_nothing_written, make, samples
from numpy.typing import NDArray

from fastbp import Dense, Network
from fastbp.exchange.c import literals, source

COMPILER = shutil.which("gcc") or shutil.which("cc")
# The last two: no float becomes a double on the way, which would cost a microcontroller dearly.
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wdouble-promotion"]

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: gcc or cc")


def compiler(*arguments: object) -> None:
    """Run the compiler; a warning is an error."""
    done = subprocess.run([str(COMPILER), *FLAGS, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Compiled:
    """The functions of a C file."""

    def __init__(self, path: Path, network: Network, name: str = "network") -> None:
        library = path.with_suffix(".so")
        compiler("-O2", "-shared", "-fPIC", path, "-o", library, "-lm")
        loaded = ctypes.CDLL(str(library))
        self.forward_one, self.classify_one = loaded[f"{name}_forward"], loaded[f"{name}_classify"]
        self.forward_one.restype = None
        self.network = network

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        out = np.empty((len(x), self.network.n_out), self.network.dtype)
        for sample, row in zip(np.ascontiguousarray(x), out, strict=True):
            self.forward_one(ctypes.c_void_p(sample.ctypes.data), ctypes.c_void_p(row.ctypes.data))
        return out

    def classify(self, x: NDArray[Any]) -> list[int]:
        return [self.classify_one(ctypes.c_void_p(sample.ctypes.data)) for sample in np.ascontiguousarray(x)]


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_same_outputs(activation: str, dtype: str, tmp_path: Path) -> None:
    network, path, x = make(activation, dtype), tmp_path / "net.c", samples(40, dtype)
    network.to_c(path)
    compiled = Compiled(path, network)
    tolerance = 1e-5 if dtype == "float32" else 1e-12  # rounding; outputs reach some hundreds
    np.testing.assert_allclose(compiled.forward(x), network.forward(x), rtol=tolerance, atol=tolerance)
    # Not where rounding decides: outputs that saturate at the same number.
    top = np.sort(network.forward(x), axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-4
    assert clear.sum() > 10
    np.testing.assert_array_equal(np.array(compiled.classify(x))[clear], network.classify(x)[clear])


@needs_compiler
@pytest.mark.parametrize("layers", [[Dense(1, "sigmoid")], [Dense(9, "relu"), Dense(1, "sigmoid")],
                                    [Dense(n, "tanh") for n in (3, 8, 2, 6)]])  # fmt: skip
@pytest.mark.parametrize("input_dtype", ["uint8", "float32", "float64"])
def test_other_depths_and_inputs(layers: list[Dense], input_dtype: str, tmp_path: Path) -> None:
    network, path, rng = Network(N_IN, layers, cost="sum_of_squares"), tmp_path / "net.c", np.random.default_rng(1)
    network.set_parameters(0.5 * rng.normal(size=network.n_parameters))
    x = rng.integers(0, 256, (30, N_IN)).astype(np.uint8)
    inverse = np.arctanh if layers[-1].activation == "tanh" else lambda a: np.log(a / (1 - a))
    network.biases[-1][:] -= np.median(inverse(network.forward(x)), axis=0)  # so that there are several classes
    given = x if input_dtype == "uint8" else (x / 255.0).astype(input_dtype)
    network.to_c(path, input_dtype, name="small_net1")
    compiled = Compiled(path, network, "small_net1")
    np.testing.assert_allclose(compiled.forward(given), network.forward(given), rtol=1e-5, atol=1e-6)
    clear = np.abs(network.forward(given) - 0.5).min(axis=1) > 1e-4
    found = network.classify(given)
    np.testing.assert_array_equal(np.array(compiled.classify(given))[clear], found[clear])
    assert len(set(found[clear].tolist())) > 1


@needs_compiler
def test_the_network_of_the_chapter_is_under_60_kb(tmp_path: Path) -> None:
    size = shutil.which("size")
    if size is None:
        pytest.skip("needs size, of binutils")
    Network(784, [Dense(16, "sigmoid"), Dense(16, "sigmoid"), Dense(10, "sigmoid")]).to_c(tmp_path / "net.c", "uint8")
    for optimization in "-Os", "-O0":
        compiler(optimization, "-c", tmp_path / "net.c", "-o", tmp_path / "net.o")
        text = subprocess.run([size, tmp_path / "net.o"], capture_output=True, text=True, check=True).stdout
        code, data, zeros = map(int, text.splitlines()[1].split()[:3])
        assert 13002 * 4 < code + data + zeros < 60_000
        assert data + zeros == 0  # nothing that takes memory to write to


@needs_compiler
def test_softmax_of_large_numbers(tmp_path: Path) -> None:
    network, path = Network(2, [Dense(3, "softmax")]), tmp_path / "net.c"
    network.set_parameters([500, -500, 499, 1, 2, 3, 0, 0, 0])  # whole numbers: z has no rounding
    x = np.array([[1, 0], [-1, 1], [2, -1], [0, 1]], np.float32)
    network.to_c(path)
    np.testing.assert_allclose(Compiled(path, network).forward(x), network.forward(x), rtol=1e-5, atol=1e-30)


@needs_compiler
def test_nothing_is_called_but_the_mathematics(tmp_path: Path) -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("needs nm, of binutils")
    for activation in ACTIVATIONS:
        make(activation).to_c(tmp_path / "net.c")
        compiler("-Os", "-fno-stack-protector", "-c", tmp_path / "net.c", "-o", tmp_path / "net.o")
        text = subprocess.run([nm, "-u", tmp_path / "net.o"], capture_output=True, text=True, check=True).stdout
        wanted = {line.split()[-1] for line in text.splitlines()} - {"_GLOBAL_OFFSET_TABLE_", "memset", "memcpy"}
        assert wanted <= {"expf", "tanhf", "expm1f", "log1pf"}, wanted


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_literals_are_exact(dtype: type, rng: np.random.Generator) -> None:
    limits = np.finfo(dtype)
    extremes = [0.0, -0.0, 1.0, -2.0, 1e10, 0.1, limits.max, limits.tiny, limits.smallest_subnormal, limits.eps]
    given = np.concatenate([extremes, rng.normal(size=2000) * 10.0 ** rng.integers(-30, 30, 2000)]).astype(dtype)
    texts = re.split(r",\s+", literals(given))
    assert all(re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f?", text) for text in texts)
    assert all(text.endswith("f") == (dtype is np.float32) for text in texts)
    assert all(set(text) & set(".e") for text in texts)  # 1f is no literal, and 1 would be an int
    again = np.array([dtype(text.rstrip("f")) for text in texts], dtype)
    np.testing.assert_array_equal(again.view(f"u{given.itemsize}"), given.view(f"u{given.itemsize}"))


def test_the_text_is_for_people(tmp_path: Path) -> None:
    text = source(Network(784, [Dense(16, "sigmoid"), Dense(10, "softmax")]), "uint8", "digits")
    assert max(map(len, text.splitlines())) <= 120
    assert "The network 784-16-10" in text
    assert "int digits_classify(const unsigned char x[784]);" in text
    assert source(make("elu")) == source(make("elu"))


def test_what_cannot_be_written(tmp_path: Path) -> None:
    assert_nothing_written(tmp_path, "net.c", Network.to_c)
    for name in "", "2nd", "my-net", "a b", "_Bool", "n\n", "größe":
        with pytest.raises(ValueError, match="name: got"):
            make("tanh").to_c(tmp_path / "other.c", name=name)
    with pytest.raises(ValueError, match="input_dtype: unknown name 'float16'"):
        make("tanh").to_c(tmp_path / "other.c", "float16")
    assert not (tmp_path / "other.c").exists()
