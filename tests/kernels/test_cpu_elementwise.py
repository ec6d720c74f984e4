"""Elementwise kernels: as near to the truth as is promised, on one thread and on two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tc
from tests.kernels.layouts import on
from tinygrad_course.kernels import cpu_elementwise


def _numbers() -> Any:
    spread = [np.linspace(-10, 10, 200_001), np.logspace(-44, 1, 20_000), -np.logspace(-44, 2, 999)]
    odd = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30]
    return np.concatenate([*spread, odd]).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2])
def test_tanh(threads: int, monkeypatch: Any) -> None:
    original = cpu_elementwise.threads_for  # starts the threads, if it may
    monkeypatch.setattr(
        cpu_elementwise, "threads_for", lambda *_: min(threads, original(1 << 60, 1))
    )
    x = _numbers()
    got, expected = cpu_elementwise.tanh(x), np.tanh(x.astype(np.float64))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(x))
    np.testing.assert_array_equal(np.signbit(got), np.signbit(x))
    sure = np.isfinite(expected)
    off = np.abs(got[sure] - expected[sure])
    assert (off <= 1.5 * np.spacing(np.abs(expected[sure]).astype(np.float32))).all()
    assert (np.abs(got[sure]) <= 1).all()


def test_tanh_keeps_shapes_and_leaves_double_precision_to_numpy() -> None:
    x = np.random.default_rng(0).standard_normal((100, 3, 20)).astype(np.float32)
    got = tc.tanh(tc.tensor(x).permute(2, 0, 1)).numpy()
    np.testing.assert_allclose(got, np.tanh(x.transpose(2, 0, 1)), rtol=3e-7)
    double = x.astype(np.float64)
    np.testing.assert_array_equal(tc.tanh(tc.tensor(double)).numpy(), np.tanh(double))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_tanh(dtype: str) -> None:
    rng = np.random.default_rng(0)
    g, y = (rng.uniform(-1, 1, (3, 70, 100)).astype(dtype) for _ in range(2))
    expected = g * (1 - y.astype(np.float64) ** 2)
    for given in (g, np.asfortranarray(g)):
        got = cpu_elementwise.tanh_back(given, y, y)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    x = tc.tensor(rng.standard_normal((80, 100)).astype(dtype), requires_grad=True)
    (once,) = tc.autograd.grad(tc.tanh(x).sum(), x, create_graph=True)
    (twice,) = tc.autograd.grad(once.sum(), x)
    t = np.tanh(x.detach().numpy().astype(np.float64))
    np.testing.assert_allclose(twice.numpy(), -2 * t * (1 - t * t), rtol=1e-4, atol=1e-6)


FUNCTIONS = {"relu": tc.relu, "sigmoid": tc.sigmoid, "gelu": tc.nn.functional.gelu}
KERNELS = [("relu", "f4"), ("relu", "f8"), ("sigmoid", "f4"), ("sigmoid", "f8"), ("gelu", "f4")]


@pytest.mark.parametrize(("name", "dtype"), KERNELS)
@pytest.mark.parametrize("threads", [1, 2])
def test_activations(name: str, dtype: str, threads: int) -> None:
    x = _numbers().astype(dtype).reshape(3, -1)[:, ::-1]
    g = np.random.default_rng(0).standard_normal(x.shape).astype(dtype)
    g[0, 5], g[1, 7], g[2, 9] = np.inf, np.nan, -np.inf
    wide = tc.tensor(x.astype(np.float64), requires_grad=True)
    expected = FUNCTIONS[name](wide)
    expected.backward(tc.tensor(g.astype(np.float64)))
    with on(cpu_elementwise, threads):
        got = getattr(cpu_elementwise, name)(x)
        back = getattr(cpu_elementwise, f"{name}_back")(g, got, x)
    assert got.dtype == back.dtype == dtype
    tolerance = 5e-7 if dtype == "f4" else 1e-15
    for a, b in ((got, expected.detach()), (back, wide.grad)):
        np.testing.assert_allclose(a, b.numpy(), rtol=tolerance, atol=3 * tolerance)


def test_what_activations_leave_to_numpy() -> None:
    g, x = np.ones((2, 3), "f4"), np.ones((2, 3), "f8")
    assert cpu_elementwise.relu_back(g, x, x) is NotImplemented
    assert cpu_elementwise.gelu(x) is NotImplemented
    assert cpu_elementwise.gelu_back(x, x, x) is NotImplemented
