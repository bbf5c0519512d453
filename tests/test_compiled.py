"""Two processes compile what none compiled before; and whatever becomes of the second one, nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fastbp import _jit, _threads, compiled
from fastbp.kernels import launch, minibatch

FLOAT32 = np.dtype(np.float32)
FIRST_FIT = """
from pathlib import Path
import fastbp
from fastbp import _jit

def kernels():
    return {path.name.split(".")[1] for path in Path(_jit.cache_directory()).glob("*.nbi")}

saved = []
save = _jit._Cache.save_overload
_jit._Cache.save_overload = lambda self, sig, data: (saved.append(self._func.__name__), save(self, sig, data))
fastbp.warmup()
print(*sorted(saved), "|", *sorted(kernels()))
"""


def test_a_first_fit_compiles_the_largest_task_and_finds_the_others(tmp_path: Path) -> None:
    if _threads.available() < 2:
        pytest.skip("one CPU")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "FASTBP_QUIET": "1"}
    command = [sys.executable, "-c", FIRST_FIT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    ours, kernels = (part.split() for part in done.stdout.split("|"))
    assert (done.stderr, ours) == ("", ["all_finite", "samples"])
    tasks = ["alone", "pack", "samples", "tiles", "together", "unpack"]
    assert kernels == ["_launch", "all_finite", *tasks, "write_order"]


def test_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = launch.signature(compiled.SCALARS[FLOAT32])
    _jit.address(minibatch.samples, signature)
    assert not _jit.is_missing(minibatch.samples, signature)
    monkeypatch.setattr(_jit.config, "CACHE_DIR", str(tmp_path))
    assert _jit.is_missing(minibatch.samples, signature)
    # Nowhere to keep anything: a second process would compile for itself.
    monkeypatch.setattr(_jit._Cache, "_files", lambda self, sig=None: None)
    assert not _jit.is_missing(minibatch.samples, signature)


def test_of_threads_that_come_at_once_one_starts_a_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[np.dtype] = []
    done: list[np.dtype] = []

    def compile_task(work: object, dtype: np.dtype) -> None:
        time.sleep(0.1)  # as compiling does, so that others come
        done.append(dtype)

    monkeypatch.setattr(compiled, "is_missing", lambda *_: not done)
    monkeypatch.setattr(compiled, "_start", begun.append)
    monkeypatch.setattr(compiled, "_task", compile_task)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(compiled._compile_the_largest.__wrapped__, [FLOAT32] * 4))
    assert begun == done == [FLOAT32]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python that notes its process, its arguments and PYTHONPATH."""
    if sys.platform == "win32":
        pytest.skip("shell scripts")
    path = tmp_path / "python3"
    path.write_text(f'#!/bin/sh\necho "$$|$*|$PYTHONPATH" > {tmp_path}/log.new; mv {tmp_path}/log.new {tmp_path}/log\n')
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(_threads, "available", lambda: 2)
    return path


def log_of(fake: Path) -> list[str]:
    """What it noted, once it has."""
    log, begun = fake.with_name("log"), time.monotonic()
    while not log.exists():
        assert time.monotonic() - begun < 30
        time.sleep(0.01)
    return log.read_text().strip().split("|")


def is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    return True


def test_the_second_process_finds_what_this_one_finds(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with compiled._second_process(FLOAT32):
        pass
    _, arguments, path = log_of(fake)
    assert arguments == "-P -c from fastbp.compiled import compile_others; compile_others('float32')"
    assert path.split(os.pathsep) == [entry or os.getcwd() for entry in sys.path]


def test_one_that_hangs_is_not_waited_for(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.write_text(fake.read_text() + "exec sleep 600\n")
    monkeypatch.setattr(compiled, "PATIENCE", 0.05)
    with compiled._second_process(FLOAT32):
        process = log_of(fake)[0]
        assert is_alive(process)
    assert not is_alive(process)


def test_an_interrupt_ends_it(fake: Path) -> None:
    fake.write_text(fake.read_text() + "exec sleep 600\n")
    process = ""

    def interrupted() -> None:
        nonlocal process
        with compiled._second_process(FLOAT32):
            process = log_of(fake)[0]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not is_alive(process)


def test_where_none_can_start(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(fake, tmp_path / "uwsgi")
    for name in ("python-absent", "uwsgi", ""):
        monkeypatch.setattr(sys, "executable", name and str(tmp_path / name))
        with compiled._second_process(FLOAT32):
            assert compiled._start(FLOAT32) is None
    monkeypatch.setattr(sys, "executable", str(fake))
    with monkeypatch.context() as frozen:
        frozen.setattr(sys, "frozen", True, raising=False)
        assert compiled._start(FLOAT32) is None
    monkeypatch.setattr(_threads, "available", lambda: 1)
    assert compiled._start(FLOAT32) is None
