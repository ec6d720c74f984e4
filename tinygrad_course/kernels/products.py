"""Large products of matrices, cut up for several threads.

NumPy's BLAS has threads of its own, which wait by spinning and take the cores from the kernels'.
When these are at work it is held to one thread (`threads`). A product of two matrices is then
shared out among the kernels' threads (`cpu_product`); one of many matrices, or where NumPy has
another BLAS, among Python threads here, which wait asleep: NumPy lets go of the interpreter while
it multiplies.

Where OpenBLAS is slow, at the product x Wᵀ of a linear layer, there is a kernel of our own
(`cpu_linear`). At the others one came to 80 % of its speed on one thread.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from sys import modules
from typing import Any

import numpy as np

from . import memory, threads
from .arrays import ready

Array = Any

_SETTLED = 1 << 13  # products of numbers that OpenBLAS would share out among threads of its own
_LEAST = 1 << 20  # products that sharing them out pays for ...
_LEAST_ASLEEP = 1 << 25  # ... and that it pays for if threads must wake up
_OUTER = 1 << 14  # products of a column and a row that a kernel is worth calling for
_FEW = 48  # rows: up to here OpenBLAS takes x Wᵀ more slowly than (W xᵀ)ᵀ, ...
_TURNED = 1 << 20  # ... by more than the copy takes from this many products on
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def matmul(a: Array, b: Array) -> Array:
    """`np.matmul`; a large product is made in parts, side by side, a small one begins sooner."""
    if a.ndim == b.ndim == 2:
        work, inner = a.size * b.shape[1], a.shape[1]
        if work >= _SETTLED:
            threads.settle()
        if inner == len(b) and (work < _TURNED or inner == 1):
            if inner == 1 and work >= _OUTER and "numba" in modules and _are_floats(a, b):
                return _with_numba("cpu_product").outer(a, b)
            return a.dot(b)  # of a column and a row, too, matmul would not ask the BLAS
        if inner == len(b) and b.flags.f_contiguous and len(a) > 1:
            return _linear(a, b.T, work)
    return _matmul(a, b)


def _linear(x: Array, w: Array, work: int) -> Array:
    """x Wᵀ, large enough for a kernel."""
    if _are_floats(x, w) and threads.share_products():
        kernel = _with_numba("cpu_linear")
        if kernel.pays(len(x), x.shape[1], len(w), x.dtype):
            return kernel.product(ready(x), ready(w), threads.threads_for(work, _LEAST))
    return np.ascontiguousarray(_matmul(w, x.T).T) if len(x) <= _FEW else _matmul(x, w.T)


def _matmul(a: Array, b: Array) -> Array:
    work = a.size * b.shape[-1] if b.ndim else 0
    if work >= _SETTLED:
        threads.settle()
    if work < _LEAST or not _are_floats(a, b) or not threads.share_products():
        return np.matmul(a, b)
    count = threads.threads_for(work, _LEAST)
    out = _with_numba("cpu_product").matmul(a, b, count) if a.ndim == b.ndim == 2 else None
    if out is None and work < _LEAST_ASLEEP:
        return np.matmul(a, b)
    if out is None:
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        out = memory.empty(shape, a.dtype)
        threads.side_by_side(np.matmul, list(_parts(a, b, out, count)))
    return out


@cache
def _with_numba(name: str) -> Any:
    """A module of kernels: it needs Numba, which is loaded when there is a team."""
    return importlib.import_module(f"{__package__}.{name}")


def _are_floats(a: Array, b: Array) -> bool:
    alike = type(a) is np.ndarray is type(b) and a.dtype == b.dtype
    return alike and a.ndim > 1 < b.ndim and a.dtype in _DTYPES


def _parts(a: Array, b: Array, out: Array, parts: int) -> Iterator[tuple[Array, Array, Array]]:
    """The operands and the result of each part: some of the matrices, or of their longer side."""
    if out.ndim > 2 and len(out) >= parts:
        for some in _cuts(len(out), parts):
            yield _some(a, out, some), _some(b, out, some), out[some]
    elif out.shape[-2] >= out.shape[-1]:
        for some in _cuts(out.shape[-2], parts):
            yield a[..., some, :], b, out[..., some, :]
    else:
        for some in _cuts(out.shape[-1], parts):
            yield a, b[..., some], out[..., some]


def _cuts(size: int, parts: int) -> Iterator[slice]:
    for p in range(parts):
        yield slice(size * p // parts, size * (p + 1) // parts)


def _some(x: Array, out: Array, some: slice) -> Array:
    """What an operand has for some of the matrices: all of it, if it serves every one."""
    return x[some] if x.ndim == out.ndim and len(x) == len(out) else x
