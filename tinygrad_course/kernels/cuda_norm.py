"""Normalisation on a GPU: batch, layer, group, instance and RMS norm.

Arrays are seen as (N, S, D): S statistics, each of N runs of D values; w and b as (P, J): statistic
s takes row s mod P, and each of its J numbers is shared by D/J neighbours (`moments.layout`).

A group of threads has a statistic to itself, reads its values two or three times, and writes the
results: one launch each way. The second time most values come from the cache. A batch norm has as
many statistics as channels, 64 to 512, about as many as a GPU has processors; for the few channels
of an image most of them would be idle, and that is what this costs. As in `cuda_softmax`, 32 lanes
go along a short statistic and 256 along a long one, and sums meet in a tree in shared memory, in an
order that is fixed.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from . import cuda_jit
from .cuda_arrays import alike, empty, ready
from .cuda_jit import LINEAR, Kernel, blocks, numba_cuda, number_type
from .geometry import Shape
from .moments import Moments, layout

# mypy: disable-error-code="no-untyped-def"

Array = Any

cuda = numba_cuda()


@cache
def forward(lanes: int, rows: int, given: bool, centred: bool, dtype: Any) -> Kernel:
    """out = (x − mean) · rstd · w + b; stats = mean, variance, rstd.

    Loop nest: a thread group for each statistic; three times over its runs and their values: for
    the mean, the mean square around it, the result; after the first two a tree. A thread goes on by
    `lanes` values, into the next run where one ends; its place is counted, for a division takes a
    GPU as long as thirty additions.
    """
    number, threads = number_type(dtype), lanes * rows
    first = 2 if given else 0 if centred else 1

    def kernel(x, w, b, mean, var, out, stats, runs, count, size, tall, wide, used, total, eps):
        t = cuda.threadIdx.x
        lane, s = t % lanes, cuda.blockIdx.x * rows + t // lanes
        sums = cuda.shared.array(threads, number)
        runs = runs if s < count else 0  # all threads must come to the trees: some have no values
        skip, step, row, shared = lanes // size, lanes % size, s % tall * wide, size // wide
        middle, square = number(0), number(0)
        if given and s < count:
            middle, square = mean[s], var[s]
        for turn in range(first, 2):
            n, d, found = lane // size, lane % size, number(0)
            while n < runs:
                far = x[(n * count + s) * size + d] - middle
                found += far * far if turn > 0 else far
                n, d = n + skip, d + step
                if d >= size:
                    n, d = n + 1, d - size
            sums[t] = found
            half = lanes // 2
            while half > 0:
                cuda.syncthreads()
                if lane < half:
                    sums[t] += sums[t + half]
                half //= 2
            cuda.syncthreads()
            found = sums[t - lane] / total
            cuda.syncthreads()
            if turn > 0:
                square = found
            else:
                middle = found
        rstd = number(1) / math.sqrt(square + eps)
        if lane == 0 and s < count:
            stats[s], stats[count + s], stats[2 * count + s] = middle, square, rstd
        n, d = lane // size, lane % size
        while n < runs:
            i, j = (n * count + s) * size + d, row
            if wide > 1:
                j += d if shared == 1 else d // shared
            value = (x[i] - middle) * rstd
            if used % 2 > 0:
                value *= w[j]
            if used > 1:
                value += b[j]
            out[i] = value
            n, d = n + skip, d + step
            if d >= size:
                n, d = n + 1, d - size

    return Kernel(kernel, "x x x x x x x n n n n n n r r", dtype)


@cache
def backward(lanes: int, rows: int, given: bool, centred: bool, dtype: Any) -> Kernel:
    """dx = rstd · (h − mean h − x̂ · mean(h x̂)), h = w g; dw = Σ g x̂ and db = Σ g if `own`.

    Loop nest: a thread group for each statistic; twice over its runs and their values: for the sums
    of h and h (x − mean), and the result; between them a tree for both sums. Where a weight belongs
    to one statistic alone, as in a batch norm, its gradient is one of these sums.
    """
    number, threads = number_type(dtype), lanes * rows

    def kernel(g, x, w, mean, rstds, dx, dw, db, runs, count, size, tall, wide, used, own, total):
        t = cuda.threadIdx.x
        lane, s = t % lanes, cuda.blockIdx.x * rows + t // lanes
        levels = cuda.shared.array(threads, number)
        alongs = cuda.shared.array(threads, number)
        runs = runs if s < count else 0  # all threads must come to the tree: some have no values
        skip, step, row, shared = lanes // size, lanes % size, s % tall * wide, size // wide
        middle, rstd, level, along = number(0), number(0), number(0), number(0)
        if s < count:
            middle, rstd = mean[s], rstds[s]
        n, d = lane // size, lane % size
        while n < runs:
            i, j = (n * count + s) * size + d, row
            h = g[i]
            if used > 0 and wide > 1:
                j += d if shared == 1 else d // shared
                h *= w[j]
            level += h
            along += h * (x[i] - middle)
            n, d = n + skip, d + step
            if d >= size:
                n, d = n + 1, d - size
        levels[t], alongs[t] = level, along
        half = lanes // 2
        while half > 0:
            cuda.syncthreads()
            if lane < half:
                levels[t] += levels[t + half]
                alongs[t] += alongs[t + half]
            half //= 2
        cuda.syncthreads()
        level, along = levels[t - lane], alongs[t - lane]
        if own > 0 and lane == 0 and s < count:
            dw[row], db[row] = along * rstd, level
        scale = w[row] if used > 0 and wide == 1 else number(1)
        level = level * scale * rstd / total if centred and not given else number(0)
        along = number(0) if given else along * scale * rstd * rstd * rstd / total
        n, d = lane // size, lane % size
        while n < runs:
            i, j, h = (n * count + s) * size + d, row, scale
            if used > 0 and wide > 1:
                j += d if shared == 1 else d // shared
                h = w[j]
            dx[i] = rstd * h * g[i] - (x[i] - middle) * along - level
            n, d = n + skip, d + step
            if d >= size:
                n, d = n + 1, d - size

    return Kernel(kernel, "x x x x x x x x n n n n n n n r", dtype)


@cache
def weights(lanes: int, rows: int, across: bool, dtype: Any) -> Kernel:
    """dw = Σ g x̂ and db = Σ g, where statistics have weights in common.

    Loop nest: a thread group for each weight; the statistics that use it; in each, the neighbours
    that share it; then a tree. The group divides the neighbours among its threads, or, `across`,
    the statistics, where each value has a weight of its own. Then it is the weights that lie side
    by side, so neighbouring threads are those of neighbouring weights: 8 numbers of 4 bytes, just
    what a GPU reads at a time, and 32 lanes to go down many rows with.
    """
    number, threads, stride = number_type(dtype), lanes * rows, rows if across else 1

    def kernel(g, x, mean, rstd, dw, db, runs, count, size, tall, wide):
        t = cuda.threadIdx.x
        lane, which = (t // rows, t % rows) if across else (t % lanes, t // lanes)
        which += cuda.blockIdx.x * rows
        products = cuda.shared.array(threads, number)
        sums = cuda.shared.array(threads, number)
        p, j, shared, each = which // wide, which % wide, size // wide, count // tall
        product, total = number(0), number(0)
        n, k, begin, jump = 0, lane if across else 0, 0 if across else lane, 1 if across else lanes
        while k >= each:
            n, k = n + 1, k - each
        while n < runs and p < tall:
            s = k * tall + p
            start = (n * count + s) * size + j * shared
            for i in range(start + begin, start + shared, jump):
                total += g[i]
                product += g[i] * (x[i] - mean[s]) * rstd[s]
            k += lanes if across else 1
            while k >= each:
                n, k = n + 1, k - each
        products[t], sums[t] = product, total
        half = lanes // 2
        while half > 0:
            cuda.syncthreads()
            if lane < half:
                products[t] += products[t + half * stride]
                sums[t] += sums[t + half * stride]
            half //= 2
        if lane == 0 and p < tall:
            dw[which], db[which] = products[t], sums[t]

    return Kernel(kernel, "x x x x x x n n n n n", dtype)


@cache
def following(dtype: Any) -> Kernel:
    """out = keep · running + take · value: a thread for each number."""

    def kernel(running, value, out, keep, take):
        i = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if i < out.shape[0]:
            out[i] = keep * running[i] + take * value[i]

    return Kernel(kernel, "x x x r r", dtype)


# --- the functions of the device ------------------------------------------------------------------


def normalise(x: Array, w: Array, b: Array, *, form: Shape, by: Moments) -> Array:
    """`moments.normalise`, if what is averaged together lies together in memory."""
    found = layout(x, w, b, form, by.dims) if x.size and alike(x) else None
    if found is None or (by.given and by.mean.dtype != x.dtype):
        return NotImplemented
    (runs, count, size), (tall, wide) = found
    x, out, stats = ready(x), empty(x.shape, x.dtype, x), empty((3, count), x.dtype, x)
    mean, var = (ready(by.mean), ready(by.var)) if by.given else (x, x)
    used = (w is not None) + 2 * (b is not None)
    lanes, rows = cuda_jit.layout(runs * size)
    forward(lanes, rows, by.given, by.centred, x.dtype)(
        (blocks(count, rows),), lanes * rows, x, x if w is None else ready(w),
        x if b is None else ready(b), mean.reshape(-1), var.reshape(-1), out, stats, runs, count,
        size, tall, wide, used, by.count(x), x.dtype.type(by.eps),
    )  # fmt: skip
    found = [stats[i].reshape(by.shape(x)) for i in range(3)]
    by.rstd = found[2]
    if not by.given:
        by.mean, by.var = found[:2]
    return out


def normalise_back(
    g: Array, out: Array, x: Array, w: Array, b: Array, *, form: Shape, by: Moments
) -> Any:
    """`moments.normalise_back`, if what is averaged together lies together in memory."""
    found = layout(x, w, b, form, by.dims) if x.size and alike(x, g) else None
    if found is None:
        return NotImplemented
    (runs, count, size), (tall, wide) = found
    g, x, dx = ready(g), ready(x), empty(x.shape, x.dtype, x)
    mean, rstd = by.mean.reshape(-1), by.rstd.reshape(-1)
    dw, db = (empty((tall * wide,) if p is None else p.shape, x.dtype, x) for p in (w, b))
    needed, own = w is not None or b is not None, tall == count and wide == 1
    lanes, rows = cuda_jit.layout(runs * size)
    backward(lanes, rows, by.given, by.centred, x.dtype)(
        (blocks(count, rows),), lanes * rows, g, x, x if w is None else ready(w), mean, rstd, dx,
        dw, db, runs, count, size, tall, wide, int(w is not None), int(needed and own), by.count(x),
    )  # fmt: skip
    if needed and not own:
        across = size // wide < 32
        lanes, rows = cuda_jit.layout(size // wide)
        grid = (blocks(tall * wide, rows),)
        args = (g, x, mean, rstd, dw, db, runs, count, size, tall, wide)
        weights(lanes, rows, across, x.dtype)(grid, lanes * rows, *args)
    return dx, None if w is None else dw, None if b is None else db


def follow(running: Array, value: Array, *, momentum: float, scale: float = 1.0) -> Array:
    """(1 − momentum) running + momentum · scale · value: `moments.follow`."""
    if not alike(running, value):
        return NotImplemented
    out, number = empty(running.shape, running.dtype, running), running.dtype.type
    sizes = number(1 - momentum), number(momentum * scale)
    following(running.dtype).each(out.size, ready(running), ready(value), out, *sizes)
    return out
