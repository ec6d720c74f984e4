"""Other sizes and other arrangements of images: resizing, borders, windows laid out, pixel shuffle.

Resizing works on one axis after the other, each a product with a sparse matrix (`kernels.taps`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.kernels import geometry
from tinygrad_course.kernels import taps as sampling
from tinygrad_course.ops import shape
from tinygrad_course.ops.shape import permute, reshape_, squeeze, unsqueeze
from tinygrad_course.ops.window import resample, windows, windows_sum

from .pooling import averaged

Sizes = tuple[int, ...]

# --- resizing -------------------------------------------------------------------------------------

_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}
_MODES = ("nearest", "nearest-exact", *_LINEAR, "bicubic", "area")


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:  # fmt: skip
    """Signals, images or volumes in another size.

    Shapes: input (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    Args:
        size: the new size: a number, or one for each direction.
        scale_factor: how much larger, likewise; the new size is rounded down. Give one of both.
        mode: "nearest" (⌊i · scale⌋), "nearest-exact" (its centres), "linear" (3-D input),
            "bilinear" (4-D), "trilinear" (5-D), "bicubic" (4-D; Keys 1981), "area" (the mean of
            what a new pixel covers).
        align_corners: in the linear and cubic modes: the outermost pixels keep their places;
            otherwise the outer edges do.
        recompute_scale_factor: go by the rounded sizes, not by the scale_factor given.
        antialias: not supported.

    Raises:
        OptionError: a mode that does not fit the input, size and scale_factor both or neither.
        ShapeError: an input of other dimensions or without elements, a new size below 1.
        DtypeError: no floating dtype; the nearest modes take uint8 too.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.interpolate(tc.tensor([[[0.0, 1.0]]]), size=4, mode="linear").tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    _check_mode(input, mode, align_corners, antialias)
    new, scales = _new_size(input, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return averaged(input, new)
    if min(new) < 1:
        raise ShapeError(f"interpolate: shape {tuple(input.shape)} cannot get the size {new}")
    for dim, (out, scale) in enumerate(zip(new, scales, strict=True), 2):
        taps = _taps(mode, input.shape[dim], out, scale, bool(align_corners), input.dtype)
        input = resample(input, dim=dim, taps=taps)
    return input


def _taps(mode: str, size: int, out: int, scale: float | None, align: bool, dtype: Any) -> Any:
    if mode in ("nearest", "nearest-exact"):
        kind = dtype if dtype.kind == "f" else np.dtype(np.float32)
        return sampling.nearest(size, out, scale, mode == "nearest-exact", kind)
    curve = sampling.cubic if mode == "bicubic" else sampling.linear
    return curve(size, out, align, scale)


def _check_mode(x: Any, mode: str, align_corners: Any, antialias: bool) -> None:
    dims = x.ndim - 2
    if not 1 <= dims <= 3 or 0 in x.shape[1:]:
        raise ShapeError(
            "interpolate: needs an input (N, C, L), (N, C, H, W) or (N, C, D, H, W) with elements, "
            f"got shape {tuple(x.shape)}"
        )
    if mode not in _MODES:
        raise OptionError(f"interpolate: mode {mode!r} is none of {', '.join(_MODES)}")
    needed = 2 if mode == "bicubic" else _LINEAR.get(mode, dims)
    if dims != needed:
        raise OptionError(
            f"interpolate: mode {mode!r} takes an input of {needed + 2} dimensions, got shape "
            f"{tuple(x.shape)}; modes for it: "
            + ", ".join(m for m in _MODES if _LINEAR.get(m, 2 if m == "bicubic" else dims) == dims)
        )
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise OptionError(f"interpolate: mode {mode!r} takes no align_corners")
    if antialias:
        raise OptionError("interpolate: antialias=True is not supported; blur before shrinking")
    if x.dtype.kind != "f" and not (x.dtype == np.uint8 and mode.startswith("nearest")):
        raise DtypeError(
            f"interpolate: {mode!r} needs a floating dtype, got {x.dtype}; convert with .float()"
        )


def _new_size(x: Any, size: Any, scale: Any, recompute: bool | None) -> tuple[Sizes, list[Any]]:
    """The new sizes, and the scales that coordinates go by (None: the sizes' ratio)."""
    dims = x.ndim - 2
    if (size is None) == (scale is None):
        raise OptionError(f"interpolate: give one of {size=} and scale_factor={scale}")
    if scale is None:
        if recompute:
            raise OptionError(
                "interpolate: recompute_scale_factor needs a scale_factor, not a size"
            )
        new, scales = geometry.numbers(size, dims, "size"), [None] * dims
    else:
        scales = _each("scale_factor", scale, dims)
        new = tuple(math.floor(n * s) for n, s in zip(x.shape[2:], scales, strict=True))
        scales = [None] * dims if recompute else scales
    return new, scales


def _each(name: str, value: Any, dims: int) -> list[Any]:
    values = list(value) if isinstance(value, (tuple, list)) else [value] * dims
    if len(values) != dims:
        raise ShapeError(f"interpolate: {name} is {value!r}; give a number, or {dims} of them")
    return [float(v) for v in values]


# --- borders --------------------------------------------------------------------------------------


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """A border around the last dimensions.

    Args:
        pad: (left, right) of the last dimension, then (top, bottom) of the one before, and so on;
            negative widths cut off.
        mode: "constant" (`value`, 0 unless given), "reflect", "replicate" or "circular".

    Raises:
        OptionError: an odd number of widths, more pairs than dimensions, an unknown mode.
        ShapeError: a border wider than what it mirrors, or that cuts off more than there is.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.pad(tc.tensor([[1.0, 2.0, 3.0]]), (2, 1), "reflect").tolist()
    [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]]
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise OptionError(
            f"pad: needs a pair of widths for each padded dimension, at most {input.ndim} pairs, "
            f"got {tuple(pad)}"
        )
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    widths = [(0, 0)] * (input.ndim - len(pairs)) + [(int(a), int(b)) for a, b in pairs]
    for n, (a, b) in zip(input.shape, widths, strict=True):
        if n + a + b < 0:
            raise ShapeError(f"pad: widths {a} and {b} cut off more than the size {n}")
    if mode == "constant":
        return shape.pad(input, widths=widths, value=0.0 if value is None else value)
    if value:
        raise OptionError(f"pad: mode {mode!r} takes no value")
    for dim, (a, b) in enumerate(widths):
        if a or b:
            input = resample(input, dim=dim, taps=_border(mode, input.shape[dim], a, b))
    return input


def _border(mode: str, size: int, before: int, after: int) -> sampling.Taps:
    most = {"reflect": size - 1, "replicate": math.inf, "circular": size}.get(mode)
    if most is None:
        raise OptionError(
            f"pad: mode {mode!r} is none of 'constant', 'reflect', 'replicate', 'circular'"
        )
    if max(before, after) > most or not size:
        raise ShapeError(f"pad: {mode} of a size of {size} takes widths up to {most}")
    return sampling.border(mode, size, before, after)


# --- windows laid out -----------------------------------------------------------------------------


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Every window of an image as a column: convolution is then a matrix product.

    Shapes: input (N, C, H, W) or (C, H, W), result (N, C · kh · kw, windows) or without N.

    Args:
        kernel_size, dilation, padding, stride: one number, or one for each direction.

    Raises:
        ShapeError: windows that do not fit into the image; the message names the sizes.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.unfold(tc.arange(6.0).reshape(1, 2, 3), 2).tolist()
    [[0.0, 1.0], [1.0, 2.0], [3.0, 4.0], [4.0, 5.0]]
    """
    if input.ndim == 3:
        return squeeze(unfold(unsqueeze(input, 0), kernel_size, dilation, padding, stride), 0)
    if input.ndim != 4:
        raise ShapeError(
            f"unfold: needs images (N, C, H, W) or (C, H, W), got shape {tuple(input.shape)}"
        )
    rows, columns, border = _axes("unfold", input.shape[2:], kernel_size, dilation, padding, stride)
    x = shape.pad(input, widths=border, value=0.0)
    x = windows(windows(x, dim=2, **rows), dim=4, **columns)  # (N, C, Ho, kh, Wo, kw)
    n, c, height, kh, width, kw = x.shape
    return reshape_(permute(x, dims=(0, 1, 3, 5, 2, 4)), (n, c * kh * kw, height * width))


def fold(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
    stride: Any = 1,
) -> Any:  # fmt: skip
    """The columns of `unfold` put back into an image; where windows overlap they add up.

    Shapes: input (N, C · kh · kw, windows) or without N, result (N, C, *output_size).

    Args:
        output_size, kernel_size, dilation, padding, stride: one number, or one for each direction.

    Raises:
        ShapeError: columns that are not those of such windows; the message names the sizes.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.fold(tc.ones(4, 2), (2, 3), 2).tolist()
    [[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]
    """
    if input.ndim == 2:
        input = unsqueeze(input, 0)
        return squeeze(fold(input, output_size, kernel_size, dilation, padding, stride), 0)
    size = geometry.numbers(output_size, 2, "output_size")
    rows, columns, border = _axes("fold", size, kernel_size, dilation, padding, stride)
    (height, kh), (width, kw) = (_counts(axis) for axis in (rows, columns))
    if input.ndim != 3 or input.shape[1] % (kh * kw) or input.shape[2] != height * width:
        raise ShapeError(
            f"fold: windows of {kh} by {kw} in images of {size[0]} by {size[1]} come as (N, C · "
            f"{kh * kw}, {height * width}) or without N, got shape {tuple(input.shape)}"
        )
    n, c = input.shape[0], input.shape[1] // (kh * kw)
    x = permute(reshape_(input, (n, c, kh, kw, height, width)), dims=(0, 1, 4, 2, 5, 3))
    x = windows_sum(windows_sum(x, dim=4, **columns), dim=2, **rows)
    return shape.pad(x, widths=[(-a, -b) for a, b in border], value=0.0)


def _axes(
    name: str, size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[dict[str, int], dict[str, int], list[tuple[int, int]]]:
    """What the rows of windows are told about each direction, and the border around the image."""
    given = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    try:
        how = {key: geometry.numbers(value, 2, key) for key, value in given.items()}
        for axis in zip(size, *how.values(), strict=True):
            geometry.conv_output_size(*axis)
    except ShapeError as error:
        raise ShapeError(f"{name}: {error}") from None
    axes = zip(size, *how.values(), strict=True)
    rows, columns = (
        {"size": n + 2 * p, "window": k, "step": s, "dilation": d} for n, k, s, p, d in axes
    )
    return rows, columns, [(0, 0), (0, 0), *((p, p) for p in how["padding"])]


def _counts(axis: dict[str, int]) -> tuple[int, int]:
    """How many windows there are in one direction, and their size."""
    reach = axis["dilation"] * (axis["window"] - 1) + 1
    return (axis["size"] - reach) // axis["step"] + 1, axis["window"]


# --- channels to pixels ---------------------------------------------------------------------------


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Each r² channels become one, r times as high and wide (Shi et al. 2016).

    Shapes: input (..., C · r², H, W), result (..., C, H · r, W · r), r = upscale_factor.

    Raises:
        ShapeError: channels that are no multiple of r², fewer than 3 dimensions.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.pixel_shuffle(tc.arange(4.0).reshape(4, 1, 1), 2).tolist()
    [[[0.0, 1.0], [2.0, 3.0]]]
    """
    r = _factor("pixel_shuffle", "upscale_factor", input, upscale_factor)
    *rest, c, h, w = input.shape
    if c % (r * r):
        raise ShapeError(
            f"pixel_shuffle: {c} channels (shape {tuple(input.shape)}) are no multiple of the "
            f"square of upscale_factor, {r * r}"
        )
    k, c = len(rest), c // (r * r)
    x = reshape_(input, (*rest, c, r, r, h, w))
    x = permute(x, dims=(*range(k + 1), k + 3, k + 1, k + 4, k + 2))
    return reshape_(x, (*rest, c, h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """`pixel_shuffle` undone: (..., C, H · r, W · r) becomes (..., C · r², H, W).

    Raises:
        ShapeError: height or width that are no multiple of r, fewer than 3 dimensions.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.pixel_unshuffle(tc.arange(4.0).reshape(1, 2, 2), 2).tolist()
    [[[0.0]], [[1.0]], [[2.0]], [[3.0]]]
    """
    r = _factor("pixel_unshuffle", "downscale_factor", input, downscale_factor)
    *rest, c, h, w = input.shape
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle: {h} by {w} pixels (shape {tuple(input.shape)}) are no multiple of "
            f"downscale_factor {r}"
        )
    k = len(rest)
    x = reshape_(input, (*rest, c, h // r, r, w // r, r))
    x = permute(x, dims=(*range(k + 1), k + 2, k + 4, k + 1, k + 3))
    return reshape_(x, (*rest, c * r * r, h // r, w // r))


def _factor(name: str, option: str, x: Any, factor: Any) -> int:
    if x.ndim < 3:
        raise ShapeError(f"{name}: needs at least 3 dimensions (C, H, W), got {tuple(x.shape)}")
    if not isinstance(factor, int) or factor < 1:
        raise OptionError(f"{name}: {option} is a positive integer, not {factor!r}")
    return factor
