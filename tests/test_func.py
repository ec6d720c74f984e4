"""tc.func: derivatives of functions equal torch.func's, nest, and touch nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tinygrad_course as tc
from tinygrad_course import func, trees
from tinygrad_course.errors import DtypeError, GradientError, OptionError, ShapeError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
RNG = np.random.default_rng(0)
X, Y, M = RNG.normal(size=3), RNG.normal(size=3), RNG.normal(size=(2, 3))
TREE = {"w": M, "more": [X, (Y, np.float64(0.5))]}


def ours(tree: Any) -> Any:
    return trees.mapped(lambda a: tc.tensor(a) if isinstance(a, (np.ndarray, float)) else a, tree)


def theirs(tree: Any) -> Any:
    return torch.utils._pytree.tree_map(
        lambda a: torch.tensor(a) if isinstance(a, (np.ndarray, float)) else a, tree
    )


def assert_same(a: Any, b: Any) -> None:
    flat, other = trees.leaves(a), torch.utils._pytree.tree_leaves(b)
    assert trees.form(a) == torch.utils._pytree.tree_map(lambda _: None, b)
    for x, y in zip(flat, other, strict=True):
        assert x.shape == tuple(y.shape)
        assert x.requires_grad == y.requires_grad
        np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-12, atol=1e-14)


def number(x: Any, y: Any, scale: float = 1.0) -> Any:
    return ((x * y).tanh() + scale * x**3).sum() * y.exp().mean()


def vector(x: Any, y: Any) -> Any:
    return x.exp() * y + (x * y).sum()


def of_tree(p: Any) -> Any:
    hidden = (p["w"] @ p["more"][0]).tanh()
    return (hidden * hidden).sum() * p["more"][1][1] + (p["more"][1][0] ** 2).sum()


def to_tree(x: Any, y: Any) -> Any:
    return {"a": x * y, "b": (y.sin(), [x.sum()])}


GRAD = [(number, 0, (X, Y)), (number, 1, (X, Y)), (number, (1, 0), (X, Y)), (number, -1, (X, Y)),
        (number, (0,), (X, Y, 2.0)), (of_tree, 0, (TREE,))]  # fmt: skip


@pytest.mark.parametrize(("f", "argnums", "args"), GRAD)
def test_grad(f, argnums, args):
    assert_same(func.grad(f, argnums)(*ours(args)), torch.func.grad(f, argnums)(*theirs(args)))
    value, grads = func.value_and_grad(f, argnums)(*ours(args))
    expected, other = torch.func.grad_and_value(f, argnums)(*theirs(args))
    assert_same((grads, value), (expected, other))


def with_aux(x: Any, y: Any, *, scale: float) -> Any:
    h = x * y
    return (h * scale).sum(), {"h": h, "constant": y * 2}


def test_has_aux_and_keywords():
    g, aux = func.grad(with_aux, has_aux=True)(*ours((X, Y)), scale=3.0)
    assert_same((g, aux), torch.func.grad(with_aux, has_aux=True)(*theirs((X, Y)), scale=3.0))
    (value, again), _ = func.value_and_grad(with_aux, has_aux=True)(*ours((X, Y)), scale=3.0)
    assert value.item() == pytest.approx(3.0 * X @ Y)
    assert not again["h"].requires_grad
    for name in ("jacrev", "jacfwd"):
        rows = getattr(func, name)(lambda x: (x * 2, "anything"), has_aux=True)(tc.tensor(X))
        assert rows[0].tolist() == (2 * np.eye(3)).tolist()
        assert rows[1] == "anything"
    _, _, aux = func.vjp(lambda x: (x * x, x), tc.tensor(X), has_aux=True)
    assert aux.tolist() == X.tolist()
    _, _, aux = func.jvp(lambda x: (x * x, x), (tc.tensor(X),), (tc.tensor(Y),), has_aux=True)
    assert aux.tolist() == X.tolist()


@pytest.mark.parametrize("f", [vector, to_tree, number])
def test_vjp_and_jvp(f):
    mine, others = func.vjp(f, *ours((X, Y))), torch.func.vjp(f, *theirs((X, Y)))
    assert_same(mine[0], others[0])
    cotangents = trees.mapped(lambda y: np.asarray(RNG.normal(size=y.shape)), mine[0])
    for _ in range(2):  # as often as one likes
        assert_same(mine[1](ours(cotangents)), others[1](theirs(cotangents)))
    pushed = torch.func.jvp(f, theirs((X, Y)), theirs((Y, X)))
    assert_same(func.jvp(f, ours((X, Y)), ours((Y, X))), pushed)


@pytest.mark.parametrize("argnums", [0, 1, (0, 1), (1,)])
@pytest.mark.parametrize("f", [vector, to_tree, number])
def test_jacobians(f, argnums):
    expected = torch.func.jacrev(f, argnums)(*theirs((X, Y)))
    assert_same(func.jacrev(f, argnums)(*ours((X, Y))), expected)
    assert_same(func.jacfwd(f, argnums)(*ours((X, Y))), expected)


@pytest.mark.parametrize(("f", "argnums", "args"), GRAD)
def test_hessian(f, argnums, args):
    place = 1 if argnums == -1 else argnums  # PyTorch's hessian is 0 by the argument -1
    expected = torch.func.hessian(f, place)(*theirs(args))
    assert_same(func.hessian(f, argnums)(*ours(args)), expected)
    if f is number:
        assert_same(func.jacfwd(func.jacrev(f, argnums), argnums)(*ours(args)), expected)


def test_hvp_equals_the_hessian_times_the_vector():
    oracle = torch.autograd.functional.hvp
    v = RNG.normal(size=3)
    f = lambda x: number(x, x)
    assert_same(func.hvp(f, *ours((X, v))), oracle(f, *theirs((X, v))))
    assert_same(func.hvp(number, ours((X, Y)), ours((v, X))),
                oracle(number, theirs((X, Y)), theirs((v, X))))  # fmt: skip
    cube = lambda x: x**3
    assert_same(func.hvp(cube, tc.tensor([2.0])), oracle(cube, torch.tensor([2.0])))
    value, product = func.hvp(lambda x: x.sum(), tc.tensor(X), tc.tensor(v))  # H = 0
    assert (value.item(), product.tolist()) == (pytest.approx(X.sum()), [0.0, 0.0, 0.0])


def test_nested_to_the_fifth_order():
    f, g = (lambda x: x.tanh()), (lambda x: x.tanh())
    for _ in range(5):
        f, g = func.grad(f), torch.func.grad(g)
        assert_same(f(tc.tensor(np.float64(0.3))), g(torch.tensor(0.3, dtype=torch.float64)))


def test_an_inner_derivative_does_not_mix_with_an_outer():
    """d/dx (x · d/dy (x y)) = 2x, where confusing the two variables would give another number."""

    def outer(lib: Any) -> Any:
        return lambda x: x * lib.grad(lambda y: x * y * y)(2 * x)

    x = np.float64(1.5)
    assert_same(func.grad(outer(func))(tc.tensor(x)), torch.func.grad(outer(torch.func))(
        torch.tensor(x)))  # fmt: skip


@pytest.mark.parametrize("name", ["grad", "jacrev", "jacfwd"])
def test_mixed_with_backward(name):
    """Results hang on the arguments' graph, and on what the function reads: backward goes on."""

    def penalty(lib: Any, x: Any, w: Any) -> Any:
        return (getattr(lib, name)(lambda z: ((w * z) ** 3).sum())(x * 2) ** 2).sum()

    (x, w), (a, b) = ours((X, Y)), theirs((X, Y))
    for t in (x, w, a, b):
        t.requires_grad_()
    penalty(func, x, w).backward()
    penalty(torch.func, a, b).backward()
    assert_same([x.grad, w.grad], [a.grad, b.grad])


def test_vjp_and_jvp_are_differentiable_in_their_vectors():
    x, v = ours((X, Y))
    v.requires_grad_()
    _, pull = func.vjp(lambda x: x**2, x)
    assert_same(tc.grad((pull(v)[0] ** 2).sum(), v)[0], torch.tensor(2 * Y * (2 * X) ** 2))
    _, pushed = func.jvp(lambda x: x**2, (x,), (v,))
    assert_same(tc.grad((pushed**2).sum(), v)[0], torch.tensor(2 * Y * (2 * X) ** 2))
    _, product = func.hvp(lambda x: (x**3).sum(), x, v)
    assert_same(tc.grad(product.sum(), v)[0], torch.tensor(6 * X))


def test_nobodys_grad_changes_and_nothing_stays_recorded():
    x = tc.tensor(X, requires_grad=True)
    func.grad(lambda x: (x * x).sum())(x)
    func.hessian(lambda x: (x**3).sum())(x)
    assert x.grad is None
    plain = tc.tensor(X)
    for result in (
        func.grad(lambda x: (x * x).sum())(plain),
        func.jacrev(lambda x: x * x)(plain),
        func.hessian(lambda x: (x**3).sum())(plain),
        *func.jvp(lambda x: x * x, (plain,), (plain,)),
        *func.hvp(lambda x: (x**3).sum(), plain, plain),
    ):
        assert not result.requires_grad
    assert not plain.requires_grad


def test_no_grad_inside_counts_and_outside_does_not():
    def f(lib: Any) -> Any:
        def g(x: Any) -> Any:
            with lib.no_grad():
                c = x * x
            return (x - c).sum()

        return g

    x = tc.tensor(X, requires_grad=True)
    a = torch.tensor(X, requires_grad=True)
    with tc.no_grad(), torch.no_grad():
        assert_same(func.grad(f(tc))(x), torch.func.grad(f(torch))(a))
    assert func.grad(f(tc))(x).tolist() == [1.0, 1.0, 1.0]


def test_a_result_that_does_not_depend_on_the_input():
    x = tc.tensor(X)
    assert func.grad(lambda x: tc.tensor(1.0))(x).tolist() == [0.0, 0.0, 0.0]
    assert func.jacrev(lambda x: tc.ones(2))(x).shape == (2, 3)
    assert func.jacfwd(lambda x: tc.ones(2))(x).tolist() == np.zeros((2, 3)).tolist()
    assert func.jvp(lambda x: tc.ones(2), (x,), (x,))[1].tolist() == [0.0, 0.0]
    assert func.jacrev(lambda x: x[:0])(x).shape == (0, 3)
    assert func.jacfwd(lambda x: x[:0])(x).shape == (0, 3)


def test_a_module_and_its_parameters():
    layer = tc.nn.Linear(3, 1)
    x = tc.tensor(X.astype(np.float32))
    g = func.grad(lambda x: layer(x).sum())(x)
    assert g.requires_grad  # by way of the weight
    (gw,) = tc.grad(g.sum(), layer.weight)
    assert gw.tolist() == [[1.0, 1.0, 1.0]]
    assert layer.weight.grad is None


def test_scalars():
    s = tc.Scalar(2.0)
    assert func.grad(func.grad(lambda s: s**4))(s).data == 48.0
    assert func.jvp(lambda s: s.exp(), (s,), (tc.Scalar(0.5),))[1].data == pytest.approx(
        0.5 * np.exp(2.0)
    )
    assert func.hessian(lambda s: s**3)(s).data == 12.0
    assert s.grad == 0.0
    outer = func.grad(lambda s: s * s)(s)
    assert tc.grad(outer, s)[0].data == 2.0


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (GradientError, r"one number.*Tensor \(3,\).*jacrev", lambda x: func.grad(tc.sin)(x)),
        (DtypeError, "must give tensors, got float", lambda x: func.grad(lambda x: 1.0)(x)),
        (DtypeError, "floating tensors.*int64", lambda x: func.grad(tc.sum)(x.long())),
        (DtypeError, "got float", lambda x: func.grad(lambda x: x)(3.0)),
        (OptionError, "argnums 2, but there are 1", lambda x: func.grad(tc.sum, 2)(x)),
        (OptionError, "each once", lambda x: func.grad(tc.sum, (0, -1))(x)),
        (GradientError, "pair", lambda x: func.grad(tc.sum, has_aux=True)(x)),
        (ShapeError, r"cotangents need shape \(3,\), got \(\)",
         lambda x: func.vjp(tc.sin, x)[1](x.sum())),
        (ShapeError, r"got float", lambda x: func.jvp(tc.sin, (x,), (1.0,))),
        (GradientError, r"form \(None, None\)", lambda x: func.jvp(tc.add, (x, x), (x,))),
        (ShapeError, r"v is needed.*\(3,\)", lambda x: func.hvp(tc.sum, x)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(error, message, call):
    with pytest.raises(error, match=message):
        call(tc.tensor(X))
