"""Losses as layers: each holds its options and calls the function of its name."""

from __future__ import annotations

from typing import Any, ClassVar

from tinygrad_course.errors import OptionError
from tinygrad_course.tensor import Tensor

from . import functional as F
from .module import Module


class _Loss(Module):
    """What all losses have: how the single losses become one number."""

    weight: Tensor | None
    _reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum")
    _weighted = False  # whether there are weights to register

    def __init__(self, reduction: str = "mean", weight: Tensor | None = None) -> None:
        super().__init__()
        if reduction not in self._reductions:
            raise OptionError(
                f"{type(self).__name__}: reduction is one of {self._reductions}, not {reduction!r}"
            )
        self.reduction = reduction
        if self._weighted:
            self.register_buffer("weight", weight)


class CrossEntropyLoss(_Loss):
    """−Σ p[c] ln softmax(x)[c], p a label or probabilities; see `functional.cross_entropy`.

    >>> import tinygrad_course as tc
    >>> loss = tc.nn.CrossEntropyLoss()(tc.zeros(2, 4), tc.tensor([0, 3]))
    >>> round(loss.item(), 4)
    1.3863
    """

    _weighted = True

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(reduction, weight)
        self.ignore_index = ignore_index
        self.label_smoothing = F.check_probability(
            "CrossEntropyLoss: label_smoothing", label_smoothing
        )

    def forward(self, input: Any, target: Any) -> Any:
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_Loss):
    """−w[y] x[y], x the log-probabilities; see `functional.nll_loss`."""

    _weighted = True

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction, weight)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class MSELoss(_Loss):
    """(x − y)²."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Any, target: Any) -> Any:
        return F.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """|x − y|."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Any, target: Any) -> Any:
        return F.l1_loss(input, target, self.reduction)


class HuberLoss(_Loss):
    """(x − y)² / 2 near 0, δ (|x − y| − δ / 2) from δ on."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        return F.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """(x − y)² / 2β near 0, |x − y| − β / 2 from β on."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class KLDivLoss(_Loss):
    """y (ln y − x), x a logarithm."""

    _reductions = ("none", "mean", "sum", "batchmean")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        return F.kl_div(input, target, self.reduction, self.log_target)


class BCELoss(_Loss):
    """−w (y ln x + (1 − y) ln(1 − x)), x a probability."""

    _weighted = True

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction, weight)

    def forward(self, input: Any, target: Any) -> Any:
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """−w (q y ln σ(x) + (1 − y) ln(1 − σ(x))), q = pos_weight, without overflow."""

    _weighted = True

    def __init__(
        self, weight: Tensor | None = None, reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__(reduction, weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )
