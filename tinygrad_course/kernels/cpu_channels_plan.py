"""How a convolution with many channels is laid out and cut into units; see `cpu_channels`.

Everything follows from shapes and options, and is kept for the next call with the same ones. The
three passes take contiguous arrays, checked, with something in them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import cpu_channels
from .arrays import aligned
from .cpu_jit import launch
from .cpu_vector import ROWS, USABLE, VECTORS, lanes
from .geometry import Pair, Shape

Array = Any
Ints = tuple[int, ...]
Options = tuple[Pair, Pair, Pair, int]  # stride, padding, dilation, groups

_SUMS = 1 << 22  # most numbers that threads take for their own sums of weights' gradients
_PIXELS = 1024  # most output pixels of a unit: their sums fit a second-level cache ...
_BUFFER = 160 * 1024  # ... with so many numbers of images laid out, and the weights of a block


class Cut(NamedTuple):
    """How a convolution is laid out and cut into units; see `cpu_channels`."""

    packed: Ints  # shape of the packed weights: groups, phases, blocks, taps, outputs of a block
    layout: Ints  # of the weights in memory: outputs of a group, a group's step, an output's step
    sources: Array  # (phases, taps): where a tap's weight stands among an output's flat weights
    across: Array  # (phases, pixels): where an output pixel's window begins in the buffer
    along: Array  # (phases, taps): how much further on a tap's number stands
    grids: Array  # (phases, 5): taps, rows, columns, and the first pixel's row and column
    places: Array  # where a row of a block begins
    plan: Ints  # the constants of the loops
    units: int
    scratch: int  # numbers that a thread needs room for


def pays(outputs: int, groups: int, dtype: Any) -> bool:
    """Whether the output channels of a group fill two vectors: with fewer, sums wait for one
    another, and most of what is loaded are single numbers."""
    return USABLE and outputs // groups >= 2 * lanes(dtype)


def conv2d(x: Array, w: Array, out: Array, options: Options, threads: int) -> None:
    """`plain.conv2d` into an array."""
    cut = forward(x.shape, w.shape, out.shape, *options, threads, lanes(x.dtype))
    _correlate(x, w, out, cut, threads)


def conv2d_input(g: Array, w: Array, dx: Array, options: Options, threads: int) -> bool:
    """`plain.conv2d_input` into an array; False, and not done right, if a weight is not finite.

    At the borders weights are multiplied by zeros around the gradient.
    """
    cut = turned(dx.shape, w.shape, g.shape, *options, threads, lanes(g.dtype))
    return _correlate(g, w, dx, cut, threads)


def conv2d_weight(x: Array, g: Array, dw: Array, options: Options, threads: int) -> None:
    """`plain.conv2d_weight` into an array.

    Each thread has a sum of its own over a part of the pixels, or if that took too much memory, a
    part of the taps.
    """
    cut = forward(x.shape, dw.shape, g.shape, *options, threads, lanes(x.dtype))
    groups, _, blocks, _, width = cut.packed
    sums = threads if threads * dw.size <= _SUMS else 1
    launch(
        cpu_channels.weigh, threads, x, g,
        dw.reshape(dw.shape[0], dw[0].size),
        aligned((sums, groups, blocks, cut.along.shape[1], width), x.dtype, zeros=True),
        aligned((threads, cpu_channels.NEAR + cut.scratch), x.dtype), cut.across[0], cut.along[0],
        cut.places, cut.plan,
        cut.units // cut.plan[-1],
    )  # fmt: skip


def _correlate(src: Array, w: Array, dst: Array, cut: Cut, threads: int) -> bool:
    odd = np.zeros(threads, np.int64)
    launch(
        cpu_channels.correlate, threads, src, dst, w,
        aligned(cut.packed, w.dtype), aligned((threads, cut.scratch), w.dtype), cut.layout,
        cut.sources, cut.across, cut.along, cut.grids, cut.places, cut.plan, cut.units, odd,
    )  # fmt: skip
    return not odd.any()


@lru_cache(maxsize=512)
def forward(
    x: Shape, w: Shape, out: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    threads: int, lanes: int,
) -> Cut:  # fmt: skip
    """The forward pass, and the weight gradient's."""
    (outputs, channels, kh, kw), (sh, sw), (dh, dw) = w, stride, dilation
    pitch, reach = (out[3] - 1) * sw + (kw - 1) * dw + 1, (kh - 1) * dh + 1
    room, block = _blocks(x[0], out[2:], channels * pitch, sh, reach - sh, threads)
    height = (block - 1) * sh + reach
    c, i, j = np.indices(w[1:]).reshape(3, -1)
    n, row, column = np.indices((room, block, out[3])).reshape(3, -1)
    return _cut(
        layout=(outputs // groups, outputs // groups * len(c), len(c)),
        taps=[(np.arange(len(c)), (c * room * height + i * dh) * pitch + j * dw)],
        pixels=[(n * height + row * sh) * pitch + column * sw],
        grids=[(out[2], out[3], 0, 0)],
        plan=(room, block, out[2], height, pitch, -padding[0], -padding[1], sh, 1, 1),
        sizes=(x[0], channels, groups, threads, lanes),
    )


@lru_cache(maxsize=512)
def turned(
    x: Shape, w: Shape, out: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    threads: int, lanes: int,
) -> Cut:  # fmt: skip
    """The input gradient: the source is the output's gradient, the kernel is turned around, and the
    destination has a phase for each place in a step of the stride, with taps of its own."""
    (_, channels, kh, kw), outputs = w, out[1] // groups
    rows, columns = (
        _Phases(*axis) for axis in zip(x[2:], w[2:], stride, padding, dilation, strict=True)
    )
    pitch, size = columns.most + columns.halo, (rows.most, columns.most)
    room, block = _blocks(x[0], size, outputs * pitch, 1, rows.halo, threads)
    height = block + rows.halo
    o, i, j = np.indices((outputs, kh, kw)).reshape(3, -1)
    taps, pixels, grids = [], [], list[Ints]()
    for a in range(stride[0]):
        for b in range(stride[1]):
            mine = (rows.phase[i] == a) & (columns.phase[j] == b)
            source = ((o * channels * kh + i) * kw + j)[mine]
            offset = (o * room * height + rows.back[i]) * pitch + columns.back[j]
            taps.append((source, offset[mine]))
            tall, wide = rows.count[a], columns.count[b]
            n, r, c = np.indices((room, min(block, tall), wide)).reshape(3, -1)
            pixels.append((n * height + r + rows.shift[a]) * pitch + c + columns.shift[b])
            grids.append((tall, wide, rows.first[a], columns.first[b]))
    return _cut(
        layout=(channels, outputs * channels * kh * kw, kh * kw),
        taps=taps,
        pixels=pixels,
        grids=grids,
        plan=(room, block, rows.most, height, pitch, rows.origin, columns.origin, 1, *stride),
        sizes=(x[0], outputs, groups, threads, lanes),
    )


class _Phases:
    """One axis of an input gradient: pixel first[s] + stride·n of phase s is met by the taps i of
    that phase, each from the output at origin + n + shift[s] + back[i]."""

    def __init__(self, size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
        phases, reach = np.arange(stride), np.arange(kernel) * dilation
        self.first = (phases - padding) % stride
        self.count = np.maximum(0, -((self.first - size) // stride))
        outputs = (self.first + padding) // stride  # the output above a phase's first pixel
        self.phase = reach % stride
        self.back = reach[-1] // stride - reach // stride
        self.shift = outputs - outputs.min()
        self.origin = int(outputs.min() - reach[-1] // stride)
        self.halo = int(reach[-1] // stride + self.shift.max())
        self.most = int(self.count.max())


def _blocks(
    images: int, size: Shape, line: int, step: int, halo: int, threads: int
) -> tuple[int, int]:
    """Cut into units: images in a unit, and rows of pixels.

    `line` is how many numbers a row of the buffer has; `rows` pixels need rows·step + halo of them.
    """
    rows, columns = size
    most = min(_PIXELS // (rows * columns), _BUFFER // ((rows * step + halo) * line))
    if most >= 1:
        rooms = range(1, min(most, images) + 1)
        return min(rooms, key=lambda n: (steps(steps(images, n), threads) * n, -n)), rows
    block = min(_PIXELS // columns, (_BUFFER // line - halo) // step)
    return 1, steps(rows, steps(rows, max(block, 1)))


def _cut(
    layout: Ints, taps: list[tuple[Array, Array]], pixels: list[Array], grids: list[Ints], plan:
    Ints, sizes: Ints,
) -> Cut:  # fmt: skip
    images, channels, groups, threads, lanes = sizes
    room, block, rows, height, pitch = plan[:5]
    width, most = block_width(layout[0], lanes), max(len(source) for source, _ in taps)
    blocks = steps(layout[0], width)
    units = steps(images, room) * groups * steps(rows, block)
    shares = min(blocks, steps(threads, units))
    across = _table(pixels)
    return Cut(
        packed=(groups, len(taps), blocks, most, width),
        layout=layout,
        sources=_table([source for source, _ in taps]),
        across=across,
        along=_table([offset for _, offset in taps]),
        grids=np.array([(len(tap[0]), *grid) for tap, grid in zip(taps, grids, strict=True)]),
        places=np.arange(max(most, across.shape[1])) * width,
        plan=(*plan, shares),
        units=units * shares,
        scratch=steps(across.shape[1] * width + channels * room * height * pitch, lanes) * lanes,
    )


def block_width(outputs: int, lanes: int) -> int:
    """How many outputs to take in a block: as many vectors as leave the fewest of them empty."""
    vectors = steps(outputs, lanes)
    return min(range(1, VECTORS + 1), key=lambda v: (steps(vectors, v) * v, -v)) * lanes


def _table(lines: list[Array]) -> Array:
    """Lines of one length, a multiple of ROWS: the last number of each is repeated."""
    length = steps(max(map(len, lines)), ROWS) * ROWS
    table = np.zeros((len(lines), length), np.int64)
    for line, into in zip(lines, table, strict=True):
        into[: len(line)] = line
        into[len(line) :] = line[-1:] if len(line) else 0
    return table


def steps(size: int, step: int) -> int:
    """How many steps reach as far as the size."""
    return -(-size // step)
