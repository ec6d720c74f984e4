"""Linear algebra rows: products of matrices, and the affine map that layers are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.arrays import top
from tinygrad_course.errors import DtypeError, ShapeError
from tinygrad_course.kernels import products
from tinygrad_course.primitive import Primitive

from .elementwise import where
from .index import getitem
from .reduce import sum_over
from .shape import diagonal_into, owned, permute, reshape_, transpose, unsqueeze

# --- rows -----------------------------------------------------------------------------------------

matmul_rows = Primitive(
    "matmul", "x @ y",
    products.matmul,
    lambda g, out, x, y: matmul_rows(g, _mT(y)),
    lambda g, out, x, y: matmul_rows(_mT(x), g),
    broadcasts=True,
)
linear_rows = Primitive(
    "linear", "x Wᵀ + b",
    lambda x, w, *b: _affine(x, w, *b),
    lambda g, out, x, w, b: matmul_rows(g, w),
    lambda g, out, x, w, b: matmul_rows(g.T, x),
    lambda g, out, x, w, b: g,
    broadcasts=True,
)


inverse = Primitive(
    "inv", "x⁻¹",
    np.linalg.inv,
    lambda g, out, x: -(_mT(out) @ g @ _mT(out)),
)
solve_rows = Primitive(
    "solve", "x⁻¹ y",
    np.linalg.solve,
    lambda g, out, x, y: -(solve_rows(_mT(x), g) @ _mT(out)),
    lambda g, out, x, y: solve_rows(_mT(x), g),
    broadcasts=True,
)
det_of = Primitive(
    "det", "|x|",
    lambda x: _det(x),
    lambda g, out, x: _each(g) * cofactors(x),
)
cofactors = Primitive(
    "cofactors", "∂|x| / ∂x, for matrices without an inverse too",
    lambda x: _cofactors(x),
    lambda g, out, x: _of_cofactors(g, out, inverse(_mT(x))),
)
log_abs_det = Primitive(
    "log_abs_det", "ln ||x||",
    lambda x: np.linalg.slogdet(x)[1],
    lambda g, out, x: _each(g) * _mT(inverse(x)),
)
det_sign = Primitive(
    "det_sign", "the sign of |x|",
    lambda x: np.linalg.slogdet(x)[0],
)
cholesky_of = Primitive(
    "cholesky", "the lower triangle L with L Lᵀ = x",
    np.linalg.cholesky,
    lambda g, out, x: _cholesky_rule(g, out),
)
eigh_of = Primitive(
    "eigh", "eigenvalues λ and eigenvectors V of a symmetric x = V diag(λ) Vᵀ, as rows [λ; V]",
    lambda x, *, lower: _stacked(*np.linalg.eigh(x, "L" if lower else "U")),
    lambda g, out, x, *, lower: _eigh_rule(g, out),
)
svd_of = Primitive(
    "svd", "the singular values s, U and V of x = U diag(s) Vᵀ, as rows [s; U; V]",
    lambda x: _svd(x),
    lambda g, out, x: _svd_rule(g, out, x.shape[-2]),
)
qr_of = Primitive(
    "qr", "orthonormal Q and upper triangular R with x = Q R, as rows [Q; Rᵀ]",
    lambda x: _qr(x),
    lambda g, out, x: _qr_rule(g, out, x.shape[-2]),
)


def _mT(x: Any) -> Any:
    n = x.ndim
    return permute(x, dims=(*range(n - 2), n - 1, n - 2))


def _affine(x: Any, w: Any, *b: Any) -> Any:
    out = products.matmul(x, w.T)
    if b:
        out += b[0]
    return out


# --- the work of the rows: raw arrays -------------------------------------------------------------


def _det(x: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.linalg.det(x)


def _cofactors(x: Any) -> Any:
    """|x| x⁻ᵀ; near singular matrices |U Vᵀ| U diag(Πⱼ≠ᵢ sⱼ) Vᵀ, where nothing is divided."""
    det, scale = _det(x), top(np.abs(x), (-2, -1))[..., 0, 0]
    if det.all():
        inverse = np.linalg.inv(x)
        condition = scale * top(np.abs(inverse), (-2, -1))[..., 0, 0]
        if (condition < 1e-2 / np.finfo(x.dtype).eps).all():
            return det[..., None, None] * inverse.swapaxes(-1, -2)
    u, s, vt = np.linalg.svd(x)
    with np.errstate(over="ignore"):
        others = np.where(_eye(s, bool), 1, s[..., None, :]).prod(-1)
    return _det(u @ vt)[..., None, None] * (u * others[..., None, :] @ vt)


def _stacked(top: Any, *rest: Any) -> Any:
    return np.concatenate([top[..., None, :], *rest], -2)


def _svd(x: Any) -> Any:
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return _stacked(s, u, vt.swapaxes(-1, -2))


def _qr(x: Any) -> Any:
    q, r = np.linalg.qr(x)
    return np.concatenate([q, r.swapaxes(-1, -2)], -2)


# --- their rules, in the table's words ------------------------------------------------------------


def part(x: Any, start: int, stop: int) -> Any:
    """Rows of matrices."""
    return getitem(x, index=(..., slice(start, stop), slice(None)), source=tuple(x.shape))


def first(x: Any) -> Any:
    """The first row of matrices."""
    return getitem(x, index=(..., 0, slice(None)), source=tuple(x.shape))


def _each(x: Any) -> Any:
    """A number for each matrix, of a shape to multiply it."""
    return reshape_(x, (*x.shape, 1, 1))


def _on_diagonal(x: Any) -> Any:
    return diagonal_into(x, offset=0, shape=(*x.shape, x.shape[-1]))


def _eye(x: Any, dtype: Any) -> Any:
    return devices.module_of(getattr(x, "_data", x)).eye(x.shape[-1], dtype=dtype)


def _lower(x: Any) -> Any:
    """The lower triangle, with half the diagonal."""
    eye = _eye(x, x.dtype)
    return x * (np.tril(np.ones_like(eye)) - eye / 2)


def _skew(x: Any) -> Any:
    return x - _mT(x)


def _ratio(x: Any, y: Any) -> Any:
    """x / y, where 0 / 0 is 0: what depends on the values alone does not mind if they coincide."""
    return where(y == 0, where(x == 0, 0.0, math.nan), x / where(y == 0, 1.0, y))


def _over_differences(x: Any, values: Any) -> Any:
    """xᵢⱼ / (vⱼ − vᵢ), and 0 on the diagonal."""
    return _ratio(x * (1 - _eye(x, x.dtype)), unsqueeze(values, -2) - unsqueeze(values, -1))


def _of_cofactors(g: Any, out: Any, inverse: Any) -> Any:
    """C = |x| B with B = x⁻ᵀ, so d⟨g, C⟩ = ⟨g, B⟩ ⟨C, dx⟩ − ⟨g, B dxᵀ C⟩."""
    both = g * inverse
    n = both.ndim
    total = sum_over(both, dim=(n - 2, n - 1), keepdim=True, source=tuple(both.shape))
    return total * out - out @ _mT(g) @ inverse


def _cholesky_rule(g: Any, out: Any) -> Any:
    """L⁻ᵀ S L⁻¹, where S is the lower triangle of Lᵀ g, with half the diagonal, made symmetric."""
    middle = _lower(_mT(out) @ g)
    middle = (middle + _mT(middle)) / 2
    return _mT(solve_rows(_mT(out), _mT(solve_rows(_mT(out), middle))))


def _eigh_rule(g: Any, out: Any) -> Any:
    n = out.shape[-1]
    values, v = first(out), part(out, 1, n + 1)
    inner = _over_differences(_mT(v) @ part(g, 1, n + 1), values)
    return v @ (inner + _on_diagonal(first(g))) @ _mT(v)


def _svd_rule(g: Any, out: Any, m: int) -> Any:
    """Townsend, Differentiating the Singular Value Decomposition (2016)."""
    end = out.shape[-2]
    s, u, v = first(out), part(out, 1, m + 1), part(out, m + 1, end)
    gu, gv = part(g, 1, m + 1), part(g, m + 1, end)
    row, column = unsqueeze(s, -2), unsqueeze(s, -1)
    left, right = (_over_differences(_skew(_mT(x) @ gx), s * s) for x, gx in ((u, gu), (v, gv)))
    inner = left * row + column * right
    out = u @ (inner + _on_diagonal(first(g))) @ _mT(v)
    if m > s.shape[-1]:
        out = out + _ratio(gu - u @ (_mT(u) @ gu), row) @ _mT(v)
    if end - m - 1 > s.shape[-1]:
        out = out + u @ _mT(_ratio(gv - v @ (_mT(v) @ gv), row))
    return out


def _qr_rule(g: Any, out: Any, m: int) -> Any:
    """(gQ + Q (S + Sᵀ)) R⁻ᵀ, S the lower triangle of R gRᵀ − gQᵀ Q with half the diagonal."""
    end = out.shape[-2]
    q, rt, gq, grt = part(out, 0, m), part(out, m, end), part(g, 0, m), part(g, m, end)
    s = _lower(_mT(rt) @ grt - _mT(gq) @ q)
    return _mT(solve_rows(_mT(rt), _mT(gq + q @ (s + _mT(s)))))


# --- derived --------------------------------------------------------------------------------------


def need_products(name: str, *operands: Any) -> None:
    """Raise unless matrices of these dtypes can be multiplied."""
    dtypes = {x.dtype for x in operands}
    if len(dtypes) > 1 or operands[0].dtype.kind == "b":
        listed = ", ".join(str(x.dtype) for x in operands)
        raise DtypeError(
            f"{name}: takes tensors of one dtype that is not bool, got {listed}; convert with .to()"
        )


def matmul(input: Any, other: Any) -> Any:
    """The matrix product, with PyTorch's rules for vectors and batches.

    Two vectors give their dot product; a vector is a row on the left and a column on the right;
    leading dimensions are batches and broadcast.

    Raises:
        ShapeError: a 0-d argument, or inner sizes that differ.
        DtypeError: two dtypes, or bools.
    """
    x, y = input, other
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError("matmul: both arguments need at least 1 dimension; use * for numbers")
    if x.dtype != y.dtype or x.dtype.kind == "b":
        need_products("matmul", x, y)
    inner = y.shape[-2] if y.ndim > 1 else y.shape[0]
    if x.shape[-1] != inner:
        raise ShapeError(
            f"matmul: the last dimension of {tuple(x.shape)} is {x.shape[-1]}, but "
            f"{tuple(y.shape)} has {inner} rows; they must be equal"
        )
    if x.ndim > 1 and y.ndim > 1:
        return matmul_rows(x, y) if x.ndim == 2 or y.ndim > 2 else _folded(x, y)
    row, column = (unsqueeze(x, 0) if x.ndim == 1 else x), (unsqueeze(y, 1) if y.ndim == 1 else y)
    out = matmul_rows(row, column)
    shape = list(out.shape)
    if y.ndim == 1:
        del shape[-1]
    if x.ndim == 1:
        del shape[-1 if y.ndim == 1 else -2]
    return owned(reshape_(out, shape))


def _folded(x: Any, y: Any) -> Any:
    """Batches times one matrix: all rows at once, so that y's gradient is one product, too."""
    out = matmul_rows(reshape_(x, (math.prod(x.shape[:-1]), x.shape[-1])), y)
    return owned(reshape_(out, (*x.shape[:-1], y.shape[1])))


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """x Wᵀ + b, over the last dimension.

    Shapes: input (..., in), weight (out, in), bias (out,), result (..., out).
    """
    x, shape, form = input, tuple(input.shape), tuple(weight.shape)
    if len(form) != 2 or not shape or shape[-1] != form[1]:
        raise ShapeError(
            f"linear: the input has {shape[-1] if shape else 'no'} features (shape {shape}), the "
            f"weight {form} takes {form[-1]}"
        )
    if bias is not None and tuple(bias.shape) != form[:1]:
        raise ShapeError(f"linear: the bias has shape {tuple(bias.shape)}, expected ({form[0]},)")
    if x.dtype != weight.dtype:
        need_products("linear", x, weight)
    flat = x if len(shape) == 2 else reshape_(x, (-1, shape[-1]) if len(shape) != 1 else (1, -1))
    out = linear_rows(flat, weight) if bias is None else linear_rows(flat, weight, bias)
    return out if len(shape) == 2 else owned(reshape_(out, (*shape[:-1], form[0])))


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices, without broadcasting."""
    if input.ndim != 2 or mat2.ndim != 2:
        raise ShapeError(
            f"mm: needs two matrices, got {tuple(input.shape)} and {tuple(mat2.shape)}"
        )
    return matmul(input, mat2)


def t(input: Any) -> Any:
    """The transposed matrix; vectors and numbers stay as they are."""
    if input.ndim > 2:
        raise ShapeError(f"t: at most 2 dimensions, got {tuple(input.shape)}; use transpose or mT")
    return transpose(input, 0, 1) if input.ndim == 2 else input
