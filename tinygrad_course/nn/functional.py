"""What layers compute, as functions of Tensors: PyTorch's names, arguments and results.

The families live in `tinygrad_course.functions`; there is no derivative in them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.functions.activation import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
)
from tinygrad_course.functions.attention import scaled_dot_product_attention
from tinygrad_course.functions.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from tinygrad_course.functions.distance import (
    cosine_similarity,
    normalize,
    pairwise_distance,
)
from tinygrad_course.functions.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    check_labels,
    cross_entropy,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from tinygrad_course.functions.margin import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from tinygrad_course.functions.noise import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
    gumbel_softmax,
    rrelu,
)
from tinygrad_course.functions.normalization import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
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
from tinygrad_course.ops import reduce, shape
from tinygrad_course.ops.linalg import linear
from tinygrad_course.tensor import Tensor, as_tensor

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "alpha_dropout", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm",
    "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "conv1d",
    "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "dropout", "dropout1d",
    "dropout2d", "dropout3d", "elu", "embedding", "feature_alpha_dropout", "fold",
    "gaussian_nll_loss", "gelu", "glu", "group_norm", "gumbel_softmax", "hardshrink", "hardsigmoid",
    "hardswish", "hardtanh", "hinge_embedding_loss", "huber_loss", "instance_norm", "interpolate",
    "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "local_response_norm", "log_softmax",
    "logsigmoid", "margin_ranking_loss", "max_pool1d", "max_pool2d", "max_pool3d", "mish",
    "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss",
    "nll_loss", "normalize", "one_hot", "pad", "pairwise_distance", "pixel_shuffle",
    "pixel_unshuffle", "poisson_nll_loss", "prelu", "relu", "relu6", "rms_norm", "rrelu",
    "scaled_dot_product_attention", "selu", "sigmoid", "silu", "smooth_l1_loss", "soft_margin_loss",
    "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
    "triplet_margin_loss", "triplet_margin_with_distance_loss", "unfold",
]  # fmt: skip


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """yₒ = x₁ᵀ Wₒ x₂ + bₒ.

    Shapes: input1 (..., I), input2 (..., J), weight (O, I, J), bias (O,), result (..., O).

    Raises:
        ShapeError: sizes that do not fit.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([2.0, 3.0])
    >>> tc.nn.functional.bilinear(x, x, tc.ones(1, 2, 2)).tolist()
    [25.0]
    """
    if weight.ndim != 3 or input1.shape[:-1] != input2.shape[:-1]:
        raise ShapeError(
            "bilinear: the weight is (O, I, J) and the inputs (..., I) and (..., J) with the same "
            f"leading sizes; got {weight.shape}, {input1.shape} and {input2.shape}"
        )
    out, left, right = weight.shape
    if (input1.shape[-1:], input2.shape[-1:]) != ((left,), (right,)):
        raise ShapeError(
            f"bilinear: a weight of shape {weight.shape} takes inputs that end in {left} and "
            f"{right}, got {input1.shape} and {input2.shape}"
        )
    rows = shape.reshape_(shape.transpose(weight, 1, 2), (out * right, left))
    half = shape.unflatten(linear(input1, rows), -1, (out, right))  # x₁ᵀ W: (..., O, J)
    result = reduce.sum(half * shape.unsqueeze(input2, -2), -1)
    return result if bias is None else result + bias


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
    check_labels("one_hot", labels, num_classes)
    return wrap(
        Tensor, (labels[..., None] == np.arange(num_classes, like=labels)).astype(np.int64), None
    )


def row_number(name: str, index: int | None, rows: int) -> int | None:
    """A row's number counted from the front; None stays None."""
    if index is None:
        return None
    if not -rows <= index < rows:
        raise OptionError(f"{name} must be one of the {rows} rows, got {index}")
    return index % rows


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Any:  # fmt: skip
    """weight[x]: rows of a table, chosen by integers.

    Shapes: input (...), weight (rows, features), result (..., features). The gradient of the row
    padding_idx is 0.

    Raises:
        DtypeError: an input that does not hold integers.
        OptionError: an integer, or a padding_idx, that is not a row; max_norm, scale_grad_by_freq
            and sparse, which are not supported.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.embedding(tc.tensor([1, 0]), tc.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [1.0]]
    """
    refuse_table_options("embedding", max_norm, scale_grad_by_freq, sparse)
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
    out = weight[index]
    if padding is None or not out.requires_grad:
        return out
    return ops.where((index != padding)[..., None], out, out.detach())


def refuse_table_options(name: str, max_norm: Any, by_frequency: bool, sparse: bool) -> None:
    """Raise for what PyTorch's tables can do and ours cannot."""
    given = {"max_norm": max_norm is not None, "scale_grad_by_freq": by_frequency, "sparse": sparse}
    for option, wanted in given.items():
        if wanted:
            raise OptionError(f"{name}: {option} is not supported; leave it out")
