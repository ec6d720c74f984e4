"""Linear algebra rows: products of matrices, and the affine map that layers are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.primitive import Primitive

from .shape import permute, reshape_, transpose, unsqueeze

# --- rows -----------------------------------------------------------------------------------------

matmul_rows = Primitive(
    "matmul", "x @ y",
    np.matmul,
    lambda g, out, x, y: matmul_rows(g, _mT(y)),
    lambda g, out, x, y: matmul_rows(_mT(x), g),
    broadcasts=True,
)
linear_rows = Primitive(
    "linear", "x Wᵀ + b",
    lambda x, w, *b: _affine(x, w, *b),
    lambda g, out, x, w, b: matmul_rows(g, w),
    lambda g, out, x, w, b: matmul_rows(permute(g, dims=(1, 0)), x),
    lambda g, out, x, w, b: g,
    broadcasts=True,
)


def _mT(x: Any) -> Any:
    n = x.ndim
    return permute(x, dims=(*range(n - 2), n - 1, n - 2))


def _affine(x: Any, w: Any, *b: Any) -> Any:
    out = np.matmul(x, w.T)
    if b:
        out += b[0]
    return out


# --- derived --------------------------------------------------------------------------------------


def matmul(x: Any, y: Any) -> Any:
    """The matrix product, with PyTorch's rules for vectors and batches.

    Two vectors give their dot product; a vector is a row on the left and a column on the right;
    leading dimensions are batches and broadcast.

    Raises:
        ShapeError: a 0-d argument, or inner sizes that differ.
    """
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError("matmul: both arguments need at least 1 dimension; use * for numbers")
    inner = y.shape[-2] if y.ndim > 1 else y.shape[0]
    if x.shape[-1] != inner:
        raise ShapeError(
            f"matmul: the last dimension of {tuple(x.shape)} is {x.shape[-1]}, but "
            f"{tuple(y.shape)} has {inner} rows; they must be equal"
        )
    if x.ndim > 1 and y.ndim > 1:
        return matmul_rows(x, y)
    row, column = (unsqueeze(x, 0) if x.ndim == 1 else x), (unsqueeze(y, 1) if y.ndim == 1 else y)
    out = matmul_rows(row, column)
    shape = list(out.shape)
    if y.ndim == 1:
        del shape[-1]
    if x.ndim == 1:
        del shape[-1 if y.ndim == 1 else -2]
    return reshape_(out, shape)


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x Wᵀ + b, over the last dimension.

    Shapes: x (..., in), weight (out, in), bias (out,), result (..., out).
    """
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: the input has {x.shape[-1] if x.ndim else 'no'} features (shape "
            f"{tuple(x.shape)}), the weight {tuple(weight.shape)} takes {weight.shape[-1]}"
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(
            f"linear: the bias has shape {tuple(bias.shape)}, expected ({weight.shape[0]},)"
        )
    flat = x if x.ndim == 2 else reshape_(x, (-1, x.shape[-1]) if x.ndim != 1 else (1, -1))
    out = linear_rows(flat, weight) if bias is None else linear_rows(flat, weight, bias)
    return out if x.ndim == 2 else reshape_(out, (*x.shape[:-1], weight.shape[0]))


def mm(x: Any, y: Any) -> Any:
    """The product of two matrices, without broadcasting."""
    if x.ndim != 2 or y.ndim != 2:
        raise ShapeError(f"mm: needs two matrices, got {tuple(x.shape)} and {tuple(y.shape)}")
    return matmul(x, y)


def t(x: Any) -> Any:
    """The transposed matrix; vectors and numbers stay as they are."""
    if x.ndim > 2:
        raise ShapeError(f"t: at most 2 dimensions, got {tuple(x.shape)}; use transpose or mT")
    return transpose(x, 0, 1) if x.ndim == 2 else x
