"""The table of operations, one family a file."""

from __future__ import annotations

from . import elementwise, index, linalg, loss, reduce, shape, special, window

__all__ = ["elementwise", "index", "linalg", "loss", "reduce", "shape", "special", "window"]
