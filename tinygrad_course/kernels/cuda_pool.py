"""Pooling on a GPU: a thread for each number that is written.

Whatever can be is gathered, not scattered: a thread looks up all that belongs to its one result and
writes that once, so no two threads write to one place and the order of every sum is fixed. The one
exception is `put`, which knows where values go and not where they come from.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .cuda_jit import LINEAR, Kernel, numba_cuda

# mypy: disable-error-code="no-untyped-def"

cuda = numba_cuda()


@cache
def largest(dtype: Any, places: bool) -> Kernel:
    """Each window's largest value; or where it is, h · W + w.

    Loop nest: a thread for each window; rows and columns of the window. The first of equal values
    stays, a NaN wins over every number. What neighbouring windows share is read again, from the
    cache: a tile in shared memory would save nothing, for nothing is computed.
    """

    def kernel(x, out, count, height, width, down, across, kh, kw, sh, sw, ph, pw, dh, dw):
        at = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if at >= count:
            return
        plane, place = at // (down * across), at % (down * across)
        top, left = place // across * sh - ph, place % across * sw - pw
        start = plane * height * width
        found, best = -1, x[start]
        for i in range(kh):
            h = top + i * dh
            if h >= 0 and h < height:
                for j in range(kw):
                    w = left + j * dw
                    if w >= 0 and w < width:
                        value = x[start + h * width + w]
                        if found < 0 or value > best or value != value:
                            found, best = h * width + w, value
        if places:
            out[at] = found
        else:
            out[at] = best

    return Kernel(kernel, ("x l" if places else "x x") + " n" * 13, dtype)


@cache
def take(dtype: Any) -> Kernel:
    """out[i] = x[plane of i, indices[i]]: a thread for each number."""

    def kernel(x, indices, out, count, places, pixels):
        at = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if at < count:
            out[at] = x[at // places * pixels + indices[at]]

    return Kernel(kernel, "x l x n n n", dtype)


@cache
def put(dtype: Any) -> Kernel:
    """out[plane of i, indices[i]] += g[i], from zeros: a thread for each number.

    The additions are atomic. Where windows do not overlap every place is written once; where they
    do, the order of the few additions to a place is open, and with it the last bit of their sum.
    """

    def kernel(g, indices, out, count, places, pixels):
        at = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if at < count:
            cuda.atomic.add(out, at // places * pixels + indices[at], g[at])

    return Kernel(kernel, "x l x n n n", dtype)


@cache
def average(dtype: Any) -> Kernel:
    """The mean of each window: a thread for each window; its rows and columns.

    `tall` and `wide` hold how many rows and columns of each window count.
    """

    def kernel(x, tall, wide, out, count, height, width, down, across, kh, kw, sh, sw, ph, pw):
        at = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if at >= count:
            return
        plane, place = at // (down * across), at % (down * across)
        row, column = place // across, place % across
        start, total = plane * height * width, tall[0] - tall[0]  # a zero of the dtype
        for i in range(kh):
            h = row * sh - ph + i
            if h >= 0 and h < height:
                for j in range(kw):
                    w = column * sw - pw + j
                    if w >= 0 and w < width:
                        total += x[start + h * width + w]
        out[at] = total / (tall[row] * wide[column])

    return Kernel(kernel, "x x x x" + " n" * 11, dtype)


@cache
def spread(dtype: Any) -> Kernel:
    """The gradient of `average`: a thread for each pixel; the windows that hold it."""

    def kernel(g, tall, wide, out, count, height, width, down, across, kh, kw, sh, sw, ph, pw):
        at = cuda.blockIdx.x * LINEAR + cuda.threadIdx.x
        if at >= count:
            return
        plane, place = at // (height * width), at % (height * width)
        h, w = place // width + ph, place % width + pw
        start, total = plane * down * across, tall[0] - tall[0]
        first, left = 0, 0
        if h >= kh:
            first = (h - kh) // sh + 1
        if w >= kw:
            left = (w - kw) // sw + 1
        for row in range(first, h // sh + 1):
            if row < down:
                for column in range(left, w // sw + 1):
                    if column < across:
                        value = g[start + row * across + column]
                        total += value / (tall[row] * wide[column])
        out[at] = total

    return Kernel(kernel, "x x x x" + " n" * 11, dtype)
