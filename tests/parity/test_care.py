"""Where the textbook formula loses digits, overflows, or divides by 0.

Results in single precision are held against PyTorch's in double: value, slope and slope of the
slope, so a formula that cancels or overflows in single precision is found out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import tinygrad_course as tc
from tinygrad_course.ops import elementwise

TINY, SMALL, LARGE = 1e-12, 1e-5, 80.0
NEAR_ZERO = [TINY, -TINY, SMALL, -SMALL, 0.01, -0.01]
WIDE = [-LARGE, -20.0, -1.0, *NEAR_ZERO, 1.0, 20.0, LARGE]

ONE: dict[str, tuple[Any, list[float]]] = {
    "log1p": (torch.log1p, [*NEAR_ZERO, 1e6]),
    "expm1": (torch.expm1, [*NEAR_ZERO, -20.0, 20.0]),
    "sinh": (torch.sinh, NEAR_ZERO),
    "tanh": (torch.tanh, NEAR_ZERO),
    "asinh": (torch.asinh, [*NEAR_ZERO, 1e4]),
    "atanh": (torch.atanh, NEAR_ZERO),
    "sigmoid": (torch.sigmoid, WIDE),
    "softplus": (lambda x: F.softplus(x, threshold=1e9), WIDE),
    "logsigmoid": (F.logsigmoid, WIDE),
    "erf": (torch.erf, [*NEAR_ZERO, 0.5, -2.0, 9.0]),
    "erfc": (torch.erfc, [-3.0, 0.5, 2.0, 5.0]),
    "sinc": (torch.sinc, [SMALL, -SMALL, 1e-3, 0.01, -0.5, 2.5]),
    "reciprocal": (torch.reciprocal, [1e-10, -1e10]),
    "rsqrt": (torch.rsqrt, [1e-10, 1e10]),
}


def slopes(f: Any, x: Any, grad: Any) -> list[Any]:
    """f(x), f'(x) and f''(x)."""
    out = f(x)
    (first,) = grad(out.sum(), [x], create_graph=True)
    (second,) = grad(first.sum(), [x]) if first.requires_grad else (x * 0,)
    return [v.detach().numpy() for v in (out, first, second)]


TINIEST = float(np.finfo(np.float32).tiny)  # below it single precision has fewer digits


def close(ours: Any, theirs: Any, what: str, atol: float = TINIEST) -> None:
    assert ours.dtype == np.float32, what
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=atol, err_msg=what)


@pytest.mark.parametrize("name", ONE)
def test_one_number(name: str) -> None:
    theirs, xs = ONE[name]
    ours = getattr(elementwise, name, None) or getattr(tc, name)
    x = np.array(xs, np.float32)
    mine = slopes(ours, tc.from_numpy(x).requires_grad_(), tc.grad)
    exact = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    for got, want, what in zip(
        mine, slopes(theirs, exact, torch.autograd.grad), ("", "'", "''"), strict=True
    ):
        # slopes like σ (1 − σ) round to 0 where σ rounds to 1
        close(got, want, name + what, atol=1e-6 if what else TINIEST)


LINES = {
    "large": [200.0, 201.0, 197.0],
    "small": [-200.0, -202.0, -199.5],
    "apart": [-200.0, 0.0, 150.0],
    "equal": [2.0, 2.0, 2.0],
    "nothing but one": [-np.inf, 3.0, -np.inf],
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax", "logcumsumexp"])
def test_exponentials_along_a_line(name: str, line: str) -> None:
    if name == "logcumsumexp" and line == "nothing but one":
        x = tc.tensor(LINES[line], requires_grad=True)
        x.logcumsumexp(0)[1:].sum().backward()
        assert x.grad.tolist() == [0, 2, 0]  # PyTorch gives nan at the first
        return
    x = np.array(LINES[line], np.float32)
    weights = np.array([0.5, -1.5, 2.0] if name != "logsumexp" else 0.75, np.float32)
    mine = tc.from_numpy(x).requires_grad_()
    exact = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    a, b = getattr(tc, name)(mine, 0), getattr(torch, name)(exact, 0)
    close(a.detach().numpy(), b.detach().numpy(), name)
    weights = np.where(np.isfinite(b.detach().numpy()), weights, 0)
    (a * tc.from_numpy(weights)).nan_to_num().sum().backward()
    (b * torch.from_numpy(weights)).nan_to_num().sum().backward()
    np.testing.assert_allclose(mine.grad.numpy(), exact.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_two_numbers() -> None:
    far = tc.tensor([1000.0, -1000.0], requires_grad=True)
    out = tc.logaddexp(far, tc.zeros(2))
    out.sum().backward()
    assert out.tolist() == [1000, 0]
    assert far.grad.tolist() == [1, 0]
    x, y = tc.tensor([3e30, 1e-30], requires_grad=True), tc.tensor([4e30, 1e-30])
    length = tc.hypot(x, y)
    length.sum().backward()
    np.testing.assert_allclose(length.detach().numpy(), [5e30, 2**0.5 * 1e-30], rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [0.6, 0.5**0.5], rtol=1e-6)
    x, y = tc.zeros(2, requires_grad=True), tc.tensor([0.0, 2.0], requires_grad=True)
    out = tc.xlogy(x, y)
    out.sum().backward()
    assert out.tolist() == [0, 0]
    assert x.grad.tolist() == pytest.approx([0, np.log(2)])


@pytest.mark.parametrize("name", ["var", "std"])
def test_a_spread_far_from_zero(name: str) -> None:
    x = np.array([4096.0, 4097.0, 4099.0, 4096.5], np.float32)
    mine = tc.from_numpy(x).requires_grad_()
    exact = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    a, b = getattr(mine, name)(), getattr(exact, name)()
    a.backward(), b.backward()
    close(a.detach().numpy(), b.detach().numpy(), name)
    close(mine.grad.numpy(), exact.grad.numpy(), name)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.norm(), lambda x: x.norm(3), lambda x: x.norm(1), lambda x: x.norm(np.inf),
        lambda x: x.norm(1.5), lambda x: x.std(), lambda x: tc.dist(x, tc.zeros(3)),
        lambda x: (x**2).sum(), lambda x: (x**0).sum(),
        lambda x: tc.pow(x, tc.full((3,), 2.0)).sum(), lambda x: (x.abs() * x).sum(),
        lambda x: x.prod(), lambda x: x.cumprod(0).sum() - x[0],
        lambda x: tc.sinc(x).sum(), lambda x: tc.atan2(x, x).sum(),
    ],
)  # fmt: skip
def test_no_slope_at_zero(f: Any) -> None:
    """All of these have a slope of 0 there, or it is taken as 0: none may be nan."""
    x = tc.zeros(3, requires_grad=True)
    f(x).backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_products_with_zeros_to_the_second_order() -> None:
    """∂²(abc) / ∂a∂b = c, whatever is 0."""
    for values in ([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]):
        x = tc.tensor(values, requires_grad=True)
        hessian = tc.func.hessian(lambda v: v.prod())(x)
        a, b, c = values
        assert hessian.tolist() == [[0, c, b], [c, 0, a], [b, a, 0]]


def test_a_choice_does_not_let_infinity_through() -> None:
    """The branch that was not taken gets 0, not 0 · inf, where its own rule stays finite."""
    x = tc.tensor([0.0, 4.0], requires_grad=True)
    tc.where(x > 0, x, tc.zeros(2)).sqrt()[1].backward()
    assert x.grad.tolist() == [0, 0.25]
    x = tc.tensor([1.0, float("nan"), float("inf")], requires_grad=True)
    tc.where(x.isfinite(), x, tc.zeros(3)).sum().backward()
    assert x.grad.tolist() == [1, 0, 0]
    x.grad = None
    tc.nansum(x[:2]).backward()
    assert x.grad.tolist() == [1, 0, 0]
