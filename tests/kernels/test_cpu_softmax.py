"""The kernels of softmax and cross-entropy: as the rows say, and as exact as they are."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tests.kernels.layouts import LAYOUTS, laid_out, on
from tinygrad_course.kernels import cost, cpu_jit, cpu_math, cpu_softmax
from tinygrad_course.ops import reduce

some = settings(deadline=None, max_examples=40)
counts = st.sampled_from([1, 2])
dtypes = st.sampled_from(["float32", "float64"])
shapes = st.lists(st.integers(1, 6), min_size=0, max_size=2).flatmap(
    lambda lead: st.integers(1, 150).map(lambda last: (*lead, last))
)
ROWS: dict[str, Any] = {"softmax": reduce.softmax_at, "log_softmax": reduce.log_softmax_at}


def close(a: Any, b: Any, dtype: str) -> None:
    assert a.dtype == b.dtype == dtype
    tolerance = 2e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@some
@given(st.sampled_from(sorted(ROWS)), shapes, dtypes, counts, st.integers(0, 2**32 - 1))
def test_softmax(name: str, shape: Any, dtype: str, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, g = (rng.normal(0, 3, shape).astype(dtype) for _ in range(2))
    how = {"dim": len(shape) - 1}
    plain, rule = (f.__wrapped__ for f in (ROWS[name].forward, ROWS[name].rules[0]))
    with on(cpu_softmax, count):
        out = getattr(cpu_softmax, name)(x, **how)
        dx = getattr(cpu_softmax, f"{name}_back")(g, out, x, **how)
    close(out, plain(x, **how), dtype)
    close(dx, rule(g, out, x, **how), dtype)


@some
@given(st.integers(1, 9), st.integers(1, 99), dtypes, counts, st.integers(0, 2**32 - 1))
def test_cross_entropy(m: int, classes: int, dtype: str, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(0, 3, (m, classes)).astype(dtype), rng.integers(0, classes, m)
    g = np.asarray(rng.normal(), dtype)
    with on(cpu_softmax, count):
        out = cpu_softmax.cross_entropy(x, labels)
        dx = cpu_softmax.cross_entropy_back(g, out, x, labels)
    close(out, cost.cross_entropy(x, labels), dtype)
    close(dx, cost.cross_entropy_back(g, out, x, labels), dtype)


@pytest.mark.parametrize("odd", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("name", ROWS)
def test_what_is_not_finite(name: str, odd: float, everywhere: bool) -> None:
    x = np.random.default_rng(0).standard_normal((3, 40)).astype("f4")
    x[1, 0 if not everywhere else slice(None)] = odd
    plain = ROWS[name].forward.__wrapped__
    with np.errstate(invalid="ignore"):
        close(getattr(cpu_softmax, name)(x, dim=1), plain(x, dim=1), "float32")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout: str) -> None:
    rng = np.random.default_rng(0)
    x, g = (laid_out(rng.standard_normal((4, 20)).astype("f4"), layout) for _ in range(2))
    labels = laid_out(rng.integers(0, 20, (4, 1)), layout)[:, 0]
    for name, row in ROWS.items():
        out = getattr(cpu_softmax, name)(x, dim=1)
        close(out, row.forward.__wrapped__(np.array(x), dim=1), "float32")
        dx = getattr(cpu_softmax, f"{name}_back")(g, out, x, dim=1)
        close(dx, row.rules[0].__wrapped__(g, out, x, dim=1), "float32")
    close(cpu_softmax.cross_entropy(x, labels), cost.cross_entropy(x, labels), "float32")


def test_what_the_kernels_leave_to_numpy() -> None:
    x = np.ones((3, 4), "f4")
    assert cpu_softmax.softmax(x, dim=0) is NotImplemented
    assert cpu_softmax.softmax_back(x, x.astype("f8"), x, dim=1) is NotImplemented
    for labels in (np.array([0, 1, 4]), np.array([0, 1, -1]), np.array([0, 1]), np.zeros(3, "i4")):
        assert cpu_softmax.cross_entropy(x, labels) is NotImplemented
        assert cpu_softmax.cross_entropy_back(x[0, 0], None, x, labels) is NotImplemented


SMALL, LARGE = (4, 50), (100, 50)


@pytest.mark.parametrize("shape", [SMALL, LARGE])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_cross_entropy_in_a_graph(shape: Any, dtype: str) -> None:
    """Of few rows and of many: any factor behind it, the second derivative, labels that are none.

    They are compared with the same of the parts, in double precision.
    """
    rng = np.random.default_rng(0)
    values, labels = rng.standard_normal(shape).astype(dtype), rng.integers(0, shape[1], shape[0])
    direction = tc.tensor(rng.standard_normal(shape))
    found = []
    for made_of_parts in (False, True):
        x = tc.tensor(values.astype("f8") if made_of_parts else values, requires_grad=True)
        chosen = (x - x.logsumexp(1, keepdim=True))[np.arange(len(labels)), labels]
        loss = -chosen.mean() if made_of_parts else tc.nn.functional.cross_entropy(x, labels)
        (slope,) = tc.autograd.grad(loss * 2, x, create_graph=True)
        (bend,) = tc.autograd.grad((slope * direction.to(x.dtype)).sum(), x)
        found.append((loss, slope, bend))
        (raw,) = tc.autograd.grad(tc.nn.functional.cross_entropy(x, labels) * 2, x)
        np.testing.assert_allclose(raw.numpy(), slope.detach().numpy(), rtol=2e-3, atol=1e-6)
    tolerance = 20 * np.finfo(dtype).eps
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), tolerance, tolerance)
    with pytest.raises(tc.errors.OptionError, match="label"):
        tc.nn.functional.cross_entropy(x, labels + shape[1])


def test_few_numbers_need_no_compiler() -> None:
    code = (
        "import sys, tinygrad_course as tc; F = tc.nn.functional; "
        "x = tc.ones(128, 10, requires_grad=True); "
        "y = F.relu(x).sum() + F.softmax(x, 1).sum(); "
        "(y + F.log_softmax(x, 1).sum() + F.sigmoid(x).sum()).backward(); "
        "sys.exit('numba' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_few_losses_take_the_kernel_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launched = []

    def launch(kernel: Any, *args: Any) -> Any:
        launched.append(kernel)
        return cpu_jit.launch(kernel, *args)

    monkeypatch.setattr(cpu_softmax, "launch", launch)
    x = tc.ones(1, 10, requires_grad=True)
    tc.nn.functional.cross_entropy(x, tc.tensor([3])).backward()
    assert launched == [cpu_softmax.losses_kernel, cpu_softmax.losses_back_kernel]


@cpu_jit.entry
def _exp(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = cpu_math.exp(x[i])


@pytest.mark.parametrize(("dtype", "far"), [("float32", 87.0), ("float64", 708.0)])
def test_the_exponential(dtype: str, far: float) -> None:
    for reach in (1e-3, 1.0, far):
        x = np.random.default_rng(0).uniform(-reach, reach, 20_000).astype(dtype)
        out = np.empty_like(x)
        _exp(x, out)
        exact = np.exp(x.astype(np.longdouble))
        assert (np.abs(out - exact) <= np.finfo(dtype).eps * exact).all()
    x = np.array([np.nan, np.inf, -np.inf, 0.0, 2 * far, -2 * far], dtype)
    out = np.empty_like(x)
    _exp(x, out)
    np.testing.assert_array_equal(out, [np.nan, np.inf, 0, 1, np.inf, 0])
