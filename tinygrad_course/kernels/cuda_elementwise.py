"""Activations and their gradients on a GPU: a thread for each number, one launch.

In CuPy's words g (1 − y²) is three launches, each of which reads and writes every number; here each
is read once and written once. That is all there is to save: these loops wait for memory.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from .cuda_arrays import alike, empty, ready
from .cuda_jit import LINEAR, Kernel, numba_cuda, number_type

# mypy: disable-error-code="no-untyped-def"

Array = Any

cuda = numba_cuda()

TANH_BACK, RELU, RELU_BACK, SIGMOID, SIGMOID_BACK, GELU, GELU_BACK = range(7)


@cache
def formula(kind: int, dtype: Any) -> Kernel:
    """out[i] = f(x[i], y[i]): a thread for each number, in blocks of 256, neighbours to neighbours.

    `kind` is constant: of all these branches the compiler keeps one. Comparisons are written such
    that NaN stays, and exponents such that nothing overflows.
    """
    number = number_type(dtype)
    root, density = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)

    def kernel(x, y, out):
        i = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if i < out.shape[0]:
            zero, half, one, a, b = number(0), number(0.5), number(1), x[i], y[i]
            if kind == TANH_BACK:
                out[i] = a - a * b * b
            elif kind == RELU:
                out[i] = zero if a <= zero else a
            elif kind == RELU_BACK:
                out[i] = zero if b <= zero else a
            elif kind == SIGMOID:
                e = math.exp(-abs(a))
                out[i] = (e if a < zero else one) / (one + e)
            elif kind == SIGMOID_BACK:
                out[i] = a * b * (one - b)
            elif kind == GELU:
                out[i] = a * half * math.erfc(-a * number(root))
            else:
                slope = b * math.exp(-half * b * b) * number(density)
                out[i] = a * (half * math.erfc(-b * number(root)) + slope)

    return Kernel(kernel, "x x x", dtype)


def tanh_back(g: Array, out: Array, x: Array) -> Array:
    """g (1 − out²), out = tanh x."""
    return _run(TANH_BACK, g, out)


def relu(x: Array) -> Array:
    """max(x, 0); NaN stays."""
    return _run(RELU, x, x)


def relu_back(g: Array, out: Array, x: Array) -> Array:
    """g where out is positive or NaN, else 0."""
    return _run(RELU_BACK, g, out)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ)."""
    return _run(SIGMOID, x, x)


def sigmoid_back(g: Array, out: Array, x: Array) -> Array:
    """g · out (1 − out)."""
    return _run(SIGMOID_BACK, g, out)


def gelu(x: Array) -> Array:
    """x Φ(x), Φ the normal distribution's cumulative function."""
    return _run(GELU, x, x)


def gelu_back(g: Array, out: Array, x: Array) -> Array:
    """g (Φ(x) + x φ(x)), φ its density."""
    return _run(GELU_BACK, g, x)


def _run(kind: int, x: Array, y: Array) -> Array:
    if not alike(x, y):
        return NotImplemented
    out = empty(x.shape, x.dtype, x)
    formula(kind, x.dtype).each(out.size, ready(x), ready(y), out)
    return out
