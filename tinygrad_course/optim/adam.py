"""Adam: steps of a size that adapts to each weight (Kingma and Ba 2015)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from tinygrad_course.errors import OptionError

from .flat import compiled
from .optimizer import Optimizer, signed


class Adam(Optimizer):
    """p ← p − lr · m̂ / (√v̂ + eps), m and v running means of g and g².

    m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g² start at 0; m̂ = m / (1 − β₁ᵗ) and
    v̂ = v / (1 − β₂ᵗ) make up for that in step t. Weight decay is added to the gradient:
    g ← g + weight_decay · p. With amsgrad the largest v so far is used (Reddi et al. 2018).

    Args:
        params: parameters, or groups of them.
        lr: the learning rate.
        betas: (β₁, β₂), both in [0, 1).
        maximize: go with the gradient.

    Raises:
        OptionError: a negative lr, eps or weight_decay, a beta outside [0, 1).

    >>> import tinygrad_course as tc
    >>> w = tc.tensor([1.0, -2.0], requires_grad=True)
    >>> opt = tc.optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.tolist()  # the first step is lr against the sign of the gradient
    [0.5, -1.5]
    """

    _nonnegative = ("lr", "eps", "weight_decay")
    _memories = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    _decoupled: ClassVar[bool] = False

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0, amsgrad: bool = False, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize,
        })  # fmt: skip

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if not all(0 <= beta < 1 for beta in group["betas"]):
            raise OptionError(
                f"{type(self).__name__}: betas must be at least 0 and below 1, got {group['betas']}"
            )

    def _used(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self._memories[: 3 if group["amsgrad"] else 2]

    def _update(
        self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any], scratch: Any
    ) -> None:
        (beta1, beta2), decay = group["betas"], group["weight_decay"]
        m, v, *largest = memory
        work, other = scratch
        if group["maximize"]:
            g = np.negative(g, out=work)
        if decay and self._decoupled:
            p *= 1 - group["lr"] * decay
        elif decay:
            np.multiply(p, decay, out=other)
            g = np.add(g, other, out=work)
        m *= beta1
        m += np.multiply(g, 1 - beta1, out=other)
        v *= beta2
        np.multiply(g, g, out=other)
        other *= 1 - beta2
        v += other
        if largest:
            v = np.maximum(largest[0], v, out=largest[0])
        # both corrections folded into the step and eps: one division each, of a number
        root = math.sqrt(1 - beta2**step)
        np.sqrt(v, out=other)
        other += group["eps"] * root
        np.divide(m, other, out=other)
        other *= group["lr"] * root / (1 - beta1**step)
        p -= other

    def _fused(self, p: Any, g: Any, memory: list[Any], step: int, group: dict[str, Any]) -> None:
        m, v, top = (*memory, None)[:3]
        (beta1, beta2), (sign, decay) = group["betas"], signed(group)
        root = math.sqrt(1 - beta2**step)
        eps, size = group["eps"] * root, group["lr"] * root / (1 - beta1**step)
        added, shrink = (0.0, 1 - group["lr"] * decay) if self._decoupled else (decay, 1.0)
        means = (beta1, 1 - beta1, beta2, 1 - beta2)
        compiled(p).adam(p, g, m, v, top, (sign, added, *means, eps, size, shrink))


class AdamW(Adam):
    """Adam with the weights themselves decayed, p ← (1 − lr · weight_decay) p, each step first.

    (Loshchilov and Hutter 2019.) Arguments and errors as `Adam`.
    """

    _decoupled = True

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
