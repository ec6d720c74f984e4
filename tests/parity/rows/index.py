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

from .row import ANY, SMALL, TRUTH, Case, Maker, shape_row


def as_torch(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(as_torch(i) for i in index)
    return torch.from_numpy(index.copy()) if isinstance(index, np.ndarray) else index


def forwards(index: Any) -> bool:
    """PyTorch's slices have no negative steps."""
    parts = index if isinstance(index, tuple) else (index,)
    return all((p.step or 1) > 0 for p in parts if isinstance(p, slice))


def index_of(make: Maker, shape: Any) -> Any:
    if shape and 0 not in shape and make.draw(st.booleans()):
        return mixture(make, shape)
    return make.draw(ts.indices(shape).filter(forwards))


def mixture(make: Maker, shape: Any) -> Any:
    """Ints, slices, None, Ellipsis, integer arrays and masks, in any order."""
    length = make.draw(st.integers(1, 2))
    parts: list[Any] = []
    for n in shape:
        kind = make.draw(st.sampled_from(("int", "slice", "array", "mask", "column", "none")))
        if kind == "int":
            parts.append(make.draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            parts.append(make.draw(st.slices(n).filter(forwards)))
        elif kind == "mask":
            parts.append(np.arange(n) < min(length, n))
            if length > n:
                parts[-1] = np.arange(n) < 1
        else:
            sizes = (length,) if kind == "array" else (2, 1)
            places = st.integers(-n, n - 1)
            parts.append(make.draw(hnp.arrays(np.int64, sizes, elements=places)))
            if kind == "none":
                parts.insert(make.draw(st.integers(0, len(parts))), None)
    if make.draw(st.booleans()):
        cut = make.draw(st.integers(0, len(parts)))
        left, right = make.draw(st.integers(0, cut)), cut
        if not any(p is None for p in parts):
            parts[left:right] = [Ellipsis]
    return tuple(parts)


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
    index = indexing.plain_index(index_of(make, shape), shape)
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
    places = torch.arange(x.size).reshape(x.shape)[as_torch(index)].numpy()
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


# --- made of rows ---------------------------------------------------------------------------------


def separate(make: Maker, size: int, most: int = 3) -> Any:
    """Places of one dimension, none twice."""
    count = make.draw(st.integers(0 if make.empty else 1, min(size, most)))
    order = make.draw(st.permutations(range(size)))
    return np.array(order[:count], np.int64)


def places_of(make: Maker, size: int) -> Any:
    """Places of one dimension, some twice."""
    found = make.draw(st.lists(st.integers(0, size - 1), max_size=3, min_size=not make.empty))
    return np.array(found, np.int64)


def some(make: Maker, dims: int = 3) -> tuple[Any, int]:
    """An array with elements in it, and one of its dimensions."""
    empty, make.empty = make.empty, False
    x = make.array(make.shape(1, dims))
    make.empty = empty
    return x, make.dim(x.ndim)


def beside(x: Any, dim: int, count: int) -> tuple[int, ...]:
    """The shape of so many slices of x."""
    sizes = list(x.shape)
    sizes[dim] = count
    return tuple(sizes)


@shape_row("where between methods", ours=lambda x, y, c: tc.where(c, x, y) + x.where(c, y),
           oracle=lambda x, y, c: torch.where(c, x, y) + x.where(c, y))  # fmt: skip
def where_case(make: Maker) -> Case:
    x, y = make.broadcast([REAL, REAL])
    shape = np.broadcast_shapes(x.shape, y.shape)
    return [x, y, make.draw(hnp.arrays(bool, shape))], {}


@shape_row("where of one argument", ours=lambda x: [*tc.where(x), *tc.nonzero(x, as_tuple=True)],
           oracle=lambda x: [*torch.where(x), *torch.nonzero(x, as_tuple=True)],
           dtypes=ANY, order=0)  # fmt: skip
def where_places_case(make: Maker) -> Case:
    return [make.array(make.shape(), TRUTH)], {}


@shape_row("nonzero", covers=("argwhere",), ours=lambda x: (x.nonzero(), tc.argwhere(x)),
           oracle=lambda x: (x.nonzero(), torch.argwhere(x)), dtypes=ANY, order=0)  # fmt: skip
def nonzero_case(make: Maker) -> Case:
    return [make.array(make.shape(), TRUTH)], {}


@shape_row("index_select", ours=lambda x, i, dim: tc.index_select(x, dim, i),
           oracle=lambda x, i, dim: torch.index_select(x, dim, i), dtypes=ANY)  # fmt: skip
def index_select_case(make: Maker) -> Case:
    x, dim = some(make)
    return [x, places_of(make, x.shape[dim])], {"dim": dim}


@shape_row("take", ours=lambda x, i: x.take(i), oracle=lambda x, i: x.take(i), dtypes=ANY)
def take_case(make: Maker) -> Case:
    x, _ = some(make)
    sizes = make.draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    return [x, make.draw(hnp.arrays(np.int64, sizes, elements=st.integers(-x.size, x.size - 1)))
            ], {}  # fmt: skip


@shape_row("take_along_dim of any shape", ours=tc.take_along_dim, oracle=torch.take_along_dim)
def take_along_any_case(make: Maker) -> Case:
    x, dim = some(make)
    if make.draw(st.booleans()):
        places = st.integers(0, x.size - 1)
        return [x, make.draw(hnp.arrays(np.int64, (2,), elements=places))], {}
    n = x.shape[dim]
    sizes = [make.draw(st.sampled_from((1, m))) for m in x.shape]
    sizes[dim] = make.draw(st.integers(1, 3))
    i = make.draw(hnp.arrays(np.int64, tuple(sizes), elements=st.integers(-n, n - 1)))
    return [x, i], {"dim": dim}


def masked(make: Maker) -> tuple[Any, Any]:
    """An array and a mask that broadcast."""
    x = make.array(make.shape())
    small = tuple(1 if make.draw(st.booleans()) else n for n in x.shape)
    return x, make.draw(hnp.arrays(bool, small))


@shape_row("masked_select", ours=lambda x, m: x.masked_select(m),
           oracle=lambda x, m: x.masked_select(m), dtypes=ANY)  # fmt: skip
def masked_select_case(make: Maker) -> Case:
    x, mask = masked(make)
    return [x, make.draw(st.sampled_from((mask, np.ones((2, *x.shape), bool))))], {}


@shape_row("masked_fill", ours=lambda x, m, *v, **n: x.masked_fill(m, *v, **n),
           oracle=lambda x, m, *v, **n: x.masked_fill(m, *v, **n), dtypes=ANY)  # fmt: skip
def masked_fill_case(make: Maker) -> Case:
    x, mask = masked(make)
    if make.draw(st.booleans()):
        return [x, mask, make.array((), REAL)], {}
    return [x, mask], {"value": make.draw(st.sampled_from((0, 2, -1.0, 2.5, True)))}


@shape_row("index_fill", ours=lambda x, i, *v, dim, **n: x.index_fill(dim, i, *v, **n),
           oracle=lambda x, i, *v, dim, **n: x.index_fill(dim, i, *v, **n), dtypes=ANY)  # fmt: skip
def index_fill_case(make: Maker) -> Case:
    x, dim = some(make)
    i = separate(make, x.shape[dim])
    if make.kind == "mixed":  # PyTorch's gradient counts places twice, and refuses negative ones
        i = np.concatenate([i, i]) - make.draw(st.sampled_from((0, x.shape[dim])))
    if make.draw(st.booleans()):
        return [x, i, make.array((), REAL, x.dtype.name)], {"dim": dim}
    return [x, i], {"dim": dim, "value": make.draw(st.sampled_from((0, 1, 2.0)))}


@shape_row("index_add", ours=lambda x, v, i, dim, alpha: x.index_add(dim, i, v, alpha=alpha),
           oracle=lambda x, v, i, dim, alpha: x.index_add(dim, i, v, alpha=alpha),
           dtypes=("float64", "float32", "int64"))  # fmt: skip
def index_add_case(make: Maker) -> Case:
    x, dim = some(make)
    i = places_of(make, x.shape[dim])
    source = make.array(beside(x, dim, i.size), SMALL, x.dtype.name)
    return [x, source, i], {"dim": dim, "alpha": make.draw(st.sampled_from((1, 2)))}


@shape_row("index_copy", ours=lambda x, v, i, dim: x.index_copy(dim, i, v),
           oracle=lambda x, v, i, dim: x.index_copy(dim, i, v), dtypes=ANY)  # fmt: skip
def index_copy_case(make: Maker) -> Case:
    x, dim = some(make)
    i = separate(make, x.shape[dim])
    return [x, make.array(beside(x, dim, i.size), SMALL, x.dtype.name), i], {"dim": dim}


@shape_row("index_put between functions", covers=("index_put",),
           ours=lambda x, v, index, accumulate: tc.index_put(
               x, tuple(map(tc.tensor, index)), v, accumulate),
           oracle=lambda x, v, index, accumulate: torch.index_put(
               x, as_torch(index), v, accumulate))  # fmt: skip
def index_put_function_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(2, 3))
    accumulate = make.draw(st.booleans())
    if make.draw(st.booleans()):
        index: Any = (make.draw(hnp.arrays(bool, x.shape[:2])),)
    elif accumulate:
        index = tuple(np.array([0, n - 1, 0]) for n in x.shape[:2])
    else:
        index = (separate(make, x.shape[0]),)
    shape = x[index].shape
    small = tuple(1 if make.draw(st.booleans()) else n for n in shape)
    return [x, make.array(small, SMALL, x.dtype.name)], {"index": index, "accumulate": accumulate}


def scattering(make: Maker, separately: bool) -> tuple[Any, int, Any]:
    """A tensor, a dimension, and an index for `scatter`."""
    x, dim = some(make)
    sizes = [make.draw(st.integers(1, n)) for n in x.shape]
    n = x.shape[dim]
    dim %= x.ndim
    sizes[dim] = make.draw(st.integers(1, n if separately else 4))
    if separately:
        order = np.array(make.draw(st.permutations(range(n))))[: sizes[dim]]
        rest = (*sizes[:dim], *sizes[dim + 1 :])
        index = np.moveaxis(np.broadcast_to(order, (*rest, sizes[dim])), -1, dim)
        return x, dim, np.ascontiguousarray(index)
    return x, dim, make.draw(hnp.arrays(np.int64, tuple(sizes), elements=st.integers(0, n - 1)))


@shape_row("scatter", ours=lambda x, i, *v, dim, **n: x.scatter(dim, i, *v, **n),
           oracle=lambda x, i, *v, dim, **n: x.scatter(dim, i, *v, **n), dtypes=ANY)  # fmt: skip
def scatter_case(make: Maker) -> Case:
    x, dim, i = scattering(make, True)
    if make.draw(st.booleans()):
        return [x, i], {"dim": dim, "value": make.draw(st.sampled_from((0, 1, 2.0)))}
    more = make.kind == "mixed"  # PyTorch has no gradient for a larger source
    larger = tuple(n + make.draw(st.integers(0, more)) for n in i.shape)
    return [x, i, make.array(larger, SMALL, x.dtype.name)], {"dim": dim}


@shape_row("scatter_add", dtypes=("float64", "float32", "int64"),
           ours=lambda x, i, v, dim: x.scatter_add(dim, i, v) + x.scatter(dim, i, v, reduce="add"),
           oracle=lambda x, i, v, dim: 2 * x.scatter_add(dim, i, v))  # fmt: skip
def scatter_add_case(make: Maker) -> Case:
    x, dim, i = scattering(make, False)
    more = make.kind == "mixed"  # PyTorch has no gradient for a larger source
    larger = tuple(n + make.draw(st.integers(0, more)) for n in i.shape)
    return [x, i, make.array(larger, SMALL, x.dtype.name)], {"dim": dim}
