"""RMSprop: steps divided by the size that gradients had lately (Tieleman and Hinton 2012)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .flat import compiled
from .optimizer import Optimizer, penalised, signed


class RMSprop(Optimizer):
    """p ← p − lr · g / (√E + eps), with E ← α E + (1 − α) g² a running mean from 0.

    With weight decay, g ← g + weight_decay · p. Centered: √(E − m²) takes √E's place, m a running
    mean of g (Graves 2013). With momentum, b ← momentum · b + g / (√E + eps) from b = 0, and
    p ← p − lr · b. Where rounding makes E − m² negative, ours counts as 0 (PyTorch's gives nan).

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        alpha: the slides' β, 0.99 unless given.
        maximize: go with the gradient.

    Raises:
        OptionError: a negative lr, alpha, eps, weight_decay or momentum.

    Source: Tieleman and Hinton 2012; course: Optimization algorithms.

    >>> import tinygrad_course as tc
    >>> w = tc.tensor([1.0, -2.0], requires_grad=True)
    >>> opt = tc.optim.RMSprop([w], lr=0.25, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.tolist()  # √E is half of |g|
    [0.5, -1.5]
    """

    _nonnegative = ("lr", "alpha", "eps", "weight_decay", "momentum")
    _memories = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
            "momentum": momentum, "centered": centered, "maximize": maximize,
        })  # fmt: skip

    def _used(self, group: dict[str, Any]) -> tuple[str, ...]:
        wanted = (True, group["momentum"] > 0, group["centered"])
        return tuple(n for n, want in zip(self._memories, wanted, strict=True) if want)

    def _update(
        self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any], scratch: Any
    ) -> None:
        alpha, (square, *_) = group["alpha"], memory
        work, other = scratch
        g = penalised(p, g, group, work, other)
        square *= alpha
        np.multiply(g, g, out=other)
        other *= 1 - alpha
        square += other
        if group["centered"]:
            mean = memory[-1]
            mean *= alpha
            mean += np.multiply(g, 1 - alpha, out=other)
            np.multiply(mean, mean, out=other)
            np.subtract(square, other, out=other)
            np.sqrt(np.maximum(other, 0, out=other), out=other)
        else:
            np.sqrt(square, out=other)
        other += group["eps"]
        g = np.divide(g, other, out=work)
        if group["momentum"]:
            b = memory[1]
            b *= group["momentum"]
            b += g
            g = b
        p -= np.multiply(g, group["lr"], out=other)

    def _fused(self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any]) -> None:
        alpha, momentum, eps = group["alpha"], group["momentum"], group["eps"]
        b = memory[1] if momentum else None
        mean = memory[-1] if group["centered"] else None
        coefficients = (*signed(group), alpha, 1 - alpha, eps, group["lr"], momentum)
        compiled(p).scaled(p, g, memory[0], mean, b, coefficients)
