"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import OptionError

from .optimizer import Optimizer


class SGD(Optimizer):
    """p ← p − lr · g: a step against the gradient, with momentum if wanted.

    With weight decay, g ← g + weight_decay · p. With momentum, b ← momentum · b +
    (1 − dampening) · g, from b = g in the first step, takes g's place; Nesterov's form takes
    g + momentum · b instead (Sutskever et al. 2013). The course's average, b ← β b + (1 − β) g,
    is `momentum=β, dampening=β`, but for the first step.

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        maximize: go with the gradient.

    Raises:
        OptionError: a negative lr, momentum or weight_decay; nesterov without momentum or with
            dampening.

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
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        })  # fmt: skip

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise OptionError("SGD: nesterov needs a momentum and no dampening")

    def _used(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self._memories if group["momentum"] else ()

    def _update(
        self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any], scratch: Any
    ) -> None:
        lr, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
        work, other = scratch
        if group["maximize"]:
            g = np.negative(g, out=work)
        if decay:
            np.multiply(p, decay, out=other)
            g = np.add(g, other, out=work)
        if momentum:
            (b,) = memory
            if step == 1:
                b[...] = g
            else:
                b *= momentum
                b += np.multiply(g, 1 - group["dampening"], out=other)
            if group["nesterov"]:
                np.multiply(b, momentum, out=other)
                g = np.add(g, other, out=work)
            else:
                g = b
        p -= np.multiply(g, lr, out=other)

    def _fused(self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any]) -> bool:
        if not memory:
            return False
        from tinygrad_course.kernels import update

        (b,) = memory
        lr, momentum = group["lr"], group["momentum"]
        keep, take = (0.0, 1.0) if step == 1 else (momentum, 1 - group["dampening"])
        of_b, of_g = (lr * momentum, lr) if group["nesterov"] else (lr, 0.0)
        sign = -1.0 if group["maximize"] else 1.0
        update.momentum(p, g, b, (keep, take, of_b, of_g, sign, group["weight_decay"]))
        return True
