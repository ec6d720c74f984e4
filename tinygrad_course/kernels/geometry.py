"""Sizes of windows sliding over images: what every device's convolution and pooling agree on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import index
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.errors import OptionError, ShapeError

Pair = tuple[int, int]
Shape = Sequence[int]


_AXES = ("width", "height", "depth")
_SEVERAL = (tuple, list, np.ndarray)
_INT = frozenset((int,))


def numbers(value: int | Sequence[int], n: int, name: str) -> tuple[int, ...]:
    """An option given as one number for all directions, or as n (depth, height, width), as n.

    Args:
        value: an integer, or a sequence of one or n.
        n: the number of directions.
        name: what the option is called in an error.

    Raises:
        ShapeError: neither an integer nor so many of them.
    """
    if type(value) is int:
        return (value,) * n
    if type(value) is tuple and len(value) == n and _INT.issuperset(map(type, value)):
        return value
    try:
        several = tuple(map(index, value if isinstance(value, _SEVERAL) else (value,)))
    except TypeError:
        several = ()
    if len(several) not in (1, n):
        what = ("", ", or a pair of integers", ", or three integers", ", or four")[n - 1]
        axes = f" ({', '.join(_AXES[:n][::-1])})" if 1 < n < 4 else ""
        raise ShapeError(f"{name} is {value!r}; give an integer{what}{axes}")
    return several * (n // len(several))


def conv_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many places a kernel finds along one axis of a padded image.

    `(size + 2·padding − dilation·(kernel − 1) − 1) // stride + 1`

    Raises:
        ShapeError: an option out of its range, or a kernel that reaches over more than there is.
    """
    _check(kernel, stride, padding, dilation)
    reach = dilation * (kernel - 1) + 1
    if size + 2 * padding < reach:
        raise ShapeError(
            f"a kernel of size {kernel} with dilation {dilation} reaches over {reach} pixels, but "
            f"the input has {size} and {padding} of padding on either side; use a larger input, "
            "a smaller kernel or more padding"
        )
    return (size + 2 * padding - reach) // stride + 1


def pool_output_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """How many places a pooling window finds along one axis.

    As for convolution; with `ceil_mode` a last window may hang over the right edge, provided that
    it starts inside the input or the left padding (PyTorch's rule).

    Raises:
        ShapeError: an option out of its range, padding of more than half a window, or an input
            too small for one window.
    """
    _check(kernel, stride, padding, dilation)
    reach = dilation * (kernel - 1) + 1
    if 2 * padding > kernel:
        raise ShapeError(
            f"padding is {padding}, more than half of the kernel size {kernel}; a window could "
            "hold nothing but padding"
        )
    room = size + 2 * padding - reach
    count = room // stride + 1
    if ceil_mode:
        count = -(-room // stride) + 1
        if (count - 1) * stride >= size + padding:
            count -= 1
    if count < 1 or size < 1:
        raise ShapeError(
            f"a window of {kernel} with dilation {dilation} reaches over {reach} pixels, but the "
            f"input has {size} and {padding} of padding on either side"
        )
    if any(start % dilation >= size for start in range(-padding, 0, stride)):
        raise ShapeError(
            f"with dilation {dilation} and padding {padding} a window of {kernel} steps over the "
            f"input's {size} pixels and holds nothing but padding"
        )
    return count


@lru_cache(maxsize=1024)
def conv_shape(
    x: Shape, w: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int
) -> Shape:
    """The shape of a convolution: (N, O, Ho, Wo) of x (N, C, H, W) and w (O, C/groups, kh, kw).

    The options' length says over how many directions: with one of each it is a line (N, C, W).

    Raises:
        ShapeError: input and weight do not fit together, and why.
    """
    axes = _AXES[: len(stride)][::-1]
    _check_rank(x, "the input", ("batch", "channels", *axes))
    _check_rank(w, "the weight", ("out channels", "in channels / groups", *axes))
    check_groups(groups)
    if x[1] != w[1] * groups:
        raise ShapeError(
            f"the input has {x[1]} channels, but the weight {tuple(w)} with groups={groups} "
            f"expects {w[1]} · {groups} = {w[1] * groups}"
        )
    if w[0] % groups:
        raise ShapeError(f"{w[0]} output channels cannot be split into {groups} equal groups")
    sizes = zip(x[2:], w[2:], stride, padding, dilation, strict=True)
    return (x[0], w[0], *(conv_output_size(*axis) for axis in sizes))


def check_groups(groups: int) -> None:
    """Check the number of groups.

    Raises:
        ShapeError: it is less than 1.
    """
    if groups < 1:
        raise ShapeError(f"groups is {groups}; it must be at least 1")


def transposed_size(
    size: int, kernel: int, stride: int, padding: int, output_padding: int, dilation: int
) -> int:
    """How long one axis of a transposed convolution's result is.

    `(size − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1`

    Raises:
        ShapeError: an option out of its range, or a result without elements.
    """
    _check(kernel, stride, padding, dilation)
    if not 0 <= output_padding < max(stride, dilation):
        raise ShapeError(
            f"output_padding is {output_padding}; it must be at least 0 and smaller than the "
            f"stride {stride} or the dilation {dilation}"
        )
    out = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
    if size < 1 or out < 1:
        raise ShapeError(
            f"an input of size {size} with kernel size {kernel}, stride {stride}, padding "
            f"{padding} and dilation {dilation} gives a result of size {out}; use a larger input "
            "or less padding"
        )
    return out


@lru_cache(maxsize=1024)
def pool_shape(
    x: Shape, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil_mode: bool
) -> Shape:
    """The shape of a pooled image: (N, C, Ho, Wo) of x (N, C, H, W).

    Raises:
        ShapeError: the windows do not fit into the image, and why.
    """
    _check_rank(x, "the input", ("batch", "channels", *_AXES[: len(kernel_size)][::-1]))
    axes = zip(x[2:], kernel_size, stride, padding, dilation, strict=True)
    return (*x[:2], *(pool_output_size(*axis, ceil_mode) for axis in axes))


def divisors(
    size: Shape,
    out: Shape,
    kernel_size: Shape,
    stride: Shape,
    padding: Shape,
    count_include_pad: bool,
    divisor_override: int | None,
) -> tuple[list[int], ...]:
    """What each window's sum is divided by in an average: a product of one number for each axis.

    The number of pixels in the window, unless overridden. What hangs over the padding by
    `ceil_mode` never counts; padding counts if it is included.

    Raises:
        OptionError: `divisor_override` is 0.
    """
    if divisor_override is not None:
        if divisor_override == 0:
            raise OptionError("divisor_override is 0; leave it out (None) to divide by the count")
        return ([divisor_override] * out[0], *([1] * n for n in out[1:]))
    axes = zip(size, out, kernel_size, stride, padding, strict=True)
    return tuple(_pixels_in_windows(*axis, count_include_pad) for axis in axes)


class Averages(NamedTuple):
    """The options of an average pool, and what follows from them."""

    kernel_size: Pair
    stride: Pair
    padding: Pair
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None

    def shape(self, x: Shape) -> Shape:
        """The shape of the pooled image: `pool_shape`."""
        return pool_shape(x, *self[:3], (1, 1), self.ceil_mode)

    def image(self, g: Shape, size: Shape) -> Shape:
        """The shape of the image that a gradient belongs to.

        Raises:
            ShapeError: the gradient has not the shape of its pooled image.
        """
        shape = (*g[:2], *size)
        check_same(g, self.shape(shape), "the gradient")
        return shape

    def divisors(self, size: Shape, out: Shape) -> tuple[list[int], ...]:
        """What each window's sum is divided by: `divisors`."""
        return divisors(size, out, *self[:3], self.count_include_pad, self.divisor_override)


def _pixels_in_windows(
    n: int, out: int, kernel: int, stride: int, padding: int, padded: bool
) -> list[int]:
    first, last = (-padding, n + padding) if padded else (0, n)
    starts = [k * stride - padding for k in range(out)]
    return [min(start + kernel, last) - max(start, first) for start in starts]


def check_same(got: Shape, expected: Shape, what: str) -> None:
    """Check a shape that follows from others.

    Raises:
        ShapeError: it is another one.
    """
    if tuple(got) != tuple(expected):
        raise ShapeError(f"{what} has shape {tuple(got)}, but must have {tuple(expected)}")


def check_places(indices: Shape, image: Shape) -> None:
    """Check that indices (N, C, Ho, Wo) can point into images (N, C, H, W).

    Raises:
        ShapeError: other dimensions, or other numbers of images or channels.
    """
    axes = ("batch", "channels", "height", "width")
    _check_rank(image, "the input", axes)
    _check_rank(indices, "the array of indices", axes)
    check_same(indices[:2], image[:2], "the array of indices, up to its rows and columns,")


def _check_rank(shape: Shape, what: str, axes: tuple[str, ...]) -> None:
    if len(shape) != len(axes):
        count = {3: "three", 4: "four", 5: "five"}[len(axes)]
        raise ShapeError(
            f"{what} has shape {tuple(shape)}; expected {count} dimensions, ({', '.join(axes)})"
        )


def _check(kernel: int, stride: int, padding: int, dilation: int) -> None:
    least: dict[str, tuple[Any, int]] = {
        "kernel size": (kernel, 1),
        "stride": (stride, 1),
        "padding": (padding, 0),
        "dilation": (dilation, 1),
    }
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise ShapeError(f"{name} is {value}; it must be at least {smallest}")
