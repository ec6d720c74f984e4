"""Explicit vectors for the CPU's kernels: small blocks of products, in LLVM's own words.

A plain loop leaves it to LLVM which numbers stay in registers, and for a product of matrices it
chooses badly. The blocks made here leave nothing open: their sums are held in vector registers
while all that belongs to them is added up.

**Vectors** are as wide as this machine's registers. A block has as many of them as fit with room
for the operands: `ROWS` times `VECTORS`, which is 6 times 4 where there are 32 registers (AVX-512,
NEON) and 4 times 2 where there are 16 (AVX2, SSE). Loads and stores need no alignment.

**Intrinsics.** A function made here is a piece of LLVM's language that becomes part of the loop
that calls it. It takes arrays of float32 or float64, and integers, and checks nothing. Compiled
code must find it as a global of its own module: as the variable of an enclosing function it would
defeat Numba's disk cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config as _config
from numba import types
from numba.core import cgutils as _cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from .cpu_jit import worker

config: Any = _config  # untyped
cgutils: Any = _cgutils

USABLE = not config.DISABLE_JIT  # Python cannot run what is made here

Dtype = Any
Value = Any  # of LLVM
Values = Any
Matrix = tuple[tuple[float, ...], ...]

_INT = ir.IntType(64)


def _registers() -> tuple[int, int]:
    """This machine's vector registers: the bytes in one, and how many there are."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    has = {feature[1:] for feature in features.split(",") if feature.startswith("+")}
    if "avx512f" in has:
        return 64, 32
    return (32 if "avx2" in has else 16), (32 if triple.startswith(("aarch64", "arm64")) else 16)


BYTES, _COUNT = _registers()
ROWS, VECTORS = (6, 4) if _COUNT == 32 else (4, 2)
CHUNK = 128  # products of a long sum to add up in one call of a block


@worker
def chunk_of(total: int, most: int) -> int:
    """How many products to add up by themselves, in as few chunks as can be, all of one size."""
    chunks = max(1, (total + most - 1) // most)
    return max(1, (total + chunks - 1) // chunks)


@worker
def small_chunk(total: int) -> int:
    """`chunk_of` for careful sums: with √total products in √total chunks the error is least, and
    with a few times more or less it is hardly larger."""
    most = 16 if total <= 80 else 32 if total <= 320 else 64 if total <= 1280 else CHUNK
    return chunk_of(total, most)


def lanes(dtype: Dtype) -> int:
    """How many numbers a vector holds."""
    return BYTES // np.dtype(dtype).itemsize


class View:
    """An array inside of an intrinsic."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Value) -> None:
        array = context.make_array(kind)(context, builder, value)
        self.builder, self.data, self.size = builder, array.data, kind.dtype.bitwidth // 8
        strides = cgutils.unpack_tuple(builder, array.strides, kind.ndim)
        self.row = builder.sdiv(strides[0], _INT(self.size)) if kind.ndim > 1 else None
        self.number = array.data.type.pointee
        self.vector = ir.VectorType(self.number, BYTES // self.size)

    def at(self, *places: Value | int) -> Value:
        """A pointer to the number at the sum of some places."""
        pointer = self.data
        for place in places:
            index = _INT(place) if isinstance(place, int) else place
            pointer = self.builder.gep(pointer, [index])
        return pointer

    def load(self, pointer: Value) -> Value:
        """A vector."""
        return self.builder.load(self._as_vector(pointer), align=self.size)

    def store(self, vector: Value, pointer: Value) -> None:
        """Store a vector."""
        self.builder.store(vector, self._as_vector(pointer), align=self.size)

    def _as_vector(self, pointer: Value) -> Value:
        return self.builder.bitcast(pointer, self.vector.as_pointer())

    def spread(self, number: Value) -> Value:
        """A vector full of one number."""
        one = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), number, _INT(0))
        lanes = ir.VectorType(ir.IntType(32), self.vector.count)
        return self.builder.shuffle_vector(one, one, ir.Constant(lanes, None))

    def total(self, vector: Value) -> Value:
        """The sum of a vector's numbers: of its halves, of their halves, and so on."""
        n = self.vector.count
        while n > 1:
            n //= 2
            low, high = (
                ir.Constant(ir.VectorType(ir.IntType(32), n), list(range(i, i + n))) for i in (0, n)
            )
            halves = [self.builder.shuffle_vector(vector, vector, half) for half in (low, high)]
            vector = self.builder.fadd(*halves)
        return self.builder.extract_element(vector, _INT(0))


# --- sums of products -----------------------------------------------------------------------------


def products(rows: int, vectors: int, chains: int = 1) -> Any:
    """An intrinsic that adds products to a block of `rows` times `vectors` sums.

    `block(c, m, a, across, along, b, places, lo, hi)`, for i in range(rows), k in range(lo, hi) and
    v in range(vectors · lanes)::

        c[m + i, v] += Σ_k a[across[m + i] + along[k]] · b[places[k] + v]

    The products are added up by themselves first: were each added to what c has already, it would
    round all that came before. Long sums are therefore made in several calls, of `CHUNK` products.
    A small block leaves registers free: every sum is then made as several `chains`, which do not
    wait for one another, and of which each rounds less.

    Numbers of a are taken one by one and spread over a vector; those of b are neighbours. `a` and
    `b` are contiguous, taken as flat; the rows of `c` are contiguous; three tables of int64 say
    where the operands stand, so that this is the inner loop of much:

    ====================  ========  =========  =========  ======================================
    .                     a         across     along      b, by places
    ====================  ========  =========  =========  ======================================
    product of matrices   A         its rows   columns    the rows of B
    convolution           image     pixels     taps       weights: taps, outputs side by side
    .. weight gradient    image     taps       pixels     gradient: pixels, outputs side by side
    pixels side by side   weights   outputs    taps       image: where a tap's pixels begin
    ====================  ========  =========  =========  ======================================
    """

    @intrinsic
    def block(
        typing: Any, c: Any, m: Any, a: Any, across: Any, along: Any, b: Any, places: Any, lo: Any,
        hi: Any,
    ) -> Any:  # fmt: skip
        takes = (c, types.intp, a, across, along, b, places, types.intp, types.intp)

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Value:
            arrays = [(takes[i], args[i]) for i in (0, 2, 3, 4, 5, 6)]
            views = [View(context, builder, *array) for array in arrays]
            _products(builder, (rows, vectors, chains), views, args[1], *args[7:])
            return context.get_dummy_value()

        return types.void(*takes), emit

    return block


def _products(
    builder: Any, shape: tuple[int, int, int], views: list[View], m: Value, lo: Value, hi: Value
) -> None:
    c, a, across, along, b, places = views
    rows, width, chains = shape
    lines = [builder.add(m, _INT(i)) for i in range(rows)]
    lanes = c.vector.count
    into = [[c.at(builder.mul(i, c.row), v * lanes) for v in range(width)] for i in lines]
    zero = ir.Constant(c.vector, None)
    sums = [
        [[cgutils.alloca_once_value(builder, zero) for _ in line] for line in into]
        for _ in range(chains)
    ]
    starts = [a.at(builder.load(across.at(i))) for i in lines]

    def add(k: Value, sums: Values) -> None:
        step, place = (builder.load(table.at(k)) for table in (along, places))
        vectors = [b.load(b.at(place, v * lanes)) for v in range(width)]
        for line, start in zip(sums, starts, strict=True):
            number = a.spread(builder.load(builder.gep(start, [step])))
            for total, vector in zip(line, vectors, strict=True):
                _add_product(builder, total, number, vector)

    if chains > 1:
        links = builder.sdiv(builder.sub(hi, lo), _INT(chains))
        with cgutils.for_range(builder, links) as loop:
            first = builder.add(lo, builder.mul(loop.index, _INT(chains)))
            for i, chain in enumerate(sums):
                add(builder.add(first, _INT(i)), chain)
        lo = builder.add(lo, builder.mul(links, _INT(chains)))
    with cgutils.for_range(builder, hi, lo) as loop:
        add(loop.index, sums[0])
    for *parts, pointers in zip(*sums, into, strict=True):
        for *some, pointer in zip(*parts, pointers, strict=True):
            total = _halved(builder, [builder.load(part) for part in some])
            c.store(builder.fadd(c.load(pointer), total), pointer)


def _halved(builder: Any, vectors: Values) -> Value:
    """The sum of some vectors, of their halves' sums."""
    if len(vectors) == 1:
        return vectors[0]
    half = len(vectors) // 2
    return builder.fadd(_halved(builder, vectors[:half]), _halved(builder, vectors[half:]))


def _add_product(builder: Any, total: Value, x: Value, y: Value) -> None:
    """total += x · y, rounded once where the machine can."""
    product = builder.fmul(x, y, flags=("contract",))
    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)


_products6, _products4, _products2 = (products(rows, VECTORS) for rows in (6, 4, 2))


@worker
def block_rows(left: int) -> int:
    """How many of an even number of rows to take in one block: all in the fewest blocks."""
    return 6 if left > 8 or left == 6 else min(left, 4)


@worker
def add_block(
    c: Any, rows: int, a: Any, across: Any, along: Any, b: Any, places: Any, lo: int, hi: int
) -> None:
    """A block of `products`, of 6, 4 or 2 rows and `VECTORS` vectors, from the first row on."""
    if rows == 6:
        _products6(c, 0, a, across, along, b, places, lo, hi)
    elif rows == 4:
        _products4(c, 0, a, across, along, b, places, lo, hi)
    else:
        _products2(c, 0, a, across, along, b, places, lo, hi)


def dots(rows: int, vectors: int, whole: bool = False) -> Any:
    """An intrinsic that adds products to a block of `rows` times `vectors` sums, lane by lane.

    `block(c, m, t, a, across, along, b, places, steps, lo, hi)`, for i in range(rows), j in
    range(vectors), k in range(lo, hi) and v in range(lanes)::

        c[m + i, (t + j) · lanes + v] += Σ_k a[across[m + i] + along[k] + v] ·
                                             b[places[t + j] + steps[k] + v]

    All operands are vectors. If `whole`, their lanes are added up in the end: c[m + i, t + j]. The
    rest is as in `products`.
    """

    @intrinsic
    def block(
        typing: Any, c: Any, m: Any, t: Any, a: Any, across: Any, along: Any, b: Any, places: Any,
        steps: Any, lo: Any, hi: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        takes = (c, n, n, a, across, along, b, places, steps, n, n)

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Value:
            arrays = [(takes[i], args[i]) for i in (0, 3, 4, 5, 6, 7, 8)]
            views = [View(context, builder, *array) for array in arrays]
            _dots(builder, (rows, vectors, whole), views, *args[1:3], *args[9:])
            return context.get_dummy_value()

        return types.void(*takes), emit

    return block


def _dots(
    builder: Any, shape: tuple[int, int, bool], views: list[View], m: Value, t: Value, lo: Value,
    hi: Value,
) -> None:  # fmt: skip
    c, a, across, along, b, places, steps = views
    lines = [builder.add(m, _INT(i)) for i in range(shape[0])]
    columns = [builder.add(t, _INT(j)) for j in range(shape[1])]
    apart = _INT(1 if shape[2] else c.vector.count)
    into = [
        [c.at(builder.mul(i, c.row), builder.mul(j, apart)) for j in columns] for i in lines
    ]  # fmt: skip
    zero = ir.Constant(c.vector, None)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in line] for line in into]
    starts = [a.at(builder.load(across.at(i))) for i in lines]
    others = [b.at(builder.load(places.at(j))) for j in columns]
    with cgutils.for_range(builder, hi, lo) as loop:
        step, other = (builder.load(table.at(loop.index)) for table in (along, steps))
        vectors = [b.load(builder.gep(start, [other])) for start in others]
        for line, start in zip(sums, starts, strict=True):
            mine = a.load(builder.gep(start, [step]))
            for total, vector in zip(line, vectors, strict=True):
                _add_product(builder, total, mine, vector)
    for line, pointers in zip(sums, into, strict=True):
        for total, pointer in zip(line, pointers, strict=True):
            if shape[2]:
                number = c.total(builder.load(total))
                builder.store(builder.fadd(builder.load(pointer), number), pointer)
            else:
                c.store(builder.fadd(c.load(pointer), builder.load(total)), pointer)


# --- a matrix on both sides -----------------------------------------------------------------------


def sandwich(matrix: Matrix) -> Any:
    """An intrinsic that multiplies a square of vectors by a constant matrix T on both sides.

    `block(dst, d, down, right, src, s, below, beside)` is `y = T x Tᵀ`, where x[i, j] is the vector
    at src[s + i·below + j·beside] and y[i, j] the one at dst[d + i·down + j·right].
    """

    @intrinsic
    def block(
        typing: Any, dst: Any, d: Any, down: Any, right: Any, src: Any, s: Any, below: Any,
        beside: Any,
    ) -> Any:  # fmt: skip
        at = (types.intp, types.intp, types.intp)

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Value:
            into, source = (View(context, builder, k, args[i]) for k, i in ((dst, 0), (src, 4)))
            n = range(len(matrix[0]))
            x = [[source.load(_at(source, args[5:], i, j)) for i in n] for j in n]
            columns = [[_combined(source, row, column) for row in matrix] for column in x]
            for i, line in enumerate(zip(*columns, strict=True)):
                for j, row in enumerate(matrix):
                    into.store(_combined(source, row, line), _at(into, args[1:4], i, j))
            return context.get_dummy_value()

        return types.void(dst, *at, src, *at), emit

    return block


def _at(view: View, grid: Values, i: int, j: int) -> Value:
    start, down, right = grid
    return view.at(start, view.builder.mul(down, _INT(i)), view.builder.mul(right, _INT(j)))


def _combined(view: View, row: tuple[float, ...], vectors: Values) -> Value:
    """Σ_k row[k] · vectors[k], without the zeros."""
    builder, total = view.builder, None
    for factor, vector in zip(row, vectors, strict=True):
        if factor:
            number = view.spread(ir.Constant(view.number, factor))
            product = builder.fmul(number, vector, flags=("contract",))
            total = builder.fadd(total, product, flags=("contract",)) if total else product
    return total


# --- turning a square of numbers ------------------------------------------------------------------


@intrinsic
def _turn_square(typing: Any, dst: Any, src: Any) -> Any:
    """dst[j, i] = src[i, j] for i, j in range(lanes); rows are contiguous."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Value:
        into, source = (
            View(context, builder, kind, value)
            for kind, value in zip((dst, src), args, strict=True)
        )
        lanes = source.vector.count
        vectors = [source.load(source.at(builder.mul(source.row, _INT(i)))) for i in range(lanes)]
        for j, vector in enumerate(_turned(builder, vectors)):
            into.store(vector, into.at(builder.mul(into.row, _INT(j))))
        return context.get_dummy_value()

    return types.void(dst, src), emit


turn_square: Any = _turn_square  # called without its first argument


def _turned(builder: Any, vectors: list[Value]) -> list[Value]:
    """Rows to columns. Shuffling n vectors like cards, the first half with the second, rotates the
    bits of a number's index (vector, lane) by one; when it has been done log₂ n times, vector and
    lane have changed places."""
    n = len(vectors)
    low, high = ([j // 2 + h + n * (j % 2) for j in range(n)] for h in (0, n // 2))
    masks = [ir.Constant(ir.VectorType(ir.IntType(32), n), mask) for mask in (low, high)]
    for _ in range(n.bit_length() - 1):
        pairs = zip(vectors[: n // 2], vectors[n // 2 :], strict=True)
        vectors = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in masks]
    return vectors
