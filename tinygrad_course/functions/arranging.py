"""The same numbers in another arrangement: repeated, rolled, cut up, joined, laid on diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.graph import Value
from tinygrad_course.ops import shape as rows
from tinygrad_course.ops.elementwise import ne, where
from tinygrad_course.ops.index import at, get, windows
from tinygrad_course.ops.shape import (
    cat,
    clone,
    normal_dim,
    normal_dims,
    normal_shape,
    permute,
    reshape_,
    split_sizes,
    transpose,
)

# --- other shapes ---------------------------------------------------------------------------------


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """All tensors repeated to the one shape that they broadcast to.

    >>> import tinygrad_course as tc
    >>> a, b = tc.broadcast_tensors(tc.zeros(3, 1), tc.zeros(2))
    >>> a.shape, b.shape
    ((3, 2), (3, 2))
    """
    try:
        shape = np.broadcast_shapes(*(tuple(t.shape) for t in tensors))
    except ValueError as error:
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
        raise ShapeError(f"broadcast_tensors: shapes {shapes} do not broadcast") from error
    return tuple(rows.broadcast_to_(t, shape) for t in tensors)


def expand_as(input: Any, other: Any) -> Any:
    """Repeated, without copying, to the shape of another tensor."""
    return rows.expand(input, tuple(other.shape))


def view_as(input: Any, other: Any) -> Any:
    """The same numbers in the shape of another tensor."""
    return reshape_(input, tuple(other.shape))


def reshape_as(input: Any, other: Any) -> Any:
    """The same numbers in the shape of another tensor."""
    return reshape_(input, tuple(other.shape))


def movedim(input: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """The dimensions `source` moved to the places `destination`; the others keep their order.

    >>> import tinygrad_course as tc
    >>> tc.zeros(2, 3, 4).movedim(0, -1).shape
    (3, 4, 2)
    """
    start, end = normal_dims(source, input.ndim), normal_dims(destination, input.ndim)
    if len(start) != len(end):
        raise ShapeError(
            f"movedim: {source} and {destination} must name equally many dimensions"
        )  # fmt: skip
    others = (d for d in range(input.ndim) if d not in start)
    found = dict(zip(end, start, strict=True))
    return permute(
        input, dims=tuple(found[d] if d in found else next(others) for d in range(input.ndim))
    )


moveaxis = movedim


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """Two dimensions exchanged: `transpose` by another name."""
    return transpose(input, axis0, axis1)


swapdims = swapaxes


def atleast_1d(*tensors: Any) -> Any:
    """Tensors of no dimension given one."""
    return _each(lambda t: t if t.ndim else reshape_(t, (1,)), tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Tensors given dimensions in front, up to two."""
    return _each(lambda t: t if t.ndim > 1 else reshape_(t, (1, -1)), tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Tensors given dimensions, up to three: (n,) becomes (1, n, 1), and (n, m) becomes (n, m, 1).

    >>> import tinygrad_course as tc
    >>> tc.atleast_3d(tc.zeros(4)).shape
    (1, 4, 1)
    """
    return _each(
        lambda t: t if t.ndim > 2 else reshape_(t, (*t.shape, 1) if t.ndim == 2 else (1, -1, 1)),
        tensors,
    )


def _each(f: Any, tensors: tuple[Any, ...]) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Value):
        return f(tensors[0])
    listed = tensors[0] if len(tensors) == 1 else tensors
    return tuple(f(t) for t in listed)


# --- another order --------------------------------------------------------------------------------


def flip(input: Any, *dims: Any, **by_name: Any) -> Any:
    """Reversed along dimensions.

    >>> import tinygrad_course as tc
    >>> tc.arange(3).flip(0).tolist()
    [2, 1, 0]
    """
    return rows.flip(input, dims=normal_dims(normal_shape(dims, by_name, "dims"), input.ndim))


def fliplr(input: Any) -> Any:
    """Columns in reversed order."""
    _need_dims("fliplr", input, 2)
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """Rows in reversed order."""
    _need_dims("flipud", input, 1)
    return flip(input, 0)


def _need_dims(name: str, input: Any, least: int) -> None:
    if input.ndim < least:
        raise ShapeError(
            f"{name}: needs at least {least} dimensions, got shape {tuple(input.shape)}"
        )


def roll(input: Any, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """Elements moved along dimensions; what leaves at one end comes in at the other.

    Without `dims` the tensor is rolled as one long row.

    >>> import tinygrad_course as tc
    >>> tc.arange(5).roll(2).tolist()
    [3, 4, 0, 1, 2]
    """
    steps = _listed(shifts)
    if dims is None:
        if len(steps) != 1:
            raise OptionError(f"roll: without dims there is one shift, got {shifts}")
        return rows.roll(input, shifts=steps, dims=None)
    along = tuple(normal_dim(d, input.ndim) for d in _listed(dims))
    if len(along) != len(steps):
        raise OptionError(f"roll: shifts {shifts} and dims {dims} must be equally many")
    if not input.ndim:
        raise ShapeError("roll: a 0-d tensor has no dimension to roll along")
    return rows.roll(input, shifts=steps, dims=along)


def _listed(values: Any) -> tuple[int, ...]:
    return (int(values),) if isinstance(values, (int, np.integer)) else tuple(values)


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """Turned k times by 90 degrees, in the plane of two dimensions, from the first to the second.

    >>> import tinygrad_course as tc
    >>> tc.tensor([[1, 2], [3, 4]]).rot90().tolist()
    [[2, 4], [1, 3]]
    """
    _need_dims("rot90", input, 2)
    if len(dims) != 2:
        raise OptionError(f"rot90: dims must be two dimensions, got {dims}")
    a, b = normal_dims(dims, input.ndim)
    if k % 4 == 2:
        return rows.flip(input, dims=(a, b))
    return (
        clone(input)
        if k % 4 == 0
        else rows.flip(transpose(input, a, b), dims=(a if k % 4 == 1 else b,))
    )


# --- repeated -------------------------------------------------------------------------------------


def repeat(input: Any, *repeats: Any, **by_name: Any) -> Any:
    """Whole copies side by side: repeats[i] of them along dimension i; more repeats add dimensions.

    >>> import tinygrad_course as tc
    >>> tc.tensor([1, 2]).repeat(2, 2).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    sizes = normal_shape(repeats, by_name, "repeats")
    if len(sizes) < input.ndim:
        raise ShapeError(f"repeat: {sizes} must have a number for each dimension of {input.shape}")
    if min(sizes, default=0) < 0:
        raise OptionError(f"repeat: numbers of copies must not be negative, got {sizes}")
    return rows.repeat(input, sizes=sizes, source=tuple(input.shape))


def tile(input: Any, *dims: Any, **by_name: Any) -> Any:
    """Whole copies side by side; dimensions that are not named, at the front, are kept."""
    sizes = normal_shape(dims, by_name, "dims")
    return repeat(input, (1,) * (input.ndim - len(sizes)) + sizes)


def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Every element (along `dim`: every slice) repeated, the copies next to each other.

    Args:
        input: the tensor; alone, `repeats` itself: the index that repeats each position so often.
        repeats: a number, or one for each slice.
        dim: the dimension; None takes the tensor as one long row.
        output_size: the size of the result along `dim`, if it is to be checked.

    >>> import tinygrad_course as tc
    >>> tc.tensor([1, 2]).repeat_interleave(2).tolist()
    [1, 1, 2, 2]
    """
    if repeats is None:
        counts = devices.to_numpy(input._data)
        positions = _positions(counts, counts.size, output_size)
        return input._constant(devices.like(input._data, positions))
    if dim is None:
        input, dim = reshape_(input, (-1,)), 0
    dim = normal_dim(dim, input.ndim)
    input = input if input.ndim else reshape_(input, (1,))
    counts = devices.to_numpy(repeats._data) if isinstance(repeats, Value) else np.asarray(repeats)
    index = _positions(counts, input.shape[dim], output_size)
    return get(input, at(dim, index))


def _positions(repeats: Any, size: int, output_size: int | None) -> Any:
    if repeats.dtype.kind not in "iu" or repeats.ndim > 1:
        raise OptionError(f"repeat_interleave: repeats are whole numbers in a row, got {repeats!r}")
    if repeats.size not in (1, size):
        raise ShapeError(
            f"repeat_interleave: {repeats.size} repeats for {size} slices; give one, or one each"
        )
    if repeats.min(initial=0) < 0:
        raise OptionError(f"repeat_interleave: repeats must not be negative, got {repeats.min()}")
    index = np.repeat(np.arange(size), repeats)
    if output_size not in (None, index.size):
        raise OptionError(f"repeat_interleave: output_size is {output_size}, not {index.size}")
    return index


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Coordinates of a grid: tensor k of the result varies along dimension k only.

    Args:
        tensors: one row of coordinates per dimension (or one sequence of them).
        indexing: "ij", or "xy": the first two dimensions exchanged, as for pictures.
    """
    if len(tensors) == 1 and not isinstance(tensors[0], Value):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise OptionError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if not tensors or any(t.ndim > 1 for t in tensors):
        raise ShapeError(
            "meshgrid: takes tensors of 0 or 1 dimension, got shapes "
            + ", ".join(str(tuple(t.shape)) for t in tensors)
        )
    if len({t.dtype for t in tensors}) > 1:
        raise OptionError("meshgrid: all tensors need the same dtype")
    if indexing == "xy" and len(tensors) > 1:
        found = meshgrid(tensors[1], tensors[0], *tensors[2:])
        return (found[1], found[0], *found[2:])
    n = len(tensors)
    return broadcast_tensors(
        *(reshape_(t, (1,) * k + (-1,) + (1,) * (n - 1 - k)) for k, t in enumerate(tensors))
    )


# --- diagonals ------------------------------------------------------------------------------------


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two dimensions, as the last dimension of the result.

    Args:
        input: two dimensions at least.
        offset: 0 is the main diagonal, positive lies above it, negative below.
        dim1, dim2: the two dimensions.
    """
    _need_dims("diagonal", input, 2)
    first, second = normal_dims((dim1, dim2), input.ndim)
    input = movedim(input, (first, second), (-2, -1))
    return rows.diagonal(input, offset=_within(offset, input.shape), source=tuple(input.shape))


def _within(offset: int, shape: Sequence[int]) -> int:
    """The offset, or the nearest with an empty diagonal."""
    return max(-shape[-2], min(offset, shape[-1]))


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Zeros, with the last dimension of the input on a diagonal of two new dimensions.

    >>> import tinygrad_course as tc
    >>> tc.diag_embed(tc.tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]
    """
    _need_dims("diag_embed", input, 1)
    first, second = normal_dims((dim1, dim2), input.ndim + 1)
    side = input.shape[-1] + abs(offset)
    out = rows.diagonal_into(input, offset=offset, shape=(*input.shape[:-1], side, side))
    if (first, second) == (input.ndim - 1, input.ndim):
        return out
    return clone(movedim(out, (-2, -1), (first, second)))


def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix; or, of a row of numbers, the matrix with that diagonal."""
    if input.ndim not in (1, 2):
        raise ShapeError(f"diag: takes 1 or 2 dimensions, got shape {tuple(input.shape)}")
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    offset = _within(diagonal, input.shape)
    return clone(rows.diagonal(input, offset=offset, source=tuple(input.shape)))


def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle of the last two dimensions, the rest 0; `diagonal` says how far up."""
    return _triangle("tril", input, diagonal, True)


def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle of the last two dimensions, the rest 0; `diagonal` says where it begins.

    >>> import tinygrad_course as tc
    >>> tc.ones(3, 3).triu(1).tolist()
    [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    return _triangle("triu", input, diagonal - 1, False)


def _triangle(name: str, input: Any, diagonal: int, lower: bool) -> Any:
    _need_dims(name, input, 2)
    inside = np.tri(input.shape[-2], input.shape[-1], diagonal, dtype=bool, like=input._data)
    return where(inside if lower else ~inside, input, np.zeros((), input.dtype))


# --- pieces ---------------------------------------------------------------------------------------


def select(input: Any, dim: int, index: int) -> Any:
    """The slice at one index of a dimension, which is gone in the result."""
    dim = _dim_of("select", input, dim)
    if not -input.shape[dim] <= index < input.shape[dim]:
        raise ShapeError(
            f"select: index {index} is outside dimension {dim} of shape {tuple(input.shape)}"
        )
    return get(input, at(dim, int(index)))


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """`length` slices of a dimension, from `start` on."""
    dim, start = _dim_of("narrow", input, dim), int(start)
    size = input.shape[dim]
    first = start + size if start < 0 else start
    if not (0 <= first <= size and 0 <= length <= size - first):
        raise ShapeError(
            f"narrow: {length} slices from {start} on do not lie in dimension {dim} of shape "
            f"{tuple(input.shape)}"
        )
    return get(input, at(dim, slice(first, first + length)))


def _dim_of(name: str, input: Any, dim: int) -> int:
    if not input.ndim:
        raise ShapeError(f"{name}: a 0-d tensor has no dimension to choose from")
    return normal_dim(dim, input.ndim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """All slices along a dimension.

    >>> import tinygrad_course as tc
    >>> [row.tolist() for row in tc.unbind(tc.tensor([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    dim = _dim_of("unbind", input, dim)
    return tuple(get(input, at(dim, i)) for i in range(input.shape[dim]))


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces along a dimension: so many, of sizes that differ by at most 1; or cut at indices.

    >>> import tinygrad_course as tc
    >>> [t.shape[0] for t in tc.tensor_split(tc.arange(7), 3)]
    [3, 2, 2]
    """
    dim = _dim_of("tensor_split", input, dim)
    found = indices_or_sections
    found = devices.to_numpy(found._data) if isinstance(found, Value) else found
    size, asked = input.shape[dim], np.asarray(found, dtype=np.int64)
    if asked.ndim == 0:
        n = int(asked)
        if n <= 0:
            raise OptionError(f"tensor_split: the number of pieces must be positive, got {n}")
        return tuple(split_sizes(input, [size // n + (i < size % n) for i in range(n)], dim))
    cuts = [None, *asked.tolist(), None]
    return tuple(get(input, at(dim, slice(0 if a is None else a, b))) for a, b in pairwise(cuts))


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """All windows of `size` along a dimension, `step` apart; the window is the last dimension.

    >>> import tinygrad_course as tc
    >>> tc.arange(5).unfold(0, 3, 2).tolist()
    [[0, 1, 2], [2, 3, 4]]
    """
    dim = normal_dim(dimension, input.ndim)
    row = input if input.ndim else reshape_(input, (1,))
    if step <= 0 or size < 0:
        raise OptionError(f"unfold: size {size} must not be negative, step {step} be positive")
    if size > row.shape[dim]:
        raise ShapeError(
            f"unfold: windows of {size} do not fit into dimension {dim} of {tuple(input.shape)}"
        )
    out = windows(row, dim=dim, size=int(size), step=int(step))
    return out if input.ndim else reshape_(out, (size,))


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along a dimension, n times over; of bools, whether they differ.

    >>> import tinygrad_course as tc
    >>> tc.tensor([1, 4, 9]).diff().tolist()
    [3, 5]
    """
    _need_dims("diff", input, 1)
    if n < 0:
        raise OptionError(f"diff: n must not be negative, got {n}")
    dim = normal_dim(dim, input.ndim)
    if n == 0:
        return clone(input)
    parts = [t for t in (prepend, input, append) if t is not None]
    input = cat(parts, dim) if len(parts) > 1 else input
    times = min(n, input.shape[dim])
    for _ in range(times):
        after, before = get(input, at(dim, slice(1, None))), get(input, at(dim, slice(0, -1)))
        input = ne(after, before) if input.dtype.kind == "b" else after - before
    return input if times else clone(input)


# --- joined ---------------------------------------------------------------------------------------


concat = concatenate = cat


def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors joined side by side: along the second dimension, or the only one."""
    tensors = [atleast_1d(t) for t in tensors]
    return cat(tensors, 0 if tensors and tensors[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """Tensors joined on top of each other, each a row at least."""
    return cat([atleast_2d(t) for t in tensors], 0)


row_stack = vstack


def dstack(tensors: Sequence[Any]) -> Any:
    """Tensors joined along the third dimension."""
    return cat([atleast_3d(t) for t in tensors], 2)


def column_stack(tensors: Sequence[Any]) -> Any:
    """Tensors joined side by side, rows of numbers as columns."""
    return cat([reshape_(t, (-1, 1)) if t.ndim < 2 else t for t in tensors], 1)


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Pieces side by side: `tensor_split` along the second dimension, or the only one."""
    _need_dims("hsplit", input, 1)
    return _split_evenly("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Pieces on top of each other: `tensor_split` along the first dimension."""
    _need_dims("vsplit", input, 2)
    return _split_evenly("vsplit", input, indices_or_sections, 0)


def _split_evenly(name: str, input: Any, sections: Any, dim: int) -> tuple[Any, ...]:
    if isinstance(sections, int) and (sections <= 0 or input.shape[dim] % sections):
        raise OptionError(f"{name}: {input.shape[dim]} slices do not make {sections} equal pieces")
    return tensor_split(input, sections, dim)
