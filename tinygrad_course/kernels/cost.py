"""Cross-entropy of labels: its value and its slope, each in few temporary arrays.

x holds a row of logits for each of m labels. Half precision is worked out in single precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def cross_entropy(x: Any, labels: Any) -> Any:
    """−Σ ln softmax(x)[n, label[n]] / m."""
    z = _shifted(x)
    chosen = z[np.arange(len(z), like=z), labels]
    total = np.add.reduce(np.exp(z, out=z), 1)
    return (np.add.reduce(np.log(total, out=total) - chosen) / len(x)).astype(x.dtype)


def slope(g: Any, x: Any, labels: Any) -> Any:
    """(softmax(x) − 1 at the labels) · g / m."""
    z = _shifted(x)
    np.exp(z, out=z)
    z /= np.add.reduce(z, 1, keepdims=True)
    z[np.arange(len(z), like=z), labels] -= 1
    z *= g / len(x)
    return z.astype(x.dtype, copy=False)


def _shifted(x: Any) -> Any:
    """x less the largest number of its row, so that no exponential overflows."""
    x = x.astype(np.float32) if x.dtype.char == "e" else x
    host = isinstance(x, np.ndarray)  # CuPy has the method alone
    return x - (np.maximum.reduce(x, 1, keepdims=True) if host else x.max(1, keepdims=True))
