"""Model code with annotations: mypy must find every name in it, and know what each gives.

Nothing runs it: `mypy` reads it with the package, beside the list of all names in `typed_names.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np

import tinygrad_course as tc
from tinygrad_course import Tensor, nn, optim
from tinygrad_course.data import DataLoader, TensorDataset


class Attention(nn.Module):
    """Multi-head attention with a causal mask."""

    mask: Tensor

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(size, 3 * size, bias=False)
        self.out = nn.Linear(size, size)
        self.register_buffer("mask", tc.tril(tc.ones(64, 64)).bool())

    def forward(self, x: Tensor) -> Tensor:
        batch, time, size = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (t.view(batch, time, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        scores = q @ k.transpose(-2, -1) / math.sqrt(size // self.heads)
        scores = scores.masked_fill(~self.mask[:time, :time], -math.inf)
        mixed = scores.softmax(dim=-1) @ v
        out: Tensor = self.out(mixed.transpose(1, 2).contiguous().view(batch, time, size))
        return out


def step(model: nn.Module, optimizer: optim.Optimizer, x: Tensor, y: Tensor) -> float:
    loss: Tensor = nn.functional.cross_entropy(model(x), y, label_smoothing=0.1)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    value: float = loss.item()
    return value


def results(x: Tensor, i: Tensor) -> None:
    """What methods and operators give is known."""
    assert_type(x + 1, Tensor)
    assert_type(2 / x, Tensor)
    assert_type(x @ x, Tensor)
    assert_type(x > 0, Tensor)
    assert_type(~(x == 0), Tensor)
    assert_type(x[0, ..., None], Tensor)
    assert_type(x.sum(dim=(0, 1), keepdim=True), Tensor)
    assert_type(x.mean(0).relu().view(-1, 1).expand(3, 4), Tensor)
    assert_type(x.gather(1, i).index_add(0, i, x).masked_fill(x > 0, 0.0), Tensor)
    assert_type(x.split(2, dim=1), tuple[Tensor, ...])
    assert_type(x.topk(3, dim=0).values, Any)
    assert_type(x.shape, tuple[int, ...])
    assert_type(x.requires_grad, bool)
    assert_type(x.grad, Tensor | None)
    assert_type(x.numpy(), np.ndarray[Any, Any])
    assert_type(x.double().to(tc.float32).detach().clone(), Tensor)
    assert_type(x.add_(1).clamp_(0.0, 1.0).zero_(), Tensor)
    assert_type(x.numel(), int)
    assert_type(tc.zeros(2, 3, dtype=tc.float64), Tensor)
    assert_type(tc.randn(2, generator=tc.Generator()), Tensor)
    assert_type(tc.Scalar(2.0) * 3 + tc.Scalar(1.0).tanh(), tc.Scalar)


def batches(x: Tensor, y: Tensor) -> Iterator[Any]:
    yield from DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True)


def mistakes(x: Tensor) -> None:
    """Each line is wrong, and mypy says so: an ignore that is not needed would be an error."""
    tc.no_such_function(x)  # type: ignore[attr-defined]
    x.no_such_method()  # type: ignore[attr-defined]
    x.sum(dimension=0)  # type: ignore[call-arg]
    tc.sum(x, dimension=0)  # type: ignore[call-arg]
    nn.Linear(3, 4, biass=True)  # type: ignore[call-arg]
    nn.functional.relu(x, in_place=True)  # type: ignore[call-arg]
    x.shape = (3,)  # type: ignore[misc]
