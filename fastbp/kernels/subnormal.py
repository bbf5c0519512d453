"""Numbers too small to be normal, below 1e-38 in float32 and 2e-308 in float64: they are 0 while kernels run.

A CPU takes some hundred cycles for an operation on one of them, and training makes many: softmax's probabilities of the
other classes, deltas that come of these, and the moments of a parameter that gets no gradient any more, which shrink
until they are as small, and stay so. The CPU can take them for 0, in each thread for itself: kernels have it do so, and
put back what was set before.
"""

from __future__ import annotations

import platform
from typing import Any

from .._jit import cgutils, intrinsic, ir, types
from .simd import I32, I64

MACHINE = platform.machine().lower()
# Flush to zero, and denormals are zero: bits of x86's MXCSR; the same two as one bit of ARM's FPCR.
MXCSR_BITS, FPCR_BIT = 0x8040, 1 << 24


def _emit_mxcsr(b: Any, name: str, at: Any) -> None:
    fnty = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
    fn = cgutils.get_or_insert_function(b.module, fnty, f"llvm.x86.sse.{name}")
    b.call(fn, [b.bitcast(at, ir.IntType(8).as_pointer())])


def _emit_set(b: Any, mode: Any) -> None:
    if MACHINE in ("x86_64", "amd64"):
        _emit_mxcsr(b, "ldmxcsr", cgutils.alloca_once_value(b, b.trunc(mode, I32)))
    elif MACHINE in ("aarch64", "arm64"):
        fnty = ir.FunctionType(ir.VoidType(), [I64])
        b.call(cgutils.get_or_insert_function(b.module, fnty, "llvm.aarch64.set.fpcr"), [mode])


@intrinsic
def flush_subnormals(tc: Any) -> Any:
    """Take them for 0 in this thread from now on; the mode before, for ``set_mode``."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        before = I64(0)
        if MACHINE in ("x86_64", "amd64"):
            at = cgutils.alloca_once(b, I32)
            _emit_mxcsr(b, "stmxcsr", at)
            before = b.zext(b.load(at, typ=I32), I64)
            _emit_set(b, b.or_(before, I64(MXCSR_BITS)))
        elif MACHINE in ("aarch64", "arm64"):
            fnty = ir.FunctionType(I64, [])
            before = b.call(cgutils.get_or_insert_function(b.module, fnty, "llvm.aarch64.get.fpcr"), [])
            _emit_set(b, b.or_(before, I64(FPCR_BIT)))
        return before

    return types.int64(), codegen


@intrinsic
def set_mode(tc: Any, mode: Any) -> Any:
    """Put back what ``flush_subnormals`` returned."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        _emit_set(b, args[0])
        return ctx.get_dummy_value()

    return types.void(types.int64), codegen
