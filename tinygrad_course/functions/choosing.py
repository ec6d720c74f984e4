"""Choosing elements by index or mask, and writing values there: each gives a new tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.graph import Value
from tinygrad_course.ops import elementwise
from tinygrad_course.ops import index as rows
from tinygrad_course.ops.index import along, check_range, find_nonzero, get, getitem, line_up
from tinygrad_course.ops.shape import broadcast_to_, clone, normal_dim, reshape_

# --- where ----------------------------------------------------------------------------------------


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where the condition holds, else other; alone, the places where it holds.

    Args:
        condition: bools that broadcast with both.
        input, other: Tensors, Scalars or numbers. Without them: `nonzero(condition,
            as_tuple=True)`.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([-1.0, 2.0])
    >>> tc.where(x > 0, x, 0.0).tolist()
    [0.0, 2.0]
    """
    if input is not None and other is not None:
        return elementwise.where(condition, input, other)
    if input is not None or other is not None:
        raise OptionError("where: takes a condition alone, or 3 arguments; got 2")
    return nonzero(condition, as_tuple=True)


def kept_where(input: Any, condition: Any, other: Any) -> Any:
    """This tensor where the condition holds, else other."""
    return elementwise.where(condition, input, other)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The places of all elements that are not 0, one a row; or one tensor for each dimension.

    >>> import tinygrad_course as tc
    >>> tc.nonzero(tc.tensor([[0, 1], [2, 0]])).tolist()
    [[0, 1], [1, 0]]
    """
    if not as_tuple:
        return find_nonzero(input)
    places = find_nonzero(input if input.ndim else reshape_(input, (1,)))
    return tuple(clone(get(places, (slice(None), d))) for d in range(places.shape[1]))


def argwhere(input: Any) -> Any:
    """The places of all elements that are not 0, one a row."""
    return find_nonzero(input)


# --- choosing -------------------------------------------------------------------------------------


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices at `index` of a dimension, in that order.

    >>> import tinygrad_course as tc
    >>> tc.index_select(tc.tensor([[1, 2], [3, 4]]), 1, tc.tensor([1, 1])).tolist()
    [[2, 2], [4, 4]]
    """
    x, dim, i = _slices("index_select", input, dim, index)
    if not input.ndim:
        if i.size != 1:
            raise ShapeError(f"index_select: a 0-d tensor has one element, got {i.size} places")
        return clone(input)
    return getitem(x, index=rows.at(dim, i), source=tuple(x.shape))


def _slices(name: str, x: Any, dim: int, index: Any, least: int = 0) -> tuple[Any, int, Any]:
    """Input, dim and places of a function of whole slices, checked; 0-d ones become rows of one."""
    i = _places(name, index)
    if i.ndim > 1:
        raise ShapeError(f"{name}: the index must be a row of places, got shape {i.shape}")
    dim, x = normal_dim(dim, x.ndim), x if x.ndim else reshape_(x, (1,))
    check_range(name, i, x.shape[dim], dim, least and -x.shape[dim])
    return x, dim, i.reshape(-1)


def _places(name: str, index: Any) -> Any:
    """An index of ints as an array."""
    i = getattr(index, "_data", index)
    if getattr(i, "dtype", np.dtype(float)).kind != "i":
        raise DtypeError(f"{name}: the index must be a Tensor of ints (int64), got {index!r}")
    return i


def take(input: Any, index: Any) -> Any:
    """The elements at `index`, the input taken as one long row; the result has the index's shape.

    >>> import tinygrad_course as tc
    >>> tc.take(tc.tensor([[1, 2], [3, 4]]), tc.tensor([0, -1])).tolist()
    [1, 4]
    """
    i, size = _places("take", index), math.prod(input.shape)
    check_range("take", i, size, 0, -size)
    return getitem(reshape_(input, (-1,)), index=i, source=(size,))


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask is true, in a row; both broadcast.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([1.0, -2.0, 3.0])
    >>> x.masked_select(x > 0).tolist()
    [1.0, 3.0]
    """
    m = _mask("masked_select", mask)
    shape = _joint_shape("masked_select", input, m)
    if tuple(input.shape) != shape:
        input = broadcast_to_(input, shape)
    return getitem(input, index=np.broadcast_to(m, shape), source=shape)


def _mask(name: str, mask: Any) -> Any:
    m = getattr(mask, "_data", mask)
    if getattr(m, "dtype", None) != rows.BOOL:
        raise DtypeError(
            f"{name}: the mask must be a Tensor of bools, got {mask!r}; "
            "compare, as in x > 0, or convert with .bool()"
        )
    return m


def _joint_shape(name: str, *values: Any) -> tuple[int, ...]:
    shapes = [tuple(v.shape) for v in values]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ShapeError(
            f"{name}: shapes {' and '.join(map(str, shapes))} do not broadcast"
        ) from error


# --- writing --------------------------------------------------------------------------------------


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """The input with `value` where the mask is true; the input's dtype stays.

    >>> import tinygrad_course as tc
    >>> tc.tensor([1.0, 2.0]).masked_fill(tc.tensor([True, False]), 0.0).tolist()
    [0.0, 2.0]
    """
    m = _mask("masked_fill", mask)
    _joint_shape("masked_fill", input, m)
    return elementwise.where(m, _one_value("masked_fill", input, value), input)


def _one_value(name: str, x: Any, value: Any) -> Any:
    """A number or a 0-d tensor in the dtype of x, if that can hold it."""
    if isinstance(value, Value):
        if value.ndim:  # type: ignore[attr-defined]
            raise ShapeError(f"{name}: the value must be one number, got a tensor like {value!r}")
        return value.to(x.dtype)  # type: ignore[attr-defined]
    if not isinstance(value, (int, float, np.number, np.bool_)):
        raise DtypeError(f"{name}: the value must be a number or a 0-d Tensor, got {value!r}")
    if x.dtype.kind == "b":
        return np.asarray(bool(value))
    limits: Any = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(x.dtype)
    special = x.dtype.kind == "f" and not math.isfinite(value)
    if not (special or limits.min <= value <= limits.max):
        raise DtypeError(f"{name}: {value!r} does not fit into {x.dtype}")
    return np.asarray(value).astype(x.dtype)


def _placed(value: Any, x: Any) -> Any:
    """A constant on the device of x."""
    return value if isinstance(value, Value) else devices.like(x._data, value)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """The input with one value in the slices at `index` of a dimension."""
    x, dim, i = _slices("index_fill", input, dim, index, -1)
    i = i % x.shape[dim] if i.size else i
    value = _placed(_one_value("index_fill", input, value), input)
    # a place named twice must not have the value's gradient twice
    return _written(x, value, rows.at(dim, np.unique(i)), tuple(input.shape))


def _written(x: Any, value: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = rows.index_put(x, value, index=index, shape=())
    return out if tuple(x.shape) == shape else reshape_(out, shape)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """The input with the slices of `source` written at `index` of a dimension."""
    x, dim, i, source = _with_source("index_copy", input, dim, index, source)
    return _written(x, source, rows.at(dim, i), tuple(input.shape))


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """The input with alpha times the slices of `source` added at `index` of a dimension.

    A place that is named twice gets both.

    >>> import tinygrad_course as tc
    >>> tc.zeros(2).index_add(0, tc.tensor([1, 1]), tc.tensor([3.0, 4.0])).tolist()
    [0.0, 7.0]
    """
    x, dim, i, source = _with_source("index_add", input, dim, index, source)
    if isinstance(alpha, float) and x.dtype.kind != "f":
        raise DtypeError(f"index_add: alpha {alpha!r} is no whole number, the input is {x.dtype}")
    added = rows.scatter_into(source, index=rows.at(dim, i), shape=tuple(x.shape))
    out = elementwise.add(x, added if alpha == 1 else elementwise.mul(added, alpha))
    return out if input.ndim else reshape_(out, ())


def _with_source(
    name: str, input: Any, dim: int, index: Any, source: Any
) -> tuple[Any, int, Any, Any]:
    x, dim, i = _slices(name, input, dim, index)
    source = source if source.ndim else reshape_(source, (1,))
    _same_dtype(name, x, source)
    shape = (*x.shape[:dim], i.size, *x.shape[dim + 1 :])
    if tuple(source.shape) != shape:
        raise ShapeError(
            f"{name}: for {i.size} places of dimension {dim} of shape {tuple(x.shape)} the source "
            f"needs shape {shape}, got {tuple(source.shape)}"
        )
    return x, dim, i, source


def _same_dtype(name: str, x: Any, source: Any) -> None:
    if source.dtype != x.dtype:
        raise DtypeError(
            f"{name}: the source must have the input's dtype {x.dtype}, got {source.dtype}"
        )


def index_put(
    input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False
) -> Any:  # fmt: skip
    """The input with `values` written at input[indices], or added there if they accumulate.

    Args:
        input: the tensor.
        indices: a tuple of index tensors, as in input[indices].
        values: a Tensor of the input's dtype that broadcasts to the shape of input[indices].
        accumulate: add; a place that is named twice gets both.
    """
    index = rows.plain_index(tuple(indices), input.shape)
    _same_dtype("index_put", input, values)
    one = np.zeros_like(input._data, dtype=bool, shape=())
    shape = tuple(np.broadcast_to(one, input.shape)[index].shape)
    if _joint_shape("index_put", values, np.empty(shape, bool)) != shape:
        raise ShapeError(f"index_put: values of shape {values.shape} for places of shape {shape}")
    if not accumulate:
        return rows.index_put(input, values, index=index, shape=shape)
    spread = broadcast_to_(values, shape)
    added = rows.scatter_into(spread, index=index, shape=tuple(input.shape))
    return elementwise.add(input, added)


def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None,
    reduce: str | None = None,
) -> Any:  # fmt: skip
    """The input with out[index[i][j]][j] = src[i][j] for dim 0, and likewise for the others.

    Args:
        input: the tensor to write into.
        dim: the dimension that the index is for.
        index: whole numbers from 0 on; where a place is named twice, one of the values stays.
        src: a Tensor no smaller than the index, or a number.
        value: a number, in place of `src`.
        reduce: None, or "add": `scatter_add`. "multiply" is not supported.

    >>> import tinygrad_course as tc
    >>> tc.zeros(2, 3).scatter(1, tc.tensor([[2], [0]]), 1.0).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if reduce not in (None, "add"):
        raise OptionError(f"scatter: reduce must be None or 'add', got {reduce!r}")
    if (src is None) == (value is None):
        raise OptionError("scatter: exactly 1 of src and value must be given")
    x, dim, i = line_up("scatter", input, dim, index)
    given = src if value is None else value
    if isinstance(given, Value) and value is None:
        source = _cut("scatter", x, given, i)
    else:
        source = broadcast_to_(_placed(_one_value("scatter", x, given), x), i.shape)
    if reduce == "add":
        out = elementwise.add(x, rows.scatter_at(source, i, dim=dim, shape=tuple(x.shape)))
        return out if input.ndim else reshape_(out, ())
    return _written(x, source, along(i, dim), tuple(input.shape))


def _cut(name: str, x: Any, src: Any, i: Any) -> Any:
    """The part of the source that the index is for."""
    src = src if src.ndim else reshape_(src, (1,))
    _same_dtype(name, x, src)
    if src.ndim != i.ndim or any(n > m for n, m in zip(i.shape, src.shape, strict=True)):
        raise ShapeError(
            f"{name}: the index (shape {i.shape}) is larger than the source (shape "
            f"{tuple(src.shape)})"
        )
    return src if tuple(src.shape) == i.shape else get(src, tuple(slice(n) for n in i.shape))


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """The input with src[i][j] added at [index[i][j]][j] for dim 0, and likewise for the others.

    A place that is named twice gets both.
    """
    x, dim, i = line_up("scatter_add", input, dim, index)
    source = _cut("scatter_add", x, src, i)
    out = elementwise.add(x, rows.scatter_at(source, i, dim=dim, shape=tuple(x.shape)))
    return out if input.ndim else reshape_(out, ())
