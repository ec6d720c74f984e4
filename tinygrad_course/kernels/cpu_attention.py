"""Attention's loops for the CPU: softmax(q kᵀ · scale) v of one head after the other.

Arrays come as (H, L, E), (H, S, E) and (H, S, V); a thread gets a run of heads. Of a head,
`QUERIES` queries are taken at a time: their weights, a row of S numbers each, stay in the cache and
are never written to memory, and the backward pass makes them again. Of causal queries, no products
are made with keys that none of them may look at.

All products are `add_products` (`cpu_channels`): numbers of one side one by one, those of the other
as vectors. Keys, and going back values, are turned for this, and rows filled up to whole vectors::

    forward     weights[r, s] = softmax(Σ_e q[r, e] · keys[e, s])
                out[r] = Σ_s weights[r, s] · v[s]
    backward    slopes[r, s] = Σ_v g[r, v] · values[v, s], and through the softmax
                dq[r] = Σ_s slopes[r, s] · k[s]
                dk[s] += Σ_r slopes[r, s] · q[r]
                dv[s] += Σ_r weights[r, s] · g[r]
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from .arrays import aligned, ready
from .cpu_channels import add_products, turn
from .cpu_jit import entry, foresee, launch, worker
from .cpu_math import exp
from .cpu_softmax import _dot, _largest, _sum
from .cpu_spread import portion, spread
from .cpu_vector import BYTES, CHUNK, ROWS, USABLE, VECTORS, chunk_of, lanes
from .threads import threads_for

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

Array = Any

QUERIES = 8 * ROWS
FEATURES = 40  # products of a query and a key to add up by themselves: an exponential follows
_LEAST = 1 << 19  # products that a parallel launch pays for
_MOST = 1 << 13  # keys


@worker
def _clear(x):
    flat = x.reshape(x.size)
    for i in range(flat.size):
        flat[i] = 0


@worker
def _copy(source, into):
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            into[i, j] = source[i, j]


@worker
def _add(sums, rows, a, across, along, b, places, total, most):
    """`add_products` over all columns of `sums`, as many as fill a block at a time; at most so many
    products are added up by themselves."""
    chunk = chunk_of(total, most)
    wide, flat, vectors = VECTORS * BYTES // a.itemsize, a.reshape(a.size), b.reshape(b.size)
    for v in range(0, sums.shape[1], wide):
        part = sums[:, v : v + wide]
        add_products(part, rows, flat, across, along, vectors[v:], places, total, chunk)


@worker
def _weigh(q, rows, first, seen, keys, weights, tables, scale, causal):
    """weights = softmax(q keys · scale), a row at a time; 0 where a query may not look."""
    real, side = q.dtype.type, BYTES // q.itemsize
    ones, by_key, by_feature = tables[0], tables[1], tables[2]
    _clear(weights)
    wide = (seen + side - 1) // side * side
    _add(weights[:, :wide], rows, q, by_feature, ones, keys, by_key, keys.shape[0], FEATURES)
    for r in range(rows):
        count, line = min(seen, first + r + 1) if causal else seen, weights[r, :wide]
        for i in range(count):
            line[i] *= scale
        for i in range(count, wide):
            line[i] = -math.inf
        top = _largest(line)
        for i in range(wide):
            line[i] = exp(line[i] - top)
        total = real(_sum(line))
        for i in range(wide):
            line[i] /= total


@worker
def _attend(t, q, k, v, out, keys, values, few, weights, result, tables, scale, causal):
    """For a thread's heads: turn the keys; for some queries: their weights, the sums of values."""
    lo, hi = portion(q.shape[0], t, keys.shape[0])
    length, size = q.shape[1], k.shape[1]
    for h in range(lo, hi):
        turn(keys[t][:, :size], k[h])
        _copy(v[h], values[t])
        for first in range(0, length, QUERIES):
            rows = min(QUERIES, length - first)
            seen = min(size, first + rows) if causal else size
            _copy(q[h, first : first + rows], few[t])
            _weigh(few[t], rows, first, seen, keys[t], weights[t], tables, scale, causal)
            _clear(result[t])
            _add(
                result[t], rows, weights[t], tables[1], tables[0], values[t], tables[3], seen, CHUNK
            )
            _copy(result[t][:rows, : v.shape[2]], out[h, first : first + rows])


@entry
def attend_kernel(team, q, k, v, out, keys, values, few, weights, result, tables, scale, causal):
    """`_attend` with a run of heads to each thread."""
    args = (q, k, v, out, keys, values, few, weights, result, tables, scale, causal)
    spread(team, keys.shape[0], _attend, args)


@worker
def _slope(g, rows, seen, values, weights, slopes, tables, scale):
    """The gradient of q keysᵀ: weights · (g values − Σ weights · g values) · scale."""
    side = BYTES // g.itemsize
    wide = (seen + side - 1) // side * side
    _clear(slopes)
    _add(slopes[:, :wide], rows, g, tables[3], tables[0], values, tables[1], values.shape[0], CHUNK)
    for r in range(rows):
        line, shares = slopes[r], weights[r]
        level = g.dtype.type(_dot(line[:seen], shares[:seen]))
        for i in range(line.size):
            line[i] = shares[i] * (line[i] - level) * scale


@worker
def _back(
    t, g, q, k, v, dq, dk, dv, keys, values, rows_k, few, some, weights, slopes, result, sum_k,
    sum_v, tables, scale, causal,
):  # fmt: skip
    """For a thread's heads: turn keys and values; for some queries: their weights and slopes, the
    gradient of the queries, and what they add to those of keys and values."""
    lo, hi = portion(q.shape[0], t, keys.shape[0])
    length, size, features, width = q.shape[1], k.shape[1], k.shape[2], v.shape[2]
    ones, by_key, by_feature, by_value = tables[0], tables[1], tables[2], tables[3]
    for h in range(lo, hi):
        turn(keys[t][:, :size], k[h])
        turn(values[t][:, :size], v[h])
        _copy(k[h], rows_k[t])
        _clear(sum_k[t])
        _clear(sum_v[t])
        for first in range(0, length, QUERIES):
            rows = min(QUERIES, length - first)
            seen = min(size, first + rows) if causal else size
            _copy(q[h, first : first + rows], few[t])
            _copy(g[h, first : first + rows], some[t])
            _weigh(few[t], rows, first, seen, keys[t], weights[t], tables, scale, causal)
            _slope(some[t], rows, seen, values[t], weights[t], slopes[t], tables, scale)
            _add(sum_v[t], seen, weights[t], ones, by_key, some[t], by_value, rows, CHUNK)
            _add(sum_k[t], seen, slopes[t], ones, by_key, few[t], by_feature, rows, CHUNK)
            _clear(result[t])
            _add(result[t], rows, slopes[t], by_key, ones, rows_k[t], by_feature, seen, CHUNK)
            _copy(result[t][:rows, :features], dq[h, first : first + rows])
        _copy(sum_k[t][:size, :features], dk[h])
        _copy(sum_v[t][:size, :width], dv[h])


@entry
def back_kernel(
    team, g, q, k, v, dq, dk, dv, keys, values, rows_k, few, some, weights, slopes, result, sum_k,
    sum_v, tables, scale, causal,
):  # fmt: skip
    """`_back` with a run of heads to each thread."""
    args = (
        g, q, k, v, dq, dk, dv, keys, values, rows_k, few, some, weights, slopes, result, sum_k,
        sum_v, tables, scale, causal,
    )  # fmt: skip
    spread(team, keys.shape[0], _back, args)


foresee(
    attend_kernel,
    lambda team, q, k, v, out, room, values, few, weights, result, *how: [
        (back_kernel, (team, out, q, k, v, q, k, v, *(room,) * 10, *how))
    ],
)


# --- the functions of the device ------------------------------------------------------------------


def attention(q: Any, k: Any, v: Any, *, scale: float, causal: bool) -> Any:
    """softmax(q kᵀ · scale) v."""
    threads = _threads(q, k, v, causal)
    if not threads:
        return NotImplemented
    out = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    keys, features, width, room, tables = _rooms(q, k, v, threads)
    launch(
        attend_kernel, threads, _heads(q), _heads(k), _heads(v), _heads(out),
        room(q.shape[-1], keys), room(k.shape[-2], width), room(QUERIES, features),
        room(QUERIES + 1, keys), room(QUERIES, width), tables, q.dtype.type(scale), causal,
    )  # fmt: skip
    return out


def attention_back(g: Any, out: Any, q: Any, k: Any, v: Any, *, scale: float, causal: bool) -> Any:
    """The gradients of q, k and v."""
    threads = _threads(q, k, v, causal)
    if not threads or g.dtype != q.dtype:
        return NotImplemented
    slopes = [np.empty(x.shape, x.dtype) for x in (q, k, v)]
    keys, features, width, room, tables = _rooms(q, k, v, threads)
    size = -(-k.shape[-2] // ROWS) * ROWS
    launch(
        back_kernel, threads, *map(_heads, (g, q, k, v, *slopes)), room(k.shape[-1], keys),
        room(v.shape[-1], keys), room(k.shape[-2], features), room(QUERIES, features),
        room(QUERIES, width), room(QUERIES + 1, keys), room(QUERIES + 1, keys),
        room(QUERIES, features), room(size, features), room(size, width), tables,
        q.dtype.type(scale), causal,
    )  # fmt: skip
    return tuple(slopes)


def _threads(q: Any, k: Any, v: Any, causal: bool) -> int:
    """How many threads share the heads; 0 if this is for NumPy: what is not alike, one long head,
    numbers that are not finite where some are left out."""
    alike = q.shape[:-2] == k.shape[:-2] == v.shape[:-2] and q.dtype == k.dtype == v.dtype
    heads = math.prod(q.shape[:-2])
    if not (USABLE and alike and k.size and v.size and k.shape[-2] <= _MOST):
        return 0
    if causal and not all(math.isfinite(np.vdot(x, x)) for x in (q, k, v)):
        return 0
    threads = threads_for(q.size * k.shape[-2], _LEAST)
    return threads if heads >= threads else 0


def _heads(x: Any) -> Any:
    return ready(x).reshape(-1, *x.shape[-2:])


def _rooms(q: Any, k: Any, v: Any, threads: int) -> tuple[int, int, int, Any, Any]:
    """The numbers of keys, of features and of a value, filled up to vectors; what makes room in
    rows of them for each thread; the tables of `add_products`."""
    side = lanes(q.dtype)
    filled = [-(-n // side) * side for n in (k.shape[-2], q.shape[-1], v.shape[-1])]

    def room(rows: int, columns: int) -> Any:
        return aligned((threads, rows, columns), q.dtype, zeros=True)

    most = max(QUERIES, k.shape[-2], q.shape[-1], v.shape[-1]) + ROWS
    return *filled, room, _tables(most, *filled)


@lru_cache(maxsize=64)
def _tables(size: int, *pitches: int) -> Any:
    """Where rows begin: of single numbers, keys, features, values."""
    return np.arange(size) * np.array((1, *pitches))[:, None]
