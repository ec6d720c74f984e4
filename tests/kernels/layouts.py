"""What kernels are given: arrays in every layout, one thread or several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

LAYOUTS = ("Fortran", "strided", "backwards", "broadcast", "read-only", "unaligned", "subclass")


def laid_out(a: Any, layout: str) -> Any:
    """The array's numbers (but for `broadcast`) in another layout."""
    if layout == "Fortran":
        return np.asfortranarray(a)
    if layout == "strided":
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]
    if layout == "backwards":
        return np.ascontiguousarray(a[::-1])[::-1]
    if layout == "broadcast":
        return np.broadcast_to(a[:1], a.shape)
    if layout == "subclass":
        return a.view(np.memmap)
    if layout == "unaligned":
        raw = np.zeros(a.nbytes + 1, np.uint8)
        a, source = raw[1:].view(a.dtype).reshape(a.shape), a
        a[...] = source
        return a
    frozen = a.copy()
    frozen.flags.writeable = False
    return frozen


@contextmanager
def on(room: Any, count: int) -> Iterator[None]:
    """A module's kernels on one thread, or in parallel if there is more than one, however little
    there is to do."""
    original = room.threads_for
    room.threads_for = lambda work, least: min(count, original(1 << 60, 1))
    try:
        yield
    finally:
        room.threads_for = original
