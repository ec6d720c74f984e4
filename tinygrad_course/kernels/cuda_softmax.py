"""Softmax, its logarithm and cross-entropy on a GPU: a group of threads for each row.

A row is `length` neighbours in memory. Its `lanes` threads go along it together, lane by lane, so
that neighbours read neighbours, and each keeps what it has found. Then they meet in shared memory,
in a tree: half of them take up what the other half has, half of these do so again, log₂(lanes)
steps, so lanes and rows of a block are powers of two. The order of every sum is fixed: two runs
give the same bits.

A block has 256 threads: 8 rows by 32 lanes, as many as run together on a GPU, or one row by 256 for
rows longer than 1,024. With 32 lanes a row of 10 classes leaves two thirds of them idle, for as
long as it takes to read one number; fewer lanes would be slower for every longer row. All threads
reach every `syncthreads`, those without a row too: they go through it with no numbers.

Rows are read two or three times: to find the largest, to add up, to write. But for the first time
they come from the cache. NaN and infinity go where they go in NumPy: a maximum that overlooks NaN
does no harm, for the sum of exponentials does not.

The trees stand where they are needed, for a kernel that calls another function of the GPU compiles
only where there is a driver. The simulator knows shared arrays by their line: each has its own.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from . import cuda_jit
from .cuda_arrays import alike, empty, ready
from .cuda_jit import Kernel, blocks, numba_cuda, number_type

# mypy: disable-error-code="no-untyped-def"

Array = Any

cuda = numba_cuda()

LOWEST = -math.inf
NONE = -(2**63)  # a label that nobody has


@cache
def softmax_rows(log: bool, lanes: int, rows: int, dtype: Any) -> Kernel:
    """out = eˣ⁻ᵗᵒᵖ / Σ eˣ⁻ᵗᵒᵖ; or `log`: x − top − ln Σ eˣ⁻ᵗᵒᵖ.

    Loop nest: a thread group for each row; three times along the row: its largest number, the sum,
    the result; after the first two a tree.
    """
    number, threads = number_type(dtype), lanes * rows

    def kernel(x, out, count, length):
        t = cuda.threadIdx.x
        lane, row = t % lanes, cuda.blockIdx.x * rows + t // lanes
        tops = cuda.shared.array(threads, number)
        sums = cuda.shared.array(threads, number)
        start, end = row * length + lane, row * length + (length if row < count else 0)
        top, total = number(LOWEST), number(0)
        for i in range(start, end, lanes):
            top = x[i] if x[i] > top else top
        tops[t] = top
        half = lanes // 2
        while half > 0:
            cuda.syncthreads()
            if lane < half and tops[t + half] > tops[t]:
                tops[t] = tops[t + half]
            half //= 2
        cuda.syncthreads()
        top = tops[t - lane]
        for i in range(start, end, lanes):
            total += math.exp(x[i] - top)
        sums[t] = total
        half = lanes // 2
        while half > 0:
            cuda.syncthreads()
            if lane < half:
                sums[t] += sums[t + half]
            half //= 2
        cuda.syncthreads()
        total = sums[t - lane]
        for i in range(start, end, lanes):
            if log:
                out[i] = x[i] - top - math.log(total)
            else:
                out[i] = math.exp(x[i] - top) / total

    return Kernel(kernel, "x x n n", dtype)


@cache
def slope_rows(log: bool, lanes: int, rows: int, dtype: Any) -> Kernel:
    """dx = y (g − Σ g y), y the softmax; or `log`: g − e^y Σ g, y its logarithm.

    Loop nest: a thread group for each row; twice along the row: the sum, the result.
    """
    number, threads = number_type(dtype), lanes * rows

    def kernel(g, y, dx, count, length):
        t = cuda.threadIdx.x
        lane, row = t % lanes, cuda.blockIdx.x * rows + t // lanes
        sums, total = cuda.shared.array(threads, number), number(0)
        start, end = row * length + lane, row * length + (length if row < count else 0)
        for i in range(start, end, lanes):
            total += g[i] if log else g[i] * y[i]
        sums[t] = total
        half = lanes // 2
        while half > 0:
            cuda.syncthreads()
            if lane < half:
                sums[t] += sums[t + half]
            half //= 2
        cuda.syncthreads()
        total = sums[t - lane]
        for i in range(start, end, lanes):
            dx[i] = g[i] - math.exp(y[i]) * total if log else y[i] * (g[i] - total)

    return Kernel(kernel, "x x x n n", dtype)


@cache
def loss_rows(lanes: int, rows: int, dtype: Any) -> Kernel:
    """losses[r] = ln Σ eˣ⁻ᵗᵒᵖ − (x[label] − top): 0 for the label `ignore`, NaN for no class.

    Loop nest: as `softmax_rows`, but that the first lane of a row writes one number.
    """
    number, threads = number_type(dtype), lanes * rows

    def kernel(x, labels, losses, count, length, ignore):
        t = cuda.threadIdx.x
        lane, row = t % lanes, cuda.blockIdx.x * rows + t // lanes
        tops = cuda.shared.array(threads, number)
        sums = cuda.shared.array(threads, number)
        start, end = row * length + lane, row * length + (length if row < count else 0)
        top, total = number(LOWEST), number(0)
        for i in range(start, end, lanes):
            top = x[i] if x[i] > top else top
        tops[t] = top
        half = lanes // 2
        while half > 0:
            cuda.syncthreads()
            if lane < half and tops[t + half] > tops[t]:
                tops[t] = tops[t + half]
            half //= 2
        cuda.syncthreads()
        top = tops[t - lane]
        for i in range(start, end, lanes):
            total += math.exp(x[i] - top)
        sums[t] = total
        half = lanes // 2
        while half > 0:
            cuda.syncthreads()
            if lane < half:
                sums[t] += sums[t + half]
            half //= 2
        if lane == 0 and row < count:
            label, loss = labels[row], number(math.nan)
            if label == ignore:
                loss = number(0)
            elif label >= 0 and label < length:
                loss = math.log(sums[t]) - (x[start + label] - top)
            losses[row] = loss

    return Kernel(kernel, "x l x n n n", dtype)


@cache
def mean_loss(threads: int, dtype: Any) -> Kernel:
    """out[0] = Σ losses / how many labels are not `ignore`; NaN if all are.

    Loop nest: one block goes over all rows, then a tree for both sums. What one block does in the
    time of a launch, thousands of rows, is not worth sharing out among several.
    """
    number = number_type(dtype)
    whole = number_type(np.int64)

    def kernel(losses, labels, out, ignore):
        t, total, counted = cuda.threadIdx.x, number(0), 0
        sums = cuda.shared.array(threads, number)
        counts = cuda.shared.array(threads, whole)
        for r in range(t, losses.shape[0], threads):
            total += losses[r]
            counted += 1 if labels[r] != ignore else 0
        sums[t], counts[t] = total, counted
        half = threads // 2
        while half > 0:
            cuda.syncthreads()
            if t < half:
                sums[t] += sums[t + half]
                counts[t] += counts[t + half]
            half //= 2
        if t == 0:
            out[0] = sums[0] / number(counts[0])

    return Kernel(kernel, "x l x n", dtype)


@cache
def loss_slope_rows(lanes: int, rows: int, dtype: Any) -> Kernel:
    """dx = (softmax(x) − 1 at the label) · g / m: 0 for the label `ignore`, NaN for no class.

    Loop nest: as `softmax_rows`. Before, the whole block goes over all labels, to count the m that
    are not `ignore`: each block for itself, for reading a few thousand labels, which the cache has,
    takes less time than one more launch.
    """
    number, threads, whole = number_type(dtype), lanes * rows, number_type(np.int64)

    def kernel(g, x, labels, dx, count, length, ignore):
        t = cuda.threadIdx.x
        lane, row = t % lanes, cuda.blockIdx.x * rows + t // lanes
        tops = cuda.shared.array(threads, number)
        sums = cuda.shared.array(threads, number)
        counts, counted = cuda.shared.array(threads, whole), 0
        for r in range(t, count, threads):
            counted += 1 if labels[r] != ignore else 0
        start, end = row * length + lane, row * length + (length if row < count else 0)
        top, total = number(LOWEST), number(0)
        for i in range(start, end, lanes):
            top = x[i] if x[i] > top else top
        tops[t], counts[t] = top, counted
        half = threads // 2
        while half > 0:
            cuda.syncthreads()
            if t < half:
                counts[t] += counts[t + half]
            if lane < half and half < lanes and tops[t + half] > tops[t]:
                tops[t] = tops[t + half]
            half //= 2
        cuda.syncthreads()
        top = tops[t - lane]
        for i in range(start, end, lanes):
            total += math.exp(x[i] - top)
        sums[t] = total
        half = lanes // 2
        while half > 0:
            cuda.syncthreads()
            if lane < half:
                sums[t] += sums[t + half]
            half //= 2
        cuda.syncthreads()
        total, share = sums[t - lane], g[0] / number(counts[0])
        label = labels[row] if row < count else 0
        if label != ignore and (label < 0 or label >= length):
            share = number(math.nan)
        for i in range(start, end, lanes):
            hit = number(1) if i - row * length == label else number(0)
            slope = (math.exp(x[i] - top) / total - hit) * share
            dx[i] = number(0) if label == ignore else slope

    return Kernel(kernel, "x x l x n n n", dtype)


# --- the functions of the device ------------------------------------------------------------------


def softmax(x: Array, *, dim: int) -> Array:
    """eˣ / Σ eˣ along the last dimension."""
    return _along(softmax_rows, False, dim, x)


def log_softmax(x: Array, *, dim: int) -> Array:
    """x − ln Σ eˣ along the last dimension."""
    return _along(softmax_rows, True, dim, x)


def softmax_back(g: Array, out: Array, x: Array, *, dim: int) -> Array:
    """The gradient of `softmax`."""
    return _along(slope_rows, False, dim, g, out)


def log_softmax_back(g: Array, out: Array, x: Array, *, dim: int) -> Array:
    """The gradient of `log_softmax`."""
    return _along(slope_rows, True, dim, g, out)


def _along(make: Any, log: bool, dim: int, x: Array, *others: Array) -> Array:
    if dim != x.ndim - 1 or not x.size or not alike(x, *others):
        return NotImplemented
    out, (lanes, rows) = empty(x.shape, x.dtype, x), cuda_jit.layout(x.shape[-1])
    sizes = (x.size // x.shape[-1], x.shape[-1])
    kernel = make(log, lanes, rows, x.dtype)
    kernel((blocks(sizes[0], rows),), lanes * rows, *map(ready, (x, *others)), out, *sizes)
    return out


def cross_entropy(x: Array, labels: Array, *, ignore: int | None = None) -> Array:
    """−Σ ln softmax(x)[n, label[n]] / m over the m rows of x whose label is not `ignore`.

    A label that is no class makes the result NaN: to raise would be to wait for the GPU.
    """
    if not _fits(x, labels):
        return NotImplemented
    losses, out = empty(labels.shape, x.dtype, x), empty((), x.dtype, x)
    (lanes, rows), none = cuda_jit.layout(x.shape[1]), NONE if ignore is None else ignore
    labels, grid = ready(labels), (blocks(len(x), rows),)
    loss_rows(lanes, rows, x.dtype)(grid, lanes * rows, ready(x), labels, losses, *x.shape, none)
    mean_loss(lanes * rows, x.dtype)((1,), lanes * rows, losses, labels, out.reshape(1), none)
    return out


def cross_entropy_back(
    g: Array, out: Array, x: Array, labels: Array, *, ignore: int | None = None
) -> Array:
    """The gradient of `cross_entropy`: (softmax(x) − 1 at the labels) · g / m."""
    if not _fits(x, labels) or g.dtype != x.dtype:
        return NotImplemented
    dx, (lanes, rows) = empty(x.shape, x.dtype, x), cuda_jit.layout(x.shape[1])
    args = (g.reshape(1), ready(x), ready(labels), dx, *x.shape, NONE if ignore is None else ignore)
    loss_slope_rows(lanes, rows, x.dtype)((blocks(len(x), rows),), lanes * rows, *args)
    return dx


def _fits(x: Array, labels: Array) -> bool:
    return x.size > 0 and alike(x) and labels.dtype == np.int64 and labels.shape == x.shape[:1]
