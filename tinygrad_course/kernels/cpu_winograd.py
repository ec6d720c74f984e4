"""Convolution with kernels of 3 × 3 in fewer products (Winograd 1980; Lavin & Gray 2015).

A tile of 4 × 4 output pixels takes 16 · 9 products directly. Seen as polynomials, it takes one for
each of 6 × 6 *components*: image and kernel are transformed, multiplied component by component, and
transformed back::

    out = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A        x: 6 × 6, w: 3 × 3, out: 4 × 4
    dw  = Gᵀ [(A g Aᵀ) ⊙ (Bᵀ x B)] G        summed over tiles

With channels each component is a product of matrices, (tiles, channels) · (channels, outputs), for
`cpu_channels`. The input gradient is a forward pass over the gradient, with the kernel turned
around. The price is accuracy: constants up to 8 and their squares take one or two of a single
precision number's seven digits. float64 is never computed this way, and what is not finite spreads
over its tile, so such a result is not kept.

**The layout.** In a buffer of one thread some images stand in rows and columns, a mosaic, with
their padding between them, channels innermost: tiles run on from one image to the next, so that
little is lost where a size is no multiple of 4 (where it is one, a gap of 2 keeps apart what their
first and last tiles see). Or a unit is some rows of tiles of one image.
"""

from __future__ import annotations

from typing import Any

from .cpu_channels import add_products, turn
from .cpu_jit import entry, foresee, worker
from .cpu_spread import portion, spread
from .cpu_vector import BYTES, CHUNK, sandwich

Array = Any
Ints = tuple[int, ...]

COMPONENTS = 36

_A = (  # Aᵀ
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)
_B = (  # Bᵀ
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_G = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)


def _flipped(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    return tuple(zip(*matrix, strict=True))


_of_image, _of_kernel, _to_output = sandwich(_B), sandwich(_G), sandwich(_A)
_of_gradient, _to_kernel = sandwich(_flipped(_A)), sandwich(_flipped(_G))


# --- mosaics --------------------------------------------------------------------------------------


@worker
def _rows(size: int, first: int, reach: int) -> tuple[int, int]:
    """The rows of an image of that size in [first, first + reach)."""
    return max(0, first), max(0, min(size, first + reach))


@worker
def _compose(
    src: Array, n: int, images: int, channel: int, channels: int, mosaic: Array, across: int,
    steps: Ints, first: Ints, reach: int, pitch: int, lines: Array,
) -> None:  # fmt: skip
    """For images m: turn their channels inwards; for rows h, columns t: mosaic[row of m + h −
    first[0], column of m + t − first[1], :] = src[n + m, channel : channel + channels, h, t].

    `across` images stand side by side, `steps` apart, and as much of each is taken as there is in
    `reach` rows; the rest of the mosaic is left alone.
    """
    _, _, height, wide = src.shape
    lo, hi = _rows(height, first[0], reach)
    width = lines.shape[1]
    flat = lines.reshape(lines.size)
    for m in range(images):
        image = src[n + m, channel : channel + channels].reshape(channels, height * wide)
        turn(lines[: (hi - lo) * wide, :channels], image[:, lo * wide : hi * wide])
        up, left = m // across * steps[0] - first[0], m % across * steps[1] - first[1]
        for h in range(lo, hi):
            to, at = ((up + h) * pitch + left) * width, (h - lo) * wide * width
            for t in range(wide * width):
                mosaic[to + t] = flat[at + t]


@worker
def _disperse(
    mosaic: Array, dst: Array, n: int, images: int, channel: int, channels: int, across: int,
    steps: Ints, first: int, reach: int, pitch: int, lines: Array,
) -> bool:  # fmt: skip
    """The other way round: dst[n + m, channel + o, h, t] = mosaic[row of m + h − first, column of m
    + t, o]. Returns whether every number is finite."""
    _, _, height, wide = dst.shape
    lo, hi = _rows(height, first, reach)
    width = lines.shape[1]
    flat, odd = lines.reshape(lines.size), dst.dtype.type(0)
    for m in range(images):
        up, left = m // across * steps[0] - first, m % across * steps[1]
        for h in range(lo, hi):
            to, at = (h - lo) * wide * width, ((up + h) * pitch + left) * width
            for t in range(wide * width):
                value = mosaic[at + t]
                flat[to + t] = value
                odd += value * 0
        image = dst[n + m, channel : channel + channels].reshape(channels, height * wide)
        turn(image[:, lo * wide : hi * wide], lines[: (hi - lo) * wide, :channels])
    return bool(odd == 0)


@worker
def _clear(x: Array) -> None:
    for i in range(x.size):
        x[i] = 0


# --- the transforms -------------------------------------------------------------------------------


@worker
def _transform_image(
    src: Array, n: int, first: int, over: int, plan: Ints, mosaic: Array, lines: Array, into: Array,
    start: int, apart: int, deep: int,
) -> None:  # fmt: skip
    """For chunks of channels: compose a mosaic; for tiles, for vectors of channels: the components
    of tile p, channel c go to into[start + component·apart + p·deep + c].

    `over` is 2 for the input, whose tiles overlap, and 0 for the output's gradient.
    """
    room, across, tall, wide, below, beside, ph, pw, lower, later = plan[:10]
    images, reach, pitch = min(room, src.shape[0] - n), 4 * tall + over, 4 * wide + over
    width, lanes = lines.shape[1], BYTES // src.itemsize
    origin, gaps = ((first - ph, -pw), (lower, later)) if over else ((first, 0), (0, 0))
    pitch += gaps[1] * (across - 1)
    _clear(mosaic[: (reach + gaps[0] * ((room - 1) // across)) * pitch * width])
    for channel in range(0, src.shape[1], width):
        channels = min(width, src.shape[1] - channel)
        _compose(
            src, n, images, channel, channels, mosaic, across,
            (below + gaps[0], beside + gaps[1]), origin, reach, pitch, lines,
        )  # fmt: skip
        for tile in range(tall * wide):
            up, left = tile // wide * 4, tile % wide * 4
            up, left = up + up // below * gaps[0], left + left // beside * gaps[1]
            at = (up * pitch + left) * width
            to = start + tile * deep + channel
            for c in range(0, channels, lanes):
                if over:
                    _of_image(into, to + c, 6 * apart, apart, mosaic, at + c, pitch * width, width)
                else:
                    _of_gradient(
                        into, to + c, 6 * apart, apart, mosaic, at + c, pitch * width, width
                    )


@worker
def _transform_weights(
    thread: int, w: Array, layout: Ints, sources: Array, into: Array, rooms: Array
) -> None:
    """For blocks of outputs, for input channels c: the components of their kernels go to
    into[block, component, c, :]. `sources` says where a kernel's nine numbers stand."""
    outputs, step = layout
    _, _, channels, width = into.shape
    lo, hi = portion(into.shape[0] * channels, thread, rooms.shape[0])
    taps = rooms[thread, : 9 * width].reshape(9, width)
    flat, numbers = w.reshape(w.size), into.reshape(into.size)
    few, lanes, apart = taps.reshape(taps.size), BYTES // w.itemsize, channels * width
    for i in range(lo, hi):
        b, c = i // channels, i % channels
        for k in range(9):
            at, some = sources[9 * c + k], min(width, outputs - b * width)
            for r in range(some):
                taps[k, r] = flat[(b * width + r) * step + at]
            for r in range(some, width):
                taps[k, r] = 0
        to = (b * COMPONENTS * channels + c) * width
        for r in range(0, width, lanes):
            _of_kernel(numbers, to + r, 6 * apart, apart, few, r, 3 * width, width)


# --- forward pass and input gradient --------------------------------------------------------------


@worker
def _correlate(
    thread: int, src: Array, dst: Array, packed: Array, tiles: Array, channels: Array, places:
    Array, plan: Ints, units: int, rooms: Array, odd: Array,
) -> None:  # fmt: skip
    """For units (images, or rows of tiles): transform the image; for blocks of outputs: for
    components: sums[tile, o] = Σ_c image[tile, c] · packed[c, o]; transform them back; disperse.

    Tables: where a tile, a channel in it, and a row of weights begin. Counts how many times there
    was a number that is not finite.
    """
    scratch, (lo, hi) = rooms[thread], portion(units, thread, rooms.shape[0])
    room, across, tall, wide, below, beside = plan[:6]
    strips, pixels, deep = plan[10:]
    blocks, _, _, width = packed.shape
    filled, lanes, pitch = tiles.size, BYTES // src.itemsize, 4 * wide
    apart, bank = filled * deep, filled * width
    image, rest = scratch[: COMPONENTS * apart], scratch[COMPONENTS * apart :]
    sums, rest = rest[: COMPONENTS * bank], rest[COMPONENTS * bank :]
    lines, mosaic = rest[: pixels * width].reshape(pixels, width), rest[pixels * width :]
    for unit in range(lo, hi):
        n, first = unit // strips * room, unit % strips * tall * 4
        _transform_image(src, n, first, 2, plan, mosaic, lines, image, 0, apart, deep)
        for b in range(blocks):
            _clear(sums)
            for k in range(COMPONENTS):
                weights = packed[b, k].reshape(packed.shape[2] * width)
                into = sums[k * bank : (k + 1) * bank].reshape(filled, width)
                add_products(
                    into, tall * wide, image[k * apart :], tiles, channels, weights, places,
                    packed.shape[2], CHUNK,
                )  # fmt: skip
            for tile in range(tall * wide):
                at, to = tile * width, (tile // wide * 4 * pitch + tile % wide * 4) * width
                for o in range(0, width, lanes):
                    _to_output(mosaic, to + o, pitch * width, width, sums, at + o, 6 * bank, bank)
            o, images = b * width, min(room, src.shape[0] - n)
            finite = _disperse(
                mosaic, dst, n, images, o, min(width, dst.shape[1] - o), across, (below, beside),
                first, 4 * tall, pitch, lines,
            )  # fmt: skip
            if not finite:
                odd[thread] += 1


@entry
def correlate(
    team: int, src: Array, dst: Array, w: Array, packed: Array, rooms: Array, layout: Ints, sources:
    Array, tiles: Array, channels: Array, places: Array, plan: Ints, units: int, odd: Array,
) -> None:  # fmt: skip
    """`_transform_weights` and `_correlate` with a run of kernels and units to each thread, which
    counts in `odd` how many times there was a number that is not finite."""
    spread(team, rooms.shape[0], _transform_weights, (w, layout, sources, packed, rooms))
    args = (src, dst, packed, tiles, channels, places, plan, units, rooms, odd)
    spread(team, rooms.shape[0], _correlate, args)


# --- weight gradient ------------------------------------------------------------------------------


@worker
def _transform_both(
    thread: int, x: Array, g: Array, image: Array, grads: Array, plan: Ints, units: int, rooms:
    Array,
) -> None:  # fmt: skip
    """For units: transform the input and the output's gradient, (components, tiles, channels)."""
    room, _, tall, wide = plan[:4]
    strips, pixels, width = plan[10:13]
    scratch, (lo, hi) = rooms[thread], portion(units, thread, rooms.shape[0])
    lines, mosaic = scratch[: pixels * width].reshape(pixels, width), scratch[pixels * width :]
    for unit in range(lo, hi):
        n, first, tile = unit // strips * room, unit % strips * tall * 4, unit * tall * wide
        for array, into, over in ((x, image, 2), (g, grads, 0)):
            _, tiles, deep = into.shape
            flat = into.reshape(into.size)
            start, apart = tile * deep, tiles * deep
            _transform_image(array, n, first, over, plan, mosaic, lines, flat, start, apart, deep)


@worker
def _weigh(
    thread: int, image: Array, grads: Array, dw: Array, tiles: Array, channels: Array, places:
    Array, plan: Ints, blocks: int, rooms: Array,
) -> None:  # fmt: skip
    """For blocks of outputs, for runs of channels: for components: sums[c, o] = Σ_tiles image[tile,
    c] · grads[tile, o]; transform them to kernels; turn those into the gradient.

    Tables: where a channel stands, where a tile begins, where its gradients do.
    """
    width, run = plan[12:]
    scratch, (lo, hi) = rooms[thread], portion(blocks, thread, rooms.shape[0])
    size, deep = image.shape[1] * image.shape[2], grads.shape[2]
    runs, lanes, bank = (channels.size + run - 1) // run, BYTES // dw.itemsize, run * width
    inputs, outputs = dw.shape[1] // 9, dw.shape[0]
    sums, rest = scratch[: COMPONENTS * bank], scratch[COMPONENTS * bank :]
    few = rest[: 9 * bank]
    lines, a, b = few.reshape(9 * run, width), image.reshape(image.size), grads.reshape(grads.size)
    for unit in range(lo, hi):
        o, c = unit // runs * width, unit % runs * run
        count = min(run, inputs - c)
        _clear(sums)
        for k in range(COMPONENTS):
            into = sums[k * bank : (k + 1) * bank].reshape(run, width)
            add_products(
                into, count, a[k * size :], channels[c:], tiles,
                b[k * image.shape[1] * deep + o :], places, tiles.size, CHUNK,
            )  # fmt: skip
        for i in range(count):
            for r in range(0, width, lanes):
                _to_kernel(few, 9 * i * width + r, 3 * width, width, sums, i * width + r,
                           6 * bank, bank)  # fmt: skip
        some = min(width, outputs - o)
        turn(dw[o : o + some, 9 * c : 9 * (c + count)], lines[: 9 * count, :some])


@entry
def weigh(
    team: int, x: Array, g: Array, dw: Array, image: Array, grads: Array, rooms: Array, tiles:
    Array, channels: Array, places: Array, plan: Ints, units: int, blocks: int,
) -> None:  # fmt: skip
    """`_transform_both` with a run of units to each thread, then `_weigh` with a run of blocks."""
    spread(team, rooms.shape[0], _transform_both, (x, g, image, grads, plan, units, rooms))
    args = (image, grads, dw, tiles, channels, places, plan, blocks, rooms)
    spread(team, rooms.shape[0], _weigh, args)


foresee(
    correlate,
    lambda team, src, dst, w, packed, rooms, layout, sources, tiles, channels, places, plan, *_: [
        (weigh, (
            team, src, dst, rooms, packed[0], packed[0], rooms, tiles, tiles, tiles, (*plan, 0), 1,
            1,
        ))
    ],
)  # fmt: skip
