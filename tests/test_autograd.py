"""Derivatives asked for: grad, backward, higher orders, custom functions."""

from __future__ import annotations

import tracemalloc

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


class Style(autograd.Function):
    """forward without ctx; the second result carries no gradient."""

    @staticmethod
    def forward(x, y, scale):
        return x * y * scale, (x > 0).to(x.dtype)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, y, ctx.scale = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, y)

    @staticmethod
    def backward(ctx, g, unused):
        assert unused.tolist() == [0.0, 0.0]
        assert ctx.needs_input_grad == (True, False, False)
        _, y = ctx.saved_tensors
        return g * y * ctx.scale, None, None


def test_setup_context_and_results_without_gradient():
    x, y = tc.tensor([1.0, -2.0], requires_grad=True), tc.tensor([3.0, 4.0])
    product, positive = Style.apply(x, y, 10.0)
    assert product.requires_grad
    assert not positive.requires_grad
    product.sum().backward()
    assert x.grad.tolist() == [30.0, 40.0]


def test_unused_results_are_zeros_or_none():
    seen = []

    class Two(autograd.Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            return x * 2, x.sum()

        @staticmethod
        def backward(ctx, g, h):
            seen.append(h)
            return 2 * g, None, None  # a None too many is accepted

    x = tc.ones(2, requires_grad=True)
    for materialize in (True, False):
        Two.apply(x, materialize)[0].sum().backward()
    assert seen[0].tolist() == 0.0
    assert seen[1] is None
    assert x.grad.tolist() == [4.0, 4.0]


def test_a_gradient_of_the_broadcast_shape_is_summed():
    class Plus(autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g, g

    x, y = tc.ones(2, 3, requires_grad=True), tc.ones(3, requires_grad=True)
    Plus.apply(x, y).sum().backward()
    assert y.grad.tolist() == [2.0, 2.0, 2.0]


def test_once_differentiable_refuses_the_second_derivative():
    class Square(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @autograd.once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            product = 2 * x * g
            assert not product.requires_grad
            return product

    x = tc.tensor(3.0, requires_grad=True)
    (g,) = tc.grad(Square.apply(x) * x, x, create_graph=True)
    assert g.item() == 27.0
    with pytest.raises(GradientError, match="once_differentiable"):
        tc.grad(g, x)
    Square.apply(x).backward()
    assert x.grad.item() == 6.0


def test_what_a_function_cannot_do_is_said():
    class Dirty(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)

    with pytest.raises(GradientError, match="mark_dirty"):
        Dirty.apply(tc.ones(2, requires_grad=True))
    with pytest.raises(GradientError, match=r"static method forward"):
        autograd.Function.apply(tc.ones(2))


# --- inputs of grad and backward, and modes -------------------------------------------------------


def test_materialized_gradients_are_zeros():
    x, y = tc.ones(2, requires_grad=True), tc.ones(3, requires_grad=True)
    gx, gy = tc.grad(x.sum(), [x, y], materialize_grads=True)
    assert gx.tolist() == [1.0, 1.0]
    assert gy.tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="only_inputs"):
        tc.grad(x.sum(), x, only_inputs=False)
    with pytest.raises(ValueError, match="materialize_grads"):
        tc.grad(x.sum(), [x, y], allow_unused=False, materialize_grads=True)


def test_backward_fills_in_only_the_inputs_named():
    x, y = tc.ones(2, requires_grad=True), tc.ones(2, requires_grad=True)
    autograd.backward((x * y).sum(), inputs=[x])
    assert x.grad.tolist() == [1.0, 1.0]
    assert y.grad is None
    inner = x * y
    with pytest.raises(GradientError, match="leaves"):
        autograd.backward(inner.sum(), inputs=inner)


@pytest.mark.parametrize("mode", [tc.no_grad, tc.inference_mode, tc.no_grad(), tc.inference_mode()])
def test_modes_decorate_with_and_without_parentheses(mode):
    x = tc.ones(2, requires_grad=True)

    @mode
    def double(x):
        """twice x"""
        return x * 2

    assert double.__doc__ == "twice x"
    assert not double(x).requires_grad
    assert not double(x).requires_grad
    assert (x * 2).requires_grad


def test_modes_nest():
    x = tc.ones(2, requires_grad=True)
    with tc.inference_mode():
        assert not (x * 2).requires_grad
        with tc.inference_mode(False):
            assert (x * 2).requires_grad
        with tc.enable_grad():
            assert (x * 2).requires_grad
        assert not tc.is_grad_enabled()

    @tc.enable_grad
    def recorded():
        return x * 2

    with tc.no_grad():
        assert recorded().requires_grad


# --- checkpoint -----------------------------------------------------------------------------------


def small_model():
    tc.manual_seed(0)
    layers = [tc.nn.Linear(4, 8), tc.nn.Tanh(), tc.nn.Dropout(0.5), tc.nn.Linear(8, 4)]
    return tc.nn.Sequential(*layers).double()


def losses_and_gradients(model, x, call):
    tc.manual_seed(1)
    loss = (call(model, call(model, x)) ** 2).sum() + tc.rand(1, dtype=tc.float64).sum()
    loss.backward()
    found = [loss.item(), x.grad.tolist(), *(p.grad.tolist() for p in model.parameters())]
    after = tc.rand(1).item()  # the stream of random numbers goes on alike
    model.zero_grad()
    x.grad = None
    return [*found, after]


CALLS = {
    "plain": autograd.checkpoint,
    "nested": lambda f, x: autograd.checkpoint(lambda y: autograd.checkpoint(f, y) * 1, x),
    "keywords": lambda f, x: autograd.checkpoint(
        lambda k, *, tree: {"out": f(tree["x"]) * k}, 1, tree={"x": x}, use_reentrant=False
    )["out"],
    "several results": lambda f, x: sum(autograd.checkpoint(lambda y: (f(y), y * 0), x)),
    "module inside": lambda f, x: autograd.checkpoint(f[2:], autograd.checkpoint(f[:2], x)),
}


@pytest.mark.parametrize("name", CALLS)
def test_checkpoint_changes_nothing(name):
    model = small_model()
    x = tc.rand(3, 4, dtype=tc.float64, requires_grad=True)
    expected = losses_and_gradients(model, x, lambda f, x: f(x))
    assert losses_and_gradients(model, x, CALLS[name]) == expected


def test_checkpoint_to_the_third_order():
    def f(x):
        return (x.tanh() * x.exp()).sum() ** 2

    x = tc.tensor([0.3, -0.2], dtype=tc.float64, requires_grad=True)
    a, b = f(x), autograd.checkpoint(f, x)
    for _ in range(3):
        (a,), (b,) = (tc.grad(v.sum(), x, create_graph=True) for v in (a, b))
        assert a.tolist() == b.tolist()
    custom = autograd.checkpoint(lambda x: Cube.apply(x * 2) + Exp.apply(x), x)
    expected = (2 * x) ** 3 + x.exp()
    for _ in range(3):
        (custom,), (expected,) = (
            tc.grad(v.sum(), x, create_graph=True) for v in (custom, expected)
        )
        np.testing.assert_allclose(custom.tolist(), expected.tolist(), rtol=1e-14)


def test_checkpoint_retained_freed_and_switched_off():
    calls = []

    def f(x):
        calls.append(1)
        return tc.where(x > 0, x.exp() * x.sin(), x * x).sum() * tc.ones(2)

    x = tc.ones(2, requires_grad=True)
    y = autograd.checkpoint(f, x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert len(calls) == 3  # once forward, once for each backward
    with pytest.raises(GradientError, match="freed"):
        y.backward()
    with tc.no_grad():
        assert not autograd.checkpoint(f, x).requires_grad
    assert len(calls) == 4


def test_checkpoint_keeps_the_arguments_as_they_were():
    x = tc.ones(2, requires_grad=True)
    h = x * 2
    y = autograd.checkpoint(lambda h: h * h, h)
    h.add_(10.0)  # gives the tensor h a new value; the checkpoint saw the old one
    y.sum().backward()
    assert x.grad.tolist() == [8.0, 8.0]


def test_checkpoint_says_what_is_wrong():
    again = iter([1, 2])
    x = tc.ones(2, requires_grad=True)
    y = autograd.checkpoint(lambda x: x.exp() if next(again) == 1 else x.sin().exp(), x)
    with pytest.raises(GradientError, match=r"2 operations \(sin, exp\).*1 operations \(exp\)"):
        y.sum().backward()
    with pytest.raises(ValueError, match="use_reentrant"):
        autograd.checkpoint(tc.exp, x, use_reentrant=True)
    with pytest.raises(TypeError, match="Scalars"):
        autograd.checkpoint(tc.exp, tc.Scalar(1.0))
    y = autograd.checkpoint(tc.exp, x)
    with tc.no_grad():
        x.add_(1.0)
    with pytest.raises(GradientError, match="written into"):
        autograd.checkpoint(tc.square, y).sum().backward()


def test_checkpoint_needs_less_memory():
    def deep(x):
        for _ in range(20):
            x = x.sin()
        return x

    def peak(call):
        x = tc.ones(20_000, requires_grad=True)
        tracemalloc.start()
        y = x
        for _ in range(5):
            y = call(deep, y)
        held = tracemalloc.get_traced_memory()[0]
        y.sum().backward()
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held, highest

    held, highest = peak(lambda f, x: f(x))
    held_less, highest_less = peak(autograd.checkpoint)
    assert held > 95 * 80_000  # a hundred arrays of 80 kB
    assert held_less < 10 * 80_000  # one for each of the five calls
    assert highest_less < highest / 2
