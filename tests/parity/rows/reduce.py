"""Reductions."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import KINKS, REAL, Domain

from .row import ANY, NUMBERS, SIGNED, Case, Maker, row


def dims_case(domain: Domain = REAL, empty: bool = True, least: int = 0) -> Any:
    """An array, and `dim` (None, one or several) and `keepdim`."""

    def case(make: Maker) -> Case:
        make.empty = make.empty and empty
        x = make.array(make.shape(least, 3), domain)
        return [x], {"dim": make.draw(ts.axes(x.ndim)), "keepdim": make.draw(st.booleans())}

    return case


def dim_case(domain: Domain = REAL, keepdim: bool = True, least: int = 0) -> Any:
    """An array, and one `dim`."""

    def case(make: Maker) -> Case:
        make.empty = False
        x = make.array(make.shape(least, 3), domain)
        keep = {"keepdim": make.draw(st.booleans())} if keepdim else {}
        return [x], {"dim": make.dim(x.ndim), **keep}

    return case


def full(x: Any, dim: Any) -> Any:
    return tuple(range(x.ndim)) if dim is None else dim


def over_all(f: Any) -> Any:
    """PyTorch's function with None for all dimensions."""
    return lambda x, dim, keepdim: f(x, full(x, dim), keepdim)


row("sum", tc.sum, torch.sum, dims_case(), dtypes=NUMBERS, special=True)
row("mean", tc.mean, torch.mean, dims_case(), special=True)
for name in ["amax", "amin"]:
    row(name, getattr(tc, name), over_all(getattr(torch, name)), dims_case(empty=False),
        special=True, dtypes=NUMBERS)  # fmt: skip
for name in ["max", "min"]:
    row(name, getattr(tc, name), getattr(torch, name), dim_case(), special=True, dtypes=NUMBERS)
    row(f"{name} of all", getattr(tc, name), getattr(torch, name),
        lambda make: (dims_case(empty=False)(make)[0], {}))  # fmt: skip
    row(f"{name} of two", getattr(tc, name), getattr(torch, name),
        lambda make: (make.broadcast([REAL, REAL]), {}), dtypes=NUMBERS)  # fmt: skip
for name in ["argmax", "argmin"]:
    row(name, getattr(tc, name), getattr(torch, name), dim_case(), order=0, dtypes=SIGNED)
for name in ["all", "any"]:
    row(name, getattr(tc, name), getattr(torch, name), dim_case(KINKS), order=0, dtypes=ANY)
row("logsumexp", tc.logsumexp,
    over_all(torch.logsumexp),
    lambda make: needs_dim(dims_case()(make)), special=True)  # fmt: skip
row("softmax", tc.softmax, torch.softmax, dim_case(keepdim=False), special=True)
row("log_softmax", tc.log_softmax, torch.log_softmax, dim_case(keepdim=False), special=True)
row("cumsum", tc.cumsum, torch.cumsum, dim_case(keepdim=False), special=True, dtypes=NUMBERS)
row("norm", tc.norm, lambda x, dim, keepdim: torch.linalg.vector_norm(x, 2, dim, keepdim),
    dims_case(), order=2)  # fmt: skip


def needs_dim(case: Case) -> Case:
    (x,), how = case
    return [x], {**how, "dim": full(x, how["dim"])}


def spread_case(make: Maker) -> Case:
    make.empty = False
    shape = make.shape(1, 3)
    x = make.array((*shape, make.draw(st.integers(2, 3))))
    dim = make.draw(st.sampled_from((None, -1, (0, x.ndim - 1))))
    correction = make.draw(st.sampled_from((0, 1)))
    return [x], {"dim": dim, "correction": correction, "keepdim": make.draw(st.booleans())}


row("var", tc.var, torch.var, spread_case)
row("std", tc.std, torch.std, spread_case, kinks=False)
