"""The graphs that the tests draw."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_course as tc
from tinygrad_course import Scalar, Tensor

Drawn = tuple[Any, dict[str, Any]]


def leaf(*shape: int) -> Tensor:
    return tc.ones(shape).requires_grad_()


def neuron() -> Drawn:
    """A tanh neuron and its squared error: micrograd's picture."""
    x, w, b = Scalar(2.0), Scalar(-0.5), Scalar(1.25)
    y = (w * x + b).tanh()
    return (y - x) * (y - 1.0), {"x": x, "w": w, "b": b, "y": y}


def mlp() -> Drawn:
    """Two affine layers, one written out and one by the row; a mean of squares."""
    p = {"hidden.weight": leaf(16, 4), "hidden.bias": leaf(16)}
    p |= {"out.weight": leaf(16, 3), "out.bias": leaf(3)}
    x = Tensor(np.arange(128, dtype=np.float32).reshape(32, 4))
    h = (x @ p["hidden.weight"].T + p["hidden.bias"]).tanh()
    y = h @ p["out.weight"] + p["out.bias"]
    return (y * y).mean(), p


def recurrent(steps: int = 100) -> Drawn:
    """A recurrent cell, unrolled."""
    p = {"cell.W": leaf(4, 4), "cell.U": leaf(4, 4)}
    x, h = tc.ones(2, 4), tc.zeros(2, 4)
    for _ in range(steps):
        h = (x @ p["cell.W"] + h @ p["cell.U"]).tanh()
    return h.sum(), p


def stack(layers: int = 40) -> Drawn:
    """Residual layers, each with a weight of its own."""
    p = {"x": leaf(2, 4)} | {f"layers.{i}.weight": leaf(4, 4) for i in range(layers)}
    h = p["x"]
    for i in range(layers):
        z = (h @ p[f"layers.{i}.weight"]).relu()
        h = h + z * z.sigmoid() - z.exp().log()
    return h.mean(), p


def chain(length: int) -> Scalar:
    y = Scalar(1.0)
    for _ in range(length):
        y = y + 1.0
    return y


def diamonds(depth: int) -> Drawn:
    """Each value is used twice: 2^depth ways lead back."""
    x = Scalar(0.5)
    y = x
    for _ in range(depth):
        y = y + y
    return y, {"x": x}


def tangle(nodes: int) -> Scalar:
    """No chain and no repeat: each operation takes two of the last twenty values."""
    draw = np.random.default_rng(0).integers(0, 20, (nodes, 2))
    kinds = np.random.default_rng(1).integers(0, 4, nodes)
    values = [Scalar(1.0 / (i + 1)) for i in range(20)]
    for (i, j), kind in zip(draw, kinds, strict=True):
        a, b = values[-int(i) - 1], values[-int(j) - 1]
        values.append((a + b, a * b, a - b, a.tanh())[kind])
    return sum(values[-20:], Scalar(0.0))
