"""Normalisation's loops for the CPU, in Numba: batch, layer, group, instance and RMS norm.

They differ in what is averaged together and in how many values share a weight. Arrays come as
contiguous (N, S, D): `S` statistics, each of N runs of D values. A run is made of J stretches of
D/J values that share a weight, and w, b are (P, J): statistic s takes row s mod P of them::

    batch norm      (N, C, H·W)       w (C, 1)
    layer norm      (1, rows, D)      w (1, D)       J = D: each value has its own
    group norm      (1, N·G, D)       w (G, C/G)
    instance norm   (1, N·C, H·W)     w (C, 1)
    of vectors      (1, C, N)         batch norm of (N, C), transposed

A statistic's values are read from memory once: what they need next finds them in the cache. Sums
are made in stretches, and a weight's gradient for a few statistics at a time; these are added up in
double precision. Mean and 1 / √(variance + eps) are kept as they are, as two numbers each: rounded,
a mean would shift all values of its statistic alike.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import ready
from .cpu_jit import entry, foresee, launch, worker
from .cpu_spread import portion, spread
from .geometry import Shape
from .moments import Moments, layout
from .threads import threads_for

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

Array = Any

_LEAST = 1 << 15  # values that a parallel launch pays for
_STRETCH = 512  # values whose sum is single precision
_LANES = 64  # sums that such a loop makes side by side; what is left over adds to a single one
_FAR = 0.5  # standard deviations from 0, where a mean counts as far
_FEW = 16  # statistics whose sum is single precision


# --- sums -----------------------------------------------------------------------------------------


@worker
def _stop(start, size):
    """Where the stretch from `start` on ends: what fills no vectors is one by itself."""
    whole = size // _LANES * _LANES
    return min(start + _STRETCH, whole) if start < whole else size


@worker
def _sum(x, mean):
    """Σ (x − mean), or Σ x if it is None."""
    total, start = 0.0, 0
    while start < x.size:
        some, part = x[start : _stop(start, x.size)], x.dtype.type(0)
        for i in range(some.size):
            part += some[i] if mean is None else some[i] - mean
        total += part
        start += some.size
    return total


@worker
def _sum_squares(x, mean):
    """Σ (x − mean)²."""
    total, start = 0.0, 0
    while start < x.size:
        some, part = x[start : _stop(start, x.size)], x.dtype.type(0)
        for i in range(some.size):
            far = some[i] - mean
            part += far * far
        total += part
        start += some.size
    return total


@worker
def _sum_both(g, x, mean):
    """Σ g and Σ g (x − mean)."""
    total, product, start = 0.0, 0.0, 0
    while start < x.size:
        stop = _stop(start, x.size)
        gs, xs = g[start:stop], x[start:stop]
        a, b = x.dtype.type(0), x.dtype.type(0)
        for i in range(xs.size):
            a += gs[i]
            b += gs[i] * (xs[i] - mean)
        total += a
        product += b
        start = stop
    return total, product


# --- forward --------------------------------------------------------------------------------------


@worker
def _moments(x, s, centred):
    """The mean of statistic s (0 unless `centred`), and the mean square around it.

    For runs n: Σ x; for runs n: Σ (x − mean)². Of numbers far from 0 the sum has lost digits: for
    runs n: Σ (x − mean), and both are corrected.
    """
    share, mean, square, rest = 1 / (x.shape[0] * x.shape[2]), 0.0, 0.0, 0.0
    real = x.dtype.type
    if centred:
        for n in range(x.shape[0]):
            mean += _sum(x[n, s], None)
        mean = float(real(mean * share))
    for n in range(x.shape[0]):
        square += _sum_squares(x[n, s], real(mean))
    square *= share
    if mean * mean > square * _FAR * _FAR:
        for n in range(x.shape[0]):
            rest += _sum(x[n, s], real(mean))
        rest *= share
        mean += rest
        square = max(square - rest * rest, 0.0)
    return mean, square


@worker
def _parted(value, x):
    """A value rounded to the numbers of x, and what it has beyond that."""
    rounded = x.dtype.type(value)
    return rounded, value - rounded if math.isfinite(rounded) else 0.0


@worker
def _scale(x, mean, beyond, rstd, w, b, out):
    """out = (x − mean − beyond) · rstd · w + b, with one w and one b for a stretch of the run."""
    size, real = x.size // w.size, x.dtype.type
    for j in range(w.size):
        xs, outs = x[j * size : j * size + size], out[j * size :]
        a, c = real(rstd * w[j]), real(b[j] - beyond * rstd * w[j])
        for i in range(size):
            outs[i] = (xs[i] - mean) * a + c


@worker
def _scale_each(x, mean, beyond, rstd, w, b, out):
    """`_scale` with a w and a b for each value."""
    scale, shift = x.dtype.type(rstd), x.dtype.type(-beyond * rstd)
    for i in range(x.size):
        out[i] = ((x[i] - mean) * scale + shift) * w[i] + b[i]


@worker
def _normalise(t, x, w, b, out, stats, eps, given, centred, threads):
    """For statistics s: their mean and variance; for runs: scale and shift.

    `stats` has room for mean, variance and 1 / √(variance + eps), of which two are there if
    `given`, and for what the first and the last of them have beyond their rounding.
    """
    rows, each = w.shape[0], 1 < w.shape[1] == x.shape[2]
    lo, hi = portion(x.shape[1], t, threads)
    for s in range(lo, hi):
        level, square = float(stats[0, s]), float(stats[1, s])
        if not given:
            level, square = _moments(x, s, centred)
        rstd = 1 / math.sqrt(square + eps)
        mean, beyond = _parted(level, x)
        stats[0, s], stats[1, s], stats[2, s], stats[3, s] = mean, square, rstd, beyond
        stats[4, s] = rstd - stats[2, s]
        if abs(level) * rstd < _FAR:  # taken off at the end: that saves a rounding
            mean, beyond = x.dtype.type(0), level
        ws, bs = w[s % rows], b[s % rows]
        for n in range(x.shape[0]):
            if each:
                _scale_each(x[n, s], mean, beyond, rstd, ws, bs, out[n, s])
            else:
                _scale(x[n, s], mean, beyond, rstd, ws, bs, out[n, s])


@entry
def normalise_kernel(team, x, w, b, out, stats, eps, given, centred, threads):
    """`_normalise` with a run of statistics to each thread."""
    spread(team, threads, _normalise, (x, w, b, out, stats, eps, given, centred, threads))


# --- backward -------------------------------------------------------------------------------------


@worker
def _weighed(g, x, s, mean, beyond, rstd, w, dw, db):
    """Σ h and Σ h x̂ over statistic s, with h = w g; dw and db grow by Σ g x̂ and Σ g.

    For stretches j, for runs n: Σ g and Σ g (x − mean).
    """
    along, level, size = 0.0, 0.0, x.shape[2] // w.size
    for j in range(w.size):
        total, product = 0.0, 0.0
        for n in range(x.shape[0]):
            a, b = _sum_both(
                g[n, s, j * size : j * size + size], x[n, s, j * size : j * size + size], mean
            )
            total += a
            product += b
        product = _corrected(product, beyond * total) * rstd
        dw[j] += product
        db[j] += total
        level += w[j] * total
        along += w[j] * product
    return level, along


@worker
def _weighed_each(g, x, mean, beyond, rstd, w, dw, db):
    """`_weighed` for a run with a weight for each value."""
    level, along = 0.0, 0.0
    shift, scale = x.dtype.type(-beyond * rstd), x.dtype.type(rstd)
    for start in range(0, x.size, _STRETCH):
        gs, xs = g[start : start + _STRETCH], x[start : start + _STRETCH]
        ws, dws, dbs = w[start : start + _STRETCH], dw[start:], db[start:]
        a, b = x.dtype.type(0), x.dtype.type(0)
        for i in range(xs.size):
            hat = (xs[i] - mean) * scale + shift
            h = ws[i] * gs[i]
            dws[i] += gs[i] * hat
            dbs[i] += gs[i]
            a += h
            b += h * hat
        level += a
        along += b
    return level, along


@worker
def _slope(g, x, mean, rstd, w, along, level, dx):
    """dx = rstd · w g − (x − mean) · along − level, with one w for each stretch of the run."""
    size = x.size // w.size
    for j in range(w.size):
        gs, xs = g[j * size : j * size + size], x[j * size : j * size + size]
        into, a = dx[j * size :], x.dtype.type(rstd * w[j])
        for i in range(size):
            into[i] = a * gs[i] - (xs[i] - mean) * along - level


@worker
def _slope_each(g, x, mean, rstd, w, along, level, dx):
    """`_slope` with a w for each value."""
    scale = x.dtype.type(rstd)
    for i in range(x.size):
        dx[i] = scale * w[i] * g[i] - (x[i] - mean) * along - level


@worker
def _corrected(x, y):
    """x − y; only x if y is infinite or NaN, which comes of the same numbers."""
    return x - y if math.isfinite(y) else x


@worker
def _gather(sums, few):
    """sums += few, which are then 0."""
    for i in range(few.size):
        sums[i] += few[i]
        few[i] = 0


@worker
def _back(t, g, x, w, stats, dx, every, parts, given, centred):
    """For statistics s: the sums of h = w g and h x̂, and dw, db; for runs: the gradient of x,
    rstd (h − mean h − x̂ · mean(h x̂)).

    Neither mean is there if mean and variance were given, nor mean h unless `centred`.
    `stats` are those of the forward pass; `every` has dw and db of each thread, (2, P, J) in double
    precision; `parts` (2, J) zeros, to make parts of them in.
    """
    real, rows, share = x.dtype.type, w.shape[0], 1 / (x.shape[0] * x.shape[2])
    each, sums, few = 1 < w.shape[1] == x.shape[2], every[t], parts[t]
    lo, hi = portion(x.shape[1], t, every.shape[0])
    for s in range(lo, hi):
        mean, beyond, rstd = stats[0, s], float(stats[3, s]), float(stats[2, s]) + stats[4, s]
        ws, level, along = w[s % rows], 0.0, 0.0
        for n in range(x.shape[0] if each else 1):
            if each:
                a, b = _weighed_each(g[n, s], x[n, s], mean, beyond, rstd, ws, few[0], few[1])
            else:
                dw, db = sums[0, s % rows], sums[1, s % rows]
                a, b = _weighed(g, x, s, mean, beyond, rstd, ws, dw, db)
            level += a
            along += b
        if each and (rows > 1 or s % _FEW == 0 or s == hi - 1):
            _gather(sums[0, s % rows], few[0])
            _gather(sums[1, s % rows], few[1])
        along = 0.0 if given else along * rstd * rstd * share
        level = 0.0 if given or not centred else _corrected(level * rstd * share, beyond * along)
        for n in range(x.shape[0]):
            if each:
                _slope_each(g[n, s], x[n, s], mean, rstd, ws, real(along), real(level), dx[n, s])
            else:
                _slope(g[n, s], x[n, s], mean, rstd, ws, real(along), real(level), dx[n, s])


@entry
def back_kernel(team, g, x, w, stats, dx, sums, few, given, centred):
    """`_back` with a run of statistics, and sums of its own, to each thread."""
    spread(team, sums.shape[0], _back, (g, x, w, stats, dx, sums, few, given, centred))


foresee(
    normalise_kernel,
    lambda team, x, w, b, out, stats, eps, given, centred, threads: [
        (back_kernel, (
            team, out, x, w, stats, out, np.empty((1, 1, 1, 1)), out, given, centred,
        ))
    ],
)  # fmt: skip


# --- the functions of the device ------------------------------------------------------------------


def normalise(x: Any, w: Any, b: Any, *, form: Shape, by: Moments) -> Any:
    """`moments.normalise`, if what is averaged together lies together in memory."""
    found = layout(x, w, b, form, by.dims)
    if found is None:
        return NotImplemented
    runs, (rows, shared) = found
    out, stats = np.empty(x.shape, x.dtype), np.empty((5, runs[1]), x.dtype)
    if by.given:
        stats[0], stats[1] = np.ravel(by.mean), np.ravel(by.var)
    w = np.ones((rows, shared), x.dtype) if w is None else ready(w).reshape(rows, shared)
    b = np.zeros((rows, shared), x.dtype) if b is None else ready(b).reshape(rows, shared)
    threads = threads_for(x.size, _LEAST)
    launch(
        normalise_kernel, threads, ready(x).reshape(runs), w, b,
        out.reshape(runs), stats, float(by.eps), by.given, by.centred, threads,
    )  # fmt: skip
    by.exact = stats
    by.mean, by.var, by.rstd = stats[:3].reshape(3, *by.shape(x))
    return out


def normalise_back(g: Any, out: Any, x: Any, w: Any, b: Any, *, form: Shape, by: Moments) -> Any:
    """`moments.normalise_back`, if what is averaged together lies together in memory."""
    found = layout(x, w, b, form, by.dims)
    if found is None or by.exact is None:
        return NotImplemented
    runs, (rows, shared) = found
    threads, dx = threads_for(x.size, _LEAST), np.empty(x.shape, x.dtype)
    sums, few = np.zeros((threads, 2, rows, shared)), np.zeros((threads, 2, shared), x.dtype)
    scale = np.ones((rows, shared), x.dtype) if w is None else ready(w).reshape(rows, shared)
    launch(
        back_kernel, threads, ready(g).reshape(runs), ready(x).reshape(runs), scale, by.exact,
        dx.reshape(runs), sums, few, by.given, by.centred,
    )  # fmt: skip
    dw, db = (sums.sum(0) if threads > 1 else sums[0]).astype(x.dtype)
    return dx, *(None if p is None else s.reshape(p.shape) for p, s in ((w, dw), (b, db)))
