"""The kernels of the device "cuda": float32 and float64 in numba.cuda, other dtypes in CuPy.

Each function has the name, the signature and the result of its namesake in `plain`. Arrays are
CuPy's, are read where they lie, and never leave the GPU. Nothing waits for the GPU: indices that
point outside of an image, which the CPU's kernels find, are not looked for.

What a launch needs besides the arrays (its kernel, its grid, its plan) is worked out once for every
set of shapes and options.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import cuda_conv as conv
from . import cuda_pool, plain
from .cuda_arrays import FLOATS, empty, gpu_of, put_beside, ready
from .cuda_jit import THREADS, Kernel, blocks
from .geometry import Averages, Pair, Shape, check_places, check_same, conv_shape, pool_shape

Array = Any
Ints = tuple[int, ...]

_MOST = 2**31 - 1  # plans are made of 32-bit integers
_WAVE = 256  # about as many blocks as keep a large GPU busy


def _suits(*arrays: Array) -> bool:
    dtype = arrays[0].dtype
    return dtype in FLOATS and all(a.dtype == dtype and 0 < a.size < _MOST for a in arrays)


# --- convolution ----------------------------------------------------------------------------------


class Job(NamedTuple):
    """A launch but for its arrays."""

    kernel: Kernel
    grid: Ints
    plan: Array


def conv2d(x: Array, w: Array, b: Array | None = None, **how: Any) -> Array:
    """Cross-correlation of x (N, C, H, W) with w (O, C/groups, kh, kw): `plain.conv2d`."""
    if not _suits(x, w) or (b is not None and b.dtype != x.dtype):
        return plain.conv2d(x, w, b, **how)
    shape, job = _forward(x.shape, w.shape, *_options(**how), x.dtype, gpu_of(x), b is not None)
    out, w = empty(shape, x.dtype, x), ready(w)
    job.kernel(job.grid, THREADS, ready(x), w, w if b is None else ready(b), out, job.plan)
    return out


def conv2d_input(g: Array, w: Array, *, size: Pair, **how: Any) -> Array:
    """The gradient of `conv2d` with respect to its input, (N, C, H, W): `plain.conv2d_input`."""
    if not _suits(g, w):
        return plain.conv2d_input(g, w, size=size, **how)
    shape, jobs = _backward(g.shape, w.shape, size, *_options(**how), g.dtype, gpu_of(g))
    dx, g, w = empty(shape, g.dtype, g), ready(g), ready(w)
    for job in jobs:
        job.kernel(job.grid, THREADS, g, w, w, dx, job.plan)
    return dx


def conv2d_weight(x: Array, g: Array, *, size: Pair, **how: Any) -> Array:
    """The gradient of `conv2d` with respect to its weight: `plain.conv2d_weight`."""
    if not _suits(x, g):
        return plain.conv2d_weight(x, g, size=size, **how)
    shape, parts, job = _weights(x.shape, g.shape, size, *_options(**how), x.dtype, gpu_of(x))
    sums = empty(shape if parts == 1 else (parts, *shape), x.dtype, x)
    job.kernel(job.grid, THREADS, ready(x), ready(g), sums, job.plan)
    return sums if parts == 1 else sums.sum(axis=0)


def _options(*, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
    return stride, padding, dilation, groups


@lru_cache(maxsize=256)
def _forward(
    x: Ints, w: Ints, stride: Pair, padding: Pair, dilation: Pair, groups: int, dtype: Any,
    place: int, biased: bool,
) -> tuple[Ints, Job]:  # fmt: skip
    n, o, *size = shape = tuple(conv_shape(x, w, stride, padding, dilation, groups))
    pixels, rows = size[0] * size[1], o // groups
    taps = _taps(w[1:], x[2:], padding, dilation)
    head = _head(rows, n * pixels, x, groups, stride, size)
    head |= {conv.W_GROUP: rows * len(taps[0]), conv.W_ROW: len(taps[0])}
    head |= {conv.OUT_GROUP: rows * pixels, conv.OUT_IMAGE: o * pixels, conv.OUT_ROW: pixels,
             conv.OUT_Y: size[1], conv.OUT_X: 1, conv.BIASED: int(biased)}  # fmt: skip
    plan = _plan(head, (*taps, np.arange(len(taps[0]))), place)
    return shape, _product(rows, n * pixels, groups, dtype, plan)


@lru_cache(maxsize=256)
def _backward(
    g: Ints, w: Ints, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    dtype: Any, place: int,
) -> tuple[Ints, list[Job]]:  # fmt: skip
    """A job for each set of pixels y = s · i + ry, x = s · j + rx, which the same taps reach."""
    shape = (g[0], w[1] * groups, *size)
    check_same(g, conv_shape(shape, w, stride, padding, dilation, groups), "the gradient")
    (o, c), area, image = (w[0] // groups, w[1]), w[2] * w[3], size[0] * size[1]
    jobs = []
    for ry in range(min(stride[0], size[0])):
        for rx in range(min(stride[1], size[1])):
            down, across = (
                blocks(n - r, s) for n, r, s in zip(size, (ry, rx), stride, strict=True)
            )
            ky, kx = (
                [(i, (r + p - i * d) // s) for i in range(k) if (r + p - i * d) % s == 0]
                for k, r, p, d, s in zip(w[2:], (ry, rx), padding, dilation, stride, strict=True)
            )
            grid = [(m, i, j) for m in range(o) for i in ky for j in kx]
            tables = np.array(
                [(m * g[2] * g[3] + y * g[3] + x, y, x, m * c * area + i * w[3] + j)
                 for m, (i, y), (j, x) in grid], np.int64
            ).reshape(-1, 4).T  # fmt: skip
            head = _head(c, g[0] * down * across, g, groups, (1, 1), (down, across))
            head |= {conv.W_GROUP: o * c * area, conv.W_ROW: area}
            head |= {conv.OUT_GROUP: c * image, conv.OUT_IMAGE: shape[1] * image,
                     conv.OUT_ROW: image, conv.OUT_Y: stride[0] * size[1],
                     conv.OUT_X: stride[1], conv.OUT_START: ry * size[1] + rx}  # fmt: skip
            plan = _plan(head, tables, place)
            jobs.append(_product(c, g[0] * down * across, groups, dtype, plan))
    return shape, jobs


@lru_cache(maxsize=256)
def _weights(
    x: Ints, g: Ints, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    dtype: Any, place: int,
) -> tuple[Ints, int, Job]:  # fmt: skip
    shape = (g[1], x[1] // max(groups, 1), *size)
    check_same(g, conv_shape(x, shape, stride, padding, dilation, groups), "the gradient")
    rows, pixels = g[1] // groups, g[2] * g[3]
    taps = _taps(shape[1:], x[2:], padding, dilation)
    count, total = len(taps[0]), g[0] * pixels
    tall, wide = (16, 64) if rows <= 16 else (64, 64)
    if dtype.itemsize == 4 and blocks(rows, 128) * blocks(count, 128) * groups >= _WAVE // 8:
        tall, wide = 128, 128
    tiles = blocks(rows, tall) * blocks(count, wide) * groups
    parts = max(1, min(2 * _WAVE // tiles, blocks(total, 128), 65535 // groups))
    head = _head(rows, total, x, groups, stride, g[2:])
    head |= {conv.W_GROUP: rows * pixels, conv.OUT_IMAGE: g[1] * pixels,
             conv.OUT_GROUP: rows * count, conv.OUT_START: groups * rows * count,
             conv.SHARE: blocks(total, parts), conv.SPLIT: parts}  # fmt: skip
    plan = _plan(head, (*taps, np.arange(count)), place)
    grid = (blocks(count, wide), blocks(rows, tall), groups * parts)
    return shape, parts, Job(conv.weigh(tall, wide, 16, dtype), grid, plan)


def _taps(window: Ints, image: Ints, padding: Pair, dilation: Pair) -> tuple[Any, Any, Any]:
    """For each tap: how far from a pixel's corner to read, by how many rows and columns."""
    c, i, j = (v.ravel() for v in np.indices(window))
    y, x = i * dilation[0] - padding[0], j * dilation[1] - padding[1]
    return (c * image[0] + y) * image[1] + x, y, x


def _head(
    rows: int, pixels: int, src: Ints, groups: int, step: Pair, size: Sequence[int]
) -> dict[int, int]:
    area = src[2] * src[3]
    return {conv.ROWS: rows, conv.PIXELS: pixels, conv.PLANE: size[0] * size[1],
            conv.WIDE: size[1], conv.SRC_IMAGE: src[1] * area, conv.HEIGHT: src[2],
            conv.WIDTH: src[3], conv.STEP_Y: step[0], conv.STEP_X: step[1],
            conv.SRC_GROUP: src[1] // groups * area}  # fmt: skip


def _plan(head: dict[int, int], tables: Any, place: int) -> Array:
    first = np.zeros(conv.TABLES, np.int32)
    for at, value in (head | {conv.TAPS: len(tables[0])}).items():
        first[at] = value
    return put_beside(np.concatenate([first, *tables]).astype(np.int32), place)


def _product(rows: int, pixels: int, groups: int, dtype: Any, plan: Array) -> Job:
    """The direct kernel for few channels, else the largest tile that there are enough of."""
    if rows <= 16:
        channels = 8 if rows <= 8 else 16
        grid = (blocks(pixels, THREADS), blocks(rows, channels), groups)
        return Job(conv.correlate_few(channels, dtype), grid, plan)
    big = blocks(rows, 128) * blocks(pixels, 128) * groups >= _WAVE
    side = 128 if big and rows > 64 and dtype.itemsize == 4 else 64
    grid = (blocks(pixels, side), blocks(rows, side), groups)
    return Job(conv.correlate(side, side, 16, dtype), grid, plan)


# --- pooling --------------------------------------------------------------------------------------


def max_pool2d(x: Array, **how: Any) -> Array:
    """Each window's largest value: `plain.max_pool2d`."""
    return _largest(x, False, **how) if _suits(x) else plain.max_pool2d(x, **how)


def max_pool2d_indices(x: Array, **how: Any) -> Array:
    """Where each window's largest value is, h·W + w as int64: `plain.max_pool2d_indices`."""
    return _largest(x, True, **how) if _suits(x) else plain.max_pool2d_indices(x, **how)


def _largest(
    x: Array, places: bool, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair,
    ceil_mode: bool,
) -> Array:  # fmt: skip
    window = (kernel_size, stride, padding, dilation)
    shape = pool_shape(x.shape, *window, ceil_mode)
    out = empty(shape, np.int64 if places else x.dtype, x)
    sizes = (*x.shape[2:], *shape[2:], *(n for pair in window for n in pair))
    cuda_pool.largest(x.dtype, places).each(out.size, ready(x), out, out.size, *sizes)
    return out


def pool_take(x: Array, indices: Array) -> Array:
    """The values of images (N, C, H, W) at places (N, C, Ho, Wo): `plain.pool_take`."""
    check_places(indices.shape, x.shape)
    if not _suits(x) or indices.dtype != np.int64:
        return plain.pool_take(x, indices)
    out = empty(indices.shape, x.dtype, x)
    sizes = (out.size, indices.shape[2] * indices.shape[3], x.shape[2] * x.shape[3])
    cuda_pool.take(x.dtype).each(out.size, ready(x), ready(indices), out, *sizes)
    return out


def pool_put(g: Array, indices: Array, *, size: Pair) -> Array:
    """Values added up at their places in images of zeros, (N, C, H, W): `plain.pool_put`."""
    check_same(indices.shape, g.shape, "the array of indices")
    if not _suits(g) or indices.dtype != np.int64:
        return plain.pool_put(g, indices, size=size)
    out = empty((*g.shape[:2], *size), g.dtype, g)
    out.fill(0)
    sizes = (g.size, g.shape[2] * g.shape[3], size[0] * size[1])
    cuda_pool.put(g.dtype).each(g.size, ready(g), ready(indices), out, *sizes)
    return out


def avg_pool2d(x: Array, **how: Any) -> Array:
    """The mean of each window: `plain.avg_pool2d`."""
    if not _suits(x):
        return plain.avg_pool2d(x, **how)
    by = Averages(**how)
    out = empty(by.shape(x.shape), x.dtype, x)
    _average(cuda_pool.average(x.dtype), ready(x), out, x.shape[2:], out.shape[2:], by)
    return out


def avg_pool2d_input(g: Array, *, size: Pair, **how: Any) -> Array:
    """Each value spread evenly over its window, (N, C, H, W): `plain.avg_pool2d_input`."""
    if not _suits(g):
        return plain.avg_pool2d_input(g, size=size, **how)
    by = Averages(**how)
    dx = empty(by.image(g.shape, size), g.dtype, g)
    _average(cuda_pool.spread(g.dtype), ready(g), dx, dx.shape[2:], g.shape[2:], by)
    return dx


def _average(
    kernel: Kernel, src: Array, out: Array, image: Shape, windows: Shape, by: Averages
) -> None:
    tall, wide = _counts(out.dtype, gpu_of(out), image, windows, by)
    numbers = [n for pair in (image, windows, *by[:3]) for n in pair]
    kernel.each(out.size, src, tall, wide, out, out.size, *numbers)


@lru_cache(maxsize=256)
def _counts(dtype: Any, place: int, image: Shape, windows: Shape, by: Averages) -> list[Array]:
    return [put_beside(np.array(axis, dtype), place) for axis in by.divisors(image, windows)]
