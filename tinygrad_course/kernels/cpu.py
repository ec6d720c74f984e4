"""The kernels of the device "cpu": float32 and float64 in Numba, other dtypes in NumPy.

Each function has the name, the signature and the result of its namesake in `plain`. Arguments may
have any layout; none is written to.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import cpu_channels_plan, cpu_conv, cpu_many, cpu_pool, cpu_winograd_plan, options, plain
from .arrays import ready as _ready
from .cpu_jit import launch
from .cpu_plan import Cut, forward, turned
from .cpu_vector import USABLE, lanes
from .geometry import Averages, Pair, Shape, check_places, check_same, conv_shape, pool_shape
from .threads import threads_for

Array = Any
Ints = tuple[int, ...]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_LEAST_PRODUCTS = 1 << 20  # a parallel launch costs as much as this many products ...
_LEAST_PIXELS = 1 << 14  # ... or looking at this many pixels


def _suits(*arrays: Array) -> bool:
    """Whether the kernels take these arrays; NumPy takes the others, and those without numbers."""
    dtype = arrays[0].dtype
    for a in arrays:
        if (a.dtype is not dtype and a.dtype != dtype) or not a.size:
            return False
    return dtype in _FLOATS


# --- pooling --------------------------------------------------------------------------------------


def max_pool2d(
    x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Array:
    """The largest value of each window: `plain.max_pool2d`."""
    shape = pool_shape(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    if not _suits(x):
        return plain.max_pool2d(
            x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
            ceil_mode=ceil_mode,
        )  # fmt: skip
    window, none = (*kernel_size, *stride, *padding, *dilation), np.empty(0, x.dtype)
    out, work = np.empty(shape, x.dtype), math.prod(shape) * kernel_size[0] * kernel_size[1]
    threads = threads_for(work, _LEAST_PIXELS)
    room, (numbers, _) = _room(x.shape[2:], shape[2:], window)
    launch(
        cpu_pool.pool, threads, _ready(x), out, window, room, none, none, False,
        _rows(threads, numbers, x.dtype),
    )  # fmt: skip
    return out


def max_pool2d_indices(
    x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Array:
    """Where each window's largest value is, h·W + w as int64: `plain.max_pool2d_indices`."""
    shape = pool_shape(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    if not _suits(x):
        return plain.max_pool2d_indices(
            x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
            ceil_mode=ceil_mode,
        )  # fmt: skip
    out = np.empty(shape, np.int64)
    window = (*kernel_size, *stride, *padding, *dilation)
    threads = threads_for(out.size * kernel_size[0] * kernel_size[1], _LEAST_PIXELS)
    room, (numbers, taps) = _room(x.shape[2:], shape[2:], window)
    launch(
        cpu_pool.largest, threads, _ready(x), out, window, room, _rows(threads, numbers, x.dtype),
        _rows(threads, taps, np.int32),
    )  # fmt: skip
    return out


def pool_take(x: Array, indices: Array) -> Array:
    """The values of images (N, C, H, W) at places (N, C, Ho, Wo): `plain.pool_take`."""
    check_places(indices.shape, x.shape)
    if not _suits(x) or indices.dtype != np.int64 or not indices.size:
        return plain.pool_take(x, indices)
    out = np.empty(indices.shape, x.dtype)
    threads = threads_for(out.size, _LEAST_PIXELS)
    _move(x, indices, out, False, threads)
    return out


def pool_put(g: Array, indices: Array, *, size: Pair) -> Array:
    """Values added up at their places in images of zeros, (N, C, H, W): `plain.pool_put`."""
    check_same(indices.shape, g.shape, "the array of indices")
    if not _suits(g) or indices.dtype != np.int64:
        return plain.pool_put(g, indices, size=size)
    out = np.empty((*g.shape[:2], *size), g.dtype)
    threads = threads_for(out.size + g.size, _LEAST_PIXELS)
    _move(g, indices, out, True, threads)
    return out


def avg_pool2d(
    x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Array:  # fmt: skip
    """The mean of each window: `plain.avg_pool2d`."""
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    by = _means(x.shape, x.dtype, options)
    if not by.suits:
        return plain.avg_pool2d(x, **by.options._asdict())
    out, threads = np.empty(by.shape, x.dtype), threads_for(by.work, _LEAST_PIXELS)
    launch(
        cpu_pool.pool, threads, _ready(x), out, by.window, by.room, *by.counts, True,
        _rows(threads, by.numbers, x.dtype),
    )  # fmt: skip
    return out


def avg_pool2d_input(
    g: Array, *, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Array:  # fmt: skip
    """Each value spread evenly over its window, (N, C, H, W): `plain.avg_pool2d_input`."""
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    shape = (*g.shape[:2], *size)
    by = _means(shape, g.dtype, options)
    if g.shape != by.shape:
        check_same(g.shape, by.shape, "the gradient")
    if not by.suits:
        return plain.avg_pool2d_input(g, size=size, **by.options._asdict())
    dx, threads = np.empty(shape, g.dtype), threads_for(by.work, _LEAST_PIXELS)
    room = _rows(threads, g.shape[3] + size[1], g.dtype)
    launch(cpu_pool.back, threads, _ready(g), dx, by.window, *by.counts, room)
    return dx


class Means(NamedTuple):
    """An average pool of images of one shape and dtype."""

    options: Averages
    suits: bool  # as `_suits` says
    shape: Shape  # of the pooled images
    work: int  # how many pixels there are, or are looked at
    window: Ints
    room: Ints
    numbers: int  # that a thread needs room for
    counts: tuple[Array, Array]  # what a window's sum is divided by, for its row and its column


@lru_cache(maxsize=512)
def _means(x: Shape, dtype: Any, options: Any) -> Means:
    by = Averages(*options)
    shape, window = by.shape(x), (*by.kernel_size, *by.stride, *by.padding, 1, 1)
    rows, columns = (np.array(axis, dtype) for axis in by.divisors(x[2:], shape[2:]))
    room, (numbers, _) = _room(x[2:], shape[2:], window)
    suits = dtype in _FLOATS and math.prod(shape) > 0
    work = max(math.prod(x), math.prod(shape) * math.prod(by.kernel_size))
    return Means(by, suits, shape, work, window, room, numbers, (rows, columns))


_room = lru_cache(maxsize=512)(cpu_pool.room_for)


def _rows(threads: int, size: int, dtype: Any) -> Array:
    """Room for each thread, at a distance: a cache line that two write to wanders to and fro."""
    return np.empty((threads, size + 32), dtype)


def _flat(x: Array) -> Array:
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2] * x.shape[3])


def _move(source: Array, indices: Array, out: Array, put: bool, threads: int) -> None:
    outside = np.zeros(threads, np.int64)
    arrays = (_ready(source), _ready(indices), out)
    launch(cpu_pool.move, threads, *map(_flat, arrays), put, outside)
    if outside.any():
        height, width = (out if put else source).shape[2:]
        raise IndexError(
            f"{outside.sum()} of the indices point outside of images of {height} by {width} pixels"
        )


# --- convolution ----------------------------------------------------------------------------------

Window = tuple[Pair, Pair, Pair, int]  # what these name
_OPTIONS = ("stride", "padding", "dilation", "groups")


class Plan:
    """A convolution of images and weights of these shapes: what of it is worked out once."""

    def __init__(self, x: Shape, w: Shape, dtype: Any, window: Window, winograd: bool) -> None:
        self.x, self.w, self.dtype, self.window, self.winograd = x, w, dtype, window, winograd
        self.out = conv_shape(x, w, *window)
        self.products = math.prod(self.out) * math.prod(w[1:])
        self.suits = USABLE and dtype in _FLOATS and math.prod(x) > 0 and math.prod(w) > 0
        self._ways: dict[int, Ways] = {}

    def takes_back(self, g: Array, other: Array) -> bool:
        """Whether kernels take the output's gradient, whose shape is checked, and the other array
        that a gradient is made of."""
        if g.shape != self.out:
            check_same(g.shape, self.out, "the gradient")
        return self.suits and g.dtype == other.dtype

    def ways(self) -> Ways:
        """The ways of computing it on as many threads as it deserves now."""
        threads = threads_for(self.products, _LEAST_PRODUCTS)
        if threads not in self._ways:
            self._ways[threads] = Ways(self, threads)
        return self._ways[threads]


_plan = lru_cache(maxsize=512)(Plan)


class Ways:
    """Which ways of computing a convolution pay; the first of these that it can take is taken, and
    if it is none, the plain loops of `cpu_conv`, on images cut for the forward pass and the weight
    gradient (`cut`) or for the input gradient (`turned`)."""

    def __init__(self, plan: Plan, threads: int) -> None:
        x, w, out, window, dtype = plan.x, plan.w, plan.out, plan.window, plan.dtype
        self.threads = threads
        # images side by side: `cpu_many`
        self.many = cpu_many.pays(x, w, out, *window, threads, dtype)
        # fewer products: `cpu_winograd`
        self.fewer = plan.winograd and cpu_winograd_plan.pays(x, w, out, *window, dtype)
        # channels side by side, `cpu_channels`, where the output's fill vectors ...
        self.wide_out = cpu_channels_plan.pays(out[1], window[3], dtype)
        # ... and where the input's do, for its gradient
        self.wide_in = cpu_channels_plan.pays(x[1], window[3], dtype)
        self._shapes = (x, w, out, *window, threads, lanes(dtype))

    @cached_property
    def cut(self) -> Cut:
        return forward(*self._shapes)

    @cached_property
    def turned(self) -> Cut:
        return turned(*self._shapes)


def conv2d(
    x: Array, w: Array, b: Array | None = None, *, stride: Pair, padding: Pair, dilation: Pair,
    groups: int,
) -> Array:  # fmt: skip
    """Cross-correlation of x (N, C, H, W) with w (O, C/groups, kh, kw): `plain.conv2d`."""
    dtype, window = x.dtype, (stride, padding, dilation, groups)
    plan = _plan(x.shape, w.shape, dtype, window, options.winograd)
    if not plan.suits or w.dtype != dtype or (b is not None and b.dtype != dtype):
        return plain.conv2d(
            x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
    shape, ways = plan.out, plan.ways()
    threads = ways.threads
    out = np.empty(shape, dtype)
    start = np.zeros(shape[1], dtype) if b is None else _ready(b)
    if ways.many and cpu_many.conv2d(_ready(x), _ready(w), start, out, padding, dilation, threads):
        return out
    if ways.fewer and cpu_winograd_plan.conv2d(_ready(x), _ready(w), out, padding, threads):
        return _with_bias(out, b)
    if ways.wide_out:
        cpu_channels_plan.conv2d(_ready(x), _ready(w), out, window, threads)
        return _with_bias(out, b)
    _correlate(_ready(x), out, _ready(w), start, ways.cut, threads)
    return out


def _with_bias(out: Array, b: Array | None) -> Array:
    return out if b is None else np.add(out, b[:, None, None], out=out)


def conv2d_input(
    g: Array, w: Array, *, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """The gradient of `conv2d` with respect to its input, (N, C, H, W): `plain.conv2d_input`.

    At the borders the kernel multiplies weights by zeros around the gradient, which is no harm
    unless they are infinite or NaN; then NumPy computes it.
    """
    dtype, window = g.dtype, (stride, padding, dilation, groups)
    shape = (g.shape[0], w.shape[1] * groups, *size)
    plan = _plan(shape, w.shape, dtype, window, options.winograd)
    if not plan.takes_back(g, w):
        return _plain("conv2d_input", g, w, size, window)
    ways = plan.ways()
    threads = ways.threads
    dx = np.empty(shape, dtype)
    if ways.many and cpu_many.conv2d_input(_ready(g), _ready(w), dx, padding, dilation, threads):
        return dx
    if ways.fewer and cpu_winograd_plan.conv2d_input(_ready(g), _ready(w), dx, padding, threads):
        return dx
    if ways.wide_in:
        finite = cpu_channels_plan.conv2d_input(_ready(g), _ready(w), dx, window, threads)
    else:
        none = np.zeros(shape[1], dtype)
        finite = _correlate(_ready(g), dx, _ready(w), none, ways.turned, threads)
    return dx if finite else _plain("conv2d_input", g, w, size, window)


def _plain(name: str, a: Array, b: Array, size: Pair, window: Window) -> Array:
    """A gradient by the function of that name in `plain`."""
    how: Any = dict(zip(_OPTIONS, window, strict=True))
    gradient: Array = getattr(plain, name)(a, b, size=size, **how)
    return gradient


def conv2d_weight(
    x: Array, g: Array, *, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """The gradient of `conv2d` with respect to its weight: `plain.conv2d_weight`.

    The kernel multiplies numbers that belong to no pixel by zero, which is no harm unless they are
    infinite or NaN. A result that is not finite is therefore computed again, without them.
    """
    dtype, window = x.dtype, (stride, padding, dilation, groups)
    shape = (g.shape[1], x.shape[1] // max(groups, 1), *size)
    plan = _plan(x.shape, shape, dtype, window, options.winograd)
    if not plan.takes_back(g, x):
        return _plain("conv2d_weight", x, g, size, window)
    ways = plan.ways()
    threads = ways.threads
    dw = np.empty(shape, dtype)
    if ways.many:
        cpu_many.conv2d_weight(_ready(x), _ready(g), dw, padding, dilation, threads)
        return dw
    if ways.fewer and cpu_winograd_plan.conv2d_weight(_ready(x), _ready(g), dw, padding, threads):
        return dw
    if ways.wide_out:
        cpu_channels_plan.conv2d_weight(_ready(x), _ready(g), dw, window, threads)
        return dw
    cut, rows = ways.cut, ways.cut.packed[2]
    sums = 1 if rows >= 8 * threads else threads
    partial, room = np.zeros((sums, groups, rows, cut.packed[3]), dtype), cut.rooms.take(dtype)
    finite = launch(
        cpu_conv.weigh, threads, _ready(x), _ready(g), dw.reshape(shape[0], -1), partial, room,
        cut.offsets[0], cut.tables, cut.plan[:11], cut.units // cut.plan[-1],
    )  # fmt: skip
    cut.rooms.give(room)
    return dw if finite else _plain("conv2d_weight", x, g, size, window)


def conv2d_bias(g: Array, *_: Any, **how: Any) -> Array:
    """The gradient of `conv2d` with respect to its bias: the sum over images and pixels."""
    if not _suits(g):
        return NotImplemented
    images, channels, height, width = g.shape
    sums = np.empty((threads_for(g.size, _LEAST_PIXELS), channels))
    lines = _ready(g).reshape(images, channels, height * width)
    out = np.empty(channels, g.dtype)
    launch(cpu_conv.add_up, len(sums), lines, sums, out)
    return out


def _correlate(src: Array, dst: Array, w: Array, start: Array, cut: Cut, threads: int) -> Any:
    packed, room = np.zeros(cut.packed, w.dtype), cut.rooms.take(w.dtype)
    finite = launch(
        cpu_conv.correlate, threads, src, dst, w, start, packed, room, cut.layout, cut.sources,
        cut.offsets, cut.counts, cut.tables, cut.plan, cut.units, cut.chunk,
    )  # fmt: skip
    cut.rooms.give(room)
    return finite
