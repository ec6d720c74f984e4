"""How far or how alike vectors are, as layers."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module


class CosineSimilarity(Module):
    """Σ x₁ x₂ / (max(‖x₁‖, eps) · max(‖x₂‖, eps)) along `dim`.

    >>> import tinygrad_course as tc
    >>> tc.nn.CosineSimilarity(dim=0)(tc.tensor([1.0, 0.0]), tc.tensor([3.0, 0.0])).item()
    1.0
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """‖x₁ − x₂ + eps‖ₚ along the last dimension.

    >>> import tinygrad_course as tc
    >>> x1, x2 = tc.tensor([[0.0, 0.0]]), tc.tensor([[3.0, 4.0]])
    >>> round(tc.nn.PairwiseDistance(p=1)(x1, x2).item(), 4)
    7.0
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
