"""The test table on the device: what a row gives there must be what it gives on the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import tinygrad_course as tc
from tests.parity.common import RTOL, listed, ours
from tests.parity.rows import Row
from tinygrad_course import devices

RANDOM = {"bernoulli", "bernoulli, p", "multinomial", "normal_", "uniform_", "bernoulli_",
          "dropout", "rrelu", "gumbel_softmax"}  # fmt: skip
# rows whose arguments are drawn with PyTorch's help
NEEDS_TORCH = {"index_put", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
               "conv2d_input", "conv2d_weight", "fold"}  # fmt: skip
ON_THE_HOST = {"allclose", "equal"}  # their result is Python's


@contextlib.contextmanager
def by_default_there() -> Iterator[None]:
    """Tensors that a test row makes itself are on the device, too."""
    place = devices.place
    devices.place = lambda array, device: place(array, "cuda" if device is None else device)
    try:
        yield
    finally:
        devices.place = place


def moved(x: Any, grad: bool) -> Any:
    tensor = ours(x, grad)
    if not isinstance(tensor, tc.Tensor):
        return tensor
    leaf = tensor.detach().to("cuda")
    return leaf.requires_grad_() if tensor.requires_grad else leaf


def compare(a: Any, b: Any, what: str, numbers: bool = True) -> None:
    """Two results are alike, and the second is on the device."""
    if not isinstance(a, tc.Tensor):
        return
    assert b.device == "cuda:0" or what in ON_THE_HOST, what
    a, b = a.detach().numpy(), b.detach().numpy()
    assert (a.shape, a.dtype) == (b.shape, b.dtype), what
    rtol = RTOL[a.dtype.itemsize] if a.dtype.kind == "f" else 0
    size = np.abs(a[np.isfinite(a)]).max(initial=0.0).astype(np.float64) if rtol else 0
    if numbers:
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * size, err_msg=what)


def check(row: Row, case: Any, grad: bool) -> None:
    args, params = case
    here, there = [ours(x, grad) for x in args], [moved(x, grad) for x in args]
    numbers = row.name not in RANDOM
    want = listed(row.ours(*here, **params))
    with by_default_there():
        got = listed(row.ours(*there, **params))
    for a, b in zip(want, got, strict=True):
        compare(a, b, row.name, numbers)
        if grad and numbers and isinstance(a, tc.Tensor) and a.requires_grad:
            seed = np.linspace(0.5, 1.5, a.numel()).reshape(a.shape)
            a.backward(tc.tensor(seed, a.dtype), retain_graph=True)
            b.backward(tc.tensor(seed, a.dtype, "cuda"), retain_graph=True)
    for a, b in zip(here, there, strict=True):
        if isinstance(a, tc.Tensor) and a.grad is not None:
            compare(a.grad, b.grad, f"the gradient of {row.name}")
