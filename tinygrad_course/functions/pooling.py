"""Pooling in one, two and three dimensions, with windows of one size or adaptive ones.

A line is an image of one row. In three dimensions an average is one within the slices and then one
along the depth; a maximum is found likewise, and taken from the volume by its index.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.errors import DtypeError, OptionError, ShapeError, explain
from tinygrad_course.kernels import geometry
from tinygrad_course.kernels import taps as sampling
from tinygrad_course.modes import is_grad_enabled
from tinygrad_course.ops import reduce
from tinygrad_course.ops.elementwise import div
from tinygrad_course.ops.shape import cast, reshape_, squeeze, unsqueeze
from tinygrad_course.ops.window import (
    adaptive_indices,
    avg_rows,
    max_indices,
    max_indices_3d,
    max_rows,
    pool_take,
    resample,
)

Sizes = tuple[int, ...]

# --- the largest ----------------------------------------------------------------------------------


def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest value in each window of signals (N, C, L) or (C, L); arguments as `max_pool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.max_pool1d(tc.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[3.0, 2.0]]
    """
    return largest(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest value in each window.

    Args:
        input: images (N, C, H, W), or one image (C, H, W).
        kernel_size: size of the window, one number or one for each direction.
        stride: distance between windows; the kernel size unless given.
        padding: minus infinity around the image, at most half a window.
        dilation: distance between the elements of a window.
        ceil_mode: count a last window that reaches over the edge too.
        return_indices: give `(values, indices)`, an index being h · W + w in the image.

    Raises:
        ShapeError: windows that do not fit into the image; the message names the sizes.
        DtypeError: bools.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.max_pool2d(tc.arange(16.0).reshape(1, 4, 4), 2).tolist()
    [[[5.0, 7.0], [13.0, 15.0]]]
    """
    return largest(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest value in each window of volumes (N, C, D, H, W) or (C, D, H, W).

    Arguments and errors as `max_pool2d`; an index is (d · H + h) · W + w.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.max_pool3d(tc.arange(8.0).reshape(1, 2, 2, 2), 2).tolist()
    [[[[7.0]]]]
    """
    return largest(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def largest(
    n: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool,
) -> Any:  # fmt: skip
    """The largest value in windows over n dimensions: `max_pool1d`, `max_pool2d`, `max_pool3d`."""
    name = f"max_pool{n}d"
    if _unbatched(name, n, x):
        args = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        return _without_batch(largest(n, unsqueeze(x, 0), *args))
    how = _window(name, n, x, kernel_size, stride, padding, dilation, ceil_mode)
    how["ceil_mode"] = ceil_mode
    if n == 3:
        return _taken(x, max_indices_3d(x, **how), return_indices)
    image, how = (x, how) if n == 2 else (unsqueeze(x, 2), _on_row(how))
    if return_indices or (x.requires_grad and is_grad_enabled()):  # a backward pass needs them
        indices = max_indices(image, **how)
        return _taken(x, indices if n == 2 else squeeze(indices, 2), return_indices)
    out = max_rows(image, size=tuple(image.shape[2:]), **how)
    return out if n == 2 else squeeze(out, 2)


def _taken(x: Any, indices: Any, return_indices: bool) -> Any:
    """The elements of each image, line or volume at its indices."""
    if x.ndim == 4:
        out = pool_take(x, indices, size=tuple(x.shape[2:]))
    else:
        size = (1, math.prod(x.shape[2:]))
        places = reshape_(indices, (*x.shape[:2], 1, math.prod(indices.shape[2:])))
        out = pool_take(reshape_(x, (*x.shape[:2], *size)), places, size=size)
        out = reshape_(out, tuple(indices.shape))
    return (out, indices) if return_indices else out


# --- the mean -------------------------------------------------------------------------------------


def avg_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:  # fmt: skip
    """The mean of each window of signals (N, C, L) or (C, L); arguments as `avg_pool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.avg_pool1d(tc.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[2.0, 1.0]]
    """
    return average(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The mean of each window; arguments and errors as `max_pool2d`, and:

    Args:
        count_include_pad: padding counts as zeros; otherwise only real elements are averaged.
        divisor_override: divide by this number instead of the size of the window.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.avg_pool2d(tc.arange(16.0).reshape(1, 4, 4), 2).tolist()
    [[[2.5, 4.5], [10.5, 12.5]]]
    """
    return average(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The mean of each window of volumes (N, C, D, H, W) or (C, D, H, W); else `avg_pool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.avg_pool3d(tc.arange(8.0).reshape(1, 2, 2, 2), 2).tolist()
    [[[[3.5]]]]
    """
    return average(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def average(
    n: int, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Any:  # fmt: skip
    """The mean of windows over n dimensions: `avg_pool1d`, `avg_pool2d`, `avg_pool3d`."""
    name = f"avg_pool{n}d"
    if _unbatched(name, n, x):
        args = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        return squeeze(average(n, unsqueeze(x, 0), *args), 0)
    how = _window(name, n, x, kernel_size, stride, padding, 1, ceil_mode)
    del how["dilation"]
    counting = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
    if n == 3:
        return _avg_volume(x, how, ceil_mode, counting)
    if n == 2:
        return avg_rows(x, size=tuple(x.shape[2:]), **how, ceil_mode=ceil_mode, **counting)
    size, how = (1, x.shape[2]), {**_on_row(how), "ceil_mode": ceil_mode}
    return squeeze(avg_rows(unsqueeze(x, 2), size=size, **how, **counting), 2)


def _avg_volume(x: Any, how: dict[str, Any], ceil_mode: bool, counting: dict[str, Any]) -> Any:
    """Means in each slice, means of these along the depth; then what they should be divided by.

    Sums of whole windows would leave the range of half precision; integers stay sums until the end.
    """
    n, c, d, h, w = x.shape
    deep, *flat = how["kernel_size"] if x.dtype.kind == "f" else (1, 1, 1)
    adding = {"ceil_mode": ceil_mode, "count_include_pad": True}
    slices = {k: v[1:] for k, v in how.items()}
    out = avg_rows(reshape_(x, (n, c * d, h, w)), size=(h, w), **slices, **adding,
                   divisor_override=math.prod(flat))  # fmt: skip
    size, area = out.shape[2:], math.prod(out.shape[2:])
    column = {k: (v[0], 0 if k == "padding" else 1) for k, v in how.items()}
    out = avg_rows(reshape_(out, (n, c, d, area)), size=(d, area), **column, **adding,
                   divisor_override=deep)  # fmt: skip
    out = reshape_(out, (*out.shape[:3], *size))
    axes = geometry.divisors((d, h, w), tuple(out.shape[2:]), **how, **counting)
    depth, rows, columns = (np.array(axis, np.float64) for axis in axes)
    share = depth[:, None, None] * rows[:, None] * columns / (deep * math.prod(flat))
    even = (share == 1).all()
    share = devices.like(getattr(x, "_data", x), share)
    if x.dtype.kind != "f":
        return cast(div(out, share), dtype=x.dtype, source=np.dtype(np.float64))
    return out if even else div(out, share.astype(x.dtype))


# --- adaptive windows -----------------------------------------------------------------------------


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The mean of `output_size` windows that cover signals (N, C, L) or (C, L).

    As `adaptive_avg_pool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.adaptive_avg_pool1d(tc.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[2.0, 1.0]]
    """
    return _adaptive_avg(1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The mean of windows that cover the image, whatever its size, and give one output size.

    Window i of n reaches from ⌊i·H/n⌋ up to ⌈(i+1)·H/n⌉; they may overlap by one.

    Args:
        input: images (N, C, H, W), or one image (C, H, W).
        output_size: one number, or one for each direction; None keeps a size.

    Raises:
        ShapeError: an output size that is negative or no integer, an image without pixels.
        DtypeError: integers or bools.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.adaptive_avg_pool2d(tc.ones(3, 5, 7), (2, None)).shape
    (3, 2, 7)
    """
    return _adaptive_avg(2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """The mean of windows that cover volumes (N, C, D, H, W) or (C, D, H, W).

    As `adaptive_avg_pool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.adaptive_avg_pool3d(tc.ones(3, 5, 7, 9), 2).shape
    (3, 2, 2, 2)
    """
    return _adaptive_avg(3, input, output_size)


def _adaptive_avg(n: int, x: Any, output_size: Any) -> Any:
    name = f"adaptive_avg_pool{n}d"
    if _unbatched(name, n, x):
        return squeeze(_adaptive_avg(n, unsqueeze(x, 0), output_size), 0)
    size = _adaptive_size(name, n, x, output_size)
    if x.dtype.kind != "f":
        raise DtypeError(f"{name}: needs a floating dtype, got {x.dtype}; convert with .float()")
    if set(size) == {1}:
        return reduce.mean(x, tuple(range(2, n + 2)), keepdim=True)
    window = _even_window(x, size)
    return (
        averaged(x, size) if window is None else average(n, x, window, None, 0, False, True, None)
    )


def _even_window(x: Any, size: Sizes) -> Sizes | None:
    """The window, where all of them have one size and do not overlap."""
    axes = list(zip(x.shape[2:], size, strict=True))
    return tuple(i // o for i, o in axes) if all(o and i % o == 0 for i, o in axes) else None


def averaged(x: Any, size: Sizes) -> Any:
    """The mean of adaptive windows along each of the last dimensions in turn."""
    for dim, out in enumerate(size, x.ndim - len(size)):
        if out != x.shape[dim]:
            x = resample(x, dim=dim, taps=sampling.means(x.shape[dim], out))
    return x


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest value of `output_size` windows that cover signals (N, C, L) or (C, L).

    As `adaptive_max_pool2d`.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.adaptive_max_pool1d(tc.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[3.0, 2.0]]
    """
    return _adaptive_max(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest value of windows that cover the image; windows as `adaptive_avg_pool2d`.

    Args:
        return_indices: give `(values, indices)`, an index being h · W + w in the image.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.adaptive_max_pool2d(tc.arange(15.0).reshape(1, 3, 5), 2).tolist()
    [[[7.0, 9.0], [12.0, 14.0]]]
    """
    return _adaptive_max(2, input, output_size, return_indices)


def _adaptive_max(n: int, x: Any, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{n}d"
    if _unbatched(name, n, x):
        return _without_batch(_adaptive_max(n, unsqueeze(x, 0), output_size, return_indices))
    size = _adaptive_size(name, n, x, output_size)
    if window := _even_window(x, size):
        return largest(n, x, window, None, 0, 1, False, return_indices)
    if n == 2:
        return _taken(x, adaptive_indices(x, size=size), return_indices)
    indices = squeeze(adaptive_indices(unsqueeze(x, 2), size=(1, *size)), 2)
    return _taken(x, indices, return_indices)


def _adaptive_size(name: str, n: int, x: Any, output_size: Any) -> Sizes:
    several = isinstance(output_size, (tuple, list))
    given = tuple(output_size) if several else (output_size,) * n
    if len(given) != n or (not several and output_size is None):
        raise ShapeError(
            f"{name}: output_size is {output_size!r}; give an integer, or one for each of {n} "
            "dimensions (None keeps a size)"
        )
    places = zip(given, x.shape[2:], strict=True)
    size = geometry.numbers([i if o is None else o for o, i in places], n, "output_size")
    if min(size) < 0 or 0 in x.shape[2:]:
        raise ShapeError(
            f"{name}: an input of shape {tuple(x.shape)} cannot be pooled to {size}; sizes must "
            "not be negative, and the input needs elements"
        )
    return size


# --- what they share ------------------------------------------------------------------------------


def _unbatched(name: str, n: int, x: Any) -> bool:
    dims = len(x.shape)
    if dims not in (n + 1, n + 2):
        raise ShapeError(
            f"{name}: needs an input of {n + 2} dimensions (or {n + 1}, without the batch), got "
            f"shape {tuple(x.shape)}"
        )
    if x.dtype.kind == "b":
        raise DtypeError(f"{name}: bools cannot be pooled; convert with .to(dtype)")
    return dims == n + 1


def _without_batch(out: Any) -> Any:
    return tuple(squeeze(o, 0) for o in out) if isinstance(out, tuple) else squeeze(out, 0)


def _window(
    name: str, n: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool,
) -> dict[str, Any]:  # fmt: skip
    """The options of a pooling in full, after checking that windows fit."""
    stride = kernel_size if stride is None else stride
    how = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    try:
        how = {
            key: (value,) * n if type(value) is int else geometry.numbers(value, n, key)
            for key, value in how.items()
        }
        if name != "avg_pool2d":  # the row itself looks at images
            geometry.pool_shape(x.shape, **how, ceil_mode=ceil_mode)
    except (ShapeError, OptionError) as error:
        raise explain(name, (x,), {**how, "ceil_mode": ceil_mode}, error) from None
    return how


def _on_row(how: dict[str, Any]) -> dict[str, Any]:
    """A line's options as those of an image of one row."""
    first = {"padding": 0}
    return {k: (first.get(k, 1), *v) if isinstance(v, tuple) else v for k, v in how.items()}
