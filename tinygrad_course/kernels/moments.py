"""Normalisation in NumPy: values of mean 0 and variance 1 along some dimensions, and back.

Each pass over the data is one line that writes into memory it has already: what costs time here is
memory, not arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any
Dims = tuple[int, ...]


def moments(x: Array, dims: Dims) -> tuple[Array, Array]:
    """The mean and the mean squared distance from it, over `dims`, which stay with size 1."""
    count = math.prod(x.shape[d] for d in dims)
    mean = np.add.reduce(x, dims, keepdims=True) / np.asarray(count, x.dtype)
    far = np.subtract(x, mean)
    np.multiply(far, far, out=far)
    return mean, np.add.reduce(far, dims, keepdims=True) / np.asarray(count, x.dtype)


def normalise(x: Array, w: Array, b: Array, mean: Array, rstd: Array) -> Array:
    """w (x − mean) · rstd + b; w and b broadcast to x, or are None."""
    out = np.subtract(x, mean)
    if w is not None and _smaller(w, rstd, x):
        rstd, w = rstd * w, None
    np.multiply(out, rstd, out=out)
    if w is not None:
        np.multiply(out, w, out=out)
    return out if b is None else np.add(out, b, out=out)


def normalise_back(
    g: Array, x: Array, w: Array, dims: Dims, mean: Array, rstd: Array
) -> tuple[Array, Array, Array]:
    """The gradient of x, and Σ g x̂ and Σ g in the shape of w, x̂ being (x − mean) · rstd.

    With h = w g, the gradient of x is rstd (h − mean h − x̂ · mean(h x̂)), means over `dims`.
    """
    count = math.prod(x.shape[d] for d in dims)
    hat = np.subtract(x, mean)
    np.multiply(hat, rstd, out=hat)
    product = np.multiply(g, hat)
    inside = w is not None and not _smaller(w, rstd, x)  # w varies within dims
    if inside:
        dw, db = _summed(product, w.shape), _summed(g, w.shape)
        h, scale = np.multiply(g, w), rstd
        np.multiply(product, w, out=product)
    else:
        h, scale = g, rstd if w is None else rstd * w
    along = np.add.reduce(product, dims, keepdims=True)
    level = np.add.reduce(h, dims, keepdims=True)
    if not inside:
        form = rstd.shape if w is None else w.shape
        dw, db = _summed(along, form), _summed(level, form)
    np.multiply(hat, along / np.asarray(count, x.dtype), out=hat)
    np.subtract(h, hat, out=hat)
    np.subtract(hat, level / np.asarray(count, x.dtype), out=hat)
    return np.multiply(hat, scale, out=hat), dw, db


def _smaller(w: Array, rstd: Array, x: Array) -> bool:
    """Whether w is the same all along the dimensions over which means are taken."""
    return all(a == 1 or b == n for a, b, n in zip(w.shape, rstd.shape, x.shape, strict=True))


def _summed(x: Array, form: tuple[int, ...]) -> Array:
    dims = tuple(d for d, n in enumerate(form) if n == 1 and x.shape[d] != 1)
    return np.add.reduce(x, dims, keepdims=True) if dims else x.copy()
