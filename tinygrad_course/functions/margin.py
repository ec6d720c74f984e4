"""Losses that ask for a margin: between right and wrong answers, or between near and far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course.arrays import accumulated
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.graph import wrap
from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import reduce
from tinygrad_course.ops.index import gather
from tinygrad_course.ops.shape import unsqueeze
from tinygrad_course.tensor import Tensor, as_tensor

from .checks import must_broadcast
from .distance import pairwise_distance
from .loss import check_labels, class_weight, labels_of, reduced, same_shape


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """ln(1 + e^(−y x)), y being −1 or 1.

    Raises:
        ShapeError: input and target of different shapes.

    >>> import tinygrad_course as tc
    >>> loss = tc.nn.functional.soft_margin_loss(tc.zeros(2), tc.tensor([1.0, -1.0]))
    >>> round(loss.item(), 4)  # ln 2
    0.6931
    """
    target = same_shape("soft_margin_loss", input, target)
    return reduced("soft_margin_loss", ops.softplus(-input * target), reduction)


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    """x where y is 1, max(0, margin − x) where y is −1: x is a distance of pairs, alike or not."""
    target = as_tensor(target)
    must_broadcast("hinge_embedding_loss", input=input, target=target)
    far = ops.where(ops.ne(target, 1), ops.clamp(margin - input, min=0.0), 0.0)
    near = ops.where(ops.ne(target, -1), input, 0.0)
    return reduced("hinge_embedding_loss", far + near, reduction)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """max(0, −y (x₁ − x₂) + margin): y = 1 wants x₁ ranked higher, y = −1 wants x₂.

    Raises:
        ShapeError: arguments of different numbers of dimensions.
    """
    target = as_tensor(target)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss: both inputs and the target need as many dimensions, got "
            f"{input1.shape}, {input2.shape} and {target.shape}"
        )
    must_broadcast("margin_ranking_loss", input1=input1, input2=input2, target=target)
    loss = ops.clamp(-target * (input1 - input2) + margin, min=0.0)
    return reduced("margin_ranking_loss", loss, reduction)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """1 − cos(x₁, x₂) where y is 1, max(0, cos(x₁, x₂) − margin) where y is −1.

    Shapes: inputs (N, D) and target (N,), or (D,) and ().

    Raises:
        ShapeError: other shapes.
    """
    target = as_tensor(target)
    if input1.shape != input2.shape or target.shape != input1.shape[:-1] or input1.ndim > 2:
        raise ShapeError(
            "cosine_embedding_loss: inputs are (N, D) with a target (N,), or (D,) with a target "
            f"(); got {input1.shape}, {input2.shape} and {target.shape}"
        )
    product = reduce.sum(input1 * input2, -1)
    sizes = [reduce.sum(ops.square(x), -1) + 1e-12 for x in (input1, input2)]
    cosine = product / ops.sqrt(sizes[0] * sizes[1])
    near = ops.where(ops.eq(target, 1), 1.0 - cosine, 0.0)
    far = ops.where(ops.eq(target, -1), ops.clamp(cosine - margin, min=0.0), 0.0)
    return reduced("cosine_embedding_loss", near + far, reduction)


# --- one class or several against the others ------------------------------------------------------


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """Σ max(0, margin − x[y] + x[c])ᵖ w[y] / C over the classes c other than the label y.

    Shapes: input (N, C) or (C,), target (N,) or (), weight (C,).

    Raises:
        OptionError: p is neither 1 nor 2; a label outside the classes.
        ShapeError: a target or weight that does not fit.
    """
    if p not in (1, 2):
        raise OptionError(f"multi_margin_loss: p is 1 or 2, got {p}")
    if input.ndim not in (1, 2):
        raise ShapeError(f"multi_margin_loss: the input is (N, C) or (C,), got {input.shape}")
    labels, classes = labels_of("multi_margin_loss", input, target), input.shape[-1]
    check_labels("multi_margin_loss", labels, classes)
    weight = class_weight("multi_margin_loss", weight, classes, input)
    index = wrap(Tensor, labels[..., None], None)
    lack = ops.relu(margin - gather(input, -1, index) + input)
    lack = lack if p == 1 else ops.square(lack)
    lack = lack if weight is None else lack * weight[labels[..., None]]
    others = np.arange(classes, like=labels) != labels[..., None]
    loss = reduce.sum(ops.where(others, lack, 0.0), -1) / classes
    return reduced("multi_margin_loss", loss, reduction)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Σ max(0, 1 − x[y] + x[c]) / C over an example's labels y and all classes c that are not.

    Shapes: input (N, C) or (C,); target as the input: labels from the front, then −1.

    Raises:
        ShapeError: input and target of different shapes.
        OptionError: a label outside the classes.
    """
    labels = same_shape("multilabel_margin_loss", input, target)._data
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"multilabel_margin_loss: class labels are integers, not {labels.dtype}")
    classes = input.shape[-1]
    there = accumulated(np.logical_and, labels >= 0, -1)
    safe = np.where(there, labels, 0)
    check_labels("multilabel_margin_loss", safe, classes)
    chosen = ((safe[..., None] == np.arange(classes, like=labels)) & there[..., None]).any(
        -2
    )  # (..., C)
    pairs = there[..., :, None] & ~chosen[..., None, :]
    right = gather(input, -1, wrap(Tensor, safe, None))
    lack = ops.relu(1.0 - unsqueeze(right, -1) + unsqueeze(input, -2))  # (..., labels, C)
    loss = reduce.sum(ops.where(pairs, lack, 0.0), (-2, -1)) / classes
    return reduced("multilabel_margin_loss", loss, reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The mean over classes of −w (y ln σ(x) + (1 − y) ln(1 − σ(x))): each class yes or no.

    Raises:
        ShapeError: input and target of different shapes.
    """
    target = same_shape("multilabel_soft_margin_loss", input, target)
    must_broadcast("multilabel_soft_margin_loss", input=input, weight=weight)
    loss = -(target * ops.logsigmoid(input) + (1.0 - target) * ops.logsigmoid(-input))
    loss = loss if weight is None else loss * weight
    loss = reduce.sum(loss, -1) / input.shape[-1]
    return reduced("multilabel_soft_margin_loss", loss, reduction)


# --- an anchor, one that should be near, one that should be far -----------------------------------


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0,
    eps: float = 1e-6, swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """max(0, d(a, p) − d(a, n) + margin), d the distance ‖x − y + eps‖ₚ over the last dimension.

    Args:
        swap: take d(p, n) for d(a, n) where it is smaller (Balntas et al. 2016).

    Raises:
        OptionError: margin is not positive.
        ShapeError: arguments of different numbers of dimensions.

    >>> import tinygrad_course as tc
    >>> a, n = tc.zeros(1, 2), tc.tensor([[0.6, 0.8]])
    >>> round(tc.nn.functional.triplet_margin_loss(a, a, n, margin=1.5).item(), 3)
    0.5
    """

    def distance(x: Any, y: Any) -> Any:
        return pairwise_distance(x, y, p, eps)

    given = (anchor, positive, negative)
    return _triplet("triplet_margin_loss", given, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *,
    distance_function: Callable[[Any, Any], Any] | None = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """`triplet_margin_loss` with a distance of one's own; `pairwise_distance` unless given."""
    distance = pairwise_distance if distance_function is None else distance_function
    given = (anchor, positive, negative)
    return _triplet("triplet_margin_with_distance_loss", given, distance, margin, swap, reduction)


def _triplet(
    name: str, given: tuple[Any, Any, Any], distance: Callable[[Any, Any], Any], margin: float,
    swap: bool, reduction: str,
) -> Any:  # fmt: skip
    anchor, positive, negative = given
    if margin <= 0:
        raise OptionError(f"{name}: margin must be positive, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            f"{name}: anchor, positive and negative need as many dimensions, got "
            + ", ".join(str(x.shape) for x in given)
        )
    far = distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    loss = ops.clamp(margin + distance(anchor, positive) - far, min=0.0)
    return reduced(name, loss, reduction)
