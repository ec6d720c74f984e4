"""Normalisation as functions: values shifted and scaled to mean 0 and variance 1.

They differ in what is averaged together. For images (N, C, H, W): batch norm averages over N, H, W
for each channel; layer norm over C, H, W for each image; instance norm over H, W; group norm over
H, W and some of the channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.devices import faster
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.kernels import moments
from tinygrad_course.kernels.moments import Moments
from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import shape
from tinygrad_course.ops.normal import normalise

from .checks import need_floating


def _normalised(
    name: str, x: Any, by: Moments, weight: Any, bias: Any, form: tuple[int, ...]
) -> Any:  # fmt: skip
    """The row `normalise` of x, weight and bias in the shape `form`; it fills in `by`."""
    need_floating(name, x)
    for what, array in (("weight", weight), ("bias", bias)):
        if array is not None and array.dtype != x.dtype:
            raise DtypeError(
                f"{name}: the input is {x.dtype} and the {what} {array.dtype}; make them one dtype"
            )
    return normalise(x, weight, bias, form=form, by=by)


def _running(mean: Any, var: Any, dims: Any, form: Any, eps: float, like: Any) -> Moments:
    """Running averages, as constants in the place of an input's own."""
    if mean is None or var is None:
        raise OptionError("without batch statistics, running_mean and running_var must be given")
    mean, var = (a._data.astype(like.dtype, copy=False).reshape(form) for a in (mean, var))
    return Moments(dims, eps, mean=mean, var=var)


def _channels(name: str, input: Any, least: int, **arrays: Any) -> tuple[int, ...]:
    """(1, C, 1, ...), the form of what there is one of for each channel; sizes are checked."""
    if input.ndim < least:
        raise ShapeError(
            f"{name}: the input needs at least {least} dimensions (N, C, ...), got {input.shape}"
        )
    channels = input.shape[1]
    for what, array in arrays.items():
        if array is not None and tuple(array.shape) != (channels,):
            raise ShapeError(
                f"{name}: {channels} channels need {what} of shape ({channels},), got "
                f"{tuple(array.shape)}"
            )
    return (1, channels, *(1,) * (input.ndim - 2))


def _follow(running: Any, value: Any, momentum: float, scale: float = 1.0) -> None:
    """running ← (1 − momentum) running + momentum · scale · value, as a new array.

    An older graph in evaluation mode may still need the old one.
    """
    if running is not None:
        running.data = _followed(running._data, value, momentum=momentum, scale=scale)


_followed = faster("follow", moments.follow)


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """weight · (x − mean) / √(var + eps) + bias for each channel, over the batch and all places.

    In training, mean and var (divided by n) are those of the batch, and the running ones follow
    them: running ← (1 − momentum) running + momentum · new, with var there divided by n − 1.
    Otherwise the running ones are used.

    Shapes: input (N, C, ...); all others (C,) or None; result as the input.

    Raises:
        ShapeError: arrays that do not fit the channels, or one value for each channel in training.
        OptionError: no running averages outside training.
    """
    form = _channels("batch_norm", input, 2, running_mean=running_mean, running_var=running_var,
                     weight=weight, bias=bias)  # fmt: skip
    dims, n = (0, *range(2, input.ndim)), math.prod(input.shape) // max(form[1], 1)
    if not training:
        by = _running(running_mean, running_var, dims, form, eps, input)
        return _normalised("batch_norm", input, by, weight, bias, form)
    if n == 1:
        raise ShapeError(
            f"batch_norm: training needs more than 1 value for each channel, got {input.shape}"
        )
    by = Moments(dims, eps)
    out = _normalised("batch_norm", input, by, weight, bias, form)
    _follow(running_mean, by.mean.reshape(-1), momentum)
    _follow(running_var, by.var.reshape(-1), momentum, n / (n - 1))
    return out


def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """weight · (x − mean) / √(var + eps) + bias, mean and var over the places of one channel.

    Shapes: input (N, C, ...); all others (C,) or None. With running averages, these follow the mean
    over the batch of the channels' own. Without use_input_stats they are used instead.

    Raises:
        ShapeError: arrays that do not fit the channels, or a single place.
    """
    form = _channels("instance_norm", input, 3, running_mean=running_mean, running_var=running_var,
                     weight=weight, bias=bias)  # fmt: skip
    n, each = math.prod(input.shape[2:]), input.shape[:2]
    if not use_input_stats:
        dims = (0, *range(2, input.ndim))
        by = _running(running_mean, running_var, dims, form, eps, input)
        return _normalised("instance_norm", input, by, weight, bias, form)
    if n == 1:
        raise ShapeError(f"instance_norm: needs more than 1 place, got {input.shape}")
    by = Moments(tuple(range(2, input.ndim)), eps)
    out = _normalised("instance_norm", input, by, weight, bias, form)
    _follow(running_mean, by.mean.reshape(each).mean(0), momentum)
    _follow(running_var, by.var.reshape(each).mean(0), momentum, n / (n - 1))
    return out


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """weight · (x − mean) / √(var + eps) + bias, mean and var over a group of channels (Wu 2018).

    Shapes: input (N, C, ...); weight and bias (C,) or None.

    Raises:
        OptionError: channels that do not divide into the groups.
    """
    form = _channels("group_norm", input, 2, weight=weight, bias=bias)
    if num_groups < 1 or form[1] % num_groups:
        raise OptionError(f"group_norm: {form[1]} channels do not divide into {num_groups} groups")
    each, places = form[1] // num_groups, math.prod(input.shape[2:])
    grouped = shape.reshape_(input, (input.shape[0], num_groups, each, places))
    inner = (1, num_groups, each, 1)
    out = _normalised("group_norm", grouped, Moments((2, 3), eps), weight, bias, inner)
    return shape.reshape_(out, tuple(input.shape))


def _last_dims(name: str, input: Any, form: Sequence[int], **arrays: Any) -> tuple[int, ...]:
    """The dimensions that are normalised: the last ones, whose sizes are `form`."""
    form = tuple(form)
    if not form or tuple(input.shape[-len(form) :]) != form:
        raise ShapeError(f"{name}: the input {input.shape} does not end in {form}")
    for what, array in arrays.items():
        if array is not None and tuple(array.shape) != form:
            raise ShapeError(f"{name}: {what} needs shape {form}, got {tuple(array.shape)}")
    return tuple(range(input.ndim - len(form), input.ndim))


def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None,
    eps: float = 1e-5,
) -> Any:  # fmt: skip
    """weight · (x − mean) / √(var + eps) + bias, mean and var over the last dimensions.

    Shapes: input (..., *normalized_shape); weight and bias normalized_shape or None.

    Raises:
        ShapeError: an input that does not end in normalized_shape.
    """
    form = tuple(normalized_shape)
    dims = _last_dims("layer_norm", input, form, weight=weight, bias=bias)
    inner = (*(1,) * (input.ndim - len(form)), *form)
    return _normalised("layer_norm", input, Moments(dims, eps), weight, bias, inner)


def rms_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    """weight · x / √(mean x² + eps) over the last dimensions (Zhang and Sennrich 2019).

    Shapes: input (..., *normalized_shape); weight normalized_shape or None. An eps of None is the
    dtype's rounding unit.

    Raises:
        ShapeError: an input that does not end in normalized_shape.
    """
    form = tuple(normalized_shape)
    dims = _last_dims("rms_norm", input, form, weight=weight)
    need_floating("rms_norm", input)
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    inner = (*(1,) * (input.ndim - len(form)), *form)
    return _normalised("rms_norm", input, Moments(dims, eps, False), weight, None, inner)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """x / (k + alpha · mean x²)^beta, the mean over `size` neighbouring channels.

    Missing neighbours count as 0. Shapes: input (N, C, ...). Source: Krizhevsky et al. 2012.

    Raises:
        ShapeError: fewer than 3 dimensions.
        OptionError: a size below 1.
    """
    if size < 1:
        raise OptionError(f"local_response_norm: size must be at least 1, got {size}")
    form = _channels("local_response_norm", input, 3)
    widths = [(0, 0)] * input.ndim
    widths[1] = (size // 2, (size - 1) // 2)
    squares = shape.pad(ops.square(input), widths=widths, value=0.0)
    total = squares[:, : form[1]]
    for i in range(1, size):
        total = total + squares[:, i : i + form[1]]
    return input / (total * (alpha / size) + k) ** beta
