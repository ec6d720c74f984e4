"""Pooling's loops for the CPU, in Numba.

Images come as contiguous planes (N·C, H, W) and go as planes; a thread gets a run of planes. For a
row of windows the loops run along the image: the outermost over the windows' taps, the innermost
over the windows, which are many and whose results stand side by side.

`window` = (kh, kw, stride, stride, padding, padding, dilation, dilation), rows before columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .cpu_jit import entry, parallel_entry, worker

Array = Any
Ints = tuple[int, ...]


@worker
def _part(total: int, t: int, threads: int) -> Any:
    """Thread t's part of a range, as signed numbers (`prange` counts in unsigned ones)."""
    return total * np.int64(t) // threads, total * np.int64(t + 1) // threads


@worker
def _inside(
    place: int, stride: int, padding: int, reach: int, dilation: int, size: int
) -> tuple[int, int]:
    """The rows of a window that lie inside the image: the first, and one past the last."""
    start = place * stride - padding
    return start if start >= 0 else start % dilation, min(start + reach, size)


@worker
def _span(first: int, step: int, size: int, count: int) -> tuple[int, int]:
    """The t in range(count) for which 0 ≤ first + t·step < size, as (start, stop)."""
    start = 0 if first >= 0 else min(count, (step - 1 - first) // step)
    return start, max(start, min(count, (size - first + step - 1) // step))


# --- the largest ----------------------------------------------------------------------------------


@worker
def _largest(x: Array, out: Array, window: Ints, lo: int, hi: int, best: Array) -> None:
    """For planes, for rows r of windows: for rows h inside them, for columns j of the window, for
    windows c: if the value at (h, w = c·stride + j − padding) is larger than the one kept so far,
    or is NaN, keep it in `best` and its place h·W + w in `out`.

    `best` has room for a row of values.
    """
    kh, kw, sh, sw, ph, pw, dh, dw = window
    _, height, width = x.shape
    for n in range(lo, hi):
        image = x[n]
        for r in range(out.shape[1]):
            top, bottom = _inside(r, sh, ph, (kh - 1) * dh + 1, dh, height)
            place = out[n, r]
            for c in range(place.size):
                left = c * sw - pw
                best[c], place[c] = -np.inf, top * width + (left if left >= 0 else left % dw)
            for h in range(top, bottom, dh):
                for j in range(0, kw * dw, dw):
                    start, stop = _span(j - pw, sw, width, place.size)
                    w = start * sw + j - pw
                    source, first = image[h, w:], h * width + w
                    _keep(best[start:stop], place[start:stop], source, first, sw)


@worker
def _keep(best: Array, place: Array, source: Array, first: int, step: int) -> None:
    """Where source[t·step] is larger than best[t] or NaN: keep it, and its place first + t·step."""
    if step == 1:
        for t in range(best.size):
            value = source[t]
            wins = (value > best[t]) | (value != value)
            best[t] = value if wins else best[t]
            place[t] = first + t if wins else place[t]
    elif step == 2:
        for t in range(best.size):
            value = source[2 * t]
            wins = (value > best[t]) | (value != value)
            best[t] = value if wins else best[t]
            place[t] = first + 2 * t if wins else place[t]
    else:
        for t in range(best.size):
            value = source[step * t]
            wins = (value > best[t]) | (value != value)
            best[t] = value if wins else best[t]
            place[t] = first + step * t if wins else place[t]


@entry
def largest(x: Array, out: Array, window: Ints, scratch: Array) -> None:
    """`_largest` over all planes, on one thread."""
    _largest(x, out, window, 0, x.shape[0], scratch[0])


@parallel_entry
def largest_parallel(x: Array, out: Array, window: Ints, scratch: Array) -> None:
    """`_largest` with a run of planes to each thread."""
    for t in prange(scratch.shape[0]):
        lo, hi = _part(x.shape[0], t, scratch.shape[0])
        _largest(x, out, window, lo, hi, scratch[t])


# --- values at indices ----------------------------------------------------------------------------


@worker
def _move(source: Array, indices: Array, out: Array, put: bool, lo: int, hi: int) -> int:
    """For planes n, for places p: out[n, p] = source[n, indices[n, p]]; or, to put, in the other
    direction and adding up from 0. Returns how many indices point outside."""
    outside = 0
    for n in range(lo, hi):
        image, line = (out[n], source[n]) if put else (source[n], out[n])
        place = indices[n]
        if put:
            for p in range(image.size):
                image[p] = 0
        for p in range(line.size):
            if not 0 <= place[p] < image.size:
                outside += 1
            elif put:
                image[place[p]] += line[p]
            else:
                line[p] = image[place[p]]
    return outside


@entry
def move(source: Array, indices: Array, out: Array, put: bool, threads: int) -> Any:
    """`_move` over all planes, on one thread."""
    return _move(source, indices, out, put, 0, out.shape[0])


@parallel_entry
def move_parallel(source: Array, indices: Array, out: Array, put: bool, threads: int) -> Any:
    """`_move` with a run of planes to each thread."""
    outside = 0
    for t in prange(threads):
        lo, hi = _part(out.shape[0], t, threads)
        outside += _move(source, indices, out, put, lo, hi)
    return outside


# --- the mean -------------------------------------------------------------------------------------


@worker
def _average(
    images: Array, means: Array, window: Ints, rows: Array, columns: Array, spread: bool, lo: int,
    hi: int,
) -> None:  # fmt: skip
    """For planes, for rows r of windows: for rows h inside them, for columns j of the window, for
    windows c: means[r, c] += images[h, c·stride + j − padding]; in the end divided by
    rows[r]·columns[c]. Or, to spread, in the other direction: images += means, divided at first.

    What is added to comes as zeros; when spreading, `means` is written to as well.
    """
    kh, kw, sh, sw, ph, pw, _, _ = window
    _, height, width = images.shape
    for n in range(lo, hi):
        for r in range(means.shape[1]):
            line = means[n, r]
            top, bottom = _inside(r, sh, ph, kh, 1, height)
            if spread:
                _divide(line, rows[r], columns)
            for h in range(top, bottom):
                for j in range(kw):
                    start, stop = _span(j - pw, sw, width, line.size)
                    image = images[n, h, start * sw + j - pw :]
                    if spread:
                        _add_to(image, line[start:stop], sw)
                    else:
                        _add_from(line[start:stop], image, sw)
            if not spread:
                _divide(line, rows[r], columns)


@worker
def _divide(line: Array, row: int, columns: Array) -> None:
    for c in range(line.size):
        line[c] /= row * columns[c]


@worker
def _add_from(line: Array, image: Array, step: int) -> None:
    """line[t] += image[t·step]."""
    if step == 2:
        for t in range(line.size):
            line[t] += image[2 * t]
    else:
        for t in range(line.size):
            line[t] += image[step * t]


@worker
def _add_to(image: Array, line: Array, step: int) -> None:
    """image[t·step] += line[t]."""
    if step == 2:
        for t in range(line.size):
            image[2 * t] += line[t]
    else:
        for t in range(line.size):
            image[step * t] += line[t]


@entry
def average(
    images: Array, means: Array, window: Ints, rows: Array, columns: Array, spread: bool, threads:
    int,
) -> None:  # fmt: skip
    """`_average` over all planes, on one thread."""
    _average(images, means, window, rows, columns, spread, 0, images.shape[0])


@parallel_entry
def average_parallel(
    images: Array, means: Array, window: Ints, rows: Array, columns: Array, spread: bool, threads:
    int,
) -> None:  # fmt: skip
    """`_average` with a run of planes to each thread."""
    for t in prange(threads):
        lo, hi = _part(images.shape[0], t, threads)
        _average(images, means, window, rows, columns, spread, lo, hi)
