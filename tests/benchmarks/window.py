"""Convolution and pooling, pass by pass, in the shapes of LeNet, AlexNet and a small VGG.

The calls are those of the two libraries: a forward pass without a graph, and `autograd.grad` of a
recorded one with respect to the image or to the weight alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_course as tc
import tinygrad_course.nn.functional as F

from .harness import Case, Contest


class Conv(NamedTuple):
    """A convolution: images (N, C, size, size), kernels (O, C, k, k)."""

    name: str
    images: int
    channels: int
    size: int
    outputs: int
    k: int
    stride: int = 1
    padding: int = 0
    passes: tuple[str, ...] = ("forward", "input", "weight")


LENET = [
    conv
    for n in (1, 32, 128)
    for conv in (
        Conv(f"LeNet conv1, N={n}", n, 1, 28, 6, 5, 1, 2, ("forward", "weight")),
        Conv(f"LeNet conv2, N={n}", n, 6, 14, 16, 5),
    )
]
OTHERS = [
    Conv("8×8 images 1→6 3×3, N=32", 32, 1, 8, 6, 3, 1, 1, ("forward",)),
    Conv("AlexNet conv1 11×11, N=16", 16, 3, 224, 64, 11, 4, 2, ("forward", "weight")),
    Conv("AlexNet conv2 5×5, N=16", 16, 64, 27, 192, 5, 1, 2),
    Conv("192→384 3×3 at 13², N=16", 16, 192, 13, 384, 3, 1, 1),
    Conv("384→256 3×3 at 13², N=16", 16, 384, 13, 256, 3, 1, 1),
    Conv("256→256 3×3 at 13², N=16", 16, 256, 13, 256, 3, 1, 1),
    Conv("64→64 3×3 at 32², N=16", 16, 64, 32, 64, 3, 1, 1),
    Conv("128→128 3×3 at 16², N=16", 16, 128, 16, 128, 3, 1, 1),
]

POOLS: dict[str, tuple[tuple[int, ...], str, tuple[int, int]]] = {
    "average pool 2×2": ((128, 6, 28, 28), "avg_pool2d", (2, 2)),
    "max pool 2×2": ((128, 6, 28, 28), "max_pool2d", (2, 2)),
    "max pool 3×3, stride 2": ((16, 64, 55, 55), "max_pool2d", (3, 2)),
}


def cases() -> list[Case]:
    """The cases of this file."""
    convolutions = [
        Case(
            f"{conv.name}: {which}", "PyTorch", lambda c=conv, w=which: _conv(c, w),
            goal=0.75, family="convolution passes",
        )
        for conv in (*LENET, *OTHERS)
        for which in conv.passes
    ]  # fmt: skip
    forward = [
        Case(f"{name}: forward", "PyTorch", lambda n=name: _pool(n, "forward"), family="pools")
        for name in POOLS
    ]
    back = [Case(f"{name}: input", "PyTorch", lambda n=name: _pool(n, "input")) for name in POOLS]
    return convolutions + forward + back


def _numbers(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _conv(conv: Conv, which: str) -> Contest:
    import torch

    x = _numbers(conv.images, conv.channels, conv.size, conv.size)
    w = _numbers(conv.outputs, conv.channels, conv.k, conv.k)
    how = {"stride": conv.stride, "padding": conv.padding}
    return (
        _pass(torch, torch.nn.functional.conv2d, which, x, w, **how),
        _pass(tc, F.conv2d, which, x, w, **how),
    )


def _pool(name: str, which: str) -> Contest:
    import torch

    shape, function, (kernel_size, stride) = POOLS[name]
    x = _numbers(*shape)
    how = {"kernel_size": kernel_size, "stride": stride}
    return (
        _pass(torch, getattr(torch.nn.functional, function), which, x, **how),
        _pass(tc, getattr(F, function), which, x, **how),
    )


def _pass(lib: Any, function: Any, which: str, *arrays: Any, **how: Any) -> Callable[[], Any]:
    """One pass of a function, in one of the libraries."""
    values = [lib.tensor(a) for a in arrays]
    if which == "forward":

        def forward() -> Any:
            with lib.no_grad():
                return function(*values, **how)

        return forward
    wanted = values[which == "weight"].requires_grad_()
    out = function(*values, **how)
    g = lib.ones_like(out)
    return lambda: lib.autograd.grad(out, wanted, g, retain_graph=True)
