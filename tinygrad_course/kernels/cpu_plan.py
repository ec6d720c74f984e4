"""How a convolution is laid out and cut into units of work for the CPU's kernels; see `cpu_conv`.

Everything follows from shapes and options, and `cpu` keeps it for the next call with the same ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arrays import Rooms
from .cpu_conv import ROWS
from .cpu_vector import BYTES, CHUNK, VECTORS
from .geometry import Pair, Shape

Array = Any
Ints = tuple[int, ...]

_STEP = VECTORS * BYTES // 4  # pixels of a block, of float32: runs are rounded up to them
_RUN = 1280  # longest run of output pixels: four sums and a few inputs fit the first-level cache
_SHORT_RUN = 128  # shorter runs leave vectors and loops half empty: take images together
_BUFFER = 96 * 1024  # numbers of an image laid out: half of a small second-level cache


class Cut(NamedTuple):
    """How a convolution is laid out and cut into units; see `cpu_conv`."""

    packed: Ints  # shape of the packed weights: groups, phases, rows (even), taps (whole blocks)
    layout: Ints  # of the weights in memory: rows in use, a group's step, a row's step
    sources: Array  # (phases, taps): where a tap's weight stands in a row's flat weights
    offsets: Array  # (phases, taps): where the tap begins in the buffer
    counts: Array  # (phases,): how many taps a phase has
    tables: tuple[Array, ...]  # where weights' rows and taps, gradients' rows and vectors begin
    plan: Ints  # the constants of the loops
    units: int
    rooms: Rooms  # where the threads work
    chunk: int  # how many products are added up by themselves


def forward(
    x: Shape, w: Shape, out: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    threads: int, vector: int,
) -> Cut:  # fmt: skip
    """The forward pass: the source has a phase for each place in a step of the stride. `vector` is
    how many numbers a vector holds."""
    (outputs, channels, kh, kw), (sh, sw), (dh, dw) = w, stride, dilation
    halo = ((kh - 1) * dh // sh, (kw - 1) * dw // sw)
    room, height, pitch, block = _blocks(x[0], channels * sh * sw, out[2:], halo, threads)
    plane = room * height * pitch
    c, i, j = np.indices(w[1:]).reshape(3, -1)
    offsets = ((c * sh + i * dh % sh) * sw + j * dw % sw) * plane
    offsets += i * dh // sh * pitch + j * dw // sw
    rows, step = outputs // groups, channels * kh * kw
    return _cut(
        groups=groups,
        layout=(rows, rows * step, step),
        taps=[(np.arange(step), offsets)],
        blocks=(room, height, pitch, block, *out[2:], -padding[0], -padding[1], sh, sw, 0, 0, 1, 1),
        images=x[0],
        planes=channels * sh * sw,
        threads=threads,
        careful=groups > 1 or dilation != (1, 1),
        vector=vector,
    )


def turned(
    x: Shape, w: Shape, out: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    threads: int, vector: int,
) -> Cut:  # fmt: skip
    """The input gradient: the source is the output's gradient, the kernel is turned around, and the
    destination has a phase for each place in a step of the stride, with taps of its own."""
    (_, channels, kh, kw), (sh, sw), (dh, dw), (ph, pw) = w, stride, dilation, padding
    halo = ((kh - 1) * dh // sh, (kw - 1) * dw // sw)
    top, left = ph // sh, pw // sw  # the first row and column of a phase that holds real pixels
    size = ((ph + x[2] - 1) // sh + 1 - top, (pw + x[3] - 1) // sw + 1 - left)
    outputs = out[1] // groups
    room, height, pitch, block = _blocks(x[0], outputs, size, halo, threads)
    o, i, j = np.indices((outputs, kh, kw)).reshape(3, -1)
    sources = (o * channels * kh + i) * kw + j
    offsets = o * (room * height * pitch)
    offsets += (halo[0] - i * dh // sh) * pitch + halo[1] - j * dw // sw
    phase = i * dh % sh * sw + j * dw % sw
    row, column = top - halo[0], left - halo[1]
    to, at = top * sh - ph, left * sw - pw
    return _cut(
        groups=groups,
        layout=(channels, outputs * channels * kh * kw, kh * kw),
        taps=[(sources[phase == s], offsets[phase == s]) for s in range(sh * sw)],
        blocks=(room, height, pitch, block, *size, row, column, 1, 1, to, at, sh, sw),
        images=x[0],
        planes=outputs,
        threads=threads,
        careful=groups > 1 or (stride, dilation) != ((1, 1), (1, 1)),
        vector=vector,
    )


def _blocks(images: int, planes: int, size: Shape, halo: Pair, threads: int) -> Ints:
    """Cut into blocks: images side by side, a plane's height and pitch, rows in a block."""
    (rows, columns), pitch = size, size[1] + halo[1]
    if (rows - 1) * pitch + columns < _SHORT_RUN:
        image = (rows + halo[0]) * pitch
        room = max(1, min(images, _RUN // 2 // image, _BUFFER // (planes * image)))
        rounds = -(-images // (room * threads))  # as many images to every thread
        return -(-images // (rounds * threads)), rows + halo[0], pitch, rows
    most = min(_RUN // pitch, _BUFFER // (planes * pitch) - halo[0])
    most = max(most, -(-_SHORT_RUN // pitch))
    block = -(-rows // -(-rows // most))
    return 1, block + halo[0], pitch, block


def _cut(
    groups: int, layout: Ints, taps: list[tuple[Array, Array]], blocks: Ints, images: int,
    planes: int, threads: int, careful: bool, vector: int,
) -> Cut:  # fmt: skip
    room, height, pitch, block, rows, columns = blocks[:6]
    run = _up(((room - 1) * height + block - 1) * pitch + columns, _STEP)
    end = planes * room * height * pitch + _STEP
    counts = np.array([len(sources) for sources, _ in taps])
    most = int(counts.max())
    sources = np.zeros((len(taps), _up(most, VECTORS)), np.int64)
    offsets = np.zeros_like(sources)
    for s, (source, offset) in enumerate(taps):
        sources[s, : len(source)], offsets[s, : len(offset)] = source, offset
    filled, width = _up(layout[0], 2), sources.shape[1]
    units = -(-images // room) * groups * -(-rows // block)
    shares = max(1, min(filled // ROWS, -(-threads // units)))
    return Cut(
        packed=(groups, len(taps), filled, width),
        layout=layout,
        sources=sources,
        offsets=offsets,
        counts=counts,
        tables=(
            np.arange(filled) * width, np.arange(width), np.arange(ROWS) * run,
            np.arange(0, run, vector),
        ),
        plan=(*blocks[:6], run, *blocks[6:], shares),
        units=units * shares,
        rooms=Rooms((threads, ROWS * run + end)),
        chunk=_chunk(most, careful, planes // (blocks[8] * blocks[9])),
    )  # fmt: skip


def _chunk(taps: int, careful: bool, channels: int) -> int:
    """How many products to add up by themselves. With √n of n the error is least, and with a few
    times more or less it is hardly larger. PyTorch takes no more than 16 channels at a time: of
    the few taps of more channels, half."""
    most = CHUNK if channels <= 16 else min(CHUNK, max(32, -(-taps // 2)))
    if careful:
        most = 8 if 9 < taps <= 24 else 16 if taps <= 80 else 32 if taps <= 320 else 64
    return max(1, -(-taps // max(1, -(-taps // most))))


def _up(size: int, step: int) -> int:
    return -(-size // step) * step
