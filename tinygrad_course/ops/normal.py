"""Normalisation as one row: the kinds of norm differ in the dimensions only."""

from __future__ import annotations

from typing import Any

from tinygrad_course.devices import faster
from tinygrad_course.kernels import moments
from tinygrad_course.primitive import Primitive

from .elementwise import rsqrt, square
from .reduce import _total
from .shape import reshape, sum_to

# `form` is the shape in which w and b broadcast to x; `by` the moments of x, which the forward
# pass fills in
normalise = Primitive(
    "normalise", "w (x − mean) / √(var + eps) + b, mean and var of x over some dimensions",
    faster("normalise", moments.normalise),
    joint=faster("normalise_back", moments.normalise_back, lambda *values, **how:
                 _recorded(*values, **how)),
)


def _recorded(g: Any, out: Any, x: Any, w: Any, b: Any, *, form: Any, by: Any) -> Any:
    """All three gradients in rows, to be differentiated again."""
    scale = 1.0 if w is None else reshape(w, shape=form, source=w.shape)
    h, far = g * scale, x
    if by.given or by.centred:
        far = x - (by.mean if by.given else _mean(x, by))
    rstd = by.rstd if by.given else rsqrt(_mean(square(far), by) + by.eps)
    hat, dx = far * rstd, h
    if not by.given:
        dx = h - hat * _mean(h * hat, by) - (_mean(h, by) if by.centred else 0.0)
    sums = [None if p is None else reshape(sum_to(v, shape=form, source=v.shape), shape=p.shape,
                                           source=form) for p, v in ((w, g * hat), (b, g))]
    return (dx * rstd, *sums)


def _mean(x: Any, by: Any) -> Any:
    return _total(x, by.dims) / float(by.count(x))
