"""Pooling's loops for the CPU, in Numba.

Images come and go contiguous, (N, C, H, W), and are taken as planes (N·C, H, W); a thread gets a
run of planes.

**The layout.** As for convolution, a plane is first laid out with its padding, and with stride s
dealt out to s·s *phases*: in each of them a step of the stride is a step to the neighbour. Windows
are numbered by the phases' *pitch* as well, `p = row·pitch + column`. Then a tap (i, j) of the
window is nothing but an offset, window p sees `phase[offset + p]`, and all windows of a block see
one run of neighbours. Large images are laid out in blocks of rows.

**Windows of 2 by 2**, side by side, are read where they stand.

`window` = (kh, kw, stride, stride, padding, padding, dilation, dilation), rows before columns;
`room` = (rows of windows in a block, rows in a phase, pitch).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cpu_jit import Calls, entry, foresee, worker
from .cpu_spread import portion, spread

Array = Any
Ints = tuple[int, ...]

_BLOCK = 1 << 13  # numbers in a block: a few of them stay in the first-level cache
_SLACK = 16  # numbers that the last tap's run, rounded up to whole vectors, may reach too far


def room_for(size: Ints, out: Ints, window: Ints) -> tuple[Ints, Ints]:
    """How large blocks are, (rows of windows, rows in a phase, pitch), and the numbers and the taps
    that a thread needs room for. No blocks: windows of 2 by 2 are read where they stand."""
    (height, width) = size
    if window == (2, 2, 2, 2, 0, 0, 1, 1) and 2 * out[0] <= height and 2 * out[1] <= width:
        return (0, 0, 0), (1, out[1])
    kh, kw, sh, sw, _, pw, dh, dw = window
    reach = max(width + pw, (out[1] - 1) * sw + (kw - 1) * dw + 1)
    pitch, more = -(-reach // sw), (kh - 1) * dh // sh
    block = max(1, min(out[0], _BLOCK // (pitch * sh * sw) - more))
    run = block * pitch + _SLACK
    return (block, block + more, pitch), (sh * sw * (block + more) * pitch + _SLACK + run, run)


# --- laying out -----------------------------------------------------------------------------------


@worker
def _fill(line: Array, value: Any) -> None:
    for t in range(line.size):
        line[t] = value


@worker
def _copy(line: Array, source: Array, step: int) -> None:
    """line[t] = source[t·step]."""
    if step == 1:
        for t in range(line.size):
            line[t] = source[t]
    elif step == 2:
        for t in range(line.size):
            line[t] = source[2 * t]
    else:
        for t in range(line.size):
            line[t] = source[step * t]


@worker
def _lay_out(
    image: Array, top: int, phases: Array, room: Ints, sh: int, sw: int, pw: int, nothing: Any
) -> None:
    """For phases (a, b), for their rows r, for t: phase[r, t] = image[top + r·sh + a, t·sw + b −
    padding], or `nothing` outside of the image."""
    (height, width), (_, rows, pitch) = image.shape, room
    flat = image.reshape(height * width)
    for b in range(sw):
        w = (b - pw) % sw
        at, count = (w + pw) // sw, max(0, (width - w + sw - 1) // sw)
        for a in range(sh):
            for r in range(rows):
                start, h = ((a * sw + b) * rows + r) * pitch, top + r * sh + a
                line = phases[start : start + pitch]
                if 0 <= h < height:
                    _copy(line[at : at + count], flat[h * width + w :], sw)
                    for t in range(at):
                        line[t] = nothing
                    for t in range(at + count, pitch):
                        line[t] = nothing
                else:
                    _fill(line, nothing)


@worker
def _offset(i: int, j: int, window: Ints, room: Ints) -> int:
    """Where tap (i, j) begins in the phases."""
    _, _, sh, sw, _, _, dh, dw = window
    (down, a), (right, b) = divmod(i * dh, sh), divmod(j * dw, sw)
    return ((a * sw + b) * room[1] + down) * room[2] + right


# --- where the largest is -------------------------------------------------------------------------


@worker
def _largest(
    x: Array, out: Array, window: Ints, room: Ints, lo: int, hi: int, scratch: Array, taps: Array
) -> None:
    """For planes, for blocks of rows of windows: lay the rows out; for taps (i, j), for windows p:
    if the tap's value is larger than the best so far, or is NaN, keep it and the tap's number; then
    out[r, c] = where that tap stands in the image, h·W + w.

    The start is the first tap inside of the image: all of a window may be minus infinity.
    """
    kh, kw, sh, sw, ph, pw, dh, dw = window
    block, _, pitch = room
    width, (down, across) = x.shape[2], out.shape[1:]
    run = taps.size
    phases, best = scratch[: scratch.size - run], scratch[scratch.size - run :]
    for n in range(lo, hi):
        for first in range(0, down, block):
            some, top = min(block, down - first), first * sh - ph
            _lay_out(x[n], top, phases, room, sh, sw, pw, x.dtype.type(-np.inf))
            length = (some * pitch + 15) // 16 * 16
            _fill(best[:length], -np.inf)
            _fill(taps[:length], 0)
            for r in range(some if ph + pw else 0):
                above = (max(0, -(top + r * sh)) + dh - 1) // dh * kw
                for c in range(across):
                    taps[r * pitch + c] = above + (max(0, pw - c * sw) + dw - 1) // dw
            for i in range(kh):
                for j in range(kw):
                    seen = phases[_offset(i, j, window, room) :]
                    _keep(best[:length], taps[:length], seen, i * kw + j)
            for r in range(some):
                place, tap = out[n, first + r], taps[r * pitch : (r + 1) * pitch]
                origin = (top + r * sh) * width - pw
                _places(place, tap, origin, kw, dh * width, dw, sw)


@worker
def _keep(best: Array, taps: Array, seen: Array, this: int) -> None:
    """Where a value is larger than the best or NaN: keep it, and this tap's number."""
    number = taps.dtype.type(this)
    for p in range(best.size):
        value, old, tap = seen[p], best[p], taps[p]
        wins = (value > old) | (value != value)
        best[p] = value if wins else old
        taps[p] = number if wins else tap


@worker
def _places(
    place: Array, tap: Array, origin: int, kw: int, down: int, right: int, step: int
) -> None:
    """place[c] = origin + i·down + j·right + c·step for tap number i·kw + j.

    A division by multiplication: the numbers are small.
    """
    inverse = (65535 + kw) // kw
    for c in range(place.size):
        number = np.int64(tap[c])
        i = (number * inverse) >> 16
        place[c] = origin + c * step + i * down + (number - i * kw) * right


@worker
def _largest_of_four(x: Array, out: Array, lo: int, hi: int, taps: Array) -> None:
    """`_largest` for windows of 2 by 2 side by side."""
    width = x.shape[2]
    for n in range(lo, hi):
        for r in range(out.shape[1]):
            _larger_of_four(x[n, 2 * r], x[n, 2 * r + 1], taps[: out.shape[2]])
            _places(out[n, r], taps, 2 * r * width, 2, width, 1, 2)


@worker
def _larger_of_four(up: Array, low: Array, taps: Array) -> None:
    for c in range(taps.size):
        best, b, d, e = up[2 * c], up[2 * c + 1], low[2 * c], low[2 * c + 1]
        tap = np.int32(0)
        wins = (b > best) | (b != b)
        best, tap = b if wins else best, np.int32(1) if wins else tap
        wins = (d > best) | (d != d)
        best, tap = d if wins else best, np.int32(2) if wins else tap
        wins = (e > best) | (e != e)
        taps[c] = np.int32(3) if wins else tap


@worker
def _largest_part(
    thread: int, x: Array, out: Array, window: Ints, room: Ints, scratch: Array, taps: Array
) -> None:
    lo, hi = portion(x.shape[0], thread, scratch.shape[0])
    if room[0] == 0:
        _largest_of_four(x, out, lo, hi, taps[thread])
    else:
        _largest(x, out, window, room, lo, hi, scratch[thread], taps[thread])


@entry
def largest(
    team: int, x: Array, out: Array, window: Ints, room: Ints, scratch: Array, taps: Array
) -> None:
    """`_largest` with a run of planes to each thread."""
    planes = x.reshape(-1, x.shape[2], x.shape[3])
    into = out.reshape(-1, out.shape[2], out.shape[3])
    args = (planes, into, window, room, scratch, taps)
    spread(team, scratch.shape[0], _largest_part, args)


# --- values at indices ----------------------------------------------------------------------------


@worker
def _move(
    thread: int, source: Array, indices: Array, out: Array, put: bool, outside: Array
) -> None:
    """For a thread's planes n, for places p: out[n, p] = source[n, indices[n, p]]; or, to put, in
    the other direction and adding up from 0. Counts how many indices point outside."""
    lo, hi = portion(out.shape[0], thread, outside.size)
    for n in range(lo, hi):
        image, line = (out[n], source[n]) if put else (source[n], out[n])
        place = indices[n]
        if put:
            for p in range(image.size):
                image[p] = 0
        for p in range(line.size):
            if not 0 <= place[p] < image.size:
                outside[thread] += 1
            elif put:
                image[place[p]] += line[p]
            else:
                line[p] = image[place[p]]


@entry
def move(team: int, source: Array, indices: Array, out: Array, put: bool, outside: Array) -> None:
    """`_move` with a run of planes, and a count of its own, to each thread."""
    spread(team, outside.size, _move, (source, indices, out, put, outside))


# --- the mean, and the largest itself -------------------------------------------------------------


@worker
def _pool(
    x: Array, out: Array, window: Ints, room: Ints, rows: Array, columns: Array, mean: bool, lo:
    int, hi: int, scratch: Array,
) -> None:  # fmt: skip
    """For planes, for blocks of rows of windows: lay the rows out; for taps, for windows p: join
    what the tap sees to what was seen so far. A mean is divided by rows[r] · columns[c]."""
    kh, kw, sh, sw, ph, pw, _, _ = window
    block, _, pitch = room
    down, across = out.shape[1:]
    run = scratch.size - block * pitch - _SLACK
    phases, seen, none = scratch[:run], scratch[run:], x.dtype.type(0 if mean else -np.inf)
    for n in range(lo, hi):
        for first in range(0, down, block):
            some = min(block, down - first)
            _lay_out(x[n], first * sh - ph, phases, room, sh, sw, pw, none)
            length = (some * pitch + 15) // 16 * 16
            _fill(seen[:length], none)
            for i in range(kh):
                for j in range(kw):
                    _join(seen[:length], phases[_offset(i, j, window, room) :], mean)
            for r in range(some):
                into, line = out[n, first + r], seen[r * pitch : r * pitch + across]
                if mean:
                    _divide(into, line, rows[first + r], columns)
                else:
                    _copy(into, line, 1)


@worker
def _join(y: Array, x: Array, adding: bool) -> None:
    """y + x, or the larger of both, and NaN if one of them is."""
    if adding:
        for p in range(y.size):
            y[p] += x[p]
    else:
        for p in range(y.size):
            y[p] = y[p] if (y[p] >= x[p]) | (y[p] != y[p]) else x[p]


@worker
def _divide(into: Array, line: Array, row: Any, columns: Array) -> None:
    for c in range(into.size):
        into[c] = line[c] / (row * columns[c])


@worker
def _pool_of_four(
    x: Array, out: Array, rows: Array, columns: Array, mean: bool, lo: int, hi: int
) -> None:
    """`_pool` for windows of 2 by 2 side by side."""
    for n in range(lo, hi):
        for r in range(out.shape[1]):
            if mean:
                _mean_of_four(out[n, r], x[n, 2 * r], x[n, 2 * r + 1], rows[r], columns)
            else:
                _most_of_four(out[n, r], x[n, 2 * r], x[n, 2 * r + 1])


@worker
def _mean_of_four(into: Array, up: Array, low: Array, row: Any, columns: Array) -> None:
    for c in range(into.size):
        total = (up[2 * c] + up[2 * c + 1]) + (low[2 * c] + low[2 * c + 1])
        into[c] = total / (row * columns[c])


@worker
def _most_of_four(into: Array, up: Array, low: Array) -> None:
    for c in range(into.size):
        a, b, d, e = up[2 * c], up[2 * c + 1], low[2 * c], low[2 * c + 1]
        a = a if (a >= b) | (a != a) else b
        d = d if (d >= e) | (d != d) else e
        into[c] = a if (a >= d) | (a != a) else d


@worker
def _pool_part(
    thread: int, x: Array, out: Array, window: Ints, room: Ints, rows: Array, columns: Array, mean:
    bool, scratch: Array,
) -> None:  # fmt: skip
    lo, hi = portion(x.shape[0], thread, scratch.shape[0])
    if room[0] == 0:
        _pool_of_four(x, out, rows, columns, mean, lo, hi)
    else:
        _pool(x, out, window, room, rows, columns, mean, lo, hi, scratch[thread])


@entry
def pool(
    team: int, x: Array, out: Array, window: Ints, room: Ints, rows: Array, columns: Array, mean:
    bool, scratch: Array,
) -> None:  # fmt: skip
    """`_pool` with a run of planes to each thread."""
    planes = x.reshape(-1, x.shape[2], x.shape[3])
    into = out.reshape(-1, out.shape[2], out.shape[3])
    args = (planes, into, window, room, rows, columns, mean, scratch)
    spread(team, scratch.shape[0], _pool_part, args)


# --- the mean's gradient --------------------------------------------------------------------------


@worker
def _hand_back(
    thread: int, g: Array, dx: Array, window: Ints, rows: Array, columns: Array, rooms: Array
) -> None:
    """For planes, for rows r of windows: spread the row's gradients, divided by rows[r]·columns[c],
    over the windows' columns; for the image's rows h inside: write them, or add them where an
    earlier row of windows was. Rows of the image between the windows become 0.
    """
    kh, kw, sh, sw, ph, pw, _, _ = window
    scratch, (lo, hi) = rooms[thread], portion(g.shape[0], thread, rooms.shape[0])
    (_, height, width), across = dx.shape, g.shape[2]
    if window == (2, 2, 2, 2, 0, 0, 1, 1) and width == 2 * across and height == 2 * g.shape[1]:
        for n in range(lo, hi):
            for r in range(g.shape[1]):
                _spread_to_four(dx[n, 2 * r], dx[n, 2 * r + 1], g[n, r], rows[r], columns)
        return
    share, line = scratch[:across], scratch[across : across + width]
    for n in range(lo, hi):
        done = 0  # rows of the image that have been written
        for r in range(g.shape[1]):
            _divide(share, g[n, r], rows[r], columns)
            _widen(line, share, kw, sw, pw)
            top, bottom = max(0, r * sh - ph), min(r * sh - ph + kh, height)
            for h in range(done, top):
                _fill(dx[n, h], 0)
            for h in range(top, min(done, bottom)):
                _join(dx[n, h], line, True)
            for h in range(max(done, top), bottom):
                _copy(dx[n, h], line, 1)
            done = max(done, bottom)
        for h in range(done, height):
            _fill(dx[n, h], 0)


@worker
def _widen(line: Array, share: Array, kw: int, sw: int, pw: int) -> None:
    """line[c·stride + j − padding] += share[c] for the window's columns j, from 0."""
    _fill(line, 0)
    for j in range(kw):
        start, stop = _span(j - pw, sw, line.size, share.size)
        into = line[start * sw + j - pw :]
        for c in range(stop - start):
            into[c * sw] += share[start + c]


@worker
def _span(first: int, step: int, size: int, count: int) -> tuple[int, int]:
    """The t in range(count) for which 0 ≤ first + t·step < size, as (start, stop)."""
    start = 0 if first >= 0 else min(count, (step - 1 - first) // step)
    return start, max(start, min(count, (size - first + step - 1) // step))


@worker
def _spread_to_four(up: Array, low: Array, g: Array, row: Any, columns: Array) -> None:
    for c in range(g.size):
        share = g[c] / (row * columns[c])
        up[2 * c] = share
        up[2 * c + 1] = share
        low[2 * c] = share
        low[2 * c + 1] = share


@entry
def back(
    team: int, g: Array, dx: Array, window: Ints, rows: Array, columns: Array, rooms: Array
) -> None:
    """`_hand_back` with a run of planes to each thread."""
    planes = g.reshape(-1, g.shape[2], g.shape[3])
    into = dx.reshape(-1, dx.shape[2], dx.shape[3])
    args = (planes, into, window, rows, columns, rooms)
    spread(team, rooms.shape[0], _hand_back, args)


# --- what a training step calls next --------------------------------------------------------------


def _gradient(
    team: int, x: Array, out: Array, window: Ints, room: Ints, rows: Array, columns: Array, mean:
    bool, scratch: Array,
) -> Calls:  # fmt: skip
    if mean:
        return [(back, (team, out, x, window, rows, columns, scratch))]
    places, taps = np.empty((1, 1, 1, 1), np.int64), np.empty((1, 1), np.int32)
    args = (team, x, places, window, room, scratch, taps)
    return [(largest, args), *_moved(*args)]


def _moved(
    team: int, x: Array, out: Array, window: Ints, room: Ints, scratch: Array, taps: Array
) -> Calls:
    return [(move, (team, scratch, out[0, 0], scratch, True, out[0, 0, 0]))]


foresee(pool, _gradient)
foresee(largest, _moved)
