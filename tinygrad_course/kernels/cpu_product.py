"""A product of matrices in parts: NumPy's BLAS makes each in a thread of the team.

The BLAS that came with NumPy multiplies as fast as anything, but its own threads wait by spinning
and take the cores from the kernels'. Held to one thread (`threads`), it is called by its address
from the team's threads, each for some rows or columns of the result.

What another core wrote has to come from there: for the products of a small network that takes as
long as to multiply. So the cut is made where parts stay together. The largest of the three matrices
is cut: of a linear layer's weight the same rows then belong to the same thread forward, in their
gradient, and in the optimiser's step.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .arrays import flat
from .cpu_jit import entry, launch, worker
from .cpu_spread import portion, spread
from .cpu_team import emitted
from .cpu_vector import View

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

Array = Any

_BY_ROWS, _AS_IT_IS, _TURNED = 101, 111, 112  # CBLAS's names for how a matrix is kept
_TOGETHER = 16  # rows or columns that are not cut apart: a vector of numbers


@cache
def blas(char: str) -> int:
    """The address of NumPy's sgemm or dgemm ("f", "d") with 64-bit sizes; 0 if it isn't OpenBLAS's.

    The wheels of NumPy 2 have it under the first of these names, those of NumPy 1.26 under the
    other.
    """
    from threadpoolctl import ThreadpoolController

    kind = {"f": "sgemm64_", "d": "dgemm64_"}[char]
    for library in ThreadpoolController().select(internal_api="openblas").lib_controllers:
        if "numpy" in library.filepath:
            for name in (f"scipy_cblas_{kind}", f"cblas_{kind}"):
                function = getattr(library.dynlib, name, None)
                if function is not None:
                    return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0


@emitted
def _multiply(
    typing: Any, address: Any, a: Any, at_a: Any, turned_a: Any, b: Any, at_b: Any, turned_b: Any,
    c: Any, at_c: Any, sizes: Any, steps: Any,
) -> Any:  # fmt: skip
    """c = a b, from a place of each on; `sizes` are the rows, the columns, and what is summed up,
    `steps` how far apart the rows of each stand.
    """
    takes = (address, a, at_a, turned_a, b, at_b, turned_b, c, at_c, sizes, steps)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        size, flag = ir.IntType(64), ir.IntType(32)
        a, b, c = (View(context, builder, takes[i], args[i]) for i in (1, 4, 7))
        turned = [
            builder.select(builder.trunc(args[i], ir.IntType(1)), flag(_TURNED), flag(_AS_IT_IS))
            for i in (3, 6)
        ]
        one, place = a.number(1), a.number.as_pointer()
        sizes = [(size, builder.extract_value(args[9], i)) for i in range(3)]
        steps = [(size, builder.extract_value(args[10], i)) for i in range(3)]
        given = [
            (flag, flag(_BY_ROWS)), *((flag, t) for t in turned),
            *sizes, (a.number, one), (place, a.at(args[2])), steps[0], (place, b.at(args[5])),
            steps[1], (a.number, a.number(0)), (place, c.at(args[8])), steps[2],
        ]  # fmt: skip
        kind = ir.FunctionType(ir.VoidType(), [kind for kind, _ in given])
        function = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(function, [value for _, value in given])
        return context.get_dummy_value()

    return types.void(*takes), emit


@worker
def _part(t, a, turned_a, b, turned_b, out, address, by_rows, threads):
    """Some rows of out = a b, or some columns. A turned matrix is given as its transpose."""
    rows, columns = out.shape
    inner = a.shape[0] if turned_a else a.shape[1]
    size, steps = rows if by_rows else columns, (a.shape[1], b.shape[1], columns)
    lo, hi = portion((size + _TOGETHER - 1) // _TOGETHER, t, threads)
    lo, hi = lo * _TOGETHER, min(hi * _TOGETHER, size)
    if lo < hi and by_rows:
        at, sizes = lo if turned_a else lo * inner, (hi - lo, columns, inner)
        _multiply(address, a, at, turned_a, b, 0, turned_b, out, lo * columns, sizes, steps)
    elif lo < hi:
        at, sizes = lo * inner if turned_b else lo, (rows, hi - lo, inner)
        _multiply(address, a, 0, turned_a, b, at, turned_b, out, lo, sizes, steps)


@entry
def _product(team, out, a, turned_a, b, turned_b, address, by_rows, threads):
    spread(team, threads, _part, (a, turned_a, b, turned_b, out, address, by_rows, threads))


def matmul(a: Array, b: Array, threads: int) -> Array:
    """The product of two matrices of one dtype, float32 or float64; None without such a BLAS."""
    address = blas(a.dtype.char)
    if not address:
        return None
    if a.shape[1] != b.shape[0] or not (a.size and b.size):
        return np.matmul(a, b)  # zeros, or an error that says what does not fit
    (left, turned_a), (right, turned_b) = _standing(a), _standing(b)
    out = np.empty((len(a), b.shape[1]), a.dtype)
    by_rows = out.size >= max(a.size, b.size) or a.size > b.size
    launch(_product, threads, out, left, turned_a, right, turned_b, address, by_rows, threads)
    return out


@worker
def _times(number, x, out):
    for j in range(out.size):
        out[j] = number * x[j]


@entry
def _outer(team, a, b, out):
    """out[i, j] = a[i] · b[j]."""
    for i in range(a.size):
        _times(a[i], b, out[i])


def outer(a: Array, b: Array) -> Array:
    """The product of a column and a row of one dtype: the BLAS takes three times as long."""
    out = np.empty((a.size, b.size), a.dtype)
    launch(_outer, 1, flat(a), flat(b), out)
    return out


def _standing(x: Array) -> tuple[Array, int]:
    """The matrix with its rows one after the other, and whether it is turned around for that."""
    if x.flags.c_contiguous:
        return x, 0
    return (x.T, 1) if x.flags.f_contiguous else (np.ascontiguousarray(x), 0)
