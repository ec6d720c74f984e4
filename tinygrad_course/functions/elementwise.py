"""Elementwise functions with options, made of rows: sums and quotients, mixtures, comparisons."""

from __future__ import annotations

from typing import Any

from tinygrad_course.arrays import result_dtype
from tinygrad_course.errors import DtypeError, OptionError
from tinygrad_course.ops import elementwise as rows
from tinygrad_course.ops import reduce


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha · other.

    Raises:
        DtypeError: a fractional alpha, and integers.

    >>> import tinygrad_course as tc
    >>> tc.add(tc.tensor([1.0, 2.0]), tc.tensor([10.0, 10.0]), alpha=0.5).tolist()
    [6.0, 7.0]
    """
    return rows.add(input, other if alpha == 1 else _times("add", alpha, other, input))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input − alpha · other.

    Raises:
        DtypeError: a fractional alpha, and integers.
    """
    return rows.sub(input, other if alpha == 1 else _times("sub", alpha, other, input))


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other − alpha · input."""
    return sub(other, input, alpha=alpha)


def _times(name: str, alpha: Any, x: Any, beside: Any) -> Any:
    whole = all(_kind(v) != "f" for v in (x, beside))
    if isinstance(alpha, float) and whole:
        raise DtypeError(f"{name}: alpha={alpha} is a fraction, and both arguments are integers")
    if hasattr(x, "dtype"):  # small integers would come round before they are converted
        x = reduce.in_dtype(x, result_dtype([getattr(v, "_data", v) for v in (beside, x)]))
    return rows.mul(x, bool(alpha) if _kind(x) == "b" else alpha)


def _kind(x: Any) -> str:
    if hasattr(x, "dtype"):
        return str(x.dtype.kind)
    return {bool: "b", int: "i"}.get(type(x), "f")


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; rounded towards 0 with "trunc", down with "floor" (its gradient is 0 then).

    Raises:
        OptionError: another rounding mode.
        ZeroDivisionError: integers, a rounding mode, and a zero in other.
    """
    if rounding_mode is None:
        return rows.div(input, other)
    if rounding_mode == "floor":
        return rows.floor_divide(input, other)
    if rounding_mode != "trunc":
        raise OptionError(f"div: rounding_mode is {rounding_mode!r}; use None, 'trunc' or 'floor'")
    if "f" in (_kind(input), _kind(other)):
        return rows.trunc(rows.div(input, other))
    # through floats, large integers would lose digits
    return rows.floor_divide(rows.sub(input, rows.fmod(input, other)), other)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight · (end − input): between the two, and a number or a Tensor says where.

    Raises:
        DtypeError: input, end and weight of different dtypes.
    """
    for name, value in (("end", end), ("weight", weight)):
        if hasattr(value, "ndim"):
            _need_same_dtype("lerp", input, value, name)
    if isinstance(weight, (int, float)) and weight >= 0.5:  # exact at weight = 1
        return end - (end - input) * (1 - weight)
    return input + weight * (end - input)


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value · tensor1 · tensor2."""
    return add(input, tensor1 * tensor2, alpha=value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value · tensor1 / tensor2."""
    return add(input, tensor1 / tensor2, alpha=value)


def isclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Whether |input − other| ≤ atol + rtol · |other|, element by element.

    Raises:
        DtypeError: two dtypes.
    """
    if hasattr(other, "dtype"):
        _need_same_dtype("isclose", input, other, "other")
    return rows.isclose_within(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether `isclose` holds for every element.

    >>> import tinygrad_course as tc
    >>> tc.allclose(tc.tensor([1.0, 2.0]), tc.tensor([1.0, 2.0 + 1e-6]))
    True
    """
    return bool(reduce.all(isclose(input, other, rtol, atol, equal_nan)))


def equal(input: Any, other: Any) -> bool:
    """Whether both have one shape and the same elements."""
    if tuple(input.shape) != tuple(other.shape):
        return False
    return bool(reduce.all(rows.eq(input, other)))


def _need_same_dtype(name: str, x: Any, y: Any, what: str) -> None:
    if hasattr(x, "dtype") and x.dtype != y.dtype:
        raise DtypeError(
            f"{name}: input is {x.dtype} and {what} {y.dtype}; convert one: {what}.to(input.dtype)"
        )


multiply, subtract, divide, true_divide = rows.mul, sub, div, div
absolute, negative = rows.abs, rows.neg
