"""The memory of arrays: who else can reach it, and room for vast ones that is used again.

Nobody can reach an array's memory but through the array or another one that has it as its base, and
CPython counts who holds them.
"""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from typing import Any

import numpy as np

Array = Any

# what getrefcount says of an object that only one local variable holds
_ALONE = (lambda alone: sys.getrefcount(alone))(object())


def own(g: Array) -> Array:
    """`g` itself if nobody else can reach its memory, else a copy."""
    # +1: the caller's variable holds it too
    alone = (g.base is None or type(g.base) is _Room) and sys.getrefcount(g) <= _ALONE + 1
    return g if alone else g.copy()


def is_shared(array: Array) -> bool:
    """Whether anything but the one tensor that holds this array can reach its memory."""
    while array is not None and type(array) is not _Room:
        # +1: a tensor and a variable of the caller's, or an array made of this one
        known = type(array) is np.ndarray or hasattr(array, "__cuda_array_interface__")
        if not known or sys.getrefcount(array) > _ALONE + 1:
            return True
        array = array.base
    return False


# --- sums of many arrays --------------------------------------------------------------------------

LITTLE = 1024  # bytes: so much is sooner joined to others than added to them


def is_little(shape: tuple[int, ...], dtype: Any) -> bool:
    """Whether arrays of a kind are sooner put together and added up at once than one by one."""
    return math.prod(shape) * int(dtype.itemsize) <= LITTLE


def added(parts: list[Any]) -> Any:
    """The sum of values of one kind; the first is written into if nobody else can reach it.

    NumPy takes 300 ns to add two little arrays, and Python 60 to join the bytes of another one.
    """
    if len(parts) == 1:
        return parts[0]
    total = parts[0]
    if type(total) is np.ndarray and total.ndim and is_little(total.shape, total.dtype):
        with suppress(TypeError):  # some have gaps
            rows = np.ndarray((len(parts), *total.shape), total.dtype, b"".join(parts))
            return np.add.reduce(rows)
    for part in parts[1:]:
        # +1: the list holds it too; a Tensor has no base
        free = getattr(total, "base", total) is None or type(getattr(total, "base", 0)) is _Room
        if free and sys.getrefcount(total) <= _ALONE + 1:
            total += part
        else:
            total = total + part
    return total


# --- freed memory ---------------------------------------------------------------------------------

KEPT = 1 << 28  # bytes of freed memory that stay with the process at most


def keep_freed() -> None:
    """Let the C library keep freed memory for the next arrays, where it is glibc.

    It gives the end of its heap back as soon as a few megabytes of it are free. A training step
    frees its arrays at the end and makes them again in the next one, and the system clears them
    anew, page by page: 2 µs for 4 KB, a third of a step of LeNet at batch 128. Who has set one of
    glibc's own variables (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_) is left alone.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):  # another C library
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, KEPT)
        mallopt(_MMAP_THRESHOLD, VAST)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's names for its options


# --- vast arrays ----------------------------------------------------------------------------------

VAST = 1 << 25  # bytes: the system takes back what is larger than this as soon as it is freed


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """`np.empty`; room for a vast array is kept when the array is gone, for the next of its size.

    To be given such room anew costs as much time as to fill it: the system clears it page by page.
    At the first request that it does not fit, all that is kept goes back to the system.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size <= VAST:
        return np.empty(shape, dtype)
    try:
        memory = _kept[size].pop()
    except (KeyError, IndexError):
        _kept.clear()
        memory = np.empty(size, np.uint8)
    return np.asarray(_Room(memory, shape, dtype))


_kept: dict[int, list[Array]] = {}  # by size


class _Room:
    """The base of a vast array: keeps its memory when the array and its views are gone."""

    __slots__ = ("__array_interface__", "memory")

    def __init__(self, memory: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.memory = memory
        place = memory.__array_interface__["data"]
        self.__array_interface__ = {
            "version": 3, "data": place, "shape": shape, "typestr": dtype.str,
        }  # fmt: skip

    def __del__(self, kept: dict[int, list[Array]] = _kept) -> None:
        kept.setdefault(self.memory.nbytes, []).append(self.memory)
