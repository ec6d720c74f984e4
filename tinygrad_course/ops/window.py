"""Window rows: convolution and pooling over two spatial dimensions.

Convolution's three passes are three rows, closed under differentiation: each is linear in both of
its arguments, and the derivative of each is made of the other two. Pooling likewise: taking the
elements at some indices and putting them back are each other's rule.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course import devices
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.kernels import geometry
from tinygrad_course.primitive import Primitive

from .shape import pad, reshape_, squeeze, unsqueeze

# --- rows -----------------------------------------------------------------------------------------


def _kernel(name: str) -> Any:
    """The device's kernel of that name, else the plain NumPy one."""
    return lambda *arrays, **how: devices.kernel(name)(*arrays, **how)


_conv2d, _input, _weight = map(_kernel, ("conv2d", "conv2d_input", "conv2d_weight"))

# `image` and `window` are the sizes (H, W) of the input and (kh, kw) of the weight; `how` is
# stride, padding, dilation and groups.
conv2d_rows = Primitive(
    "conv2d", "out[n,o,i,j] = Σ w[o,c,p,q] · x[n, c, s·i + d·p − pad, s·j + d·q − pad]",
    lambda x, w, *, image, window, **how: _conv2d(x, w, **how),
    lambda g, out, x, w, **sizes: conv2d_input(g, w, **sizes),
    lambda g, out, x, w, **sizes: conv2d_weight(x, g, **sizes),
)
conv2d_input = Primitive(
    "conv2d_input", "the gradient of conv2d with respect to its input",
    lambda y, w, *, image, window, **how: _input(y, w, size=image, **how),
    lambda g, out, y, w, **sizes: conv2d_rows(g, w, **sizes),
    lambda g, out, y, w, **sizes: conv2d_weight(g, y, **sizes),
)
conv2d_weight = Primitive(
    "conv2d_weight", "the gradient of conv2d with respect to its weight",
    lambda x, y, *, image, window, **how: _weight(x, y, size=window, **how),
    lambda g, out, x, y, **sizes: conv2d_input(y, g, **sizes),
    lambda g, out, x, y, **sizes: conv2d_rows(x, g, **sizes),
)

max_indices = Primitive(
    "max_pool2d_indices", "where the largest value of each window is",
    _kernel("max_pool2d_indices"),
)
pool_take = Primitive(
    "pool_take", "the elements at the indices, image by image",
    lambda x, indices, *, size: _kernel("pool_take")(x, indices),
    lambda g, out, x, indices, *, size: pool_put(g, indices, size=size),
)
pool_put = Primitive(
    "pool_put", "zeros, with the elements added at the indices, image by image",
    _kernel("pool_put"),
    lambda g, out, x, indices, *, size: pool_take(g, indices, size=size),
)
avg_rows = Primitive(
    "avg_pool2d", "the mean of each window",
    lambda x, *, size, **how: _kernel("avg_pool2d")(x, **how),
    lambda g, out, x, *, size, **how: avg_input(g, size=size, **how),
)
avg_input = Primitive(
    "avg_pool2d_input", "the gradient of avg_pool2d with respect to its input",
    _kernel("avg_pool2d_input"),
    lambda g, out, y, *, size, **how: avg_rows(g, size=size, **how),
)


# --- derived --------------------------------------------------------------------------------------


def conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation of images with filters, as every deep-learning library calls convolution.

    out[n, o, i, j] = bias[o] + Σ weight[o, c, p, q] · x[n, c, s·i + d·p − pad, s·j + d·q − pad]

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        weight: filters (O, C / groups, kh, kw).
        bias: (O,) or None.
        stride, dilation: one number, or one for each direction.
        padding: zeros around the image: one number, one for each direction, "valid" (none) or
            "same" (the output has the input's size; stride 1 only).
        groups: the channels are split into this many groups that do not see each other.

    Raises:
        ShapeError: sizes that do not fit; the message names them.
        OptionError: padding="same" with a stride.
    """
    if x.ndim == 3:
        return squeeze(conv2d(unsqueeze(x, 0), weight, bias, stride, padding, dilation, groups), 0)
    stride, dilation = geometry.pair(stride, "stride"), geometry.pair(dilation, "dilation")
    _same_dtype("conv2d", x, weight, bias)
    if isinstance(padding, str):
        x, padding = _named_padding(x, weight, stride, padding, dilation)
    padding = geometry.pair(padding, "padding")
    geometry.conv_shape(x.shape, weight.shape, stride, padding, dilation, groups)
    out = conv2d_rows(
        x, weight, image=tuple(x.shape[2:]), window=tuple(weight.shape[2:]),
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )
    if bias is None:
        return out
    if tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(
            f"conv2d: the bias has shape {tuple(bias.shape)}, expected ({weight.shape[0]},)"
        )
    return out + reshape_(bias, (1, -1, 1, 1))


def _named_padding(x: Any, weight: Any, stride: Any, padding: str, dilation: Any) -> Any:
    """The input, widened where the two sides differ, and the symmetric padding that is left."""
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        raise OptionError(f"conv2d: padding {padding!r} is none of a number, 'same', 'valid'")
    if stride != (1, 1):
        raise OptionError(f"conv2d: padding='same' needs stride 1, got {stride}")
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if any(t % 2 for t in total):
        x = pad(x, widths=((0, 0), (0, 0), *((0, t % 2) for t in total)), value=0.0)
    return x, tuple(t // 2 for t in total)


def _same_dtype(name: str, *values: Any) -> None:
    dtypes = {v.dtype for v in values if v is not None}
    if len(dtypes) > 1:
        raise DtypeError(
            f"{name}: all arguments need one dtype, got {', '.join(sorted(map(str, dtypes)))}; "
            "convert with .to(dtype)"
        )


def max_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:
    """The largest value in each window.

    Args:
        x: images (N, C, H, W), or one image (C, H, W).
        kernel_size: size of the window, one number or one for each direction.
        stride: distance between windows; the kernel size unless given.
        padding: minus infinity around the image, at most half a window.
        dilation: distance between the elements of a window.
        ceil_mode: count a last window that reaches over the edge too.
        return_indices: give `(values, indices)`, an index being h · W + w in the image.
    """
    if x.ndim == 3:
        out = max_pool2d(
            unsqueeze(x, 0), kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )
        return tuple(squeeze(o, 0) for o in out) if return_indices else squeeze(out, 0)
    how = _window(kernel_size, stride, padding)
    dilation = geometry.pair(dilation, "dilation")
    geometry.pool_shape(x.shape, **how, dilation=dilation, ceil_mode=ceil_mode)
    indices = max_indices(x, **how, dilation=dilation, ceil_mode=ceil_mode)
    out = pool_take(x, indices, size=tuple(x.shape[2:]))
    return (out, indices) if return_indices else out


def avg_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:
    """The mean of each window; arguments as `max_pool2d`.

    Args:
        count_include_pad: padding counts as zeros; otherwise only real elements are averaged.
        divisor_override: divide by this number instead of the size of the window.
    """
    if x.ndim == 3:
        return squeeze(avg_pool2d(unsqueeze(x, 0), kernel_size, stride, padding, ceil_mode,
                                  count_include_pad, divisor_override), 0)
    how = _window(kernel_size, stride, padding)
    geometry.pool_shape(x.shape, **how, dilation=(1, 1), ceil_mode=ceil_mode)
    return avg_rows(
        x, size=tuple(x.shape[2:]), **how, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, divisor_override=divisor_override,
    )


def _window(kernel_size: Any, stride: Any, padding: Any) -> dict[str, tuple[int, int]]:
    kernel_size = geometry.pair(kernel_size, "kernel_size")
    return {
        "kernel_size": kernel_size,
        "stride": kernel_size if stride is None else geometry.pair(stride, "stride"),
        "padding": geometry.pair(padding, "padding"),
    }
