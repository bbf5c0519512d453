"""A vector as wide as the CPU's registers, as a type that numba kernels compute with.

``Vector`` holds ``LANES`` float32 or half as many float64 (16, 8 or 4 float32: AVX-512, AVX, SSE). Kernels
``load`` one from an address (memory.py), write ``1.0 / (1.0 + exp(-z))`` (functions.py) with ordinary operators, and
``store`` it. ``one``, a scalar 1, tells a function which dtype it works in. Nothing here compiles until a kernel uses
it.

Operators round as IEEE 754 says and ``fma`` fuses wherever the CPU can, so a result's bits do not depend on how many
lanes it was computed in.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from .._jit import LANES, cgutils, intrinsic, ir, lower_builtin, models, register_model, templates, types

I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """The numba type of a register of ``lanes`` numbers of one float dtype."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.lanes = LANES * 32 // dtype.bitwidth
        self.scalar_ir = ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
        self.int_ir = ir.IntType(dtype.bitwidth)
        self.ir = ir.VectorType(self.scalar_ir, self.lanes)
        super().__init__(name=f"Vector({dtype} x {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, fe_type.ir)


# ---------------------------------------------------------------- pieces of LLVM IR, for all that emits it
def emit_constant(vec: Vector, value: float) -> ir.Constant:
    """``value`` in every lane."""
    return ir.Constant(vec.ir, [ir.Constant(vec.scalar_ir, value)] * vec.lanes)


def emit_load(b: Any, vec: Vector, address: Any) -> Any:
    """The vector at ``address``, aligned to its elements only."""
    value = b.load(b.inttoptr(address, vec.ir.as_pointer()), typ=vec.ir)
    value.align = vec.dtype.bitwidth // 8
    return value


def emit_store(b: Any, vec: Vector, value: Any, address: Any) -> None:
    """``value`` to ``address``, aligned to its elements only."""
    b.store(value, b.inttoptr(address, vec.ir.as_pointer())).align = vec.dtype.bitwidth // 8


def emit_splat(b: Any, vec: Vector, scalar: Any) -> Any:
    """``scalar`` in every lane."""
    undefined = ir.Constant(vec.ir, ir.Undefined)
    first = b.insert_element(undefined, scalar, I32(0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, vec.lanes), [0] * vec.lanes))


def emit_load_splat(b: Any, vec: Vector, address: Any) -> Any:
    """The one element at ``address``, in every lane (a broadcast that x86 folds into the instruction using it)."""
    scalar = b.load(b.inttoptr(address, vec.scalar_ir.as_pointer()), typ=vec.scalar_ir)
    return emit_splat(b, vec, scalar)


def emit_fma(b: Any, vec: Vector, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, fused where the CPU has the instruction.

    ``llvm.fma`` would be a library call a lane on a CPU without it; the ``contract`` flag does not fuse a product that
    two sums share.
    """
    return emit_call(b, vec, "fmuladd", x, y, z)


def emit_opaque(b: Any, number: Any) -> Any:
    """The 64-bit ``number`` in a register; LLVM cannot tell how it came about, and so not replace it."""
    return b.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [number], side_effect=False)


def emit_prefetch(b: Any, address: Any, level: int = 1) -> None:
    """Ask for the cache line at ``address``, as far as this level of the caches; any address is safe."""
    pointer = ir.IntType(8).as_pointer()
    fnty = ir.FunctionType(ir.VoidType(), [pointer, I32, I32, I32])
    fn = cgutils.get_or_insert_function(b.module, fnty, "llvm.prefetch.p0")
    b.call(fn, [b.inttoptr(address, pointer), I32(0), I32(4 - level), I32(1)])


def emit_call(b: Any, vec: Vector, name: str, *args: Any) -> Any:
    suffix = f"v{vec.lanes}f{vec.dtype.bitwidth}"
    fnty = ir.FunctionType(vec.ir, [vec.ir] * len(args))
    return b.call(cgutils.get_or_insert_function(b.module, fnty, f"llvm.{name}.{suffix}"), list(args))


def emit_pairwise(b: Any, vec: Vector, x: Any, combine: Callable[[Any, Any, Any], Any]) -> Any:
    """All lanes combined: first half with second half, again and again (llvm.vector.reduce goes lane by lane)."""
    lanes = vec.lanes
    while lanes > 1:
        lanes //= 2
        upper = [*range(lanes, 2 * lanes), *[0] * (vec.lanes - lanes)]
        x = combine(b, x, b.shuffle_vector(x, x, ir.Constant(ir.VectorType(I32, vec.lanes), upper)))
    return b.extract_element(x, I32(0))


# ---------------------------------------------------------------- arithmetic
def _operand(ctx: Any, b: Any, vec: Vector, kind: Any, value: Any) -> Any:
    return value if isinstance(kind, Vector) else emit_splat(b, vec, ctx.cast(b, value, kind, vec.dtype))


def _binary(op: Any, instruction: str) -> None:
    """Teach numba ``op`` for two vectors, or for a vector and a number on either side."""

    def typed(self: Any, args: Any, kws: Any) -> Any:
        if len(args) == 2 and any(isinstance(a, Vector) for a in args):
            vec = next(a for a in args if isinstance(a, Vector))
            return vec(*args)
        return None

    def lower(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        vec = sig.return_type
        return getattr(b, instruction)(*(_operand(ctx, b, vec, k, v) for k, v in zip(sig.args, args, strict=True)))

    templates.infer_global(op)(type(f"Vector_{instruction}", (templates.AbstractTemplate,), {"generic": typed}))
    for pair in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(op, *pair)(lower)


for _op, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _binary(_op, _instruction)
_binary(operator.truediv, "fdiv")


@templates.infer_global(operator.neg)
class _Negate(templates.AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return args[0](args[0]) if isinstance(args[0], Vector) else None


@lower_builtin(operator.neg, Vector)
def _lower_negate(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
    return b.fneg(args[0])


@intrinsic
def fma(tc: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, rounded once where the CPU can; x a vector, y and z vectors or numbers."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        return emit_fma(b, x, *(_operand(ctx, b, x, k, v) for k, v in zip(sig.args, args, strict=True)))

    return x(x, y, z), codegen


@intrinsic
def sqrt(tc: Any, x: Any) -> Any:
    """Square root, correctly rounded."""
    return x(x), lambda ctx, b, sig, args: emit_call(b, x, "sqrt", args[0])


@intrinsic
def absolute(tc: Any, x: Any) -> Any:
    """|x|"""
    return x(x), lambda ctx, b, sig, args: emit_call(b, x, "fabs", args[0])


@intrinsic
def copysign(tc: Any, x: Any, y: Any) -> Any:
    """|x| with the sign of y"""
    return x(x, y), lambda ctx, b, sig, args: emit_call(b, x, "copysign", *args)


@intrinsic
def where_negative(tc: Any, x: Any, a: Any, b: Any) -> Any:
    """In each lane ``a`` where x < 0, else ``b`` (also where x is NaN, so that b = x keeps it)."""

    def codegen(ctx: Any, bld: Any, sig: Any, args: Any) -> Any:
        negative = bld.fcmp_ordered("<", args[0], emit_constant(x, 0.0))
        yes, no = (_operand(ctx, bld, x, k, v) for k, v in zip((a, b), args[1:], strict=True))
        return bld.select(negative, yes, no)

    return x(x, a, b), codegen


@intrinsic
def where_above(tc: Any, x: Any, y: Any, a: Any, b: Any) -> Any:
    """In each lane ``a`` where x > y, else ``b``."""

    def codegen(ctx: Any, bld: Any, sig: Any, args: Any) -> Any:
        yes, no = (_operand(ctx, bld, x, k, v) for k, v in zip((a, b), args[2:], strict=True))
        return bld.select(bld.fcmp_ordered(">", *args[:2]), yes, no)

    return x(x, y, a, b), codegen


@intrinsic
def where_bits(tc: Any, bits: Any, x: Any) -> Any:
    """``x`` in the lanes whose bit is set, the lowest bit for the first lane; 0 in the others."""

    def codegen(ctx: Any, b: Any, sig: Any, args: Any) -> Any:
        lanes = b.bitcast(b.trunc(args[0], ir.IntType(x.lanes)), ir.VectorType(ir.IntType(1), x.lanes))
        return b.select(lanes, args[1], emit_constant(x, 0.0))

    return x(bits, x), codegen
