"""Normalisation as one row: batch, layer, group and instance norm differ in the dimensions only."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_course.graph import Value
from tinygrad_course.kernels import moments
from tinygrad_course.primitive import Primitive

from .elementwise import rsqrt, square
from .reduce import _total
from .shape import sum_to

# mean and rstd are those of x over dims, found beforehand: batch norm needs them for itself
normalise = Primitive(
    "normalise", "w (x − mean) / √(var + eps) + b, mean and var of x over some dimensions",
    lambda x, w, b, *, dims, mean, rstd, eps: moments.normalise(x, w, b, mean, rstd),
    joint=lambda g, out, x, w, b, **stats: _back(g, x, w, b, **stats),
)


def _back(g: Any, x: Any, w: Any, b: Any, *, dims: Any, mean: Any, rstd: Any, eps: Any) -> Any:
    """All three gradients, on raw arrays in one go; to be differentiated again, in rows."""
    if isinstance(g, Value) or isinstance(x, Value):
        dx, dw, db = _recorded(g, x, w, dims, eps)
    else:
        dx, dw, db = moments.normalise_back(g, x, w, dims, mean, rstd)
    return dx, None if w is None else dw, None if b is None else db


def _recorded(g: Any, x: Any, w: Any, dims: Any, eps: float) -> tuple[Any, Any, Any]:
    count = math.prod(x.shape[d] for d in dims)
    far = x - _total(x, dims) / count
    rstd = rsqrt(_total(square(far), dims) / count + eps)
    hat = far * rstd
    h = g if w is None else g * w
    dx = rstd * (h - _total(h, dims) / count - hat * (_total(h * hat, dims) / count))
    if w is None:
        return dx, None, None
    return dx, *(sum_to(v, shape=w.shape, source=v.shape) for v in (g * hat, g))
