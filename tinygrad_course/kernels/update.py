"""Optimisers' steps over flat arrays, everything in one pass.

Each kernel is one loop over the elements of contiguous arrays of one length and dtype: the values
`p`, their gradients `g`, and the optimiser's memories, None where its options need none (Numba then
compiles a loop without it). In every kernel gᵢ is `sign · g + decay · p`.

The coefficients `c` have the arrays' dtype: a wider number would widen every product in the loop.
Adam's bias corrections are folded into two of them by the caller, which leaves one division an
element. Threads are given slices: a loop from lo to hi over whole arrays does not become
vectors, and takes four times as long.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .cpu_jit import entry, launch, worker
from .cpu_spread import portion, spread
from .threads import threads_for

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

_LEAST = 1 << 16  # elements that a parallel launch pays for


# --- Adam: p ← shrink · p − size · m / (√v + eps), m and v running means of gᵢ and gᵢ² ------------


@worker
def _adam(p, g, m, v, top, c):
    """With `top`, the largest v so far takes the place of v."""
    sign, decay, keep1, take1, keep2, take2 = c[0], c[1], c[2], c[3], c[4], c[5]
    eps, size, shrink = c[6], c[7], c[8]
    for i in range(p.size):
        gi = sign * g[i] + decay * p[i]
        mi = keep1 * m[i] + take1 * gi
        vi = keep2 * v[i] + take2 * gi * gi
        m[i] = mi
        v[i] = vi
        if top is not None:
            vi = top[i] if top[i] >= vi else vi
            top[i] = vi
        p[i] = shrink * p[i] - size * mi / (math.sqrt(vi) + eps)


@worker
def _adam_part(t, p, g, m, v, top, c, threads):
    lo, hi = portion(p.size, t, threads)
    _adam(p[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi], None if top is None else top[lo:hi], c)


@entry
def _adam_kernel(team, p, g, m, v, top, c, threads):
    spread(team, threads, _adam_part, (p, g, m, v, top, c, threads))


# --- SGD: b ← keep · b + take · gᵢ, p ← p − of_b · b − of_g · gᵢ ----------------------------------


@worker
def _sgd(p, g, b, c):
    sign, decay, keep, take, of_b, of_g = c[0], c[1], c[2], c[3], c[4], c[5]
    for i in range(p.size):
        gi = sign * g[i] + decay * p[i]
        if b is None:
            p[i] -= of_g * gi
        else:
            bi = keep * b[i] + take * gi
            b[i] = bi
            p[i] -= of_b * bi + of_g * gi


@worker
def _sgd_part(t, p, g, b, c, threads):
    lo, hi = portion(p.size, t, threads)
    _sgd(p[lo:hi], g[lo:hi], None if b is None else b[lo:hi], c)


@entry
def _sgd_kernel(team, p, g, b, c, threads):
    spread(team, threads, _sgd_part, (p, g, b, c, threads))


# --- AdaGrad and RMSprop: v ← keep · v + take · gᵢ², p ← p − size · gᵢ / (√v + eps) ---------------


@worker
def _scaled(p, g, v, m, b, c):
    """With m, a running mean of gᵢ, √(v − m²) takes the place of √v; b adds steps up."""
    sign, decay, keep, take, eps, size, momentum = c[0], c[1], c[2], c[3], c[4], c[5], c[6]
    zero = eps * 0
    for i in range(p.size):
        gi = sign * g[i] + decay * p[i]
        vi = keep * v[i] + take * gi * gi
        v[i] = vi
        if m is not None:
            mi = keep * m[i] + take * gi
            m[i] = mi
            vi -= mi * mi
            vi = zero if vi < 0 else vi  # NaN stays
        step = gi / (math.sqrt(vi) + eps)
        if b is not None:
            step += momentum * b[i]
            b[i] = step
        p[i] -= size * step


@worker
def _scaled_part(t, p, g, v, m, b, c, threads):
    lo, hi = portion(p.size, t, threads)
    means, steps = None if m is None else m[lo:hi], None if b is None else b[lo:hi]
    _scaled(p[lo:hi], g[lo:hi], v[lo:hi], means, steps, c)


@entry
def _scaled_kernel(team, p, g, v, m, b, c, threads):
    spread(team, threads, _scaled_part, (p, g, v, m, b, c, threads))


# --- Adadelta: p ← p − size · d with d = gᵢ √(w + eps) / √(v + eps), v and w means of gᵢ² and d² --


@worker
def _adadelta(p, g, v, w, c):
    sign, decay, keep, take, eps, size = c[0], c[1], c[2], c[3], c[4], c[5]
    for i in range(p.size):
        gi = sign * g[i] + decay * p[i]
        vi = keep * v[i] + take * gi * gi
        d = gi * math.sqrt((w[i] + eps) / (vi + eps))
        v[i] = vi
        w[i] = keep * w[i] + take * d * d
        p[i] -= size * d


@worker
def _adadelta_part(t, p, g, v, w, c, threads):
    lo, hi = portion(p.size, t, threads)
    _adadelta(p[lo:hi], g[lo:hi], v[lo:hi], w[lo:hi], c)


@entry
def _adadelta_kernel(team, p, g, v, w, c, threads):
    spread(team, threads, _adadelta_part, (p, g, v, w, c, threads))


# --- called from Python ---------------------------------------------------------------------------


def adam(p: Any, g: Any, m: Any, v: Any, top: Any, coefficients: tuple[float, ...]) -> None:
    """Coefficients (sign, decay, β₁, 1 − β₁, β₂, 1 − β₂, eps, size, shrink)."""
    _launch(_adam_kernel, (p, g, m, v, top), coefficients)


def sgd(p: Any, g: Any, b: Any, coefficients: tuple[float, ...]) -> None:
    """Coefficients (sign, decay, keep, take, of_b, of_g)."""
    _launch(_sgd_kernel, (p, g, b), coefficients)


def scaled(p: Any, g: Any, v: Any, m: Any, b: Any, coefficients: tuple[float, ...]) -> None:
    """Coefficients (sign, decay, keep, take, eps, size, momentum)."""
    _launch(_scaled_kernel, (p, g, v, m, b), coefficients)


def adadelta(p: Any, g: Any, v: Any, w: Any, coefficients: tuple[float, ...]) -> None:
    """Coefficients (sign, decay, keep, take, eps, size)."""
    _launch(_adadelta_kernel, (p, g, v, w), coefficients)


def _launch(kernel: Any, arrays: tuple[Any, ...], c: tuple[float, ...]) -> None:
    p = arrays[0]
    threads = threads_for(p.size, _LEAST)
    launch(kernel, threads, *arrays, np.array(c, p.dtype), threads)
