"""Derivatives asked for: grad, backward, higher orders, custom functions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import polynomial

import tinygrad_course as tc
from tinygrad_course import autograd
from tinygrad_course.errors import GradientError, ShapeError


def tanh_derivatives(t: float, order: int) -> list[float]:
    """The derivatives of tanh, as polynomials in t = tanh(x): p' = p'(t) (1 - t²)."""
    p = np.array([0.0, 1.0])
    values = []
    for _ in range(order):
        p = polynomial.polymul(polynomial.polyder(p), [1.0, 0.0, -1.0])
        values.append(float(polynomial.polyval(t, p)))
    return values


@pytest.mark.parametrize("x0", [-1.3, -0.2, 0.0, 0.7])
@pytest.mark.parametrize("face", ["scalar", "tensor"])
def test_five_nested_derivatives_of_tanh(face, x0):
    x = tc.Scalar(x0) if face == "scalar" else tc.tensor(np.float64(x0), requires_grad=True)
    y = x.tanh()
    for exact in tanh_derivatives(np.tanh(x0), 5):
        (y,) = autograd.grad(y, x, create_graph=True)
        assert abs(y.item() - exact) < 1e-12 * max(1.0, abs(exact))


def test_grad_leaves_dot_grad_alone_and_visits_only_what_is_wanted():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = tc.tensor([3.0, 4.0], requires_grad=True)
    called = []
    other = y.exp()
    other.register_hook(lambda g: called.append(1))
    (gx,) = tc.grad((x * x + other).sum(), x)
    assert gx.tolist() == [2.0, 4.0]
    assert x.grad is None
    assert y.grad is None
    assert not called


def test_grad_with_respect_to_an_inner_value():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    z = (y * y).sum() + x.sum()
    gy, gx = tc.grad(z, [y, x])
    assert gy.tolist() == [6.0, 12.0]
    assert gx.tolist() == [19.0, 37.0]
    s = tc.Scalar(2.0)
    t = s * s
    assert [g.data for g in tc.grad(t * t, [t, s])] == [8.0, 32.0]
    assert s.grad == 0.0


def test_several_outputs_with_their_gradients():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y, z = x * x, x.sum()
    (g,) = tc.grad([y, z], x, [tc.tensor([1.0, 10.0]), None])
    assert g.tolist() == [3.0, 41.0]
    autograd.backward([x * x, x.sum()], [tc.tensor([1.0, 10.0]), None])
    assert x.grad.tolist() == [3.0, 41.0]


def test_grad_says_what_is_wrong():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = tc.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match="no output depends on input 1"):
        tc.grad((x * x).sum(), [x, y])
    gx, gy = tc.grad((x * x).sum(), [x, y], allow_unused=True)
    assert gx.tolist() == [2.0, 4.0]
    assert gy is None
    with pytest.raises(GradientError, match="requires grad"):
        tc.grad(x.sum(), tc.tensor([1.0]))
    with pytest.raises(GradientError, match=r"shape \(2,\).*reduce it first"):
        tc.grad(x * 2, x)
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        tc.grad(x * 2, x, tc.ones(3))
    with pytest.raises(GradientError, match="1 outputs and 2 gradients"):
        tc.grad(x.sum(), x, [None, None])
    with pytest.raises(GradientError, match="constant"):
        tc.tensor(1.0).backward()
    y = (x * x).sum()
    tc.grad(y, x)
    with pytest.raises(GradientError, match="retain_graph"):
        tc.grad(y, x)


def test_hessian_vector_product_by_double_backward():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4, 4))
    x = tc.tensor(rng.normal(size=4), requires_grad=True)
    v = tc.tensor(rng.normal(size=4))
    y = 0.5 * (x @ (tc.tensor(a) @ x)) + (x**3).sum()
    (g,) = tc.grad(y, x, create_graph=True)
    (hv,) = tc.grad((g * v).sum(), x)
    x0 = x.detach().numpy()
    exact = 0.5 * (a + a.T) @ v.numpy() + 6 * x0 * v.numpy()
    np.testing.assert_allclose(hv.numpy(), exact, rtol=1e-12)


def test_backward_with_create_graph_leaves_a_differentiable_gradient():
    x = tc.tensor(2.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    (second,) = tc.grad(x.grad, x)
    assert second.item() == 12.0


# --- custom functions -----------------------------------------------------------------------------


class Cube(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * g * x * x


class Exp(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class ProductAndSum(autograd.Function):
    @staticmethod
    def forward(ctx, x, y, scale):
        ctx.save_for_backward(x, y)
        ctx.scale = scale
        return x * y * scale, x + y

    @staticmethod
    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        return g * y * ctx.scale + h, g * x * ctx.scale + h, None


@pytest.mark.parametrize(
    ("function", "values"), [(Cube, [8.0, 12.0, 12.0, 6.0]), (Exp, [np.exp(2.0)] * 4)]
)
def test_a_custom_function_to_any_order(function, values):
    x = tc.tensor(np.float64(2.0), requires_grad=True)
    y = function.apply(x)
    assert y.item() == pytest.approx(values[0])
    for value in values[1:]:
        (y,) = tc.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(value)


def test_a_custom_function_of_several_results():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = tc.tensor([3.0, 4.0], requires_grad=True)
    p, s = ProductAndSum.apply(x, y, 10.0)
    (p * s).sum().backward()  # 10 x y (x + y)
    assert x.grad.tolist() == [10 * (2 * 3 + 9), 10 * (2 * 8 + 16)]
    assert y.grad.tolist() == [10 * (1 + 6), 10 * (4 + 16)]
    p, _ = ProductAndSum.apply(x, y, 10.0)
    (gx,) = tc.grad(p.sum(), x, create_graph=True)  # one result unused
    (gxy,) = tc.grad(gx.sum(), y)
    assert gxy.tolist() == [10.0, 10.0]


def test_a_custom_function_is_freed_and_says_so():
    x = tc.tensor(2.0, requires_grad=True)
    y = Cube.apply(x)
    y.backward()
    with pytest.raises(GradientError, match="freed"):
        y.backward()
    with tc.no_grad():
        assert not Cube.apply(x).requires_grad
    assert not Cube.apply(tc.tensor(1.0)).requires_grad


def test_a_custom_function_that_is_wrong_is_named():
    class Short(autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g

    class Misshapen(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g.sum()

    x = tc.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match=r"Short.backward returned 1 gradients for 2"):
        Short.apply(x, x).sum().backward()
    with pytest.raises(GradientError, match=r"Misshapen.backward.*\(\).*\(2,\)"):
        Misshapen.apply(x).sum().backward()
