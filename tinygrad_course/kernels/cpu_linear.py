"""The product of a linear layer, x Wᵀ, for the CPU: of rows with rows.

OpenBLAS turns W around in its own way before it multiplies, which for a layer of some hundred
features takes as long as the product. Here W is turned in squares of vectors, 64 of its rows at a
time, a *panel* (K, 64); then blocks of up to 6 rows of x by the panel stay in registers while some
of the K are added up (`cpu_vector`)::

    out[m, j]  =  Σ_k x[m, k] · panel[k, j],    panel[k, j] = W[j, k]

A thread has some of the panels: a weight's rows then belong to the same thread here, in their
gradient, and in the optimiser's step. Or it has some rows of x, where there are more of them than
of W, or no panel for each thread: what another core wrote has to come from there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .arrays import Rooms
from .cpu_jit import entry, launch, worker
from .cpu_spread import portion, spread
from .cpu_vector import (
    BYTES,
    CHUNK,
    USABLE,
    VECTORS,
    add_block,
    block_rows,
    chunk_of,
    lanes,
    turn_square,
)

Array = Any

_STRIP = 96  # rows of x to go through together: their sums stay in the first-level cache


def pays(rows: int, inner: int, columns: int, dtype: Any) -> bool:
    """Whether this is the way, by measurement: enough rows to turn W for, full panels."""
    wide = VECTORS * lanes(dtype)
    filled = columns / (-(-columns // wide) * wide)
    return USABLE and rows >= 12 and inner >= lanes(dtype) and filled > 0.7


def product(x: Array, w: Array, threads: int) -> Array:
    """x Wᵀ of x (M, K) and W (N, K), contiguous and of one dtype, float32 or float64."""
    (rows, inner), columns, wide = x.shape, len(w), VECTORS * lanes(x.dtype)
    out = np.empty((rows, columns), x.dtype)
    room = (inner + min(_STRIP, rows + 1)) * wide
    by_rows = rows > columns or -(-columns // wide) % threads > 0
    rooms = _rooms((threads, room))
    mine = rooms.take(x.dtype)
    launch(_product, threads, x, w, out, *_tables(rows, inner, wide), mine, by_rows)
    rooms.give(mine)
    return out


@lru_cache(maxsize=512)
def _tables(rows: int, inner: int, wide: int) -> tuple[Array, Array, Array]:
    """Where the rows of x begin (and a last one that fills a block up), and their numbers; and
    where a panel's rows begin."""
    across = np.minimum(np.arange(rows + 1), rows - 1) * inner
    return across, np.arange(inner), np.arange(inner) * wide


# What a panel takes the place of comes from the other core, unless it is another panel.
_rooms = lru_cache(maxsize=16)(lambda shape: Rooms(shape, keep=1 << 20))


@worker
def _turn(panel: Array, w: Array) -> None:
    """panel[k, j] = w[j, k], or 0 beyond the last row; the last square of a row may overlap the
    one before."""
    inner, n = w.shape[1], BYTES // w.itemsize
    for j in range(0, panel.shape[1], n):
        if j + n <= w.shape[0]:
            for k in range(0, inner, n):
                k = min(k, inner - n)
                turn_square(panel[k : k + n, j : j + n], w[j : j + n, k : k + n])
        else:
            for k in range(inner):
                for i in range(j, j + n):
                    panel[k, i] = w[i, k] if i < w.shape[0] else 0


@worker
def _part(
    t: int, x: Array, w: Array, out: Array, across: Array, along: Array, places: Array, rooms:
    Array, by_rows: bool,
) -> None:  # fmt: skip
    """For a thread's panels, for its rows m (a strip of them at a time), for k (some at a time):
    sums[m, j] += x[m, k] · panel[k, j]; store the sums."""
    room, threads, (rows, inner), wide = rooms[t], rooms.shape[0], x.shape, places[1] - places[0]
    panel, sums = room[: inner * wide].reshape(inner, wide), room[inner * wide :].reshape(-1, wide)
    top, bottom = portion((rows + 1) // 2, t, threads) if by_rows else (0, (rows + 1) // 2)
    panels = (w.shape[0] + wide - 1) // wide
    left, right = (0, panels) if by_rows else portion(panels, t, threads)
    chunk = chunk_of(inner, CHUNK)
    for p in range(left, right):
        some = w[p * wide : (p + 1) * wide]
        _turn(panel, some)
        for first in range(top * 2, bottom * 2, _STRIP):
            count = min(_STRIP, bottom * 2 - first)
            sums[:count] = 0
            for k in range(0, inner, chunk):
                stop, m = min(k + chunk, inner), 0
                while m < count:
                    n, starts = block_rows(count - m), across[first + m :]
                    add_block(sums[m:], n, x, starts, along, panel, places, k, stop)
                    m += n
            for m in range(min(count, rows - first)):
                line = out[first + m, p * wide : p * wide + some.shape[0]]
                for j in range(line.size):
                    line[j] = sums[m, j]


@entry
def _product(
    team: int, x: Array, w: Array, out: Array, across: Array, along: Array, places: Array, rooms:
    Array, by_rows: bool,
) -> None:  # fmt: skip
    """`_part` for each thread."""
    spread(team, rooms.shape[0], _part, (x, w, out, across, along, places, rooms, by_rows))
