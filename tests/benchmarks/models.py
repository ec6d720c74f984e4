"""Whole training steps of the models that people learn with, written once for both libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .harness import Case, Contest


def cases() -> list[Case]:
    """The cases of this file."""
    found = [
        _case(f"{name} step, batch {batch}", make, shape, batch, optimizer, goal)
        for name, make, shape, optimizer, goals in (
            ("MLP 784-128-64-10, Adam", mlp, (784,), adam, {1: 2.0, 32: 1.8, 128: 1.5}),
            ("LeNet-5, Adam", lenet, (1, 28, 28), adam, {1: 3.0, 32: 2.2, 128: 1.8}),
            ("VGG with batch norm, SGD", vgg, (3, 32, 32), sgd, {32: 1.3}),
            ("AlexNet, SGD", alexnet, (3, 224, 224), sgd, {16: 1.05}),
        )
        for batch, goal in goals.items()
    ]
    inference = Case("LeNet-5 inference, batch 128", "PyTorch", _inference, goal=2.0)
    return [*found, inference]


# Steps are small: a model that has learned its one batch by heart has gradients that fade away into
# denormal numbers, which processors take many times as long for.
RATE = 1e-6


def adam(lib: Any, parameters: Any) -> Any:
    return lib.optim.Adam(parameters, lr=RATE)


def sgd(lib: Any, parameters: Any) -> Any:
    return lib.optim.SGD(parameters, lr=RATE, momentum=0.9)


def mlp(nn: Any) -> Any:
    """Two hidden layers; images as rows of 784 numbers."""
    return nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(),
        nn.Linear(128, 64), nn.ReLU(),
        nn.Linear(64, 10),
    )  # fmt: skip


def lenet(nn: Any) -> Any:
    """LeNet-5 (LeCun et al. 1998) with plain averages and a softmax."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),  # (N, 6, 14, 14)
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),  # (N, 16, 5, 5)
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(),
        nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, 10),
    )  # fmt: skip


def vgg(nn: Any) -> Any:
    """Six 3×3 convolutions with batch norm, in three stages (after Simonyan and Zisserman 2015)."""
    layers, channels = [], 3
    for width in (64, 128, 256):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 4 * 4, 10))


def alexnet(nn: Any) -> Any:
    """AlexNet on one device, in its widths of 2014 (Krizhevsky), 1,000 classes."""
    widths = [(3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1),
              (256, 256, 3, 1, 1)]  # fmt: skip
    layers = []
    for i, shape in enumerate(widths):
        layers += [nn.Conv2d(*shape), nn.ReLU()]
        if i in (0, 1, 4):
            layers.append(nn.MaxPool2d(3, 2))
    return nn.Sequential(
        *layers, nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
        nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Linear(4096, 1000),
    )  # fmt: skip


def _case(
    name: str, make: Any, shape: tuple[int, ...], batch: int, optimizer: Any, goal: float
) -> Case:
    def contest() -> Contest:
        import torch

        import tinygrad_course as tc

        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((batch, *shape), np.float32), rng.integers(0, 10, batch)
        return _step(torch, make, optimizer, x, y), _step(tc, make, optimizer, x, y)

    return Case(name, "PyTorch", contest, goal=goal)


def _step(lib: Any, make: Any, choose: Any, x: Any, y: Any) -> Callable[[], float]:
    """A training step of a model in one of the libraries."""
    model, x, y = make(lib.nn), lib.tensor(x), lib.tensor(y)
    optimizer = choose(lib, model.parameters())

    def step() -> float:
        loss = lib.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def _inference() -> Contest:
    import torch

    import tinygrad_course as tc

    x = np.random.default_rng(0).standard_normal((128, 1, 28, 28), np.float32)
    return _evaluated(torch, x), _evaluated(tc, x)


def _evaluated(lib: Any, x: Any) -> Callable[[], Any]:
    model, x = lenet(lib.nn).eval(), lib.tensor(x)

    def infer() -> Any:
        with lib.no_grad():
            return model(x)

    return infer
