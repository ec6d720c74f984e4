"""The table of operations, one family a file."""

from __future__ import annotations

from . import attention, elementwise, index, linalg, loss, reduce, shape, special, window

__all__ = [
    "attention", "elementwise", "index", "linalg", "loss", "reduce", "shape", "special", "window",
]  # fmt: skip
