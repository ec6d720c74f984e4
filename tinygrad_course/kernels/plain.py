"""Convolution and pooling in NumPy's own words: complete, short, slow. Every kernel's oracle.

Everything is a sum over the taps (i, j) of a window. A tap sees one slice of the padded image, with
a value for every output pixel; `taps` hands out these slices. A forward pass reads them, the pass
that is its transpose adds into them.

Any dtype, any layout. CuPy arrays work too: NumPy hands its functions over to CuPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .geometry import (
    Averages,
    Pair,
    Shape,
    check_places,
    check_same,
    conv_shape,
    divisors,
    pool_shape,
)
from .philox import philox as philox
from .taps import bins

Array = Any  # numpy.ndarray, or an array that NumPy's functions are handed over to


def conv2d(
    x: Array, w: Array, b: Array | None = None, *, stride: Pair, padding: Pair, dilation: Pair,
    groups: int,
) -> Array:  # fmt: skip
    """Cross-correlation:
    `out[n,o,h,w] = b[o] + Σ_{c,i,j} w[o,c,i,j] · x[n, c, h·s+i·d−p, w·s+j·d−p]`.

    Args:
        x: (N, C, H, W).
        w: (O, C/groups, kh, kw).
        b: (O,) or None.

    Returns:
        (N, O, Ho, Wo), in the input's dtype.
    """
    shape = conv_shape(x.shape, w.shape, stride, padding, dilation, groups)
    xs, ws = pad(_wide(x), padding), _weight_groups(_wide(w), groups)
    out: Array = 0
    for i, j, tap in taps(xs, w.shape[2:], shape[2:], stride, dilation):
        out = out + np.matmul(ws[..., i, j], _groups(tap, groups))  # (G, O, C) (N, G, C, P)
    out = np.reshape(out, shape)
    return (out if b is None else out + b[:, None, None]).astype(x.dtype)


def conv2d_input(
    g: Array, w: Array, *, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """The transpose of `conv2d` in its input: the gradient with respect to x.

    `dx[n, c, h·s+i·d−p, w·s+j·d−p] += Σ_o w[o,c,i,j] · g[n,o,h,w]` for every tap (i, j).

    Args:
        g: (N, O, Ho, Wo).
        w: (O, C/groups, kh, kw).
        size: (H, W) of the input.

    Returns:
        (N, C, H, W), in the gradient's dtype.
    """
    shape = (g.shape[0], w.shape[1] * groups, *size)
    out = conv_shape(shape, w.shape, stride, padding, dilation, groups)
    check_same(g.shape, out, "the gradient")
    gs = _groups(_wide(g), groups)
    ws = np.swapaxes(_weight_groups(_wide(w), groups), 1, 2)
    dx = np.zeros_like(gs, shape=padded_shape(shape, padding))
    for i, j, tap in taps(dx, w.shape[2:], out[2:], stride, dilation):
        tap += np.reshape(np.matmul(ws[..., i, j], gs), tap.shape)  # (G, C, O) (N, G, O, P)
    return crop(dx, padding, size).astype(g.dtype)


def conv2d_weight(
    x: Array, g: Array, *, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """The transpose of `conv2d` in its weight: the gradient with respect to w.

    `dw[o,c,i,j] = Σ_{n,h,w} g[n,o,h,w] · x[n, c, h·s+i·d−p, w·s+j·d−p]`

    Args:
        x: (N, C, H, W).
        g: (N, O, Ho, Wo).
        size: (kh, kw) of the weight.

    Returns:
        (O, C/groups, kh, kw), in the input's dtype.
    """
    shape = (g.shape[1], x.shape[1] // max(groups, 1), *size)
    out = conv_shape(x.shape, shape, stride, padding, dilation, groups)
    check_same(g.shape, out, "the gradient")
    xs, gs = pad(_wide(x), padding), _groups(_wide(g), groups)
    dw = np.zeros_like(xs, shape=(groups, shape[0] // groups, *shape[1:]))
    for i, j, tap in taps(xs, size, out[2:], stride, dilation):
        pixels = np.swapaxes(_groups(tap, groups), 2, 3)
        dw[..., i, j] = np.matmul(gs, pixels).sum(0)  # (N, G, O, P) (N, G, P, C)
    return np.reshape(dw, shape).astype(x.dtype)


def max_pool2d(x: Array, **window: Any) -> Array:
    """The largest value of each window, NaN if there is one; arguments as `max_pool2d_indices`."""
    return pool_take(x, max_pool2d_indices(x, **window))


def max_pool2d_indices(
    x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Array:
    """Where each window's largest value is: its index h·W + w in the image, as int64.

    The first of equal values wins, and a NaN wins over every number, as in PyTorch.

    Args:
        x: (N, C, H, W).

    Returns:
        (N, C, Ho, Wo).
    """
    shape = pool_shape(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    size, pixels = shape[2:], x.shape[2] * x.shape[3]
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    places = np.reshape(np.arange(pixels, like=x), (1, 1, *x.shape[2:]))
    reach = _reach(size, kernel_size, stride, dilation)
    values, places = pad(x, padding, reach, lowest), pad(places, padding, reach, -1)
    best = np.full_like(x, lowest, shape=shape)
    indices = np.full_like(x, -1, shape=shape, dtype=np.int64)
    for i, j, value in taps(values, kernel_size, size, stride, dilation):
        place = tap_of(places, i, j, size, stride, dilation)
        wins = (place >= 0) & ((value > best) | (value != value) | (indices < 0))
        best, indices = np.where(wins, value, best), np.where(wins, place, indices)
    return indices


def adaptive_max_pool2d_indices(x: Array, *, size: Pair) -> Array:
    """Where the largest value of each of `size` adaptive windows is: as `max_pool2d_indices`.

    Args:
        x: (N, C, H, W).
        size: (Ho, Wo).

    Returns:
        (N, C, Ho, Wo).
    """
    axes = zip(x.shape[2:], size, strict=True)
    (top, bottom), (left, right) = edges = [bins(n, o) for n, o in axes]
    tall, wide = (int((stop - start).max(initial=0)) for start, stop in edges)
    top, bottom, left, right = (np.asarray(v, like=x) for v in (top, bottom, left, right))
    best = np.full_like(x, 0, shape=(*x.shape[:2], *size))
    indices = np.full_like(x, -1, shape=best.shape, dtype=np.int64)
    for i in range(tall):
        h = np.minimum(top + i, bottom - 1)
        strip = np.take(x, h, axis=2)
        for j in range(wide):
            w = np.minimum(left + j, right - 1)
            value, place = np.take(strip, w, axis=3), h[:, None] * x.shape[3] + w
            wins = (value > best) | (value != value) | (indices < 0)
            best, indices = np.where(wins, value, best), np.where(wins, place, indices)
    return indices


def pool_take(x: Array, indices: Array) -> Array:
    """The values of an image at given places: `out[n,c,h,w] = x[n, c, indices[n,c,h,w]]`.

    Args:
        x: (N, C, H, W).
        indices: (N, C, Ho, Wo), places h·W + w.

    Returns:
        (N, C, Ho, Wo).
    """
    check_places(indices.shape, x.shape)
    flat = np.reshape(x, (*x.shape[:2], x.shape[2] * x.shape[3]))
    places = np.reshape(indices, (*x.shape[:2], indices.shape[2] * indices.shape[3]))
    return np.reshape(np.take_along_axis(flat, places, axis=2), indices.shape)


def pool_put(g: Array, indices: Array, *, size: Pair) -> Array:
    """The transpose of `pool_take`: add each value up at its place in an image of zeros.

    Args:
        g: (N, C, Ho, Wo).
        indices: (N, C, Ho, Wo), places h·W + w.
        size: (H, W) of the image.

    Returns:
        (N, C, H, W).
    """
    check_same(indices.shape, g.shape, "the array of indices")
    pixels, planes = size[0] * size[1], g.shape[0] * g.shape[1]
    start = np.reshape(np.arange(planes, like=indices) * pixels, (*g.shape[:2], 1, 1))
    sums = np.bincount(np.ravel(indices + start), np.ravel(g), minlength=planes * pixels)
    return np.reshape(sums, (*g.shape[:2], *size)).astype(g.dtype)


def avg_pool2d(
    x: Array,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The mean of each window.

    Args:
        x: (N, C, H, W).
        count_include_pad: padding counts as zeros among a window's pixels (what hangs over the
            padding by `ceil_mode` never counts).
        divisor_override: divide by this instead of by the number of pixels.

    Returns:
        (N, C, Ho, Wo).
    """
    shape = pool_shape(x.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    averaged = divisors(
        x.shape[2:], shape[2:], kernel_size, stride, padding, count_include_pad, divisor_override
    )
    xs = pad(_wide(x), padding, _reach(shape[2:], kernel_size, stride, (1, 1)))
    out: Array = 0
    for _, _, tap in taps(xs, kernel_size, shape[2:], stride, (1, 1)):
        out = out + tap
    return (out / _outer(averaged, xs)).astype(x.dtype)


def avg_pool2d_input(g: Array, *, size: Pair, **how: Any) -> Array:
    """The transpose of `avg_pool2d`: spread each value evenly over its window.

    Args:
        g: (N, C, Ho, Wo).
        size: (H, W) of the image.
        how: as `avg_pool2d`.

    Returns:
        (N, C, H, W).
    """
    by = Averages(**how)
    shape, out, kernel_size, stride = by.image(g.shape, size), g.shape, by.kernel_size, by.stride
    share = _wide(g)
    share = share / _outer(by.divisors(size, out[2:]), share)
    reach = _reach(out[2:], kernel_size, stride, (1, 1))
    dx = np.zeros_like(share, shape=padded_shape(shape, by.padding, reach))
    for _, _, tap in taps(dx, kernel_size, out[2:], stride, (1, 1)):
        tap += share
    return crop(dx, by.padding, size).astype(g.dtype)


# --- windows, taps and padding --------------------------------------------------------------------


def taps(
    padded: Array, kernel: Shape, size: Shape, stride: Pair, dilation: Pair
) -> Iterator[tuple[int, int, Array]]:
    """For each tap (i, j): the view of the padded images that it sees, one value a window."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            yield i, j, tap_of(padded, i, j, size, stride, dilation)


def tap_of(padded: Array, i: int, j: int, size: Shape, stride: Pair, dilation: Pair) -> Array:
    rows, columns = (
        slice(k * d, k * d + (n - 1) * s + 1, s)
        for k, d, n, s in zip((i, j), dilation, size, stride, strict=True)
    )
    return padded[:, :, rows, columns]


def _reach(size: Shape, kernel: Pair, stride: Pair, dilation: Pair) -> Pair:
    """How far the last window reaches into the padded image."""
    axes = zip(size, kernel, stride, dilation, strict=True)
    height, width = ((n - 1) * s + (k - 1) * d + 1 for n, k, s, d in axes)
    return height, width


def padded_shape(shape: Shape, padding: Pair, reach: Pair = (0, 0)) -> Shape:
    axes = zip(shape[2:], padding, reach, strict=True)
    return (*shape[:2], *(max(n + 2 * p, r) for n, p, r in axes))


def pad(x: Array, padding: Pair, reach: Pair = (0, 0), value: float = 0) -> Array:
    """The images with padding on every side, and more at the end if windows reach farther."""
    whole = np.full_like(x, value, shape=padded_shape(x.shape, padding, reach))
    crop(whole, padding, x.shape[2:])[...] = x
    return whole


def crop(padded: Array, padding: Pair, size: Shape) -> Array:
    rows, columns = (slice(p, p + n) for p, n in zip(padding, size, strict=True))
    return padded[:, :, rows, columns]


def _groups(x: Array, groups: int) -> Array:
    n, channels, height, width = x.shape
    return np.reshape(x, (n, groups, channels // groups, height * width))


def _weight_groups(w: Array, groups: int) -> Array:
    return np.reshape(w, (groups, w.shape[0] // groups, *w.shape[1:]))


def _wide(x: Array) -> Array:
    """Half precision is added up in single."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _outer(axes: tuple[list[int], ...], like: Array) -> Array:
    rows, columns = (np.asarray(axis, like.dtype, like=like) for axis in axes)
    return rows[:, None] * columns
