"""How far or how alike vectors are."""

from __future__ import annotations

from typing import Any

from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import reduce

from .checks import must_broadcast, need_floating


def at_least(x: Any, least: float) -> Any:
    """max(x, least), with the gradient of x: a guard against division by nearly nothing."""
    raw = x.detach()
    return x + (ops.clamp(raw, min=least) - raw)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """x / max(‖x‖ₚ, eps), the norm taken along a dimension.

    Raises:
        DtypeError: integers.

    >>> import tinygrad_course as tc
    >>> [round(v, 3) for v in tc.nn.functional.normalize(tc.tensor([3.0, 4.0]), dim=0).tolist()]
    [0.6, 0.8]
    """
    need_floating("normalize", input)
    return input / ops.clamp(reduce.vector_norm(input, p, dim, True), min=eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Σ x₁ x₂ / (max(‖x₁‖, eps) · max(‖x₂‖, eps)), along a dimension; the shapes broadcast.

    Raises:
        DtypeError: integers.
        ShapeError: shapes that do not broadcast.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.cosine_similarity(tc.tensor([1.0, 0.0]), tc.tensor([0.0, 2.0]), dim=0)
    tensor(0.)
    """
    need_floating("cosine_similarity", x1, x2)
    must_broadcast("cosine_similarity", x1=x1, x2=x2)
    sizes = [at_least(reduce.vector_norm(x, 2, dim, True), eps) for x in (x1, x2)]
    return reduce.sum((x1 / sizes[0]) * (x2 / sizes[1]), dim)


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """‖x₁ − x₂ + eps‖ₚ along the last dimension; the shapes broadcast.

    eps keeps the gradient of equal vectors finite; PyTorch adds it too.

    Raises:
        DtypeError: integers.
        ShapeError: shapes that do not broadcast.

    >>> import tinygrad_course as tc
    >>> a, b = tc.tensor([[0.0, 0.0]]), tc.tensor([[3.0, 4.0]])
    >>> round(tc.nn.functional.pairwise_distance(a, b).item(), 4)
    5.0
    """
    need_floating("pairwise_distance", x1, x2)
    must_broadcast("pairwise_distance", x1=x1, x2=x2)
    return reduce.vector_norm(x1 - x2 + eps, p, -1, keepdim)
