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

from tinygrad_course.errors import OptionError
from tinygrad_course.primitive import Primitive

Rule = Callable[..., Any]


def unary(name: str, formula: str, array: Rule, scalar: Rule, rule: Rule) -> Primitive:
    """A row of one floating argument; integers become the default dtype first."""
    return Primitive(name, formula, array, rule, scalar=scalar, elementwise=True, floating=True)


def keeping(name: str, formula: str, array: Rule, scalar: Rule, rule: Rule) -> Primitive:
    """A row of one argument whose dtype it keeps, integers included."""
    return Primitive(name, formula, array, rule, scalar=scalar, elementwise=True)


def binary(name: str, formula: str, array: Rule, scalar: Rule, *rules: Rule) -> Primitive:
    """A row of two arguments, broadcast and promoted against each other."""
    return Primitive(name, formula, array, *rules, scalar=scalar, elementwise=True)


def floating(name: str, formula: str, array: Rule, scalar: Rule, *rules: Rule) -> Primitive:
    """A row of two arguments with a floating result, whatever it is given."""
    return Primitive(name, formula, array, *rules, scalar=scalar, elementwise=True, floating=True)


def test(name: str, formula: str, array: Rule, scalar: Rule) -> Primitive:
    """A row with a truth value, which has no derivative."""
    return Primitive(name, formula, array, scalar=scalar, elementwise=True)


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
pow = binary("pow", "xʸ", np.power, math.pow,
             lambda g, out, x, y: g * y * pow(where(x == 0, where(y == 0, 1.0, x), x), y - 1),
             lambda g, out, x, y: g * out * log(where(x == 0, where(y >= 0, 1.0, x), x)))
neg = keeping("neg", "−x", np.negative, operator.neg,
              lambda g, out, x: -g)
square = keeping("square", "x²", np.square, lambda x: x * x,
                 lambda g, out, x: g * (x + x))
reciprocal = unary("reciprocal", "1 / x", np.reciprocal, lambda x: div(1.0, x),
                   lambda g, out, x: -g * out * out)
abs = keeping("abs", "|x|", np.absolute, operator.abs,
              lambda g, out, x: g * sign(x))
sign = keeping("sign", "−1, 0 or 1", np.sign,
               lambda x: math.copysign(1.0, x) if x and x == x else x,
               lambda g, out, x: g * 0.0)

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
tanh = unary("tanh", "tanh x", np.tanh, math.tanh,
             lambda g, out, x: g * (1 - out * out))
asinh = unary("asinh", "arsinh x", np.arcsinh, math.asinh,
              lambda g, out, x: g * rsqrt(x * x + 1))
acosh = unary("acosh", "arcosh x", np.arccosh, math.acosh,
              lambda g, out, x: g * rsqrt(x * x - 1))
atanh = unary("atanh", "artanh x", np.arctanh, math.atanh,
              lambda g, out, x: g / (1 - x * x))
atan2 = floating("atan2", "the angle of the point (y, x)", np.arctan2, math.atan2,
                 lambda g, out, x, y: g * y / _distance(x, y),
                 lambda g, out, x, y: -g * x / _distance(x, y))


def _distance(x: Any, y: Any) -> Any:
    """x² + y²; 1 at the origin, where the angle's gradient is 0."""
    square = x * x + y * y
    return where(square == 0, 1.0, square)



# --- activations ----------------------------------------------------------------------------------


def _sigmoid(x: Any) -> Any:
    # e^-|x| never overflows; the result is exact to rounding on both sides
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, np.ones_like(e)) / (1 + e)


relu = keeping("relu", "max(x, 0)", lambda x: np.maximum(x, 0), lambda x: x if not x <= 0 else 0.0,
               lambda g, out, x: where(out <= 0, 0.0, g))
sigmoid = unary("sigmoid", "1 / (1 + e⁻ˣ)", _sigmoid, lambda x: float(_sigmoid(x)),
                lambda g, out, x: g * out * (1 - out))
softplus = unary("softplus", "ln(1 + eˣ)", lambda x: np.logaddexp(x, np.zeros_like(x)),
                 lambda x: float(np.logaddexp(x, 0.0)),
                 lambda g, out, x: g * sigmoid(x))
logsigmoid = unary("logsigmoid", "ln σ(x)", lambda x: -np.logaddexp(-x, np.zeros_like(x)),
                   lambda x: -float(np.logaddexp(-x, 0.0)),
                   lambda g, out, x: g * sigmoid(-x))

# --- choosing and rounding ------------------------------------------------------------------------

maximum = binary("maximum", "max(x, y)", np.maximum, lambda x, y: x if x >= y or x != x else y,
                 lambda g, out, x, y: where(x < y, 0.0, where(x == y, g / 2, g)),
                 lambda g, out, x, y: where(x > y, 0.0, where(x == y, g / 2, g)))
minimum = binary("minimum", "min(x, y)", np.minimum, lambda x, y: x if x <= y or x != x else y,
                 lambda g, out, x, y: where(x > y, 0.0, where(x == y, g / 2, g)),
                 lambda g, out, x, y: where(x < y, 0.0, where(x == y, g / 2, g)))
where = binary("where", "x where c, else y", np.where, lambda c, x, y: x if c else y,
               lambda g, out, c, x, y: g * 0.0,
               lambda g, out, c, x, y: where(c, g, 0.0),
               lambda g, out, c, x, y: where(c, 0.0, g))
clamp_to = keeping("clamp", "x kept between min and max",
                   lambda x, *, min, max: _clip(x, min, max),
                   lambda x, *, min, max: float(_clip(np.float64(x), min, max)),
                   lambda g, out, x, *, min, max: _inside(g, x, min, max))
floor = keeping("floor", "⌊x⌋", np.floor, lambda x: float(np.floor(x)),
                lambda g, out, x: g * 0.0)
ceil = keeping("ceil", "⌈x⌉", np.ceil, lambda x: float(np.ceil(x)),
               lambda g, out, x: g * 0.0)
round = keeping("round", "x to the nearest whole number, halves to even", np.round,
                lambda x: float(np.round(x)),
                lambda g, out, x: g * 0.0)
trunc = keeping("trunc", "x without its fraction", np.trunc, lambda x: float(np.trunc(x)),
                lambda g, out, x: g * 0.0)
floor_divide = binary("floor_divide", "⌊x / y⌋", np.floor_divide,
                      lambda x, y: float(np.floor_divide(np.float64(x), y)))
remainder = binary("remainder", "x − y ⌊x / y⌋", np.remainder,
                   lambda x, y: float(np.remainder(np.float64(x), y)),
                   lambda g, out, x, y: g,
                   lambda g, out, x, y: -g * floor(x / y))


def _clip(x: Any, min: float | None, max: float | None) -> Any:
    return np.clip(x, min, max).astype(x.dtype, copy=False)


def _inside(g: Any, x: Any, min: float | None, max: float | None) -> Any:
    """g where min ≤ x ≤ max, else 0; a bound of None is no bound."""
    g = g if min is None else where(x >= min, g, 0.0)
    return g if max is None else where(x <= max, g, 0.0)


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """x kept between min and max: numbers, or values that broadcast; None is no bound.

    The gradient is 1 inside and at the bounds, 0 outside.

    Raises:
        OptionError: neither bound is given.
    """
    if min is None and max is None:
        raise OptionError("clamp: at least one of min and max must be given")
    if all(b is None or isinstance(b, (int, float)) for b in (min, max)):
        return clamp_to(x, min=min, max=max)
    x = x if min is None else maximum(x, min)
    return x if max is None else minimum(x, max)


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
