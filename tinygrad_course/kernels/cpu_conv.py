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

**The two inner loops** take 4 (or 2) outputs and 5 taps at a time, so that of each number that is
loaded 4 or 5 products are made. LLVM turns them into vector instructions. Taps are filled up to a
multiple of 5 with weight 0, at an offset where the buffer is 0 (elsewhere 0·inf would give NaN).

**Rounding.** The five products are added to the sum one by one: that takes no more instructions
than there are products, but each rounds the whole sum. With groups, dilation or (going back)
strides the five are added up first, which takes a twentieth more time: PyTorch adds channel by
channel there, then tap by tap, and its errors are half as large as those of one long sum.
"""

from __future__ import annotations

from typing import Any

from .cpu_jit import entry, exact, worker
from .cpu_spread import portion, spread

Array = Any
Ints = tuple[int, ...]

TAPS = 5  # taps that the inner loops take in one go
ROWS = 4  # outputs that they take in one go
CHUNK = 25 * TAPS  # taps that are added up by themselves
MANY = 3 * TAPS  # taps, from where on a careful sum adds up those of one go by themselves
VECTOR = 16  # numbers that runs are rounded up to: a vector of 64 bytes of float32


# --- the inner loops ------------------------------------------------------------------------------


def _combined4(
    y0: Array, y1: Array, y2: Array, y3: Array, x: Array, offsets: Array, w0: Array, w1: Array, w2:
    Array, w3: Array, length: int,
) -> None:  # fmt: skip
    """For taps k (5 at a time), for pixels p: y·[p] += w·[k] · x[offsets[k] + p]; contiguous."""
    for k in range(0, offsets.size, 5):
        x0 = x[offsets[k] : offsets[k] + length]
        x1 = x[offsets[k + 1] : offsets[k + 1] + length]
        x2 = x[offsets[k + 2] : offsets[k + 2] + length]
        x3 = x[offsets[k + 3] : offsets[k + 3] + length]
        x4 = x[offsets[k + 4] : offsets[k + 4] + length]
        a0, a1, a2, a3, a4 = w0[k], w0[k + 1], w0[k + 2], w0[k + 3], w0[k + 4]
        b0, b1, b2, b3, b4 = w1[k], w1[k + 1], w1[k + 2], w1[k + 3], w1[k + 4]
        c0, c1, c2, c3, c4 = w2[k], w2[k + 1], w2[k + 2], w2[k + 3], w2[k + 4]
        d0, d1, d2, d3, d4 = w3[k], w3[k + 1], w3[k + 2], w3[k + 3], w3[k + 4]
        for p in range(length):
            u0, u1, u2, u3, u4 = x0[p], x1[p], x2[p], x3[p], x4[p]
            y0[p] = y0[p] + (a0 * u0 + a1 * u1 + a2 * u2 + a3 * u3 + a4 * u4)
            y1[p] = y1[p] + (b0 * u0 + b1 * u1 + b2 * u2 + b3 * u3 + b4 * u4)
            y2[p] = y2[p] + (c0 * u0 + c1 * u1 + c2 * u2 + c3 * u3 + c4 * u4)
            y3[p] = y3[p] + (d0 * u0 + d1 * u1 + d2 * u2 + d3 * u3 + d4 * u4)


def _combined2(
    y0: Array, y1: Array, x: Array, offsets: Array, w0: Array, w1: Array, length: int
) -> None:
    """`_combined4` for the last one or two outputs."""
    for k in range(0, offsets.size, 5):
        x0 = x[offsets[k] : offsets[k] + length]
        x1 = x[offsets[k + 1] : offsets[k + 1] + length]
        x2 = x[offsets[k + 2] : offsets[k + 2] + length]
        x3 = x[offsets[k + 3] : offsets[k + 3] + length]
        x4 = x[offsets[k + 4] : offsets[k + 4] + length]
        a0, a1, a2, a3, a4 = w0[k], w0[k + 1], w0[k + 2], w0[k + 3], w0[k + 4]
        b0, b1, b2, b3, b4 = w1[k], w1[k + 1], w1[k + 2], w1[k + 3], w1[k + 4]
        for p in range(length):
            u0, u1, u2, u3, u4 = x0[p], x1[p], x2[p], x3[p], x4[p]
            y0[p] = y0[p] + (a0 * u0 + a1 * u1 + a2 * u2 + a3 * u3 + a4 * u4)
            y1[p] = y1[p] + (b0 * u0 + b1 * u1 + b2 * u2 + b3 * u3 + b4 * u4)


_combine4, _combine2 = worker(_combined4), worker(_combined2)
_exact4, _exact2 = exact(_combined4), exact(_combined2)  # as the parentheses say


@worker
def _dots4(
    g0: Array, g1: Array, g2: Array, g3: Array, x: Array, offsets: Array, w0: Array, w1: Array, w2:
    Array, w3: Array, length: int,
) -> None:  # fmt: skip
    """For taps k (5 at a time): w·[k] += Σ_p g·[p] · x[offsets[k] + p]; contiguous."""
    zero = w0.dtype.type(0)
    for k in range(0, offsets.size, 5):
        x0 = x[offsets[k] : offsets[k] + length]
        x1 = x[offsets[k + 1] : offsets[k + 1] + length]
        x2 = x[offsets[k + 2] : offsets[k + 2] + length]
        x3 = x[offsets[k + 3] : offsets[k + 3] + length]
        x4 = x[offsets[k + 4] : offsets[k + 4] + length]
        a0, a1, a2, a3, a4 = zero, zero, zero, zero, zero
        b0, b1, b2, b3, b4 = zero, zero, zero, zero, zero
        c0, c1, c2, c3, c4 = zero, zero, zero, zero, zero
        d0, d1, d2, d3, d4 = zero, zero, zero, zero, zero
        for p in range(length):
            u0, u1, u2, u3, u4 = x0[p], x1[p], x2[p], x3[p], x4[p]
            a, b, c, d = g0[p], g1[p], g2[p], g3[p]
            a0, a1, a2, a3, a4 = a0 + a * u0, a1 + a * u1, a2 + a * u2, a3 + a * u3, a4 + a * u4
            b0, b1, b2, b3, b4 = b0 + b * u0, b1 + b * u1, b2 + b * u2, b3 + b * u3, b4 + b * u4
            c0, c1, c2, c3, c4 = c0 + c * u0, c1 + c * u1, c2 + c * u2, c3 + c * u3, c4 + c * u4
            d0, d1, d2, d3, d4 = d0 + d * u0, d1 + d * u1, d2 + d * u2, d3 + d * u3, d4 + d * u4
        _add5(w0, k, a0, a1, a2, a3, a4)
        _add5(w1, k, b0, b1, b2, b3, b4)
        _add5(w2, k, c0, c1, c2, c3, c4)
        _add5(w3, k, d0, d1, d2, d3, d4)


@worker
def _dots2(
    g0: Array, g1: Array, x: Array, offsets: Array, w0: Array, w1: Array, length: int
) -> None:
    """`_dots4` for the last one or two outputs."""
    zero = w0.dtype.type(0)
    for k in range(0, offsets.size, 5):
        x0 = x[offsets[k] : offsets[k] + length]
        x1 = x[offsets[k + 1] : offsets[k + 1] + length]
        x2 = x[offsets[k + 2] : offsets[k + 2] + length]
        x3 = x[offsets[k + 3] : offsets[k + 3] + length]
        x4 = x[offsets[k + 4] : offsets[k + 4] + length]
        a0, a1, a2, a3, a4 = zero, zero, zero, zero, zero
        b0, b1, b2, b3, b4 = zero, zero, zero, zero, zero
        for p in range(length):
            u0, u1, u2, u3, u4 = x0[p], x1[p], x2[p], x3[p], x4[p]
            a, b = g0[p], g1[p]
            a0, a1, a2, a3, a4 = a0 + a * u0, a1 + a * u1, a2 + a * u2, a3 + a * u3, a4 + a * u4
            b0, b1, b2, b3, b4 = b0 + b * u0, b1 + b * u1, b2 + b * u2, b3 + b * u3, b4 + b * u4
        _add5(w0, k, a0, a1, a2, a3, a4)
        _add5(w1, k, b0, b1, b2, b3, b4)


@worker
def _add5(w: Array, k: int, a0: Array, a1: Array, a2: Array, a3: Array, a4: Array) -> None:
    w[k] += a0
    w[k + 1] += a1
    w[k + 2] += a2
    w[k + 3] += a3
    w[k + 4] += a4


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
def _pack(w: Array, layout: Ints, sources: Array, counts: Array, packed: Array) -> bool:
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
def _vectors(length: int) -> int:
    """A length rounded up to whole vectors."""
    return (length + VECTOR - 1) // VECTOR * VECTOR


# --- forward pass and input gradient --------------------------------------------------------------


@worker
def _correlate(
    thread: int, src: Array, dst: Array, start: Array, packed: Array, offsets: Array, counts: Array,
    plan: Ints, units: int, rooms: Array, careful: Any,
) -> None:  # fmt: skip
    """For units (images, group, rows, share of the outputs): lay the source out; for phases s of
    the destination, for its channels o (4 at a time), for taps k (5 at a time), for pixels p:
    sums[o, p] += packed[g, s, o, k] · buffer[offsets[s, k] + p]; store the sums.

    `src` and `dst` are contiguous (N, C, H, W), a thread's room holds eight runs of sums and the
    buffer.
    """
    scratch, (lo, hi) = rooms[thread], portion(units, thread, rooms.shape[0])
    room, height, pitch, block, rows, columns, run, row, column, ih, iw = plan[:11]
    to, at, oh, ow, shares = plan[11:]
    sums, few = scratch[: 4 * run].reshape(4, run), scratch[4 * run : 8 * run].reshape(4, run)
    buffer = scratch[8 * run :]
    groups, phases, fours = packed.shape[0], packed.shape[1], packed.shape[2] // 4
    inputs, outputs = src.shape[1] // groups, dst.shape[1] // groups
    blocks = (rows + block - 1) // block
    for unit in range(lo, hi):
        share, first = unit % shares, unit // shares % blocks * block
        g, n = unit // (shares * blocks) % groups, unit // (shares * blocks * groups) * room
        stop, some = min(n + room, src.shape[0]), min(block, rows - first)
        channels, top = (g * inputs, (g + 1) * inputs), row + first * ih
        _load(src, (n, stop), channels, buffer, room, top, column, height, pitch, ih, iw)
        length = _vectors(((stop - n - 1) * height + some - 1) * pitch + columns)
        for s in range(phases):
            taps = offsets[s, : (counts[s] + TAPS - 1) // TAPS * TAPS]
            for four in range(fours * share // shares, fours * (share + 1) // shares):
                w, channel = packed[g, s, four * 4 : four * 4 + 4], g * outputs + four * 4
                several = min(4, outputs - four * 4)
                _sums(w, several, start[channel:], buffer, taps, sums, few, length, careful)
                for r in range(several):
                    for m in range(n, stop):
                        line, image = sums[r, (m - n) * height * pitch :], dst[m, channel + r]
                        up, left = to + s // ow + first * oh, at + s % ow
                        _store(line, image, up, left, some, columns, pitch, oh, ow)


@worker
def _sums(
    w: Array, several: int, start: Array, buffer: Array, taps: Array, y: Array, few: Array, length:
    int, careful: Any,
) -> None:  # fmt: skip
    """y[r, p] = start[r] + Σ_k w[r, k] · buffer[taps[k] + p] for up to four rows r.

    Of many taps, each `CHUNK` are added up by themselves (after the first, in `few`), and each five
    of them if `careful`, and not None: where every product is added to one sum, each rounds all
    that came before.
    """
    rows, chunks = 4 if several > 2 else 2, max(1, (taps.size + CHUNK - 1) // CHUNK)
    chunk = max(1, (taps.size + chunks * TAPS - 1) // (chunks * TAPS)) * TAPS
    for r in range(rows):
        _fill(y[r], length, start[r] if r < several else 0)
    _combine(rows, y, buffer, taps, w, 0, min(chunk, taps.size), length, careful)
    for k in range(chunk, taps.size, chunk):
        for r in range(rows):
            _fill(few[r], length, 0)
        _combine(rows, few, buffer, taps, w, k, min(k + chunk, taps.size), length, careful)
        for r in range(rows):
            _add(y[r], few[r], length)


@worker
def _combine(
    rows: int, y: Array, x: Array, offsets: Array, w: Array, lo: int, hi: int, length: int, careful:
    Any,
) -> None:  # fmt: skip
    """The taps in a range; the careful sums are compiled where they are wanted."""
    if careful is None:
        _one_by_one(rows, y, x, offsets[lo:hi], w, lo, hi, length)
    elif offsets.size > MANY:
        _by_fives(rows, y, x, offsets[lo:hi], w, lo, hi, length)
    else:
        _one_by_one(rows, y, x, offsets[lo:hi], w, lo, hi, length)


@worker
def _one_by_one(
    rows: int, y: Array, x: Array, taps: Array, w: Array, lo: int, hi: int, length: int
) -> None:
    w0, w1 = w[0, lo:hi], w[1, lo:hi]  # a slice of the matrix would be one more type to compile for
    if rows == 4:
        _combine4(y[0], y[1], y[2], y[3], x, taps, w0, w1, w[2, lo:hi], w[3, lo:hi], length)
    else:
        _combine2(y[0], y[1], x, taps, w0, w1, length)


@worker
def _by_fives(
    rows: int, y: Array, x: Array, taps: Array, w: Array, lo: int, hi: int, length: int
) -> None:
    w0, w1 = w[0, lo:hi], w[1, lo:hi]
    if rows == 4:
        _exact4(y[0], y[1], y[2], y[3], x, taps, w0, w1, w[2, lo:hi], w[3, lo:hi], length)
    else:
        _exact2(y[0], y[1], x, taps, w0, w1, length)


@entry
def correlate(
    team: int, src: Array, dst: Array, w: Array, start: Array, packed: Array, rooms: Array, layout:
    Ints, sources: Array, offsets: Array, counts: Array, plan: Ints, units: int, careful: Any,
) -> Any:  # fmt: skip
    """`_correlate` with a run of units to each thread. Returns whether the weights are finite."""
    finite = _pack(w, layout, sources, counts, packed)
    args = (src, dst, start, packed, offsets, counts, plan, units, rooms, careful)
    spread(team, rooms.shape[0], _correlate, args)
    return finite


# --- weight gradient ------------------------------------------------------------------------------


@worker
def _weigh(
    thread: int, x: Array, g: Array, partial: Array, offsets: Array, plan: Ints, units: int, rooms:
    Array,
) -> None:  # fmt: skip
    """For units (images, group, rows): lay the input out; for output channels o (4 at a time): lay
    their gradients out, with zeros between the rows; for taps k (5 at a time), for pixels p:
    dw[group, o, k] += grads[o, p] · buffer[offsets[k] + p].

    `x` and `g` are contiguous (N, C, H, W); a thread's room holds four runs of gradients and, where
    the forward pass has it, the buffer. Each thread has a run of units and a sum of its own, or
    else, where there is one sum, a run of fours of output channels.
    """
    scratch, threads, alone = rooms[thread], rooms.shape[0], partial.shape[0] == 1
    dw = partial[0 if alone else thread]
    lo, hi = (0, units) if alone else portion(units, thread, threads)
    fours = partial.shape[2] // 4
    four, last = portion(fours, thread, threads) if alone else (0, fours)
    room, height, pitch, block, rows, columns, run, row, column, ih, iw = plan
    grads, buffer = scratch[: 4 * run].reshape(4, run), scratch[8 * run :]
    groups = dw.shape[0]
    inputs, outputs = x.shape[1] // groups, g.shape[1] // groups
    blocks = (rows + block - 1) // block
    for unit in range(lo, hi):
        first, group = unit % blocks * block, unit // blocks % groups
        n = unit // (blocks * groups) * room
        stop, some = min(n + room, x.shape[0]), min(block, rows - first)
        channels, top = (group * inputs, (group + 1) * inputs), row + first * ih
        _load(x, (n, stop), channels, buffer, room, top, column, height, pitch, ih, iw)
        length = _vectors(((stop - n - 1) * height + some - 1) * pitch + columns)
        for o in range(four * 4, last * 4, 4):
            w, channel, several = dw[group, o : o + 4], group * outputs + o, min(4, outputs - o)
            for r in range(4 if several > 2 else 2):
                _fill(grads[r], length, 0)
            for r in range(several):
                for m in range(n, stop):
                    line = grads[r, (m - n) * height * pitch :]
                    _place(g[m, channel + r], first, some, line, pitch)
            if several > 2:
                d = grads
                _dots4(d[0], d[1], d[2], d[3], buffer, offsets, w[0], w[1], w[2], w[3], length)
            else:
                _dots2(grads[0], grads[1], buffer, offsets, w[0], w[1], length)


@worker
def _place(image: Array, first: int, some: Array, line: Array, pitch: int) -> None:
    """line[r·pitch + t] = image[first + r, t]."""
    columns = image.shape[1]
    for r in range(some):
        _copy(line[r * pitch : r * pitch + columns], image[first + r], 1)


@worker
def _gather(partial: Array, dw: Array) -> bool:
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
    team: int, x: Array, g: Array, dw: Array, partial: Array, rooms: Array, offsets: Array, plan:
    Ints, units: int,
) -> Any:  # fmt: skip
    """`_weigh` by all threads, and the sum of theirs. Returns whether every number is finite."""
    spread(team, rooms.shape[0], _weigh, (x, g, partial, offsets, plan, units, rooms))
    return _gather(partial, dw)


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
def add_up(team: int, g: Array, sums: Array) -> None:
    """Sums over images and pixels, (N, C, P), for each thread and channel."""
    spread(team, sums.shape[0], _add_up, (g, sums))
