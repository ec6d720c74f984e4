"""tinygrad_course: a small autograd engine to learn from and to train with.

The front door: one explicit list. `nn`, `optim`, `data`, `testing` and `training` are imported when
they are first named, so that `import tinygrad_course` stays light.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np

from . import autograd, devices, errors
from .arrays import get_default_dtype, set_default_dtype
from .autograd import (
    enable_grad,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from .creation import (
    Generator,
    arange,
    empty,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    manual_seed,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .ops.elementwise import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    ceil,
    clamp,
    cos,
    cosh,
    div,
    eq,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    log,
    log1p,
    log2,
    log10,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    neg,
    pow,
    reciprocal,
    relu,
    remainder,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    sub,
    tan,
    tanh,
    trunc,
    where,
)
from .ops.index import gather, take_along_dim
from .ops.linalg import matmul, mm, t
from .ops.reduce import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    cumsum,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    norm,
    softmax,
    std,
    sum,
    var,
)
from .ops.shape import (
    broadcast_to_ as broadcast_to,
)
from .ops.shape import (
    cat,
    chunk,
    clone,
    flatten,
    split,
    squeeze,
    stack,
    transpose,
    unflatten,
    unsqueeze,
)
from .ops.shape import (
    permute_ as permute,
)
from .ops.shape import (
    reshape_ as reshape,
)
from .scalar import Scalar, dot
from .tensor import Tensor, as_tensor

__version__ = "0.1.0"

float16, float32, float64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
uint8, int8, int16, int32, int64 = map(np.dtype, ("uint8", "int8", "int16", "int32", "int64"))
bool = np.dtype("bool")
half, float, double, short, int, long = float16, float32, float64, int16, int32, int64

# 1 / 0 is inf and 0 / 0 is nan here, as in every deep-learning library: no warning for each.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad_course\.")

_ROOMS = ("data", "files", "func", "nn", "optim", "testing", "training")
_FROM_FILES = ("load", "save")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name in _FROM_FILES:
        return getattr(importlib.import_module(".files", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "Generator",
    "Scalar",
    "Tensor",
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "amax",
    "amin",
    "any",
    "arange",
    "argmax",
    "argmin",
    "as_tensor",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "autograd",
    "bool",
    "broadcast_to",
    "cat",
    "ceil",
    "chunk",
    "clamp",
    "clone",
    "cos",
    "cosh",
    "cumsum",
    "data",
    "devices",
    "div",
    "dot",
    "double",
    "empty",
    "enable_grad",
    "eq",
    "errors",
    "exp",
    "exp2",
    "expm1",
    "eye",
    "files",
    "flatten",
    "float",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "from_numpy",
    "full",
    "full_like",
    "func",
    "gather",
    "ge",
    "get_default_dtype",
    "grad",
    "gt",
    "half",
    "inference_mode",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "linspace",
    "load",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logsumexp",
    "long",
    "lt",
    "manual_seed",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mm",
    "mul",
    "ne",
    "neg",
    "nn",
    "no_grad",
    "norm",
    "normal",
    "ones",
    "ones_like",
    "optim",
    "permute",
    "pow",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "reciprocal",
    "relu",
    "remainder",
    "reshape",
    "round",
    "rsqrt",
    "save",
    "set_default_dtype",
    "set_grad_enabled",
    "short",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "t",
    "take_along_dim",
    "tan",
    "tanh",
    "tensor",
    "testing",
    "training",
    "transpose",
    "trunc",
    "uint8",
    "unflatten",
    "unsqueeze",
    "var",
    "where",
    "zeros",
    "zeros_like",
]  # fmt: skip
