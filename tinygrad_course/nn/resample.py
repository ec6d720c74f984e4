"""Layers that resize images, put borders around them, or lay out their windows."""

from __future__ import annotations

from typing import Any

from tinygrad_course.kernels import geometry

from . import functional as F
from .module import Module


class Upsample(Module):
    """Signals, images or volumes in another size, by `functional.interpolate`.

    Args:
        size: the new size, one number or one for each direction; or
        scale_factor: how much larger, likewise.
        mode: "nearest", "linear" (signals), "bilinear" or "bicubic" (images), "trilinear"
            (volumes), "area", "nearest-exact".
        align_corners: in the linear and cubic modes: the outermost pixels keep their places.
        recompute_scale_factor: go by the rounded sizes, not by the scale_factor given.

    >>> import tinygrad_course as tc
    >>> tc.nn.Upsample(scale_factor=2, mode="bilinear")(tc.zeros(1, 3, 4, 5)).shape
    (1, 3, 8, 10)
    """

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
        align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(scale_factor, tuple):
            scale_factor = tuple(float(s) for s in scale_factor)
        elif scale_factor is not None:
            scale_factor = float(scale_factor)
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Any) -> Any:
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners,
            self.recompute_scale_factor,
        )  # fmt: skip

    def extra_repr(self) -> str:
        by = "size" if self.scale_factor is None else "scale_factor"
        return f"{by}={getattr(self, by)!r}, mode={self.mode!r}"


class PixelShuffle(Module):
    """Each r² channels become one, r times as high and wide (Shi et al. 2016).

    Shapes: x (..., C · r², H, W), result (..., C, H · r, W · r), r = upscale_factor.

    >>> import tinygrad_course as tc
    >>> tc.nn.PixelShuffle(2)(tc.zeros(1, 12, 4, 4)).shape
    (1, 3, 8, 8)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Any) -> Any:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """`PixelShuffle` undone: (..., C, H · r, W · r) becomes (..., C · r², H, W).

    >>> import tinygrad_course as tc
    >>> tc.nn.PixelUnshuffle(2)(tc.zeros(1, 3, 8, 8)).shape
    (1, 12, 4, 4)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Any) -> Any:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class Unfold(Module):
    """Every window of an image as a column.

    Shapes: x (N, C, H, W) or without N, result (N, C · kh · kw, windows).

    Args:
        kernel_size, dilation, padding, stride: one number, or one for each direction.

    >>> import tinygrad_course as tc
    >>> tc.nn.Unfold(3)(tc.zeros(1, 2, 5, 6)).shape
    (1, 18, 12)
    """

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Any) -> Any:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Module):
    """The columns of `Unfold` put back into an image; where windows overlap they add up.

    Shapes: x (N, C · kh · kw, windows) or without N, result (N, C, *output_size).

    Args:
        output_size, kernel_size, dilation, padding, stride: one number, or one for each direction.

    >>> import tinygrad_course as tc
    >>> tc.nn.Fold((5, 6), 3)(tc.zeros(1, 18, 12)).shape
    (1, 2, 5, 6)
    """

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
        stride: Any = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Any) -> Any:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )


class _Border(Module):
    _mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = geometry.numbers(padding, 4, "padding")

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class ZeroPad2d(_Border):
    """A border of zeros around images (..., H, W).

    Args:
        padding: the width, or (left, right, top, bottom); negative ones cut off.

    >>> import tinygrad_course as tc
    >>> tc.nn.ZeroPad2d((1, 2, 3, 4))(tc.ones(1, 1, 5, 5)).shape
    (1, 1, 12, 8)
    """

    _mode = "constant"


class ReflectionPad2d(_Border):
    """A border that mirrors what lies inside the outermost pixels; arguments as `ZeroPad2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.ReflectionPad2d((1, 1, 0, 0))(tc.tensor([[[1.0, 2.0, 3.0]]])).tolist()
    [[[2.0, 1.0, 2.0, 3.0, 2.0]]]
    """

    _mode = "reflect"


class ReplicationPad2d(_Border):
    """A border that repeats the outermost pixels; arguments as `ZeroPad2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.ReplicationPad2d((1, 1, 0, 0))(tc.tensor([[[1.0, 2.0, 3.0]]])).tolist()
    [[[1.0, 1.0, 2.0, 3.0, 3.0]]]
    """

    _mode = "replicate"
