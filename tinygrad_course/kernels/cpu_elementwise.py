"""Elementwise loops for the CPU, in Numba: what takes NumPy several passes over memory, or could be
spread over threads.

Arrays are contiguous and taken as flat; each thread gets a slice of all of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import flat
from .cpu_jit import entry, exact, foresee, launch, worker
from .cpu_math import exp, f4, i4
from .cpu_spread import portion, spread
from .threads import threads_for

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

Array = Any

_LEAST = 1 << 14  # elements that a parallel launch pays for


@exact
def _tanh(x: Array, y: Array) -> None:
    """In float32, at most a unit in the last place off.

    Near 0, x + x³ · (a polynomial in x²), fitted to tanh up to 0.9 with an error of 2e-8; beyond,
    1 − 2 / (e^2|x| + 1), where an error of the exponential hardly shows. It is 2ᵏ e²ʳ with a whole
    k and 2|r| ≤ ln 2 / 2; e²ʳ is a polynomial, 2e-9 off. Adding 1.5 · 2²³ to a number leaves it
    rounded, in the last bits, from where k is added to the exponent.
    """
    whole = f4(1.5 * 2**23)
    for i in range(x.size):
        v = x[i]
        a = abs(v)
        a = f4(10) if a > f4(10) else a  # from 9.02 on the nearest number is 1; NaN stays
        k = a * f4(2 / math.log(2)) + whole
        r = a - (k - whole) * f4(math.log(2) / 2)
        e = f4(0.0885987826) * r + f4(0.267975554)
        e = e * r + f4(0.666688119)
        e = e * r + f4(1.33331443)
        e = e * r + f4(1.99999977)
        e = e * r + f4(2.00000006)
        e = e * r + f4(1)
        e = i4(f4(e).view(i4) + (f4(k).view(i4) << i4(23))).view(f4)
        far = f4(1) - f4(2) / (e + f4(1))
        z = a * a
        near = f4(0.00130395977) * z + f4(-0.00686005599)
        near = near * z + f4(0.0209041267)
        near = near * z + f4(-0.0537214903)
        near = near * z + f4(0.1333036)
        near = near * z + f4(-0.333332122)
        near = a + a * z * near
        y[i] = math.copysign(near if a < f4(0.9) else far, v)


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


foresee(_tanh_kernel, lambda team, x, y, threads: [(_tanh_back_kernel, (team, y, y, x, threads))])


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


@exact
def _near(square):
    """(Φ(x) − ½) / x for x² < ¼, to 1e-8: there the tail is half of all, and has lost a digit."""
    p = square * f4(-0.00112438) + f4(0.00996188)
    return (p * square + f4(-0.06648957)) * square + f4(0.39894227)


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
            square = x[i] * x[i]
            tail, near = _tail(x[i]) * exp(square * -half), half + x[i] * _near(square)
            tail = tail if x[i] < zero else one - tail
            out[i] = x[i] * (near if square < f4(0.25) else tail)
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


foresee(
    long,
    lambda team, x, y, out, kind, threads: (
        [(short, (team, x, y, out, kind, threads))] if kind == SIGMOID else []
    ),
)


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
