"""Numbers at the edges of a dtype, where the textbook formula would go wrong."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import tinygrad_course as tc
from tinygrad_course.testing import gradcheck

from .common import assert_equal


def test_log_softmax_keeps_small_differences_of_large_numbers() -> None:
    x = np.array([1e4, 1e4 + 1, 1e4 - 3], np.float32)
    expected = torch.log_softmax(torch.from_numpy(x), 0)
    assert_equal(tc.log_softmax(tc.from_numpy(x), 0), expected, "log_softmax", rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_exponentials_do_not_overflow(name: str) -> None:
    x = np.array([1e3, -1e3, 0.0], np.float32)
    assert_equal(getattr(tc, name)(tc.from_numpy(x), 0),
                 getattr(torch, name)(torch.from_numpy(x), 0), name)  # fmt: skip


def test_infinities_that_cancel_are_nan_without_a_warning() -> None:
    x = tc.tensor([np.inf, -np.inf], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad_course\.")
        assert np.isnan(x.cumsum(0)[1].item())
        y = tc.tensor(2.0, requires_grad=True)
        (x * y).sum().backward()
    assert np.isnan(y.grad.item())


def test_cat_takes_the_dtype_that_holds_all() -> None:
    whole, half = tc.tensor([1, 2]), tc.tensor([0.5], requires_grad=True)
    joined = tc.cat([whole, half])
    assert joined.dtype == tc.float32
    joined.sum().backward()
    assert half.grad.dtype == tc.float32


def test_a_linear_map_without_bias_twice() -> None:
    x = tc.tensor([[1.0, 2.0]], dtype=tc.float64, requires_grad=True)
    w = tc.tensor([[3.0, 4.0], [5.0, 6.0]], dtype=tc.float64, requires_grad=True)
    gradcheck(tc.ops.linalg.linear, [x, w], order=2)
