"""The cache of compiled kernels: that it hits, that it misses when anything changed, and that it breaks no run.

Each test has a small package of its own, ``_jit.py`` with two kernel files, so that it can change what it likes.
A process compiles or loads a kernel once, so whatever is about the disk runs in processes of its own.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from numba.core.compiler_machinery import _pass_registry
from numba.core.errors import TypingError
from numba.core.types.functions import BaseFunction

from fastbp import _jit

CALLEE = """
from .._jit import njit

@njit
def times(x):
    return x * 3
"""
KERNELS = """
from .._jit import njit, parallel, prange, serial
from .callee import times

def third(x):
    return x / 3

@serial
def twice(x):
    return x + x

def _total(n):
    total = 0
    for i in prange(n):
        total += times(i)
    return total

total_serial, total_parallel = serial(_total), parallel(_total)

def adder(k):
    @serial
    def add(x):
        return x + k
    return add
"""
# Each word is a step: "32" and "64" run one def in that precision, "reset" forgets what is loaded and tells whether
# anything was compiled since the last one, and so on.
SCRIPT = """
import ctypes, pathlib, sys
import numba
from fastbp import _jit
from fastbp.kernels import small

def third(bits):
    c_type, scalar = {"32": (ctypes.c_float, numba.float32), "64": (ctypes.c_double, numba.float64)}[bits]
    at = _jit.address(small.third, scalar(scalar))
    assert at == _jit.address(small.third, scalar(scalar))
    return ctypes.CFUNCTYPE(c_type, c_type)(at)(1.0)

def layer():
    try:
        return numba.threading_layer() != ""
    except ValueError:
        return False

def limit(size):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

for word in sys.argv[1:]:
    if word in ("32", "64"):
        print(third(word))
    elif word == "reset":
        print("compiled" if _jit._announce.cache_info().currsize else "loaded")
        _jit._callbacks.clear()
        _jit._announce.cache_clear()
    elif word == "serial":
        print(small.total_serial(4), layer())
    elif word == "parallel":
        print(small.total_parallel(4), layer())
    elif word == "twice":
        print(small.twice(3), small.twice(1.5))
    elif word == "closures":
        print(small.adder(1)(10), small.adder(2)(10))
    elif word == "directory":
        print(_jit.cache_directory())
    elif word == "full":
        limit(2000)
    elif word == "roomy":
        limit(10**9)
    else:  # "*.nbi=cut", "*.nbc=zeros" and the like
        pattern, _, damage = word.partition("=")
        for path in pathlib.Path(_jit.cache_directory()).glob(pattern):
            data = path.read_bytes()
            left = {"empty": b"", "cut": data[: len(data) * 2 // 3], "zeros": bytes(len(data))}
            path.unlink() if damage == "gone" else path.write_bytes(left[damage])
"""
SAYS = "fastbp: compiling its kernels for this CPU, "
THIRDS = {"32": "0.3333333432674408", "64": "0.3333333333333333"}


class Package:
    """A small copy of the package in a folder, and a cache directory beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.kernels = folder / "fastbp" / "kernels"
        self.kernels.mkdir(parents=True)
        shutil.copy(_jit.__file__, folder / "fastbp")
        for path, text in (("__init__.py", ""), ("kernels/__init__.py", ""), ("kernels/small.py", KERNELS)):
            (folder / "fastbp" / path).write_text(text)
        (self.kernels / "callee.py").write_text(CALLEE)

    def start(self, *words: str, **settings: str) -> subprocess.Popen[str]:
        """Start the script with these words, and environment variables."""
        ours = {"NUMBA_CACHE_DIR": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("FASTBP_", "NUMBA_"))}
        command = [sys.executable, "-c", SCRIPT, *words]
        pipe = subprocess.PIPE
        environment = clean | ours | settings
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str, **settings: str) -> tuple[list[str], str]:
        """Run the script; what it printed, and what it said on stderr."""
        process = self.start(*words, **settings)
        out, said = process.communicate()
        assert process.returncode == 0, said
        return out.splitlines(), said

    def entries(self, pattern: str = "*.nb?") -> list[Path]:
        """The files of the cache."""
        return sorted(self.cache.rglob(pattern))


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """A fresh one with an empty cache."""
    return Package(tmp_path)


def test_it_hits_and_says_when_it_compiles(package: Package) -> None:
    words, expected = ["directory", "32", "serial", "parallel"], [THIRDS["32"], "18 False", "18 True"]
    out, said = package.run(*words)
    assert out[1:] == expected
    assert said.startswith(SAYS + "once; a fit's take")
    assert said.count("\n") == 1
    before = package.entries()
    assert {str(path.parent) for path in before} == {out[0]}
    # Loading is silent, and writes nothing.
    assert package.run(*words) == (out, "")
    assert package.entries() == before


def test_one_def_for_two_types_and_two_flavours_never_mixes(package: Package) -> None:
    # The parallel code of the same def, in the cache before the serial one, would start the threading layer.
    assert package.run("32", "parallel")[0] == [THIRDS["32"], "18 True"]
    assert package.run("64", "32", "serial")[0] == [THIRDS["64"], THIRDS["32"], "18 False"]
    assert package.run("64", "32", "reset")[0] == [THIRDS["64"], THIRDS["32"], "loaded"]


def test_every_signature_has_an_index_of_its_own(package: Package) -> None:
    # In a common one two processes that compile at once both take the next number, each for its own signature.
    for _ in range(2):
        assert package.run("twice")[0] == ["6 3.0"]
        assert len(package.entries("*.nbi")) == len(package.entries("*.1.nbc")) == 2


def test_lambdas_have_names_of_their_own() -> None:
    half = _jit.serial(lambda x: x / 2)
    third = _jit.serial(lambda x: x / 3)
    assert half.py_func.__qualname__ != third.py_func.__qualname__


def test_a_callee_that_changed_in_another_file_is_seen(package: Package) -> None:
    assert package.run("serial")[0] == ["18 False"]
    (package.kernels / "callee.py").write_text(CALLEE.replace("3", "5"))
    assert package.run("serial", FASTBP_QUIET="1") == (["30 False"], "")


def test_closures_of_one_def_never_mix(package: Package) -> None:
    assert package.run("closures")[0] == ["11 12"]
    assert package.run("closures")[0] == ["11 12"]
    assert not package.entries()


def test_damaged_files_are_replaced(package: Package) -> None:
    damages = [f"{files}={damage}" for files in ("*.nbi", "*.nbc") for damage in ("empty", "cut", "zeros", "gone")]
    words, expected = ["32", "64", "reset"], [THIRDS["32"], THIRDS["64"], "compiled"]
    steps = [*words, *words]
    for damage in damages:
        steps += [damage, *words, *words]
    out = package.run(*steps)[0]
    assert out == [*expected, *expected[:2], "loaded"] * (1 + len(damages))


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits to imitate a full disk with")
def test_a_full_disk_breaks_nothing(package: Package) -> None:
    steps = ["full", "64", "reset", "64", "reset", "roomy", "64", "reset", "64", "reset"]
    out = package.run(*steps)[0]
    assert out[::2] == [THIRDS["64"]] * 4
    assert out[1::2] == ["compiled"] * 3 + ["loaded"]
    assert not package.entries("*.tmp.*")


def test_no_directory_to_write_to(package: Package) -> None:
    # A file where a folder is wanted stops the superuser, too.
    (package.folder / "file").write_text("")
    (package.kernels / "__pycache__").write_text("")
    nowhere = {name: str(package.folder / "file") for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME")}
    out, said = package.run("directory", "64", "serial", **nowhere)
    assert out == ["None", THIRDS["64"], "18 False"]
    assert "this process only" in said
    assert "NUMBA_CACHE_DIR" in said


def test_two_processes_at_once(package: Package) -> None:
    orders = [("32", "64"), ("64", "32")]
    processes = [package.start(*order) for order in orders]
    answers = [process.communicate()[0].split() for process in processes]
    assert answers == [[THIRDS[bits] for bits in order] for order in orders]
    assert package.run("32", "64") == ([THIRDS["32"], THIRDS["64"]], "")
    assert len(package.entries("*.nbi")) == len(package.entries("*.nbc")) == 2


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (_jit, "LANES", 2),
        (_jit, "_FEATURES", frozenset({"mmx"})),
        (_jit, "FLAGS", {"nogil": False}),
        (_jit.config, "OPT", 1),
        (_jit.numba, "__version__", "0.0"),
        (_jit.llvmlite, "__version__", "0.0"),
        (_jit.np, "__version__", "0.0"),
    ],
)
def test_the_fingerprint_sees(owner: object, name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _jit._fingerprint() == _jit.FINGERPRINT
    monkeypatch.setattr(owner, name, value)
    assert _jit._fingerprint() != _jit.FINGERPRINT


# ---------------------------------------------------------------- pruning
def entry(directory: Path, fingerprint: str, hours: float, ending: str = "nbi") -> Path:
    """A file as numba would name it, last used so many hours ago."""
    path = directory / f"small.third.fastbp_{fingerprint}_c0123_4567-8.py311.{ending}"
    path.write_text("")
    os.utime(path, (time.time() - 3600 * hours,) * 2)
    return path


def test_pruning_keeps_the_latest_and_the_recent(tmp_path: Path) -> None:
    latest = [entry(tmp_path, f"{n:016x}", 30 + n) for n in range(_jit.KEPT_FINGERPRINTS)]
    old = [entry(tmp_path, "a" * 16, 50, ending) for ending in ("nbi", "1.nbc", "1.nbc.tmp.0a1b")]
    others = [tmp_path / name for name in ("small.cpython-311.pyc", "small.third-8.py311.nbi", "fastbp_notes.txt")]
    for path in others:
        path.write_text("")
        os.utime(path, (0, 0))
    _jit._prune.__wrapped__(tmp_path)
    assert all(path.exists() for path in latest + others)
    assert not any(path.exists() for path in old)


def test_pruning_goes_by_the_latest_use_of_any_file(tmp_path: Path) -> None:
    for n in range(_jit.KEPT_FINGERPRINTS):
        entry(tmp_path, f"{n:016x}", 30)
    used = [entry(tmp_path, "a" * 16, 100, "1.nbc"), entry(tmp_path, "a" * 16, 2)]
    _jit._prune.__wrapped__(tmp_path)
    assert all(path.exists() for path in used)


def test_pruning_leaves_whatever_is_in_use(tmp_path: Path) -> None:
    recent = [entry(tmp_path, f"{n:016x}", 0.5) for n in range(3 * _jit.KEPT_FINGERPRINTS)]
    _jit._prune.__wrapped__(tmp_path)
    assert all(path.exists() for path in recent)
    _jit._prune.__wrapped__(tmp_path / "missing")


def test_loading_counts_as_use_and_compiling_prunes(package: Package) -> None:
    package.run("64")
    ours = package.entries()
    for path in ours:
        os.utime(path, (0, 0))
    old = [entry(ours[0].parent, f"{n:016x}", 1000 + n) for n in range(_jit.KEPT_FINGERPRINTS + 2)]
    assert package.run("64", "reset")[0] == [THIRDS["64"], "loaded"]
    assert max(path.stat().st_mtime for path in ours) > time.time() - 3600
    assert all(path.exists() for path in ours + old)
    package.run("32")
    assert all(path.exists() for path in ours)
    # Ours is the latest, so one less of the old ones stays.
    assert [path.exists() for path in old] == [True] * (len(old) - 3) + [False] * 3


# ---------------------------------------------------------------- flags and lanes
def test_constants_do_not_compile_a_function_again() -> None:
    @_jit.njit
    def plus(pair, k):
        return pair[0] + pair[1] + k

    @_jit.serial
    def both(x):
        return plus((x, x), 1) + plus((x, 3), x)

    assert both(10) == 21 + 23
    assert len(plus.signatures) == 1


def test_numba_is_asked_once_and_then_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    ask = BaseFunction.get_call_type

    def counting(self, context, args, kws):
        asked.append((self.key, args))
        return ask(self, context, args, kws)

    monkeypatch.setattr(BaseFunction, "get_call_type", counting)

    def sums(x):
        return ((x + 1.25) + (x + 2.5)) + ((x + 3.5) + (x + 4.5))

    @_jit.njit
    def broken(x):
        return x + "text"

    at = _jit.address(sums, _jit.types.float64(_jit.types.float64))
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(at)(1.0) == 15.75
    assert len(asked) == len(set(asked))
    with pytest.raises(TypingError):
        _jit.address(lambda x: broken(x), _jit.types.float64(_jit.types.float64))
    assert BaseFunction.get_call_type is counting


def test_passes_that_are_left_out_are_numbas() -> None:
    assert {known._name for known in _pass_registry._registry} >= _jit.UNUSED_PASSES


def test_flags_keep_nan_and_divide_as_c_does() -> None:
    is_nan = _jit.serial(lambda x: x != x)
    assert is_nan(float("nan"))
    assert not is_nan(1.0)
    assert _jit.serial(lambda x: 1.0 / x)(0.0) == float("inf")
    # Fast mathematics would make (x + y) - y of it, which is x.
    assert _jit.serial(lambda x, y: (x + y) - y)(1.0, 1e30) == 0.0


@pytest.mark.parametrize(
    ("setting", "features", "lanes", "registers"),
    [
        (None, {"avx512f", "avx512vl", "avx2", "avx"}, 16, 32),
        (None, {"avx2", "avx"}, 8, 16),
        (None, {"sse2"}, 4, 16),
        (None, {"neon"}, 4, 32),
        (None, set(), 4, 16),
        ("", {"avx"}, 8, 16),
        ("8", {"avx512f", "avx512vl", "avx"}, 8, 32),
        ("8", {"avx512f", "avx"}, 8, 16),
        ("16", {"avx"}, 16, 16),
        ("4", {"avx"}, 4, 16),
    ],
)
def test_lanes(setting: str | None, features: set[str], lanes: int, registers: int) -> None:
    assert _jit._lanes(setting, frozenset(features)) == lanes
    assert _jit._registers(lanes, frozenset(features)) == registers


@pytest.mark.parametrize("setting", ["0", "2", "32", "-4", "sixteen", "8.0"])
def test_lanes_that_are_none(setting: str) -> None:
    with pytest.raises(ValueError, match=r"FASTBP_LANES: must be 4, 8 or 16, or not set, got"):
        _jit._lanes(setting, frozenset())


def test_a_wrong_lanes_variable_stops_the_import(package: Package) -> None:
    process = package.start(FASTBP_LANES="12")
    assert "ValueError: FASTBP_LANES: must be 4, 8 or 16, or not set, got '12'" in process.communicate()[1]
    assert process.returncode == 1


def test_numbas_own_limit_on_features_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jit.config, "CPU_FEATURES", "")
    assert _jit._cpu_features() == frozenset()
    monkeypatch.setattr(_jit.config, "CPU_FEATURES", "+avx,-avx512f")
    assert _jit._cpu_features() == {"avx"}


@pytest.mark.skipif(sys.platform == "win32", reason="no file that is always full")
def test_what_cannot_be_said_stops_no_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTBP_QUIET", raising=False)
    full = open("/dev/full", "w")  # noqa: SIM115 - closing it fails
    monkeypatch.setattr(sys, "stderr", full)
    _jit._announce.__wrapped__(kept=True)
    with suppress(OSError):
        full.close()
