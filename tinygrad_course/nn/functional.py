"""What layers compute, as functions of Tensors: PyTorch's names, arguments and results.

Everything here is derived from the table of operations; there is no derivative in this file.
`inplace=True` is accepted and changes no result.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_course import creation
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.functions.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from tinygrad_course.functions.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from tinygrad_course.functions.resampling import (
    fold,
    interpolate,
    pad,
    pixel_shuffle,
    pixel_unshuffle,
    unfold,
)
from tinygrad_course.graph import wrap
from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import loss as rows
from tinygrad_course.ops import reduce, shape
from tinygrad_course.ops.index import gather
from tinygrad_course.ops.linalg import linear
from tinygrad_course.ops.special import erf
from tinygrad_course.tensor import Tensor, as_tensor

from .normalization import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
)

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "conv1d", "conv2d",
    "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cross_entropy",
    "dropout", "elu", "embedding", "fold", "gelu", "group_norm", "hardshrink", "hardsigmoid",
    "hardswish", "hardtanh", "huber_loss", "instance_norm", "interpolate", "kl_div", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "local_response_norm", "log_softmax", "logsigmoid",
    "max_pool1d", "max_pool2d", "max_pool3d", "mish", "mse_loss", "nll_loss", "normalize",
    "one_hot", "pad", "pixel_shuffle", "pixel_unshuffle", "prelu", "relu", "relu6", "rms_norm",
    "scaled_dot_product_attention", "selu", "sigmoid", "silu", "smooth_l1_loss", "softmax",
    "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "unfold",
]  # fmt: skip

# --- activations ----------------------------------------------------------------------------------


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0)."""
    return ops.relu(input)


def sigmoid(input: Any) -> Any:
    """1 / (1 + e⁻ˣ)."""
    return ops.sigmoid(input)


def tanh(input: Any) -> Any:
    """tanh x."""
    return ops.tanh(input)


def logsigmoid(input: Any) -> Any:
    """ln(1 / (1 + e⁻ˣ)), without overflow."""
    return ops.logsigmoid(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where positive, else negative_slope · x."""
    return ops.where(input > 0, input, input * negative_slope)


def prelu(input: Any, weight: Any) -> Any:
    """x where positive, else weight · x: one learnt slope, or one for each channel (dimension 1).

    Raises:
        ShapeError: several weights that are not as many as the channels.
    """
    if weight.numel() != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if weight.shape != (channels,):
            raise ShapeError(f"prelu: {channels} channels need as many weights, not {weight.shape}")
        weight = shape.reshape_(weight, (-1, *(1,) * (input.ndim - 2)))
    return ops.where(input > 0, input, input * weight)


def _exponential(input: Any, scale: float, slope: float) -> Any:
    """scale · (eˣ − 1) below 0, slope · x above; the branch not taken sees 0, never an overflow."""
    below = ops.expm1(ops.where(input > 0, 0.0, input)) * scale
    return ops.where(input > 0, input if slope == 1 else input * slope, below)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where positive, else α (eˣ − 1)."""
    return _exponential(input, alpha, 1.0)


def selu(input: Any, inplace: bool = False) -> Any:
    """s · elu(x, α), with s and α chosen so that mean 0 and variance 1 stay (Klambauer 2017)."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return _exponential(input, alpha * scale, scale)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where positive, else α (e^(x/α) − 1)."""
    if alpha == 0:
        raise OptionError("celu: alpha must not be 0")
    return ops.where(input > 0, input, ops.expm1(ops.where(input > 0, 0.0, input / alpha)) * alpha)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x · Φ(x), Φ the normal distribution's cumulative function; "tanh" is its approximation."""
    if approximate == "none":
        return input * 0.5 * (erf(input * math.sqrt(0.5)) + 1.0)
    if approximate != "tanh":
        raise OptionError(f"gelu: approximate is 'none' or 'tanh', not {approximate!r}")
    inner = (input + input * input * input * 0.044715) * math.sqrt(2 / math.pi)
    return input * 0.5 * (ops.tanh(inner) + 1.0)


def silu(input: Any, inplace: bool = False) -> Any:
    """x · σ(x), also called swish."""
    return input * ops.sigmoid(input)


def mish(input: Any, inplace: bool = False) -> Any:
    """x · tanh(softplus(x))."""
    return input * ops.tanh(ops.softplus(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(βx)) / β, and x itself where βx exceeds the threshold."""
    scaled = input if beta == 1 else input * beta
    soft = ops.softplus(scaled)
    return ops.where(scaled > threshold, input, soft if beta == 1 else soft / beta)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x kept between two bounds; at the bounds the gradient is 0."""
    if min_val > max_val:
        raise OptionError(f"hardtanh: min_val {min_val} exceeds max_val {max_val}")
    return ops.where(input <= min_val, min_val, ops.where(input >= max_val, max_val, input))


def relu6(input: Any, inplace: bool = False) -> Any:
    """x kept between 0 and 6."""
    return hardtanh(input, 0.0, 6.0)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """x / 6 + 1 / 2, kept between 0 and 1."""
    return hardtanh(input + 3.0, 0.0, 6.0) / 6.0


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x · hardsigmoid(x)."""
    inside = input * (input + 3.0) / 6.0
    return ops.where(input <= -3, 0.0, ops.where(input >= 3, input, inside))


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return input / (ops.abs(input) + 1.0)


def tanhshrink(input: Any) -> Any:
    """x − tanh x."""
    return input - ops.tanh(input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved by λ towards 0, and 0 where |x| ≤ λ."""
    if lambd < 0:
        raise OptionError(f"softshrink: lambd must not be negative, got {lambd}")
    return ops.where(input > lambd, input - lambd, ops.where(input < -lambd, input + lambd, 0.0))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, and 0 where |x| ≤ λ."""
    return ops.where(ops.abs(input) <= lambd, 0.0, input)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where it exceeds the threshold, else `value`."""
    return ops.where(input <= threshold, value, input)


def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """eˣ / Σ eˣ along a dimension; unlike PyTorch's, `dim` has no default to guess from."""
    return reduce.softmax(input, dim, dtype=dtype)


def softmin(input: Any, dim: int, dtype: Any = None) -> Any:
    """e⁻ˣ / Σ e⁻ˣ along a dimension."""
    return reduce.softmax(-input, dim, dtype=dtype)


def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """x − ln Σ eˣ along a dimension."""
    return reduce.log_softmax(input, dim, dtype=dtype)


# --- chance, shape and scale ----------------------------------------------------------------------


def check_probability(name: str, p: float) -> float:
    """p, if it is between 0 and 1."""
    if not 0 <= p <= 1:
        raise OptionError(f"{name}: the probability p must be between 0 and 1, got {p}")
    return p


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element is 0 with probability p, else divided by 1 − p, so that the mean stays.

    Raises:
        OptionError: p outside 0 to 1.
    """
    check_probability("dropout", p)
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0.0
    kept = creation.default_generator.numpy.random(input.shape, dtype=np.float32) >= p
    return input * wrap(Tensor, kept.astype(input.dtype) * input.dtype.type(1 / (1 - p)), None)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """A new last dimension with 1 at each label and 0 elsewhere, as int64.

    Args:
        tensor: integer labels.
        num_classes: the size of the new dimension; the largest label + 1 unless given.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.one_hot(tc.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    labels = as_tensor(tensor)._data
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: labels are integers, not {labels.dtype}")
    if num_classes == -1:
        if labels.size == 0:
            raise OptionError("one_hot: without labels, num_classes must be given")
        num_classes = int(labels.max()) + 1
    _check_labels("one_hot", labels, num_classes)
    return wrap(Tensor, (labels[..., None] == np.arange(num_classes)).astype(np.int64), None)


def row_number(name: str, index: int | None, rows: int) -> int | None:
    """A row's number counted from the front; None stays None."""
    if index is None:
        return None
    if not -rows <= index < rows:
        raise OptionError(f"{name} must be one of the {rows} rows, got {index}")
    return index % rows


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """weight[x]: rows of a table, chosen by integers.

    Shapes: input (...), weight (rows, features), result (..., features). The gradient of the row
    padding_idx is 0.

    Raises:
        DtypeError: an input that does not hold integers.
        OptionError: an integer, or a padding_idx, that is not a row.
    """
    index = as_tensor(input)._data
    if index.dtype.kind not in "iu":
        raise DtypeError(f"embedding: the input holds integers, not {index.dtype}")
    rows = weight.shape[0]
    if index.size and (index.min() < 0 or index.max() >= rows):
        raise OptionError(
            f"embedding: the input has numbers from {index.min()} to {index.max()}; the table has "
            f"rows 0 to {rows - 1}"
        )
    padding = row_number("embedding: padding_idx", padding_idx, rows)
    if padding is not None and weight.requires_grad:
        learnt = np.arange(rows)[:, None] != padding
        weight = ops.where(learnt, weight, weight.detach())
    return weight[index]


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """x / max(‖x‖ₚ, eps), the norm taken along a dimension."""
    if p == 2:
        length = reduce.vector_norm(input, 2, dim, True)
    elif p == math.inf:
        length = reduce.amax(ops.abs(input), dim, keepdim=True)
    else:
        length = reduce.sum(ops.abs(input) ** p, dim, keepdim=True) ** (1 / p)
    return input / ops.clamp(length, min=eps)


# --- attention ------------------------------------------------------------------------------------


def attention_weights(
    query: Any, key: Any, attn_mask: Any = None, is_causal: bool = False,
    scale: float | None = None,
) -> Any:  # fmt: skip
    """softmax(q kᵀ · scale + mask); a query that may look nowhere gets zeros, not nan.

    Shapes: query (..., L, E), key (..., S, E), attn_mask broadcasts to the result (..., L, S).

    Args:
        attn_mask: numbers to add, or bools: True where a query may look.
        is_causal: query i looks at keys up to i.
        scale: 1/√E unless given.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * scale) @ key.mT
    if is_causal:
        scores = ops.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -math.inf)
    if attn_mask is not None:
        mask = as_tensor(attn_mask)
        allowed = mask.dtype.kind == "b"
        scores = ops.where(mask, scores, -math.inf) if allowed else scores + mask
    elif not is_causal:
        return reduce.softmax(scores, -1)
    somewhere = (scores._data > -math.inf).any(-1, keepdims=True)
    if somewhere.all():
        return reduce.softmax(scores, -1)
    weights = reduce.softmax(ops.where(somewhere, scores, 0.0), -1)
    return ops.where(somewhere, weights, 0.0)


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None,
) -> Any:  # fmt: skip
    """softmax(q kᵀ · scale + mask) v: a mean of values, weighted by how keys fit the query.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, V), result (..., L, V).

    Args:
        attn_mask: (..., L, S): numbers to add, or bools: True where a query may look.
        dropout_p: the probability that a weight is dropped; the function does not ask whether a
            module is training.
        is_causal: query i looks at keys up to i.
        scale: 1/√E unless given.

    Raises:
        OptionError: attn_mask and is_causal both, as in PyTorch.

    Source: Vaswani et al. 2017.
    """
    if attn_mask is not None and is_causal:
        raise OptionError("scaled_dot_product_attention: give attn_mask or is_causal, not both")
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    return dropout(weights, dropout_p) @ value


# --- losses ---------------------------------------------------------------------------------------


def _reduced(name: str, loss: Any, reduction: str) -> Any:
    """The losses, or their mean (nan if there are none, as in PyTorch) or sum."""
    if reduction == "mean":
        return reduce.sum(loss) / loss.numel()
    if reduction == "sum":
        return reduce.sum(loss)
    _check_reduction(name, reduction)
    return loss


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise OptionError(f"{name}: reduction is 'none', 'mean' or 'sum', not {reduction!r}")


def _matched(name: str, input: Any, target: Any) -> Any:
    """The target as a Tensor; a shape that broadcasting would change is rarely meant."""
    target = as_tensor(target)
    if target.shape != input.shape:
        warnings.warn(
            f"{name}: the input has shape {input.shape}, the target {target.shape}; they are "
            "broadcast against each other, which is rarely meant: give them one shape",
            UserWarning,
            stacklevel=3,
        )
    return target


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """(x − y)²."""
    difference = input - _matched("mse_loss", input, target)
    return _reduced("mse_loss", ops.square(difference), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """|x − y|."""
    difference = input - _matched("l1_loss", input, target)
    return _reduced("l1_loss", ops.abs(difference), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """(x − y)² / 2 near 0, δ (|x − y| − δ / 2) from δ on."""
    if delta <= 0:
        raise OptionError(f"huber_loss: delta must be positive, got {delta}")
    size = ops.abs(input - _matched("huber_loss", input, target))
    near, far = ops.square(size) * 0.5, (size - 0.5 * delta) * delta
    return _reduced("huber_loss", ops.where(size < delta, near, far), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """(x − y)² / 2β near 0, |x − y| − β / 2 from β on."""
    if beta < 0:
        raise OptionError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    size = ops.abs(input - _matched("smooth_l1_loss", input, target))
    near, far = ops.square(size) * (0.5 / beta), size - 0.5 * beta
    return _reduced("smooth_l1_loss", ops.where(size < beta, near, far), reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """y (ln y − x), x a logarithm; "batchmean" divides the sum by the number of rows."""
    target = _matched("kl_div", input, target)
    if log_target:
        loss = ops.exp(target) * (target - input)
    else:
        positive = target > 0
        loss = target * (ops.log(ops.where(positive, target, 1.0)) - input)
        loss = ops.where(positive, loss, 0.0)
    if reduction == "batchmean":
        return reduce.sum(loss) / input.shape[0]
    return _reduced("kl_div", loss, reduction)


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """−w (y ln x + (1 − y) ln(1 − x)), x a probability; the logarithms stop at −100.

    Raises:
        ShapeError: input and target of different shapes.
        OptionError: an input outside 0 to 1 (logits go to `binary_cross_entropy_with_logits`).
    """
    target = _same_shape("binary_cross_entropy", input, target)
    raw = input._data
    if raw.size and not (raw.min() >= 0 and raw.max() <= 1):
        raise OptionError(
            f"binary_cross_entropy: the input must be probabilities between 0 and 1, it has values "
            f"from {raw.min():g} to {raw.max():g}; for logits use binary_cross_entropy_with_logits"
        )
    loss = rows.binary_cross_entropy(input, target)
    loss = loss if weight is None else loss * weight
    return _reduced("binary_cross_entropy", loss, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """−w (q y ln σ(x) + (1 − y) ln(1 − σ(x))), q = pos_weight, without overflow.

    Raises:
        ShapeError: input and target of different shapes.
    """
    name = "binary_cross_entropy_with_logits"
    target = _same_shape(name, input, target)
    scale = 1.0 if pos_weight is None else 1 + (pos_weight - 1) * target
    loss = input * (1.0 - target) - ops.logsigmoid(input) * scale
    return _reduced(name, loss if weight is None else loss * weight, reduction)


def _same_shape(name: str, input: Any, target: Any) -> Any:
    target = as_tensor(target)
    if target.shape != input.shape:
        raise ShapeError(
            f"{name}: input and target need one shape, got {input.shape} and {target.shape}"
        )
    return target


def _check_labels(name: str, labels: Any, classes: int, ignore: int | None = None) -> None:
    """Raise, naming the first label outside 0 to classes − 1 that is not the ignored one."""
    if labels.size == 0 or (labels.min() >= 0 and labels.max() < classes):
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


def _labels(name: str, input: Any, target: Any) -> Any:
    """Class indices as an array that fits the input (N, C, ...) or (C,)."""
    labels = as_tensor(target)._data
    fitting = () if input.ndim == 1 else (*input.shape[:1], *input.shape[2:])
    if labels.dtype.kind not in "iu":
        hint = f", or probabilities of the input's shape {input.shape}"
        raise DtypeError(
            f"{name}: class labels are integers, the target is {labels.dtype} of shape "
            f"{labels.shape}; give integers of shape {fitting} (target.long())"
            + (hint if name == "cross_entropy" else "")
        )
    if input.ndim == 0 or labels.shape != fitting:
        raise ShapeError(
            f"{name}: an input of shape {input.shape} is (N, C, ...) or (C,) and takes labels of "
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
    return _nll("nll_loss", input, _labels("nll_loss", input, target), weight, ignore_index,
                reduction)  # fmt: skip


def _nll(
    name: str, input: Any, labels: Any, weight: Any, ignore: int, reduction: str,
    smoothing: float = 0.0,
) -> Any:  # fmt: skip
    _check_reduction(name, reduction)
    axis = 0 if input.ndim == 1 else 1
    classes = input.shape[axis]
    _check_labels(name, labels, classes, ignore)
    counted = labels != ignore
    safe = np.where(counted, labels, 0)
    weight = _class_weight(name, weight, classes, input)
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


def _class_weight(name: str, weight: Any, classes: int, input: Any) -> Any:
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
        OptionError: a label outside the classes, a label_smoothing outside 0 to 1.
        DtypeError: labels that are not integers.
        ShapeError: a target that fits the input in neither form.

    >>> import tinygrad_course as tc
    >>> logits = tc.zeros(2, 4)
    >>> round(tc.nn.functional.cross_entropy(logits, tc.tensor([0, 3])).item(), 4)  # ln 4
    1.3863
    """
    target = as_tensor(target)
    check_probability("cross_entropy: label_smoothing", label_smoothing)
    if target.dtype.kind == "f" and target.shape == input.shape:
        return _soft_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)
    labels = _labels("cross_entropy", input, target)
    plain = weight is None and not label_smoothing and reduction == "mean" and input.ndim == 2
    if plain and labels.size and (ignore_index < 0 or not (labels == ignore_index).any()):
        _check_labels("cross_entropy", labels, input.shape[1], ignore_index)
        if labels.min() >= 0:
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
    weight = _class_weight("cross_entropy", weight, classes, input)
    logs = reduce.log_softmax(input, axis)
    logs = logs if weight is None else logs * _along(weight, axis, input.ndim)
    return _reduced("cross_entropy", reduce.sum(-(logs * target), axis), reduction)
