"""Normalisation in NumPy: values of mean 0 and variance 1 along some dimensions, and back.

Each pass over the data is one line that writes into memory it has already: what costs time here is
memory, not arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .geometry import Shape

Array = Any
Dims = tuple[int, ...]


class Moments:
    """What values are shifted and scaled by: mean, var and rstd = 1 / √(var + eps) over `dims`.

    The forward pass finds them, for the backward pass and for running averages; or they are given
    and constant. Dimensions that are averaged over have size 1 in them. A device may keep them in
    higher precision for its backward pass, as `exact`.

    Args:
        centred: otherwise the mean is taken as 0, and var is the mean square.
    """

    __slots__ = ("centred", "dims", "eps", "exact", "given", "mean", "rstd", "var")

    def __init__(
        self, dims: Dims, eps: float, centred: bool = True, mean: Array = None, var: Array = None
    ) -> None:
        self.dims, self.eps, self.centred = dims, eps, centred
        self.mean, self.var, self.given = mean, var, mean is not None
        self.exact: Array = None

    def shape(self, x: Array) -> tuple[int, ...]:
        """x's shape, with size 1 in the dimensions that are averaged over."""
        return tuple(1 if d in self.dims else n for d, n in enumerate(x.shape))

    def count(self, x: Array) -> Any:
        """How many values make a mean."""
        return x.dtype.type(math.prod(x.shape[d] for d in self.dims))

    def find(self, x: Array) -> None:
        if not self.given:
            count, far = self.count(x), x
            self.mean = np.zeros_like(x, shape=self.shape(x))
            if self.centred:
                self.mean = np.add.reduce(x, self.dims, keepdims=True) / count
                far = np.subtract(x, self.mean)
            self.var = np.add.reduce(far * far, self.dims, keepdims=True) / count
        self.rstd = 1 / np.sqrt(self.var + x.dtype.type(self.eps))


def normalise(x: Array, w: Array, b: Array, *, form: Dims, by: Moments) -> Array:
    """w (x − mean) · rstd + b; w and b, in the shape `form`, broadcast to x, or are None."""
    by.find(x)
    w, b = (None if p is None else p.reshape(form) for p in (w, b))
    rstd = by.rstd
    out = np.subtract(x, by.mean) if by.centred or by.given else x.copy()
    if w is not None and _smaller(w, rstd, x):
        rstd, w = rstd * w, None
    np.multiply(out, rstd, out=out)
    if w is not None:
        np.multiply(out, w, out=out)
    return out if b is None else np.add(out, b, out=out)


def normalise_back(
    g: Array, out: Array, x: Array, w: Array, b: Array, *, form: Dims, by: Moments
) -> tuple[Array, Array, Array]:
    """The gradients of x, w and b: with h = w g and x̂ = (x − mean) · rstd,

    rstd (h − mean h − x̂ · mean(h x̂)), means over the dimensions, Σ g x̂ and Σ g. There is no mean h
    if the values were not centred, and neither mean if mean and variance were given.
    """
    hat = np.subtract(x, by.mean)
    np.multiply(hat, by.rstd, out=hat)
    product = np.multiply(g, hat)
    scale: Any = None if w is None else w.reshape(form)
    inside = scale is not None and not _smaller(scale, by.rstd, x)  # w varies within dims
    h, size = (np.multiply(g, scale), by.rstd) if inside else (g, by.rstd)
    if scale is not None and not inside:
        size = by.rstd * scale
    dw, db = _summed(product, w, form), _summed(g, b, form)
    if by.given:
        return np.multiply(h, size, out=hat), dw, db
    if inside:
        np.multiply(product, scale, out=product)
    count = by.count(x)
    np.multiply(hat, np.add.reduce(product, by.dims, keepdims=True) / count, out=hat)
    np.subtract(h, hat, out=hat)
    if by.centred:
        np.subtract(hat, np.add.reduce(h, by.dims, keepdims=True) / count, out=hat)
    return np.multiply(hat, size, out=hat), dw, db


def follow(running: Array, value: Array, *, momentum: float, scale: float = 1.0) -> Array:
    """(1 − momentum) running + momentum · scale · value, as a new array."""
    new = (1 - momentum) * running + momentum * (value * scale)
    return new.astype(running.dtype, copy=False)


def _smaller(w: Array, rstd: Array, x: Array) -> bool:
    """Whether w is the same all along the dimensions over which means are taken."""
    return all(a == 1 or b == n for a, b, n in zip(w.shape, rstd.shape, x.shape, strict=True))


def _summed(x: Array, p: Array, form: Dims) -> Array:
    """x summed to the shape `form`, in the shape of p; None where p is None."""
    if p is None:
        return None
    dims = tuple(d for d, n in enumerate(form) if n == 1 and x.shape[d] != 1)
    return (np.add.reduce(x, dims, keepdims=True) if dims else x.copy()).reshape(p.shape)


def layout(x: Array, w: Array, b: Array, form: Shape, dims: Dims) -> Any:
    """((N, S, D), (P, J)) as the kernels see the arrays; None where they do not fit."""
    first = x.ndim - len(dims)
    if dims == tuple(range(first, x.ndim)):
        apart, together, images = x.shape[:first], x.shape[first:], 1
        outer, inner = form[:first], form[first:]
    elif dims == (0, *range(2, x.ndim)) and math.prod(x.shape[2:]) >= 4:
        apart, together, images = x.shape[1:2], x.shape[2:], x.shape[0]
        outer, inner = form[1:2], form[2:]
    else:
        return None
    if any(p is not None and p.dtype != x.dtype for p in (w, b)):
        return None
    if not (_repeats(outer, apart) and _repeats(inner[::-1], together[::-1])):
        return None
    runs = images, math.prod(apart), math.prod(together)
    return runs, (math.prod(outer), math.prod(inner))


def _repeats(form: Shape, shape: Shape) -> bool:
    """Whether `form` is the shape with ones in the place of its first numbers."""
    ones = next((i for i, n in enumerate(form) if n != 1), len(form))
    return form[ones:] == shape[ones:]
