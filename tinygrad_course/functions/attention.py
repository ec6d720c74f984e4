"""Attention as a function (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import reduce
from tinygrad_course.ops.attention import attend
from tinygrad_course.tensor import as_tensor

from .noise import check_probability, dropout


def attention_weights(
    query: Any, key: Any, attn_mask: Any = None, is_causal: bool = False,
    scale: float | None = None,
) -> Any:  # fmt: skip
    """softmax(q kᵀ · scale + mask); a query that may look nowhere gets zeros, not nan.

    Shapes: query (..., L, E), key (..., S, E), attn_mask broadcasts to the result (..., L, S).

    Args:
        attn_mask: numbers to add, or bools: True where a query may look.
        is_causal: query i looks at keys up to i.
        scale: 1/√E unless given.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * scale) @ key.mT
    if is_causal:
        scores = ops.where(
            np.tri(*scores.shape[-2:], dtype=bool, like=scores._data), scores, -math.inf
        )
    if attn_mask is not None:
        mask = as_tensor(attn_mask)
        allowed = mask.dtype.kind == "b"
        scores = ops.where(mask, scores, -math.inf) if allowed else scores + mask
    elif not is_causal:
        return reduce.softmax(scores, -1)
    somewhere = (scores._data > -math.inf).any(-1, keepdims=True)
    if somewhere.all():
        return reduce.softmax(scores, -1)
    weights = reduce.softmax(ops.where(somewhere, scores, 0.0), -1)
    return ops.where(somewhere, weights, 0.0)


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """softmax(q kᵀ · scale + mask) v: a mean of values, weighted by how keys fit the query.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, V), result (..., L, V).

    Args:
        attn_mask: (..., L, S): numbers to add, or bools: True where a query may look.
        dropout_p: the probability that a weight is dropped; the function does not ask whether a
            module is training.
        is_causal: query i looks at keys up to i.
        scale: 1/√E unless given.
        enable_gqa: dimension −3 counts heads, and a head of keys and values may serve several of
            the query's.

    Raises:
        OptionError: attn_mask and is_causal both, as in PyTorch.
        ShapeError: heads that cannot be shared evenly.

    Source: Vaswani et al. 2017.
    """
    if attn_mask is not None and is_causal:
        raise OptionError("scaled_dot_product_attention: give attn_mask or is_causal, not both")
    _check_sizes(query, key, value, attn_mask)
    check_probability("scaled_dot_product_attention", dropout_p)
    key, value = _shared(query, key, value) if enable_gqa else (key, value)
    if attn_mask is None and not dropout_p and _alike(query, key, value):
        scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        return attend(query, key, value, scale=scale, causal=is_causal)
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    return dropout(weights, dropout_p) @ value


def _check_sizes(query: Any, key: Any, value: Any, mask: Any) -> None:
    name = "scaled_dot_product_attention"
    if min(query.ndim, key.ndim, value.ndim) < 2 or (
        query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]
    ):
        raise ShapeError(
            f"{name}: the query is (..., L, E), the key (..., S, E), the value (..., S, V); got "
            f"{query.shape}, {key.shape} and {value.shape}"
        )
    scores = (query.shape[-2], key.shape[-2])
    if mask is not None:
        form = tuple(as_tensor(mask).shape)[-2:]
        if any(a not in (1, b) for a, b in zip(form[::-1], scores[::-1], strict=False)):
            raise ShapeError(
                f"{name}: attn_mask broadcasts to (..., {scores[0]}, {scores[1]}), "
                f"got {tuple(mask.shape)}"
            )


def _alike(*values: Any) -> bool:
    """Whether there is one head for each of the others, of one dtype."""
    return len({(x.shape[:-2], x.dtype) for x in values}) == 1


def _shared(query: Any, key: Any, value: Any) -> tuple[Any, Any]:
    """Keys and values repeated, so that there is one head of them for each of the query's."""
    heads = query.shape[-3]
    for x in (key, value):
        if heads % x.shape[-3]:
            raise ShapeError(
                f"scaled_dot_product_attention: {heads} heads of queries cannot share "
                f"{x.shape[-3]} of keys or values"
            )
    return tuple(x.repeat_interleave(heads // x.shape[-3], -3) for x in (key, value))
