"""Losses as layers: each holds its options and calls the function of its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tinygrad_course.errors import OptionError
from tinygrad_course.functions.noise import check_probability
from tinygrad_course.tensor import Tensor

from . import functional as F
from .distance import PairwiseDistance
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
        self.label_smoothing = check_probability(
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


class _Simple(_Loss):
    """A loss of an input and a target that hands the options in `_options` on by name."""

    _function: ClassVar[Callable[..., Any]]
    _options: ClassVar[tuple[str, ...]] = ()

    def _keep(self, reduction: str, weight: Tensor | None = None, **options: Any) -> None:
        _Loss.__init__(self, reduction, weight)
        self.__dict__.update(options)

    def forward(self, input: Any, target: Any) -> Any:
        options = {n: getattr(self, n) for n in self._options}
        return type(self)._function(input, target, reduction=self.reduction, **options)


class MSELoss(_Simple):
    """(x − y)²."""

    _function = F.mse_loss

    def __init__(self, reduction: str = "mean") -> None:
        self._keep(reduction)


class L1Loss(_Simple):
    """|x − y|."""

    _function = F.l1_loss

    def __init__(self, reduction: str = "mean") -> None:
        self._keep(reduction)


class HuberLoss(_Simple):
    """(x − y)² / 2 near 0, δ (|x − y| − δ / 2) from δ on."""

    _function, _options = F.huber_loss, ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        self._keep(reduction, delta=delta)


class SmoothL1Loss(_Simple):
    """(x − y)² / 2β near 0, |x − y| − β / 2 from β on."""

    _function, _options = F.smooth_l1_loss, ("beta",)

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        self._keep(reduction, beta=beta)


class KLDivLoss(_Simple):
    """y (ln y − x), x a logarithm."""

    _reductions = ("none", "mean", "sum", "batchmean")
    _function, _options = F.kl_div, ("log_target",)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        self._keep(reduction, log_target=log_target)


class PoissonNLLLoss(_Simple):
    """eˣ − y x, or x − y ln(x + eps): counts y at the rate eˣ, or x."""

    _function, _options = F.poisson_nll_loss, ("log_input", "full", "eps")

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        self._keep(reduction, log_input=log_input, full=full, eps=eps)


class GaussianNLLLoss(_Loss):
    """(ln v + (x − y)² / v) / 2, v = max(var, eps): y drawn from N(x, v)."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


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


class SoftMarginLoss(_Simple):
    """ln(1 + e^(−y x)), y being −1 or 1."""

    _function = F.soft_margin_loss

    def __init__(self, reduction: str = "mean") -> None:
        self._keep(reduction)


class HingeEmbeddingLoss(_Simple):
    """x where y is 1, max(0, margin − x) where y is −1."""

    _function, _options = F.hinge_embedding_loss, ("margin",)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        self._keep(reduction, margin=margin)


class MultiMarginLoss(_Simple):
    """Σ max(0, margin − x[y] + x[c])ᵖ w[y] / C over the classes c other than the label y.

    Raises:
        OptionError: p is neither 1 nor 2.
    """

    _weighted = True
    _function, _options = F.multi_margin_loss, ("p", "margin", "weight")

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        if p not in (1, 2):
            raise OptionError(f"MultiMarginLoss: p is 1 or 2, got {p}")
        self._keep(reduction, weight, p=p, margin=margin)


class MultiLabelMarginLoss(_Simple):
    """Σ max(0, 1 − x[y] + x[c]) / C over an example's labels y and all classes c that are not."""

    _function = F.multilabel_margin_loss

    def __init__(self, reduction: str = "mean") -> None:
        self._keep(reduction)


class MultiLabelSoftMarginLoss(_Simple):
    """The mean over classes of −w (y ln σ(x) + (1 − y) ln(1 − σ(x)))."""

    _weighted = True
    _function, _options = F.multilabel_soft_margin_loss, ("weight",)

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        self._keep(reduction, weight)


class _OfPairs(_Loss):
    """A loss of two inputs and a target that says which is wanted."""

    _function: ClassVar[Callable[..., Any]]

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return type(self)._function(input1, input2, target, self.margin, self.reduction)


class MarginRankingLoss(_OfPairs):
    """max(0, −y (x₁ − x₂) + margin): y = 1 wants x₁ ranked higher, y = −1 wants x₂."""

    _function = F.margin_ranking_loss


class CosineEmbeddingLoss(_OfPairs):
    """1 − cos(x₁, x₂) where y is 1, max(0, cos(x₁, x₂) − margin) where y is −1."""

    _function = F.cosine_embedding_loss


class TripletMarginLoss(_Loss):
    """max(0, d(a, p) − d(a, n) + margin), d the distance ‖x − y + eps‖ₚ.

    >>> import tinygrad_course as tc
    >>> a, n = tc.zeros(1, 2), tc.tensor([[0.6, 0.8]])
    >>> round(tc.nn.TripletMarginLoss(margin=1.5)(a, a, n).item(), 3)
    0.5
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(reduction)
        if margin <= 0:
            raise OptionError(f"TripletMarginLoss: margin must be positive, got {margin}")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with a distance of one's own; `PairwiseDistance` unless given."""

    def __init__(
        self, *, distance_function: Callable[[Any, Any], Any] | None = None, margin: float = 1.0,
        swap: bool = False, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(reduction)
        if margin <= 0:
            raise OptionError(
                f"TripletMarginWithDistanceLoss: margin must be positive, got {margin}"
            )
        given = PairwiseDistance() if distance_function is None else distance_function
        self.distance_function, self.margin, self.swap = given, margin, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return F.triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function,
            margin=self.margin, swap=self.swap, reduction=self.reduction,
        )  # fmt: skip
