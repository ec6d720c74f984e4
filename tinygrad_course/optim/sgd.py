"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import OptionError

from .flat import compiled
from .optimizer import Optimizer, penalised, signed


class SGD(Optimizer):
    """p ← p − lr · g: a step against the gradient, with momentum if wanted.

    With weight decay, g ← g + weight_decay · p. With momentum, b ← momentum · b +
    (1 − dampening) · g, from b = g in the first step, takes g's place; Nesterov's form takes
    g + momentum · b instead (Sutskever et al. 2013).

    The course's momentum is an exponentially weighted average of the gradients,
    v ← β v + (1 − β) g from v = 0, then p ← p − α v: `SGD(params, lr=α, momentum=β,
    average=True)`. Its steps are 1 − β times as long as those of the plain sum b.

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        average: the course's momentum, exact from the first step.
        maximize: go with the gradient.

    Raises:
        OptionError: a negative lr, momentum or weight_decay; nesterov without momentum or with
            dampening; average with nesterov, with dampening, or a momentum not below 1.

    Source: Sutskever et al. 2013; course: Optimization algorithms.

    >>> import tinygrad_course as tc
    >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> opt = tc.optim.SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.0, 0.0]
    """

    _nonnegative = ("lr", "momentum", "weight_decay")
    _memories = ("momentum_buffer",)

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
        weight_decay: float = 0.0, nesterov: bool = False, *, maximize: bool = False,
        average: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize, "average": average,
        })  # fmt: skip

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise OptionError("SGD: nesterov needs a momentum and no dampening")
        if group["average"] and (group["nesterov"] or group["dampening"] or group["momentum"] >= 1):
            raise OptionError(
                "SGD: average=True needs a momentum below 1, no dampening and no nesterov"
            )

    def _used(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self._memories if group["momentum"] else ()

    def _update(
        self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any], scratch: Any
    ) -> None:
        lr, momentum = group["lr"], group["momentum"]
        work, other = scratch
        g = penalised(p, g, group, work, other)
        if momentum:
            (b,) = memory
            keep, take = _shares(group, step)
            b *= keep
            b += np.multiply(g, take, out=other)
            if group["nesterov"]:
                np.multiply(b, momentum, out=other)
                g = np.add(g, other, out=work)
            else:
                g = b
        p -= np.multiply(g, lr, out=other)

    def _fused(self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any]) -> None:
        lr = group["lr"]
        of_b, of_g = (lr * group["momentum"], lr) if group["nesterov"] else (lr, 0.0)
        if not memory:
            of_b, of_g = 0.0, lr
        shares = _shares(group, step)
        compiled(p).sgd(p, g, memory[0] if memory else None, (*signed(group), *shares, of_b, of_g))


def _shares(group: dict[str, Any], step: int) -> tuple[float, float]:
    """How much of the buffer, and how much of the gradient, goes into the new buffer."""
    if group["average"]:
        return group["momentum"], 1 - group["momentum"]
    return (0.0, 1.0) if step == 1 else (group["momentum"], 1 - group["dampening"])
