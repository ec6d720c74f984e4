"""Arrays as the GPU's kernels take them, CuPy's; NumPy's where the simulator is the GPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .geometry import Shape

Array = Any

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def ready(x: Array) -> Array:
    """The array with its elements in order, as kernels take it."""
    return x if x.flags.c_contiguous else x.copy()


def alike(x: Array, *others: Array) -> bool:
    """Whether all are floats of one shape and dtype, on one device."""
    return x.dtype in FLOATS and all(
        type(a) is type(x) and a.dtype == x.dtype and a.shape == x.shape for a in others
    )


def gpu_of(x: Array) -> int:
    """The GPU's number; −1 for the simulator."""
    return -1 if isinstance(x, np.ndarray) else x.device.id


def empty(shape: Shape, dtype: Any, like: Array) -> Array:
    """Room for numbers beside another array."""
    return (np if isinstance(like, np.ndarray) else cupy()).empty(shape, dtype)


def put_beside(values: Any, gpu: int) -> Array:
    """NumPy's array on a GPU."""
    return values if gpu < 0 else cupy().asarray(values)


@cache
def cupy() -> Any:
    """CuPy, imported when first asked for."""
    import cupy

    return cupy
