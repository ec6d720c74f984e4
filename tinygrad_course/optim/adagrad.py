"""AdaGrad: each weight's step shrinks with the gradients that it has seen (Duchi et al. 2011)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .flat import compiled
from .optimizer import Optimizer, penalised, signed


class Adagrad(Optimizer):
    """p ← p − lr · g / (√G + eps), with G ← G + g² the sum of squared gradients.

    G starts at initial_accumulator_value. In step t the rate is lr / (1 + (t − 1) · lr_decay).
    With weight decay, g ← g + weight_decay · p.

    Args:
        params: parameters, or groups of them.
        lr: the learning rate η.
        lr_decay: how fast the rate falls by itself.
        maximize: go with the gradient.

    Raises:
        OptionError: a negative lr, lr_decay, weight_decay, initial_accumulator_value or eps.

    Source: Duchi, Hazan and Singer 2011; course: Optimization algorithms.

    >>> import tinygrad_course as tc
    >>> w = tc.tensor([1.0, -2.0], requires_grad=True)
    >>> opt = tc.optim.Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.tolist()  # the first step is lr against the sign of the gradient
    [0.5, -1.5]
    """

    _nonnegative = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
    _memories = ("sum",)

    def __init__(
        self, params: Any, lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
        })  # fmt: skip

    def _update(
        self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any], scratch: Any
    ) -> None:
        (total,) = memory
        work, other = scratch
        g = penalised(p, g, group, work, other)
        if step == 1:
            total[...] = group["initial_accumulator_value"]
        total += np.multiply(g, g, out=other)
        np.sqrt(total, out=other)
        other += group["eps"]
        np.divide(g, other, out=other)
        other *= group["lr"] / (1 + (step - 1) * group["lr_decay"])
        p -= other

    def _fused(self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any]) -> None:
        (total,) = memory
        if step == 1:
            total[...] = group["initial_accumulator_value"]
        size = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        compiled(p).scaled(p, g, total, None, None, (*signed(group), 1, 1, group["eps"], size, 0))
