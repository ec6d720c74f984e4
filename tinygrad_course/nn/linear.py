"""Affine maps, and layers that only rearrange."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_course import creation
from tinygrad_course.errors import OptionError
from tinygrad_course.ops import shape

from . import functional as F
from . import init
from .module import Module, Parameter


def check_size(name: str, value: Any) -> int:
    """A number of features or channels: a non-negative int."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise OptionError(f"{name} must be a non-negative int, got {value!r}")
    return value


class Linear(Module):
    """y = x Wᵀ + b, over the last dimension.

    Shapes: x (..., in_features), result (..., out_features); `weight` (out_features, in_features),
    `bias` (out_features,).
    Initial values: U(−r, r) with r = 1/√in_features, both.

    Raises:
        ShapeError: an input whose last dimension is not in_features.

    >>> import tinygrad_course as tc
    >>> tc.nn.Linear(3, 2)(tc.ones(5, 3)).shape
    (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_features = check_size("in_features", in_features)
        self.out_features = check_size("out_features", out_features)
        kind = {"device": device, "dtype": dtype}
        self.weight = Parameter(creation.empty(out_features, in_features, **kind))
        self.bias = Parameter(creation.empty(out_features, **kind)) if bias else None
        if not bias:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.layer_default(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """yₒ = x₁ᵀ Wₒ x₂ + bₒ.

    Shapes: x₁ (..., in1_features), x₂ (..., in2_features), result (..., out_features); `weight`
    (out_features, in1_features, in2_features), `bias` (out_features,).
    Initial values: U(−r, r) with r = 1/√in1_features, both.

    Raises:
        ShapeError: inputs of other sizes.

    >>> import tinygrad_course as tc
    >>> tc.nn.Bilinear(3, 4, 2)(tc.ones(5, 3), tc.ones(5, 4)).shape
    (5, 2)
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if check_size("in1_features", in1_features) == 0:
            raise OptionError("Bilinear: in1_features must be positive, got 0")
        self.in1_features, self.in2_features = (
            in1_features,
            check_size("in2_features", in2_features),
        )
        self.out_features = check_size("out_features", out_features)
        kind, form = {"device": device, "dtype": dtype}, (out_features, in1_features, in2_features)
        self.weight = Parameter(creation.empty(form, **kind))
        made = Parameter(creation.empty(out_features, **kind)) if bias else None
        self.register_parameter("bias", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        bound = 1 / math.sqrt(self.in1_features)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """The input, as it is; arguments of any kind are accepted and mean nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Flatten(Module):
    """The dimensions from start_dim to end_dim made into one; by default all but the batch.

    >>> import tinygrad_course as tc
    >>> tc.nn.Flatten()(tc.zeros(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        return shape.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dimension made into several; one of the sizes may be −1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        return shape.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
