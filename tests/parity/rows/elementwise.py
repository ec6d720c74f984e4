"""Elementwise rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.ops import elementwise, special
from tinygrad_course.testing.strategies import (
    ABOVE_ONE,
    AWAY_FROM_ZERO,
    FRACTIONS,
    KINKS,
    POSITIVE,
    REAL,
    SIGNED_UNIT,
    SPECIAL,
    Domain,
)

from .row import NUMBERS, SIGNED, SMALL, TRUTH, Case, Maker, row


def elementwise_row(name: str, *domains: Domain, oracle: Any = None, **more: Any) -> None:
    def case(make: Maker) -> Case:
        return make.broadcast(domains), {}

    more = {"dtypes": NUMBERS, "scalar": len(domains), "special": True, **more}
    ours = more.pop("ours", None) or getattr(elementwise, name)
    row(name, ours, oracle or getattr(torch, name), case, domains=domains, **more)


def sign_keeping_nan(x: Any) -> Any:
    return torch.where(x.isnan(), x.detach(), torch.sign(x))


for name in ["add", "mul"]:
    elementwise_row(name, REAL, REAL)
elementwise_row("sub", REAL, REAL, dtypes=SIGNED)
elementwise_row("div", REAL, AWAY_FROM_ZERO, kinks=False)
elementwise_row("pow", POSITIVE, SMALL, dtypes=SIGNED, kinks=False, special=False)
elementwise_row("neg", REAL, dtypes=SIGNED)
elementwise_row("square", REAL, dtypes=(*SIGNED, "uint8"))
elementwise_row("reciprocal", AWAY_FROM_ZERO, kinks=False)
# PyTorch's sign of NaN is 0, and so its slope of |x| at NaN; here NaN stays NaN
elementwise_row("sign", FRACTIONS, oracle=sign_keeping_nan, dtypes=(*SIGNED, "uint8"))
elementwise_row("abs", FRACTIONS, dtypes=(*SIGNED, "uint8"), special=False)
QUARTERS = Domain("a quarter off whole numbers", tuple(v for v in REAL.numbers if v % 0.5))
elementwise_row("round", QUARTERS, dtypes=(*SIGNED, "uint8"))
for name in ["floor", "ceil", "trunc", "relu"]:
    more = {"dtypes": SIGNED} if name == "relu" else {"dtypes": (*SIGNED, "uint8")}
    elementwise_row(name, FRACTIONS, **more)
for name in ["sqrt", "rsqrt", "log", "log2", "log10", "log1p"]:
    elementwise_row(name, POSITIVE, kinks=False)
for name in [
    "exp",
    "exp2",
    "expm1",
    "sin",
    "cos",
    "tan",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "sigmoid",
]:
    elementwise_row(name, SMALL)
for name in ["asin", "acos", "atanh"]:
    elementwise_row(name, SIGNED_UNIT, kinks=False)
elementwise_row("acosh", ABOVE_ONE, kinks=False)
elementwise_row("atan2", POSITIVE, REAL, kinks=False)
elementwise_row("softplus", SMALL, oracle=F.softplus, dtypes=("float64", "float32"))
elementwise_row("logsigmoid", SMALL, oracle=F.logsigmoid, dtypes=("float64", "float32"))
elementwise_row("maximum", REAL, REAL)
elementwise_row("minimum", REAL, REAL)
elementwise_row("floor_divide", REAL, AWAY_FROM_ZERO, order=0, dtypes=SIGNED)
elementwise_row("remainder", FRACTIONS, Domain("powers of 2", (1.0, 2.0, 4.0), distinct=False),
                kinks=False, special=False, dtypes=SIGNED)  # fmt: skip
for name in ["eq", "ne", "lt", "le", "gt", "ge"]:
    elementwise_row(name, KINKS, KINKS, order=0)
for name in ["isnan", "isinf", "isfinite"]:
    elementwise_row(name, SPECIAL, order=0)


def where_case(make: Maker) -> Case:
    c, x, y = make.broadcast([TRUTH, REAL, REAL])
    return [np.asarray(c == 1), x, y], {}


def clamp_case(make: Maker) -> Case:
    x = make.array(make.shape(), FRACTIONS)
    low = make.draw(st.sampled_from((None, -2.0, 0.0)))
    high = make.draw(st.sampled_from((2.0, 1.0) if low is None else (None, 2.0, 1.0)))
    return [x], {"min": low, "max": high}


def clamp_between_case(make: Maker) -> Case:
    return make.broadcast([REAL, REAL, REAL]), {}


for name in ["erf", "erfc"]:
    elementwise_row(name, SMALL, ours=getattr(special, name))


row("where", tc.where, torch.where, where_case, dtypes=NUMBERS, special=True)
row("clamp", tc.clamp, torch.clamp, clamp_case, covers=("clip",), special=True)
row("clamp between tensors", lambda x, a, b: tc.clamp(x, a, b),
    lambda x, a, b: torch.minimum(torch.maximum(x, a), b), clamp_between_case,
    kinks=False)  # fmt: skip
