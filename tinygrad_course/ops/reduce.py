"""Reductions: many numbers into one, along dimensions, and the normalised exponentials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.arrays import checked_dtype, get_default_dtype, repeated, top
from tinygrad_course.devices import faster
from tinygrad_course.errors import DtypeError, ShapeError
from tinygrad_course.primitive import Primitive

from .elementwise import abs, exp, isnan, maximum, minimum, pow, sign, where
from .index import take_along_dim
from .shape import broadcast_to, cast, clone, normal_dim, normal_dims, owned, reshape, reshape_

Dim = int | Sequence[int] | None


def in_single(forward: Any) -> Any:
    """Half precision is worked out in single precision, and rounded once at the end."""

    def run(x: Any, **how: Any) -> Any:
        if x.dtype.char == "e":
            return forward(x.astype(np.float32), **how).astype(x.dtype)
        return forward(x, **how)

    return run


def one_of_all(name: str, what: str, forward: Any) -> Primitive:
    """A row that picks one number: ties share the gradient evenly, and so do NaNs."""
    return Primitive(name, what, forward, lambda g, out, x: _shared(g, _same(x, out), _every(x)))


def along_dims(name: str, what: str, forward: Any) -> Primitive:
    """A row that picks one number along dimensions; ties share the gradient evenly."""
    return Primitive(name, what, forward, lambda g, out, x, *, dim: _shared(g, x == out, dim))


# --- rows: `dim` is a tuple counted from the front; reduced ones stay (sum may drop them) ---------

sum_over = Primitive(
    "sum", "Σ x",
    in_single(lambda x, *, dim, keepdim, source:
              np.add.reduce(x, dim, _sum_dtype(x), keepdims=keepdim)),
    lambda g, out, x, *, dim, keepdim, source: _spread(g, dim, keepdim, source),
)
amax_kept = along_dims("amax", "max x", lambda x, *, dim: x.max(axis=dim, keepdims=True))
amin_kept = along_dims("amin", "min x", lambda x, *, dim: x.min(axis=dim, keepdims=True))
logsumexp_kept = Primitive(
    "logsumexp", "ln Σ eˣ, without overflow",
    in_single(lambda x, *, dim: _logsumexp(x, dim)),
    lambda g, out, x, *, dim: g * exp(x - out),
)
softmax_at = Primitive(
    "softmax", "eˣ / Σ eˣ",
    faster("softmax", in_single(lambda x, *, dim: _softmax(x, dim))),
    faster("softmax_back", lambda g, out, x, *, dim: out * (g - _total(g * out, dim))),
)
log_softmax_at = Primitive(
    "log_softmax", "x − ln Σ eˣ",
    faster("log_softmax", in_single(lambda x, *, dim: _log_softmax(x, dim))),
    faster("log_softmax_back", lambda g, out, x, *, dim: g - exp(out) * _total(g, dim)),
)
max_of_all = one_of_all("max", "max x", lambda x: x.max())
min_of_all = one_of_all("min", "min x", lambda x: x.min())
median_of_all = one_of_all("median", "the middle of the sorted numbers",
                           lambda x: _median(x.reshape(-1)))
norm_kept = Primitive(
    "norm", "√Σ x²",
    in_single(lambda x, *, dim: np.sqrt(np.square(x).sum(axis=dim, keepdims=True))),
    lambda g, out, x, *, dim: x * (g / where(out == 0, 1.0, out)),
)
norm_to = Primitive(
    "norm_p", "(Σ |x|ᵖ)¹ᐟᵖ",
    in_single(lambda x, *, dim, p: (np.abs(x) ** p).sum(axis=dim, keepdims=True) ** (1 / p)),
    lambda g, out, x, *, dim, p: sign(x) * _power(x, p) * (g / _power(out, p)),
)
all_of = Primitive(
    "all", "x ≠ 0 everywhere",
    lambda x, *, dim, keepdim: np.all(x, axis=dim, keepdims=keepdim),
)
any_of = Primitive(
    "any", "x ≠ 0 somewhere",
    lambda x, *, dim, keepdim: np.any(x, axis=dim, keepdims=keepdim),
)


def _sum_dtype(x: Any) -> Any:
    return np.dtype("int64") if x.dtype.kind in "biu" else x.dtype


def _every(x: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim))


def _same(x: Any, out: Any) -> Any:
    return where(isnan(out), isnan(x), x == out)


def _median(x: Any) -> Any:
    """The middle one, the lower of two; NaN if one is NaN, or if there is no number."""
    if not x.size:
        return np.full_like(x, np.nan, shape=())
    x = np.partition(x, [(x.size - 1) // 2, x.size - 1])
    return np.where(np.isnan(x[-1]), x[-1], x[(x.size - 1) // 2])  # NaN is the largest


def _power(x: Any, p: float) -> Any:
    """|x|ᵖ⁻¹, but 1 at 0, where the slope of the norm is taken as 0."""
    return pow(where(x == 0, 1.0, abs(x)), p - 1)


def _total(x: Any, dim: Any) -> Any:
    return sum_over(x, dim=dim, keepdim=True, source=x.shape)


def _spread(g: Any, dim: tuple[int, ...], keepdim: bool, source: tuple[int, ...]) -> Any:
    """A reduced value repeated over the dimensions that were reduced."""
    if not keepdim and len(dim) < len(source):
        kept = tuple(1 if i in dim else n for i, n in enumerate(source))
        g = reshape(g, shape=kept, source=g.shape)
    spread = repeated if type(g) is np.ndarray else broadcast_to
    return spread(g, shape=source, source=g.shape)


def _shared(g: Any, hit: Any, dim: Any) -> Any:
    hit = cast(hit, dtype=g.dtype, source=hit.dtype)
    return hit * (g / _total(hit, dim))


def _logsumexp(x: Any, dim: Any) -> Any:
    most = top(x, dim)
    most = np.where(np.isfinite(most), most, np.zeros_like(most))  # all -inf: ln 0 is -inf
    return np.log(np.exp(x - most).sum(axis=dim, keepdims=True, dtype=x.dtype)) + most


def _softmax(x: Any, dim: Any) -> Any:
    e = np.exp(x - top(x, dim))
    return e / e.sum(axis=dim, keepdims=True, dtype=x.dtype)


def _log_softmax(x: Any, dim: Any) -> Any:
    # shifted before the logarithm is taken off: x − logsumexp(x) would round away small differences
    z = x - top(x, dim)
    return z - np.log(np.exp(z).sum(axis=dim, keepdims=True, dtype=x.dtype))


# --- derived --------------------------------------------------------------------------------------


def _dropped(out: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """Without the reduced dimensions, unless they are kept."""
    if keepdim or not out.shape:
        return out
    shape = tuple(n for i, n in enumerate(out.shape) if i not in dims)
    return owned(reshape(out, shape=shape, source=tuple(out.shape)))


def sum(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Σ x over one, several or all dimensions; integers and bools add up to int64.

    >>> import tinygrad_course as tc
    >>> tc.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(0).tolist()
    [4.0, 6.0]
    """
    input = input if dtype is None else in_dtype(input, dtype)
    dims = normal_dims(None if dim == () else dim, input.ndim)
    return sum_over(input, dim=dims, keepdim=keepdim, source=input.shape)


def in_dtype(x: Any, dtype: Any) -> Any:
    """x in a dtype; itself if it has that."""
    if x.dtype == dtype:
        return x
    return cast(x, dtype=checked_dtype(dtype), source=x.dtype)


def need_floating(name: str, x: Any) -> None:
    """Raise unless x has fractions."""
    if x.dtype.kind != "f":
        raise DtypeError(f"{name}: needs a floating dtype, got {x.dtype}; try x.float().{name}()")


def mean(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Σ x / n over one, several or all dimensions.

    Raises:
        DtypeError: input holds integers or bools.
    """
    input = input if dtype is None else in_dtype(input, dtype)
    need_floating("mean", input)
    if input.dtype.char == "e":  # the sum may be too large for it, and the mean not
        return in_dtype(mean(in_dtype(input, np.float32), dim, keepdim), input.dtype)
    total = sum(input, dim, keepdim)
    kept = math.prod(total.shape)
    return total / (math.prod(input.shape) / kept if kept else 1)


def amax(input: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """The largest value; tied elements share the gradient evenly."""
    dims = normal_dims(None if dim == () else dim, input.ndim)
    _need_elements("amax", input, dims)
    return _dropped(amax_kept(input, dim=dims), dims, keepdim)


def amin(input: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """The smallest value; tied elements share the gradient evenly."""
    dims = normal_dims(None if dim == () else dim, input.ndim)
    _need_elements("amin", input, dims)
    return _dropped(amin_kept(input, dim=dims), dims, keepdim)


def _need_elements(name: str, x: Any, dims: tuple[int, ...]) -> None:
    if 0 in [x.shape[d] for d in dims]:
        raise ShapeError(f"{name}: no element to choose in a tensor of shape {tuple(x.shape)}")


argmax_at = Primitive("argmax", "where the first maximum is",
                      lambda x, *, dim: _arg(x, dim, "max"))
argmin_at = Primitive("argmin", "where the first minimum is",
                      lambda x, *, dim: _arg(x, dim, "min"))


def _arg(x: Any, dim: int | None, which: str) -> Any:
    x = x.reshape(-1) if dim is None else x
    found = getattr(x, "arg" + which)(axis=dim or 0)
    return found.astype(np.int64, copy=False)


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the largest value (the first of equals), as int64; over all if dim is None."""
    return _arg_index(argmax_at, input, dim, keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the smallest value (the first of equals), as int64; over all if dim is None."""
    return _arg_index(argmin_at, input, dim, keepdim)


def _arg_index(row: Primitive, x: Any, dim: int | None, keepdim: bool) -> Any:
    if x.ndim == 0:
        return row(reshape_(x, (1,)), dim=None)
    if dim is not None:
        dim = normal_dim(dim, x.ndim)
    _need_elements(row.name, x, normal_dims(dim, x.ndim))
    out = row(x, dim=dim)
    if not keepdim:
        return out
    return reshape_(out, tuple(1 if dim in (None, i) else n for i, n in enumerate(x.shape)))


class Found(NamedTuple):
    """Values, and where along a dimension they were found."""

    values: Any
    indices: Any


def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest value of all; with `dim` an int, `(values, indices)` along it.

    With a second Tensor in place of `dim`, the larger of both, element by element.
    """
    return _extremum(input, dim, keepdim, max_of_all, argmax, maximum)


def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest value of all; with `dim` an int, `(values, indices)` along it.

    With a second Tensor in place of `dim`, the smaller of both, element by element.
    """
    return _extremum(input, dim, keepdim, min_of_all, argmin, minimum)


def _extremum(x: Any, dim: Any, keepdim: bool, whole: Any, where_is: Any, pair: Primitive) -> Any:
    if dim is None:
        _need_elements(whole.name, x, _every(x))
        return whole(x)
    if not isinstance(dim, int):
        return pair(x, dim)
    if x.ndim == 0:
        return Found(clone(x), where_is(x))
    indices = where_is(x, dim, keepdim=True)
    values = take_along_dim(x, indices, dim)
    dims = (normal_dim(dim, x.ndim),)
    return Found(_dropped(values, dims, keepdim), _dropped(indices, dims, keepdim))


def logsumexp(input: Any, dim: int | Sequence[int], keepdim: bool = False) -> Any:
    """ln Σ eˣ along dimensions, without overflow; integers become the default dtype first."""
    input = input if input.dtype.kind == "f" else in_dtype(input, get_default_dtype())
    dims = normal_dims(dim, input.ndim)
    return _dropped(logsumexp_kept(input, dim=dims), dims, keepdim)


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """eˣ / Σ eˣ along a dimension: positive numbers that add up to 1."""
    input = input if dtype is None else in_dtype(input, dtype)
    need_floating("softmax", input)
    return softmax_at(input, dim=normal_dim(dim, input.ndim) if input.ndim else ())


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """x − ln Σ eˣ along a dimension: the logarithm of `softmax`, without overflow."""
    input = input if dtype is None else in_dtype(input, dtype)
    need_floating("log_softmax", input)
    return log_softmax_at(input, dim=normal_dim(dim, input.ndim) if input.ndim else ())


def all(input: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Whether every element is true (not zero)."""
    return _truth(all_of(input, dim=normal_dims(dim, input.ndim), keepdim=keepdim), input)


def any(input: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Whether some element is true (not zero)."""
    return _truth(any_of(input, dim=normal_dims(dim, input.ndim), keepdim=keepdim), input)


def _truth(out: Any, x: Any) -> Any:
    return in_dtype(out, x.dtype) if x.dtype == np.uint8 else out


def vector_norm(x: Any, p: float = 2, dim: Dim = None, keepdim: bool = False) -> Any:
    """(Σ |x|ᵖ)¹ᐟᵖ over dimensions; its gradient at 0 is 0.

    p = ∞ is the largest |x|, p = −∞ the smallest, p = 0 the number of elements that are not 0.

    Raises:
        DtypeError: x holds integers or bools.
    """
    need_floating("norm", x)
    dims = normal_dims(None if dim == () else dim, x.ndim)
    if p == 2:
        return _dropped(norm_kept(x, dim=dims), dims, keepdim)
    if p in (math.inf, -math.inf):
        return (amax if p > 0 else amin)(abs(x), dims, keepdim)
    if p == 0:
        return sum(where(isnan(x), x, abs(sign(x))), dims, keepdim)
    if p == 1:
        return sum(abs(x), dims, keepdim)
    return _dropped(norm_to(x, dim=dims, p=float(p)), dims, keepdim)
