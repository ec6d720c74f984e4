"""The engine's overhead: chains of small operations, and micrograd's own lesson."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_course as tc

from .harness import Case, Contest

LENGTH = 100  # multiply-adds in the chain


def cases() -> list[Case]:
    """The cases of this file."""
    ops = {"per_call": 2 * LENGTH, "unit": "op"}
    return [
        Case(
            "100 multiply-adds, 4×4, by constants",
            "PyTorch",
            lambda: _chains(False),
            goal=3.0,
            **ops,
        ),
        Case(
            "100 multiply-adds, 4×4, all require grad",
            "PyTorch",
            lambda: _chains(True),
            goal=3.0,
            **ops,
        ),
        Case(
            "moons MLP step, Scalars with dot", "micrograd", lambda: _moons(use_dot=True), goal=5.0
        ),
        Case("moons MLP step, micrograd's own nn.py", "micrograd", lambda: _moons(use_dot=False)),
    ]


def _chains(all_require_grad: bool) -> Contest:
    import torch

    ones = np.ones((4, 4), np.float32)
    flags = (True, all_require_grad, all_require_grad)
    theirs = [torch.tensor(ones, requires_grad=flag) for flag in flags]
    ours = [tc.tensor(ones, requires_grad=flag) for flag in flags]
    return lambda: _chain(*theirs), lambda: _chain(*ours)


def _chain(x: Any, a: Any, b: Any) -> None:
    for _ in range(LENGTH):
        x = x * a + b
    x.sum().backward()


# --- micrograd's demo: 100 points of two moons, a 2-16-16-1 network, SVM loss, L2 -----------------


def _moons(use_dot: bool) -> Contest:
    import micrograd.nn
    from micrograd.engine import Value
    from sklearn.datasets import make_moons

    points, labels = make_moons(n_samples=100, noise=0.1, random_state=1)
    data = points.tolist(), [2.0 * y - 1.0 for y in labels.tolist()]
    with open(micrograd.nn.__file__, encoding="utf-8") as file:
        source = file.read().replace("from micrograd.engine import Value", "")
    ours = source
    if use_dot:
        weighted_sum = "sum((wi*xi for wi,xi in zip(self.w, x)), self.b)"
        assert weighted_sum in source
        ours = source.replace(weighted_sum, "dot(self.w, x) + self.b")
    return _step(Value, source, *data), _step(tc.Scalar, ours, *data)


def _step(number: Any, source: str, points: Any, labels: Any) -> Callable[[], float]:
    """A training step of micrograd's own network code on a class of numbers."""
    room: dict[str, Any] = {"Value": number, "dot": tc.dot}
    exec(source, room)
    random.seed(1337)
    model = room["MLP"](2, [16, 16, 1])

    def step() -> float:
        inputs = [list(map(number, row)) for row in points]
        scores = list(map(model, inputs))
        losses = [(1 + -y * score).relu() for y, score in zip(labels, scores, strict=True)]
        penalty = 1e-4 * sum(p * p for p in model.parameters())
        total = sum(losses) * (1.0 / len(losses)) + penalty
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= 0.1 * p.grad
        return float(total.data)

    return step
