"""Fast versions of some rows of the table, by device and name. Arrays in, arrays out.

A row's own forward is complete; a device may offer a kernel under the row's name, with the same
arguments and the same result. `plain` holds the NumPy forwards of convolution and pooling, which
are what every kernel is tested against.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from . import geometry, plain

__all__ = ["NAMES", "geometry", "lookup", "plain"]

NAMES: dict[str, frozenset[str]] = {
    "cpu": frozenset(
        {
            "conv2d",
            "conv2d_input",
            "conv2d_weight",
            "max_pool2d_indices",
            "pool_take",
            "pool_put",
            "avg_pool2d",
            "avg_pool2d_input",
        }
    ),
}


def lookup(device: str, name: str) -> Callable[..., Any] | None:
    """The device's kernel of that name, or None where it has none.

    The compiler (Numba) is imported when a kernel is first asked for.
    """
    if name not in NAMES.get(device, ()):
        return None
    kernel: Callable[..., Any] = getattr(importlib.import_module(f"{__name__}.{device}"), name)
    return kernel
