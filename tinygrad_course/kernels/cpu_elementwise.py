"""Elementwise loops for the CPU, in Numba: what takes NumPy several passes over memory, or could be
spread over threads.

Arrays are contiguous and taken as flat; each thread gets a slice of all of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import flat
from .cpu_jit import entry, exact, launch, worker
from .cpu_math import exp, f4
from .cpu_spread import portion, spread
from .threads import threads_for

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

Array = Any

_LEAST = 1 << 14  # elements that a parallel launch pays for


@worker
def _tanh(x: Array, y: Array) -> None:
    """In float32, at most 1.5 units in the last place off.

    Near 0, x + x³ · (a polynomial in x²), fitted to tanh up to 0.6 with an error of 3e-9; beyond,
    1 − 2 / (e^2|x| + 1), where an error of the exponential hardly shows. It is 2ᵏ eʳ with a whole k
    and |r| ≤ ln 2 / 2, by Taylor's series.
    """
    f = np.float32
    for i in range(x.size):
        v = x[i]
        a = abs(v)
        u = f(2) * a if a < 10 else f(20)  # from 9.02 on the nearest number is 1
        k = np.int32(u * f(1.44269504) + f(0.5))
        r = u - f(k) * f(0.693147181)
        e = f(1 / 5040) * r + f(1 / 720)
        e = e * r + f(1 / 120)
        e = e * r + f(1 / 24)
        e = e * r + f(1 / 6)
        e = e * r + f(0.5)
        e = (e * r + f(1)) * r + f(1)
        e = e * np.int32((k + np.int32(127)) << np.int32(23)).view(np.float32)
        far = f(1) - f(2) / (e + f(1))
        z = v * v
        near = f(-0.00590586992) * z + f(0.0208053860)
        near = near * z + f(-0.0537866840)
        near = near * z + f(0.133319582)
        near = near * z + f(-0.333332993)
        near = v + v * z * near
        far = far if v > 0 else -far
        y[i] = (near if z > 0 else v) if a < f(0.6) else (far if v == v else v)


@worker
def _tanh_part(t: int, x: Array, y: Array, threads: int) -> None:
    lo, hi = portion(y.size, t, threads)
    _tanh(x[lo:hi], y[lo:hi])


@entry
def _tanh_kernel(team: int, x: Array, y: Array, threads: int) -> None:
    spread(team, threads, _tanh_part, (x, y, threads))


def tanh(x: Array) -> Array:
    """tanh x of float32."""
    if x.dtype != np.float32:
        return NotImplemented
    out, threads = np.empty(x.shape, x.dtype), threads_for(x.size, _LEAST)
    launch(_tanh_kernel, threads, flat(x), out.reshape(-1), threads)
    return out


@worker
def _tanh_back(g: Array, y: Array, out: Array) -> None:
    for i in range(out.size):
        out[i] = g[i] - g[i] * y[i] * y[i]


@worker
def _tanh_back_part(t: int, g: Array, y: Array, out: Array, threads: int) -> None:
    lo, hi = portion(out.size, t, threads)
    _tanh_back(g[lo:hi], y[lo:hi], out[lo:hi])


@entry
def _tanh_back_kernel(team: int, g: Array, y: Array, out: Array, threads: int) -> None:
    spread(team, threads, _tanh_back_part, (g, y, out, threads))


def tanh_back(g: Array, y: Array, x: Array) -> Array:
    """g (1 − y²), y = tanh x, in one pass."""
    if g.shape != y.shape or g.dtype != y.dtype:
        return NotImplemented
    out, threads = np.empty(y.shape, y.dtype), threads_for(y.size, _LEAST)
    launch(_tanh_back_kernel, threads, flat(g), flat(y), out.reshape(-1), threads)
    return out


# --- relu, sigmoid, gelu: `kind` chooses among loops that are compiled together -------------------

RELU, RELU_BACK, SIGMOID_BACK = range(3)
SIGMOID, GELU, GELU_BACK = range(3)
_DENSITY = f4(1 / math.sqrt(2 * math.pi))


@worker
def _short(kind, x, y, out):
    """Loops of a few operations: they wait for memory."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    if kind == RELU:
        for i in range(out.size):
            out[i] = zero if x[i] <= zero else x[i]
    elif kind == RELU_BACK:
        for i in range(out.size):
            out[i] = zero if y[i] <= zero else x[i]
    else:
        for i in range(out.size):
            out[i] = x[i] * y[i] * (one - y[i])


@worker
def _short_part(t, x, y, out, kind, threads):
    lo, hi = portion(out.size, t, threads)
    _short(kind, x[lo:hi], y[lo:hi], out[lo:hi])


@entry
def short(team, x, y, out, kind, threads):
    """`_short` with a stretch of elements to each thread."""
    spread(team, threads, _short_part, (x, y, out, kind, threads))


@exact
def _tail(x):
    """(1 − Φ(|x|)) / e for e = exp(−x²/2): a polynomial in 1 / (1 + |x| / √8), to 5e-8 of it."""
    s = f4(1) / (f4(1) + abs(x) * f4(math.sqrt(0.125)))
    p = s * f4(-0.0295347372) + f4(0.142288703)
    p = (p * s + f4(-0.243602401)) * s + f4(0.139036282)
    p = (p * s + f4(-0.0133146132)) * s + f4(0.101344149)
    p = (p * s + f4(0.121551712)) * s + f4(0.141187676)
    return (p * s + f4(0.141043208)) * s


@worker
def _long(kind, x, y, out):
    """Loops around an exponential."""
    zero, one, half = x.dtype.type(0), x.dtype.type(1), x.dtype.type(0.5)
    if kind == SIGMOID:
        for i in range(out.size):
            e = exp(-abs(x[i]))
            out[i] = (e if x[i] < zero else one) / (one + e)
    elif kind == GELU:
        for i in range(out.size):
            tail = _tail(x[i]) * exp(x[i] * x[i] * -half)
            out[i] = x[i] * (tail if x[i] < zero else one - tail)
    else:
        for i in range(out.size):
            e = exp(y[i] * y[i] * -half)
            tail = _tail(y[i]) * e
            out[i] = x[i] * ((tail if y[i] < zero else one - tail) + y[i] * e * _DENSITY)


@worker
def _long_part(t, x, y, out, kind, threads):
    lo, hi = portion(out.size, t, threads)
    _long(kind, x[lo:hi], y[lo:hi], out[lo:hi])


@entry
def long(team, x, y, out, kind, threads):
    """`_long` with a stretch of elements to each thread."""
    spread(team, threads, _long_part, (x, y, out, kind, threads))


# --- the functions of the device ------------------------------------------------------------------


def relu(x: Any) -> Any:
    """max(x, 0); NaN stays."""
    return _run(short, RELU, x, x)


def relu_back(g: Any, out: Any, x: Any) -> Any:
    """The gradient of `relu`: g where out is positive or NaN, else 0."""
    return _run(short, RELU_BACK, g, out)


def sigmoid_back(g: Any, out: Any, x: Any) -> Any:
    """The gradient of `sigmoid`: g · out (1 − out)."""
    return _run(short, SIGMOID_BACK, g, out)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e⁻ˣ)."""
    return _run(long, SIGMOID, x, x)


def gelu(x: Any) -> Any:
    """x · Φ(x), in single precision."""
    return _run(long, GELU, x, x) if x.dtype == f4 else NotImplemented


def gelu_back(g: Any, out: Any, x: Any) -> Any:
    """The gradient of `gelu`, in single precision: g (Φ(x) + x φ(x))."""
    return _run(long, GELU_BACK, g, x) if x.dtype == f4 else NotImplemented


def _run(kernel: Any, kind: int, x: Any, y: Any) -> Any:
    """Loop `kind` over two arrays; NotImplemented if they differ in shape or dtype."""
    if x.shape != y.shape or x.dtype != y.dtype:
        return NotImplemented
    least = _LEAST if kernel is long else 4 * _LEAST
    out, threads = np.empty(x.shape, x.dtype), threads_for(x.size, least)
    launch(kernel, threads, flat(x), flat(y), out.reshape(-1), kind, threads)
    return out
