"""Products of vectors, matrices and tensors, made of one: the product of matrices."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.graph import Value
from tinygrad_course.ops import shape as rows
from tinygrad_course.ops.elementwise import add, mul, neg, sqrt, square, where
from tinygrad_course.ops.linalg import matmul, matmul_rows, need_products
from tinygrad_course.ops.reduce import sum, vector_norm
from tinygrad_course.ops.shape import (
    normal_dim,
    normal_dims,
    owned,
    permute,
    reshape_,
    transpose,
    unsqueeze,
)

from .arranging import diagonal

# --- vectors --------------------------------------------------------------------------------------


def vector_dot(input: Any, tensor: Any) -> Any:
    """Σ xᵢ yᵢ of two vectors of one length."""
    _need_dims("dot", (input, 1), (tensor, 1))
    return matmul(input, tensor)


def vdot(input: Any, other: Any) -> Any:
    """Σ xᵢ yᵢ of two vectors of one length."""
    _need_dims("vdot", (input, 1), (other, 1))
    return matmul(input, other)


def _need_dims(name: str, *pairs: tuple[Any, int]) -> None:
    if any(x.ndim != n for x, n in pairs):
        wanted = " and ".join(f"{n}-d" for _, n in pairs)
        given = " and ".join(str(tuple(x.shape)) for x, _ in pairs)
        raise ShapeError(f"{name}: takes {wanted} tensors, got shapes {given}")


def inner(input: Any, other: Any) -> Any:
    """Σ x y over the last dimension of both; a number multiplies everything.

    Shapes: input (..., n), other (*, n), result (..., *).
    """
    if not (input.ndim and other.ndim):
        return mul(input, other)
    return tensordot(input, other, ([-1], [-1]))


def outer(input: Any, vec2: Any) -> Any:
    """xᵢ yⱼ, of two vectors.

    >>> import tinygrad_course as tc
    >>> tc.outer(tc.tensor([1, 2]), tc.tensor([3, 4])).tolist()
    [[3, 4], [6, 8]]
    """
    _need_dims("outer", (input, 1), (vec2, 1))
    return mul(unsqueeze(input, 1), vec2)


def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The vector at right angles to both, in 3 dimensions, along `dim`.

    Args:
        input, other: tensors that broadcast, of size 3 in `dim`.
        dim: None takes the first dimension of size 3.
    """
    if input.ndim != other.ndim:
        raise ShapeError(
            f"cross: equally many dimensions are needed, got shapes {tuple(input.shape)} and "
            f"{tuple(other.shape)}"
        )
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise ShapeError(f"cross: no dimension of {tuple(input.shape)} has size 3")
    dim = normal_dim(dim, input.ndim)
    if not (input.ndim and input.shape[dim] == other.shape[dim] == 3):
        raise ShapeError(
            f"cross: dimension {dim} must have size 3, got shapes {tuple(input.shape)} and "
            f"{tuple(other.shape)}"
        )

    def next_(x: Any, k: int) -> Any:
        return rows.roll(x, shifts=(-k,), dims=(dim,))

    ahead, back = mul(next_(input, 1), next_(other, 2)), mul(next_(input, 2), next_(other, 1))
    return add(ahead, neg(back))


# --- matrices -------------------------------------------------------------------------------------


def bmm(input: Any, mat2: Any) -> Any:
    """The products of two equally long rows of matrices: (b, n, k) and (b, k, m) give (b, n, m)."""
    _need_dims("bmm", (input, 3), (mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError(
            f"bmm: both need equally many matrices, got shapes {tuple(input.shape)} and "
            f"{tuple(mat2.shape)}"
        )
    return matmul(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix and a vector."""
    _need_dims("mv", (input, 2), (vec, 1))
    return matmul(input, vec)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · mat1 @ mat2; with beta 0 the input is not looked at."""
    _need_dims("addmm", (mat1, 2), (mat2, 2))
    return _plus_product("addmm", input, matmul(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · mat @ vec."""
    return _plus_product("addmv", input, mv(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · the outer product of two vectors."""
    return _plus_product("addr", input, outer(vec1, vec2), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · batch1 @ batch2, for rows of matrices."""
    return _plus_product("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · the sum of all products in batch1 @ batch2."""
    return _plus_product("addbmm", input, sum(bmm(batch1, batch2), 0), beta, alpha)


def _plus_product(name: str, x: Any, product: Any, beta: Any, alpha: Any) -> Any:
    if x.dtype != product.dtype:
        raise DtypeError(f"{name}: the input is {x.dtype}, the product {product.dtype}")
    if product.dtype.kind != "f" and (isinstance(beta, float) or isinstance(alpha, float)):
        raise DtypeError(f"{name}: beta {beta} and alpha {alpha} must be whole for {x.dtype}")
    try:
        np.broadcast_to(np.empty(tuple(x.shape), bool), tuple(product.shape))
    except ValueError as error:
        raise ShapeError(
            f"{name}: the input {tuple(x.shape)} does not broadcast to the product "
            f"{tuple(product.shape)}"
        ) from error
    product = product if alpha == 1 else mul(product, alpha)
    if beta == 0:
        return product
    return add(x if beta == 1 else mul(x, beta), product)


def trace(input: Any) -> Any:
    """The sum of the diagonal of a matrix."""
    _need_dims("trace", (input, 2))
    return sum(diagonal(input))


def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: `other` times every element of `input`, block by block.

    >>> import tinygrad_course as tc
    >>> tc.kron(tc.tensor([1, 10]), tc.tensor([1, 2])).tolist()
    [1, 2, 10, 20]
    """
    n = max(input.ndim, other.ndim)
    a, b = ((1,) * (n - x.ndim) + tuple(x.shape) for x in (input, other))
    left = reshape_(input, tuple(m for size in a for m in (size, 1)))
    right = reshape_(other, tuple(m for size in b for m in (1, size)))
    return owned(reshape_(mul(left, right), tuple(p * q for p, q in zip(a, b, strict=True))))


def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of several matrices, in the order that takes the fewest multiplications.

    The first may be a vector (a row), and so may the last (a column).
    """
    if len(tensors) < 2:
        raise OptionError(f"multi_dot: takes at least 2 tensors, got {len(tensors)}")
    first, *middle, last = tensors
    if any(t.ndim != 2 for t in middle) or any(t.ndim not in (1, 2) for t in (first, last)):
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
        raise ShapeError(f"multi_dot: takes matrices, got shapes {shapes}")
    chain = [unsqueeze(first, 0) if first.ndim == 1 else first, *middle]
    chain.append(unsqueeze(last, 1) if last.ndim == 1 else last)
    out = _chain(chain, _cheapest([chain[0].shape[0], *(m.shape[1] for m in chain)]))
    drop = [0] * (first.ndim == 1) + [-1] * (last.ndim == 1)
    return owned(rows.squeeze(out, drop)) if drop else out


def _cheapest(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """For each stretch of a chain of matrices, where to cut it in two."""
    n = len(sizes) - 1
    cost, cut = {(i, i): 0 for i in range(n)}, {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], cut[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )
    return cut


def _chain(chain: Sequence[Any], cut: dict[tuple[int, int], int]) -> Any:
    def product(i: int, j: int) -> Any:
        if i == j:
            return chain[i]
        return matmul(product(i, cut[i, j]), product(cut[i, j] + 1, j))

    return product(0, len(chain) - 1)


def chain_matmul(*matrices: Any) -> Any:
    """The product of several matrices, in the order that takes the fewest multiplications."""
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


# --- tensors --------------------------------------------------------------------------------------


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Products summed over several dimensions: the rest of a's, then the rest of b's, stay.

    Args:
        a, b: tensors.
        dims: how many of a's last dimensions meet b's first; or two lists, of a's and b's.

    >>> import tinygrad_course as tc
    >>> tc.tensordot(tc.ones(2, 3, 4), tc.ones(4, 3, 5), ([1, 2], [1, 0])).shape
    (2, 5)
    """
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise OptionError(f"tensordot: dims is {dims}, use 0 to {min(a.ndim, b.ndim)}")
        dims = (range(a.ndim - dims, a.ndim), range(dims))
    left, right = (
        tuple(normal_dim(d, x.ndim) for d in ([ds] if isinstance(ds, int) else ds))
        for x, ds in zip((a, b), dims, strict=True)
    )
    if len(left) != len(right):
        raise OptionError(f"tensordot: both lists must be equally long, got {left} and {right}")
    names = iter(range(a.ndim + b.ndim))
    first = [next(names) for _ in range(a.ndim)]
    second = [first[left[right.index(d)]] if d in right else next(names) for d in range(b.ndim)]
    _need_sizes("tensordot", a, b, left, right)
    out = [n for d, n in enumerate(first) if d not in left]
    out += [n for d, n in enumerate(second) if d not in right]
    return _contracted([a, b], [first, second], out)


def _need_sizes(name: str, a: Any, b: Any, left: Sequence[int], right: Sequence[int]) -> None:
    normal_dims(left, a.ndim), normal_dims(right, b.ndim)  # no dimension twice
    for i, j in zip(left, right, strict=True):
        if a.shape[i] != b.shape[j] and 1 not in (a.shape[i], b.shape[j]):
            raise ShapeError(
                f"{name}: dimension {i} of {tuple(a.shape)} and dimension {j} of "
                f"{tuple(b.shape)} must have one size"
            )


def einsum(equation: str, *operands: Any) -> Any:
    """Sums of products, written with a letter for each dimension (Einstein's convention).

    A letter that is not in the output is summed over; one that stands twice in an operand is its
    diagonal; `...` stands for dimensions that broadcast. Without `->` the output has the letters
    that occur once, in the order of the alphabet. More than two operands are multiplied pair by
    pair, at each step the pair that leaves the least behind.

    Args:
        equation: for example "ij,jk->ik".
        operands: one tensor for each part of the equation (or one sequence of them).

    Raises:
        OptionError: an equation that cannot be read.
        ShapeError: operands that do not fit it.

    >>> import tinygrad_course as tc
    >>> a, b = tc.ones(2, 3), tc.ones(3, 4)
    >>> tc.einsum("ij,jk->ik", a, b).shape
    (2, 4)
    """
    if not isinstance(equation, str):
        raise OptionError("einsum: the equation must be a text such as 'ij,jk->ik'")
    if len(operands) == 1 and not isinstance(operands[0], Value):
        operands = tuple(operands[0])
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise OptionError(f"einsum: {equation!r} is for {len(parts)} operands, got {len(operands)}")
    labels = [_labels(p, x) for p, x in zip(parts, operands, strict=True)]
    ellipsis = max((sorted(n for n in names if type(n) is int) for names in labels), key=len)
    if arrow:
        out = _spelled(right, ellipsis, equation)
    else:
        count = Counter(n for names in labels for n in names if type(n) is str)
        out = [*ellipsis, *sorted(n for n, times in count.items() if times == 1)]
    known = {n for names in labels for n in names}
    if len(set(out)) < len(out) or not known.issuperset(out):
        raise OptionError(
            f"einsum: the output of {equation!r} names a letter twice, or one that no operand has"
        )
    pairs = [_diagonals(x, names) for x, names in zip(operands, labels, strict=True)]
    return _contracted([x for x, _ in pairs], [names for _, names in pairs], out)


def _spelled(part: str, ellipsis: list[int], equation: str) -> list[Any]:
    """The letters of a part, with the numbers that name the dimensions of its ellipsis."""
    before, dots, after = part.partition("...")
    if not set(before + after) <= set(string.ascii_letters):
        raise OptionError(f"einsum: {equation!r} may hold letters, one '...' a part, ',' and '->'")
    return [*before, *(ellipsis if dots else []), *after]


def _labels(part: str, x: Any) -> list[Any]:
    """A name for each dimension; those of the ellipsis are numbers, -1 for its last."""
    spare = x.ndim - len(part.replace("...", ""))
    names = _spelled(part, list(range(-max(spare, 0), 0)), part)
    if len(names) != x.ndim:
        raise ShapeError(f"einsum: {part!r} does not fit an operand of shape {tuple(x.shape)}")
    return names


def _diagonals(x: Any, names: list[Any]) -> tuple[Any, list[Any]]:
    """The operand with each name once: the diagonal of dimensions of one name."""
    for name in dict.fromkeys(names):
        while names.count(name) > 1:
            first = names.index(name)
            second = names.index(name, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(f"einsum: {name!r} is for sizes that differ in {tuple(x.shape)}")
            x = diagonal(x, 0, first, second)
            names = [n for d, n in enumerate(names) if d not in (first, second)] + [name]
    return x, names


def _contracted(operands: list[Any], labels: list[list[Any]], out: list[Any]) -> Any:
    """The sum of products over all names that `out` does not have, its dimensions as in `out`."""
    sizes = _sizes(operands, labels)
    terms = [_without(x, names, sizes) for x, names in zip(operands, labels, strict=True)]
    need_products("einsum", *operands)
    while len(terms) > 1:
        i, j = _next_pair(terms, out, sizes) if len(terms) > 2 else (0, 1)
        (a, left), (b, right) = terms[i], terms[j]
        rest = [t for k, t in enumerate(terms) if k not in (i, j)]
        needed = set(out).union(*(names for _, names in rest))
        terms = [*rest, _pair(a, left, b, right, needed)]
    x, names = terms[0]
    x, names = _summed(x, names, set(out))
    x = _put_back(x, names, out, sizes)
    return owned(x) if len(operands) > 1 else x


def _sizes(operands: list[Any], labels: list[list[Any]]) -> dict[Any, int]:
    sizes: dict[Any, int] = {}
    for x, names in zip(operands, labels, strict=True):
        for name, n in zip(names, x.shape, strict=True):
            if sizes.setdefault(name, n) == 1:
                sizes[name] = n
            if n not in (1, sizes[name]):
                raise ShapeError(
                    f"einsum: {name!r} has size {n} in an operand of shape {tuple(x.shape)}, and "
                    f"{sizes[name]} before"
                )
    return sizes


def _without(x: Any, names: list[Any], sizes: dict[Any, int]) -> tuple[Any, list[Any]]:
    """The operand without dimensions of size 1: broadcasting is not having them."""
    kept = [n for n, size in zip(names, x.shape, strict=True) if size != 1 or sizes[n] == 1]
    return (x if len(kept) == len(names) else reshape_(x, tuple(sizes[n] for n in kept))), kept


def _next_pair(terms: list[Any], out: list[Any], sizes: dict[Any, int]) -> tuple[int, int]:
    """The two terms whose product is smallest compared with themselves."""

    def growth(pair: tuple[int, int]) -> int:
        i, j = pair
        others = [names for k, (_, names) in enumerate(terms) if k not in pair]
        left, right = terms[i][1], terms[j][1]
        kept = set(left + right) & set(out).union(*others)
        made = math.prod(sizes[n] for n in kept)
        return made - math.prod(terms[i][0].shape) - math.prod(terms[j][0].shape)

    return min(((i, j) for j in range(len(terms)) for i in range(j)), key=growth)


def _summed(x: Any, names: list[Any], needed: set[Any]) -> tuple[Any, list[Any]]:
    gone = tuple(d for d, n in enumerate(names) if n not in needed)
    if not gone:
        return x, names
    return sum(x, gone, dtype=x.dtype), [n for n in names if n in needed]


def _pair(
    a: Any, left: list[Any], b: Any, right: list[Any], needed: set[Any]
) -> tuple[Any, list[Any]]:
    """The product of two terms: (batch, rows, inner) times (batch, inner, columns)."""
    a, left = _summed(a, left, needed.union(right))
    b, right = _summed(b, right, needed.union(left))
    both = [n for n in left if n in right]
    batch, inside = [n for n in both if n in needed], [n for n in both if n not in needed]
    above = [n for n in left if n not in both]
    beside = [n for n in right if n not in both]
    if not inside:
        x, y = _in_order(a, left, batch + above), _in_order(b, right, batch + beside)
        x = reshape_(x, (*x.shape, *(1 for _ in beside))) if beside else x
        if above and beside:
            y = reshape_(
                y, (*y.shape[: len(batch)], *(1 for _ in above), *y.shape[len(batch) :])
            )  # fmt: skip
        elif above:
            y = reshape_(y, (*y.shape, *(1 for _ in above)))
        return mul(x, y), batch + above + beside
    x = _grouped(a, left, batch, above, inside)
    y = _grouped(b, right, batch, inside, beside)
    out = matmul_rows(x, y)
    shape = (*out.shape[: len(batch)], *_of(a, left, above), *_of(b, right, beside))
    return (out if shape == out.shape else reshape_(out, shape)), batch + above + beside


def _of(x: Any, names: list[Any], chosen: list[Any]) -> list[int]:
    return [x.shape[names.index(n)] for n in chosen]


def _in_order(x: Any, names: list[Any], order: list[Any]) -> Any:
    return x if names == order else permute(x, dims=tuple(names.index(n) for n in order))


def _grouped(x: Any, names: list[Any], batch: list[Any], p: list[Any], q: list[Any]) -> Any:
    """The term as matrices: the dimensions p made one, and the dimensions q."""
    x = _in_order(x, names, batch + p + q)
    if len(p) == len(q) == 1:
        return x
    n = len(batch)
    sizes = x.shape[n : n + len(p)], x.shape[n + len(p) :]
    return reshape_(x, (*x.shape[:n], *map(math.prod, sizes)))


def _put_back(x: Any, names: list[Any], out: list[Any], sizes: dict[Any, int]) -> Any:
    x = _in_order(x, names, [n for n in out if n in names])
    return x if len(names) == len(out) else reshape_(x, tuple(sizes[n] for n in out))


# --- distances ------------------------------------------------------------------------------------

_MODES = (
    "use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)  # fmt: skip


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = _MODES[0]) -> Any:
    """The distance of every row of x1 to every row of x2: (Σ |x − y|^p)^(1/p).

    The gradient between equal rows is 0.

    Args:
        x1: (..., n, d).
        x2: (..., m, d); the result is (..., n, m).
        p: the exponent; 0 counts differences, infinity takes the largest.
        compute_mode: whether, for p = 2, distances may be had from a product of matrices, which
            is fast for many rows, and inexact for rows close together: if necessary (more than 25
            rows), always, or never.
    """
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            "cdist: takes (..., n, d) and (..., m, d), got shapes "
            f"{tuple(x1.shape)} and {tuple(x2.shape)}"
        )
    if x1.dtype != x2.dtype or x1.dtype.kind != "f":
        raise DtypeError(f"cdist: takes one floating dtype, got {x1.dtype} and {x2.dtype}")
    if p < 0 or compute_mode not in _MODES:
        raise OptionError(f"cdist: p {p} must not be negative, compute_mode one of {_MODES}")
    many = max(x1.shape[-2], x2.shape[-2]) > 25
    if p == 2 and (compute_mode == _MODES[1] or (compute_mode == _MODES[0] and many)):
        return _euclidean(x1, x2)
    return vector_norm(unsqueeze(x1, -2) - unsqueeze(x2, -3), p, -1)


def _euclidean(x: Any, y: Any) -> Any:
    """√(|x|² + |y|² − 2 x·y), 0 where rounding makes that negative."""
    lengths = sum(square(x), -1, True) + unsqueeze(sum(square(y), -1), -2)
    squares = lengths - 2 * matmul(x, transpose(y, -1, -2))
    apart = squares > 0
    return where(apart, sqrt(where(apart, squares, 1.0)), 0.0)
