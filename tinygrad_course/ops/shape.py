"""Shape rows: the same numbers in another arrangement. Each rule is the arrangement undone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.arrays import promote
from tinygrad_course.errors import DtypeError, OptionError, ShapeError, named
from tinygrad_course.graph import Value
from tinygrad_course.primitive import Primitive

_INT = frozenset((int,))

# --- rows -----------------------------------------------------------------------------------------

reshape = Primitive(
    "reshape", "the same numbers, row by row, in another shape",
    lambda x, *, shape, source: x.reshape(shape),
    lambda g, out, x, *, shape, source: reshape(g, shape=source, source=shape),
    view=True,
)
permute = Primitive(
    "permute", "axes in another order",
    lambda x, *, dims: x.transpose(dims),
    lambda g, out, x, *, dims: permute(g, dims=_inverse(dims)),
    view=True,
)
broadcast_to = Primitive(
    "broadcast_to", "repeated along new axes and axes of size 1",
    lambda x, *, shape, source: np.broadcast_to(x, shape),
    lambda g, out, x, *, shape, source: sum_to(g, shape=source, source=shape),
    view=True,
)
sum_to = Primitive(
    "sum_to", "summed over the axes that broadcasting to `source` repeated",
    lambda x, *, shape, source: _sum_to(x, shape),
    lambda g, out, x, *, shape, source: broadcast_to(g, shape=source, source=shape),
)
flip = Primitive(
    "flip", "reversed along axes",
    lambda x, *, dims: np.flip(x, dims).copy(),
    lambda g, out, x, *, dims: flip(g, dims=dims),
)
roll = Primitive(
    "roll", "moved along axes, from one end to the other",
    lambda x, *, shifts, dims: np.roll(x, shifts, dims),
    lambda g, out, x, *, shifts, dims: roll(g, shifts=tuple(-s for s in shifts), dims=dims),
)
repeat = Primitive(
    "repeat", "whole copies side by side, `sizes` of them along each axis",
    lambda x, *, sizes, source: np.tile(x, sizes),
    lambda g, out, x, *, sizes, source: _folded(g, sizes, source),
)
diagonal = Primitive(
    "diagonal", "the last two axes' diagonal, as the last axis",
    lambda x, *, offset, source: np.diagonal(x, offset, -2, -1),
    lambda g, out, x, *, offset, source: diagonal_into(g, offset=offset, shape=source),
    view=True,
)
diagonal_into = Primitive(
    "diagonal_into", "zeros, with the last axis on a diagonal of the last two",
    lambda x, *, offset, shape: _on_diagonal(x, offset, shape),
    lambda g, out, x, *, offset, shape: diagonal(g, offset=offset, source=shape),
)
pad = Primitive(
    "pad", "a border of `value` around; negative widths cut off",
    lambda x, *, widths, value: _pad(x, widths, value),
    lambda g, out, x, *, widths, value: pad(g, widths=[(-a, -b) for a, b in widths], value=0.0),
)
concatenate = Primitive(
    "cat", "joined along an axis",
    lambda *xs, dim, sizes: np.concatenate(promote(list(xs)), dim),
    joint=lambda g, out, *xs, dim, sizes: split_sizes(g, sizes, dim),
)
cast = Primitive(
    "cast", "the same numbers in another dtype",
    lambda x, *, dtype, source: x.astype(dtype),
    lambda g, out, x, *, dtype, source: cast(g, dtype=source, source=dtype),
)
move = Primitive(
    "to", "the same numbers on another device",
    lambda x, *, device, source: devices.place(x, device),
    lambda g, out, x, *, device, source: move(g, device=source, source=device),
)
clone = Primitive(
    "clone", "a copy",
    lambda x: x.copy(),
    lambda g, out, x: g,
)


def _inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(dims)), key=dims.__getitem__))


def _sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    lead = x.ndim - len(shape)
    if x.shape[lead:] == shape:
        # a batch of one is copied
        return x[0].copy() if lead == 1 == len(x) else np.add.reduce(x, (*range(lead),), x.dtype)
    axes = [i for i, n in enumerate(x.shape) if i < lead or n != shape[i - lead]]
    out = np.add.reduce(x, tuple(axes), x.dtype)
    return out if out.shape == shape else out.reshape(shape)


def _folded(g: Any, sizes: tuple[int, ...], source: tuple[int, ...]) -> Any:
    """The copies added up: each axis in two, (copies, size), and the first summed over."""
    full = (1,) * (len(sizes) - len(source)) + source
    both = tuple(n for pair in zip(sizes, full, strict=True) for n in pair)
    once = tuple(n for size in full for n in (1, size))
    g = sum_to(reshape(g, shape=both, source=g.shape), shape=once, source=both)
    return reshape(g, shape=source, source=once)


def _on_diagonal(x: Any, offset: int, shape: tuple[int, ...]) -> Any:
    out = np.zeros_like(x, shape=shape)
    i = np.arange(x.shape[-1], like=x)
    out[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return out


def _pad(x: Any, widths: Sequence[tuple[int, int]], value: float) -> Any:
    sides = zip(widths, x.shape, strict=True)
    cut = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in sides)]
    shape = [n + max(a, 0) + max(b, 0) for (a, b), n in zip(widths, cut.shape, strict=True)]
    out = np.full_like(x, value, shape=shape)
    starts = [max(a, 0) for a, _ in widths]
    out[tuple(slice(a, a + n) for a, n in zip(starts, cut.shape, strict=True))] = cut
    return out


# --- derived --------------------------------------------------------------------------------------


def owned(x: Any) -> Any:
    """A value that is not counted as a view: nobody else holds what it looks at."""
    if isinstance(x, Value):
        x._origin = None  # type: ignore[attr-defined]
    return x


def normal_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front; 0-d values have the dimensions 0 and -1."""
    if type(dim) is int and 0 <= dim < ndim:
        return dim
    bound = max(ndim, 1)
    if not isinstance(dim, (int, np.integer)) or isinstance(dim, bool):
        raise ShapeError(named(f"dim must be an int, got {dim!r}"))
    if not -bound <= dim < bound:
        raise ShapeError(named(f"dim {dim} is out of range: use {-bound} to {bound - 1}"))
    return int(dim) % bound


def normal_dims(dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Dimensions as a tuple counted from the front; None is all of them."""
    if dim is None:
        return tuple(range(ndim))
    dims = tuple(
        normal_dim(d, ndim) for d in ([dim] if isinstance(dim, (int, np.integer)) else dim)
    )
    if len(set(dims)) != len(dims):
        raise ShapeError(named(f"dim {dim} names one dimension twice"))
    return dims if ndim else ()


def normal_shape(
    shape: tuple[Any, ...], by_name: dict[str, Any] | None = None, word: str = "shape"
) -> tuple[int, ...]:
    """Sizes given one by one, as one sequence, or as a sequence by the name `word`."""
    if by_name:
        if shape or by_name.keys() != {word}:
            given = ", ".join(by_name)
            raise DtypeError(named(f"got {given}=; give numbers, a sequence, or {word}="))
        shape = (by_name[word],)
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        shape = tuple(shape[0])
    if _INT.issuperset(map(type, shape)):
        return shape
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in shape):
        raise ShapeError(named(f"a shape is made of ints, got {shape!r}"))
    return tuple(int(n) for n in shape)


def _filled(shape: tuple[int, ...], x: Any) -> tuple[int, ...]:
    """The shape with its -1 worked out."""
    size, known = math.prod(x.shape), math.prod(n for n in shape if n != -1)
    if shape.count(-1) > 1 or min(shape, default=0) < -1:
        raise ShapeError(f"reshape: {shape} may hold -1 once, and no other negative size")
    if -1 in shape and known and size % known == 0:
        return tuple(size // known if n == -1 else n for n in shape)
    if -1 in shape or known != size:
        raise ShapeError(
            f"reshape: {size} numbers of shape {tuple(x.shape)} do not fit into shape {shape}"
        )
    return shape


def reshape_(input: Any, *shape: Any, **by_name: Any) -> Any:
    """The same numbers, row by row, in another shape; one size may be -1.

    >>> import tinygrad_course as tc
    >>> tc.arange(6).reshape(2, -1).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    sizes = _filled(normal_shape(shape, by_name), input)
    return reshape(input, shape=sizes, source=tuple(input.shape))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The dimensions from `start_dim` to `end_dim` made into one."""
    old = tuple(input.shape)
    first, last = normal_dim(start_dim, len(old)), normal_dim(end_dim, len(old))
    if first > last:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = (*old[:first], math.prod(old[first : last + 1]), *old[last + 1 :])
    return reshape(input, shape=shape, source=old)


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """One dimension made into several."""
    dim, shape = normal_dim(dim, input.ndim), tuple(input.shape)
    known = math.prod(n for n in sizes if n != -1)
    sizes = [shape[dim] // known if n == -1 and known else n for n in sizes]
    if math.prod(sizes) != shape[dim]:
        raise ShapeError(f"unflatten: dimension {dim} has {shape[dim]}, not {tuple(sizes)}")
    return reshape_(input, (*shape[:dim], *sizes, *shape[dim + 1 :]))


def unsqueeze(input: Any, dim: int) -> Any:
    """A dimension of size 1 put in at `dim`."""
    dim = normal_dim(dim, input.ndim + 1)
    source = tuple(input.shape)
    return reshape(input, shape=(*source[:dim], 1, *source[dim:]), source=source)


def squeeze(input: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Dimensions of size 1 left out: all, or those named."""
    gone = normal_dims(dim, input.ndim)
    source = tuple(input.shape)
    kept = tuple([n for i, n in enumerate(source) if n != 1 or i not in gone])
    return reshape(input, shape=kept, source=source)


def permute_(input: Any, *dims: Any, **by_name: Any) -> Any:
    """The dimensions in another order."""
    order = normal_dims(normal_shape(dims, by_name, "dims"), input.ndim)
    if len(order) != input.ndim:
        raise ShapeError(f"permute: {order} must name each of the {input.ndim} dimensions once")
    return permute(input, dims=order)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    order = list(range(input.ndim))
    if order:
        a, b = normal_dim(dim0, input.ndim), normal_dim(dim1, input.ndim)
        order[a], order[b] = order[b], order[a]
    return permute(input, dims=tuple(order))


def expand(input: Any, *size: Any, **by_name: Any) -> Any:
    """Dimensions of size 1 repeated without copying; -1 keeps a size."""
    shape = list(normal_shape(size, by_name, "size"))
    lead = len(shape) - input.ndim
    if lead < 0:
        raise ShapeError(f"expand: {tuple(shape)} has fewer dimensions than {tuple(input.shape)}")
    for i, n in enumerate(shape):
        shape[i] = input.shape[i - lead] if n == -1 and i >= lead else n
    return broadcast_to_(input, shape)


def broadcast_to_(input: Any, shape: Sequence[int]) -> Any:
    """The value repeated to a shape by the rules of broadcasting."""
    return broadcast_to(input, shape=normal_shape((shape,)), source=tuple(input.shape))


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors joined along a dimension that is there.

    Raises:
        ShapeError: no tensors, or sizes that differ in another dimension.
    """
    if not tensors:
        raise ShapeError("cat: expected at least 1 tensor, got an empty sequence")
    first = next((t for t in tensors if tuple(t.shape) != (0,)), tensors[0])
    dim = normal_dim(dim, first.ndim)
    if first.ndim > 1:  # a tensor of shape (0,) joins with everything, as in PyTorch
        nothing = tuple(0 if d == dim else n for d, n in enumerate(first.shape))
        tensors = [t if tuple(t.shape) != (0,) else reshape_(t, nothing) for t in tensors]
    if any(t.ndim != tensors[0].ndim or t.ndim == 0 for t in tensors):
        raise ShapeError(
            "cat: all tensors need the same number of dimensions, at least 1, got shapes "
            + ", ".join(str(tuple(t.shape)) for t in tensors)
        )
    return concatenate(*tensors, dim=dim, sizes=tuple(t.shape[dim] for t in tensors))


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension."""
    if not tensors:
        raise ShapeError("stack: expected at least 1 tensor, got an empty sequence")
    if len({tuple(t.shape) for t in tensors}) > 1:
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
        raise ShapeError(f"stack: all tensors need the same shape, got {shapes}")
    return cat([unsqueeze(t, dim) for t in tensors], dim)


def split_sizes(x: Any, sizes: Sequence[int], dim: int) -> list[Any]:
    """Consecutive pieces of the given sizes."""
    pieces, start = [], 0
    for size in sizes:
        pieces.append(x[(slice(None),) * dim + (slice(start, start + size),)])
        start += size
    return pieces


def split(
    tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Any, ...]:
    """Pieces of one size (the last may be smaller), or of the sizes listed."""
    dim, sizes = normal_dim(dim, tensor.ndim), split_size_or_sections
    total = tensor.shape[dim]
    if isinstance(sizes, int):
        if sizes <= 0 and total:
            raise OptionError(f"split: the size of a piece must be positive, got {sizes}")
        sizes = [min(sizes, total - i) for i in range(0, total, sizes or 1)] or [0]
    if sum(sizes) != total:
        raise ShapeError(f"split: sizes {tuple(sizes)} do not add up to {total} in dim {dim}")
    return tuple(split_sizes(tensor, sizes, dim))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` pieces of equal size (the last may be smaller)."""
    if chunks <= 0:
        raise OptionError(f"chunk: the number of chunks must be positive, got {chunks}")
    size = input.shape[normal_dim(dim, input.ndim)]
    return split(input, max(-(-size // chunks), 1), dim)
