"""Threads: counting them, and the two ways in which numba's threading layers end a process.

What may kill its process runs in one of its own, with a time limit only because the failure may also be a hang.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from fastbp import _threads

KERNELS = """
from fastbp import _jit, _threads

def _count(parts, threads):
    for t in _jit.prange(threads):
        parts[t] = t + 1

count_serial, count_parallel = _jit.serial(_count), _jit.parallel(_count)
"""
SHARED = """
import os, sys, threading
import numba, numpy as np
from fastbp import _threads
from kernels import count_parallel, count_serial

def granted_threads(expect):
    parts = np.zeros(4, dtype=np.int64)
    with _threads.region(2) as granted:
        (count_parallel if granted > 1 else count_serial)(parts, 2)
    assert parts.tolist() == [1, 2, 0, 0], parts
    assert granted == expect, (granted, expect)

def forked(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with {status}"
"""
FORK_AFTER = """
granted_threads(2)
def child():
    granted_threads(1)
    forked(lambda: granted_threads(1))
forked(child)
granted_threads(2)
"""
FORK_BEFORE = """
forked(lambda: granted_threads(2))
granted_threads(2)
"""
TWO_THREADS = """
granted_threads(2)
failed = []
def work():
    try:
        for _ in range(300):
            granted_threads(2)
    except BaseException as error:
        failed.append(error)
workers = [threading.Thread(target=work) for _ in range(2)]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert not failed, failed
"""
RESTORED = """
assert _threads.layer() == sys.argv[1]
assert numba.get_num_threads() == 3
try:
    with _threads.region(2):
        assert numba.get_num_threads() == 2
        with _threads.region(3):
            assert numba.get_num_threads() == 3
        assert numba.get_num_threads() == 2
        1 / 0
except ZeroDivisionError:
    pass
assert numba.get_num_threads() == 3
"""
UNTOUCHED = """
with _threads.region(1) as granted:
    count_serial(np.zeros(4, dtype=np.int64), 2)
assert granted == 1
assert _threads._started() is None
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the kernels, and their cache, so that they compile once."""
    folder = tmp_path_factory.mktemp("threads")
    (folder / "kernels.py").write_text(KERNELS)
    return folder


def run(folder: Path, script: str, layer: str) -> None:
    """Run a script in a process of its own on one threading layer."""
    path = os.pathsep.join([str(folder), str(Path(_threads.__file__).parents[1])])
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(folder / "cache"),
        "NUMBA_NUM_THREADS": "3",
        "NUMBA_THREADING_LAYER": layer,
        "PYTHONPATH": path,
    }
    command = [sys.executable, "-c", SHARED + script, layer]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"numba cannot load {layer} here")
    assert done.returncode == 0, done.stderr


both_layers = pytest.mark.parametrize("layer", ["omp", "workqueue"])
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@needs_fork
@both_layers
@pytest.mark.parametrize("script", [FORK_AFTER, FORK_BEFORE], ids=["after", "before"])
def test_a_fork_after_and_before_the_threads_started(folder: Path, script: str, layer: str) -> None:
    run(folder, script, layer)


@both_layers
def test_two_python_threads_at_once(folder: Path, layer: str) -> None:
    run(folder, TWO_THREADS, layer)


@both_layers
def test_numbas_setting_is_put_back(folder: Path, layer: str) -> None:
    run(folder, RESTORED, layer)


def test_one_thread_starts_no_layer(folder: Path) -> None:
    run(folder, UNTOUCHED, "workqueue")


def test_a_layer_that_cannot_load_says_so_only_where_it_is_needed(folder: Path) -> None:
    run(folder, UNTOUCHED, "tbb")


# ---------------------------------------------------------------- n_threads
def test_check() -> None:
    most = numba.config.NUMBA_NUM_THREADS
    assert _threads.check(None) == _threads.available() <= most
    assert _threads.check(1) == _threads.check(np.int64(1)) == 1
    assert _threads.check(10**9) == most


@pytest.mark.parametrize("wrong", [0, -1, np.int64(0)])
def test_too_few(wrong: int) -> None:
    with pytest.raises(ValueError, match=r"n_threads: got .*, expected a whole number of 1 or more"):
        _threads.check(wrong)


@pytest.mark.parametrize("wrong", [True, False, 1.5, 2.0, "2", [2], np.bool_(True)])
def test_no_integer(wrong: int) -> None:
    with (
        pytest.raises(TypeError, match=r"n_threads: got .*, expected a whole number of 1 or more"),
        _threads.region(wrong),
    ):
        pass


# ---------------------------------------------------------------- quotas
def v1(folder: str, quota: str) -> dict[str, str]:
    """The two files of version 1 in a folder."""
    return {f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {}, math.inf),
        ("0::/\n", {"cpu.max": "rubbish"}, math.inf),
        ("", {}, math.inf),
        ("rubbish", {}, math.inf),
        # The least of all above counts, and the group of a host may not be visible.
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000", "cpu.max": "max 100000"}, 4),
        ("0::/a/b\n", {"a/b/cpu.max": "300000 100000\n", "a/cpu.max": "700000 100000"}, 3),
        ("0::/docker/123\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/x\n", {"y/cpu.max": "200000 100000\n"}, math.inf),
        ("4:memory:/\n1:cpu:/\n", v1("cpu", "150000\n"), 2),
        ("4:cpu,cpuacct:/docker/123\n", v1("cpu,cpuacct", "300000\n"), 3),
        ("1:cpu:/a\n0::/\n", v1("cpu/a", "500000\n"), 5),
        ("1:cpu:/\n0::/\n", v1("cpu", "-1\n"), math.inf),
        ("1:cpu:/\n0::/s\n", {"unified/s/cpu.max": "600000 100000\n"}, 6),
        ("2:cpuset:/\n", v1("cpuset", "100000\n"), math.inf),
    ],
)
def test_quota(tmp_path: Path, groups: str, files: dict[str, str], expected: float) -> None:
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    proc.write_text(groups)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert _threads._quota(proc, root) == expected


def test_quota_without_proc(tmp_path: Path) -> None:
    assert _threads._quota(tmp_path / "none", tmp_path) == math.inf


def test_available_is_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 6)
    monkeypatch.setattr(_threads, "_quota", lambda: math.inf)
    assert _threads.available() == 6
    monkeypatch.setattr(_threads, "_quota", lambda: 4)
    assert _threads.available() == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(3), raising=False)
    assert _threads.available() == 3
