"""Index rows: choosing elements, and putting them back: each is the rule of the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import DtypeError, ShapeError
from tinygrad_course.graph import Value
from tinygrad_course.primitive import Primitive

from .shape import normal_dim

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
    lambda x, i, *, dim, source: _along(x, i, dim),
    lambda g, out, x, i, *, dim, source: scatter_at(g, i, dim=dim, shape=source),
)
scatter_at = Primitive(
    "scatter_along", "zeros, with x added at an index along one axis",
    lambda x, i, *, dim, shape: _scatter_along(x, i, dim, shape),
    lambda g, out, x, i, *, dim, shape: gather_at(g, i, dim=dim, source=shape),
)


def _zero(like: Any) -> Any:
    return np.zeros((), like.dtype)


def is_basic(index: Any) -> bool:
    """Whether an index is made of ints, slices, None and Ellipsis only, so that it gives a view."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        p is None or p is Ellipsis or isinstance(p, (int, np.integer, slice))
        for p in parts
        if not isinstance(p, (bool, np.bool_))
    ) and not any(isinstance(p, (bool, np.bool_)) for p in parts)


def _scatter(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros_like(x, shape=shape)
    if is_basic(index):
        out[index] = x
    else:
        np.add.at(out, index, x)
    return out


def _put(x: Any, v: Any, index: Any) -> Any:
    out = x.copy()
    out[index] = v
    return out


def _open(i: Any, dim: int) -> tuple[Any, ...]:
    """The open mesh that makes an index along `dim` address whole positions."""
    mesh = list(np.ogrid[tuple(slice(n) for n in i.shape)])
    mesh[dim] = i
    return tuple(mesh)


def _along(x: Any, i: Any, dim: int) -> Any:
    return x[_open(i, dim)]


def _scatter_along(x: Any, i: Any, dim: int, shape: tuple[int, ...]) -> Any:
    out = np.zeros_like(x, shape=shape)
    np.add.at(out, _open(i, dim), x)
    return out


# --- derived --------------------------------------------------------------------------------------


def plain_index(index: Any) -> Any:
    """An index with Tensors turned into arrays and lists into integer arrays."""
    if isinstance(index, tuple):
        return tuple(plain_index(i) for i in index)
    if isinstance(index, Value):
        index = index._data
    if isinstance(index, (list, range)):
        index = np.asarray(index, dtype=np.int64 if len(index) == 0 else None)
    if isinstance(index, np.ndarray) and index.dtype.kind not in "biu":
        raise DtypeError(f"an index holds integers or bools, not {index.dtype}")
    if isinstance(index, float):
        raise DtypeError(f"an index must be an integer, not {index!r}")
    return index


def get(x: Any, index: Any) -> Any:
    """x[index] for every kind of index."""
    index = plain_index(index)
    out = getitem(x, index=index, source=tuple(x.shape))
    if isinstance(out, Value) and is_basic(index):
        out._origin = False  # type: ignore[attr-defined]
    return out


def gather(x: Any, dim: int, index: Any) -> Any:
    """out[i][j] = x[index[i][j]][j] for dim 0, and likewise for the others."""
    _check_index("gather", x, index)
    dim = normal_dim(dim, x.ndim)
    size = x.shape[dim] if x.ndim else 1
    raw = index._data if isinstance(index, Value) else index
    if raw.size and (raw.min() < 0 or raw.max() >= size):
        raise ShapeError(f"gather: an index is outside 0 to {size - 1} in dim {dim}")
    if x.ndim == 0:
        return x * 1
    return gather_at(x, index, dim=dim, source=tuple(x.shape))


def _check_index(name: str, x: Any, index: Any) -> None:
    if index.dtype.kind not in "iu":
        raise DtypeError(f"{name}: the index must hold integers, not {index.dtype}")
    if index.ndim != x.ndim:
        raise ShapeError(
            f"{name}: the index needs as many dimensions as the input, got shapes "
            f"{tuple(index.shape)} and {tuple(x.shape)}"
        )


def take_along_dim(x: Any, indices: Any, dim: int) -> Any:
    """Values at `indices` along a dimension, as `argmax` and `argsort` give them."""
    return gather_at(x, indices, dim=normal_dim(dim, x.ndim), source=tuple(x.shape))
