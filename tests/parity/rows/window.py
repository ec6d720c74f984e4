"""Windows: convolution and pooling."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from tinygrad_course.ops import window
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import REAL, Domain

from .row import Case, Maker, row


def conv_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    dtype = make.dtype()
    bias = [make.array((w[0],), REAL, dtype)] if make.draw(st.booleans()) else []
    small = Domain("few", REAL.numbers[:32], distinct=False)
    return [make.array(x, small, dtype), make.array(w, small, dtype), *bias], how


def quiet(f: Any) -> Any:
    """Without PyTorch's warning that an even kernel makes it copy the input."""

    def call(*args: Any, **how: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args, **how)

    return call


def named_padding_case(make: Maker) -> Case:
    (x, w, *b), how = conv_case(make)
    reach = [d * (k - 1) + 1 for d, k in zip(how["dilation"], w.shape[2:], strict=True)]
    fits = all(n >= r for n, r in zip(x.shape[2:], reach, strict=True))
    how["padding"] = make.draw(st.sampled_from(("same", "valid") if fits else ("same",)))
    return [x, w, *b], {**how, "stride": 1}


def conv_sizes(x: Any, w: Any, how: dict[str, Any]) -> dict[str, Any]:
    return {**how, "image": tuple(x[2:]), "window": tuple(w[2:])}


def conv_input_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    y = F.conv2d(torch.zeros(x), torch.zeros(w), **how).shape
    small = Domain("few", REAL.numbers[:32], distinct=False)
    dtype = make.dtype()
    return [make.array(tuple(y), small, dtype), make.array(w, small, dtype)], conv_sizes(x, w, how)


def conv_weight_case(make: Maker) -> Case:
    x, w, how = make.draw(ts.conv_args())
    y = F.conv2d(torch.zeros(x), torch.zeros(w), **how).shape
    small = Domain("few", REAL.numbers[:32], distinct=False)
    dtype = make.dtype()
    return [make.array(x, small, dtype), make.array(tuple(y), small, dtype)], conv_sizes(x, w, how)


def torch_conv_input(y: Any, w: Any, image: Any, window: Any, **how: Any) -> Any:
    size = (y.shape[0], w.shape[1] * how["groups"], *image)
    return torch.nn.grad.conv2d_input(size, w, y, **how)


def torch_conv_weight(x: Any, y: Any, image: Any, window: Any, **how: Any) -> Any:
    size = (y.shape[1], x.shape[1] // how["groups"], *window)
    return torch.nn.grad.conv2d_weight(x, size, y, **how)


row("conv2d", window.conv2d, F.conv2d, conv_case, kinks=False)
row("conv2d, padding by name", window.conv2d, quiet(F.conv2d), named_padding_case, kinks=False)
row("conv2d_input", window.conv2d_input, torch_conv_input, conv_input_case, kinks=False)
row("conv2d_weight", window.conv2d_weight, torch_conv_weight, conv_weight_case, kinks=False)


def max_pool_case(make: Maker) -> Case:
    x, how = make.draw(ts.pool_args())
    return [make.array(x, Domain("many", ts.UNIT.numbers))], {**how, "return_indices": True}


def avg_pool_case(make: Maker) -> Case:
    x, how = make.draw(ts.pool_args())
    del how["dilation"]
    how["count_include_pad"] = make.draw(st.booleans())
    how["divisor_override"] = make.draw(st.sampled_from((None, 3)))
    x = (*x[:2], *(n + 1 for n in x[2:]))
    return [make.array(x, Domain("few", REAL.numbers[:32], distinct=False))], how


row("max_pool2d", window.max_pool2d, F.max_pool2d, max_pool_case,
    covers=("max_pool2d_indices", "pool_take", "pool_put"))  # fmt: skip
row("avg_pool2d", window.avg_pool2d, F.avg_pool2d, avg_pool_case, kinks=False,
    covers=("avg_pool2d_input",))  # fmt: skip
