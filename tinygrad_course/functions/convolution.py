"""Convolution and transposed convolution in one, two and three dimensions, by the 2-D rows.

A line is an image of one row. In three dimensions the windows along the depth are laid out as
channels: with D slices of C channels and a kernel of depth k, that is D' images of C·k channels,
and one 2-D convolution does the rest. It takes k times the input's memory and keeps to the fast
kernels; a kernel of its own would be three more loop nests.

The transposed convolution is the gradient of a convolution with respect to its input, and it is
computed by that row.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course.errors import DtypeError, OptionError, ShapeError, explain
from tinygrad_course.kernels import geometry
from tinygrad_course.ops.shape import pad, permute, reshape_, squeeze, unsqueeze
from tinygrad_course.ops.window import conv2d_input, conv2d_rows, windows, windows_sum

Sizes = tuple[int, ...]
Options = dict[str, Any]


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Cross-correlation of signals with filters; arguments and errors as `conv2d`.

    Shapes: input (N, C, L) or (C, L), weight (O, C / groups, k), bias (O,).

    >>> import tinygrad_course as tc
    >>> difference = tc.tensor([[[-1.0, 1.0]]])
    >>> tc.nn.functional.conv1d(tc.tensor([[1.0, 4.0, 9.0]]), difference).tolist()
    [[3.0, 5.0]]
    """
    return convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Cross-correlation of images with filters, as every deep-learning library calls convolution.

    out[n, o, i, j] = bias[o] + Σ weight[o, c, p, q] · x[n, c, s·i + d·p − pad, s·j + d·q − pad]

    Args:
        input: images (N, C, H, W), or one image (C, H, W).
        weight: filters (O, C / groups, kh, kw).
        bias: (O,) or None.
        stride, dilation: one number, or one for each direction.
        padding: zeros around the image: one number, one for each direction, "valid" (none) or
            "same" (the output has the input's size; stride 1 only).
        groups: the channels are split into this many groups that do not see each other.

    Raises:
        ShapeError: sizes that do not fit; the message names them.
        DtypeError: arguments of different dtypes, or bools.
        OptionError: padding="same" with a stride, another name of padding.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.conv2d(tc.ones(1, 3, 3), tc.ones(1, 1, 2, 2)).tolist()
    [[[4.0, 4.0], [4.0, 4.0]]]
    """
    return convolve(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Cross-correlation of volumes with filters; arguments and errors as `conv2d`.

    Shapes: input (N, C, D, H, W) or (C, D, H, W), weight (O, C / groups, kd, kh, kw), bias (O,).

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.conv3d(tc.ones(1, 1, 4, 5, 6), tc.ones(2, 1, 3, 3, 3)).shape
    (1, 2, 2, 3, 4)
    """
    return convolve(3, input, weight, bias, stride, padding, dilation, groups)


def convolve(
    n: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:  # fmt: skip
    """Convolution over n dimensions, 1 to 3: `conv1d`, `conv2d`, `conv3d`."""
    name, size = f"conv{n}d", tuple(x.shape)
    _check(name, n, x, weight, bias)
    if len(size) == n + 1:
        return squeeze(
            convolve(n, unsqueeze(x, 0), weight, bias, stride, padding, dilation, groups), 0
        )
    try:
        stride = geometry.numbers(stride, n, "stride")
        dilation = geometry.numbers(dilation, n, "dilation")
        if isinstance(padding, str):
            x, padding = _named_padding(name, x, weight, stride, padding, dilation)
        padding = geometry.numbers(padding, n, "padding")
        if n != 2:  # the row itself looks at images
            geometry.conv_shape(x.shape, weight.shape, stride, padding, dilation, groups)
    except ShapeError as error:
        how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        raise explain(name, (x, weight), how, error) from None
    if n == 2:
        form = tuple(weight.shape)
        _check_bias(name, form[0], bias)
        return conv2d_rows(
            x, weight, *(() if bias is None else (bias,)), image=tuple(x.shape[2:]),
            window=form[2:], stride=stride, padding=padding, dilation=dilation, groups=groups,
        )  # fmt: skip
    across = _line_conv if n == 1 else _volume_conv
    return _add_bias(name, across(x, weight, stride, padding, dilation, groups), bias)


def _line_conv(x: Any, w: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    how = _on_row(x.shape[2], w.shape[2], stride, padding, dilation, groups)
    return squeeze(conv2d_rows(unsqueeze(x, 2), unsqueeze(w, 2), **how), 2)


def _on_row(
    size: int, window: int, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Options:
    """A line's options as those of an image of one row."""
    return {
        "image": (1, size),
        "window": (1, window),
        "stride": (1, *stride),
        "padding": (0, *padding),
        "dilation": (1, *dilation),
        "groups": groups,
    }


def _volume_conv(
    x: Any, w: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    deep, flat = _in_slices(x.shape[2], x, w, stride, padding, dilation, groups)
    if padding[0]:
        x = pad(x, widths=[(0, 0), (0, 0), (padding[0],) * 2, (0, 0), (0, 0)], value=0.0)
    x = windows(x, **deep)  # (N, C, Do, kd, H, W)
    n, c, d, k = x.shape[:4]
    x = reshape_(permute(x, dims=(0, 2, 1, 3, 4, 5)), (n * d, c * k, *x.shape[4:]))
    out = conv2d_rows(x, _flat_weight(w), **flat)
    return permute(reshape_(out, (n, d, *out.shape[1:])), dims=(0, 2, 1, 3, 4))


def _flat_weight(w: Any) -> Any:
    """(O, C, kd, kh, kw) as (O, C · kd, kh, kw)."""
    return reshape_(w, (w.shape[0], w.shape[1] * w.shape[2], *w.shape[3:]))


def _in_slices(
    depth: int, image: Any, w: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> tuple[Options, Options]:  # fmt: skip
    """A volume's options as those of windows along its depth and of the convolution of slices."""
    deep = {"dim": 2, "size": depth + 2 * padding[0], "window": w.shape[2], "step": stride[0],
            "dilation": dilation[0]}  # fmt: skip
    flat = {"image": tuple(image.shape[-2:]), "window": tuple(w.shape[3:]), "stride": stride[1:],
            "padding": padding[1:], "dilation": dilation[1:], "groups": groups}  # fmt: skip
    return deep, flat


# --- transposed -----------------------------------------------------------------------------------


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The transpose of `conv1d`; arguments and errors as `conv_transpose2d`.

    Shapes: input (N, C, L) or (C, L), weight (C, O / groups, k), bias (O,).

    >>> import tinygrad_course as tc
    >>> x, w = tc.tensor([[1.0, 2.0]]), tc.ones(1, 1, 2)
    >>> tc.nn.functional.conv_transpose1d(x, w, stride=2).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """Every input pixel puts down the filter, times its value; what overlaps adds up.

    out[n, o, s·i + d·p − pad, s·j + d·q − pad] += Σ_c weight[c, o, p, q] · x[n, c, i, j]; it has
    (H − 1)·stride − 2·padding + dilation·(kh − 1) + output_padding + 1 rows. This is the gradient
    of `conv2d` with respect to its input, also called deconvolution.

    Args:
        input: images (N, C, H, W), or one image (C, H, W).
        weight: filters (C, O / groups, kh, kw).
        bias: (O,) or None.
        stride, dilation: one number, or one for each direction.
        padding: how many rows and columns are cut off on every side.
        output_padding: how many are added at the end: with a stride several sizes of image have
            a convolution of one size. Smaller than the stride or the dilation.
        groups: the channels are split into this many groups that do not see each other.

    Raises:
        ShapeError: sizes that do not fit; the message names them.
        DtypeError: arguments of different dtypes, or bools.

    Source: Zeiler et al. 2010.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.conv_transpose2d(tc.ones(1, 2, 2), tc.ones(1, 1, 2, 2)).tolist()
    [[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]
    """
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The transpose of `conv3d`; arguments and errors as `conv_transpose2d`.

    Shapes: input (N, C, D, H, W) or (C, D, H, W), weight (C, O / groups, kd, kh, kw), bias (O,).

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.conv_transpose3d(tc.ones(1, 2, 2, 2), tc.ones(1, 3, 2, 2, 2)).shape
    (3, 3, 3, 3)
    """
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _transposed(
    n: int, y: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any,
    groups: int, dilation: Any,
) -> Any:  # fmt: skip
    """Transposed convolution over n dimensions."""
    name = f"conv_transpose{n}d"
    _check(name, n, y, weight, bias)
    if y.ndim == n + 1:
        y = unsqueeze(y, 0)
        return squeeze(
            _transposed(n, y, weight, bias, stride, padding, output_padding, groups, dilation), 0
        )
    how = {"stride": stride, "padding": padding, "output_padding": output_padding,
           "dilation": dilation}  # fmt: skip
    try:
        steps, border, more, spread = (geometry.numbers(v, n, k) for k, v in how.items())
        size = _transposed_size(y, weight, steps, border, more, spread, groups)
    except ShapeError as error:
        raise explain(name, (y, weight), {**how, "groups": groups}, error) from None
    surplus = [o // s for o, s in zip(more, steps, strict=True)]
    if any(surplus):  # a step further, where there is nothing to put down
        y = pad(y, widths=[(0, 0), (0, 0), *((0, s) for s in surplus)], value=0.0)
    across = (_line_transposed, _image_transposed, _volume_transposed)[n - 1]
    return _add_bias(name, across(y, weight, size, steps, border, spread, groups), bias)


def _transposed_size(
    y: Any, w: Any, stride: Sizes, padding: Sizes, more: Sizes, dilation: Sizes, groups: int
) -> Sizes:
    geometry.check_groups(groups)
    if w.shape[0] != y.shape[1]:
        raise ShapeError(
            f"the input has {y.shape[1]} channels, but the weight {tuple(w.shape)} takes "
            f"{w.shape[0]}: its shape is (in channels, out channels / groups, ...)"
        )
    if w.shape[0] % groups:
        raise ShapeError(f"{w.shape[0]} input channels cannot be split into {groups} equal groups")
    axes = zip(y.shape[2:], w.shape[2:], stride, padding, more, dilation, strict=True)
    return tuple(geometry.transposed_size(*axis) for axis in axes)


def _line_transposed(
    y: Any, w: Any, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    how = _on_row(size[0], w.shape[2], stride, padding, dilation, groups)
    return squeeze(conv2d_input(unsqueeze(y, 2), unsqueeze(w, 2), **how), 2)


def _image_transposed(
    y: Any, w: Any, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    return conv2d_input(
        y,
        w,
        image=size,
        window=tuple(w.shape[2:]),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _volume_transposed(
    y: Any, w: Any, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Any:
    deep, flat = _in_slices(size[0], y, w, stride, padding, dilation, groups)
    flat["image"] = size[1:]
    n, o, d = y.shape[:3]
    y = reshape_(permute(y, dims=(0, 2, 1, 3, 4)), (n * d, o, *y.shape[3:]))
    out = conv2d_input(y, _flat_weight(w), **flat)  # (N · Do, C · kd, H, W)
    out = reshape_(out, (n, d, w.shape[1] * groups, w.shape[2], *size[1:]))
    out = windows_sum(permute(out, dims=(0, 2, 1, 3, 4, 5)), **deep)
    if padding[0]:
        out = pad(out, widths=[(0, 0), (0, 0), (-padding[0],) * 2, (0, 0), (0, 0)], value=0.0)
    return out


# --- what they share ------------------------------------------------------------------------------


def _check(name: str, n: int, x: Any, weight: Any, bias: Any) -> None:
    if len(x.shape) not in (n + 1, n + 2) or len(weight.shape) != n + 2:
        raise ShapeError(
            f"{name}: needs an input of {n + 2} dimensions (or {n + 1}, without the batch) and a "
            f"weight of {n + 2}, got shapes {tuple(x.shape)} and {tuple(weight.shape)}"
        )
    dtype = x.dtype
    if dtype.kind == "b":
        raise DtypeError(f"{name}: bools cannot be added up; convert with .to(dtype)")
    if dtype != weight.dtype or (bias is not None and bias.dtype != dtype):
        dtypes = sorted({str(v.dtype) for v in (x, weight, bias) if v is not None})
        raise DtypeError(
            f"{name}: all arguments need one dtype, got {', '.join(dtypes)}; convert with "
            ".to(dtype)"
        )


def _check_bias(name: str, outputs: int, bias: Any) -> None:
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise ShapeError(f"{name}: the bias has shape {tuple(bias.shape)}, expected ({outputs},)")


def _add_bias(name: str, out: Any, bias: Any) -> Any:
    _check_bias(name, out.shape[1], bias)
    if bias is None:
        return out
    return out + reshape_(bias, (1, out.shape[1], *(1,) * (out.ndim - 2)))


def _named_padding(
    name: str, x: Any, weight: Any, stride: Sizes, padding: str, dilation: Sizes
) -> tuple[Any, Sizes]:
    """The input, widened where the two sides differ, and the symmetric padding that is left."""
    if padding == "valid":
        return x, (0,) * len(stride)
    if padding != "same":
        raise OptionError(f"{name}: padding {padding!r} is none of a number, 'same', 'valid'")
    if max(stride) > 1:
        raise OptionError(f"{name}: padding='same' needs stride 1, got {stride}")
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if any(t % 2 for t in total):
        x = pad(x, widths=[(0, 0), (0, 0), *((0, t % 2) for t in total)], value=0.0)
    return x, tuple(t // 2 for t in total)
