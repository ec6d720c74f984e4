"""Linear algebra: decompositions, inverses, determinants and norms, of matrices and of batches.

A matrix is the last two dimensions; those before it are batches. float32 and float64 only. Where
eigenvalues or singular values coincide, their vectors are no functions of the matrix: the gradient
of what depends on the vectors is nan there; what depends on the values alone has its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course import devices
from tinygrad_course.errors import DtypeError, GradientError, LinAlgError, OptionError, ShapeError
from tinygrad_course.graph import Value
from tinygrad_course.modes import is_grad_enabled
from tinygrad_course.ops import linalg as rows
from tinygrad_course.ops import reduce
from tinygrad_course.ops.elementwise import abs as absolute
from tinygrad_course.ops.elementwise import add, gt, log, mul
from tinygrad_course.ops.linalg import first, matmul, part
from tinygrad_course.ops.reduce import amax, amin, sum
from tinygrad_course.ops.shape import (
    cast,
    cat,
    clone,
    normal_dim,
    normal_dims,
    owned,
    reshape_,
    transpose,
    unsqueeze,
)

from .arranging import movedim, tril, triu
from .products import cross as cross_along

Dim = int | Sequence[int] | None


class Eigen(NamedTuple):
    """Eigenvalues, ascending, and their eigenvectors, as columns."""

    eigenvalues: Any
    eigenvectors: Any


class SVD(NamedTuple):
    """Singular values S, descending, and the matrices on both sides: A = U diag(S) Vh."""

    U: Any
    S: Any
    Vh: Any


class QR(NamedTuple):
    """An orthonormal Q and an upper triangular R with A = Q R."""

    Q: Any
    R: Any


class SignLog(NamedTuple):
    """The sign of a determinant, and the logarithm of its size."""

    sign: Any
    logabsdet: Any


def _need_matrix(name: str, x: Any, square: bool = True) -> None:
    if not isinstance(x, Value) or x.dtype.kind != "f" or x.dtype == np.float16:  # type: ignore[attr-defined]
        given = getattr(x, "dtype", type(x).__name__)
        raise DtypeError(f"{name}: takes float32 or float64 Tensors, got {given}")
    if x.ndim < 2:  # type: ignore[attr-defined]
        raise ShapeError(f"{name}: takes matrices, got shape {tuple(x.shape)}")  # type: ignore[attr-defined]
    if square and x.shape[-1] != x.shape[-2]:  # type: ignore[attr-defined]
        raise ShapeError(f"{name}: takes square matrices, got shape {tuple(x.shape)}")  # type: ignore[attr-defined]


def _solved(name: str, row: Any, *args: Any, **params: Any) -> Any:
    """A row's result; what NumPy finds wrong is said in our words."""
    try:
        return row(*args, **params)
    except ShapeError as error:
        if not isinstance(error.__cause__, np.linalg.LinAlgError):
            raise
        raise LinAlgError(
            f"{name}: {error.__cause__}, in a tensor of shape {tuple(args[0].shape)}"
        ) from None


# --- determinants ---------------------------------------------------------------------------------


def det(A: Any) -> Any:
    """The determinant. Its gradient is right for matrices without an inverse, too.

    >>> import tinygrad_course as tc
    >>> tc.det(tc.tensor([[2.0, 0.0], [0.0, 3.0]])).item()
    6.0
    """
    _need_matrix("det", A)
    return rows.det_of(A)


def slogdet(A: Any) -> SignLog:
    """The sign of the determinant, and the logarithm of its absolute value."""
    _need_matrix("slogdet", A)
    return SignLog(rows.det_sign(A), rows.log_abs_det(A))


def logdet(input: Any) -> Any:
    """ln |A|; nan where the determinant is negative, −∞ where it is 0."""
    sign, size = slogdet(input)
    return add(size, log(sign))


# --- solving --------------------------------------------------------------------------------------


def inv(A: Any) -> Any:
    """The inverse A⁻¹.

    Raises:
        LinAlgError: A is singular.
    """
    _need_matrix("inv", A)
    return _solved("inv", rows.inverse, A)


inverse = inv


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """X with A X = B; with left=False, X A = B.

    Args:
        A: square matrices (..., n, n).
        B: (..., n, k), or vectors (n,) or (..., n) with the batches of A.
        left: the side that A stands on.

    Raises:
        LinAlgError: A is singular.

    >>> import tinygrad_course as tc
    >>> A = tc.tensor([[2.0, 0.0], [0.0, 4.0]])
    >>> tc.linalg.solve(A, tc.tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    _need_matrix("solve", A)
    _need_same("solve", A, B)
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1])):
        if not left:
            raise OptionError(
                f"solve: left=False is for matrices, B is made of vectors: {tuple(B.shape)}"
            )
        return owned(reshape_(_solve("solve", A, unsqueeze(B, -1)), _vectors(A, B)))
    if not left:
        return owned(transpose(_solve("solve", transpose(A, -2, -1), transpose(B, -2, -1)), -2, -1))
    return _solve("solve", A, B)


def _vectors(A: Any, B: Any) -> tuple[int, ...]:
    return (*np.broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-1])), A.shape[-1])


def _need_same(name: str, A: Any, B: Any) -> None:
    if B.dtype != A.dtype or not B.ndim:
        raise DtypeError(
            f"{name}: A and B need one dtype, and B a dimension, got {A.dtype}{tuple(A.shape)} "
            f"and {B.dtype}{tuple(B.shape)}"
        )


def _solve(name: str, A: Any, B: Any) -> Any:
    if B.ndim < 2 or A.shape[-1] != B.shape[-2]:
        raise ShapeError(
            f"{name}: A {tuple(A.shape)} and B {tuple(B.shape)} must have equally many rows"
        )
    return _solved(name, rows.solve_rows, A, B)


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """X with A X = B, or X A = B with left=False, for a triangular A; its other half is not read.

    Args:
        A: (..., n, n).
        B: (..., n, k).
        upper: whether A is the upper triangle.
        left: the side that A stands on.
        unitriangular: take A's diagonal as ones, whatever it holds.

    Raises:
        LinAlgError: a 0 on the diagonal of A.
    """
    _need_matrix("solve_triangular", A)
    _need_same("solve_triangular", A, B)
    offset = int(unitriangular)
    A = triu(A, offset) if upper else tril(A, -offset)
    if unitriangular:
        A = add(A, devices.module_of(A._data).eye(A.shape[-1], dtype=A.dtype))
    if left:
        return _solve("solve_triangular", A, B)
    out = _solve("solve_triangular", transpose(A, -2, -1), transpose(B, -2, -1))
    return owned(transpose(out, -2, -1))


def matrix_power(A: Any, n: int) -> Any:
    """A multiplied with itself n times; a negative n takes the inverse."""
    _need_matrix("matrix_power", A)
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        return add(mul(A, 0), devices.module_of(A._data).eye(A.shape[-1], dtype=A.dtype))
    half = matrix_power(A, n // 2) if n > 1 else None
    out = A if half is None else matmul(half, half)
    return matmul(out, A) if n % 2 and n > 1 else clone(out) if n == 1 else out


# --- decompositions -------------------------------------------------------------------------------


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangular L with A = L Lᵀ, or the upper triangular Lᵀ; reads A's lower triangle.

    The gradient is the symmetric one.

    Raises:
        LinAlgError: A is not positive definite.
    """
    _need_matrix("cholesky", A)
    out = _solved("cholesky", rows.cholesky_of, A)
    return owned(transpose(out, -2, -1)) if upper else out


def eigh(A: Any, UPLO: str = "L") -> Eigen:
    """Eigenvalues, ascending, and orthonormal eigenvectors of symmetric matrices.

    The sign of each eigenvector is arbitrary: only functions that do not depend on it have a
    derivative.

    Args:
        A: (..., n, n); only one triangle is read, and the gradient is that of symmetric A.
        UPLO: "L" or "U": which triangle.
    """
    _need_matrix("eigh", A)
    if UPLO not in ("L", "U"):
        raise OptionError(f"eigh: UPLO must be 'L' or 'U', got {UPLO!r}")
    out = _solved("eigh", rows.eigh_of, A, lower=UPLO == "L")
    return Eigen(owned(first(out)), owned(part(out, 1, out.shape[-2])))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues, ascending, of symmetric matrices."""
    return eigh(A, UPLO).eigenvalues


def svd(A: Any, full_matrices: bool = True) -> SVD:
    """The singular value decomposition A = U diag(S) Vh.

    The signs of U's columns and Vh's rows are arbitrary in pairs: only functions that do not depend
    on them have a derivative.

    Args:
        A: (..., m, n).
        full_matrices: U (..., m, m) and Vh (..., n, n); else only their first min(m, n) columns and
            rows. Gradients do not flow through the rest.
    """
    _need_matrix("svd", A, square=False)
    m, n = A.shape[-2:]
    out = _solved("svd", rows.svd_of, A)
    u, v = part(out, 1, m + 1), part(out, m + 1, m + n + 1)
    u, v = (_completed(u), _completed(v)) if full_matrices else (u, v)
    return SVD(owned(u), owned(first(out)), owned(transpose(v, -2, -1)))


def _completed(q: Any) -> Any:
    """Orthonormal columns, with more of them (constants) until they are as many as the rows."""
    m, k = q.shape[-2:]
    if m == k:
        return q
    whole, _ = np.linalg.qr(q._data, mode="complete")
    return cat([q, q._constant(whole[..., k:].copy())], -1)


def svdvals(A: Any) -> Any:
    """The singular values, descending."""
    return svd(A, full_matrices=False).S


def qr(A: Any, mode: str = "reduced") -> QR:
    """A = Q R: an orthonormal Q and an upper triangular R.

    Args:
        A: (..., m, n).
        mode: "reduced": Q (..., m, k) and R (..., k, n) with k = min(m, n); "complete": Q (..., m,
            m) and R (..., m, n), which has no derivative if m > n; "r": only R, and an empty Q.

    Raises:
        GradientError: mode "complete" with more rows than columns, for an A that requires grad.
    """
    _need_matrix("qr", A, square=False)
    m, n = A.shape[-2:]
    if mode not in ("reduced", "complete", "r"):
        raise OptionError(f"qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    if mode == "complete" and m > n:
        if A.requires_grad and is_grad_enabled():
            raise GradientError(
                "qr: mode='complete' has no derivative for more rows than columns; use "
                "mode='reduced', or A.detach()"
            )
        return QR(*map(A._constant, np.linalg.qr(A._data, "complete")))
    out = rows.qr_of(A if m >= n else part_of_columns(A, 0, m))
    q, r = part(out, 0, m), transpose(part(out, m, out.shape[-2]), -2, -1)
    if m < n:
        r = cat([r, matmul(transpose(q, -2, -1), part_of_columns(A, m, n))], -1)
    return QR(A._constant(np.empty_like(A._data, shape=0)) if mode == "r" else owned(q), owned(r))


def part_of_columns(x: Any, start: int, stop: int) -> Any:
    """Columns of matrices."""
    return transpose(part(transpose(x, -2, -1), start, stop), -2, -1)


def matrix_rank(A: Any, *, tol: float | None = None, hermitian: bool = False) -> Any:
    """How many singular values exceed tol: by default max(m, n) · ε · the largest."""
    s = absolute(eigvalsh(A)) if hermitian else svdvals(A)
    if tol is None:
        bound = mul(amax(s, -1, True), max(A.shape[-2:]) * float(np.finfo(A.dtype).eps))
    else:
        bound = tol
    return sum(gt(s, bound), -1)


# --- norms ----------------------------------------------------------------------------------------


def vector_norm(
    x: Any, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """(Σ |x|^ord)^(1/ord) over dimensions, or over all elements; its gradient at 0 is 0.

    Args:
        x: floating numbers.
        ord: a number; ±infinity for the largest and the smallest, 0 for how many are not 0.
        dim, keepdim: the dimensions, and whether they stay with size 1.
        dtype: convert to this first.
    """
    if not isinstance(ord, (int, float)):
        raise OptionError(f"vector_norm: ord must be a number, got {ord!r}")
    return reduce.vector_norm(_as(x, dtype), ord, dim, keepdim)


def _as(x: Any, dtype: Any) -> Any:
    return x if dtype is None else cast(x, dtype=np.dtype(dtype), source=x.dtype)


def matrix_norm(
    A: Any, ord: float | str = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *,
    dtype: Any = None,
) -> Any:  # fmt: skip
    """A norm of matrices.

    Args:
        A: floating numbers.
        ord: "fro": √Σ x². "nuc": the sum of the singular values. 2, −2: the largest, the smallest.
            1, −1: the largest, the smallest sum of |x| over a column; ±infinity: over a row.
        dim: the two dimensions that are rows and columns.
        keepdim: whether they stay with size 1.
        dtype: convert to this first.
    """
    A = _as(A, dtype)
    _need_matrix("matrix_norm", A, square=False)
    if not isinstance(dim, Sequence) or len(dim) != 2:
        raise OptionError(f"matrix_norm: dim must be two dimensions, got {dim!r}")
    both = row, column = normal_dims(dim, A.ndim)
    if ord == "fro":
        return reduce.vector_norm(A, 2, both, keepdim)
    if ord in (2, -2, "nuc"):
        s = svdvals(movedim(A, both, (-2, -1)))
        out = sum(s, -1) if ord == "nuc" else (amax if ord == 2 else amin)(s, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        inside, outside = (row, column) if ord in (1, -1) else (column, row)
        sums = sum(absolute(A), inside, True)
        out = (amax if ord > 0 else amin)(sums, outside)
        out = reshape_(out, tuple(n for d, n in enumerate(A.shape) if d not in both))
    else:
        raise OptionError(
            f"matrix_norm: ord is {ord!r}; use 'fro', 'nuc', 1, -1, 2, -2, inf or -inf"
        )
    kept = tuple(1 if d in both else n for d, n in enumerate(A.shape))
    return owned(reshape_(out, kept) if keepdim else out)


def norm(
    A: Any, ord: float | str | None = None, dim: Dim = None, keepdim: bool = False, *,
    dtype: Any = None,
) -> Any:  # fmt: skip
    """A vector's norm, or a matrix's: see `vector_norm` and `matrix_norm`.

    Without ord it is √Σ x². Otherwise two dimensions (named, or all there are) make a matrix, one
    makes a vector.
    """
    if isinstance(dim, Sequence) and len(dim) not in (1, 2):
        raise OptionError(f"norm: dim names a vector or a matrix, 1 or 2 dimensions, got {dim}")
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    matrix = A.ndim == 2 if dim is None else isinstance(dim, Sequence) and len(dim) == 2
    if not matrix and isinstance(ord, str):
        raise OptionError(f"norm: ord {ord!r} is for two dimensions, got dim={dim!r}")
    if dim is None and A.ndim > 2:
        raise OptionError("norm: with ord given and more than 2 dimensions, dim must say which")
    if matrix:
        named: Any = (-2, -1) if dim is None else dim
        return matrix_norm(A, ord, named, keepdim, dtype=dtype)
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)  # type: ignore[arg-type]


# --- products -------------------------------------------------------------------------------------


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The vector at right angles to both, in 3 dimensions, along `dim`."""
    return cross_along(input, other, dim)


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Σ x y along a dimension; the others broadcast."""
    return sum(mul(x, y), normal_dim(dim, max(x.ndim, y.ndim)))
