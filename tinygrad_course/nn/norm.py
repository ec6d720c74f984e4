"""Normalisation layers; `functions/normalization.py` says what each averages over."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np

from tinygrad_course import creation
from tinygrad_course.errors import OptionError, ShapeError

from . import functional as F
from . import init
from .linear import check_size
from .module import Module, Parameter


class _Normalised(Module):
    """Weights that start at 1 and biases at 0, or None."""

    def _scale(self, form: Any, weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        for name, wanted in (("weight", weight), ("bias", bias)):
            made = Parameter(creation.empty(form, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)

    def reset_parameters(self) -> None:
        """Weights 1 and biases 0 again."""
        if self.weight is not None:
            init.ones_(self.weight)
        if getattr(self, "bias", None) is not None:
            init.zeros_(self.bias)


class _Channelwise(_Normalised):
    """What batch and instance norm share: one weight, bias and running average for each channel."""

    _ndims: ClassVar[tuple[int, ...]]

    def __init__(
        self, num_features: int, eps: float, momentum: float | None, affine: bool,
        track_running_stats: bool, bias: bool, device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_features = check_size("num_features", num_features)
        self.eps, self.momentum, self.affine = eps, momentum, affine
        self.track_running_stats = track_running_stats
        self._scale(num_features, affine, affine and bias, device, dtype)
        made: list[Any] = [None] * 3
        if track_running_stats:
            kind = {"device": device, "dtype": dtype}
            made = [creation.zeros(num_features, **kind), creation.ones(num_features, **kind)]
            made.append(creation.tensor(0))
        names = ("running_mean", "running_var", "num_batches_tracked")
        for name, buffer in zip(names, made, strict=True):
            self.register_buffer(name, buffer)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Running mean 0, running variance 1, no batch seen."""
        if self.track_running_stats:
            self.running_mean.data = np.zeros_like(self.running_mean._data)
            self.running_var.data = np.ones_like(self.running_var._data)
            self.num_batches_tracked.data = np.zeros_like(self.num_batches_tracked._data)

    def _factor(self) -> float:
        """How much the new batch counts: momentum, or its share of all batches so far."""
        if not (self.training and self.track_running_stats):
            return self.momentum or 0.0
        self.num_batches_tracked.data = self.num_batches_tracked._data + 1
        return 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum

    def _check(self, input: Any) -> None:
        if input.ndim not in self._ndims:
            sizes = " or ".join(map(str, self._ndims))
            raise ShapeError(
                f"{type(self).__name__}: the input needs {sizes} dimensions, got {input.shape}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Channelwise):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
        affine: bool = True, track_running_stats: bool = True, device: Any = None,
        dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, bias, device, dtype
        )

    def forward(self, input: Any) -> Any:
        self._check(input)
        of_batch = self.training or self.running_mean is None
        factor = self._factor()
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, of_batch, factor,
            self.eps,
        )  # fmt: skip


class BatchNorm1d(_BatchNorm):
    """y = weight · (x − mean) / √(var + eps) + bias for each feature, over the batch.

    In training, mean and var are those of the batch (var divided by n), and the running ones
    follow: running ← (1 − momentum) running + momentum · new, with var divided by n − 1 there. In
    evaluation the running ones are used, so that a result does not depend on its batch.

    Shapes: x (N, C) or (N, C, L), result the same; `weight`, `bias`, `running_mean`, `running_var`
    (C,).
    Initial values: weight 1, bias 0, running mean 0, running variance 1.

    Args:
        momentum: None for a plain average over all batches so far.
        affine: whether there are a weight and (if bias) a bias.
        track_running_stats: without, the batch's own are used in evaluation too.

    Raises:
        ShapeError: an input of other dimensions or channels, or one value for each channel in
            training.

    Source: Ioffe and Szegedy 2015.

    >>> import tinygrad_course as tc
    >>> y = tc.nn.BatchNorm1d(1, eps=0.0)(tc.tensor([[1.0], [3.0]]))
    >>> y.tolist()
    [[-1.0], [1.0]]
    """

    _ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images: x (N, C, H, W), averages over the batch and all places."""

    _ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """`BatchNorm1d` for volumes: x (N, C, D, H, W), averages over the batch and all places."""

    _ndims = (5,)


class _InstanceNorm(_Channelwise):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
        affine: bool = False, track_running_stats: bool = False, device: Any = None,
        dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, bias, device, dtype
        )

    def _factor(self) -> float:
        return self.momentum or 0.0  # PyTorch's instance norm does not count batches

    def forward(self, input: Any) -> Any:
        self._check(input)
        batched = input.ndim == self._ndims[1]
        batch = input if batched else input.unsqueeze(0)
        if batch.shape[1] != self.num_features:
            text = f"made for {self.num_features} channels, got {batch.shape[1]}"
            if self.affine or self.track_running_stats:
                raise ShapeError(f"{type(self).__name__}: {text}")
            warnings.warn(f"{type(self).__name__}: {text}; nothing depends on it", stacklevel=2)
        of_input = self.training or not self.track_running_stats
        out = F.instance_norm(
            batch, self.running_mean, self.running_var, self.weight, self.bias, of_input,
            self._factor(), self.eps,
        )  # fmt: skip
        return out if batched else out.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """y = weight · (x − mean) / √(var + eps) + bias, over each channel of each example.

    Shapes: x (N, C, L) or (C, L), result the same; `weight` and `bias` (C,), if affine.
    Initial values: weight 1, bias 0, running mean 0, running variance 1.

    Args:
        affine: whether there are a weight and (if bias) a bias.
        track_running_stats: keep running averages, and use them in evaluation.

    Raises:
        ShapeError: an input of other dimensions or channels, or of a single place.

    Source: Ulyanov et al. 2016.
    """

    _ndims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for images: x (N, C, H, W) or (C, H, W)."""

    _ndims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """`InstanceNorm1d` for volumes: x (N, C, D, H, W) or (C, D, H, W)."""

    _ndims = (4, 5)


class LayerNorm(_Normalised):
    """y = weight · (x − mean) / √(var + eps) + bias over the last dimensions, example by example.

    Shapes: x (..., *normalized_shape), result the same; `weight` and `bias` normalized_shape.
    Initial values: weight 1, bias 0.

    Args:
        normalized_shape: the sizes of the last dimensions, or one int.
        elementwise_affine: whether there are a weight and (if bias) a bias.

    Raises:
        ShapeError: an input that does not end in normalized_shape.

    Source: Ba, Kiros and Hinton 2016.

    >>> import tinygrad_course as tc
    >>> tc.nn.LayerNorm(2, eps=0.0)(tc.tensor([[1.0, 3.0], [5.0, 1.0]])).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    def __init__(
        self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape = _sizes(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        wanted = (elementwise_affine, elementwise_affine and bias)
        self._scale(self.normalized_shape, *wanted, device, dtype)
        self.reset_parameters()

    def forward(self, input: Any) -> Any:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(_Normalised):
    """y = weight · x / √(mean x² + eps) over the last dimensions: layer norm without the mean.

    Shapes: x (..., *normalized_shape), result the same; `weight` normalized_shape.
    Initial values: weight 1.

    Args:
        eps: None for the rounding unit of the input's dtype.
        elementwise_affine: whether there is a weight.

    Raises:
        ShapeError: an input that does not end in normalized_shape.

    Source: Zhang and Sennrich 2019.
    """

    def __init__(
        self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape = _sizes(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        made = creation.ones(self.normalized_shape, device=device, dtype=dtype)
        self.register_parameter("weight", Parameter(made) if elementwise_affine else None)

    def forward(self, input: Any) -> Any:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(_Normalised):
    """y = weight · (x − mean) / √(var + eps) + bias, over the places and a group of channels.

    Shapes: x (N, num_channels, ...), result the same; `weight` and `bias` (num_channels,).
    Initial values: weight 1, bias 0.

    Raises:
        OptionError: channels that do not divide into the groups.

    Source: Wu and He 2018.
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True,
        device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise OptionError(
                f"GroupNorm: {num_channels} channels do not divide into {num_groups} groups"
            )
        self.num_groups, self.num_channels = num_groups, check_size("num_channels", num_channels)
        self.eps, self.affine = eps, affine
        self._scale(num_channels, affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Any) -> Any:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """y = x / (k + alpha · mean x²)^beta, the mean over `size` neighbouring channels.

    Shapes: x (N, C, ...), result the same. Source: Krizhevsky, Sutskever and Hinton 2012.

    Raises:
        OptionError: a size below 1.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _sizes(form: Any) -> tuple[int, ...]:
    return (form,) if isinstance(form, int) else tuple(form)
