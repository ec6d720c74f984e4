"""Arrays as kernels take them."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

Array = Any

_LINE = 64  # bytes of a cache line
_KEPT = 1 << 18  # bytes of room that are kept for the next call, unless another bound is given


def ready(x: Array) -> Array:
    """The array as kernels take it: contiguous, aligned, of NumPy's own type.

    Numba compiles once more for a read-only array; a copy is cheaper.
    """
    return x if x.flags.carray and type(x) is np.ndarray else np.array(x, order="C", subok=False)


def flat(x: Array) -> Array:
    """All of an array's numbers in a row, as kernels take them."""
    return ready(x).reshape(-1)


def aligned(shape: tuple[int, ...], dtype: Any, zeros: bool = False) -> Array:
    """An array that starts on a cache line: a vector across two of them is loaded twice."""
    size, spare = math.prod(shape), _LINE // dtype.itemsize
    raw = np.zeros(size + spare, dtype) if zeros else np.empty(size + spare, dtype)
    start = -raw.__array_interface__["data"][0] % _LINE // dtype.itemsize
    return raw[start : start + size].reshape(shape)


class Rooms:
    """Arrays for a kernel to work in: of zeros at first, later as an earlier call left them.

    Whoever takes one has it alone until it is given back.
    """

    def __init__(self, shape: tuple[int, ...], keep: int = _KEPT) -> None:
        self.shape, self._keep = shape, keep
        self._free: defaultdict[Any, list[Array]] = defaultdict(list)

    def take(self, dtype: Any) -> Array:
        """An array of this dtype."""
        try:
            return self._free[dtype].pop()
        except IndexError:
            return aligned(self.shape, dtype, zeros=True)

    def give(self, room: Array) -> None:
        """Keep it for the next call, unless it is large."""
        if room.nbytes <= self._keep:
            self._free[room.dtype].append(room)
