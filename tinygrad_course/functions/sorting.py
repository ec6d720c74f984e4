"""Sorting: elements in order, the largest ones, the middle one, and those that differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.graph import wrap
from tinygrad_course.ops import elementwise as rows
from tinygrad_course.ops.index import take_along_dim
from tinygrad_course.ops.order import argsort_at
from tinygrad_course.ops.reduce import Found, median_of_all
from tinygrad_course.ops.shape import clone, normal_dim, owned, reshape_


def sort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Found:
    """The elements in order along a dimension, and where each was; NaN counts as the largest.

    Args:
        stable: accepted as PyTorch has it; equal elements keep their order in any case.

    >>> import tinygrad_course as tc
    >>> tc.sort(tc.tensor([2.0, 3.0, 1.0]), descending=True).values.tolist()
    [3.0, 2.0, 1.0]
    """
    indices = argsort(input, dim, descending, stable=stable)
    return Found(_taken(input, indices, dim), indices)


def argsort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """Where the elements in order are, along a dimension, as int64; see `sort`."""
    dim = normal_dim(dim, input.ndim)
    if not input.ndim:
        return owned(reshape_(argsort(reshape_(input, (1,))), ()))
    return argsort_at(input, dim=dim, descending=bool(descending))


def _taken(input: Any, indices: Any, dim: int) -> Any:
    return take_along_dim(input, indices, dim) if input.ndim else clone(input)


def _slice(x: Any, dim: int, start: int, stop: int) -> Any:
    return x[(slice(None),) * normal_dim(dim, x.ndim) + (slice(start, stop),)]


def topk(
    input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Found:  # fmt: skip
    """The k largest (or smallest) elements along a dimension, in order, and where they are.

    Args:
        sorted: they come in order in any case.

    Raises:
        ShapeError: k is negative, or there are fewer elements.
    """
    size = input.shape[normal_dim(dim, input.ndim)] if input.ndim else 1
    if not 0 <= k <= size:
        raise ShapeError(f"topk: k is {k}, and dim {dim} of shape {tuple(input.shape)} has {size}")
    if not input.ndim:
        return sort(input)
    indices = _slice(argsort(input, dim, largest), dim, 0, k)
    return Found(take_along_dim(input, indices, dim), indices)


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Found:
    """The kth smallest element along a dimension (counted from 1), and where it is.

    Raises:
        ShapeError: k is smaller than 1 or larger than the size.
    """
    size = input.shape[normal_dim(dim, input.ndim)] if input.ndim else 1
    if not 1 <= k <= size:
        raise ShapeError(f"kthvalue: k is {k}; dim {dim} takes 1 to {size}")
    return _ranked(input, argsort(input, dim), k - 1, dim, keepdim)


def _ranked(input: Any, order: Any, rank: Any, dim: int, keepdim: bool) -> Found:
    """The element of a rank in an order along a dimension."""
    if not input.ndim:
        return Found(clone(input), order)
    dim = normal_dim(dim, input.ndim)
    indices = _slice(order, dim, rank, rank + 1)
    values = take_along_dim(input, indices, dim)
    if keepdim:
        return Found(values, indices)
    shape = (*input.shape[:dim], *input.shape[dim + 1 :])
    return Found(owned(reshape_(values, shape)), owned(reshape_(indices, shape)))


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, of two the lower; NaN if there is one.

    With `dim`, `(values, indices)` along it; without, one value, and ties share its gradient.

    Raises:
        ShapeError: no element along the dimension.

    >>> import tinygrad_course as tc
    >>> tc.median(tc.tensor([4.0, 1.0, 3.0, 2.0])).item()
    2.0
    """
    if dim is None:
        return median_of_all(input)
    size = input.shape[normal_dim(dim, input.ndim)] if input.ndim else 1
    if not size:
        raise ShapeError(f"median: dim {dim} of shape {tuple(input.shape)} has no element")
    order = argsort(input, dim)
    if input.dtype.kind == "f" and np.isnan(input._data).any():
        order = _nan_first(input, order, dim)
    return _ranked(input, order, (size - 1) // 2, dim, keepdim)


def _nan_first(input: Any, order: Any, dim: int) -> Any:
    """The order, but where there is a NaN, it is at every place."""
    at = normal_dim(dim, input.ndim)
    lost = np.isnan(input._data)
    if not input.ndim:
        return order
    found, place = lost.any(axis=at, keepdims=True), lost.argmax(axis=at, keepdims=True)
    return rows.where(wrap(input._face, found, None), wrap(input._face, place, None), order)


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The elements that differ, in rising order; along `dim`, the slices that differ.

    Returns:
        the elements; with `return_inverse` also where each element went, with `return_counts` also
        how often each occurs.

    >>> import tinygrad_course as tc
    >>> values, counts = tc.unique(tc.tensor([3, 1, 3]), return_counts=True)
    >>> values.tolist(), counts.tolist()
    ([1, 3], [1, 2])
    """
    axis = None if dim is None else normal_dim(dim, input.ndim)
    if axis is not None and not input.ndim:
        raise OptionError("unique: a 0-d tensor has no slices; leave out dim")
    found = np.unique(
        input._data, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    values, inverse, counts = (wrap(input._face, v, None) for v in found)
    inverse = reshape_(inverse, tuple(input.shape) if axis is None else (input.shape[axis],))
    wanted = [inverse] * bool(return_inverse) + [counts] * bool(return_counts)
    return (values, *wanted) if wanted else values
