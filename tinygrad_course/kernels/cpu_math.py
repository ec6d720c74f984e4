"""Functions of one number that LLVM can turn into vector instructions: no call, branch or table.

`exp` is 2ᵏ · eʳ with k = round(x / ln 2), so that |r| ≤ ln 2 / 2: eʳ is a polynomial,
1 + r + r² P(r), and 2ᵏ is written into the bits of the exponent, in two halves so that the smallest
numbers come out right. Relative errors are about a rounding unit. NaN and infinity are kept.

`order` turns numbers into integers in the same order, and `number` turns them back. LLVM keeps the
largest of many integers in vectors; of floats it does not, for fear of NaN. NaN counts as larger
than all numbers (or, with a minus sign, as smaller).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload as _overload

from .cpu_jit import exact

# mypy: disable-error-code="no-untyped-def,no-untyped-call,attr-defined"

overload: Any = _overload  # typed in part only
f4, f8, i4, i8 = np.float32, np.float64, np.int32, np.int64

# ln 2 in two parts, the first with few digits, so that k times it is exact
_HIGH4, _LOW4 = f4(0.693359375), f4(-0.00021219444005471377)
_HIGH8, _LOW8 = f8(0.6931471803691238), f8(1.9082149292705877e-10)
_PER_LN2 = 1 / math.log(2)


def exp(x):
    """eˣ in float32 or float64, for compiled code."""
    return np.exp(x)


def order(x):
    """An integer for a float32 or float64, in compiled code."""
    raise NotImplementedError


def number(i):
    """The float of which `order` made an integer."""
    raise NotImplementedError


@exact
def _exp4(x):
    x = min(max(x, f4(-104)), f4(89)) if x == x else x
    k = i4(x * f4(_PER_LN2) + (f4(0.5) if x >= f4(0) else f4(-0.5)))
    r = x - f4(k) * _HIGH4
    r = r - f4(k) * _LOW4
    p = f4(0.0013814543748448629) * r + f4(0.008368745284397653)
    p = (p * r + f4(0.04166839072590187)) * r + f4(0.16666520397155438)
    p = (p * r + f4(0.4999999343233257)) * (r * r) + r + f4(1)
    half = k >> 1
    return p * i4((half + 127) << 23).view(f4) * i4((k - half + 127) << 23).view(f4)


@exact
def _exp8(x):
    x = min(max(x, -746.0), 710.0) if x == x else x
    k = i8(i4(x * _PER_LN2 + (0.5 if x >= 0 else -0.5)))
    r = x - k * _HIGH8
    r = r - k * _LOW8
    p = 2.319932055489272e-08 * r + 2.7620012612806093e-07
    p = (p * r + 2.75634579375933e-06) * r + 2.480151275876646e-05
    p = (p * r + 0.0001984126271241577) * r + 0.001388888893821366
    p = (p * r + 0.008333333336729486) * r + 0.041666666666468205
    p = (p * r + 0.1666666666666128) * r + 0.5000000000000032
    p = p * (r * r) + r + 1.0
    half = k >> 1
    return p * i8((half + 1023) << 52).view(f8) * i8((k - half + 1023) << 52).view(f8)


@exact
def _order4(x):
    i = f4(x).view(i4)
    return i4(i ^ ((i >> 31) & 0x7FFFFFFF))


@exact
def _order8(x):
    i = f8(x).view(i8)
    return i8(i ^ ((i >> 63) & 0x7FFFFFFFFFFFFFFF))


@exact
def _number4(i):
    return i4(i ^ ((i >> 31) & 0x7FFFFFFF)).view(f4)


@exact
def _number8(i):
    return i8(i ^ ((i >> 63) & 0x7FFFFFFFFFFFFFFF)).view(f8)


@overload(exp)
def _exp(x):
    return (lambda x: _exp4(x)) if x == types.float32 else (lambda x: _exp8(x))


@overload(order)
def _order(x):
    return (lambda x: _order4(x)) if x == types.float32 else (lambda x: _order8(x))


@overload(number)
def _number(i):
    return (lambda i: _number4(i)) if i == types.int32 else (lambda i: _number8(i))
