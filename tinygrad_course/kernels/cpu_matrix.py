"""Convolution as one matrix product: for very small images with many channels.

Every output pixel's window is written out as a column (im2col); the product of the weights with all
columns is the convolution. The columns take kh·kw times the room of the image, but where there are
hundreds of channels the product outweighs that, and no run of pixels has to be long. Images come
last in memory here, so that even a row of two pixels is a long run. Only without groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .geometry import Pair, Shape
from .plain import crop, padded_shape, taps

Array = Any


def pays(out: Shape, w: Shape, groups: int) -> bool:
    """Whether it is the faster way, by measurement: up to 5 by 5 pixels, from 128 channels."""
    few, many = out[2] * out[3] <= 25, w[0] >= 128 and w[1] * w[2] * w[3] >= 256
    return few and many and groups == 1


def conv2d(x: Array, w: Array, out: Shape, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """`plain.conv2d` with an output of that shape."""
    columns = _columns(x, w.shape[2:], out[2:], stride, padding, dilation)
    rows = np.matmul(w.reshape(w.shape[0], -1), columns)  # (O, C·kh·kw) (C·kh·kw, Ho·Wo·N)
    return _images_first(rows.reshape(*out[1:], out[0]))


def conv2d_input(
    g: Array, w: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """`plain.conv2d_input`: the columns of the gradient, added up where they came from."""
    columns = np.matmul(w.reshape(w.shape[0], -1).T, _flat(_images_last(g)))
    columns = columns.reshape(*w.shape[1:], *g.shape[2:], g.shape[0])
    dx = _padded((g.shape[0], w.shape[1], *size), padding, g.dtype)
    for i, j, tap in taps(dx, w.shape[2:], g.shape[2:], stride, dilation):
        tap += _first(columns[:, i, j])
    return np.ascontiguousarray(crop(dx, padding, size))


def conv2d_weight(
    x: Array, g: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """`plain.conv2d_weight`."""
    columns = _columns(x, size, g.shape[2:], stride, padding, dilation)
    return np.matmul(_flat(_images_last(g)), columns.T).reshape(g.shape[1], x.shape[1], *size)


def _columns(
    x: Array, kernel: Shape, size: Shape, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """(C·kh·kw, Ho·Wo·N): what each tap of each channel sees at each output pixel."""
    padded = _padded(x.shape, padding, x.dtype)
    crop(padded, padding, x.shape[2:])[...] = x
    columns = np.empty((x.shape[1], *kernel, *size, x.shape[0]), x.dtype)
    for i, j, tap in taps(padded, kernel, size, stride, dilation):
        _first(columns[:, i, j])[...] = tap
    return columns.reshape(x.shape[1] * kernel[0] * kernel[1], -1)


def _padded(shape: Shape, padding: Pair, dtype: Any) -> Array:
    """Zeros for padded images (N, C, H, W), which lie in memory as (C, H, W, N)."""
    n, *rest = padded_shape(shape, padding)
    return _first(np.zeros((*rest, n), dtype))


def _first(x: Array) -> Array:
    """(C, H, W, N) seen as (N, C, H, W)."""
    return x.transpose(3, 0, 1, 2)


def _images_first(x: Array) -> Array:
    return np.ascontiguousarray(_first(x))


def _images_last(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(1, 2, 3, 0))


def _flat(x: Array) -> Array:
    return x.reshape(x.shape[0], -1)
