"""Normalisation, softmax, attention, losses and activations: a forward and a backward pass each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_course as tc

from .harness import Case

Step = Callable[[], Any]
ELEMENTS = 1 << 20
HEADS = (8, 4, 64, 32), (8, 8, 128, 64), (4, 8, 256, 64)


def cases() -> list[Case]:
    """The cases of this file."""
    return [*_norms(), *_exponentials(), *_attentions(), *_activations()]


def _case(name: str, make: Callable[[], tuple[Step, Step]]) -> Case:
    return Case(name, "PyTorch", make)


def _norms() -> list[Case]:
    kinds: list[tuple[str, tuple[Any, ...], tuple[int, ...]]] = [
        ("LayerNorm", (512,), (32, 128, 512)),
        ("LayerNorm", (256,), (8, 64, 256)),
        ("LayerNorm", (512,), (1, 512)),
        ("RMSNorm", (512,), (32, 128, 512)),
        ("GroupNorm", (8, 64), (16, 64, 32, 32)),
        ("InstanceNorm2d", (64,), (16, 64, 32, 32)),
        ("BatchNorm1d", (128,), (128, 128)),
        ("BatchNorm2d", (64,), (32, 64, 32, 32)),
        ("BatchNorm2d", (256,), (32, 256, 8, 8)),
    ]
    found = [
        _case(_named(name, shape), lambda n=name, o=options, s=shape: _layer(n, o, s))
        for name, options, shape in kinds
    ]
    shape = (32, 64, 32, 32)
    idle = _case(
        _named("BatchNorm2d, evaluation", shape), lambda: _layer("BatchNorm2d", (64,), shape, False)
    )
    return [*found, idle]


def _named(name: str, shape: tuple[int, ...]) -> str:
    return f"{name}, {'×'.join(map(str, shape))}"


def _layer(
    name: str, options: tuple[Any, ...], shape: tuple[int, ...], training: bool = True
) -> tuple[Step, Step]:
    import torch

    layers = [getattr(nn, name)(*options) for nn in (torch.nn, tc.nn)]
    for layer in layers:
        layer.train(training)
    return _both(shape, *layers)


def _both(shape: tuple[int, ...], theirs: Step, ours: Step, count: int = 1) -> tuple[Step, Step]:
    """Forward and backward of two functions of `count` arrays, which all want a gradient."""
    import torch

    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for _ in range(count + 1)]
    contestants = []
    for tensor, function in ((torch.tensor, theirs), (tc.tensor, ours)):
        *inputs, g = [tensor(a) for a in arrays]
        for x in inputs:
            x.requires_grad_()
        contestants.append(lambda f=function, i=inputs, g=g: _step(f, i, g))
    peer, own = contestants
    return peer, own


def _step(function: Step, inputs: list[Any], g: Any) -> None:
    for x in inputs:
        x.grad = None
    out = function(*inputs)
    out.backward(g if out.shape == g.shape else None)


def _exponentials() -> list[Case]:
    found = []
    for name in ("softmax", "log_softmax"):
        for shape in ((32, 8, 128, 128), (128, 1000)):
            found.append(_case(_named(name, shape), lambda n=name, s=shape: _last_dim(n, s)))
    for shape in ((128, 10), (128, 1000), (4096, 50)):
        found.append(_case(_named("cross_entropy", shape), lambda s=shape: _loss(s)))
    return found


def _last_dim(name: str, shape: tuple[int, ...]) -> tuple[Step, Step]:
    import torch

    theirs, ours = getattr(torch.nn.functional, name), getattr(tc.nn.functional, name)
    return _both(shape, lambda x: theirs(x, -1), lambda x: ours(x, -1))


def _loss(shape: tuple[int, ...]) -> tuple[Step, Step]:
    import torch

    labels = np.random.default_rng(1).integers(0, shape[1], shape[0])
    theirs, ours = torch.tensor(labels), tc.tensor(labels)
    return _both(
        shape,
        lambda x: torch.nn.functional.cross_entropy(x, theirs),
        lambda x: tc.nn.functional.cross_entropy(x, ours),
    )


def _attentions() -> list[Case]:
    found = []
    for shape in HEADS:
        for causal in (False, True):
            name = _named(f"attention{', causal' if causal else ''}", shape)
            found.append(_case(name, lambda s=shape, c=causal: _attend(s, c)))
        found.append(_case(_named("MultiheadAttention", shape), lambda s=shape: _multihead(*s)))
    return found


def _attend(shape: tuple[int, ...], causal: bool) -> tuple[Step, Step]:
    import torch

    theirs = torch.nn.functional.scaled_dot_product_attention
    ours = tc.nn.functional.scaled_dot_product_attention
    return _both(
        shape,
        lambda q, k, v: theirs(q, k, v, is_causal=causal),
        lambda q, k, v: ours(q, k, v, is_causal=causal),
        count=3,
    )


def _multihead(batch: int, heads: int, length: int, width: int) -> tuple[Step, Step]:
    import torch

    size = heads * width
    theirs, ours = (
        nn.MultiheadAttention(size, heads, batch_first=True) for nn in (torch.nn, tc.nn)
    )
    return _both(
        (batch, length, size),
        lambda x: theirs(x, x, x, need_weights=False)[0],
        lambda x: ours(x, x, x, need_weights=False)[0],
    )


def _activations() -> list[Case]:
    return [
        _case(f"{name}, 2²⁰ elements", lambda n=name: _activation(n))
        for name in ("relu", "gelu", "tanh", "sigmoid")
    ]


def _activation(name: str) -> tuple[Step, Step]:
    import torch

    theirs, ours = getattr(torch.nn.functional, name), getattr(tc.nn.functional, name)
    return _both((ELEMENTS,), theirs, ours)
