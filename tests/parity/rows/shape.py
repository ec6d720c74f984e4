"""Rows of shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.ops import shape as shape_
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import REAL

from .row import ANY, ROWS, Case, Maker, Row, shape_row


def factors(make: Maker, size: int) -> tuple[int, ...]:
    options = [s for s in np.ndindex(5, 5, 5) if np.prod(s) == size] or [(size,)]
    return make.draw(st.sampled_from([(size,), *options]))


@shape_row("reshape", covers=("view",), dtypes=ANY)
def reshape_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"shape": factors(make, x.size)}


@shape_row("permute", dtypes=ANY)
def permute_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"dims": tuple(make.draw(st.permutations(range(x.ndim))))}


@shape_row("transpose", dtypes=ANY)
def transpose_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"dim0": make.dim(x.ndim), "dim1": make.dim(x.ndim)}


@shape_row("t")
def t_case(make: Maker) -> Case:
    return [make.array(make.shape(0, 2))], {}


def wider(make: Maker, shape: Any) -> tuple[int, ...]:
    """A shape that this one broadcasts to."""
    lead = make.draw(st.sampled_from(((), (1,), (2,), (2, 3))))
    side = st.integers(1, 3)
    return (*lead, *(make.draw(side) if n == 1 else n for n in shape))


@shape_row("broadcast_to", oracle=lambda x, shape: torch.broadcast_to(x, shape), dtypes=ANY)
def broadcast_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"shape": wider(make, x.shape)}


@shape_row("expand", ours=lambda x, size: x.expand(size), oracle=lambda x, size: x.expand(size))
def expand_case(make: Maker) -> Case:
    x = make.array(make.shape())
    size = wider(make, x.shape)
    lead = len(size) - x.ndim
    keep = make.draw(st.booleans())
    return [x], {"size": tuple(-1 if keep and i >= lead else n for i, n in enumerate(size))}


@shape_row(
    "sum_to",
    ours=lambda x, shape: shape_.sum_to(x, shape=shape, source=x.shape),
    oracle=lambda x, shape: x.sum_to_size(shape),
)
def sum_to_case(make: Maker) -> Case:
    small = tuple(max(n, 1) for n in make.shape())
    return [make.array(wider(make, small))], {"shape": small}


@shape_row("flatten", dtypes=ANY)
def flatten_case(make: Maker) -> Case:
    x = make.array(make.shape())
    first = make.draw(st.integers(0, max(x.ndim - 1, 0)))
    last = make.draw(st.integers(first, max(x.ndim - 1, 0)))
    return [x], {"start_dim": first, "end_dim": last - make.draw(st.sampled_from((0, x.ndim or 1)))}


@shape_row("unflatten")
def unflatten_case(make: Maker) -> Case:
    x = make.array((make.draw(st.integers(1, 2)), 6))
    return [x], {"dim": make.draw(st.sampled_from((1, -1))), "sizes": make.draw(
        st.sampled_from(((2, 3), (3, 2), (-1, 2), (6,), (1, 6))))}  # fmt: skip


@shape_row("unsqueeze", dtypes=ANY)
def unsqueeze_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"dim": make.dim(x.ndim + 1)}


@shape_row("squeeze", dtypes=ANY)
def squeeze_case(make: Maker) -> Case:
    x = make.array(make.shape())
    dim = make.draw(ts.axes(x.ndim))
    return [x], {} if dim is None else {"dim": dim}


@shape_row("flip", ours=lambda x, dims: shape_.flip(x, dims=dims))
def flip_case(make: Maker) -> Case:
    x = make.array(make.shape())
    dims = make.draw(st.lists(st.integers(0, x.ndim - 1), unique=True)) if x.ndim else []
    return [x], {"dims": tuple(dims)}


@shape_row(
    "pad",
    ours=lambda x, widths, value: shape_.pad(x, widths=widths, value=value),
    oracle=lambda x, widths, value: F.pad(
        x, [n for pair in reversed(widths) for n in pair], value=value
    ),
)
def pad_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(1, 3))
    width = st.sampled_from((0, 1, 2))
    widths = [(make.draw(width), make.draw(width)) for _ in x.shape]
    widths = [(-1, b) if n > 1 and make.draw(st.booleans()) else (a, b)
              for (a, b), n in zip(widths, x.shape, strict=True)]  # fmt: skip
    return [x], {"widths": widths, "value": 1.5}


def like(make: Maker, x: Any, dim: int) -> Any:
    """An array of the same shape but for one size."""
    sizes = list(x.shape)
    sizes[dim] = make.draw(st.integers(1, 3))
    return make.array(tuple(sizes))


@shape_row("cat", ours=lambda *xs, dim: tc.cat(xs, dim),
           oracle=lambda *xs, dim: torch.cat(xs, dim), dtypes=ANY)  # fmt: skip
def cat_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(1, 3))
    dim = make.dim(x.ndim)
    return [x, *(like(make, x, dim) for _ in range(make.draw(st.integers(0, 2))))], {"dim": dim}


@shape_row("stack", ours=lambda *xs, dim: tc.stack(xs, dim),
           oracle=lambda *xs, dim: torch.stack(xs, dim))  # fmt: skip
def stack_case(make: Maker) -> Case:
    x = make.array(make.shape(0, 2))
    others = [make.array(x.shape) for _ in range(make.draw(st.integers(0, 2)))]
    return [x, *others], {"dim": make.dim(x.ndim + 1)}


@shape_row("split")
def split_case(make: Maker) -> Case:
    x = make.array((make.draw(st.integers(1, 2)), 5))
    sizes = make.draw(st.sampled_from((1, 2, 3, 5, 7, [2, 3], [1, 4], [5])))
    return [x], {"split_size_or_sections": sizes, "dim": make.draw(st.sampled_from((1, -1)))}


ROWS[-1] = Row(
    "split", tc.split, lambda x, split_size_or_sections, dim: torch.split(
        x, split_size_or_sections, dim), split_case,
)  # fmt: skip


@shape_row("chunk")
def chunk_case(make: Maker) -> Case:
    x = make.array((2, make.draw(st.integers(1, 6))))
    return [x], {"chunks": make.draw(st.integers(1, 4)), "dim": 1}


@shape_row(
    "cast",
    ours=lambda x, dtype: x.to(np.dtype(dtype)),
    oracle=lambda x, dtype: x.to(getattr(torch, dtype)),
    dtypes=ANY,
)
def cast_case(make: Maker) -> Case:
    wanted = ("float32", "float16") if make.kind == "mixed" else ("float64",)
    return [make.array(make.shape())], {"dtype": make.draw(st.sampled_from(wanted))}


@shape_row("clone", dtypes=ANY)
def clone_case(make: Maker) -> Case:
    return [make.array(make.shape())], {}


# --- made of rows ---------------------------------------------------------------------------------


@shape_row("broadcast_tensors", dtypes=ANY)
def broadcast_tensors_case(make: Maker) -> Case:
    return make.broadcast([REAL] * make.draw(st.integers(1, 3))), {}


def two_of_one_size(make: Maker) -> list[Any]:
    x = make.array(make.shape())
    return [x, make.array(factors(make, x.size))]


@shape_row("view_as", covers=("reshape_as",), dtypes=ANY)
def view_as_case(make: Maker) -> Case:
    make.empty = False
    return two_of_one_size(make), {}


ROWS[-1] = replace(ROWS[-1], ours=lambda x, y: x.view_as(y) + x.reshape_as(y),
                   torch=lambda x, y: x.reshape(y.shape) + x.reshape_as(y))  # fmt: skip


@shape_row("expand_as", dtypes=ANY)
def expand_as_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(0, 2))
    return [x, np.zeros(wider(make, x.shape))], {}


@shape_row("movedim", covers=("moveaxis",), dtypes=ANY)
def movedim_case(make: Maker) -> Case:
    x = make.array(make.shape(1, 3))
    if make.draw(st.booleans()):
        return [x], {"source": make.dim(x.ndim), "destination": make.dim(x.ndim)}
    dims = st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=x.ndim, max_size=x.ndim)
    n = make.draw(st.integers(1, x.ndim))
    source, destination = (tuple(make.draw(dims)[:n]) for _ in range(2))
    return [x], {"source": source, "destination": destination}


@shape_row("swapaxes", covers=("swapdims",), dtypes=ANY)
def swapaxes_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"axis0": make.dim(x.ndim), "axis1": make.dim(x.ndim)}


@shape_row("atleast_1d", covers=("atleast_2d", "atleast_3d"), dtypes=ANY,
           ours=lambda *xs, n: getattr(tc, f"atleast_{n}d")(*xs),
           oracle=lambda *xs, n: getattr(torch, f"atleast_{n}d")(*xs))  # fmt: skip
def atleast_case(make: Maker) -> Case:
    xs = [make.array(make.shape()) for _ in range(make.draw(st.integers(1, 2)))]
    return xs, {"n": make.draw(st.sampled_from((1, 2, 3)))}


@shape_row("fliplr", covers=("flipud",), ours=lambda x: tc.fliplr(x) + 2 * x.flipud(),
           oracle=lambda x: x.fliplr() + 2 * x.flipud())  # fmt: skip
def fliplr_case(make: Maker) -> Case:
    return [make.array(make.shape(2, 3))], {}


@shape_row("flip between methods", covers=("flip",),
           ours=lambda x, dims: (x.flip(*dims), x.flip(dims), tc.flip(x, dims=dims)),
           oracle=lambda x, dims: (x.flip(*dims), x.flip(dims), torch.flip(x, dims=dims)),
           dtypes=ANY)  # fmt: skip
def flip_method_case(make: Maker) -> Case:
    x = make.array(make.shape(1, 3))
    dims = make.draw(st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1))
    return [x], {"dims": tuple(d - make.draw(st.sampled_from((0, x.ndim))) for d in dims)}


@shape_row("roll", dtypes=ANY)
def roll_case(make: Maker) -> Case:
    x = make.array(make.shape())
    step = st.integers(-4, 4)
    if not x.ndim or make.draw(st.booleans()):
        return [x], {"shifts": make.draw(step)}
    n = make.draw(st.integers(1, 3))
    dims = tuple(make.dim(x.ndim) for _ in range(n))
    return [x], {"shifts": tuple(make.draw(step) for _ in dims), "dims": dims}


@shape_row("rot90", dtypes=ANY)
def rot90_case(make: Maker) -> Case:
    x = make.array(make.shape(2, 3))
    a, b = make.draw(st.permutations(range(x.ndim)))[:2]
    return [x], {"k": make.draw(st.integers(-5, 5)), "dims": [a, b - x.ndim]}


@shape_row("repeat", ours=lambda x, sizes: x.repeat(*sizes),
           oracle=lambda x, sizes: x.repeat(*sizes), dtypes=ANY)  # fmt: skip
def repeat_case(make: Maker) -> Case:
    x = make.array(make.shape(0, 2))
    n = max(x.ndim, 1) + make.draw(st.integers(0, 1))
    return [x], {"sizes": tuple(make.draw(st.integers(0 if make.empty else 1, 3))
                                for _ in range(n))}  # fmt: skip


@shape_row("tile", dtypes=ANY)
def tile_case(make: Maker) -> Case:
    x = make.array(make.shape(0, 2))
    return [x], {"dims": tuple(make.draw(st.lists(st.integers(1, 3), max_size=3)))}


@shape_row("repeat_interleave", dtypes=ANY)
def repeat_interleave_case(make: Maker) -> Case:
    x = make.array(make.shape(1, 3))
    if make.draw(st.booleans()):
        return [x, make.draw(st.integers(0, 3))], {}
    dim = make.dim(x.ndim)
    counts = make.draw(st.lists(st.integers(0, 3), min_size=x.shape[dim], max_size=x.shape[dim]))
    return [x, np.array(counts, np.int64)], {"dim": dim}


@shape_row("repeat_interleave of counts", ours=tc.repeat_interleave,
           oracle=torch.repeat_interleave, order=0)  # fmt: skip
def repeat_counts_case(make: Maker) -> Case:
    return [np.array(make.draw(st.lists(st.integers(0, 3), max_size=3)), np.int64)], {}


@shape_row("meshgrid", ours=tc.meshgrid)
def meshgrid_case(make: Maker) -> Case:
    dtype = make.dtype()
    n = make.draw(st.integers(1, 3))
    xs = [make.array(make.shape(0, 1), REAL, dtype) for _ in range(n)]
    return xs, {"indexing": make.draw(st.sampled_from(("ij", "xy")))}


def two_dims(make: Maker, ndim: int) -> tuple[int, int]:
    a, b = make.draw(st.permutations(range(ndim)))[:2]
    return a, b - ndim


@shape_row("diagonal", covers=("diagonal_into",), dtypes=ANY)
def diagonal_case(make: Maker) -> Case:
    x = make.array(make.shape(2, 3))
    a, b = two_dims(make, x.ndim)
    return [x], {"offset": make.draw(st.integers(-4, 4)), "dim1": a, "dim2": b}


@shape_row("diag_embed", dtypes=ANY)
def diag_embed_case(make: Maker) -> Case:
    x = make.array(make.shape(1, 2))
    a, b = two_dims(make, x.ndim + 1)
    return [x], {"offset": make.draw(st.integers(-2, 2)), "dim1": a, "dim2": b}


@shape_row("diag", dtypes=ANY)
def diag_case(make: Maker) -> Case:
    return [make.array(make.shape(1, 2))], {"diagonal": make.draw(st.integers(-3, 3))}


@shape_row("tril", covers=("triu",), ours=lambda x, k: tc.tril(x, k) + 2 * x.triu(k),
           oracle=lambda x, k: torch.tril(x, k) + 2 * x.triu(k), dtypes=ANY)  # fmt: skip
def triangle_case(make: Maker) -> Case:
    return [make.array(make.shape(2, 3))], {"k": make.draw(st.integers(-3, 3))}


@shape_row("select", dtypes=ANY)
def select_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(1, 3))
    dim = make.dim(x.ndim)
    n = x.shape[dim]
    return [x], {"dim": dim, "index": make.draw(st.integers(-n, n - 1))}


@shape_row("narrow", dtypes=ANY)
def narrow_case(make: Maker) -> Case:
    x = make.array(make.shape(1, 3))
    dim = make.dim(x.ndim)
    n = x.shape[dim]
    start = make.draw(st.integers(-n, n))
    room = n - (start + n if start < 0 else start)
    return [x], {"dim": dim, "start": start, "length": make.draw(st.integers(0, room))}


@shape_row("unbind", dtypes=ANY)
def unbind_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape(1, 3))
    return [x], {"dim": make.dim(x.ndim)}


@shape_row("tensor_split", ours=lambda x, n, dim: tc.tensor_split(x, n, dim),
           oracle=lambda x, n, dim: torch.tensor_split(x, n, dim))  # fmt: skip
def tensor_split_case(make: Maker) -> Case:
    x = make.array(make.shape(1, 3))
    cuts = st.lists(st.integers(-4, 4), max_size=3).map(tuple)
    return [x], {"n": make.draw(st.integers(1, 4) | cuts), "dim": make.dim(x.ndim)}


@shape_row("hsplit", covers=("vsplit",),
           ours=lambda x, n: [*tc.hsplit(x, n), *x.vsplit((1, 2))],
           oracle=lambda x, n: [*torch.hsplit(x, n), *x.vsplit((1, 2))])  # fmt: skip
def hsplit_case(make: Maker) -> Case:
    n = make.draw(st.integers(1, 2))
    return [make.array((3, 2 * n))], {"n": make.draw(st.sampled_from((n, (1,))))}


@shape_row("unfold of one dimension", ours=lambda x, dim, size, step: x.unfold(dim, size, step),
           oracle=lambda x, dim, size, step: x.unfold(dim, size, step), dtypes=ANY)  # fmt: skip
def unfold_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape())
    dim = make.dim(x.ndim)
    size = make.draw(st.integers(1, x.shape[dim] if x.ndim else 1))
    return [x], {"dim": dim, "size": size, "step": make.draw(st.integers(1, 3))}


@shape_row("diff", ours=lambda x, *ends, n, dim: tc.diff(x, n, dim, *ends),
           oracle=lambda x, *ends, n, dim: torch.diff(x, n, dim, *ends), dtypes=ANY)  # fmt: skip
def diff_case(make: Maker) -> Case:
    x = make.array(make.shape(1, 3))
    dim = make.dim(x.ndim)
    ends = []
    if make.draw(st.booleans()):
        sizes = list(x.shape)
        sizes[dim] = make.draw(st.integers(1, 2))
        ends = [make.array(tuple(sizes), REAL, x.dtype.name) for _ in range(2)]
    return [x, *ends], {"n": make.draw(st.integers(0, 3)), "dim": dim}


JOINED = ("hstack", "vstack", "dstack", "column_stack", "row_stack")


@shape_row("hstack", covers=JOINED[1:], ours=lambda *xs, which: getattr(tc, which)(xs),
           oracle=lambda *xs, which: getattr(torch, which)(xs))  # fmt: skip
def joined_case(make: Maker) -> Case:
    make.empty = False
    x = make.array(make.shape())
    others = [make.array(x.shape) for _ in range(make.draw(st.integers(0, 2)))]
    return [x, *others], {"which": make.draw(st.sampled_from(JOINED))}


@shape_row("concat", covers=("concatenate",), ours=lambda *xs, dim: tc.concat(xs, dim=dim),
           oracle=lambda *xs, dim: torch.concat(xs, dim=dim))  # fmt: skip
def concat_case(make: Maker) -> Case:
    return cat_case(make)
