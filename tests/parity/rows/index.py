"""Choosing by index."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_course as tc
from tinygrad_course.ops import index as indexing
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import REAL

from .row import ANY, SMALL, Case, Maker, shape_row


def as_torch(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(as_torch(i) for i in index)
    return torch.from_numpy(index.copy()) if isinstance(index, np.ndarray) else index


def forwards(index: Any) -> bool:
    """PyTorch's slices have no negative steps."""
    parts = index if isinstance(index, tuple) else (index,)
    return all((p.step or 1) > 0 for p in parts if isinstance(p, slice))


def index_of(make: Maker, shape: Any) -> Any:
    return make.draw(ts.indices(shape).filter(forwards))


@shape_row("getitem", ours=lambda x, index: x[index], oracle=lambda x, index: x[as_torch(index)],
           dtypes=ANY)  # fmt: skip
def getitem_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"index": index_of(make, x.shape)}


def scatter_reference(x: Any, index: Any, shape: Any) -> Any:
    """Zeros, with every element of x added at the place that the index gives it."""
    places = torch.arange(int(np.prod(shape))).reshape(shape)[as_torch(index)].reshape(-1)
    zeros = torch.zeros(int(np.prod(shape)), dtype=x.dtype)
    return zeros.index_add(0, places, x.reshape(-1)).reshape(shape)


@shape_row(
    "scatter_into",
    ours=lambda x, index, shape: indexing.scatter_into(x, index=index, shape=shape),
    oracle=scatter_reference,
)
def scatter_into_case(make: Maker) -> Case:
    shape = make.shape()
    index = index_of(make, shape)
    return [make.array(np.zeros(shape)[index].shape)], {"index": index, "shape": shape}


def written(x: Any, v: Any, index: Any) -> Any:
    """x with v at index, as an assignment."""
    x = x.clone()
    x[as_torch(index) if isinstance(x, torch.Tensor) else index] = v
    return x


@shape_row("index_put", ours=written, oracle=written)
def index_put_case(make: Maker) -> Case:
    x = make.array(make.shape(), REAL, "float64")
    index = index_of(make, x.shape)
    places = np.arange(x.size).reshape(x.shape)[index]
    if np.unique(places).size < places.size:  # which of several values stays is not defined
        index = ()
        places = x
    small = tuple(1 if make.draw(st.booleans()) else n for n in places.shape)
    return [x, make.array(small, SMALL, "float64")], {"index": index}


def along(make: Maker) -> tuple[Any, int, Any]:
    """A shape, a dimension of it, and an index as `gather` takes it."""
    make.empty = False
    shape = make.shape(1, 3)
    dim = make.dim(len(shape))
    sizes = [make.draw(st.integers(1, n)) for n in shape]
    sizes[dim] = make.draw(st.integers(1, 3))
    index = make.draw(hnp.arrays(np.int64, tuple(sizes), elements=st.integers(0, shape[dim] - 1)))
    return shape, dim, index


@shape_row("gather", ours=lambda x, i, dim: tc.gather(x, dim, i),
           oracle=lambda x, i, dim: torch.gather(x, dim, i))  # fmt: skip
def gather_case(make: Maker) -> Case:
    shape, dim, index = along(make)
    return [make.array(shape), index], {"dim": dim}


@shape_row("take_along_dim")
def take_along_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(1, 3))
    dim = make.dim(x.ndim)
    order = np.asarray(np.argsort(x, axis=dim), np.int64)
    return [x, order], {"dim": dim}


@shape_row(
    "scatter_along",
    ours=lambda x, i, dim, shape: indexing.scatter_at(x, i, dim=dim % x.ndim, shape=shape),
    oracle=lambda x, i, dim, shape: torch.zeros(shape, dtype=x.dtype).scatter_add(dim, i, x),
)
def scatter_along_case(make: Maker) -> Case:
    shape, dim, index = along(make)
    return [make.array(index.shape), index], {"dim": dim, "shape": shape}
