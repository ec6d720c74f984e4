"""From arrays to our Tensors and to PyTorch's, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import tinygrad_course as tc

RTOL = {8: 1e-9, 4: 2e-5, 2: 2e-3}


def ours(x: Any, grad: bool = False) -> Any:
    """An argument as our Tensor; arrays keep their layout."""
    if not isinstance(x, np.ndarray):
        return x
    tensor = tc.from_numpy(x)
    return tensor.requires_grad_() if grad and x.dtype.kind == "f" else tensor


def theirs(x: Any, grad: bool = False) -> Any:
    """An argument as PyTorch's tensor."""
    if not isinstance(x, np.ndarray):
        return x
    tensor = torch.from_numpy(np.array(x, order="C"))
    return tensor.requires_grad_() if grad and x.dtype.kind == "f" else tensor


def listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def assert_equal(a: Any, b: Any, what: str, rtol: float | None = None, atol: float = 0.0) -> None:
    """Our Tensor and PyTorch's have the same shape, dtype and, up to rounding, numbers."""
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.shape == b.shape, f"{what}: shape {a.shape}, PyTorch's {b.shape}"
    assert a.dtype == b.dtype, f"{what}: dtype {a.dtype}, PyTorch's {b.dtype}"
    if a.dtype.kind == "f":
        rtol = rtol or RTOL[a.dtype.itemsize]
        size = np.abs(b[np.isfinite(b)]).max(initial=0.0).astype(np.float64)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * size + atol, err_msg=what)
    else:
        np.testing.assert_array_equal(a, b, err_msg=what)
