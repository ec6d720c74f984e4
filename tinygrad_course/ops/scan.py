"""Scans: every result is made of the elements up to its place along a dimension.

The gradients of products and of logarithms of sums come back to one linear recurrence,
sₖ = aₖ sₖ₋₁ + xₖ, whose own gradient is a recurrence that runs the other way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.arrays import accumulated
from tinygrad_course.primitive import Primitive

from .elementwise import exp, where
from .index import take_along_dim
from .reduce import Found, _dropped, _sum_dtype, in_dtype, in_single, need_floating
from .shape import clone, normal_dim, owned, pad, reshape_

# --- rows: `reverse` goes from the end to the start -----------------------------------------------

cumsum_at = Primitive(
    "cumsum", "running sums",
    in_single(lambda x, *, dim, reverse: _run(np.add, x, dim, reverse)),
    lambda g, out, x, *, dim, reverse: cumsum_at(g, dim=dim, reverse=not reverse),
)
cumprod_at = Primitive(
    "cumprod", "running products",
    in_single(lambda x, *, dim, reverse: _run(np.multiply, x, dim, reverse)),
    lambda g, out, x, *, dim, reverse:
        _before(out, dim, reverse, 1.0)
        * recurrence(g, _before(x, dim, not reverse), dim=dim, reverse=not reverse),
)
prod_at = Primitive(
    "prod", "Π x",
    in_single(lambda x, *, dim: np.multiply.reduce(x, dim, _sum_dtype(x), keepdims=True)),
    lambda g, out, x, *, dim: g * (_product_before(x, dim, False) * _product_before(x, dim, True)),
)
logcumsumexp_at = Primitive(
    "logcumsumexp", "running ln Σ eˣ, without overflow",
    in_single(lambda x, *, dim: accumulated(np.logaddexp, x, dim)),
    lambda g, out, x, *, dim:
        _exp_of_difference(x, out)
        * recurrence(g, _exp_of_difference(out, _before(out, dim, True)), dim=dim, reverse=True),
)
recurrence = Primitive(
    "recurrence", "sₖ = yₖ sₖ₋₁ + xₖ",
    lambda x, y, *, dim, reverse: _recurrence(x, y, dim, reverse),
    joint=lambda g, out, x, y, *, dim, reverse: _back(g, out, y, dim, reverse),
)
running_at = Primitive(
    "running_index", "where the largest (or smallest) so far is, the last of equals",
    lambda x, *, dim, ufunc: _running_index(x, dim, ufunc),
)


def _run(ufunc: Any, x: Any, dim: int, reverse: bool) -> Any:
    dtype = _sum_dtype(x)
    if reverse:
        return np.flip(ufunc.accumulate(np.flip(x, dim), dim, dtype), dim)
    return ufunc.accumulate(x, dim, dtype)


def _before(x: Any, dim: int, reverse: bool, first: float = 0.0) -> Any:
    """At every place the element before it; after it, if reversed."""
    one = (0, 0) if not x.shape[dim] else (-1, 1) if reverse else (1, -1)
    widths = [one if i == dim else (0, 0) for i in range(x.ndim)]
    return pad(x, widths=widths, value=first)


def _product_before(x: Any, dim: int, reverse: bool) -> Any:
    return cumprod_at(_before(x, dim, reverse, 1.0), dim=dim, reverse=reverse)


def _exp_of_difference(x: Any, y: Any) -> Any:
    """eˣ⁻ʸ, 1 where both are the same infinity."""
    same = x == y
    return exp(where(same, 0.0, x) - where(same, 0.0, y))


def _back(g: Any, out: Any, y: Any, dim: int, reverse: bool) -> tuple[Any, Any]:
    """The contributions to x and to y: ∂L/∂sₖ = gₖ + yₖ₊₁ ∂L/∂sₖ₊₁."""
    slope = recurrence(g, _before(y, dim, not reverse), dim=dim, reverse=not reverse)
    return slope, slope * _before(out, dim, reverse)


def _recurrence(x: Any, y: Any, dim: int, reverse: bool) -> Any:
    """By doubling: after each step the sums reach twice as far back, in log₂ n steps."""
    s, y = (np.flip(np.moveaxis(v, dim, 0), 0) if reverse else np.moveaxis(v, dim, 0)
            for v in (x, y))
    s, y, step = s.copy(), y.copy(), 1
    while step < len(s):
        s[step:] = s[step:] + y[step:] * s[:-step]
        y[step:] = y[step:] * y[:-step]
        step *= 2
    return np.moveaxis(np.flip(s, 0) if reverse else s, 0, dim)


def _running_index(x: Any, dim: int, ufunc: Any) -> Any:
    hit = (x == accumulated(ufunc, x, dim)) | (x != x)
    places = np.arange(x.shape[dim], like=x).reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    return accumulated(np.maximum, np.where(hit, places, 0), dim)


# --- derived --------------------------------------------------------------------------------------


def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running sums along a dimension."""
    return _scanned(cumsum_at, input, dim, dtype)


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running products along a dimension; the gradient is right where some elements are 0."""
    return _scanned(cumprod_at, input, dim, dtype)


def _scanned(row: Primitive, x: Any, dim: int, dtype: Any) -> Any:
    dim = normal_dim(dim, x.ndim)
    x = x if dtype is None else in_dtype(x, dtype)
    return _like(row(_line(x), dim=dim, reverse=False), x)


def _line(x: Any) -> Any:
    return x if x.ndim else reshape_(x, (1,))


def _like(out: Any, x: Any) -> Any:
    return out if x.ndim else owned(reshape_(out, ()))


def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Π x along a dimension, or of all elements; the gradient is right where some are 0.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([2.0, 0.0, 3.0], requires_grad=True)
    >>> x.prod().backward()
    >>> x.grad
    tensor([0., 6., 0.])
    """
    input = input if dtype is None else in_dtype(input, dtype)
    at = 0 if dim is None else normal_dim(dim, input.ndim)
    if dim is None or not input.ndim:
        return _dropped(prod_at(reshape_(input, (-1,)), dim=0), (0,), False)
    return _dropped(prod_at(input, dim=at), (at,), keepdim)


def logcumsumexp(input: Any, dim: int) -> Any:
    """Running ln Σ eˣ along a dimension, without overflow.

    Raises:
        DtypeError: input holds integers or bools.
    """
    need_floating("logcumsumexp", input)
    at = normal_dim(dim, input.ndim)
    return logcumsumexp_at(input, dim=at) if input.ndim else clone(input)


def cummax(input: Any, dim: int) -> Any:
    """The largest so far along a dimension, and where it is (the last of equals)."""
    return _running(input, dim, np.maximum)


def cummin(input: Any, dim: int) -> Any:
    """The smallest so far along a dimension, and where it is (the last of equals)."""
    return _running(input, dim, np.minimum)


def _running(x: Any, dim: int, ufunc: Any) -> Found:
    dim, line = normal_dim(dim, x.ndim), _line(x)
    indices = running_at(line, dim=dim, ufunc=ufunc)
    return Found(_like(take_along_dim(line, indices, dim), x), _like(indices, x))
