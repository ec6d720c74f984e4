"""Convolution of many small images with few channels, for the CPU: images side by side.

Where an image has 10 columns, vectors of 16 pixels are half empty, and a few channels fill none
either. A batch has images enough: here the numbers of a vector are the same pixel of as many
images. No number is wasted, every pixel is a whole vector, and its neighbours are the next ones.

**The layout.** A block of images (as many as a vector has numbers) is turned around, (C, H, W, L),
with its padding. A tap (i, c, j) of the kernel is an offset, and all three passes are blocks of
sums in registers (`cpu_vector`)::

    forward           out[o, p, :]  = Σ_k w[o, k] · image[offset[k] + p, :]
    input gradient    the same over the gradient's image, with the kernel turned around
    weight gradient   dw[o, k, :]   = Σ_p g[o, p, :] · image[offset[k] + p, :], then added up

Taps are in the order (i, c, j), so that those of the kernel's rows that see the image are
neighbours: rows of padding are not even multiplied. The stride is 1, and there are no groups.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .arrays import aligned
from .cpu_jit import entry, foresee, launch, worker
from .cpu_spread import portion, spread
from .cpu_vector import BYTES, ROWS, VECTORS, chunk_of, dots, lanes, products
from .cpu_vector import turn_square as _turn_square
from .geometry import Pair, Shape

Array = Any
Ints = tuple[int, ...]

_MOST = 3 << 17  # numbers that a thread works on: they should stay in its second-level cache
_CHANNELS = 32  # from here on, channels fill vectors of their own
_PIXELS = 64  # pixels whose gradients, of a block, stay in the first-level cache
_CHUNK = 80  # taps to add up by themselves: two chunks for LeNet's 150
_SLACK = 8  # pixels that the last block of a row may reach too far
_BLOCK = ROWS, VECTORS
_NARROW = (4, 5) if ROWS == 6 else _BLOCK  # a second block: some sizes divide better by it

_block, _narrow = products(*_BLOCK), products(*_NARROW)
_dots = dots(*_BLOCK)
turn_square: Any = _turn_square  # called in compiled code only


class Cut(NamedTuple):
    """How a pass is laid out; all tables count numbers."""

    sizes: Ints  # source: channels, rows, columns; destination: the same; padding above and left
    kernel: Ints  # rows, their distance, taps in a row; rows and columns of the padded source
    narrow: bool  # whether the narrow block wastes less
    rows: int  # destination channels, filled up
    across: Array  # where a destination channel's weights begin
    along: Array  # where a tap's weight stands among them
    places: Array  # where a tap begins in the image
    blocks: Array  # the same, filled up to whole blocks of taps
    grads: Array  # where a destination channel's gradients begin
    pixels: Array  # where a pixel's gradient stands among them
    steps: Array  # where a pixel stands in the image
    image: int  # numbers of a block of images, laid out
    room: int  # numbers that a thread works on


@lru_cache(maxsize=512)
def _cut(
    source: Shape, out: Shape, kernel: Shape, padding: Pair, dilation: Pair, images: int
) -> Cut:
    """Sizes (C, H, W) before and after; `images` in a block."""
    (channels, height, width), (outputs, down, right) = source, out
    (kh, kw), (dh, dw) = kernel, dilation
    tall, wide = down + (kh - 1) * dh, right + (kw - 1) * dw
    i, c, j = np.indices((kh, channels, kw)).reshape(3, -1)
    places = ((c * tall + i * dh) * wide + j * dw) * images
    row, column = np.indices((down, right)).reshape(2, -1)
    waste = [_up(outputs, rows) * _up(right, vectors) for rows, vectors in (_BLOCK, _NARROW)]
    narrow = waste[1] < waste[0]
    rows = _up(outputs, (_NARROW if narrow else _BLOCK)[0])
    image = (channels * tall * wide + _SLACK) * images
    results = max(channels * height * width, rows * (down * right + _SLACK)) * images
    return Cut(
        sizes=(channels, height, width, outputs, down, right, *padding),
        kernel=(kh, dh, channels * kw, tall, wide),
        narrow=narrow,
        rows=rows,
        across=np.arange(rows) * places.size,
        along=np.arange(places.size),
        places=places,
        blocks=np.resize(places, _up(places.size, VECTORS)),
        grads=np.arange(_up(outputs, ROWS)) % outputs * (down * right * images),
        pixels=np.arange(down * right) * images,
        steps=(row * wide + column) * images,
        image=image,
        room=image + results,
    )


def _up(size: int, step: int) -> int:
    return -(-size // step) * step


def pays(
    x: Shape, w: Shape, out: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    threads: int, dtype: Any,
) -> bool:  # fmt: skip
    """Whether this is the way, by measurement: few channels, but enough products for each number
    that is turned around, and full blocks of small images for every thread."""
    images = lanes(dtype)
    few = max(w[:2]) < _CHANNELS and w[0] * w[1] >= 64
    simple = few and stride == (1, 1) and groups == 1
    full = x[0] >= images * threads and (x[0] % images == 0 or x[0] >= 4 * images)
    reach = [(k - 1) * d for k, d in zip(w[2:], dilation, strict=True)]
    inside = all(p <= r for p, r in zip(padding, reach, strict=True))
    if not (simple and full and inside) or min(x[2] * x[3], out[2] * out[3]) < images:
        return False
    pixels = (x[2] + 2 * reach[0]) * (x[3] + 2 * reach[1])
    return pixels * (w[0] + w[1]) * images <= _MOST


# --- the three passes -----------------------------------------------------------------------------


def conv2d(
    x: Array, w: Array, bias: Array | None, out: Shape, padding: Pair, dilation: Pair, threads: int
) -> Array:
    """`plain.conv2d` with a result of that shape, and a bias for each output channel."""
    cut = _cut(x.shape[1:], out[1:], w.shape[2:], padding, dilation, lanes(x.dtype))
    return _correlate(x, w.transpose(0, 2, 1, 3), bias, out, cut, threads)


def conv2d_input(
    g: Array, w: Array, shape: Shape, padding: Pair, dilation: Pair, threads: int
) -> Array:
    """`plain.conv2d_input` with a result of that shape: the kernel is turned around."""
    (ph, pw), (dh, dw), (kh, kw) = padding, dilation, w.shape[2:]
    border = ((kh - 1) * dh - ph, (kw - 1) * dw - pw)
    cut = _cut(g.shape[1:], shape[1:], w.shape[2:], border, dilation, lanes(g.dtype))
    return _correlate(g, w.transpose(1, 2, 0, 3)[:, ::-1, :, ::-1], None, shape, cut, threads)


def conv2d_weight(
    x: Array, g: Array, shape: Shape, padding: Pair, dilation: Pair, threads: int
) -> Array:
    """`plain.conv2d_weight` with a result of that shape."""
    cut = _cut(x.shape[1:], g.shape[1:], shape[2:], padding, dilation, lanes(x.dtype))
    o, c, kh, kw = shape
    dw = np.empty((threads, o, cut.places.size), x.dtype)
    launch(
        weigh, threads, _flat(x), _flat(g), dw,
        aligned((threads, cut.grads.size, cut.blocks.size * lanes(x.dtype)), x.dtype),
        aligned((threads, cut.room), x.dtype), cut.sizes, cut.kernel, cut.grads, cut.pixels,
        cut.blocks, cut.steps,
    )  # fmt: skip
    dw = np.add.reduce(dw, 0).reshape(o, kh, c, kw)
    return np.ascontiguousarray(dw.transpose(0, 2, 1, 3))


def _correlate(
    src: Array, w: Array, bias: Array | None, out: Shape, cut: Cut, threads: int
) -> Array:
    weights, start = np.zeros((cut.rows, cut.places.size), w.dtype), np.zeros(cut.rows, w.dtype)
    weights[: len(w)].reshape(w.shape)[:] = w
    if bias is not None:
        start[: len(w)] = bias
    dst = np.empty(out, src.dtype)
    launch(
        correlate, threads, _flat(src), _flat(dst), weights.reshape(-1), start,
        aligned((threads, cut.room), src.dtype), cut.sizes, cut.kernel, cut.across, cut.along,
        cut.places, cut.image, cut.narrow,
    )  # fmt: skip
    return dst


def _flat(x: Array) -> Array:
    return x.reshape(len(x), -1)


# --- into the layout and out of it ----------------------------------------------------------------


@worker
def _turn_in(src: Array, n: int, into: Array) -> None:
    """into[k, l] = src[n + l, k], or 0 beyond the last image; squares at a time, of which the last
    may overlap the one before."""
    images = into.shape[1]
    if n + images > src.shape[0]:
        for k in range(into.shape[0]):
            for m in range(images):
                into[k, m] = src[n + m, k] if n + m < src.shape[0] else 0
        return
    for k in range(0, into.shape[0], images):
        k = min(k, into.shape[0] - images)
        turn_square(into[k : k + images], src[n : n + images, k : k + images])


@worker
def _turn_out(src: Array, dst: Array, n: int, k: int) -> None:
    """dst[n + l, k + p] = src[p, l], for the images that there are."""
    images = src.shape[1]
    if n + images > dst.shape[0]:
        for p in range(src.shape[0]):
            for m in range(dst.shape[0] - n):
                dst[n + m, k + p] = src[p, m]
        return
    for p in range(0, src.shape[0], images):
        p = min(p, src.shape[0] - images)
        turn_square(dst[n : n + images, k + p : k + p + images], src[p : p + images])


@worker
def _lay_out(
    src: Array, n: int, image: Array, spare: Array, sizes: Ints, kernel: Ints, images: int
) -> None:
    """Images from n on, turned around, amid the zeros of `image`; `spare` is room to work in."""
    channels, height, width, _, _, _, top, left = sizes
    tall, wide = kernel[3:]
    count = channels * height * width
    if tall == height and wide == width:
        _turn_in(src, n, image[: count * images].reshape(count, images))
        return
    _turn_in(src, n, spare[: count * images].reshape(count, images))
    for c in range(channels):
        for h in range(height):
            to, at = (
                ((c * tall + top + h) * wide + left) * images,
                (c * height + h) * width * images,
            )
            line, row = image[to : to + width * images], spare[at : at + width * images]
            for t in range(line.size):
                line[t] = row[t]


# --- forward pass and input gradient --------------------------------------------------------------


@worker
def _correlate_blocks(
    thread: int, src: Array, dst: Array, w: Array, start: Array, rooms: Array, sizes: Ints, kernel:
    Ints, across: Array, along: Array, places: Array, image: int, narrow: bool,
) -> None:  # fmt: skip
    """For blocks of images: lay them out; for rows r of the destination, for its channels, for its
    pixels (a block of both at a time), for taps: sums[o, p] += w[o, k] · image[places[k] + p]."""
    _, height, _, outputs, down, right, top, _ = sizes
    rows, dh, taps, _, wide = kernel
    images, room = BYTES // src.itemsize, rooms[thread]
    lo, hi = portion((src.shape[0] + images - 1) // images, thread, rooms.shape[0])
    padded, spare = room[:image], room[image:]
    padded[:] = 0
    line = (spare.size // start.size) // images * images
    sums = spare[: start.size * line].reshape(start.size, line)
    vectors = _NARROW[1] if narrow else VECTORS
    for unit in range(lo, hi):
        _lay_out(src, unit * images, padded, spare, sizes, kernel, images)
        for r in range(down):
            first, stop = (
                max(0, (top - r + dh - 1) // dh),
                min(rows, (height - 1 + top - r) // dh + 1),
            )
            at, chunk = r * right * images, chunk_of((stop - first) * taps, _CHUNK)
            for o in range(start.size):
                into = sums[o, at : at + (right + vectors) * images]
                for t in range(into.size):
                    into[t] = start[o]
            for q in range(0, right, vectors):
                seen, c = padded[(r * wide + q) * images :], sums[:, at + q * images :]
                for k in range(first * taps, stop * taps, chunk):
                    hi = min(k + chunk, stop * taps)
                    if narrow:
                        for m in range(0, start.size, _NARROW[0]):
                            _narrow(c, m, w, across, along, seen, places, k, hi)
                    else:
                        for m in range(0, start.size, ROWS):
                            _block(c, m, w, across, along, seen, places, k, hi)
        size = down * right
        for o in range(outputs):
            _turn_out(sums[o, : size * images].reshape(size, images), dst, unit * images, o * size)


@entry
def correlate(
    team: int, src: Array, dst: Array, w: Array, start: Array, rooms: Array, sizes: Ints, kernel:
    Ints, across: Array, along: Array, places: Array, image: int, narrow: bool,
) -> None:  # fmt: skip
    """`_correlate_blocks` with a run of blocks to each thread."""
    args = (src, dst, w, start, rooms, sizes, kernel, across, along, places, image, narrow)
    spread(team, rooms.shape[0], _correlate_blocks, args)


# --- weight gradient ------------------------------------------------------------------------------


@worker
def _weigh(
    thread: int, x: Array, g: Array, dw: Array, partial: Array, rooms: Array, sizes: Ints, kernel:
    Ints, grads: Array, pixels: Array, places: Array, steps: Array,
) -> None:  # fmt: skip
    """For blocks of images: lay them and their gradients out; for output channels and taps (a block
    of both at a time), for pixels p: sums[o, k, :] += g[o, p, :] · image[places[k] + p, :]. At the
    end, dw[o, k] = Σ_l sums[o, k, l]."""
    channels, _, _, outputs, down, right, _, _ = sizes
    images, room, sums = BYTES // x.itemsize, rooms[thread], partial[thread]
    lo, hi = portion((x.shape[0] + images - 1) // images, thread, rooms.shape[0])
    size, count = (channels * kernel[3] * kernel[4]) * images, outputs * down * right
    padded, spare = room[:size], room[size:]
    chunk = chunk_of(pixels.size, _PIXELS)
    padded[:] = 0
    sums[:] = 0
    for unit in range(lo, hi):
        _lay_out(x, unit * images, padded, spare, sizes, kernel, images)
        _turn_in(g, unit * images, spare[: count * images].reshape(count, images))
        for k in range(0, pixels.size, chunk):
            hi = min(k + chunk, pixels.size)
            for m in range(0, grads.size, ROWS):
                for t in range(0, places.size, VECTORS):
                    _dots(sums, m, t, spare, grads, pixels, padded, places, steps, k, hi)
    for o in range(outputs):
        for k in range(dw.shape[2]):
            total = sums[o, k * images]
            for v in range(k * images + 1, (k + 1) * images):
                total += sums[o, v]
            dw[thread, o, k] = total


@entry
def weigh(
    team: int, x: Array, g: Array, dw: Array, partial: Array, rooms: Array, sizes: Ints, kernel:
    Ints, grads: Array, pixels: Array, places: Array, steps: Array,
) -> None:  # fmt: skip
    """`_weigh` with a run of blocks, and sums of its own, to each thread."""
    args = (x, g, dw, partial, rooms, sizes, kernel, grads, pixels, places, steps)
    spread(team, rooms.shape[0], _weigh, args)


foresee(
    correlate,
    lambda team, src, dst, w, start, rooms, sizes, kernel, across, along, places, *_: [(weigh, (
        team, src, dst, rooms[:, :, None], rooms[:, :, None], rooms, sizes, kernel, across, along,
        places, places,
    ))],
)  # fmt: skip
