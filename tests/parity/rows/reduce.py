"""Reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import KINKS, POSITIVE, REAL, Domain

from .row import NUMBERS, SIGNED, Case, Maker, row


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


def dtype_case(make: Maker) -> Case:
    """An array, one `dim`, and the dtype to work in."""
    args, how = dim_case(keepdim=False)(make)
    names = ("float32", "float64") if make.kind != "mixed" else ("float32", "float64", "int64")
    return args, {**how, "dtype": make.draw(st.sampled_from(names))}


def named_dtype(f: Any) -> Any:
    return lambda x, dtype, **how: f(x, dtype=getattr(torch, dtype), **how)


def without_keepdim(case: Any) -> Any:
    def drawn(make: Maker) -> Case:
        args, how = case(make)
        return args, {"dim": how["dim"]}

    return drawn


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
        lambda make: (dims_case(empty=False)(make)[0], {}), special=True,
        dtypes=NUMBERS)  # fmt: skip
    row(f"{name} of two", getattr(tc, name), getattr(torch, name),
        lambda make: (make.broadcast([REAL, REAL]), {}), dtypes=NUMBERS)  # fmt: skip
for name in ["argmax", "argmin"]:
    row(name, getattr(tc, name), getattr(torch, name), dim_case(), order=0, dtypes=SIGNED)
for name in ["all", "any"]:
    row(name, getattr(tc, name), getattr(torch, name), dims_case(KINKS), order=0, dtypes=NUMBERS)
row("logsumexp", tc.logsumexp,
    over_all(torch.logsumexp),
    lambda make: needs_dim(dims_case()(make)), special=True)  # fmt: skip
row("softmax", tc.softmax, torch.softmax, dim_case(keepdim=False), special=True)
row("log_softmax", tc.log_softmax, torch.log_softmax, dim_case(keepdim=False), special=True)
for name in ["nansum", "nanmean"]:
    # PyTorch's slope of nanmean is NaN where there is no number at all; here it is 0
    more = {"dtypes": NUMBERS, "special": True} if name == "nansum" else {}
    row(name, getattr(tc, name), getattr(torch, name), dims_case(), **more)
row("count_nonzero", tc.count_nonzero, torch.count_nonzero, without_keepdim(dims_case(KINKS)),
    order=0, dtypes=NUMBERS)  # fmt: skip
row("prod", tc.prod, torch.prod, dim_case(), dtypes=NUMBERS)
row("prod of all", tc.prod, torch.prod, lambda make: (dims_case()(make)[0], {}), dtypes=NUMBERS)
row("cumsum", tc.cumsum, torch.cumsum, dim_case(keepdim=False), special=True, dtypes=NUMBERS)
row("cumprod", tc.cumprod, torch.cumprod, dim_case(keepdim=False), dtypes=NUMBERS,
    covers=("recurrence",))  # fmt: skip
row("logcumsumexp", tc.logcumsumexp, torch.logcumsumexp, dim_case(keepdim=False))
for name in ["cummax", "cummin"]:
    row(name, getattr(tc, name), getattr(torch, name), dim_case(keepdim=False), special=True,
        dtypes=NUMBERS, covers=("running_index",))  # fmt: skip
for name in ["sum", "cumsum", "prod", "cumprod", "nansum"]:
    row(f"{name}, dtype", getattr(tc, name), named_dtype(getattr(torch, name)), dtype_case, order=1,
        kinks=False, dtypes=NUMBERS)  # fmt: skip


def norm_case(*ps: Any) -> Any:
    def case(make: Maker) -> Case:
        p = make.draw(st.sampled_from(ps))
        domain = POSITIVE if np.isinf(float(p)) else REAL  # 1 and -1 are tied there
        args, how = dims_case(domain, empty=False)(make)
        return args, {**how, "p": p}

    return case


row("norm", tc.norm, torch.norm, norm_case(2), covers=("norm_p",))
row("norm, of all", tc.norm, torch.norm, lambda make: (dims_case()(make)[0], {}))
row("norm, p", tc.norm, torch.norm, norm_case(1, np.inf, -np.inf, 0, 3, 4.0), kinks=False)
row("norm, a fraction as p", tc.norm, torch.norm, norm_case(1.5, 2.5, 0.5, -1.0), kinks=False)
row("norm, p, at kinks", tc.norm, torch.norm, norm_case(1, 2, np.inf, -np.inf, 0, 3, 1.5), order=1)
row("dist", tc.dist, torch.dist,
    lambda make: (make.broadcast([REAL, REAL]), {"p": make.draw(st.sampled_from((2, 1, 3)))}),
    dtypes=("float64",))  # fmt: skip


def needs_dim(case: Case) -> Case:
    (x,), how = case
    return [x], {**how, "dim": full(x, how["dim"])}


def positive_spread_case(make: Maker) -> Case:
    """Of positive numbers: a mean that cancels is left with a rounding error of its own."""
    return spread_case(make, POSITIVE)


def spread_case(make: Maker, domain: Domain = REAL) -> Case:
    make.empty = False
    shape = make.shape(1, 3)
    x = make.array((*shape, make.draw(st.integers(2, 3))), domain)
    dim = make.draw(st.sampled_from((None, -1, (0, x.ndim - 1))))
    correction = make.draw(st.sampled_from((0, 1)))
    return [x], {"dim": dim, "correction": correction, "keepdim": make.draw(st.booleans())}


for name in ["var", "std"]:
    row(name, getattr(tc, name), getattr(torch, name), spread_case)
    both = name + "_mean"
    row(both, getattr(tc, both), getattr(torch, both), positive_spread_case, kinks=False)


def unbiased_case(make: Maker) -> Case:
    """The older spelling: `unbiased` at the place of `dim`, or after it."""
    args, how = positive_spread_case(make)
    if make.draw(st.booleans()):
        return [*args, make.draw(st.booleans())], {}
    return [*args, -1, make.draw(st.booleans())], {"keepdim": how["keepdim"]}


for name in ["var", "std", "var_mean", "std_mean"]:
    row(f"{name}, unbiased", getattr(tc, name), getattr(torch, name), unbiased_case, kinks=False)
