"""Convolution layers."""

from __future__ import annotations

from typing import Any

from tinygrad_course import creation
from tinygrad_course.errors import OptionError
from tinygrad_course.kernels import geometry

from . import functional as F
from . import init
from .linear import check_size
from .module import Module, Parameter

_MODES = ("zeros", "reflect", "replicate", "circular")


class Conv2d(Module):
    """out[n, o] = b[o] + Σ_c W[o, c] ⋆ x[n, c]: learnt filters slid over images (LeCun 1989).

    Shapes: x (N, in_channels, H, W) or without N; `weight` (out_channels, in_channels / groups,
    kh, kw), `bias` (out_channels,); result (N, out_channels, H', W') with
    H' = ⌊(H + 2 · padding − dilation · (kh − 1) − 1) / stride⌋ + 1.
    Initial values: U(−r, r) with r = 1/√(in_channels / groups · kh · kw), both.

    Args:
        kernel_size, stride, dilation: one number, or one for each direction.
        padding: numbers likewise, "valid" (none) or "same" (the output has the input's size).
        groups: the channels are split into this many groups that do not see each other.
        padding_mode: what the border holds: "zeros", "reflect", "replicate" or "circular".

    Raises:
        OptionError: channels that do not divide into the groups, unknown modes, sizes below 1.

    >>> import tinygrad_course as tc
    >>> tc.nn.Conv2d(1, 6, 5)
    Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_channels = check_size("in_channels", in_channels)
        self.out_channels = check_size("out_channels", out_channels)
        self.kernel_size = geometry.pair(kernel_size, "kernel_size")
        self.stride = geometry.pair(stride, "stride")
        self.padding: Any = (
            padding if isinstance(padding, str) else geometry.pair(padding, "padding")
        )
        self.dilation = geometry.pair(dilation, "dilation")
        self.groups, self.padding_mode = groups, padding_mode
        self._check()
        kind = {"device": device, "dtype": dtype}
        weight = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(creation.empty(*weight, **kind))
        self.bias = Parameter(creation.empty(out_channels, **kind)) if bias else None
        if not bias:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _check(self) -> None:
        channels = (self.in_channels, self.out_channels)
        if self.groups < 1 or any(n % self.groups for n in channels):
            raise OptionError(
                f"Conv2d: in_channels {channels[0]} and out_channels {channels[1]} must both "
                f"divide into groups={self.groups}"
            )
        if self.padding_mode not in _MODES:
            raise OptionError(f"Conv2d: padding_mode is one of {_MODES}, not {self.padding_mode!r}")
        if isinstance(self.padding, str) and self.padding not in ("same", "valid"):
            raise OptionError(f"Conv2d: padding {self.padding!r} is none of 'same', 'valid'")
        if self.padding == "same" and self.stride != (1, 1):
            raise OptionError(f"Conv2d: padding='same' needs stride 1, got {self.stride}")
        for name in ("kernel_size", "stride", "dilation"):
            if min(getattr(self, name)) < 1:
                raise OptionError(f"Conv2d: {name} must be at least 1, got {getattr(self, name)}")

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.layer_default(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._border(), self.padding_mode), 0
        return F.conv2d(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _border(self) -> list[int]:
        """(left, right, top, bottom)."""
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [side for t in totals[::-1] for side in (t // 2, t - t // 2)]
        down, across = (0, 0) if self.padding == "valid" else self.padding
        return [across, across, down, down]

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        for name, usual in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if (value := getattr(self, name)) != usual:
                text += f", {name}={value}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text
