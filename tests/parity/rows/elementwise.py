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

FLOATS = ("float64", "float32")
WHOLE = ("int64", "int32", "uint8", "bool")


def elementwise_row(name: str, *domains: Domain, oracle: Any = None, **more: Any) -> None:
    def case(make: Maker) -> Case:
        return make.broadcast(domains), {}

    more = {"dtypes": NUMBERS, "scalar": len(domains), "special": True, **more}
    ours = more.pop("ours", None) or getattr(tc, name, None) or getattr(elementwise, name)
    row(name, ours, oracle or getattr(torch, name), case, domains=domains, **more)


elementwise_row("add", REAL, REAL)
elementwise_row("mul", REAL, REAL, covers=("multiply",))
elementwise_row("sub", REAL, REAL, dtypes=SIGNED, covers=("subtract",))
elementwise_row("div", REAL, AWAY_FROM_ZERO, kinks=False, covers=("divide", "true_divide"))
elementwise_row("pow", POSITIVE, SMALL, dtypes=SIGNED, kinks=False, special=False)
elementwise_row("neg", REAL, dtypes=SIGNED, covers=("negative",))
elementwise_row("square", REAL)
elementwise_row("reciprocal", AWAY_FROM_ZERO, kinks=False)
elementwise_row("sign", FRACTIONS)
elementwise_row("abs", FRACTIONS, dtypes=(*SIGNED, "uint8"), covers=("absolute",))
elementwise_row("copysign", AWAY_FROM_ZERO, AWAY_FROM_ZERO, kinks=False, special=False)
elementwise_row("hypot", AWAY_FROM_ZERO, REAL, kinks=False, dtypes=FLOATS)
SIXTEENTHS = Domain("not halfway", tuple(v for v in REAL.numbers if v * 16 % 2))
QUARTERS = Domain("a quarter off whole numbers", tuple(v for v in REAL.numbers if v % 0.5))
elementwise_row("round", QUARTERS, dtypes=(*SIGNED, "uint8"))
for name in ["floor", "ceil", "trunc", "relu"]:
    more = {"dtypes": SIGNED} if name == "relu" else {"dtypes": (*SIGNED, "uint8")}
    elementwise_row(name, FRACTIONS, **more)
elementwise_row("logaddexp", REAL, REAL, dtypes=FLOATS)
elementwise_row("xlogy", REAL, POSITIVE, kinks=False)
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
for name in ["maximum", "minimum", "fmax", "fmin"]:
    elementwise_row(name, REAL, REAL)
for name in ["clamp_min", "clamp_max"]:
    elementwise_row(name, REAL, REAL, dtypes=(*SIGNED, "uint8"))
elementwise_row("sinc", SMALL)
elementwise_row("floor_divide", REAL, AWAY_FROM_ZERO, order=0, dtypes=SIGNED)
elementwise_row("remainder", FRACTIONS, Domain("powers of 2", (1.0, 2.0, 4.0), distinct=False),
                kinks=False, special=False, dtypes=SIGNED)  # fmt: skip
elementwise_row("fmod", FRACTIONS, Domain("2, 4 and -1", (2.0, 4.0, -1.0), distinct=False),
                kinks=False, special=False, dtypes=SIGNED)  # fmt: skip
for name in ["eq", "ne", "lt", "le", "gt", "ge"]:
    elementwise_row(name, KINKS, KINKS, order=0)
for name in ["isnan", "isinf", "isfinite"]:
    elementwise_row(name, SPECIAL, order=0)
elementwise_row("logical_not", KINKS, order=0)
for name in ["logical_and", "logical_or", "logical_xor"]:
    elementwise_row(name, KINKS, KINKS, order=0)


def whole_case(count: int) -> Any:
    def case(make: Maker) -> Case:
        make.kind = "mixed"  # no domain but whole numbers and truth values
        return make.broadcast([REAL] * count), {}

    return case


row("bitwise_not", lambda x: ~x, lambda x: ~x, whole_case(1), order=0, dtypes=WHOLE)
row("bitwise_and", lambda x, y: x & y, lambda x, y: x & y, whole_case(2), order=0, dtypes=WHOLE)
row("bitwise_or", lambda x, y: x | y, lambda x, y: x | y, whole_case(2), order=0, dtypes=WHOLE)
row("bitwise_xor", lambda x, y: x ^ y, lambda x, y: x ^ y, whole_case(2), order=0, dtypes=WHOLE)


def where_case(make: Maker) -> Case:
    c, x, y = make.broadcast([TRUTH, REAL, REAL])
    return [np.asarray(c == 1), x, y], {}


def option(domains: Any, **options: Any) -> Any:
    """Arguments that broadcast, and for each option one of the values listed."""

    def case(make: Maker) -> Case:
        drawn = {n: make.draw(st.sampled_from(values)) for n, values in options.items()}
        return make.broadcast(domains), drawn

    return case


def clamp_case(make: Maker) -> Case:
    x = make.array(make.shape(), FRACTIONS)
    low = make.draw(st.sampled_from((None, -2.0, 0.0, 0)))
    high = make.draw(st.sampled_from((2.0, 1.0, -3.0, 1) if low is None else (None, 2.0, 1.0)))
    return [x], {"min": low, "max": high}


for name in ["erf", "erfc"]:
    elementwise_row(name, SMALL, ours=getattr(special, name))


row("where", tc.where, torch.where, where_case, dtypes=NUMBERS, special=True)
row("clamp", tc.clamp, torch.clamp, clamp_case, covers=("clip",), special=True, dtypes=SIGNED)
row("clamp between tensors", lambda x, a, b: tc.clamp(x, a, b),
    lambda x, a, b: torch.clamp(*torch.broadcast_tensors(x, a, b)), option([REAL] * 3),
    kinks=False, special=True, dtypes=("float64",))  # fmt: skip
ALPHA = [2, 1, 0, -1]
row("add, alpha", tc.add, torch.add, option([REAL, REAL], alpha=ALPHA), dtypes=NUMBERS)
row("add, a fraction as alpha", tc.add, torch.add, option([REAL, REAL], alpha=[0.5, -1.5]))
row("sub, alpha", tc.sub, torch.sub, option([REAL, REAL], alpha=ALPHA), dtypes=SIGNED)
row("rsub", tc.rsub, torch.rsub, option([REAL, REAL], alpha=ALPHA), dtypes=SIGNED)
row("div, rounding_mode", tc.div, torch.div,
    option([FRACTIONS, AWAY_FROM_ZERO], rounding_mode=["trunc", "floor", None]), kinks=False,
    dtypes=SIGNED)  # fmt: skip
row("round, decimals", tc.round, torch.round, option([SIXTEENTHS], decimals=[0, 1, 2, -1]))
for name, domains in {"lerp": [REAL] * 3, "addcmul": [REAL] * 3,
                      "addcdiv": [REAL, REAL, AWAY_FROM_ZERO]}.items():  # fmt: skip
    elementwise_row(name, *domains, dtypes=("float32",), kinks=name != "addcdiv", special=False)
row("lerp, by a number", tc.lerp, torch.lerp,
    lambda make: same_dtype(option([REAL] * 2, weight=[0.25, 0.75, 0, 1, 1.5])(make)))  # fmt: skip
row("addcmul, value", tc.addcmul, torch.addcmul,
    lambda make: same_dtype(option([REAL] * 3, value=[1, 2, -0.5])(make)))  # fmt: skip
row("addcdiv, value", tc.addcdiv, torch.addcdiv,
    lambda make: same_shape(option([REAL, REAL, AWAY_FROM_ZERO], value=[1, 2, -0.5])(make)),
    kinks=False)  # fmt: skip
row("nan_to_num", tc.nan_to_num, torch.nan_to_num,
    option([REAL], nan=[0.0, 2.5], posinf=[None, 7.0], neginf=[None, -7.0]), special=True,
    dtypes=(*FLOATS, "int64"))  # fmt: skip
CLOSE = {"rtol": [1e-5, 0.5], "atol": [1e-8, 1.0], "equal_nan": [True, False]}
row("isclose", tc.isclose, torch.isclose,
    lambda make: same_dtype(option([KINKS, KINKS], **CLOSE)(make)), order=0,
    dtypes=("float64", "float32", "int64", "bool"))  # fmt: skip


def same_dtype(case: Case) -> Case:
    """PyTorch takes arguments of one dtype here."""
    args, how = case
    return [a.astype(args[0].dtype) for a in args], how


def same_shape(case: Case) -> Case:
    """Nothing is summed up, so nothing can cancel to a rounding error."""
    args, how = same_dtype(case)
    return [np.array(a) for a in np.broadcast_arrays(*args)], how


def as_tensor(f: Any, tensor: Any) -> Any:
    return lambda *args, **how: tensor(f(*args, **how))


def equal_case(make: Maker) -> Case:
    return make.broadcast([KINKS, KINKS]), {}


row("allclose", as_tensor(tc.allclose, tc.tensor), as_tensor(torch.allclose, torch.tensor),
    lambda make: same_dtype(option([KINKS, KINKS], **CLOSE)(make)), order=0)  # fmt: skip
row("equal", as_tensor(tc.equal, tc.tensor), as_tensor(torch.equal, torch.tensor), equal_case,
    order=0, dtypes=FLOATS)  # fmt: skip
