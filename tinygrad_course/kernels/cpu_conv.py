"""Convolution's loops for the CPU, in Numba.

**The layout.** An image is first laid out with its padding in a buffer of one thread, a *plane*
for each channel. Output pixels are numbered by the plane's pitch as well, `p = row·pitch + column`.
Then a tap (c, i, j) of the kernel is nothing but an offset: output pixel p sees `buffer[offset +
p]`, and all three passes are loops without a branch over long runs of contiguous numbers::

    forward           out[o, p]         = Σ_k w[o, k] · buffer[offset[k] + p]
    weight gradient   dw[o, k]          = Σ_p g[o, p] · buffer[offset[k] + p]
    input gradient    dx[c, p]          = Σ_k w'[c, k] · gbuffer[offset[k] + p]

The input gradient is a forward pass over the gradient's image, with the kernel turned around. The
numbers p between the rows of an output belong to no pixel; they are computed and thrown away.

**Strides.** With stride s, neighbouring outputs see every s-th pixel. The forward pass therefore
deals the input out to s·s planes a channel (phases), in each of which the stride is 1. In the
input gradient it is the output that has s·s phases, each with taps of its own.

**Blocks.** Work is cut into units: a run of rows of an image, or several small images side by side,
so that a run of p is long enough for vectors and the buffer stays in the second-level cache.

**The inner loops** are blocks of `cpu_vector`, of 6, 4 or 2 outputs: 24 vectors of sums stay in
registers while all of their taps, or pixels, are gone through.

**Rounding.** Up to `CHUNK` taps are added up by themselves, for each product rounds all that came
before it. With groups, dilation or (going back) strides they are fewer: PyTorch adds channel by
channel there, then tap by tap, and its errors are half as large as those of one long sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cpu_jit import entry, foresee, worker
from .cpu_spread import portion, spread
from .cpu_vector import BYTES, CHUNK, VECTORS, add_block, block_rows, dots

Array = Any
Ints = tuple[int, ...]
Tables = tuple[Array, ...]

ROWS = 6  # most outputs of a block

_dots6, _dots4, _dots2 = (dots(rows, VECTORS, whole=True) for rows in (6, 4, 2))


# --- into the layout and out of it ----------------------------------------------------------------


@worker
def _fill(line: Array, length: int, value: Any) -> None:
    for p in range(length):
        line[p] = value


@worker
def _add(line: Array, more: Array, length: int) -> None:
    for p in range(length):
        line[p] += more[p]


@worker
def _copy(line: Array, source: Array, step: int) -> None:
    """line[t] = source[t·step]."""
    if step == 1:
        for t in range(line.size):
            line[t] = source[t]
    else:
        for t in range(line.size):
            line[t] = source[t * step]


@worker
def _span(first: int, step: int, size: int, count: int) -> tuple[int, int]:
    """The t in range(count) for which 0 ≤ first + t·step < size, as (start, stop)."""
    start = 0 if first >= 0 else min(count, (step - 1 - first) // step)
    return start, max(start, min(count, (size - first + step - 1) // step))


@worker
def _load(
    src: Array, images: Ints, channels: Ints, buffer: Array, room: int, row: int, column: int,
    height: int, pitch: int, sh: int, sw: int,
) -> None:  # fmt: skip
    """Lay images out: for channels, for phases (a, b), for images, for rows r of the plane, for t:
    buffer[…, r, t] = src[n, c, row + r·sh + a, column + t·sw + b], or 0 outside of the image.

    `src` is contiguous (N, C, H, W), `images` = (n, stop), `channels` = (c, stop); a plane has room
    for `room` images of height × pitch. The columns outside are 0 from the start and stay so.
    """
    rows, columns = src.shape[2:]
    at = 0
    for c in range(channels[0], channels[1]):
        for a in range(sh):
            top, bottom = _span(row + a, sh, rows, height)
            for b in range(sw):
                left, right = _span(column + b, sw, columns, pitch)
                for n in range(images[0], images[1]):
                    plane = buffer[at + (n - images[0]) * height * pitch :][: height * pitch]
                    image = src[n, c].reshape(rows * columns)
                    for r in range(height):
                        line, start = plane[r * pitch :], (row + a + r * sh) * columns + column + b
                        if top <= r < bottom:
                            _copy(line[left:right], image[start + left * sw :], sw)
                        else:
                            _fill(line, pitch, 0)
                at += room * height * pitch


@worker
def _store(
    line: Array, image: Array, row: int, column: int, rows: int, columns: int, pitch: int, sh: int,
    sw: int,
) -> None:  # fmt: skip
    """For rows r, columns t that exist: image[row + r·sh, column + t·sw] = line[r·pitch + t]."""
    top, bottom = _span(row, sh, image.shape[0], rows)
    left, right = _span(column, sw, image.shape[1], columns)
    for r in range(top, bottom):
        into = image[row + r * sh, column + left * sw :]
        source = line[r * pitch + left : r * pitch + right]
        if sw == 1:
            for t in range(right - left):
                into[t] = source[t]
        else:
            for t in range(right - left):
                into[t * sw] = source[t]


@worker
def pack(w: Array, layout: Ints, sources: Array, counts: Array, packed: Array) -> bool:
    """For groups g, phases s, rows r, taps k: packed[g, s, r, k] = w[g·… + r·… + sources[s, k]].

    `w` is contiguous and taken as flat; `packed` comes as zeros, and stays so in the rows and taps
    that only fill up. Returns whether every number is finite.
    """
    used, group_step, row_step = layout
    flat, odd = w.reshape(w.size), w.dtype.type(0)
    for g in range(packed.shape[0]):
        for s in range(packed.shape[1]):
            for r in range(used):
                row, into = flat[g * group_step + r * row_step :], packed[g, s, r]
                for k in range(counts[s]):
                    into[k] = row[sources[s, k]]
                    odd += into[k] * 0
    return bool(odd == 0)


@worker
def _whole(length: int, step: int) -> int:
    """A length rounded up to whole steps."""
    return (length + step - 1) // step * step


# --- forward pass and input gradient --------------------------------------------------------------


@worker
def _correlate(
    thread: int, src: Array, dst: Array, start: Array, packed: Array, tables: Tables, offsets:
    Array, counts: Array, plan: Ints, units: int, rooms: Array, chunk: int,
) -> None:  # fmt: skip
    """For units (images, group, rows, share of the outputs): lay the source out; for phases s of
    the destination, for its channels o (up to 6 at a time), for pixels p (some vectors at a time),
    for taps k: sums[o, p] += packed[g, s, o, k] · buffer[offsets[s, k] + p]; store the sums.

    `src` and `dst` are contiguous (N, C, H, W), a thread's room holds six runs of sums and the
    buffer.
    """
    scratch, (lo, hi) = rooms[thread], portion(units, thread, rooms.shape[0])
    room, height, pitch, block, rows, columns, run, row, column, ih, iw = plan[:11]
    to, at, oh, ow, shares = plan[11:]
    sums, buffer = scratch[: ROWS * run].reshape(ROWS, run), scratch[ROWS * run :]
    groups, phases, pairs = packed.shape[0], packed.shape[1], packed.shape[2] // 2
    inputs, outputs = src.shape[1] // groups, dst.shape[1] // groups
    blocks = (rows + block - 1) // block
    for unit in range(lo, hi):
        share, first = unit % shares, unit // shares % blocks * block
        g, n = unit // (shares * blocks) % groups, unit // (shares * blocks * groups) * room
        stop, some = min(n + room, src.shape[0]), min(block, rows - first)
        channels, top = (g * inputs, (g + 1) * inputs), row + first * ih
        _load(src, (n, stop), channels, buffer, room, top, column, height, pitch, ih, iw)
        length = ((stop - n - 1) * height + some - 1) * pitch + columns
        for s in range(phases):
            o, end = pairs * share // shares * 2, pairs * (share + 1) // shares * 2
            while o < end:
                several, channel = block_rows(end - o), g * outputs + o
                taps = offsets[s, : counts[s]]
                real = min(several, outputs - o)
                for r in range(several):
                    _fill(sums[r], length, start[channel + r] if r < real else 0)
                _sums(sums, several, packed[g, s], tables, o, buffer, taps, length, chunk)
                for r in range(real):
                    for m in range(n, stop):
                        line, image = sums[r, (m - n) * height * pitch :], dst[m, channel + r]
                        up, left = to + s // ow + first * oh, at + s % ow
                        _store(line, image, up, left, some, columns, pitch, oh, ow)
                o += several


@worker
def _sums(
    y: Array, rows: int, w: Array, tables: Tables, o: int, buffer: Array, taps: Array, length: int,
    chunk: int,
) -> None:  # fmt: skip
    """For pixels p, rows r: y[r, p] += Σ_k w[o + r, k] · buffer[taps[k] + p], `chunk` taps at a
    time. Up to a block's length of pixels more are written."""
    across, along = tables[0][o:], tables[1]
    for p in range(0, length, VECTORS * (BYTES // y.itemsize)):
        into, seen = y[:, p:], buffer[p:]
        for k in range(0, taps.size, chunk):
            stop = min(k + chunk, taps.size)
            add_block(into, rows, w, across, along, seen, taps, k, stop)


@entry
def correlate(
    team: int, src: Array, dst: Array, w: Array, start: Array, packed: Array, rooms: Array, layout:
    Ints, sources: Array, offsets: Array, counts: Array, tables: Tables, plan: Ints, units: int,
    chunk: int,
) -> Any:  # fmt: skip
    """`_correlate` with a run of units to each thread. Returns whether the weights are finite."""
    finite = pack(w, layout, sources, counts, packed)
    args = (src, dst, start, packed, tables, offsets, counts, plan, units, rooms, chunk)
    spread(team, rooms.shape[0], _correlate, args)
    return finite


# --- weight gradient ------------------------------------------------------------------------------


@worker
def _weigh(
    thread: int, x: Array, g: Array, partial: Array, places: Array, tables: Tables, plan: Ints,
    units: int, rooms: Array,
) -> None:  # fmt: skip
    """For units (images, group, rows): lay the input out; for output channels o (up to 6 at a
    time): lay their gradients out, with zeros between the rows; for taps k (some at a time), for
    pixels p (a vector at a time): dw[group, o, k] += grads[o, p] · buffer[places[k] + p].

    `x` and `g` are contiguous (N, C, H, W); a thread's room holds six runs of gradients and, where
    the forward pass has it, the buffer. Each thread has a run of units and a sum of its own, or
    else, where there is one sum, a run of pairs of output channels.
    """
    scratch, threads, alone = rooms[thread], rooms.shape[0], partial.shape[0] == 1
    dw = partial[0 if alone else thread]
    lo, hi = (0, units) if alone else portion(units, thread, threads)
    pairs = partial.shape[2] // 2
    begin, end = portion(pairs, thread, threads) if alone else (0, pairs)
    room, height, pitch, block, rows, columns, run, row, column, ih, iw = plan
    grads, buffer = scratch[: ROWS * run].reshape(ROWS, run), scratch[ROWS * run :]
    groups, step = dw.shape[0], BYTES // x.itemsize
    inputs, outputs = x.shape[1] // groups, g.shape[1] // groups
    blocks = (rows + block - 1) // block
    for unit in range(lo, hi):
        first, group = unit % blocks * block, unit // blocks % groups
        n = unit // (blocks * groups) * room
        stop, some = min(n + room, x.shape[0]), min(block, rows - first)
        channels, top = (group * inputs, (group + 1) * inputs), row + first * ih
        _load(x, (n, stop), channels, buffer, room, top, column, height, pitch, ih, iw)
        length = ((stop - n - 1) * height + some - 1) * pitch + columns
        o = begin * 2
        while o < end * 2:
            several = block_rows(end * 2 - o)
            for r in range(several):
                _fill(grads[r], _whole(length, step), 0)
            for r in range(min(several, outputs - o)):
                for m in range(n, stop):
                    line = grads[r, (m - n) * height * pitch :]
                    _place(g[m, group * outputs + o + r], first, some, line, pitch)
            _gather(dw[group, o:], several, grads, tables, buffer, places, _whole(length, step))
            o += several


@worker
def _gather(
    dw: Array, rows: int, grads: Array, tables: Tables, buffer: Array, places: Array, length: int
) -> None:
    """For taps k, rows r: dw[r, k] += Σ_p grads[r, p] · buffer[places[k] + p]."""
    across, along, step = tables[2], tables[3], BYTES // dw.itemsize
    for p in range(0, length, CHUNK * step):
        mine, seen, stop = grads[0, p:], buffer[p:], min(CHUNK, (length - p) // step)
        for k in range(0, places.size, VECTORS):
            if rows == 6:
                _dots6(dw, 0, k, mine, across, along, seen, places, along, 0, stop)
            elif rows == 4:
                _dots4(dw, 0, k, mine, across, along, seen, places, along, 0, stop)
            else:
                _dots2(dw, 0, k, mine, across, along, seen, places, along, 0, stop)


@worker
def _place(image: Array, first: int, some: Array, line: Array, pitch: int) -> None:
    """line[r·pitch + t] = image[first + r, t]."""
    columns = image.shape[1]
    for r in range(some):
        _copy(line[r * pitch : r * pitch + columns], image[first + r], 1)


@worker
def _together(partial: Array, dw: Array) -> bool:
    """dw[o, k] = Σ_t partial[t, group, o, k]. Returns whether every number is finite."""
    threads, groups, _, _ = partial.shape
    outputs, odd = dw.shape[0] // groups, dw.dtype.type(0)
    for o in range(dw.shape[0]):
        into = dw[o]
        _copy(into, partial[0, o // outputs, o % outputs], 1)
        for t in range(1, threads):
            more = partial[t, o // outputs, o % outputs]
            for k in range(into.size):
                into[k] += more[k]
        for k in range(into.size):
            odd += into[k] * 0
    return bool(odd == 0)


@entry
def weigh(
    team: int, x: Array, g: Array, dw: Array, partial: Array, rooms: Array, places: Array, tables:
    Tables, plan: Ints, units: int,
) -> Any:  # fmt: skip
    """`_weigh` by all threads, and the sum of theirs. Returns whether every number is finite."""
    spread(team, rooms.shape[0], _weigh, (x, g, partial, places, tables, plan, units, rooms))
    return _together(partial, dw)


# --- gradient of the bias -------------------------------------------------------------------------


@worker
def _add_up(thread: int, g: Array, sums: Array) -> None:
    """sums[thread, c] = Σ g[n, c, p] over a run of the images n, these in double precision."""
    lo, hi = portion(g.shape[0], thread, sums.shape[0])
    for c in range(g.shape[1]):
        total = 0.0
        for n in range(lo, hi):
            plane, sum_of_plane = g[n, c], g.dtype.type(0)
            for p in range(plane.size):
                sum_of_plane += plane[p]
            total += sum_of_plane
        sums[thread, c] = total


@entry
def add_up(team: int, g: Array, sums: Array, out: Array) -> None:
    """Sums over images and pixels, (N, C, P), for each channel; `sums` has room for a thread's."""
    spread(team, sums.shape[0], _add_up, (g, sums))
    for c in range(out.size):
        total = sums[0, c]
        for t in range(1, sums.shape[0]):
            total += sums[t, c]
        out[c] = total


foresee(
    correlate,
    lambda team, src, dst, w, start, packed, rooms, layout, sources, offsets, counts, tables, plan,
    *_: [
        (weigh, (team, src, dst, rooms, packed, rooms, offsets[0], tables, plan[:11], 1)),
        (add_up, (team, src[0], np.empty((1, 1)), start)),
    ],
)  # fmt: skip
