"""A choice between two arrays, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_BITS = {"e": "u2", "f": "u4", "d": "u8"}
_LEAST = 1024  # elements: below, the shorter way is the faster one


def where(c: Any, x: Any, y: Any) -> Any:
    """`np.where`, on bits: y ^ ((x ^ y) · c), and x · c where y is 0.

    NumPy's own loop branches at each element, and on truth values without a pattern (which half of
    the pixels a relu lets through) most guesses of the processor are wrong: these few passes take a
    seventh of its time. As integers, for 0 · inf would be NaN.
    """
    if not isinstance(c, np.ndarray) or c.size < _LEAST:
        return np.where(c, x, y)
    if _is_zero(y) and type(x) is np.ndarray and x.shape == c.shape and x.dtype.char in _BITS:
        bits = _BITS[x.dtype.char]  # a relu's gradient: as below, without the questions
        return (c.astype(bits) * x.view(bits)).view(x.dtype)
    dtype = np.result_type(x, y)
    x, y = [v if isinstance(v, np.ndarray) else np.array(v, dtype) for v in (x, y)]
    fits = x.dtype == y.dtype == dtype and {x.shape, y.shape} <= {(), np.shape(c)}
    if not fits:
        return np.where(c, x, y)
    bits = f"u{dtype.itemsize}"
    x, y, out = x.view(bits), y.view(bits), c.astype(bits)
    if y.ndim == 0 and not y:
        out *= x
    else:
        out *= x ^ y
        out ^= y
    return out.view(dtype)


def _is_zero(y: Any) -> bool:
    """Whether it is 0.0; −0.0 has other bits."""
    return type(y) is float and y == 0 and math.copysign(1, y) > 0
