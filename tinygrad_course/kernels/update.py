"""Optimisers' steps over flat arrays, everything in one pass.

Each kernel is one loop over the elements of contiguous arrays of one length and dtype. The
coefficients `c` have that dtype too: a wider number would widen every product in the loop. Adam's
bias corrections are folded into two of them by the caller, which leaves one division an element.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from .cpu_jit import entry, launch, parallel_entry, threads_for, worker

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

_LEAST = 1 << 17  # elements that a parallel launch pays for


@worker
def _part(total, t, threads):
    """Where thread t's part begins, as a signed number (`prange` counts in unsigned ones)."""
    return np.int64(total) * np.int64(t) // np.int64(threads)


@worker
def _adam(p, g, m, v, c, lo, hi):
    keep1, take1, keep2, take2, eps, size = c[0], c[1], c[2], c[3], c[4], c[5]
    sign, decay, shrink = c[6], c[7], c[8]
    for i in range(lo, hi):
        gi = sign * g[i] + decay * p[i]
        mi = keep1 * m[i] + take1 * gi
        vi = keep2 * v[i] + take2 * gi * gi
        m[i] = mi
        v[i] = vi
        p[i] = shrink * p[i] - size * mi / (math.sqrt(vi) + eps)


@entry
def adam_serial(p, g, m, v, c, threads):
    """p ← shrink · p − size · m / (√v + eps), m and v the running means of g and g²."""
    _adam(p, g, m, v, c, 0, p.shape[0])


@parallel_entry
def adam_parallel(p, g, m, v, c, threads):
    """`adam_serial`, each thread on a stretch of its own."""
    for t in prange(threads):
        _adam(p, g, m, v, c, _part(p.shape[0], t, threads), _part(p.shape[0], t + 1, threads))


@worker
def _momentum(p, g, b, c, lo, hi):
    keep, take, of_b, of_g, sign, decay = c[0], c[1], c[2], c[3], c[4], c[5]
    for i in range(lo, hi):
        gi = sign * g[i] + decay * p[i]
        bi = keep * b[i] + take * gi
        b[i] = bi
        p[i] -= of_b * bi + of_g * gi


@entry
def momentum_serial(p, g, b, c, threads):
    """b ← keep · b + take · g, then p ← p − of_b · b − of_g · g."""
    _momentum(p, g, b, c, 0, p.shape[0])


@parallel_entry
def momentum_parallel(p, g, b, c, threads):
    """`momentum_serial`, each thread on a stretch of its own."""
    for t in prange(threads):
        _momentum(p, g, b, c, _part(p.shape[0], t, threads), _part(p.shape[0], t + 1, threads))


def adam(p: Any, g: Any, m: Any, v: Any, coefficients: tuple[float, ...]) -> None:
    """Adam's step; coefficients (β₁, 1 − β₁, β₂, 1 − β₂, eps, size, sign, decay, shrink)."""
    threads = threads_for(p.size, _LEAST)
    c = np.array(coefficients, p.dtype)
    launch(adam_serial, adam_parallel, threads, p, g, m, v, c, threads)


def momentum(p: Any, g: Any, b: Any, coefficients: tuple[float, ...]) -> None:
    """SGD's step with momentum; coefficients (keep, take, of_b, of_g, sign, decay)."""
    threads = threads_for(p.size, _LEAST)
    c = np.array(coefficients, p.dtype)
    launch(momentum_serial, momentum_parallel, threads, p, g, b, c, threads)
