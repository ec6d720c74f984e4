"""`tc.linalg`: decompositions, inverses, determinants, norms and products of matrices.

A matrix is the last two dimensions of a Tensor; those before it are batches.
"""

from __future__ import annotations

from .errors import LinAlgError
from .functions.arranging import diagonal
from .functions.matrices import (
    cholesky,
    cross,
    det,
    eigh,
    eigvalsh,
    inv,
    matrix_norm,
    matrix_power,
    matrix_rank,
    norm,
    qr,
    slogdet,
    solve,
    solve_triangular,
    svd,
    svdvals,
    vecdot,
    vector_norm,
)
from .functions.products import multi_dot
from .ops.linalg import matmul

__all__ = [
    "LinAlgError",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "vecdot",
    "vector_norm",
]
