"""Convolution on a GPU: an implicit matrix product, and a direct kernel for few channels.

Written as a matrix product, a convolution is

    out[m, p] = Σ_k w[m, k] · x̂[k, p] + b[m]

where m is an output channel, p one pixel of one image of the batch, and k one tap: an input channel
and a place in the window. x̂, which holds every pixel kh·kw times, is never made: x̂[k, p] is read
from x where it is needed ("implicit"). Where that is, the *plan* tells, a small array of int32 that
stays on the GPU: for each tap k how far from a pixel's corner to read, and by how many rows and
columns, so that a read outside of the image is seen and counts as 0.

The gradient of the input is the same sum with other tables: of an input pixel over all output
channels and all taps that reach it. With a stride only every s-th tap does; pixels that are reached
by the same taps are one launch, s·s in all, so nothing is multiplied by zeros.

The gradient of the weight sums over all pixels of all images: a product of long rows with few
results. So each result is split among several blocks of threads, and their parts are added up in a
second step, always in the same order: two runs give the same bits.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .cuda_jit import THREADS, Kernel, numba_cuda, number_type

# mypy: disable-error-code="no-untyped-def"

cuda = numba_cuda()

SIDE = 16  # the threads of a block stand in a square, SIDE by SIDE
CHUNK = 32  # taps whose weights the direct kernel keeps in shared memory at a time

# What a plan begins with; behind it stand four tables, a number for each tap.
(ROWS, PIXELS, TAPS, PLANE, WIDE, SRC_IMAGE, HEIGHT, WIDTH, STEP_Y, STEP_X, SRC_GROUP, W_GROUP,
 W_ROW, OUT_GROUP, OUT_IMAGE, OUT_ROW, OUT_Y, OUT_X, OUT_START, SHARE, SPLIT,
 BIASED) = range(22)  # fmt: skip
TABLES = 24


@cache
def correlate(rows: int, columns: int, depth: int, dtype: Any) -> Kernel:
    """out[m, p] = Σ_k w[m, k] x̂[k, p], by tiles of rows × columns results.

    Loop nest: a block of 16 × 16 threads makes one tile. For `depth` taps at a time it copies that
    part of w and of x̂ into shared memory, each number once, and each thread adds rows/16 ×
    columns/16 products a tap to sums that it keeps in registers.

    Tile sizes: a tap costs a thread rows/16 + columns/16 reads of shared memory and rows/16 ·
    columns/16 products. A GPU does four products in the time of one such read, so 4 × 4 sums (8
    reads, 16 products) leave the multipliers half idle and 8 × 8 (16 reads, 64 products) keep them
    busy, if there are enough tiles of 128 × 128 for all processors. Sums and operands must fit
    into the 255 registers of a thread: 16 × 16 would not.

    Thread (row, column) has the rows row, row + 16, ... and the columns column, column + 16, ...:
    neighbours read neighbours, which is one access for all 32 threads that run together. A row of
    a tile has one place too many, for threads that write down a column would otherwise all meet in
    one bank of the memory.
    """
    number = number_type(dtype)
    down, across, rows_1, columns_1 = rows // SIDE, columns // SIDE, rows + 1, columns + 1
    loads_w, loads_x = rows * depth // THREADS, columns * depth // THREADS
    step_w, step_x = THREADS // depth, THREADS // columns

    def kernel(src, w, bias, out, plan):
        t = cuda.threadIdx.x
        column, row = t % SIDE, t // SIDE
        first_p, first_m, group = cuda.blockIdx.x * columns, cuda.blockIdx.y * rows, cuda.blockIdx.z
        ws = cuda.shared.array((depth, rows_1), number)
        xs = cuda.shared.array((depth, columns_1), number)
        sums = cuda.local.array((down, across), number)
        a = cuda.local.array(down, number)
        for i in range(down):
            m, first = first_m + row + i * SIDE, number(0)
            if plan[BIASED] > 0 and m < plan[ROWS]:
                first = bias[group * plan[ROWS] + m]
            for j in range(across):
                sums[i, j] = first
        taps, count, plane, wide = plan[TAPS], plan[PIXELS], plan[PLANE], plan[WIDE]
        height, width = plan[HEIGHT], plan[WIDTH]
        # this thread copies column `p` of x̂, and column `kw` of w
        p = first_p + t % columns
        n, q = p // plane, p % plane
        y, x = q // wide * plan[STEP_Y], q % wide * plan[STEP_X]
        corner = group * plan[SRC_GROUP] + n * plan[SRC_IMAGE] + y * width + x
        kw, mw = t % depth, t // depth
        for start in range(0, taps, depth):
            for i in range(loads_w):
                k, m = start + kw, first_m + mw + i * step_w
                value = number(0)
                if k < taps and m < plan[ROWS]:
                    place = plan[TABLES + 3 * taps + k]
                    value = w[group * plan[W_GROUP] + m * plan[W_ROW] + place]
                ws[kw, mw + i * step_w] = value
            for i in range(loads_x):
                kx = t // columns + i * step_x
                k = start + kx
                value = number(0)
                if k < taps and p < count:
                    ky, kc = y + plan[TABLES + taps + k], x + plan[TABLES + 2 * taps + k]
                    if ky >= 0 and ky < height and kc >= 0 and kc < width:
                        value = src[corner + plan[TABLES + k]]
                xs[kx, t % columns] = value
            cuda.syncthreads()
            for k in range(depth):
                for i in range(down):
                    a[i] = ws[k, row + i * SIDE]
                for j in range(across):
                    b = xs[k, column + j * SIDE]
                    for i in range(down):
                        sums[i, j] += a[i] * b
            cuda.syncthreads()
        for j in range(across):
            p = first_p + column + j * SIDE
            if p < count:
                n, q = p // plane, p % plane
                place = (group * plan[OUT_GROUP] + n * plan[OUT_IMAGE] + plan[OUT_START]
                         + q // wide * plan[OUT_Y] + q % wide * plan[OUT_X])  # fmt: skip
                for i in range(down):
                    m = first_m + row + i * SIDE
                    if m < plan[ROWS]:
                        out[place + m * plan[OUT_ROW]] = sums[i, j]

    return Kernel(kernel, "x x x x i", dtype)


@cache
def correlate_few(channels: int, dtype: Any) -> Kernel:
    """The same sum where there are few output channels: a thread for each pixel.

    Loop nest: a thread keeps a sum for each of `channels` channels. For 32 taps at a time the block
    copies their weights into shared memory; then each thread reads, tap by tap, its own pixel, once
    for all channels, and multiplies it by `channels` weights, which all threads read together.

    A tile of 64 rows would be nine tenths empty with LeNet's 6 channels. Here nothing is: the
    pixels, of which there are many, are what is divided among the threads.
    """
    number = number_type(dtype)

    def kernel(src, w, bias, out, plan):
        t = cuda.threadIdx.x
        p, first_m = cuda.blockIdx.x * THREADS + t, cuda.blockIdx.y * channels
        group = cuda.blockIdx.z
        ws = cuda.shared.array((CHUNK, channels), number)
        sums = cuda.local.array(channels, number)
        for i in range(channels):
            sums[i] = 0
            if plan[BIASED] > 0 and first_m + i < plan[ROWS]:
                sums[i] = bias[group * plan[ROWS] + first_m + i]
        taps, count, plane, wide = plan[TAPS], plan[PIXELS], plan[PLANE], plan[WIDE]
        height, width = plan[HEIGHT], plan[WIDTH]
        n, q = p // plane, p % plane
        y, x = q // wide * plan[STEP_Y], q % wide * plan[STEP_X]
        corner = group * plan[SRC_GROUP] + n * plan[SRC_IMAGE] + y * width + x
        for start in range(0, taps, CHUNK):
            for i in range(t, CHUNK * channels, THREADS):
                k, m = start + i // channels, first_m + i % channels
                value = number(0)
                if k < taps and m < plan[ROWS]:
                    place = plan[TABLES + 3 * taps + k]
                    value = w[group * plan[W_GROUP] + m * plan[W_ROW] + place]
                ws[i // channels, i % channels] = value
            cuda.syncthreads()
            if p < count:
                here = taps - start if taps - start < CHUNK else CHUNK
                for kk in range(here):
                    k = start + kk
                    ky, kc = y + plan[TABLES + taps + k], x + plan[TABLES + 2 * taps + k]
                    if ky >= 0 and ky < height and kc >= 0 and kc < width:
                        value = src[corner + plan[TABLES + k]]
                        for i in range(channels):
                            sums[i] += value * ws[kk, i]
            cuda.syncthreads()
        if p < count:
            place = (group * plan[OUT_GROUP] + n * plan[OUT_IMAGE] + plan[OUT_START]
                     + q // wide * plan[OUT_Y] + q % wide * plan[OUT_X])  # fmt: skip
            for i in range(channels):
                if first_m + i < plan[ROWS]:
                    out[place + (first_m + i) * plan[OUT_ROW]] = sums[i]

    return Kernel(kernel, "x x x x i", dtype)


@cache
def weigh(rows: int, columns: int, depth: int, dtype: Any) -> Kernel:
    """out[m, k] = Σ_p g[m, p] x̂[k, p], by tiles of rows × columns weights, each split in parts.

    Loop nest: as `correlate`, with pixels where that has taps: the block goes through its share of
    all pixels, `depth` at a time. Neighbouring threads copy neighbouring pixels of g and of x, and
    each thread keeps the places of the taps that it copies in registers: they stay, while the
    pixels move on.

    Shares: a layer has few tiles of weights and many pixels. 64 by 25 weights are one tile, and one
    block would leave all processors but one idle, so the pixels are shared out among about as many
    blocks as the GPU can run, and `out` has a part for each share.
    """
    number = number_type(dtype)
    down, across, rows_1, columns_1 = rows // SIDE, columns // SIDE, rows + 1, columns + 1
    loads_g, loads_x, step = rows * depth // THREADS, columns * depth // THREADS, THREADS // depth

    def kernel(x, g, out, plan):
        t = cuda.threadIdx.x
        column, row = t % SIDE, t // SIDE
        first_k, first_m = cuda.blockIdx.x * columns, cuda.blockIdx.y * rows
        group, share = cuda.blockIdx.z // plan[SPLIT], cuda.blockIdx.z % plan[SPLIT]
        gs = cuda.shared.array((depth, rows_1), number)
        xs = cuda.shared.array((depth, columns_1), number)
        sums = cuda.local.array((down, across), number)
        a = cuda.local.array(down, number)
        for i in range(down):
            for j in range(across):
                sums[i, j] = 0
        taps, plane, wide = plan[TAPS], plan[PLANE], plan[WIDE]
        height, width = plan[HEIGHT], plan[WIDTH]
        pp, other = t % depth, t // depth
        begin = share * plan[SHARE]
        end = begin + plan[SHARE]
        end = end if end < plan[PIXELS] else plan[PIXELS]
        for start in range(begin, end, depth):
            p = start + pp
            n, q = p // plane, p % plane
            y, x_ = q // wide * plan[STEP_Y], q % wide * plan[STEP_X]
            corner = group * plan[SRC_GROUP] + n * plan[SRC_IMAGE] + y * width + x_
            place = group * plan[W_GROUP] + n * plan[OUT_IMAGE] + q
            for i in range(loads_g):
                m = first_m + other + i * step
                value = number(0)
                if p < end and m < plan[ROWS]:
                    value = g[place + m * plane]
                gs[pp, other + i * step] = value
            for i in range(loads_x):
                k = first_k + other + i * step
                value = number(0)
                if p < end and k < taps:
                    ky, kc = y + plan[TABLES + taps + k], x_ + plan[TABLES + 2 * taps + k]
                    if ky >= 0 and ky < height and kc >= 0 and kc < width:
                        value = x[corner + plan[TABLES + k]]
                xs[pp, other + i * step] = value
            cuda.syncthreads()
            for k in range(depth):
                for i in range(down):
                    a[i] = gs[k, row + i * SIDE]
                for j in range(across):
                    b = xs[k, column + j * SIDE]
                    for i in range(down):
                        sums[i, j] += a[i] * b
            cuda.syncthreads()
        place = share * plan[OUT_START] + group * plan[OUT_GROUP]
        for j in range(across):
            k = first_k + column + j * SIDE
            if k < taps:
                for i in range(down):
                    m = first_m + row + i * SIDE
                    if m < plan[ROWS]:
                        out[place + m * taps + k] = sums[i, j]

    return Kernel(kernel, "x x x i", dtype)
