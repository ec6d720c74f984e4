"""Elementwise rows: one number in, one number out; arrays element by element, with broadcasting.

Every row serves Scalars and Tensors alike. At kinks the derivative is the one that PyTorch takes:
0 for relu and abs at 0, half to each side of a tie, 1 for clamp at its bounds.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course.arrays import operand
from tinygrad_course.devices import faster
from tinygrad_course.errors import DtypeError, OptionError
from tinygrad_course.graph import Value
from tinygrad_course.kernels import choice
from tinygrad_course.primitive import NUMBERS, Primitive, apply

Rule = Callable[..., Any]


class Unary(Primitive):
    """A row of one argument, under the name that PyTorch gives it."""

    def __call__(self, input: Any, **params: Any) -> Any:
        if isinstance(input, Value):
            return apply(self, (input,), params)
        forward = self.scalar if type(input) in NUMBERS and self.scalar else self.forward
        return forward(input, **params)


class Binary(Primitive):
    """A row of two arguments, under the names that PyTorch gives them."""

    def __call__(self, input: Any, other: Any, **params: Any) -> Any:
        if isinstance(input, Value) or isinstance(other, Value):
            return apply(self, (input, other), params)
        if self.scalar is not None and type(input) in NUMBERS and type(other) in NUMBERS:
            return self.scalar(input, other, **params)
        return self.forward(input, other, **params)


class Ranged(Binary):
    """A row whose second argument must not come round at the end of an integer dtype's range."""

    def __call__(self, input: Any, other: Any, **params: Any) -> Any:
        dtype = getattr(input, "dtype", None)
        if isinstance(other, int) and dtype is not None and dtype.kind in "iu":
            least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
            if not least <= other <= most:
                raise DtypeError(f"{self.name}: {other} does not fit into {dtype}")
        return super().__call__(input, other, **params)


def unary(name: str, formula: str, array: Rule, scalar: Rule, rule: Rule) -> Primitive:
    """A row of one floating argument; integers become the default dtype first."""
    return Unary(name, formula, array, rule, scalar=scalar, elementwise=True, floating=True)


def keeping(name: str, formula: str, array: Rule, scalar: Rule, rule: Rule) -> Primitive:
    """A row of one argument whose dtype it keeps, integers included."""
    return Unary(name, formula, array, rule, scalar=scalar, elementwise=True)


def binary(name: str, formula: str, array: Rule, scalar: Rule, *rules: Rule) -> Primitive:
    """A row of two arguments, broadcast and promoted against each other."""
    return Binary(name, formula, array, *rules, scalar=scalar, elementwise=True)


def floating(name: str, formula: str, array: Rule, scalar: Rule, *rules: Rule) -> Primitive:
    """A row of two arguments with a floating result, whatever it is given."""
    return Binary(name, formula, array, *rules, scalar=scalar, elementwise=True, floating=True)


def ranged(name: str, formula: str, array: Rule, scalar: Rule, *rules: Rule) -> Primitive:
    """A row of two arguments, of which a number as the second fits into the first's dtype."""
    return Ranged(name, formula, array, *rules, scalar=scalar, elementwise=True)


def ternary(name: str, formula: str, array: Rule, scalar: Rule, *rules: Rule) -> Primitive:
    """A row of three arguments, broadcast against each other."""
    return Primitive(name, formula, array, *rules, scalar=scalar, elementwise=True)


def test(name: str, formula: str, array: np.ufunc, scalar: Rule) -> Primitive:
    """A row with a truth value, which has no derivative."""
    kind = Unary if array.nin == 1 else Binary
    return kind(name, formula, array, scalar=scalar, elementwise=True)


def whole(name: str, formula: str, array: np.ufunc) -> Primitive:
    """A row on the bits of integers and bools, which has no derivative."""
    kind = Unary if array.nin == 1 else Binary
    return kind(name, formula, lambda *xs: array(*map(_whole, xs)), elementwise=True)


def _whole(x: Any) -> Any:
    if np.result_type(x).kind == "f":
        raise DtypeError("bits are those of integers and bools; compare first: (x > 0) & (y > 0)")
    return x


def _number(ufunc: Rule) -> Rule:
    """A division or power, refused where integers have no answer and bools no meaning."""

    def forward(x: Any, y: Any) -> Any:
        if x.dtype.kind == "f":
            return ufunc(x, y)
        if x.dtype.kind == "b":
            raise DtypeError("bools have no such operation; convert them first: x.int()")
        if ufunc is np.power and np.any(np.less(y, 0)):
            raise DtypeError("a whole number to a negative power is a fraction; use x.float()")
        if ufunc is not np.power and not np.all(y):
            raise ZeroDivisionError(f"{ufunc.__name__} of integers by 0; floats would give inf")
        return ufunc(x, y)

    return forward


# --- arithmetic -----------------------------------------------------------------------------------

add = binary("add", "x + y", np.add, operator.add,
             lambda g, out, x, y: g,
             lambda g, out, x, y: g)
sub = binary("sub", "x − y", np.subtract, operator.sub,
             lambda g, out, x, y: g,
             lambda g, out, x, y: -g)
mul = binary("mul", "x · y", np.multiply, operator.mul,
             lambda g, out, x, y: g * y,
             lambda g, out, x, y: g * x)
div = floating("div", "x / y", np.divide, lambda x, y: x / y if y else float(np.float64(x) / y),
               lambda g, out, x, y: g / y,
               lambda g, out, x, y: -g * out / y)
pow = ranged("pow", "xʸ", _number(np.power), math.pow,
             lambda g, out, x, y: g * y * pow(where(x == 0, where(y == 0, 1.0, x), x), y - 1),
             lambda g, out, x, y: g * out * log(where(x == 0, where(y >= 0, 1.0, x), x)))
neg = keeping("neg", "−x", np.negative, operator.neg,
              lambda g, out, x: -g)
square = keeping("square", "x²", lambda x: np.square(x if x.dtype.kind != "b" else x * 1),
                 lambda x: x * x,
                 lambda g, out, x: g * (x + x))
reciprocal = unary("reciprocal", "1 / x", np.reciprocal, lambda x: div(1.0, x),
                   lambda g, out, x: -g * out * out)
abs = keeping("abs", "|x|", np.absolute, operator.abs,
              lambda g, out, x: g * sign(x))
sign = keeping("sign", "−1, 0 or 1", lambda x: _sign(x),
               lambda x: float((x > 0) - (x < 0)),
               lambda g, out, x: g * 0.0)
copysign = floating("copysign", "|x| with the sign of y", np.copysign, math.copysign,
                    lambda g, out, x, y: g * sign(x) * sign(out),
                    lambda g, out, x, y: g * 0.0)
hypot = floating("hypot", "√(x² + y²), without overflow", np.hypot, math.hypot,
                 lambda g, out, x, y: g * (x / out),
                 lambda g, out, x, y: g * (y / out))


def _sign(x: Any) -> Any:
    if x.dtype.kind == "b":
        return x.copy()
    return np.subtract(x > 0, x < 0, dtype=x.dtype)  # 0 for NaN, as in PyTorch

# --- roots, exponentials and logarithms -----------------------------------------------------------

sqrt = unary("sqrt", "√x", np.sqrt, math.sqrt,
             lambda g, out, x: g / (2 * out))
rsqrt = unary("rsqrt", "1 / √x", lambda x: np.reciprocal(np.sqrt(x)), lambda x: div(1.0, sqrt(x)),
              lambda g, out, x: g * out * out * out * -0.5)
exp = unary("exp", "eˣ", np.exp, math.exp,
            lambda g, out, x: g * out)
exp2 = unary("exp2", "2ˣ", np.exp2, math.exp2,
             lambda g, out, x: g * out * math.log(2))
expm1 = unary("expm1", "eˣ − 1, exact near 0", np.expm1, math.expm1,
              lambda g, out, x: g * (out + 1))
log = unary("log", "ln x", np.log, math.log,
            lambda g, out, x: g / x)
log2 = unary("log2", "log₂ x", np.log2, math.log2,
             lambda g, out, x: g / (x * math.log(2)))
log10 = unary("log10", "log₁₀ x", np.log10, math.log10,
              lambda g, out, x: g / (x * math.log(10)))
log1p = unary("log1p", "ln(1 + x), exact near 0", np.log1p, math.log1p,
              lambda g, out, x: g / (x + 1))
logaddexp = floating("logaddexp", "ln(eˣ + eʸ), without overflow", np.logaddexp,
                     lambda x, y: float(np.logaddexp(x, y)),
                     lambda g, out, x, y: g * sigmoid(x - y),
                     lambda g, out, x, y: g * sigmoid(y - x))
xlogy = floating("xlogy", "x ln y; 0 where x = 0", lambda x, y: _xlogy(x, y),
                 lambda x, y: float(_xlogy(np.float64(x), np.float64(y))),
                 lambda g, out, x, y: xlogy(g, where(x == 0, where(y <= 0, 1.0, y), y)),
                 lambda g, out, x, y: g * x / y)


def _xlogy(x: Any, y: Any) -> Any:
    return np.where((x == 0) & (y == y), x, x * np.log(y))


# --- trigonometry ---------------------------------------------------------------------------------

sin = unary("sin", "sin x", np.sin, math.sin,
            lambda g, out, x: g * cos(x))
cos = unary("cos", "cos x", np.cos, math.cos,
            lambda g, out, x: -g * sin(x))
tan = unary("tan", "tan x", np.tan, math.tan,
            lambda g, out, x: g * (1 + out * out))
asin = unary("asin", "arcsin x", np.arcsin, math.asin,
             lambda g, out, x: g * rsqrt(1 - x * x))
acos = unary("acos", "arccos x", np.arccos, math.acos,
             lambda g, out, x: -g * rsqrt(1 - x * x))
atan = unary("atan", "arctan x", np.arctan, math.atan,
             lambda g, out, x: g / (1 + x * x))
sinh = unary("sinh", "sinh x", np.sinh, math.sinh,
             lambda g, out, x: g * cosh(x))
cosh = unary("cosh", "cosh x", np.cosh, math.cosh,
             lambda g, out, x: g * sinh(x))
tanh = unary("tanh", "tanh x", faster("tanh", np.tanh), math.tanh,
             faster("tanh_back", lambda g, out, x: g * (1 - out * out)))
asinh = unary("asinh", "arsinh x", np.arcsinh, math.asinh,
              lambda g, out, x: g * rsqrt(x * x + 1))
acosh = unary("acosh", "arcosh x", np.arccosh, math.acosh,
              lambda g, out, x: g * rsqrt(x * x - 1))
atanh = unary("atanh", "artanh x", np.arctanh, math.atanh,
              lambda g, out, x: g / (1 - x * x))
sinc = unary("sinc", "sin πx / πx; 1 at 0", lambda x: _sinc(x), lambda x: float(_sinc(x)),
             lambda g, out, x: g * _sinc_slope(x))
atan2 = floating("atan2", "the angle of the point (y, x)", np.arctan2, math.atan2,
                 lambda g, out, x, y: g * y / _distance(x, y),
                 lambda g, out, x, y: -g * x / _distance(x, y))


def _distance(x: Any, y: Any) -> Any:
    """x² + y²; 1 at the origin, where the angle's gradient is 0."""
    square = x * x + y * y
    return where(square == 0, 1.0, square)


def _sinc(x: Any) -> Any:
    z = np.pi * np.where(x == 0, 1.0, x).astype(np.result_type(x), copy=False)
    return np.where(x == 0, np.ones_like(z), np.sin(z) / z)


def _sinc_slope(x: Any) -> Any:
    """(cos πx − sinc x) / x; the first terms of its series where the difference would cancel."""
    near, square = abs(x) < 0.03, x * x * math.pi**2
    z = where(near, 1.0, x)
    series = ((square / 45360 - 1 / 840) * square + 1 / 30) * square - 1 / 3
    series = series * x * math.pi**2
    return where(near, series, (cos(z * math.pi) - sinc(z)) / z)


# --- activations ----------------------------------------------------------------------------------


def _relu(x: Any) -> Any:
    if x.dtype.kind == "b":
        raise DtypeError("a truth value has no sign; convert it first: x.float()")
    return np.maximum(x, operand(0, x))


def _sigmoid(x: Any) -> Any:
    # e^-|x| never overflows; the result is exact to rounding on both sides
    return np.exp(np.minimum(x, operand(0, x))) / (1 + np.exp(-np.abs(x)))


relu = keeping("relu", "max(x, 0)", faster("relu", _relu, least=1 << 16),
               lambda x: x if not x <= 0 else 0.0,
               faster("relu_back", lambda g, out, x: where(out != 0, g, 0.0), least=1 << 14))
sigmoid = unary("sigmoid", "1 / (1 + e⁻ˣ)", faster("sigmoid", _sigmoid),
                lambda x: float(_sigmoid(np.float64(x))),
                faster("sigmoid_back", lambda g, out, x: g * out * (1 - out), least=1 << 16))
softplus = unary("softplus", "ln(1 + eˣ)", lambda x: np.logaddexp(x, np.zeros_like(x)),
                 lambda x: float(np.logaddexp(x, 0.0)),
                 lambda g, out, x: g * sigmoid(x))
logsigmoid = unary("logsigmoid", "ln σ(x)", lambda x: -np.logaddexp(-x, np.zeros_like(x)),
                   lambda x: -float(np.logaddexp(-x, 0.0)),
                   lambda g, out, x: g * sigmoid(-x))

# --- choosing and rounding ------------------------------------------------------------------------

maximum = binary("maximum", "max(x, y)", np.maximum, lambda x, y: _larger(x, y),
                 lambda g, out, x, y: where(x < y, 0.0, where(x == y, g / 2, g)),
                 lambda g, out, x, y: where(x > y, 0.0, where(x == y, g / 2, g)))
minimum = binary("minimum", "min(x, y)", np.minimum, lambda x, y: _smaller(x, y),
                 lambda g, out, x, y: where(x > y, 0.0, where(x == y, g / 2, g)),
                 lambda g, out, x, y: where(x < y, 0.0, where(x == y, g / 2, g)))
fmax = binary("fmax", "max(x, y), of a number and NaN the number", np.fmax,
              lambda x, y: x if x >= y or y != y else y,
              lambda g, out, x, y: where(logical_or(x >= y, isnan(y)), g, 0.0),
              lambda g, out, x, y: where(logical_or(x >= y, isnan(y)), 0.0, g))
fmin = binary("fmin", "min(x, y), of a number and NaN the number", np.fmin,
              lambda x, y: x if x <= y or y != y else y,
              lambda g, out, x, y: where(logical_or(x <= y, isnan(y)), g, 0.0),
              lambda g, out, x, y: where(logical_or(x <= y, isnan(y)), 0.0, g))
where = ternary("where", "x where c, else y", choice.where, lambda c, x, y: x if c else y,
                lambda g, out, c, x, y: g * 0.0,
                lambda g, out, c, x, y: where(c, g, 0.0),
                lambda g, out, c, x, y: where(c, 0.0, g))
clamp_min = ranged("clamp_min", "x, but not below y", np.maximum, lambda x, y: _larger(x, y),
                   lambda g, out, x, y: where(x >= y, g, 0.0),
                   lambda g, out, x, y: where(x < y, g, 0.0))
clamp_max = ranged("clamp_max", "x, but not above y", np.minimum, lambda x, y: _smaller(x, y),
                   lambda g, out, x, y: where(x <= y, g, 0.0),
                   lambda g, out, x, y: where(x > y, g, 0.0))
clamp_between = ternary("clamp", "x kept between y and z",
                        lambda x, y, z: np.minimum(np.maximum(x, y), z),
                        lambda x, y, z: _smaller(_larger(x, y), z),
                        lambda g, out, x, y, z: where(x >= y, where(x <= z, g, 0.0), 0.0),
                        lambda g, out, x, y, z: where(x < y, where(y < z, g, 0.0), 0.0),
                        lambda g, out, x, y, z: where(logical_or(x > z, z < y), g, 0.0))
floor = keeping("floor", "⌊x⌋", np.floor, lambda x: float(np.floor(x)),
                lambda g, out, x: g * 0.0)
ceil = keeping("ceil", "⌈x⌉", np.ceil, lambda x: float(np.ceil(x)),
               lambda g, out, x: g * 0.0)
round = keeping("round", "x to so many decimals, halves to even",
                lambda x, *, decimals=0: _round(x, decimals),
                lambda x, *, decimals=0: float(np.round(x, decimals)),
                lambda g, out, x, *, decimals=0: g * 0.0)
trunc = keeping("trunc", "x without its fraction", np.trunc, lambda x: float(np.trunc(x)),
                lambda g, out, x: g * 0.0)
nan_to_num_with = keeping("nan_to_num", "numbers in the place of NaN and ±∞",
                          lambda x, **by: np.nan_to_num(x, **by),
                          lambda x, **by: float(np.nan_to_num(x, **by)),
                          lambda g, out, x, **by: where(isfinite(x), g, 0.0))
floor_divide = binary("floor_divide", "⌊x / y⌋", _number(np.floor_divide),
                      lambda x, y: float(np.floor_divide(np.float64(x), y)),
                      lambda g, out, x, y: g * 0.0,
                      lambda g, out, x, y: g * 0.0)
remainder = binary("remainder", "x − y ⌊x / y⌋: the sign of y", _number(np.remainder),
                   lambda x, y: float(np.remainder(np.float64(x), y)),
                   lambda g, out, x, y: g,
                   lambda g, out, x, y: -g * floor_divide(x, y))
fmod = binary("fmod", "x − y trunc(x / y): the sign of x", _number(np.fmod),
              lambda x, y: float(np.fmod(np.float64(x), y)),
              lambda g, out, x, y: g,
              lambda g, out, x, y: -g * trunc(x / y))


def _round(x: Any, decimals: int) -> Any:
    return np.round(x, decimals) if x.dtype.kind == "f" else x.copy()


def _larger(x: float, y: float) -> float:
    return x if x >= y or x != x else y


def _smaller(x: float, y: float) -> float:
    return x if x <= y or x != x else y


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """x kept between min and max: numbers, or values that broadcast; None is no bound.

    The gradient is 1 inside and at the bounds, 0 outside.

    Raises:
        OptionError: neither bound is given.
    """
    if min is None and max is None:
        raise OptionError("clamp: at least one of min and max must be given")
    if min is None:
        return clamp_max(input, max)
    if max is None:
        return clamp_min(input, min)
    if isinstance(min, int) and isinstance(max, int):
        return clamp_max(clamp_min(input, min), max)
    return clamp_between(input, min, max)


clip = clamp


def nan_to_num(
    input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """x with numbers in the place of NaN, ∞ and −∞ (the largest and the smallest, unless given)."""
    return nan_to_num_with(input, nan=nan, posinf=posinf, neginf=neginf)


# --- tests ----------------------------------------------------------------------------------------

eq = test("eq", "x = y", np.equal, operator.eq)
ne = test("ne", "x ≠ y", np.not_equal, operator.ne)
lt = test("lt", "x < y", np.less, operator.lt)
le = test("le", "x ≤ y", np.less_equal, operator.le)
gt = test("gt", "x > y", np.greater, operator.gt)
ge = test("ge", "x ≥ y", np.greater_equal, operator.ge)
isnan = test("isnan", "x is not a number", np.isnan, math.isnan)
isinf = test("isinf", "x is ±∞", np.isinf, math.isinf)
isfinite = test("isfinite", "x is a finite number", np.isfinite, math.isfinite)
isclose_within = Binary(
    "isclose", "|x − y| ≤ atol + rtol |y|",
    lambda x, y, *, rtol, atol, equal_nan: np.isclose(x, y, rtol, atol, equal_nan),
    scalar=lambda x, y, *, rtol, atol, equal_nan: bool(np.isclose(x, y, rtol, atol, equal_nan)),
    elementwise=True,
)

# --- truth and bits -------------------------------------------------------------------------------

logical_not = test("logical_not", "x = 0", np.logical_not, operator.not_)
logical_and = test("logical_and", "x ≠ 0 and y ≠ 0", np.logical_and,
                   lambda x, y: bool(x and y))
logical_or = test("logical_or", "x ≠ 0 or y ≠ 0", np.logical_or,
                  lambda x, y: bool(x or y))
logical_xor = test("logical_xor", "x ≠ 0 or y ≠ 0, not both", np.logical_xor,
                   lambda x, y: bool(x) != bool(y))
bitwise_not = whole("bitwise_not", "every bit of x turned", np.bitwise_not)
bitwise_and = whole("bitwise_and", "the bits that x and y have", np.bitwise_and)
bitwise_or = whole("bitwise_or", "the bits that x or y has", np.bitwise_or)
bitwise_xor = whole("bitwise_xor", "the bits that one of x and y has", np.bitwise_xor)
