"""The one place that calls numba: flags, cache policy, unique cache names.

    njit       a device function: compiled into every kernel that calls it, and cached as a part of that
    serial     an entry point, called from Python
    parallel   the same with prange
    address    a C function, reached by its address from an entry point that knows nothing of its dtype

numba's cache on disk knows a function by its file, name, line and bytecode. It does not see a callee that changed in
another file, nor other flags, nor other ``LANES``, and two kernels made of one ``def`` answer for each other. So every
kernel is a copy of its function, whose name carries its flavour and the ``FINGERPRINT`` of all that shapes
machine code. Nothing compiles at import.
"""

# mypy: disable-error-code="attr-defined, no-untyped-call, call-overload, method-assign"
# numba's type hints cover a part of what is used here, and another part in each of its versions.

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import llvmlite
import numba
import numpy as np
from llvmlite import ir
from numba import carray, config, float32, float64, int64, prange, types, uint64
from numba.core import cgutils, codegen, sigutils
from numba.core.caching import FunctionCache, NullCache
from numba.core.ccallback import CFunc
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import AnnotateTypes
from numba.core.types.functions import BaseFunction
from numba.core.typing import templates
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.numpy_support import from_dtype

__all__ = [
    "COMPRESSES",
    "FINGERPRINT",
    "LANES",
    "VECTOR_REGISTERS",
    "address",
    "cache_directory",
    "carray",
    "cgutils",
    "float32",
    "float64",
    "from_dtype",
    "global_compiler_lock",
    "inlined",
    "int64",
    "intrinsic",
    "ir",
    "is_missing",
    "lower_builtin",
    "models",
    "njit",
    "parallel",
    "prange",
    "register_model",
    "serial",
    "templates",
    "types",
    "uint64",
]

KERNELS = Path(__file__).parent / "kernels"
# error_model "numpy": 1 / 0 is inf, as in C, not a Python exception. No fastmath: it would drop the checks for NaN.
FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
# numba's settings that change the code it makes and that its own cache does not look at.
SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "CPU_NAME")
# numba's passes for what no kernel has (closures, overloads to inline, array expressions, branches on None, ...): after
# each of them it looks all variables up again.
UNUSED_PASSES = {
    "dead_branch_prune",
    "dump_parfor_diagnostics",
    "find_literally",
    "inline_closure_likes",
    "inline_inlinables",
    "inline_overloads",
    "literal_unroll",
    "LiteralPropagation",
    "make_function_op_code_to_jit_function",
    "nopython_rewrites",
    "nopython_supported_feature_validation",
    "Rewrite dynamic raises",
    "rewrite_semantic_constants",
    "with_lifting",
}
# A cache directory keeps this many fingerprints (3 widths, before and after a change), and any used within the hour.
KEPT_FINGERPRINTS = 6
KEPT_SECONDS = 3600.0


# ---------------------------------------------------------------- the CPU
def _cpu_features() -> frozenset[str]:
    """Name what numba compiles for: what the CPU has, or less where numba or a variable of its own says so."""
    flat = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return frozenset(name[1:] for name in flat.split(",") if name.startswith("+"))


def _lanes(setting: str | None, features: frozenset[str]) -> int:
    """Choose the float32 lanes of a SIMD vector: FASTBP_LANES, or the widest that the CPU has."""
    if not setting:
        return 16 if "avx512f" in features else 8 if "avx" in features else 4
    if setting.strip() not in ("4", "8", "16"):
        raise ValueError(f"FASTBP_LANES: must be 4, 8 or 16, or not set, got {setting!r}")
    return int(setting)


def _registers(lanes: int, features: frozenset[str]) -> int:
    """Count the vector registers: AVX-512 has 32, for its short vectors only with the extension VL; ARM has 32."""
    evex = "avx512f" in features and (lanes == 16 or "avx512vl" in features)
    return 32 if evex or "neon" in features else 16


_FEATURES = _cpu_features()
LANES = _lanes(os.environ.get("FASTBP_LANES"), _FEATURES)
VECTOR_REGISTERS = _registers(LANES, _FEATURES)
COMPRESSES = LANES == 16 and "avx512vbmi2" in _FEATURES  # one instruction moves chosen bytes to the front


# ---------------------------------------------------------------- names
def _fingerprint() -> str:
    """Sixteen hex digits over all that shapes the code of any kernel: sources, flags, lanes, CPU and versions."""
    settings = [(name, str(getattr(config, name, None))) for name in SETTINGS]
    versions = (numba.__version__, llvmlite.__version__, np.__version__)
    digest = hashlib.sha256(repr((LANES, sorted(_FEATURES), FLAGS, settings, versions)).encode())
    for path in (Path(__file__), *sorted(KERNELS.glob("*.py"))):
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


FINGERPRINT = _fingerprint()
# numba's files (an index, the code, and either half-written) bear the name that ``_kernel`` gives.
_ENTRY = re.compile(r"\.fastbp_([0-9a-f]{16})_.*\.nb[ic](\.tmp\.\w+)?$")


def _named(func: Callable[..., Any], suffix: str) -> FunctionType:
    """Copy a function under a name of its own."""
    func = cast(FunctionType, func)
    copy = FunctionType(func.__code__, func.__globals__, func.__name__, func.__defaults__, func.__closure__)
    copy.__qualname__ = func.__qualname__ + suffix
    copy.__module__, copy.__doc__ = func.__module__, func.__doc__
    return copy


def _kernel(func: Callable[..., Any], flavour: str) -> FunctionType:
    """Copy a function under a kernel's name; the line tells lambdas apart, which have none."""
    return _named(func, f".fastbp_{FINGERPRINT}_{flavour}_{func.__code__.co_firstlineno}")


def _short(signature: Any) -> str:
    return hashlib.sha256(str(signature).encode()).hexdigest()[:8]


# ---------------------------------------------------------------- the cache on disk
class _Cache(NullCache):
    """numba's cache of one kernel, except that nothing on the disk can break a run: what will not load is compiled.

    Every signature has its own index file. In a common one two processes that compile at once both take the next
    number, and the index of one then points to the code of the other. The directory is looked for when a kernel is
    first needed, not at import.
    """

    def __init__(self, func: FunctionType) -> None:
        self._func = func

    def _files(self, sig: Any = None) -> FunctionCache | None:
        if self._func.__closure__:
            return None  # closures of one def share a name, and would get each other's code
        try:
            return FunctionCache(_named(self._func, f"_{_short(sig)}"))
        except (RuntimeError, OSError):  # no directory can be written to
            return None

    @property
    def cache_path(self) -> str | None:
        """The directory, or None where there is none."""
        files = self._files()
        return None if files is None else str(files.cache_path)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel, or None."""
        files = self._files(sig)
        found: Any = None
        if files is not None:
            try:
                found = files.load_overload(sig, target_context)
            except Exception:  # a damaged pickle may raise anything
                with suppress(Exception):
                    files.flush()
            with suppress(Exception):
                os.utime(files._cache_file._index_path)  # pruning goes by it
        if found is None:
            _announce(kept=files is not None)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel, if there is room for it."""
        files = self._files(sig)
        if files is not None:
            with suppress(Exception):  # a full disk
                files.save_overload(sig, data)
            _prune(Path(files.cache_path))


def cache_directory() -> str | None:
    """Where the compiled kernels are kept, or None where no directory can be written to."""
    code = cache_directory.__code__.replace(co_filename=str(KERNELS / "__init__.py"))
    return _Cache(FunctionType(code, {})).cache_path


@cache
def _announce(kept: bool) -> None:
    """Say once why nothing happens for some seconds."""
    if os.environ.get("FASTBP_QUIET", "0") in ("", "0") and sys.stderr is not None:
        until = "once" if kept else "for this process only (set NUMBA_CACHE_DIR to a folder that can be written to)"
        with suppress(OSError, ValueError):  # full or closed
            print(
                f"fastbp: compiling its kernels for this CPU, {until}; a fit's take about 10 s ...",
                file=sys.stderr,
                flush=True,
            )


@cache
def _prune(directory: Path) -> None:
    """Remove the kernels of all but the latest fingerprints, once a process.

    Whoever misses an entry compiles it, so removing is always safe. What was used within the hour stays: checkouts,
    lanes and versions that share a directory do not fight.
    """
    files: dict[str, list[Path]] = {}
    used: dict[str, float] = {}
    with suppress(OSError):  # another process removes too
        for path in directory.iterdir():
            if entry := _ENTRY.search(path.name):
                used[entry[1]] = max(used.get(entry[1], 0.0), path.stat().st_mtime)
                files.setdefault(entry[1], []).append(path)
        for fingerprint in sorted(used, key=lambda known: used[known])[:-KEPT_FINGERPRINTS]:
            if used[fingerprint] < time.time() - KEPT_SECONDS:
                for path in files[fingerprint]:
                    path.unlink(missing_ok=True)


# ---------------------------------------------------------------- device functions
class _LinkedLibrary(codegen.JITCodeLibrary):
    """The code of a device function, which exists to be linked into others: LLVM's IR, and no machine code.

    numba would optimise it, and make machine code of it that nobody calls: two fifths of all compilation.
    """

    def _optimize_final_module(self) -> None:
        """Leave it to the entry point that all this ends up in."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """0, as for any name that a library does not define."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        """Who is asked to ``set_env`` once there is machine code."""
        return self

    def set_env(self, env_name: str, env: Any) -> None:
        """Do nothing: only machine code has an environment."""


@register_pass(mutates_CFG=False, analysis_only=True)
class _UseLinkedLibrary(AnalysisPass):
    _name = "use_linked_library"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        state.library = _LinkedLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return False


_signatures: dict[tuple[int, Any], tuple[Any, Any]] = {}  # with the function, whose id then stays its own


@contextmanager
def _remembering_signatures() -> Iterator[None]:
    """Have numba look up what ``a + b`` of two types is once, and not for every line: a seventh of all compilation."""
    ask = BaseFunction.get_call_type

    def get_call_type(self: Any, context: Any, args: Any, kws: Any) -> Any:
        if kws:
            return ask(self, context, args, kws)
        if (id(self), args) not in _signatures:
            _signatures[id(self), args] = self, ask(self, context, args, kws)
        return _signatures[id(self), args][1]

    BaseFunction.get_call_type = get_call_type
    try:
        yield
    finally:
        BaseFunction.get_call_type = ask


class _DeviceCompiler(CompilerBase):
    """numba's compiler, but for the library, and without the passes that find nothing in a kernel."""

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [step for step in pipeline.passes if step[0]._name not in UNUSED_PASSES]
        pipeline.add_pass_after(_UseLinkedLibrary, AnnotateTypes)
        pipeline.finalize()
        return [pipeline]


class _DeviceDispatcher(CPUDispatcher):
    """numba's dispatcher, but for constants: it would compile a function again for each that is passed to it."""

    def get_call_template(self, args: Any, kws: Any) -> Any:
        plain = {name: types.unliteral(kind) for name, kind in kws.items()}
        return super().get_call_template(tuple(map(types.unliteral, args)), plain)


# ---------------------------------------------------------------- the decorators
def _device(func: Callable[..., Any], flavour: str, **options: Any) -> Any:
    """Make the dispatcher of a device function."""
    options |= FLAGS | {"nopython": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return _DeviceDispatcher(_kernel(func, flavour), targetoptions=options, pipeline_class=_DeviceCompiler)


def _entry(func: Callable[..., Any], flavour: str, **options: Any) -> Any:
    """Make the dispatcher of an entry point, with a cache."""
    kernel = _kernel(func, flavour)
    dispatcher = numba.njit(**FLAGS, **options)(kernel)
    # numba's own enable_caching would look for the directory now, and raise where there is none.
    dispatcher._cache = _Cache(kernel)
    return dispatcher


def njit(func: Callable[..., Any]) -> Any:
    """Compile a device function, for kernels alone to call; its cache is that of the entry points that call it.

    It gets no wrappers for Python and C callers: they took a fifth of all compilation.

    Examples
    --------
    >>> @njit
    ... def half(x):
    ...     return x / 2
    >>> @serial
    ... def quarter(x):
    ...     return half(half(x))
    >>> quarter(1.0)
    0.25
    """
    # A cache of its own took five times the space, and saved no time, warm or cold.
    return _device(func, "device")


def inlined(func: Callable[..., Any]) -> Any:
    """As ``njit``, and copied into its callers by LLVM, whatever its size: for what stands inside a hot loop."""
    return _device(func, "inlined", forceinline=True)


def serial(func: Callable[..., Any]) -> Any:
    """Compile an entry point that Python calls, without numba's threads."""
    return _entry(func, "serial")


def parallel(func: Callable[..., Any]) -> Any:
    """Compile an entry point with ``prange``, called inside ``_threads.region``; keep it thin, it compiles slowly."""
    return _entry(func, "parallel", parallel=True)


def _callback(func: Callable[..., Any], signature: Any) -> Any:
    """What compiles ``func`` as a C function, or loads it."""
    normal = sigutils.normalize_signature(signature)
    kernel = _kernel(func, f"c{_short(normal)}")
    callback = CFunc(kernel, normal, locals={}, options=dict(FLAGS))
    callback._cache = _Cache(kernel)
    return callback


def is_missing(func: Callable[..., Any], signature: Any) -> bool:
    """Whether there is a cache, but nothing in it for ``address(func, signature)``.

    Examples
    --------
    >>> def fifth(x):
    ...     return x / 5
    >>> at = address(fifth, types.float64(types.float64))
    >>> is_missing(fifth, types.float64(types.float64))
    False
    """
    callback = _callback(func, signature)
    files = callback._cache._files(callback._sig)
    return files is not None and not Path(files._cache_file._index_path).exists()


_callbacks: dict[tuple[Callable[..., Any], Any], Any] = {}  # kept: without the object the code is gone


@global_compiler_lock  # type: ignore[untyped-decorator, unused-ignore]
def address(func: Callable[..., Any], signature: Any) -> int:
    """Compile ``func`` as a C function, or load it from the cache, and return its address.

    Parameters
    ----------
    func : function
        A plain Python function that numba can compile; it may call device functions.
    signature : numba signature or str
        Its types, such as ``types.void(types.CPointer(types.float32), types.int64)``. One ``def`` may be compiled for
        several.

    Returns
    -------
    int
        The address, good for the life of the process.

    Examples
    --------
    >>> import ctypes
    >>> def third(x):
    ...     return x / 3
    >>> at = address(third, types.float64(types.float64))
    >>> ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(at)(1.0) == 1 / 3
    True
    """
    if (func, signature) not in _callbacks:
        callback = _callback(func, signature)
        with _remembering_signatures():
            callback.compile()
        _callbacks[func, signature] = callback
    return cast(int, _callbacks[func, signature].address)
