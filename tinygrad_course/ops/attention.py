"""Attention as one row: the weights, one for each query and key, are made again to go back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course.devices import faster
from tinygrad_course.primitive import Primitive

from .elementwise import where
from .linalg import _mT, matmul_rows
from .reduce import _total, softmax_at

attend = Primitive(
    "attention", "softmax(x yᵀ · scale) z; if causal, row i of the softmax ends with its number i",
    faster("attention", lambda q, k, v, *, scale, causal:
           matmul_rows(_weights(q, k, scale, causal), v), least=1 << 13),
    joint=faster("attention_back", lambda g, out, q, k, v, *, scale, causal:
                 _slopes(g, q, k, v, scale, causal), least=1 << 13),
)


def _weights(q: Any, k: Any, scale: float, causal: bool) -> Any:
    scores = matmul_rows(q * scale, _mT(k))
    if causal:
        like = getattr(scores, "_data", scores)
        scores = where(np.tri(*scores.shape[-2:], dtype=bool, like=like), scores, -math.inf)
    return softmax_at(scores, dim=scores.ndim - 1)


def _slopes(g: Any, q: Any, k: Any, v: Any, scale: float, causal: bool) -> Any:
    weights, slope = _weights(q, k, scale, causal), matmul_rows(g, _mT(v))
    slope = weights * (slope - _total(weights * slope, (slope.ndim - 1,))) * scale
    return matmul_rows(slope, k), matmul_rows(_mT(slope), q), matmul_rows(_mT(weights), g)
