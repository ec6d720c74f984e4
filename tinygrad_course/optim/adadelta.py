"""Adadelta: steps in the units of the weights, so that no rate needs a choice (Zeiler 2012)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import OptionError

from .flat import compiled
from .optimizer import Optimizer, penalised, signed


class Adadelta(Optimizer):
    """p ← p − lr · d, with d = g · √(D + eps) / √(E + eps).

    E ← ρ E + (1 − ρ) g² and, after the step, D ← ρ D + (1 − ρ) d² are running means from 0. With
    weight decay, g ← g + weight_decay · p.

    Args:
        params: parameters, or groups of them.
        lr: a factor of the steps; the paper has none.
        rho: ρ, in [0, 1].
        maximize: go with the gradient.

    Raises:
        OptionError: a negative lr, eps or weight_decay, a rho outside [0, 1].

    Source: Zeiler 2012.

    >>> import tinygrad_course as tc
    >>> w = tc.tensor([1.0, -2.0], requires_grad=True)
    >>> opt = tc.optim.Adadelta([w], rho=0.75, eps=1e-2)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> [round(x, 4) for x in w.tolist()]
    [0.801, -1.8002]
    """

    _nonnegative = ("lr", "eps", "weight_decay")
    _memories = ("square_avg", "acc_delta")

    def __init__(
        self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
        weight_decay: float = 0.0, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
        })  # fmt: skip

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if not 0 <= group["rho"] <= 1:
            raise OptionError(f"Adadelta: rho must be between 0 and 1, got {group['rho']}")

    def _update(
        self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any], scratch: Any
    ) -> None:
        rho, eps, (square, moved) = group["rho"], group["eps"], memory
        work, other = scratch
        g = penalised(p, g, group, work, other)
        square *= rho
        np.multiply(g, g, out=other)
        other *= 1 - rho
        square += other
        np.add(square, eps, out=other)
        d = np.divide(g, np.sqrt(other, out=other), out=work)
        np.add(moved, eps, out=other)
        d *= np.sqrt(other, out=other)
        moved *= rho
        np.multiply(d, d, out=other)
        other *= 1 - rho
        moved += other
        p -= np.multiply(d, group["lr"], out=other)

    def _fused(self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any]) -> None:
        rho, (square, moved) = group["rho"], memory
        coefficients = (*signed(group), rho, 1 - rho, group["eps"], group["lr"])
        compiled(p).adadelta(p, g, square, moved, coefficients)
