"""Window rows: convolution, pooling, windows laid out, and sampling along an axis.

Convolution's three passes are three rows, closed under differentiation: each is linear in both of
its arguments, and the derivative of each is made of the other two. The others come in pairs, each
the other's rule: taking the elements at some indices and putting them back, laying windows out and
adding them up again. Sampling is the product with a sparse matrix; its rule is the same row with
the transposed matrix.

Rows work on two spatial dimensions; one and three are brought to two in `functions.convolution` and
`functions.pooling`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.kernels import taps as sampling
from tinygrad_course.primitive import Primitive

from .reduce import sum_over


def _kernel(name: str) -> Any:
    """The device's kernel of that name, else the plain NumPy one."""
    return lambda *arrays, **how: devices.kernel(name, arrays[0])(*arrays, **how)


# `image` and `window` are the sizes (H, W) of the input and (kh, kw) of the weight; `how` is
# stride, padding, dilation and groups.
conv2d_rows = Primitive(
    "conv2d", "out[n,o,i,j] = Σ w[o,c,p,q] · x[n, c, s·i + d·p − pad, s·j + d·q − pad] + b[o]",
    lambda x, *w, image, window, **how: devices.kernel("conv2d", x)(x, *w, **how),
    lambda g, out, x, w, b, **sizes: conv2d_input(g, w, **sizes),
    lambda g, out, x, w, b, **sizes: conv2d_weight(x, g, **sizes),
    devices.faster("conv2d_bias", lambda g, out, x, w, b, **_: sum_over(
        g, dim=(0, 2, 3), keepdim=False, source=tuple(g.shape)), least=0),
)
conv2d_input = Primitive(
    "conv2d_input", "the gradient of conv2d with respect to its input",
    lambda y, w, *, image, window, **how: devices.kernel("conv2d_input", y)(
        y, w, size=image, **how),
    lambda g, out, y, w, **sizes: conv2d_rows(g, w, **sizes),
    lambda g, out, y, w, **sizes: conv2d_weight(g, y, **sizes),
)
conv2d_weight = Primitive(
    "conv2d_weight", "the gradient of conv2d with respect to its weight",
    lambda x, y, *, image, window, **how: devices.kernel("conv2d_weight", x)(
        x, y, size=window, **how),
    lambda g, out, x, y, **sizes: conv2d_input(y, g, **sizes),
    lambda g, out, x, y, **sizes: conv2d_rows(x, g, **sizes),
)

max_rows = Primitive(
    "max_pool2d", "the largest value of each window",
    lambda x, *, size, **how: devices.kernel("max_pool2d", x)(x, **how),
    lambda g, out, x, *, size, **how: pool_put(g, max_indices(x, **how), size=size),
)
max_indices = Primitive(
    "max_pool2d_indices", "where each window's largest value is", _kernel("max_pool2d_indices"),
)
max_indices_3d = Primitive(
    "max_pool3d_indices", "where the largest value of each window is, in images with depth",
    lambda x, **how: _largest(x, **how),
)
adaptive_indices = Primitive(
    "adaptive_max_pool2d_indices", "where the largest value of each adaptive window is",
    _kernel("adaptive_max_pool2d_indices"),
)
pool_take = Primitive(
    "pool_take", "the elements at the indices, image by image",
    lambda x, indices, *, size: devices.kernel("pool_take", x)(x, indices),
    lambda g, out, x, indices, *, size: pool_put(g, indices, size=size),
)
pool_put = Primitive(
    "pool_put", "zeros, with elements added at the indices, image by image", _kernel("pool_put"),
    lambda g, out, x, indices, *, size: pool_take(g, indices, size=size),
)
avg_rows = Primitive(
    "avg_pool2d", "the mean of each window",
    lambda x, *, size, **how: devices.kernel("avg_pool2d", x)(x, **how),
    lambda g, out, x, *, size, **how: avg_input(g, size=size, **how),
)
avg_input = Primitive(
    "avg_pool2d_input", "the gradient of avg_pool2d by its input", _kernel("avg_pool2d_input"),
    lambda g, out, y, *, size, **how: avg_rows(g, size=size, **how),
)

# `size` is that of the axis, `window` that of a window; windows stand at dim, their elements after.
windows = Primitive(
    "windows", "out[…, i, p, …] = x[…, step·i + dilation·p, …] at dim and dim + 1",
    lambda x, *, dim, size, window, step, dilation: _windows(x, dim, window, step, dilation),
    lambda g, out, x, **how: windows_sum(g, **how),
    view=True,
)
windows_sum = Primitive(
    "windows_sum", "windows added up where they came from",
    lambda y, **how: _windows_sum(y, **how),
    lambda g, out, y, **how: windows(g, **how),
)
resample = Primitive(
    "resample", "out[i] = Σₜ weights[t, i] · x[places[t, i]] along dim",
    lambda x, *, dim, taps: sampling.sample(x, dim=dim, taps=taps),
    lambda g, out, x, *, dim, taps: resample(g, dim=dim, taps=taps.back),
)


def _windows(x: Any, dim: int, window: int, step: int, dilation: int) -> Any:
    reach = dilation * (window - 1) + 1
    view = np.lib.stride_tricks.sliding_window_view(x, reach, dim)
    view = view[(slice(None),) * dim + (slice(None, None, step), ..., slice(None, None, dilation))]
    return np.moveaxis(view, -1, dim + 1)


def _windows_sum(y: Any, *, dim: int, size: int, window: int, step: int, dilation: int) -> Any:
    out = np.zeros_like(y, shape=(*y.shape[:dim], size, *y.shape[dim + 2 :]))
    before, every, last = (slice(None),) * dim, slice(None), (y.shape[dim] - 1) * step + 1
    for p in range(0, window * dilation, dilation):
        out[(*before, slice(p, p + last, step))] += y[(*before, every, p // dilation)]
    return out


def _largest(x: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
             ceil_mode: bool) -> Any:
    """Where the largest value of each window is, (d · H + h) · W + w: in every slice, then among
    the slices' largest. So the first of equal values still wins."""
    def indices(values: Any, window: Any) -> Any:
        names = ("kernel_size", "stride", "padding", "dilation")
        return max_indices(values, **dict(zip(names, window, strict=True)), ceil_mode=ceil_mode)

    n, c, d, h, w = x.shape
    slices = x.reshape(n, c * d, h, w)
    flat = indices(slices, [v[1:] for v in (kernel_size, stride, padding, dilation)])
    best = pool_take(slices, flat, size=(h, w))
    best = best.reshape(n, c, d, best.shape[2] * best.shape[3])
    axis = ((kernel_size[0], 1), (stride[0], 1), (padding[0], 0), (dilation[0], 1))
    place = indices(best, axis)  # (N, C, Do, Ho·Wo): slice · Ho·Wo + place in the slice
    inside = pool_take(flat.reshape(best.shape), place, size=best.shape[2:])
    out = place // best.shape[3] * (h * w) + inside
    return out.reshape(n, c, place.shape[2], *flat.shape[2:])
