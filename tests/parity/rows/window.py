"""Windows: convolution, pooling, resizing, borders and windows laid out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as TF
from hypothesis import strategies as st

from tinygrad_course.nn import functional as F
from tinygrad_course.ops import window
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import REAL, Domain

from .row import Case, Maker, row

FEW = Domain("few", REAL.numbers[:32], distinct=False)
MANY = Domain("many", ts.UNIT.numbers)  # as many as a maximum among different numbers needs
HALF = ("float64", "float32", "float16")


def one_or_all(make: Maker, values: Any) -> Any:
    """An option as one number, where it is the same in all directions, or as a tuple."""
    same = len(set(values)) == 1 and make.draw(st.booleans())
    return values[0] if same else tuple(values)


def batch(make: Maker, shape: Any) -> Any:
    """The shape, sometimes without the batch, or with an empty one."""
    if make.draw(st.integers(0, 3)) == 0:
        return tuple(shape[1:])
    empty = make.empty and make.draw(st.integers(0, 3)) == 0
    return (0, *shape[1:]) if empty else tuple(shape)


def quiet(f: Any) -> Any:
    """Without PyTorch's warning that an even kernel makes it copy the input."""

    def call(*args: Any, **how: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args, **how)

    return call


# --- convolution ----------------------------------------------------------------------------------


def conv_case(dims: int) -> Callable[[Maker], Case]:
    def case(make: Maker) -> Case:
        x, w, how = make.draw(ts.conv_args(dims))
        how = {k: one_or_all(make, v) if isinstance(v, tuple) else v for k, v in how.items()}
        dtype = make.dtype()
        bias = [make.array((w[0],), REAL, dtype)] if make.draw(st.booleans()) else []
        return [make.array(batch(make, x), FEW, dtype), make.array(w, FEW, dtype), *bias], how

    return case


def named_padding_case(dims: int) -> Callable[[Maker], Case]:
    def case(make: Maker) -> Case:
        x, w, how = make.draw(ts.conv_args(dims))
        reach = [d * (k - 1) + 1 for d, k in zip(how["dilation"], w[2:], strict=True)]
        fits = all(n >= r for n, r in zip(x[2:], reach, strict=True))
        how["padding"] = make.draw(st.sampled_from(("same", "valid") if fits else ("same",)))
        arrays = [make.array(x, FEW, "float64"), make.array(w, FEW, "float64")]
        return arrays, {**how, "stride": 1}

    return case


def output_padding(n: int, k: int, stride: int, padding: int, dilation: int) -> Any:
    """So much that the result has elements; less than a step or the dilation."""
    least = n - (n + 2 * padding - dilation * (k - 1) - 1) % stride
    return st.integers(max(0, 1 - least), max(stride, dilation) - 1)


def transposed_case(dims: int) -> Callable[[Maker], Case]:
    """What a convolution gives is what its transpose takes."""

    def case(make: Maker) -> Case:
        x, w, how = make.draw(ts.conv_args(dims))
        y = TF_CONV[dims - 1](torch.zeros(x), torch.zeros(w), **how).shape
        axes = zip(x[2:], w[2:], how["stride"], how["padding"], how["dilation"], strict=True)
        how["output_padding"] = tuple(make.draw(output_padding(*axis)) for axis in axes)
        how = {k: one_or_all(make, v) if isinstance(v, tuple) else v for k, v in how.items()}
        dtype = make.dtype()
        arrays = [make.array(batch(make, y), FEW, dtype), make.array(w, FEW, dtype)]
        if make.draw(st.booleans()):
            arrays.append(make.array((w[1] * how["groups"],), REAL, dtype))
        return arrays, how

    return case


TF_CONV = (TF.conv1d, TF.conv2d, TF.conv3d)
for dims, name in enumerate(("conv1d", "conv2d", "conv3d"), 1):
    ours, theirs = getattr(F, name), quiet(getattr(TF, name))
    row(name, ours, theirs, conv_case(dims), kinks=False, dtypes=("float64", "float32", "int64"))
    row(f"{name}, padding by name", ours, theirs, named_padding_case(dims), covers=(name,),
        kinks=False)  # fmt: skip
    name = f"conv_transpose{dims}d"
    row(name, getattr(F, name), getattr(TF, name), transposed_case(dims), kinks=False)


def sizes(x: Any, w: Any, how: dict[str, Any]) -> dict[str, Any]:
    return {**how, "image": tuple(x[2:]), "window": tuple(w[2:])}


def conv_input_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    y = TF.conv2d(torch.zeros(x), torch.zeros(w), **how).shape
    dtype = make.dtype()
    return [make.array(tuple(y), FEW, dtype), make.array(w, FEW, dtype)], sizes(x, w, how)


def conv_weight_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    y = TF.conv2d(torch.zeros(x), torch.zeros(w), **how).shape
    dtype = make.dtype()
    return [make.array(x, FEW, dtype), make.array(tuple(y), FEW, dtype)], sizes(x, w, how)


def torch_conv_input(y: Any, w: Any, image: Any, window: Any, **how: Any) -> Any:
    size = (y.shape[0], w.shape[1] * how["groups"], *image)
    return torch.nn.grad.conv2d_input(size, w, y, **how)


def torch_conv_weight(x: Any, y: Any, image: Any, window: Any, **how: Any) -> Any:
    size = (y.shape[1], x.shape[1] // how["groups"], *window)
    return torch.nn.grad.conv2d_weight(x, size, y, **how)


row("conv2d_input", window.conv2d_input, torch_conv_input, conv_input_case, kinks=False)
row("conv2d_weight", window.conv2d_weight, torch_conv_weight, conv_weight_case, kinks=False)


# --- pooling --------------------------------------------------------------------------------------


@st.composite
def pool_args(draw: Any, dims: int) -> Any:
    """Shape and options of a pooling; volumes are small, for there are many differences to take."""
    if dims < 3:
        return draw(ts.pool_args(dims))
    small = st.tuples(*[st.integers(1, 2)] * dims)
    how: dict[str, Any] = {name: draw(small) for name in ("kernel_size", "stride", "dilation")}
    how["padding"] = tuple(draw(st.integers(0, k // 2)) for k in how["kernel_size"])
    axes = zip(how["kernel_size"], how["dilation"], how["padding"], strict=True)
    least = [max(d * (k - 1) + 1 - 2 * p, d) for k, d, p in axes]
    how["ceil_mode"] = draw(st.booleans())
    return (1, draw(st.integers(1, 2)), *(n + draw(st.integers(0, 1)) for n in least)), how


def max_pool_case(dims: int) -> Callable[[Maker], Case]:
    def case(make: Maker) -> Case:
        x, how = make.draw(pool_args(dims))
        how = {k: one_or_all(make, v) if isinstance(v, tuple) else v for k, v in how.items()}
        if how["stride"] == how["kernel_size"]:
            how["stride"] = None
        how["return_indices"] = True
        return [make.array(batch(make, x), MANY)], how

    return case


def avg_pool_case(dims: int) -> Callable[[Maker], Case]:
    def case(make: Maker) -> Case:
        x, how = make.draw(pool_args(dims))
        del how["dilation"]
        how["count_include_pad"] = make.draw(st.booleans())
        if dims > 1:
            how["divisor_override"] = make.draw(st.sampled_from((None, 3)))
        x = (*x[:2], *(n + 1 for n in x[2:]))  # PyTorch's avg_pool3d asks for more than a window
        how = {k: one_or_all(make, v) if isinstance(v, tuple) else v for k, v in how.items()}
        return [make.array(batch(make, x), FEW)], how

    return case


def adaptive_case(dims: int, domain: Domain, **more: Any) -> Callable[[Maker], Case]:
    def case(make: Maker) -> Case:
        small = st.integers(1, 4)
        x = make.draw(st.tuples(st.integers(1, 2), st.integers(1, 2), *[st.integers(1, 5)] * dims))
        size = one_or_all(make, make.draw(st.tuples(*[small] * dims)))
        if isinstance(size, tuple) and dims > 1:
            size = (make.draw(st.sampled_from((None, size[0]))), *size[1:])
        return [make.array(x[1:] if make.draw(st.booleans()) else x, domain)], {
            "output_size": size, **more,
        }  # fmt: skip

    return case


COVERED = {
    "max_pool2d": ("max_pool2d_indices", "pool_take", "pool_put"),
    "max_pool3d": ("max_pool3d_indices",),
    "avg_pool2d": ("avg_pool2d_input",),
    "adaptive_max_pool2d": ("adaptive_max_pool2d_indices",),
}
DTYPES = {  # what PyTorch has
    "max_pool2d": (*HALF, "int64", "uint8"),
    "max_pool3d": ("float64", "float32", "int64"),
    "avg_pool2d": (*HALF, "int64"),
    "avg_pool3d": ("float64", "float32", "int64"),
}
for dims in (1, 2, 3):
    for name, case, kinks in (
        (f"max_pool{dims}d", max_pool_case(dims), True),
        (f"avg_pool{dims}d", avg_pool_case(dims), False),
        (f"adaptive_avg_pool{dims}d", adaptive_case(dims, FEW), False),
        (f"adaptive_max_pool{dims}d", adaptive_case(dims, MANY, return_indices=True), True),
    ):
        if hasattr(F, name):
            dtypes = DTYPES.get(name, HALF if dims < 3 else HALF[:2])
            row(name, getattr(F, name), getattr(TF, name), case, kinks=kinks, dtypes=dtypes,
                covers=COVERED.get(name, ()))  # fmt: skip


# --- resizing and borders -------------------------------------------------------------------------

SCALES = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)  # PyTorch itself disagrees about where 2.3 · 3 = 6 leads


def interpolate_case(*modes: str) -> Callable[[Maker], Case]:
    def case(make: Maker) -> Case:
        mode = make.draw(st.sampled_from(modes))
        fixed = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
        dims = fixed.get(mode) or make.draw(st.integers(1, 3))
        x = make.draw(st.tuples(st.integers(1, 2), st.integers(1, 2), *[st.integers(2, 4)] * dims))
        how: dict[str, Any] = {"mode": mode}
        if make.draw(st.booleans()):
            how["size"] = one_or_all(make, make.draw(st.tuples(*[st.integers(1, 6)] * dims)))
        else:
            scales = make.draw(st.tuples(*[st.sampled_from(SCALES)] * dims))
            how["scale_factor"] = one_or_all(make, scales)
            how["recompute_scale_factor"] = make.draw(st.sampled_from((None, True, False)))
        if mode in fixed:
            how["align_corners"] = make.draw(st.sampled_from((None, True, False)))
        return [make.array(x, FEW)], how

    return case


for name, modes in {
    "interpolate, nearest": ("nearest", "nearest-exact"),
    "interpolate, linear": ("linear", "bilinear", "trilinear"),
    "interpolate, bicubic": ("bicubic",),
    "interpolate, area": ("area",),
}.items():
    row(name, F.interpolate, TF.interpolate, interpolate_case(*modes), kinks=False,
        dtypes=(*HALF, "uint8") if "nearest" in modes else HALF,
        covers=("interpolate", "resample"))  # fmt: skip


def pad_case(make: Maker) -> Case:
    mode = make.draw(st.sampled_from(("constant", "reflect", "replicate", "circular")))
    dims = make.draw(st.integers(1, 3))
    x = make.draw(st.tuples(*[st.integers(1, 2)] * 2, *[st.integers(3, 4)] * dims))
    low = -1 if mode == "constant" else 0
    widths = make.draw(st.lists(st.integers(low, 2), min_size=2 * dims, max_size=2 * dims))
    value = make.draw(st.sampled_from((None, 1.5))) if mode == "constant" else None
    return [make.array(batch(make, x), FEW)], {"pad": widths, "mode": mode, "value": value}


row("pad, of any mode", F.pad, TF.pad, pad_case, kinks=False,
    covers=("pad",), dtypes=("float64", "float32", "float16", "int64"))  # fmt: skip


# --- windows laid out -----------------------------------------------------------------------------


def unfold_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    del how["groups"]
    how["kernel_size"] = w[2:]
    how = {k: one_or_all(make, v) for k, v in how.items()}
    return [make.array(batch(make, x), FEW)], how


def fold_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    del how["groups"]
    how["kernel_size"] = w[2:]
    columns = TF.unfold(torch.zeros(x), **how).shape
    how = {k: one_or_all(make, v) for k, v in (how | {"output_size": x[2:]}).items()}
    return [make.array(batch(make, columns), FEW)], how


def shuffle_case(up: bool) -> Callable[[Maker], Case]:
    def case(make: Maker) -> Case:
        r = make.draw(st.integers(1, 3))
        lead = make.draw(st.sampled_from(((), (2,), (1, 2))))
        c, h, w = make.draw(st.tuples(*[st.integers(1, 2)] * 3))
        shape = (c * r * r, h, w) if up else (c, h * r, w * r)
        option = "upscale_factor" if up else "downscale_factor"
        return [make.array((*lead, *shape), FEW)], {option: r}

    return case


row("unfold, of images", F.unfold, TF.unfold, unfold_case, kinks=False,
    covers=("unfold", "windows"), dtypes=HALF)  # fmt: skip
row("fold", F.fold, TF.fold, fold_case, kinks=False, covers=("windows_sum",), dtypes=HALF)
row("pixel_shuffle", F.pixel_shuffle, TF.pixel_shuffle, shuffle_case(up=True), kinks=False,
    dtypes=HALF)  # fmt: skip
row("pixel_unshuffle", F.pixel_unshuffle, TF.pixel_unshuffle, shuffle_case(up=False), kinks=False,
    dtypes=HALF)  # fmt: skip
