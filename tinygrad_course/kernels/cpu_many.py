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
neighbours: rows of padding are not even multiplied, nor columns of it that a whole block of pixels
sees. The stride is 1, and there are no groups.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .arrays import aligned
from .cpu_conv import pack
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
_FEW = 32  # ... or half of fewer, of more than 16 channels: PyTorch takes these at a time
_SLACK = 8  # pixels that the last block of a row may reach too far
_BLOCK = ROWS, VECTORS
_NARROW = (4, 5) if ROWS == 6 else _BLOCK  # a second block: some sizes divide better by it

_block, _narrow = products(*_BLOCK), products(*_NARROW)
_dots = dots(*_BLOCK)
turn_square: Any = _turn_square  # called in compiled code only


class Cut(NamedTuple):
    """How a pass is laid out; all tables count numbers."""

    sizes: Ints  # source: channels, rows, columns; destination: the same; padding above and left
    kernel: Ints  # rows, their distance; rows and columns of the padded source
    narrow: bool  # whether the narrow block wastes less
    rows: int  # destination channels, filled up
    layout: Ints  # of the weights in memory: rows in use, nothing, a row's step
    sources: Array  # where a tap's weight stands in a row's
    counts: Array  # how many taps there are
    seen: Array  # for each block of pixels in a row, how many of a kernel row's taps see the image
    across: Array  # where a destination channel's weights begin, laid out
    along: Array  # for each block of pixels, where such a tap's weight stands among them
    places: Array  # for each block of pixels, where such a tap begins in the image
    blocks: Array  # where any tap begins, filled up to whole blocks of taps
    grads: Array  # where a destination channel's gradients begin
    pixels: Array  # where a pixel's gradient stands among them
    steps: Array  # where a pixel stands in the image
    image: int  # numbers of a block of images, laid out
    room: int  # numbers that a thread works on


@lru_cache(maxsize=512)
def _cut(
    source: Shape, out: Shape, kernel: Shape, padding: Pair, dilation: Pair, images: int,
    turned: bool = False,
) -> Cut:  # fmt: skip
    """Sizes (C, H, W) before and after; `images` in a block; if the kernel is turned around."""
    (channels, height, width), (outputs, down, right) = source, out
    (kh, kw), (dh, dw) = kernel, dilation
    tall, wide = down + (kh - 1) * dh, right + (kw - 1) * dw
    i, c, j = np.indices((kh, channels, kw)).reshape(3, -1)
    places = ((c * tall + i * dh) * wide + j * dw) * images
    sources, step = (c * kh + i) * kw + j, channels * kh * kw
    if turned:
        sources, step = ((c * outputs + 1) * kh - i) * kw - 1 - j, kh * kw
    row, column = np.indices((down, right)).reshape(2, -1)
    waste = [_up(outputs, rows) * _up(right, vectors) for rows, vectors in (_BLOCK, _NARROW)]
    narrow = waste[1] < waste[0]
    rows, vectors = _NARROW if narrow else _BLOCK
    rows, starts = _up(outputs, rows), np.arange(0, right, vectors)[:, None]
    ends = np.minimum(starts + vectors, right) - 1
    sees = (starts + j * dw < padding[1] + width) & (ends + j * dw >= padding[1])
    order = np.argsort(~sees, axis=1, kind="stable")
    image = (channels * tall * wide + _SLACK) * images
    results = max(channels * height * width, rows * (down * right + _SLACK)) * images
    return Cut(
        sizes=(channels, height, width, outputs, down, right, *padding),
        kernel=(kh, dh, tall, wide),
        narrow=narrow,
        rows=rows,
        layout=(outputs, 0, step),
        sources=sources[None],
        counts=np.array([places.size]),
        seen=sees.sum(1) // kh,
        across=np.arange(rows) * places.size,
        along=order,
        places=places[order],
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
    x: Array, w: Array, bias: Array, out: Array, padding: Pair, dilation: Pair, threads: int
) -> bool:
    """`plain.conv2d` into `out`; whether the weights are finite, for padding is multiplied, too."""
    cut = _cut(x.shape[1:], out.shape[1:], w.shape[2:], padding, dilation, lanes(x.dtype))
    return _correlate(x, w, bias, out, cut, threads)


def conv2d_input(
    g: Array, w: Array, dx: Array, padding: Pair, dilation: Pair, threads: int
) -> bool:
    """`plain.conv2d_input` into `dx`; whether the weights are finite."""
    (ph, pw), (dh, dw), (kh, kw) = padding, dilation, w.shape[2:]
    border = ((kh - 1) * dh - ph, (kw - 1) * dw - pw)
    vector, none = lanes(g.dtype), np.zeros(len(dx[0]), g.dtype)
    cut = _cut(g.shape[1:], dx.shape[1:], w.shape[2:], border, dilation, vector, True)
    return _correlate(g, w, none, dx, cut, threads)


def conv2d_weight(
    x: Array, g: Array, dw: Array, padding: Pair, dilation: Pair, threads: int
) -> None:
    """`plain.conv2d_weight` into `dw`."""
    cut = _cut(x.shape[1:], g.shape[1:], dw.shape[2:], padding, dilation, lanes(x.dtype))
    launch(
        weigh, threads, _flat(x), _flat(g), _flat(dw), cut.sources,
        np.empty((threads, *_flat(dw).shape), x.dtype),
        aligned((threads, cut.grads.size, cut.blocks.size * lanes(x.dtype)), x.dtype),
        aligned((threads, cut.room), x.dtype), cut.sizes, cut.kernel, cut.grads, cut.pixels,
        cut.blocks, cut.steps,
    )  # fmt: skip


def _correlate(src: Array, w: Array, start: Array, dst: Array, cut: Cut, threads: int) -> bool:
    weights = np.zeros((1, 1, cut.rows, cut.sources.size), w.dtype)
    finite: bool = launch(
        correlate, threads, _flat(src), _flat(dst), w, cut.layout, cut.sources, cut.counts,
        weights, start, aligned((threads, cut.room), src.dtype), cut.sizes, cut.kernel, cut.seen,
        cut.across, cut.along, cut.places, cut.image, cut.narrow,
    )  # fmt: skip
    return finite


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
    tall, wide = kernel[2:]
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
    Ints, seen: Array, across: Array, along: Array, places: Array, image: int, narrow: bool,
) -> None:  # fmt: skip
    """For blocks of images: lay them out; for rows r of the destination, for its pixels, for its
    channels (a block of both at a time), for taps: sums[o, p] += w[o, k] · image[places[k] + p]."""
    (_, height, _, outputs, down, right, top, _), channels = sizes, w.shape[2]
    rows, dh, _, wide = kernel
    images, room = BYTES // src.itemsize, rooms[thread]
    lo, hi = portion((src.shape[0] + images - 1) // images, thread, rooms.shape[0])
    padded, spare = room[:image], room[image:]
    padded[:] = 0
    line = (spare.size // channels) // images * images
    sums = spare[: channels * line].reshape(channels, line)
    vectors = _NARROW[1] if narrow else VECTORS
    for unit in range(lo, hi):
        _lay_out(src, unit * images, padded, spare, sizes, kernel, images)
        for r in range(down):
            first, stop = (
                max(0, (top - r + dh - 1) // dh),
                min(rows, (height - 1 + top - r) // dh + 1),
            )
            at = r * right * images
            for o in range(channels):
                into = sums[o, at : at + (right + vectors) * images]
                for t in range(into.size):
                    into[t] = start[o] if o < outputs else 0
            for b in range(seen.size):
                q, taps, weights, taps_at = b * vectors, seen[b], along[b], places[b]
                total = (stop - first) * taps
                most = min(_CHUNK, max(_FEW, (total + 1) // 2)) if sizes[0] > 16 else _CHUNK
                chunk = chunk_of(total, most)
                x, c = padded[(r * wide + q) * images :], sums[:, at + q * images :]
                for k in range(first * taps, stop * taps, chunk):
                    hi = min(k + chunk, stop * taps)
                    if narrow:
                        for m in range(0, channels, _NARROW[0]):
                            _narrow(c, m, w, across, weights, x, taps_at, k, hi)
                    else:
                        for m in range(0, channels, ROWS):
                            _block(c, m, w, across, weights, x, taps_at, k, hi)
        size = down * right
        for o in range(outputs):
            _turn_out(sums[o, : size * images].reshape(size, images), dst, unit * images, o * size)


@entry
def correlate(
    team: int, src: Array, dst: Array, w: Array, layout: Ints, sources: Array, counts: Array,
    packed: Array, start: Array, rooms: Array, sizes: Ints, kernel: Ints, seen: Array, across:
    Array, along: Array, places: Array, image: int, narrow: bool,
) -> Any:  # fmt: skip
    """`_correlate_blocks` with a run of blocks to each thread. Returns whether the weights are
    finite."""
    finite = pack(w, layout, sources, counts, packed)
    args = (
        src, dst, packed, start, rooms, sizes, kernel, seen, across, along, places, image, narrow,
    )  # fmt: skip
    spread(team, rooms.shape[0], _correlate_blocks, args)
    return finite


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
    size, count = (channels * kernel[2] * kernel[3]) * images, outputs * down * right
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
    team: int, x: Array, g: Array, dw: Array, sources: Array, shares: Array, partial: Array, rooms:
    Array, sizes: Ints, kernel: Ints, grads: Array, pixels: Array, places: Array, steps: Array,
) -> None:  # fmt: skip
    """`_weigh` with a run of blocks, and sums of its own, to each thread; and the sum of theirs."""
    args = (x, g, shares, partial, rooms, sizes, kernel, grads, pixels, places, steps)
    spread(team, rooms.shape[0], _weigh, args)
    for o in range(dw.shape[0]):
        for k in range(dw.shape[1]):
            total = shares[0, o, k]
            for t in range(1, shares.shape[0]):
                total += shares[t, o, k]
            dw[o, sources[0, k]] = total


foresee(
    correlate,
    lambda team, src, dst, w, layout, sources, counts, packed, start, rooms, sizes, kernel, *_: [
        (weigh, (
            team, src, dst, rooms, sources, rooms[:, :, None], rooms[:, :, None], rooms, sizes,
            kernel, counts, counts, counts, counts,
        )),
    ],
)  # fmt: skip
