"""Softmax's loops for the CPU, in Numba: along the last dimension, and in cross-entropy.

Arrays come as contiguous rows of D numbers, one after the other; a thread gets a run of rows, and
takes a block of them at a time, which is gone over a few times in the nearest cache. Exponentials
are taken of a whole block in one loop, across the ends of rows: the vectors of rows of ten would
hardly be filled.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import flat, ready
from .cpu_jit import entry, foresee, launch, worker
from .cpu_math import exp, number, order
from .cpu_spread import portion, spread
from .threads import threads_for

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

Array = Any

_LEAST = 1 << 14  # numbers that a parallel launch pays for
_BLOCK = 1 << 11  # numbers of a block, unless a row has more
SOFTMAX, LOG_SOFTMAX = 0, 1


@worker
def _largest(x):
    """max x; NaN if one is NaN with a plus sign."""
    most = order(x[0])
    for i in range(x.size):
        most = max(most, order(x[i]))
    return number(most)


@worker
def _sum(x):
    """Σ x, in double precision."""
    total = 0.0
    for i in range(x.size):
        total += x[i]
    return total


@worker
def _dot(x, y):
    """Σ x y, added up in double precision."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@worker
def _exponentials(x, shifted, out, d):
    """For rows of d: shifted = x − max x, out = exp(shifted)."""
    for r in range(x.size // d):
        xs, into = x[r * d : (r + 1) * d], shifted[r * d : (r + 1) * d]
        top = _largest(xs)
        for i in range(d):
            into[i] = xs[i] - top
    for i in range(x.size):
        out[i] = exp(shifted[i])


@worker
def _softmax(t, x, out, rooms, kind, d):
    """For a thread's rows: the exponentials' shares of their sum, or x − max x minus its logarithm.

    Of the distances to the largest number and the exponentials, one is worked out where the result
    goes, the other in a thread's room, which is that of a block.
    """
    scratch, (lo, hi) = rooms[t], portion(x.size // d, t, rooms.shape[0])
    real = x.dtype.type
    step = scratch.size // d
    for start in range(lo, hi, step):
        size = d * (min(start + step, hi) - start)
        xs, into, rest = x[start * d :][:size], out[start * d :][:size], scratch[:size]
        if kind == LOG_SOFTMAX:
            _exponentials(xs, into, rest, d)
            for r in range(size // d):
                row, powers = into[r * d : (r + 1) * d], rest[r * d : (r + 1) * d]
                log = real(math.log(_sum(powers)))
                for i in range(d):
                    row[i] -= log
        else:
            _exponentials(xs, rest, into, d)
            for r in range(size // d):
                row = into[r * d : (r + 1) * d]
                total = real(_sum(row))
                for i in range(d):
                    row[i] /= total


@entry
def softmax_kernel(team, x, out, rooms, kind, d):
    """`_softmax` with a run of rows to each thread."""
    spread(team, rooms.shape[0], _softmax, (x, out, rooms, kind, d))


@worker
def _back(t, g, out, dx, kind, threads):
    """For a thread's rows: dx = out · (g − Σ g · out), or of the logarithm g − exp(out) · Σ g."""
    lo, hi = portion(g.shape[0], t, threads)
    real = g.dtype.type
    for r in range(lo, hi):
        gs, outs, into = g[r], out[r], dx[r]
        if kind == LOG_SOFTMAX:
            level = real(_sum(gs))
            for i in range(gs.size):
                into[i] = gs[i] - exp(outs[i]) * level
        else:
            level = real(_dot(gs, outs))
            for i in range(gs.size):
                into[i] = outs[i] * (gs[i] - level)


@entry
def back_kernel(team, g, out, dx, kind, threads):
    """`_back` with a run of rows to each thread."""
    spread(team, threads, _back, (g, out, dx, kind, threads))


# --- cross-entropy --------------------------------------------------------------------------------


@worker
def _losses(t, x, labels, out, rooms, d):
    """For a thread's rows: ln Σ exp(x − max x) − (x[label] − max x)."""
    scratch, (lo, hi) = rooms[t], portion(labels.size, t, rooms.shape[0])
    real = x.dtype.type
    step = scratch.shape[1] // d
    for start in range(lo, hi, step):
        rows = min(start + step, hi) - start
        shifted, powers = scratch[0, : rows * d], scratch[1, : rows * d]
        _exponentials(x[start * d :][: rows * d], shifted, powers, d)
        for r in range(rows):
            total = _sum(powers[r * d : (r + 1) * d])
            out[start + r] = real(math.log(total)) - shifted[r * d + labels[start + r]]


@worker
def _inside(labels, classes):
    """Whether all labels are classes."""
    good = True
    for i in range(labels.size):
        good &= 0 <= labels[i] < classes
    return good


@entry
def losses_kernel(team, x, labels, out, mean, rooms, d):
    """`_losses` with a run of rows to each thread, and their mean, unless a label is no class;
    whether all are."""
    good = _inside(labels, d)
    if good:
        spread(team, rooms.shape[0], _losses, (x, labels, out, rooms, d))
        mean[0] = _sum(out) / out.size
    return good


@worker
def _losses_back(t, x, labels, dx, rooms, scale, d):
    """For a thread's rows: dx = softmax(x) · scale, and scale less at the label."""
    scratch, (lo, hi) = rooms[t], portion(labels.size, t, rooms.shape[0])
    real = x.dtype.type
    step = scratch.size // d
    for start in range(lo, hi, step):
        size = d * (min(start + step, hi) - start)
        into = dx[start * d :][:size]
        _exponentials(x[start * d :][:size], scratch[:size], into, d)
        for r in range(size // d):
            row = into[r * d : (r + 1) * d]
            share = real(scale / _sum(row))
            for i in range(d):
                row[i] *= share
            row[labels[start + r]] -= real(scale)


@entry
def losses_back_kernel(team, x, labels, dx, rooms, scale, d):
    """`_losses_back` as `losses_kernel` does it."""
    good = _inside(labels, d)
    if good:
        spread(team, rooms.shape[0], _losses_back, (x, labels, dx, rooms, scale, d))
    return good


foresee(
    softmax_kernel,
    lambda team, x, out, rooms, kind, d: [(back_kernel, (team, rooms, rooms, rooms, kind, 1))],
)
foresee(
    losses_kernel,
    lambda team, x, labels, out, mean, rooms, d: [
        (losses_back_kernel, (team, x, labels, x, rooms[0], 1.0, d))
    ],
)


# --- the functions of the device ------------------------------------------------------------------


def softmax(x: Any, *, dim: int) -> Any:
    """eˣ / Σ eˣ along the last dimension."""
    return _along(x, dim, SOFTMAX)


def log_softmax(x: Any, *, dim: int) -> Any:
    """x − ln Σ eˣ along the last dimension."""
    return _along(x, dim, LOG_SOFTMAX)


def softmax_back(g: Any, out: Any, x: Any, *, dim: int) -> Any:
    """The gradient of `softmax`."""
    return _along_back(g, out, dim, SOFTMAX)


def log_softmax_back(g: Any, out: Any, x: Any, *, dim: int) -> Any:
    """The gradient of `log_softmax`."""
    return _along_back(g, out, dim, LOG_SOFTMAX)


def _scratch(x: Any, copies: int = 1) -> Any:
    """Room for a block of rows, for each thread that shall work on x."""
    d = x.shape[-1]
    threads = threads_for(x.size, _LEAST)
    size = d * max(1, min(_BLOCK, x.size) // d)
    return np.empty((threads, size) if copies == 1 else (threads, copies, size), x.dtype)


def _along(x: Any, dim: int, kind: int) -> Any:
    if dim != x.ndim - 1:
        return NotImplemented
    out, scratch = np.empty(x.shape, x.dtype), _scratch(x)
    args = (flat(x), flat(out), scratch, kind, x.shape[-1])
    launch(softmax_kernel, len(scratch), *args)
    return out


def _along_back(g: Any, out: Any, dim: int, kind: int) -> Any:
    if dim != g.ndim - 1 or out.dtype != g.dtype:
        return NotImplemented
    dx, threads = np.empty(g.shape, g.dtype), threads_for(g.size, _LEAST)
    rows = [ready(a).reshape(-1, g.shape[-1]) for a in (g, out, dx)]
    launch(back_kernel, threads, *rows, kind, threads)
    return dx


def cross_entropy(x: Any, labels: Any) -> Any:
    """−Σ ln softmax(x)[n, label[n]] / m over the m rows of x."""
    if not _fit(labels, x):
        return NotImplemented
    out, mean, scratch = np.empty(len(x), x.dtype), np.empty(1, x.dtype), _scratch(x, 2)
    args = (flat(x), ready(labels), out, mean, scratch, x.shape[1])
    return mean.reshape(()) if launch(losses_kernel, len(scratch), *args) else NotImplemented


def cross_entropy_back(g: Any, out: Any, x: Any, labels: Any) -> Any:
    """The gradient of `cross_entropy`: (softmax(x) − 1 at the labels) · g / m."""
    if not _fit(labels, x):
        return NotImplemented
    dx, scratch = np.empty(x.shape, x.dtype), _scratch(x)
    args = (flat(x), ready(labels), flat(dx), scratch, float(g) / len(x), x.shape[1])
    return dx if launch(losses_back_kernel, len(scratch), *args) else NotImplemented


def _fit(labels: Any, x: Any) -> bool:
    """Whether there is a label for each row."""
    return labels.dtype == np.int64 and labels.shape == x.shape[:1]
