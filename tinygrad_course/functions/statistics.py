"""Statistics: reductions that are made of others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.errors import DtypeError, OptionError
from tinygrad_course.ops import elementwise as rows
from tinygrad_course.ops.reduce import Dim, in_dtype, mean, need_floating, sum, vector_norm
from tinygrad_course.ops.shape import normal_dims


def nansum(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Σ input without the NaNs; their gradient is 0.

    >>> import tinygrad_course as tc
    >>> tc.nansum(tc.tensor([1.0, float("nan"), 2.0])).item()
    3.0
    """
    return sum(rows.where(rows.isnan(input), 0, input), dim, keepdim, dtype=dtype)


def nanmean(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of the elements that are not NaN.

    Raises:
        DtypeError: input holds integers or bools.
    """
    if input.dtype.kind != "f":
        raise DtypeError(f"nanmean: needs a floating dtype, got {input.dtype}; use input.float()")
    there = sum(rows.logical_not(rows.isnan(input)), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / there


def var(
    input: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *,
    correction: float | None = None,
) -> Any:  # fmt: skip
    """Σ (x − mean)² / (n − correction): the variance, Bessel-corrected by default."""
    away, rest, dims = _spread_of("var", input, dim, unbiased, correction)
    return in_dtype(sum(rows.square(away), dims, keepdim) / rest, input.dtype)


def std(
    input: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *,
    correction: float | None = None,
) -> Any:  # fmt: skip
    """√var: the standard deviation; where it is 0, so is its gradient."""
    away, rest, dims = _spread_of("std", input, dim, unbiased, correction)
    return in_dtype(vector_norm(away, 2, dims, keepdim) / math.sqrt(rest), input.dtype)


def _spread_of(name: str, x: Any, dim: Any, unbiased: bool, correction: float | None) -> Any:
    """x − mean, n − correction and the dimensions; `var(x, False)` leaves out the correction."""
    need_floating(name, x)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dims = normal_dims(None if dim == () else dim, x.ndim)
    x = in_dtype(x, np.float32) if x.dtype.char == "e" else x
    n = math.prod([x.shape[d] for d in dims])
    rest = n - (int(unbiased) if correction is None else correction)
    return x - mean(x, dims, True), float(rest if rest > 0 else 0), dims


def var_mean(
    input: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *,
    correction: float | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """The variance and the mean."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    spread = var(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, dim, keepdim)


def std_mean(
    input: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *,
    correction: float | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """The standard deviation and the mean."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    spread = std(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, dim, keepdim)


def count_nonzero(input: Any, dim: int | Sequence[int] | None = None) -> Any:
    """How many elements are not 0, as int64."""
    return sum(rows.ne(input, 0), dim)


def norm(
    input: Any, p: float | str | None = "fro", dim: Dim = None, keepdim: bool = False, *,
    dtype: Any = None,
) -> Any:  # fmt: skip
    """(Σ |input|ᵖ)¹ᐟᵖ over all elements, or over dimensions; its gradient at 0 is 0.

    Args:
        p: a number, ±∞ too; "fro" or None for 2.

    Raises:
        DtypeError: input holds integers or bools.
        OptionError: another name for p; `linalg.matrix_norm` has the nuclear norm.

    >>> import tinygrad_course as tc
    >>> tc.norm(tc.tensor([3.0, -4.0])).item()
    5.0
    >>> tc.norm(tc.tensor([3.0, -4.0]), p=1).item()
    7.0
    """
    p = 2.0 if p in ("fro", None) else p
    if not isinstance(p, (int, float)):
        raise OptionError(
            f"norm: p is {p!r}; use a number or 'fro' (linalg.matrix_norm has matrices' norms)"
        )
    input = input if dtype is None else in_dtype(input, dtype)
    return vector_norm(input, p, dim, keepdim)


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of input − other."""
    return vector_norm(rows.sub(input, other), p)
