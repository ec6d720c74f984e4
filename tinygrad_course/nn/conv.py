"""Convolution layers, and their transposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_course import creation
from tinygrad_course.errors import OptionError
from tinygrad_course.functions.convolution import convolve
from tinygrad_course.kernels import geometry

from . import functional as F
from . import init
from .linear import check_size
from .module import Module, Parameter

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What all convolution layers have: sizes, checks, parameters, repr."""

    _dims: int  # the number of directions
    _transposed = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any,
        dilation: Any, groups: int, bias: bool, padding_mode: str, device: Any, dtype: Any,
        output_padding: Any = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        n = self._dims
        self.in_channels = check_size("in_channels", in_channels)
        self.out_channels = check_size("out_channels", out_channels)
        self.kernel_size = geometry.numbers(kernel_size, n, "kernel_size")
        self.stride = geometry.numbers(stride, n, "stride")
        self.padding: Any = (
            padding if isinstance(padding, str) else geometry.numbers(padding, n, "padding")
        )
        self.dilation = geometry.numbers(dilation, n, "dilation")
        self.output_padding = geometry.numbers(output_padding, n, "output_padding")
        self.groups, self.padding_mode = groups, padding_mode
        self._check()
        kind = {"device": device, "dtype": dtype}
        ends = (in_channels, out_channels) if self._transposed else (out_channels, in_channels)
        weight = (ends[0], ends[1] // groups, *self.kernel_size)
        self.weight = Parameter(creation.empty(*weight, **kind))
        self.bias = Parameter(creation.empty(out_channels, **kind)) if bias else None
        if not bias:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _check(self) -> None:
        name, channels = type(self).__name__, (self.in_channels, self.out_channels)
        if self.groups < 1 or any(n % self.groups for n in channels):
            raise OptionError(
                f"{name}: in_channels {channels[0]} and out_channels {channels[1]} must both "
                f"divide into groups={self.groups}"
            )
        modes = _MODES[:1] if self._transposed else _MODES
        if self.padding_mode not in modes:
            raise OptionError(f"{name}: padding_mode is one of {modes}, not {self.padding_mode!r}")
        if isinstance(self.padding, str) and self.padding not in ("same", "valid"):
            raise OptionError(f"{name}: padding {self.padding!r} is none of 'same', 'valid'")
        if isinstance(self.padding, str) and self._transposed:
            raise OptionError(f"{name}: padding is made of numbers, not {self.padding!r}")
        if self.padding == "same" and max(self.stride) > 1:
            raise OptionError(f"{name}: padding='same' needs stride 1, got {self.stride}")
        for option in ("kernel_size", "stride", "dilation"):
            if min(getattr(self, option)) < 1:
                raise OptionError(
                    f"{name}: {option} must be at least 1, got {getattr(self, option)}"
                )

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.layer_default(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._border(), self.padding_mode), 0
        return convolve(
            self._dims, input, self.weight, self.bias, self.stride, padding, self.dilation,
            self.groups,
        )  # fmt: skip

    def _border(self) -> list[int]:
        """(left, right, top, bottom), for as many directions as there are."""
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [side for t in totals[::-1] for side in (t // 2, t - t // 2)]
        widths = (0,) * self._dims if self.padding == "valid" else self.padding
        return [side for w in widths[::-1] for side in (w, w)]

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        none, one = (0,) * self._dims, (1,) * self._dims
        usual = {"padding": none, "dilation": one, "output_padding": none, "groups": 1}
        for name, value in usual.items():
            if getattr(self, name) != value:
                text += f", {name}={getattr(self, name)}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _ConvN(_Conv):
    """Convolution layers' constructor, in PyTorch's order."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip


class Conv1d(_ConvN):
    """out[n, o] = b[o] + Σ_c W[o, c] ⋆ x[n, c]: learnt filters slid over signals.

    Shapes: x (N, in_channels, L) or without N; `weight` (out_channels, in_channels / groups, k),
    `bias` (out_channels,); result (N, out_channels, L'). All else as `Conv2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.Conv1d(2, 4, 3, padding=1)(tc.zeros(5, 2, 9)).shape
    (5, 4, 9)
    """

    _dims = 1


class Conv2d(_ConvN):
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

    _dims = 2


class Conv3d(_ConvN):
    """out[n, o] = b[o] + Σ_c W[o, c] ⋆ x[n, c]: learnt filters slid over volumes.

    Shapes: x (N, in_channels, D, H, W) or without N; `weight` (out_channels,
    in_channels / groups, kd, kh, kw), `bias` (out_channels,); result (N, out_channels, D', H', W').
    All else as `Conv2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.Conv3d(1, 4, 3, stride=2)(tc.zeros(2, 1, 7, 7, 7)).shape
    (2, 4, 3, 3, 3)
    """

    _dims = 3


class _ConvTransposeN(_Conv):
    """Transposed convolution layers' constructor, in PyTorch's order, and their forward."""

    _transposed = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, output_padding: Any = 0, groups: int = 1, bias: bool = True,
        dilation: Any = 1, padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype, output_padding,
        )  # fmt: skip

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        more = self.output_padding if output_size is None else self._surplus(input, output_size)
        convolve = getattr(F, f"conv_transpose{self._dims}d")
        return convolve(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups,
            self.dilation,
        )  # fmt: skip

    def _surplus(self, input: Any, output_size: Sequence[int]) -> list[int]:
        """The output_padding that gives a size, with or without batch and channels before it."""
        n, size = self._dims, tuple(output_size)
        if len(size) == input.ndim:
            size = size[-n:]
        axes = zip(
            input.shape[-n:], self.kernel_size, self.stride, self.padding, self.dilation,
            strict=True,
        )  # fmt: skip
        least = [(i - 1) * s - 2 * p + d * (k - 1) + 1 for i, k, s, p, d in axes]
        most = [m + s - 1 for m, s in zip(least, self.stride, strict=True)]
        if len(size) == n and all(m <= v for m, v in zip(least, size, strict=True)):
            surplus = [v - m for m, v in zip(least, size, strict=True)]
            if all(more < s for more, s in zip(surplus, self.stride, strict=True)):
                return surplus
        raise OptionError(
            f"{type(self).__name__}: output_size {tuple(output_size)} is out of reach: an input of "
            f"shape {tuple(input.shape)} gives sizes from {least} to {most}"
        )


class ConvTranspose1d(_ConvTransposeN):
    """Every input number puts down a learnt filter; what overlaps adds up. For signals.

    Shapes: x (N, in_channels, L) or without N; `weight` (in_channels, out_channels / groups, k),
    `bias` (out_channels,); result (N, out_channels, L'). All else as `ConvTranspose2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.ConvTranspose1d(2, 4, 2, stride=2)(tc.zeros(5, 2, 9)).shape
    (5, 4, 18)
    """

    _dims = 1


class ConvTranspose2d(_ConvTransposeN):
    """Every input pixel puts down a learnt filter; what overlaps adds up (Zeiler 2010).

    Shapes: x (N, in_channels, H, W) or without N; `weight` (in_channels, out_channels / groups,
    kh, kw), `bias` (out_channels,); result (N, out_channels, H', W') with
    H' = (H − 1) · stride − 2 · padding + dilation · (kh − 1) + output_padding + 1.
    Initial values: U(−r, r) with r = 1/√(out_channels / groups · kh · kw), both.

    Args:
        kernel_size, stride, dilation: one number, or one for each direction.
        padding: how many rows and columns are cut off on every side, likewise.
        output_padding: how many are added at the end, likewise.
        groups: the channels are split into this many groups that do not see each other.
        padding_mode: only "zeros".

    A call may name `output_size`, from which output_padding follows.

    Raises:
        OptionError: channels that do not divide into the groups, unknown modes, sizes below 1, an
            output_size that no output_padding gives.

    >>> import tinygrad_course as tc
    >>> up = tc.nn.ConvTranspose2d(3, 6, 3, stride=2, padding=1)
    >>> up(tc.zeros(1, 3, 4, 4), output_size=(8, 8)).shape
    (1, 6, 8, 8)
    """

    _dims = 2


class ConvTranspose3d(_ConvTransposeN):
    """Every input number puts down a learnt filter; what overlaps adds up. For volumes.

    Shapes: x (N, in_channels, D, H, W) or without N; `weight` (in_channels,
    out_channels / groups, kd, kh, kw), `bias` (out_channels,); result (N, out_channels, D', H',
    W'). All else as `ConvTranspose2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.ConvTranspose3d(1, 2, 2, stride=2)(tc.zeros(1, 1, 3, 3, 3)).shape
    (1, 2, 6, 6, 6)
    """

    _dims = 3
