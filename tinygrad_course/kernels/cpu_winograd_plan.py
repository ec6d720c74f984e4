"""When convolution takes Winograd's way, and how it is cut into units; see `cpu_winograd`.

It can be turned off: `TINYGRAD_COURSE_WINOGRAD=0`, or `devices.use_winograd(False)`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import cpu_winograd
from .arrays import aligned
from .cpu_channels_plan import block_width, steps
from .cpu_jit import launch
from .cpu_vector import ROWS, USABLE, lanes
from .geometry import Pair, Shape

Array = Any
Ints = tuple[int, ...]

_TILES = 64  # most tiles of a unit
_LEAST_TILES = 64  # fewer are not worth transforming the weights
_LEAST_CHANNELS = 32  # fewer are not worth transforming the images
_MOST = 1 << 24  # numbers that the weight gradient's components may take
_RUN = 48  # channels of a unit of the weight gradient
_SQUARE = cpu_winograd.COMPONENTS


def pays(
    x: Shape, w: Shape, out: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    dtype: Any,
) -> bool:  # fmt: skip
    """Whether this is a convolution for which it pays: 3 × 3, step by step, with many channels."""
    plain = tuple(w[2:]) == (3, 3) and stride == dilation == (1, 1) and groups == 1
    if not (USABLE and plain and max(padding) <= 2):
        return False
    tiles = out[0] * steps(out[2], 4) * steps(out[3], 4)
    many = min(w[0], w[1]) >= _LEAST_CHANNELS and tiles >= _LEAST_TILES
    return many and dtype == np.float32


def conv2d(x: Array, w: Array, out: Array, padding: Pair, threads: int) -> bool:
    """`plain.conv2d` into an array; False, and not done right, if a number there is not finite."""
    outputs, channels = w.shape[:2]
    return _correlate(x, w, out, padding, (outputs, 9 * channels), _straight(channels), threads)


def conv2d_input(g: Array, w: Array, dx: Array, padding: Pair, threads: int) -> bool:
    """`plain.conv2d_input` into an array; False, and not done right, as in `conv2d`."""
    outputs, channels = w.shape[:2]
    turned = (2 - padding[0], 2 - padding[1])
    return _correlate(g, w, dx, turned, (channels, 9), _turned(outputs, channels), threads)


def conv2d_weight(x: Array, g: Array, dw: Array, padding: Pair, threads: int) -> bool:
    """`plain.conv2d_weight` into an array; False, and not done right, as in `conv2d`, or if the
    components of all tiles would take too much memory."""
    (outputs, channels), dtype = dw.shape[:2], x.dtype
    cut = _cut(x.shape, g.shape, padding, threads, lanes(dtype))
    blocks, total = steps(outputs, cut.width), cut.units * cut.tiles
    if _SQUARE * total * (outputs + channels) > _MOST:
        return False
    most = steps(_RUN, ROWS) * ROWS
    run = min(_per_thread(channels, blocks, threads), most)
    deep, wide = steps(channels, lanes(dtype)) * lanes(dtype), blocks * cut.width
    room = max((cut.pixels + cut.mosaic) * cut.width, (_SQUARE + 9) * run * cut.width)
    launch(
        cpu_winograd.weigh, threads, x, g, dw.reshape(outputs, -1),
        aligned((_SQUARE, total, deep), dtype), aligned((_SQUARE, total, wide), dtype),
        aligned((threads, room), dtype), np.arange(total) * deep, _filled(channels),
        np.arange(total) * wide, (*cut.plan, cut.pixels, cut.width, run), cut.units,
        blocks * steps(channels, run),
    )  # fmt: skip
    return bool(np.isfinite(dw).all())


def _correlate(
    src: Array, w: Array, dst: Array, padding: Pair, layout: Ints, sources: Array, threads: int
) -> bool:
    """The passes that go over an image: of `layout` = (outputs, an output's step among weights)."""
    dtype, channels = src.dtype, src.shape[1]
    cut = _cut(src.shape, dst.shape, padding, threads, lanes(dtype))
    deep, tiles = steps(channels, lanes(dtype)) * lanes(dtype), _filled(cut.tiles)
    room = _SQUARE * len(tiles) * (deep + cut.width) + (cut.pixels + cut.mosaic) * cut.width
    odd = np.zeros(threads, np.int64)
    launch(
        cpu_winograd.correlate, threads, src, dst, w,
        aligned((steps(layout[0], cut.width), _SQUARE, channels, cut.width), dtype),
        aligned((threads, room), dtype), layout, sources, tiles * deep, np.arange(channels),
        np.arange(channels) * cut.width, (*cut.plan, cut.pixels, deep), cut.units,
        odd,
    )  # fmt: skip
    return not odd.any()


@lru_cache(maxsize=64)
def _straight(channels: int) -> Array:
    """Where a channel's kernel stands among an output's weights (C, 3, 3)."""
    return np.arange(9 * channels)


@lru_cache(maxsize=64)
def _turned(outputs: int, channels: int) -> Array:
    """Where an output's kernel begins, turned around, among all weights (O, C, 3, 3)."""
    starts = np.arange(outputs) * (9 * channels)
    return (starts[:, None] + np.arange(9)[::-1]).ravel()


def _filled(size: int) -> Array:
    """The numbers below a size, the last one repeated up to a multiple of ROWS."""
    return np.minimum(np.arange(steps(size, ROWS) * ROWS), size - 1)


def _per_thread(channels: int, blocks: int, threads: int) -> int:
    """How many channels to take in one go, so that all threads have as much to do."""
    runs = next(n for n in range(1, threads + 1) if blocks * n % threads == 0)
    return steps(steps(channels, runs), ROWS) * ROWS


# --- units ----------------------------------------------------------------------------------------


class Cut(NamedTuple):
    """How a convolution is cut into units."""

    plan: Ints  # images, side by side; rows and columns of tiles; steps; padding; units an image
    units: int
    tiles: int  # of a unit
    width: int  # of a block of outputs
    pixels: int  # most of a unit, of the input or the output
    mosaic: int  # pixels of a mosaic


@lru_cache(maxsize=512)
def _cut(x: Shape, out: Shape, padding: Pair, threads: int, lanes: int) -> Cut:
    tall, wide = steps(out[2], 4), steps(out[3], 4)
    if tall * wide <= _TILES:
        room, across, rows, columns = _mosaic(x, out, padding, threads)
        strips, pixels = 1, max(x[2] * x[3], out[2] * out[3])
    else:
        room, across, strips = 1, 1, _even(tall, max(1, _TILES // wide), steps(threads, x[0]))
        rows, columns = _Axis(4 * tall, 0, steps(tall, strips)), _Axis(4 * wide, 0, wide)
        pixels = (4 * rows.tiles + 2) * max(x[3], out[3])
    height = 4 * rows.tiles + 2 + rows.gap * (steps(room, across) - 1)
    return Cut(
        plan=(room, across, rows.tiles, columns.tiles, rows.step, columns.step, *padding, rows.gap,
              columns.gap, strips),
        units=steps(x[0], room) * strips,
        tiles=rows.tiles * columns.tiles,
        width=block_width(out[1], lanes),
        pixels=pixels,
        mosaic=height * (4 * columns.tiles + 2 + columns.gap * (across - 1)),
    )  # fmt: skip


def _even(size: int, most: int, threads: int) -> int:
    """Into how many parts of at most so much to cut, so that all threads have as many."""
    return min(size, steps(steps(size, most), threads) * threads)


class _Axis(NamedTuple):
    """One axis of a mosaic: from one image's output to the next, how much more it is from input to
    input, and how many tiles there are."""

    step: int
    gap: int
    tiles: int


def _axis(images: int, size: int, out: int, padding: int) -> _Axis:
    """Either images share the padding between them, or each begins with a tile of its own."""
    shared, apart = size + padding, steps(out, 4) * 4
    gap = 0 if apart >= shared else 2
    options = [
        _Axis(step, gap, steps((images - 1) * step + out, 4))
        for step, gap in ((shared, 0), (apart, gap))
    ]
    return min(options, key=lambda axis: axis.tiles)


def _mosaic(x: Shape, out: Shape, padding: Pair, threads: int) -> tuple[int, int, _Axis, _Axis]:
    """How many images to take together, how many of them side by side, and both axes: what leaves
    a thread with the fewest tiles."""
    each = steps(out[2], 4) * steps(out[3], 4)
    arrangements = list[tuple[int, int, int, _Axis, _Axis]]()
    for room in range(1, min(x[0], 2 * _TILES // each) + 1):
        for across in range(1, room + 1):
            rows = _axis(steps(room, across), x[2], out[2], padding[0])
            columns = _axis(across, x[3], out[3], padding[1])
            if rows.tiles * columns.tiles <= _TILES:
                cost = steps(steps(x[0], room), threads) * rows.tiles * columns.tiles
                arrangements.append((cost, -room, across, rows, columns))
    _, room, across, rows, columns = min(arrangements)
    return -room, across, rows, columns
