"""Pooling layers."""

from __future__ import annotations

from typing import Any

from tinygrad_course.functions.pooling import average, largest
from tinygrad_course.kernels import geometry

from . import functional as F
from .module import Module


class _MaxPool(Module):
    _dims: int  # the number of directions

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Any) -> Any:
        return largest(
            self._dims, input, self.kernel_size, self.stride, self.padding, self.dilation,
            self.ceil_mode, self.return_indices,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value in each window of signals (N, C, L) or (C, L); all else as `MaxPool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.MaxPool1d(2)(tc.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[3.0, 2.0]]
    """

    _dims = 1


class MaxPool2d(_MaxPool):
    """The largest value in each window.

    Shapes: x (N, C, H, W) or without N; result (N, C, H', W') with
    H' = ⌊(H + 2 · padding − dilation · (kernel_size − 1) − 1) / stride⌋ + 1 (⌈⌉ in ceil_mode).

    Args:
        stride: distance between windows; the kernel size unless given.
        return_indices: give `(values, indices)`, an index being h · W + w in the image.

    >>> import tinygrad_course as tc
    >>> tc.nn.MaxPool2d(2)(tc.arange(16.0).reshape(1, 4, 4)).tolist()
    [[[5.0, 7.0], [13.0, 15.0]]]
    """

    _dims = 2


class MaxPool3d(_MaxPool):
    """The largest value in each window of volumes (N, C, D, H, W) or (C, D, H, W).

    All else as `MaxPool2d`; an index is (d · H + h) · W + w.

    >>> import tinygrad_course as tc
    >>> tc.nn.MaxPool3d(2)(tc.zeros(1, 3, 4, 6, 8)).shape
    (1, 3, 2, 3, 4)
    """

    _dims = 3


class AvgPool1d(Module):
    """The mean of each window of signals (N, C, L) or (C, L); all else as `AvgPool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.AvgPool1d(2)(tc.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[2.0, 1.0]]
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = geometry.numbers(kernel_size, 1, "kernel_size")
        self.stride = geometry.numbers(kernel_size if stride is None else stride, 1, "stride")
        self.padding = geometry.numbers(padding, 1, "padding")
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Any) -> Any:
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    _dims: int  # the number of directions

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Any) -> Any:
        return average(
            self._dims, input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of each window; shapes as `MaxPool2d`.

    Args:
        count_include_pad: padding counts as zeros; otherwise only real elements are averaged.
        divisor_override: divide by this number instead of the size of the window.

    >>> import tinygrad_course as tc
    >>> tc.nn.AvgPool2d(2)(tc.arange(16.0).reshape(1, 4, 4)).tolist()
    [[[2.5, 4.5], [10.5, 12.5]]]
    """

    _dims = 2


class AvgPool3d(_AvgPool):
    """The mean of each window of volumes (N, C, D, H, W) or (C, D, H, W); all else as `AvgPool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.AvgPool3d(2)(tc.zeros(1, 3, 4, 6, 8)).shape
    (1, 3, 2, 3, 4)
    """

    _dims = 3


class _Adaptive(Module):
    _pool: str  # the function's name

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return getattr(F, self._pool)(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """The mean of `output_size` windows that cover signals; all else as `AdaptiveAvgPool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.AdaptiveAvgPool1d(2)(tc.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[2.0, 1.0]]
    """

    _pool = "adaptive_avg_pool1d"


class AdaptiveAvgPool2d(_Adaptive):
    """The mean of windows that cover the image, whatever its size, and give one output size.

    Shapes: x (N, C, H, W) or without N; result (N, C, *output_size).

    Args:
        output_size: one number, or one for each direction; None keeps a size.

    >>> import tinygrad_course as tc
    >>> tc.nn.AdaptiveAvgPool2d((1, None))(tc.ones(2, 3, 5, 7)).shape
    (2, 3, 1, 7)
    """

    _pool = "adaptive_avg_pool2d"


class AdaptiveAvgPool3d(_Adaptive):
    """The mean of windows that cover volumes; all else as `AdaptiveAvgPool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.AdaptiveAvgPool3d(2)(tc.ones(2, 3, 4, 5, 6)).shape
    (2, 3, 2, 2, 2)
    """

    _pool = "adaptive_avg_pool3d"


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        return getattr(F, self._pool)(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The largest value of windows that cover signals; all else as `AdaptiveMaxPool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.AdaptiveMaxPool1d(2)(tc.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
    [[3.0, 2.0]]
    """

    _pool = "adaptive_max_pool1d"


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The largest value of windows that cover the image and give one output size.

    Shapes: x (N, C, H, W) or without N; result (N, C, *output_size).

    Args:
        output_size: one number, or one for each direction; None keeps a size.
        return_indices: give `(values, indices)`, an index being h · W + w in the image.

    >>> import tinygrad_course as tc
    >>> tc.nn.AdaptiveMaxPool2d(2)(tc.arange(15.0).reshape(1, 3, 5)).tolist()
    [[[7.0, 9.0], [12.0, 14.0]]]
    """

    _pool = "adaptive_max_pool2d"
