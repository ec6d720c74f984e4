"""Rows of shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.ops import shape as shape_
from tinygrad_course.testing import strategies as ts

from .row import ANY, ROWS, Case, Maker, Row, shape_row


def factors(make: Maker, size: int) -> tuple[int, ...]:
    options = [s for s in np.ndindex(5, 5, 5) if np.prod(s) == size] or [(size,)]
    return make.draw(st.sampled_from([(size,), *options]))


@shape_row("reshape", covers=("view",), dtypes=ANY)
def reshape_case(make: Maker) -> Case:
    x = make.array(make.shape())
    return [x], {"shape": factors(make, x.size)}


ROWS[-1] = Row(
    "reshape", lambda x, shape: tc.reshape(x, shape), torch.reshape, reshape_case,
    covers=("view",), dtypes=ANY,
)  # fmt: skip


@shape_row("permute", ours=lambda x, dims: tc.permute(x, dims), dtypes=ANY)
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
