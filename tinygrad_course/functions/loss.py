"""Losses of classes and of numbers: PyTorch's names, options and results."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.graph import wrap
from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import loss as rows
from tinygrad_course.ops import reduce, shape
from tinygrad_course.ops.index import gather
from tinygrad_course.tensor import Tensor, as_tensor

from .checks import must_broadcast
from .distance import at_least
from .noise import check_probability


def reduced(name: str, loss: Any, reduction: str) -> Any:
    """The losses, or their mean (nan if there are none, as in PyTorch) or sum."""
    if reduction == "mean":
        return reduce.sum(loss) / loss.numel()
    if reduction == "sum":
        return reduce.sum(loss)
    check_reduction(name, reduction)
    return loss


def check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise OptionError(f"{name}: reduction is 'none', 'mean' or 'sum', not {reduction!r}")


def matched(name: str, input: Any, target: Any) -> Any:
    """The target as a Tensor; a shape that broadcasting would change is rarely meant."""
    target = as_tensor(target)
    if target.shape != input.shape:
        must_broadcast(name, input=input, target=target)
        warnings.warn(
            f"{name}: the input has shape {input.shape}, the target {target.shape}; they are "
            "broadcast against each other, which is rarely meant: give them one shape",
            UserWarning,
            stacklevel=3,
        )
    return target


def _weighted(name: str, loss: Any, weight: Any, reduction: str, by_weight: bool = True) -> Any:
    """Each loss times its weight; "mean" then divides by the sum of the weights, or by how many."""
    if weight is None:
        return reduced(name, loss, reduction)
    weight = as_tensor(weight)
    if weight.shape != loss.shape:
        raise ShapeError(f"{name}: weight needs the input's shape {loss.shape}, got {weight.shape}")
    if reduction == "mean" and by_weight:
        return reduce.sum(loss * weight) / reduce.sum(weight)
    return reduced(name, loss * weight, reduction)


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """w (x − y)²; with weights, "mean" divides by their sum.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.mse_loss(tc.tensor([1.0, 2.0]), tc.tensor([1.0, 4.0])).item()
    2.0
    """
    loss = ops.square(input - matched("mse_loss", input, target))
    return _weighted("mse_loss", loss, weight, reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """w |x − y|; with weights, "mean" divides by their sum."""
    loss = ops.abs(input - matched("l1_loss", input, target))
    return _weighted("l1_loss", loss, weight, reduction)


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """w (x − y)² / 2 near 0, w δ (|x − y| − δ / 2) from δ on; "mean" divides by how many there are.

    Raises:
        OptionError: delta is not positive.
    """
    if delta <= 0:
        raise OptionError(f"huber_loss: delta must be positive, got {delta}")
    size = ops.abs(input - matched("huber_loss", input, target))
    near, far = ops.square(size) * 0.5, (size - 0.5 * delta) * delta
    loss = ops.where(size < delta, near, far)
    return _weighted("huber_loss", loss, weight, reduction, by_weight=False)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """(x − y)² / 2β near 0, |x − y| − β / 2 from β on."""
    if beta < 0:
        raise OptionError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    size = ops.abs(input - matched("smooth_l1_loss", input, target))
    near, far = ops.square(size) * (0.5 / beta), size - 0.5 * beta
    return reduced("smooth_l1_loss", ops.where(size < beta, near, far), reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """y (ln y − x), x a logarithm; "batchmean" divides the sum by the number of rows."""
    target = matched("kl_div", input, target)
    if log_target:
        loss = ops.exp(target) * (target - input)
    else:
        positive = target > 0
        loss = target * (ops.log(ops.where(positive, target, 1.0)) - input)
        loss = ops.where(positive, loss, 0.0)
    if reduction == "batchmean":
        return reduce.sum(loss) / input.shape[0]
    return reduced("kl_div", loss, reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """eˣ − y x, or x − y ln(x + eps): minus the log-probability of counts y at the rate eˣ, or x.

    Args:
        log_input: whether x is the logarithm of the rate.
        full: add Stirling's y ln y − y + ln(2π y) / 2 for ln y!, where y exceeds 1.
    """
    target = as_tensor(target)
    must_broadcast("poisson_nll_loss", input=input, target=target)
    if log_input:
        loss = ops.exp(input) - target * input
    else:
        loss = input - target * ops.log(input + eps)
    if full:
        large = ops.where(target > 1, target, 1.0)
        stirling = large * ops.log(large) - large + ops.log(large * (2 * math.pi)) * 0.5
        loss = loss + ops.where(target > 1, stirling, 0.0)
    return reduced("poisson_nll_loss", loss, reduction)


def _everywhere(value: float, input: Any) -> Any:
    return as_tensor(np.full_like(input._data, value, dtype=np.result_type(value)))


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """(ln v + (x − y)² / v) / 2, v = max(var, eps): minus the log-density of y under N(x, v).

    Args:
        var: a number, or a tensor of the input's shape, or with size 1 in (or without) its last
            dimension; gradients pass where eps takes its place too, as in PyTorch.
        full: add ln(2π) / 2.

    Raises:
        OptionError: a negative variance.
        ShapeError: a var of another shape.
    """
    must_broadcast("gaussian_nll_loss", input=input, target=target)
    var = as_tensor(var) if hasattr(var, "shape") else _everywhere(var, input)
    if var._data.size and var._data.min() < 0:
        raise OptionError(f"gaussian_nll_loss: var holds {var._data.min():g}; none may be negative")
    if var.shape != input.shape:
        var = var.unsqueeze(-1) if var.shape == input.shape[:-1] else var
        fits = [(a, b) for a, b in zip(input.shape, var.shape, strict=False) if a != b]
        if var.ndim != input.ndim or len(fits) > 1 or any(b != 1 for _, b in fits):
            raise ShapeError(
                f"gaussian_nll_loss: var needs the input's shape {input.shape}, or 1 in one "
                f"dimension, got {var.shape}"
            )
    safe = at_least(var.to(input.dtype), eps)
    loss = (ops.log(safe) + ops.square(input - target) / safe) * 0.5
    loss = loss + 0.5 * math.log(2 * math.pi) if full else loss
    return reduced("gaussian_nll_loss", loss, reduction)


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """−w (y ln x + (1 − y) ln(1 − x)), x a probability; the logarithms stop at −100.

    Raises:
        ShapeError: input and target of different shapes.
        OptionError: an input outside 0 to 1 (logits go to `binary_cross_entropy_with_logits`).
    """
    target = same_shape("binary_cross_entropy", input, target)
    must_broadcast("binary_cross_entropy", input=input, weight=weight)
    raw = input._data
    if raw.size and not (raw.min() >= 0 and raw.max() <= 1):
        raise OptionError(
            f"binary_cross_entropy: the input must be probabilities between 0 and 1, it has values "
            f"from {raw.min():g} to {raw.max():g}; for logits use binary_cross_entropy_with_logits"
        )
    loss = rows.binary_cross_entropy(input, target)
    loss = loss if weight is None else loss * weight
    return reduced("binary_cross_entropy", loss, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """−w (q y ln σ(x) + (1 − y) ln(1 − σ(x))), q = pos_weight, without overflow.

    Raises:
        ShapeError: input and target of different shapes.
    """
    name = "binary_cross_entropy_with_logits"
    target = same_shape(name, input, target)
    must_broadcast(name, input=input, weight=weight, pos_weight=pos_weight)
    scale = 1.0 if pos_weight is None else 1 + (pos_weight - 1) * target
    loss = input * (1.0 - target) - ops.logsigmoid(input) * scale
    return reduced(name, loss if weight is None else loss * weight, reduction)


def same_shape(name: str, input: Any, target: Any) -> Any:
    target = as_tensor(target)
    if target.shape != input.shape:
        raise ShapeError(
            f"{name}: input and target need one shape, got {input.shape} and {target.shape}"
        )
    return target


def check_labels(name: str, labels: Any, classes: int, ignore: int | None = None) -> None:
    """Raise, naming the first label outside 0 to classes − 1 that is not the ignored one.

    Labels on a GPU are not looked at: the CPU would have to wait for it at every step. There the
    mean cross-entropy of such labels is NaN.
    """
    if devices.is_cuda(labels) or _inside(labels, classes):
        return
    wrong = (labels < 0) | (labels >= classes)
    if ignore is not None:
        wrong &= labels != ignore
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = place[0] if len(place) == 1 else place
        raise OptionError(
            f"{name}: label {labels[place]} at position {where} is outside the range 0 to "
            f"{classes - 1} of the {classes} classes"
        )


def _inside(labels: Any, classes: int) -> bool:
    """Whether all labels are from 0 to classes − 1: without a sign, negative ones are large."""
    if labels.size == 1:
        return 0 <= labels.item() < classes
    unsigned = labels.view(f"u{labels.itemsize}")
    return not labels.size or bool(np.maximum.reduce(unsigned, None) < classes)


def labels_of(name: str, input: Any, target: Any) -> Any:
    """Class indices as an array that fits the input (N, C, ...) or (C,)."""
    labels, shape = as_tensor(target)._data, input.shape
    fitting = () if len(shape) == 1 else (*shape[:1], *shape[2:])
    if labels.dtype.kind not in "iu":
        hint = f", or probabilities of the input's shape {input.shape}"
        raise DtypeError(
            f"{name}: class labels are integers, the target is {labels.dtype} of shape "
            f"{labels.shape}; give integers of shape {fitting} (target.long())"
            + (hint if name == "cross_entropy" else "")
        )
    if not shape or labels.shape != fitting:
        raise ShapeError(
            f"{name}: an input of shape {shape} is (N, C, ...) or (C,) and takes labels of "
            f"shape {fitting}, got {labels.shape}"
        )
    return labels


def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """−w[y] x[y]: the negative of the log-probability at each label.

    Args:
        input: log-probabilities (N, C), (C,) or (N, C, d1, ...).
        target: integer labels (N,), () or (N, d1, ...).
        weight: one factor for each class; "mean" then divides by the sum of those used.
        ignore_index: positions with this label cost nothing and do not count.
        reduction: "mean" (nan if nothing counts, as in PyTorch), "sum" or "none".

    Raises:
        OptionError: a label outside the classes.
    """
    return _nll("nll_loss", input, labels_of("nll_loss", input, target), weight, ignore_index,
                reduction)  # fmt: skip


def _nll(
    name: str, input: Any, labels: Any, weight: Any, ignore: int, reduction: str,
    smoothing: float = 0.0,
) -> Any:  # fmt: skip
    check_reduction(name, reduction)
    axis = 0 if input.ndim == 1 else 1
    classes = input.shape[axis]
    check_labels(name, labels, classes, ignore)
    counted = labels != ignore
    safe = np.where(counted, labels, 0)
    weight = class_weight(name, weight, classes, input)
    factor = wrap(Tensor, counted.astype(input.dtype), None)
    if weight is not None:
        factor = factor * weight[safe]
    index = wrap(Tensor, np.expand_dims(safe, axis), None)
    chosen = shape.squeeze(gather(input, axis, index), axis)
    losses = ops.where(counted, -chosen * factor, 0.0)
    if smoothing:
        each = input if weight is None else input * _along(weight, axis, input.ndim)
        even = ops.where(counted, -reduce.sum(each, axis), 0.0) / classes
        losses = losses * (1 - smoothing) + even * smoothing
    if reduction == "none":
        return losses
    total = reduce.sum(losses)
    return total if reduction == "sum" else total / reduce.sum(factor)


def class_weight(name: str, weight: Any, classes: int, input: Any) -> Any:
    if weight is None:
        return None
    weight = as_tensor(weight)
    if weight.shape != (classes,):
        raise ShapeError(f"{name}: weight needs shape ({classes},), got {weight.shape}")
    return weight.to(input.dtype)


def _along(weight: Any, axis: int, ndim: int) -> Any:
    return shape.reshape_(weight, (-1, *(1,) * (ndim - axis - 1)))


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """−Σ p[c] ln softmax(x)[c]: what a code made for the distribution x costs under p.

    Args:
        input: logits (N, C), (C,) or (N, C, d1, ...).
        target: integer labels (N,), () or (N, d1, ...), or probabilities of the input's shape.
        weight: one factor for each class; with labels, "mean" divides by the sum of those used.
        ignore_index: positions with this label cost nothing and do not count; labels only.
        reduction: "mean" (nan if nothing counts, as in PyTorch), "sum" or "none".
        label_smoothing: this share of every target is spread evenly over the classes.

    Raises:
        OptionError: a label outside the classes (on a GPU the result is NaN: nothing waits for it
            there), a label_smoothing outside 0 to 1.
        DtypeError: labels that are not integers.
        ShapeError: a target that fits the input in neither form.

    >>> import tinygrad_course as tc
    >>> logits = tc.zeros(2, 4)
    >>> round(tc.nn.functional.cross_entropy(logits, tc.tensor([0, 3])).item(), 4)  # ln 4
    1.3863
    """
    target = as_tensor(target)
    if label_smoothing != 0.0:
        check_probability("cross_entropy: label_smoothing", label_smoothing)
    if target.dtype.kind == "f" and target.shape == input.shape:
        return _soft_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)
    labels = labels_of("cross_entropy", input, target)
    plain = weight is None and not label_smoothing and reduction == "mean" and input.ndim == 2
    if plain and devices.is_cuda(labels):  # whether some are ignored is seen there
        return rows.cross_entropy(input, target, ignore=ignore_index)
    plain = plain and labels.size and (ignore_index < 0 or ignore_index not in labels)
    if plain and _inside(labels, input.shape[1]):
        return rows.cross_entropy(input, target)
    logs = reduce.log_softmax(input, 0 if input.ndim == 1 else 1)
    return _nll("cross_entropy", logs, labels, weight, ignore_index, reduction, label_smoothing)


def _soft_cross_entropy(
    input: Any, target: Any, weight: Any, ignore: int, reduction: str, smoothing: float
) -> Any:
    """Cross-entropy against probabilities; "mean" divides by the number of distributions."""
    if ignore >= 0:
        raise OptionError("cross_entropy: ignore_index goes with labels, not with probabilities")
    axis = 0 if input.ndim == 1 else 1
    classes = input.shape[axis]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    weight = class_weight("cross_entropy", weight, classes, input)
    logs = reduce.log_softmax(input, axis)
    logs = logs if weight is None else logs * _along(weight, axis, input.ndim)
    return reduced("cross_entropy", reduce.sum(-(logs * target), axis), reduction)
