"""The slowest engine: every number by itself, every derivative by recursion.

It exists to be compared with. It has no tape, no order, no accumulation and no broadcasting rule,
and its formulas are its own; arrays are NumPy arrays of `Number` objects.

>>> x, y = Number(2.0), Number(3.0)
>>> slope(x * y + x * x, x)
7.0
>>> slope(slope(x * x * y, x, record=True), y)
4.0
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_count = itertools.count().__next__


class Number:
    """A float that remembers the numbers that it was made from.

    Args:
        value: the float.
        row: the name of the operation that made it, in `ROWS`; None for a number made by hand.
        inputs: what the operation took.
    """

    __slots__ = ("age", "inputs", "row", "value")

    def __init__(self, value: float, row: str = "", inputs: tuple[Any, ...] = ()) -> None:
        self.value = value
        self.row = row
        self.inputs = inputs
        self.age = _count()

    def __add__(self, other: Any) -> Any:
        return apply("add", self, other)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Any:
        return apply("mul", self, other)

    __rmul__ = __mul__

    def __neg__(self) -> Any:
        return apply("mul", self, -1.0)

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __truediv__(self, other: Any) -> Any:
        return self * apply("reciprocal", other)

    def __rtruediv__(self, other: Any) -> Any:
        return other * apply("reciprocal", self)

    def __repr__(self) -> str:
        return f"Number({self.value!r})"


def apply(row: str, *inputs: Any) -> Any:
    """A row of the table on Numbers, or on floats if there is no Number among them."""
    forward = ROWS[row][0]
    if not any(isinstance(x, Number) for x in inputs):
        return forward(*inputs)
    value = forward(*[x.value if isinstance(x, Number) else x for x in inputs])
    return Number(value, row, inputs)


def sin(x: Any) -> Any:
    return apply("sin", x)


def cos(x: Any) -> Any:
    return apply("cos", x)


def tanh(x: Any) -> Any:
    return apply("tanh", x)


def relu(x: Any) -> Any:
    return apply("relu", x)


def _positive(x: Any) -> float:
    return 1.0 if (x.value if isinstance(x, Number) else x) > 0 else 0.0


# name: forward on floats, and the derivative by each input, on Numbers or floats
ROWS: dict[str, tuple[Callable[..., float], tuple[Callable[..., Any], ...]]] = {
    "add": (lambda x, y: x + y, (lambda x, y: 1.0, lambda x, y: 1.0)),
    "mul": (lambda x, y: x * y, (lambda x, y: y, lambda x, y: x)),
    "reciprocal": (lambda x: 1.0 / x, (lambda x: -1.0 / (x * x),)),
    "sin": (math.sin, (cos,)),
    "cos": (math.cos, (lambda x: -sin(x),)),
    "tanh": (math.tanh, (lambda x: 1.0 - tanh(x) * tanh(x),)),
    "relu": (lambda x: max(x, 0.0), (_positive,)),
}


def slope(y: Any, x: Number, record: bool = False) -> Any:
    """dy/dx: the sum, over what y was made from, of ∂y/∂input · d(input)/dx.

    Args:
        y: a Number, or a float, whose slope is 0.
        x: the Number that moves; whatever it was itself made from stands still.
        record: give a Number that can be differentiated again.
    """
    known: dict[int, Any] = {id(x): 1.0}

    def of(n: Any) -> Any:
        if not isinstance(n, Number) or n.age < x.age:
            return 0.0
        if id(n) not in known:
            partials = ROWS[n.row][1] if n.row else ()
            args = n.inputs if record else [getattr(i, "value", i) for i in n.inputs]
            total = 0.0
            for i, partial in zip(n.inputs, partials, strict=True):
                inner = of(i)
                if isinstance(inner, Number) or inner != 0.0:
                    total = total + partial(*args) * inner
            known[id(n)] = total
        return known[id(n)]

    return of(y)


# --- arrays of Numbers ----------------------------------------------------------------------------


def array(values: Any) -> Array:
    """An array of new Numbers."""
    given = np.asarray(values, dtype=np.float64)
    out = np.empty(given.shape, dtype=object)
    for i in np.ndindex(given.shape):
        out[i] = Number(float(given[i]))
    return out


def floats(numbers: Any) -> Array:
    """The values of an array of Numbers."""
    given = np.asarray(numbers, dtype=object)
    out = np.empty(given.shape)
    for i in np.ndindex(given.shape):
        out[i] = getattr(given[i], "value", given[i])
    return out


def each(function: Callable[[Any], Any]) -> Callable[[Any], Array]:
    """A function of a Number as a function of arrays of them."""

    def mapped(numbers: Any) -> Array:
        given = np.asarray(numbers, dtype=object)
        out = np.empty(given.shape, dtype=object)
        for i in np.ndindex(given.shape):
            out[i] = function(given[i])
        return out

    return mapped
