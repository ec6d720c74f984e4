"""Initial values, written in place into a tensor; random ones come from the default generator."""

from __future__ import annotations

import math
import warnings
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np

from tinygrad_course import creation
from tinygrad_course.errors import GradientError, OptionError, ShapeError
from tinygrad_course.tensor import Tensor

from .module import write

T = TypeVar("T", bound=Tensor)
Source = creation.Generator | None

_GAINS = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0,
          "conv_transpose1d": 1.0, "conv_transpose2d": 1.0, "conv_transpose3d": 1.0, "sigmoid": 1.0,
          "tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 0.75}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much wider weights must be before this nonlinearity, for variances to stay.

    Args:
        nonlinearity: linear, conv1d, conv2d, conv3d, conv_transpose1d, ..., sigmoid, tanh, relu,
            leaky_relu or selu.
        param: the negative slope of leaky_relu, 0.01 unless given.

    Raises:
        OptionError: another name.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise OptionError(f"calculate_gain: {nonlinearity!r} is none of {known}")
    return _GAINS[nonlinearity]


def _filled(tensor: T, values: Any) -> T:
    if not tensor.is_leaf:
        raise GradientError(
            "an initial value goes into a leaf, not into the result of an operation"
        )
    write(tensor, values)
    return tensor


def _draw(generator: Source = None) -> np.random.Generator:
    return (generator or creation.default_generator).numpy


def constant_(tensor: T, val: float) -> T:
    """Every element becomes `val`."""
    return _filled(tensor, val)


def zeros_(tensor: T) -> T:
    """Every element becomes 0."""
    return _filled(tensor, 0.0)


def ones_(tensor: T) -> T:
    """Every element becomes 1."""
    return _filled(tensor, 1.0)


def eye_(tensor: T) -> T:
    """A matrix with 1 on its diagonal, else 0: a linear layer that hands its input on.

    Raises:
        ShapeError: not a matrix.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: needs 2 dimensions, got {tensor.shape}")
    return _filled(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: T, groups: int = 1) -> T:
    """Filters that hand as many channels on as they can: 1 in the middle of their own, else 0.

    Raises:
        ShapeError: fewer than 3 or more than 5 dimensions.
        OptionError: filters that do not divide into the groups.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: needs 3, 4 or 5 dimensions, got {tensor.shape}")
    if groups < 1 or tensor.shape[0] % groups:
        raise OptionError(f"dirac_: {tensor.shape[0]} filters do not divide into {groups} groups")
    out, each = np.zeros(tensor.shape), tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for i in range(min(each, tensor.shape[1])):
        index: Any = (slice(i, None, each), i, *middle)
        out[index] = 1
    return _filled(tensor, out)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Source = None) -> T:
    """Drawn evenly from [a, b)."""
    return _filled(tensor, _draw(generator).uniform(a, b, tensor.shape))


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Source = None) -> T:
    """Drawn from the normal distribution."""
    if std < 0:
        raise OptionError(f"normal_: std must not be negative, got {std}")
    return _filled(tensor, _draw(generator).normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
    generator: Source = None,
) -> T:  # fmt: skip
    """Drawn from the normal distribution as it is between a and b.

    Raises:
        OptionError: std is not positive, or a is not less than b.
    """
    if std <= 0 or a >= b:
        raise OptionError(f"trunc_normal_: needs std > 0 and a < b, got {std=}, {a=}, {b=}")
    low, high = (a - mean) / std, (b - mean) / std
    inside = NormalDist().cdf(high) - NormalDist().cdf(low)
    out, missing, draw = np.empty(tensor.numel()), np.arange(tensor.numel()), _draw(generator)
    top = min(max(low, 0.0), high) if high > 0 else high  # where the density is largest
    while missing.size:
        if inside > 0.3:
            z = draw.standard_normal(missing.size)
            good = (z >= low) & (z <= high)
        else:  # nearly all normal draws would miss: draw evenly, keep in proportion to the density
            z = draw.uniform(low, high, missing.size)
            good = draw.random(missing.size) < np.exp((top * top - z * z) / 2)
        out[missing[good]] = z[good]
        missing = missing[~good]
    return _filled(tensor, (out * std + mean).clip(a, b).reshape(tensor.shape))


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output element sees, and how many outputs an input element reaches.

    Raises:
        ShapeError: fewer than 2 dimensions.
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"fan in and fan out need at least 2 dimensions (out, in, ...), got {tensor.shape}"
        )
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Source = None) -> T:
    """U(−r, r) with r = gain · √(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Source = None) -> T:
    """N(0, s²) with s = gain · √(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise OptionError(f"kaiming: mode is 'fan_in' or 'fan_out', not {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(
    tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Source = None,
) -> T:  # fmt: skip
    """U(−r, r) with r = gain · √(3 / fan) (He et al. 2015); `a` is the slope of leaky_relu."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Source = None,
) -> T:  # fmt: skip
    """N(0, s²) with s = gain / √fan (He et al. 2015); `a` is the slope of leaky_relu."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: T, gain: float = 1.0, generator: Source = None) -> T:
    """A random matrix with orthonormal rows (or columns), times gain (Saxe et al. 2013).

    Dimensions after the first count as one.
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: needs at least 2 dimensions, got {tensor.shape}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    flat = _draw(generator).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(flat)
    q *= np.sign(np.diag(r))  # without it, QR's choice of signs would show
    return _filled(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def layer_default(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's initial values for linear and convolution layers: U(−1/√fan_in, 1/√fan_in)."""
    if 0 in weight.shape:
        warnings.warn("a layer without inputs or outputs has no initial values", stacklevel=4)
        return
    bound = 1 / math.sqrt(fans(weight)[0])
    uniform_(weight, -bound, bound)
    if bias is not None:
        uniform_(bias, -bound, bound)
