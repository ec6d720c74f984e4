"""Convolution with many channels for the CPU: a vector holds neighbouring channels of one pixel.

Images are laid out with their padding, some at a time, in a buffer of one thread. An output pixel's
window begins somewhere in there (`across`), and each tap (c, i, j) sees what stands a constant way
further on (`along`), whatever the stride and the dilation; `cpu_vector.products` is the inner loop
of all three passes::

    forward          sums[p, o]  += buffer[across[p] + along[k]] · w[k, o]       over taps k
    weight gradient  dw[k, o]    += buffer[along[k] + across[p]] · g[p, o]       over pixels p
    input gradient   a forward pass over the gradient's image, with the kernel turned around

With a stride the input gradient is one forward pass for each place in a step of it (a phase), of
those taps that meet it. Sums and gradients have the pixels in rows here and are turned to channels
in rows on their way from and to the images. No tap and no pixel is made up to fill a block with; in
the last rows and columns of a block stand numbers that nobody reads.

Work is cut into units: some whole images, or some rows of one; and if there are fewer units than
threads, a share of the output channels. In a unit, a chunk of `CHUNK` rows of w (or g), which stay
in the first-level cache, is done with for all its pixels (or taps) before the next. A chunk's
products are added up by themselves, which keeps long sums exact (`cpu_vector`).
"""

from __future__ import annotations

from typing import Any

from .cpu_jit import entry, foresee, worker
from .cpu_spread import portion, spread
from .cpu_vector import BYTES, ROWS, VECTORS, products, small_chunk, turn_square

Array = Any
Ints = tuple[int, ...]

NEAR = 4096  # numbers that surely stay in the first-level cache

_block1 = products(ROWS, 1, chains=VECTORS)
_block2 = products(ROWS, min(2, VECTORS), chains=max(1, VECTORS // 2))
_block3 = products(ROWS, min(3, VECTORS))
_block4 = products(ROWS, VECTORS)


@worker
def add_products(
    sums: Array, count: int, a: Array, across: Array, along: Array, b: Array, places: Array, total:
    int, chunk: int,
) -> None:  # fmt: skip
    """For chunks of k in range(total), for m in range(count):
    sums[m, v] += Σ_k a[across[m] + along[k]] · b[places[k] + v].

    What lies in `sums` up to the next multiple of ROWS is lost.
    """
    vectors = sums.shape[1] * sums.itemsize // BYTES
    for lo in range(0, total, chunk):
        hi = min(lo + chunk, total)
        for m in range(0, count, ROWS):
            if vectors == 1:
                _block1(sums, m, a, across, along, b, places, lo, hi)
            elif vectors == 2:
                _block2(sums, m, a, across, along, b, places, lo, hi)
            elif vectors == 3:
                _block3(sums, m, a, across, along, b, places, lo, hi)
            else:
                _block4(sums, m, a, across, along, b, places, lo, hi)


# --- into the layout and out of it ----------------------------------------------------------------


@worker
def _clear(x: Array) -> None:
    flat = x.reshape(x.size)
    for i in range(flat.size):
        flat[i] = 0


@worker
def _add(x: Array, y: Array) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] += y[i, j]


@worker
def turn(dst: Array, src: Array) -> None:
    """dst[j, i] = src[i, j], in squares of vectors; a last one that would hang over is moved in."""
    rows, columns, side = src.shape[0], src.shape[1], BYTES // src.itemsize
    if min(rows, columns) < side:
        for j in range(columns):
            for i in range(rows):
                dst[j, i] = src[i, j]
        return
    for up in range(0, rows, side):
        i = min(up, rows - side)
        for left in range(0, columns, side):
            j = min(left, columns - side)
            turn_square(dst[j:, i:], src[i:, j:])


@worker
def _lay_out(
    src: Array, first: int, images: int, channel: int, channels: int, buffer: Array, room: int, row:
    int, column: int, height: int, pitch: int,
) -> None:  # fmt: skip
    """For channels c, images n, rows r, columns t: buffer[((c·room + n)·height + r)·pitch + t] =
    src[first + n, channel + c, row + r, column + t], or 0 outside of the image."""
    rows, columns = src.shape[2:]
    left, right = max(0, -column), min(pitch, columns - column)
    for c in range(channels):
        for n in range(images):
            image = src[first + n, channel + c]
            for r in range(height):
                line = buffer[((c * room + n) * height + r) * pitch :][:pitch]
                if 0 <= row + r < rows:
                    source = image[row + r, left + column :]
                    for t in range(left):
                        line[t] = 0
                    for t in range(right - left):
                        line[left + t] = source[t]
                    for t in range(max(left, right), pitch):
                        line[t] = 0
                else:
                    for t in range(pitch):
                        line[t] = 0


@worker
def _pack(w: Array, layout: Ints, g: int, sources: Array, taps: int, o: int, into: Array) -> bool:
    """For taps k, for outputs r: into[k, r] = w[g·… + (o + r)·… + sources[k]], while there are such
    outputs. Returns whether every number is finite."""
    outputs, group_step, row_step = layout
    flat, odd = w.reshape(w.size)[g * group_step + o * row_step :], w.dtype.type(0)
    for k in range(taps):
        for r in range(min(into.shape[1], outputs - o)):
            value = flat[r * row_step + sources[k]]
            into[k, r] = value
            odd += value * 0
    return bool(odd == 0)


@worker
def _pack_some(
    thread: int, w: Array, layout: Ints, sources: Array, grids: Array, packed: Array, odd: Array
) -> None:
    """`_pack` for a thread's blocks (group, phase, block of outputs). Counts how many of them are
    not finite."""
    _, phases, blocks, _, width = packed.shape
    lo, hi = portion(packed.shape[0] * phases * blocks, thread, odd.size)
    for i in range(lo, hi):
        g, s, b = i // (phases * blocks), i // blocks % phases, i % blocks
        if not _pack(w, layout, g, sources[s], grids[s, 0], b * width, packed[g, s, b]):
            odd[thread] += 1


# --- forward pass and input gradient --------------------------------------------------------------


@worker
def _correlate(
    thread: int, src: Array, dst: Array, packed: Array, across: Array, along: Array, grids: Array,
    places: Array, plan: Ints, outputs: int, units: int, rooms: Array,
) -> None:  # fmt: skip
    """For units (images, group, rows, share of the outputs): lay the source out; for phases, for
    blocks of outputs: sums = 0; `add_products` over all taps; turn the sums into the destination.

    `src` and `dst` are contiguous (N, C, H, W), `packed` is (groups, phases, blocks, taps, outputs
    of a block), `outputs` those of a group; a thread's room holds the sums and the buffer.
    """
    scratch, (lo, hi) = rooms[thread], portion(units, thread, rooms.shape[0])
    room, block, rows, height, pitch, row, column, ih, oh, ow, shares = plan
    groups, phases, blocks, _, width = packed.shape
    inputs, pixels, strips = src.shape[1] // groups, across.shape[1], (rows + block - 1) // block
    sums, buffer = scratch[: pixels * width].reshape(pixels, width), scratch[pixels * width :]
    for unit in range(lo, hi):
        share, first = unit % shares, unit // shares % strips * block
        g, n = unit // (shares * strips) % groups, unit // (shares * strips * groups) * room
        images = min(room, src.shape[0] - n)
        top = row + first * ih
        _lay_out(src, n, images, g * inputs, inputs, buffer, room, top, column, height, pitch)
        for s in range(phases):
            taps, tall, wide, up, left = grids[s]
            tall = max(0, min(block, tall - first))
            for b in range(blocks * share // shares, blocks * (share + 1) // shares):
                o, weights = b * width, packed[g, s, b].reshape(packed.shape[3] * width)
                some = min(width, outputs - o)
                _clear(sums)
                add_products(
                    sums, images * tall * wide, buffer, across[s], along[s], weights, places, taps,
                    small_chunk(taps),
                )  # fmt: skip
                for m in range(images):
                    image = dst[n + m, g * outputs + o : g * outputs + o + some]
                    part = sums[m * tall * wide : (m + 1) * tall * wide, :some]
                    _hand_out(part, image, up + first * oh, left, oh, ow, wide)


@worker
def _hand_out(sums: Array, image: Array, up: int, left: int, oh: int, ow: int, wide: int) -> None:
    """image[o, up + r·oh, left + c·ow] = sums[r·wide + c, o]."""
    _, rows, columns = image.shape
    if oh * ow == 1:
        flat = image.reshape(image.shape[0], rows * columns)
        turn(flat[:, up * columns : up * columns + sums.shape[0]], sums)
    else:
        for o in range(image.shape[0]):
            for r in range(sums.shape[0] // wide):
                line = image[o, up + r * oh]
                for c in range(wide):
                    line[left + c * ow] = sums[r * wide + c, o]


@entry
def correlate(
    team: int, src: Array, dst: Array, w: Array, packed: Array, rooms: Array, layout: Ints, sources:
    Array, across: Array, along: Array, grids: Array, places: Array, plan: Ints, units: int, odd:
    Array,
) -> None:  # fmt: skip
    """`_pack_some` and `_correlate` with a run of blocks and units to each thread, which counts in
    `odd` how many blocks are not finite."""
    spread(team, rooms.shape[0], _pack_some, (w, layout, sources, grids, packed, odd))
    args = (src, dst, packed, across, along, grids, places, plan, layout[0], units, rooms)
    spread(team, rooms.shape[0], _correlate, args)


# --- weight gradient ------------------------------------------------------------------------------


@worker
def _weigh(
    thread: int, x: Array, g: Array, partial: Array, across: Array, along: Array, places: Array,
    plan: Ints, units: int, rooms: Array,
) -> None:  # fmt: skip
    """For units (images, group, rows): lay the input out; for blocks of outputs: turn their
    gradients to outputs in columns; `add_products` over all pixels.

    `x` and `g` are contiguous (N, C, H, W), a sum is (groups, blocks, taps, outputs of a block).
    Each thread has a run of units and a sum of its own, or else, where there is one sum, a run of
    taps: runs of ROWS taps are counted through all the blocks. A unit's sums are made by themselves
    if they are few.
    """
    scratch, threads, alone = rooms[thread], rooms.shape[0], partial.shape[0] == 1
    dw, every = partial[0 if alone else thread], partial.shape[2] * partial.shape[3] // ROWS
    lo, hi = (0, units) if alone else portion(units, thread, threads)
    start, end = portion(every, thread, threads) if alone else (0, every)
    room, block, rows, height, pitch, row, column, ih = plan[:8]
    groups, _, taps, width = dw.shape
    inputs, outputs = x.shape[1] // groups, g.shape[1] // groups
    strips = (rows + block - 1) // block
    wide, pixels, runs = g.shape[3], across.size, taps // ROWS
    fresh, turned = scratch[:NEAR], scratch[NEAR : NEAR + pixels * width]
    buffer = scratch[NEAR + pixels * width :]
    columns = turned.reshape(pixels, width)
    for unit in range(lo, hi):
        first, group = unit % strips * block, unit // strips % groups
        n = unit // (strips * groups) * room
        images, tall, top = min(room, x.shape[0] - n), min(block, rows - first), row + first * ih
        _lay_out(x, n, images, group * inputs, inputs, buffer, room, top, column, height, pitch)
        for b in range(start // runs, (end + runs - 1) // runs):
            o = b * width
            some, step = min(width, outputs - o), tall * wide
            for m in range(images):
                image = g[n + m, group * outputs + o : group * outputs + o + some]
                flat = image.reshape(some, rows * wide)[:, first * wide : first * wide + step]
                turn(columns[m * step : (m + 1) * step, :some], flat)
            k = max(start - b * runs, 0) * ROWS
            stop = min(end - b * runs, runs) * ROWS
            total, chunk = images * step, small_chunk(images * step)
            apart = total > 2 * chunk and (stop - k) * width <= fresh.size
            sums = dw[group, b, k:stop]
            if apart:
                sums = fresh[: (stop - k) * width].reshape(stop - k, width)
                _clear(sums)
            add_products(
                sums, stop - k, buffer, along[k:stop], across, turned, places, total, chunk
            )
            if apart:
                _add(dw[group, b, k:stop], sums)


@worker
def _gather(thread: int, partial: Array, dw: Array, threads: int) -> None:
    """For a thread's blocks (group, block of outputs): dw[o, k] = Σ_t partial[t, g, b, k, o]."""
    sums, groups, blocks, _, width = partial.shape
    lo, hi = portion(groups * blocks, thread, threads)
    outputs = dw.shape[0] // groups
    for i in range(lo, hi):
        g, b = i // blocks, i % blocks
        o, some = b * width, min(width, outputs - b * width)
        total = partial[0, g, b].reshape(partial.shape[3] * width)
        for t in range(1, sums):
            more = partial[t, g, b].reshape(partial.shape[3] * width)
            for k in range(total.size):
                total[k] += more[k]
        into = dw[g * outputs + o : g * outputs + o + some]
        turn(into, partial[0, g, b, : dw.shape[1], :some])


@entry
def weigh(
    team: int, x: Array, g: Array, dw: Array, partial: Array, rooms: Array, across: Array, along:
    Array, places: Array, plan: Ints, units: int,
) -> None:  # fmt: skip
    """`_weigh` by all threads, and the sum of theirs."""
    threads = rooms.shape[0]
    spread(team, threads, _weigh, (x, g, partial, across, along, places, plan, units, rooms))
    spread(team, threads, _gather, (partial, dw, threads))


foresee(
    correlate,
    lambda team, src, dst, w, packed, rooms, layout, sources, across, along, grids, places, plan,
    *_: [(weigh, (
        team, src, dst, rooms, packed, rooms, across[0], along[0], places, plan, 1,
    ))],
)  # fmt: skip
