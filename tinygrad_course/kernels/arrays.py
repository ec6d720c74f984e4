"""Arrays as kernels take them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any

_LINE = 64  # bytes of a cache line


def ready(x: Array) -> Array:
    """The array as kernels take it: contiguous, aligned, of NumPy's own type.

    Numba compiles once more for a read-only array; a copy is cheaper.
    """
    return x if x.flags.carray and type(x) is np.ndarray else np.array(x, order="C", subok=False)


def aligned(shape: tuple[int, ...], dtype: Any, zeros: bool = False) -> Array:
    """An array that starts on a cache line: a vector across two of them is loaded twice."""
    size, spare = math.prod(shape), _LINE // dtype.itemsize
    raw = np.zeros(size + spare, dtype) if zeros else np.empty(size + spare, dtype)
    start = -raw.__array_interface__["data"][0] % _LINE // dtype.itemsize
    return raw[start : start + size].reshape(shape)
