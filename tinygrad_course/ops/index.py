"""Index rows: choosing elements, and putting them back: each is the rule of the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_course import devices
from tinygrad_course.errors import DtypeError, ShapeError
from tinygrad_course.graph import Value
from tinygrad_course.kernels.memory import is_shared
from tinygrad_course.primitive import Primitive

from .shape import broadcast_to_, normal_dim, permute, reshape_

BOOL = np.dtype(bool)
_BASIC = frozenset((int, slice, type(None), type(Ellipsis)))

# --- rows -----------------------------------------------------------------------------------------

getitem = Primitive(
    "getitem", "x[index]",
    lambda x, *, index, source: x[index],
    lambda g, out, x, *, index, source: scatter_into(g, index=index, shape=source),
)
scatter_into = Primitive(
    "scatter_into", "zeros, with x added at index",
    lambda x, *, index, shape: _scatter(x, index, shape),
    lambda g, out, x, *, index, shape: getitem(g, index=index, source=shape),
)
index_put = Primitive(
    "index_put", "x with v written at index",
    lambda x, v, *, index, shape: _put(x, v, index),
    lambda g, out, x, v, *, index, shape: index_put(g, _zero(g), index=index, shape=()),
    lambda g, out, x, v, *, index, shape: getitem(g, index=index, source=tuple(g.shape)),
    broadcasts=True,
)
gather_at = Primitive(
    "gather", "x at an index along one axis",
    lambda x, i, *, dim, source: x[along(i, dim)],
    lambda g, out, x, i, *, dim, source: scatter_at(g, i, dim=dim, shape=source),
)
scatter_at = Primitive(
    "scatter_along", "zeros, with x added at an index along one axis",
    lambda x, i, *, dim, shape: _scatter(x, along(i, dim), shape),
    lambda g, out, x, i, *, dim, shape: gather_at(g, i, dim=dim, source=shape),
)
windows = Primitive(
    "unfold", "windows of `size`, `step` apart, along an axis; the last axis is the window",
    lambda x, *, dim, size, step: _windows(x, dim, size, step),
    lambda g, out, x, *, dim, size, step: _unfolded(g, dim, size, step, x.shape),
    view=True,
)
find_nonzero = Primitive(
    "nonzero", "where the elements are that are not 0, a place a row",
    lambda x: np.argwhere(x),
)


def _zero(like: Any) -> Any:
    return np.zeros_like(getattr(like, "_data", like), shape=())


def is_basic(index: Any) -> bool:
    """Whether an index is made of ints, slices, None and Ellipsis only, so that it gives a view."""
    return _BASIC.issuperset(map(type, index if isinstance(index, tuple) else (index,)))


def _scatter(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros_like(x, order="C", shape=shape)
    if is_basic(index) or (devices.is_array(index) and index.dtype == bool):
        out[index] = x  # no place is named twice
    else:
        np.add.at(out.reshape(-1), _places(index, shape, out), x.reshape(-1))
    return out


def _places(index: Any, shape: tuple[int, ...], like: Any) -> Any:
    """Where each element of x[index] lies in x taken as one row.

    `np.add.at` is fast for a row and one array of places, and slow for everything else.
    """
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(devices.like(like, p) if devices.is_array(p) else p for p in parts)
    used = len(shape) if any(p is Ellipsis for p in parts) else sum(map(_consumed, parts))
    if all(devices.is_array(p) and p.dtype != bool for p in parts):
        first: Any = np.ravel_multi_index(parts, shape[:used], mode="wrap").reshape(-1)
    else:
        every = np.arange(math.prod(shape[:used]), like=like)
        first = every.reshape(shape[:used])[parts].reshape(-1)
    inner = math.prod(shape[used:])
    within = np.arange(inner, like=like)
    return first if inner == 1 else (first[:, None] * inner + within).reshape(-1)


def _consumed(part: Any) -> int:
    """How many dimensions a part of an index is for."""
    if part is None or isinstance(part, (bool, np.bool_)):
        return 0
    return part.ndim if getattr(part, "dtype", None) == BOOL else 1


def _windows(x: Any, dim: int, size: int, step: int) -> Any:
    return sliding_window_view(x, size, dim)[at(dim, slice(None, None, step))]


def _unfolded(g: Any, dim: int, size: int, step: int, shape: tuple[int, ...]) -> Any:
    """Every window added up where it was."""
    places = np.arange(0, shape[dim] - size + 1, step)[:, None] + np.arange(size)
    last = g.ndim - 1
    g = permute(g, dims=(*range(dim + 1), last, *range(dim + 1, last)))
    return scatter_into(g, index=at(dim, places), shape=tuple(shape))


def _put(x: Any, v: Any, index: Any) -> Any:
    out = np.copy(x)  # an array, where x.copy() of a NumPy number is a number
    out[index] = v[()] if type(v) is np.ndarray else v  # CuPy takes numbers, not 0-d arrays
    return out


def along(i: Any, dim: int) -> tuple[Any, ...]:
    """The index of x that means out[j][k] = x[i[j][k]][k] for dim 0, and likewise for others."""
    last = i.ndim - 1
    mesh = [np.arange(n, like=i).reshape((n,) + (1,) * (last - d)) for d, n in enumerate(i.shape)]
    mesh[dim] = i
    return tuple(mesh)


def at(dim: int, i: Any) -> tuple[Any, ...]:
    """The index of x that means the slices i of one dimension."""
    return (*(slice(None),) * dim, i)


# --- derived --------------------------------------------------------------------------------------


def plain_index(index: Any, shape: Sequence[int]) -> Any:
    """An index as NumPy takes it: Tensors and lists turned into arrays.

    Ints choose their slices before arrays do, as in PyTorch: x[0, :, [1, 2]] is x[0][:, [1, 2]].
    NumPy counts ints among the arrays; where that matters, every place is spelled out.
    """
    if not isinstance(index, tuple):
        return _plain_part(index)
    index = tuple(_plain_part(i) for i in index)
    arrays = [i for i, p in enumerate(index) if devices.is_array(p)]
    ints = [i for i, p in enumerate(index) if type(p) is int]
    together = arrays + ints
    if not (arrays and ints) or max(together) - min(together) < len(together):
        return index
    first: list[Any] = []
    rest: list[Any] = []
    for p in index:
        if devices.is_array(p):
            first += [slice(None)] * (p.ndim if p.dtype == bool else 1)
            rest.append(p)
        else:
            first.append(p)
            rest += [] if type(p) is int else [p if p is Ellipsis else slice(None)]
    places = np.arange(math.prod(shape), like=index[arrays[0]]).reshape(tuple(shape))
    return np.unravel_index(places[tuple(first)][tuple(rest)], tuple(shape))


def _plain_part(index: Any) -> Any:
    """One part of an index: an int, slice, None, Ellipsis, bool, or an array of ints or bools."""
    if index is None or index is Ellipsis or type(index) in (int, slice, bool):
        return index
    if isinstance(index, (float, np.floating)):
        raise DtypeError(f"an index must be an integer, not {index!r}")
    if isinstance(index, np.ndarray):
        index = index.copy()  # the backward pass needs it as it is now
    index = index._data if isinstance(index, Value) else index
    if isinstance(index, (list, range)):
        index = np.asarray(index, dtype=np.int64 if len(index) == 0 else None)
    kind = getattr(index, "dtype", np.dtype(int)).kind
    if kind not in "bi" and index.ndim:
        raise DtypeError(
            f"an index holds ints (int64) or bools, not {index.dtype}: "
            "use .long() for positions, .bool() for a mask"
        )
    return int(index) if kind in "iu" and getattr(index, "ndim", 1) == 0 else index


def get(x: Any, index: Any) -> Any:
    """x[index] for every kind of index."""
    basic = is_basic(index)
    index = index if basic else plain_index(index, x.shape)
    out = getitem(x, index=index, source=tuple(x.shape))
    if isinstance(out, Value) and (basic or is_basic(index)):
        out._origin = False  # type: ignore[attr-defined]
    return out


def put(x: Any, index: Any, value: Any) -> Any:
    """x with a value of its dtype written at an index; None if x itself could take the value.

    That is so if nothing else knows the array of x: no graph, no view, no other tensor.
    """
    index = plain_index(index, x.shape)
    constant = x._node is None and value._node is None
    alone = constant and not is_shared(x._data) and devices.is_writeable(x._data)
    array, new = x._data, value._data
    try:
        if alone:
            array[index] = new
            return None
        target = array[index].shape
        np.broadcast_to(new, target)
    except (ValueError, IndexError) as error:
        raise ShapeError(
            f"x[index] = value: a value of shape {new.shape} into a tensor of shape {array.shape}: "
            f"{error}"
        ) from error
    return index_put(x, value, index=index, shape=target)


def gather(input: Any, dim: int, index: Any) -> Any:
    """out[i][j] = input[index[i][j]][j] for dim 0, and likewise for the others.

    Args:
        input: the tensor to choose from.
        dim: the dimension that the index is for.
        index: whole numbers from 0 on, no longer than the input in the other dimensions.

    >>> import tinygrad_course as tc
    >>> tc.tensor([[1, 2], [3, 4]]).gather(1, tc.tensor([[1], [0]])).tolist()
    [[2], [3]]
    """
    x, dim, i = line_up("gather", input, dim, index)
    return reshape_as_index(gather_at(x, i, dim=dim, source=tuple(x.shape)), index)


def line_up(name: str, x: Any, dim: int, index: Any) -> tuple[Any, int, Any]:
    """Input, dim and index of `gather` and `scatter`, checked; 0-d ones become rows of one."""
    dim, i = normal_dim(dim, x.ndim), getattr(index, "_data", index)
    if i.dtype.kind != "i":
        raise DtypeError(f"{name}: the index must hold ints (int64), not {i.dtype}")
    i, x = i if i.ndim else i.reshape(1), x if x.ndim else reshape_(x, (1,))
    if i.ndim != x.ndim:
        raise ShapeError(
            f"{name}: the index needs as many dimensions as the input, got shapes "
            f"{tuple(index.shape)} and {tuple(x.shape)}"
        )
    if i.size and any(n > m for d, (n, m) in enumerate(zip(i.shape, x.shape)) if d != dim):  # noqa: B905
        raise ShapeError(
            f"{name}: the index (shape {tuple(i.shape)}) is larger than the input (shape "
            f"{tuple(x.shape)}) in a dimension other than {dim}"
        )
    check_range(name, i, x.shape[dim], dim)
    return x, dim, i


def reshape_as_index(out: Any, index: Any) -> Any:
    """A row of one back in the shape of a 0-d index."""
    return out if index.ndim or not out.ndim else reshape_(out, ())


def check_range(name: str, index: Any, size: int, dim: int, least: int = 0) -> None:
    """Raise unless all numbers of an index lie from `least` up to `size`, exclusive."""
    if devices.is_cuda(index):  # to look would be to wait for the GPU
        return
    if index.size and (index.min() < least or index.max() >= size):
        raise ShapeError(
            f"{name}: the index {index.min()} to {index.max()} leaves the range {least} to "
            f"{size - 1} of dimension {dim}"
        )


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Values at `indices` along a dimension, as `argmax` and `argsort` give them.

    The other dimensions broadcast; without `dim` the input is taken as one long row.
    """
    if dim is None:
        input, indices, dim = reshape_(input, (-1,)), reshape_(indices, (-1,)), 0
    i = getattr(indices, "_data", indices)
    if i.dtype.kind != "i" or i.ndim != input.ndim or not i.ndim:
        raise ShapeError(
            "take_along_dim: indices must be ints (int64) with as many dimensions as the input, "
            f"got {i.dtype}{list(i.shape)} for shape {tuple(input.shape)}"
        )
    dim = normal_dim(dim, input.ndim)
    check_range("take_along_dim", i, input.shape[dim], dim, -input.shape[dim])
    shape = list(np.broadcast_shapes(_resized(input, dim, 1), _resized(i, dim, 1)))
    shape[dim] = input.shape[dim]
    if shape != list(input.shape):
        input = broadcast_to_(input, shape)
    i = np.broadcast_to(i, _resized(input, dim, i.shape[dim]))
    return gather_at(input, i, dim=dim, source=tuple(input.shape))


def _resized(x: Any, dim: int, size: int) -> tuple[int, ...]:
    """The shape of x with another size in one dimension."""
    return tuple(size if d == dim else n for d, n in enumerate(x.shape))
