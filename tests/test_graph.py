"""The graph and the walk back over it."""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course import graph
from tinygrad_course.errors import GradientError

FACES = ["scalar", "tensor"]


def leaf(face: str, value: float = 3.0):
    return tc.Scalar(value) if face == "scalar" else tc.tensor(value, requires_grad=True)


def grad_of(x) -> float:
    return float(x.grad)


@pytest.mark.parametrize("face", FACES)
def test_a_square_has_two_edges_in_order(face):
    x, y = leaf(face), leaf(face, 2.0)
    assert (x * x).node.parents == (x.node, x.node)
    assert (x - y).node.parents == (x.node, y.node)
    assert (x * 2.0).node.parents == (x.node, None)


@pytest.mark.parametrize("face", FACES)
def test_gradients_of_a_shared_value_add_up(face):
    x = leaf(face)
    y = x * x
    (y * y + y).backward()  # d(x^4 + x^2)
    assert grad_of(x) == 4 * 27 + 6


@pytest.mark.parametrize("face", FACES)
def test_backward_twice_over_a_retained_graph_doubles_the_gradient(face):
    x = leaf(face)
    y = (x * x).tanh() * x + x
    y.backward(retain_graph=True)
    once = grad_of(x)
    y.backward(retain_graph=True)
    assert grad_of(x) == 2 * once


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("op", [lambda x: x * x, lambda x: x + 1.0, lambda x: -x])
def test_backward_over_a_freed_graph_says_how_to_retain_it(face, op):
    y = op(leaf(face))
    y.backward()
    with pytest.raises(GradientError, match=r"freed.*retain_graph=True"):
        y.backward()


def test_writing_into_a_leaf_between_forward_and_backward_raises():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    writes = {
        "in place": lambda: x.mul_(2),
        "an element": lambda: x.__setitem__(0, 5.0),
        "through data": lambda: x.data.fill_(1.0),
        "data itself": lambda: setattr(x, "data", tc.tensor([7.0, 7.0])),
        "op=": lambda: x.__iadd__(1.0),
    }
    for name, write in writes.items():
        y = (x * x).sum()
        with tc.no_grad():
            write()
        with pytest.raises(GradientError, match="written into since"):
            y.backward()
        assert x.grad is None, name


def test_writing_into_a_scalar_between_forward_and_backward_raises():
    x = tc.Scalar(2.0)
    y = x * x
    x.data = 3.0
    with pytest.raises(GradientError, match="written into since"):
        y.backward()


@pytest.mark.parametrize(
    "view",
    [lambda x: x.T, lambda x: x.reshape(4), lambda x: x[0:1], lambda x: x.expand(3, 2, 2)],
    ids=["transposed", "reshaped", "sliced", "expanded"],
)
def test_a_leaf_written_into_after_a_view_of_it_was_saved_raises(view):
    """The view is saved, not the leaf; but its memory is the leaf's."""
    x = tc.tensor([[2.0, 3.0], [4.0, 5.0]], requires_grad=True)
    shown = view(x)
    loss = (shown * shown).sum()
    with tc.no_grad():
        x.mul_(10.0)
    with pytest.raises(GradientError, match="written into since"):
        loss.backward()
    assert x.grad is None


@pytest.mark.parametrize("saved", [lambda x: x, lambda x: x.reshape(2, 2).T.reshape(4)])
def test_a_leaf_written_into_raises_also_where_no_gradient_of_it_is_wanted(saved):
    x = tc.tensor([2.0, 3.0, 4.0, 5.0], requires_grad=True)
    y = tc.tensor([1.0, 1.0, 1.0, 1.0], requires_grad=True)
    loss, other = (saved(x) * y).sum(), (x + y).sum()
    with tc.no_grad():
        x.mul_(10.0)
    with pytest.raises(GradientError, match="written into since"):
        tc.autograd.grad(loss, [y])
    assert tc.autograd.grad(other, [y])[0].tolist() == [1.0, 1.0, 1.0, 1.0]


def test_a_leaf_whose_value_no_rule_needs_may_be_written():
    x = tc.tensor([1.0], requires_grad=True)
    y = (x + 1.0).sum()
    with tc.no_grad():
        x.fill_(9.0)
    y.backward()
    assert x.grad.tolist() == [1.0]


@pytest.mark.parametrize("face", FACES)
def test_a_chain_of_a_million_nodes_needs_no_recursion(face):
    limit = sys.getrecursionlimit()
    x = leaf(face, 1.0)
    y = x
    for _ in range(1_000_000):
        y = y + 0.0 if face == "scalar" else -y
    y.backward()
    assert grad_of(x) == 1.0
    assert sys.getrecursionlimit() == limit
    del y  # and is freed without one, too


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("backward", [False, True])
def test_a_dropped_graph_is_freed_without_the_cyclic_collector(face, backward):
    gc.collect()
    gc.disable()
    try:
        x = leaf(face, 0.5)
        y = ((x * x).tanh() + x.exp() * x).log()
        watch = [weakref.ref(n) for n in graph.nodes([y]) if n.prim is not None]
        if backward:
            y.backward(create_graph=True)
            x.grad = None if face == "tensor" else 0.0
        assert len(watch) >= 6
        assert all(ref() is not None for ref in watch)
        del y
        assert all(ref() is None for ref in watch)
    finally:
        gc.enable()


def test_saved_arrays_are_freed_as_backward_passes():
    x = tc.tensor(np.ones((4, 4)), requires_grad=True)
    y = x * 2
    middle = y.exp()
    watch = weakref.ref(middle._data)
    z = middle.sum()
    del middle
    assert watch() is not None  # exp's rule reads its output
    z.backward()
    assert watch() is None


def test_a_node_keeps_only_what_its_rules_read():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    c = tc.tensor([3.0, 4.0])
    assert (x + c).node.saved == (None, None, None)
    out, left, right = (x * c).node.saved
    assert out is None
    assert left is None  # the rule of the constant is never run
    assert right is c._data
    assert x.exp().node.saved[1] is None


def test_gradients_do_not_share_memory():
    a = tc.tensor([1.0, 2.0], requires_grad=True)
    b = tc.tensor([3.0, 4.0], requires_grad=True)
    seed = tc.tensor([1.0, 1.0])
    (a + b).backward(seed)
    a.grad.fill_(5.0)
    assert b.grad.tolist() == [1.0, 1.0]
    assert seed.tolist() == [1.0, 1.0]
    assert not np.shares_memory(b.grad.numpy(), seed.numpy())


def test_a_first_contribution_is_never_written_into():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = tc.tensor([1.0, 2.0], requires_grad=True)
    s = x + y  # hands one array to both
    (s + x + x).backward(tc.tensor([1.0, 1.0]))
    assert x.grad.tolist() == [3.0, 3.0]
    assert y.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("face", FACES)
def test_backward_through_a_long_gap_in_the_sequence(face):
    x = leaf(face, 2.0)
    y = x * x
    for _ in range(5000):
        graph.tick()
    z = y * y
    z.backward()
    assert grad_of(x) == 32.0


@pytest.mark.parametrize("face", FACES)
def test_a_leaf_can_be_the_root(face):
    x = leaf(face)
    x.backward()
    x.backward()
    assert grad_of(x) == 2.0


# --- grad modes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
def test_no_grad_records_nothing_and_nests(face):
    x = leaf(face)
    with tc.no_grad():
        assert not (x * x).requires_grad
        with tc.enable_grad():
            assert (x * x).requires_grad
        assert not (x * x).requires_grad
    assert (x * x).requires_grad


def test_modes_as_decorators_and_after_errors():
    x = tc.tensor(1.0, requires_grad=True)

    @tc.no_grad()
    def constant():
        return x * 2

    assert not constant().requires_grad
    assert not constant().requires_grad
    with pytest.raises(KeyError), tc.no_grad():
        raise KeyError
    assert tc.is_grad_enabled()
    assert tc.set_grad_enabled(True)(lambda: x * 2)().requires_grad
    tc.set_grad_enabled(False)
    try:
        assert not (x * 2).requires_grad
    finally:
        tc.set_grad_enabled(True)
    mode = tc.no_grad()
    with mode, mode:
        pass
    assert tc.is_grad_enabled()


def test_threads_do_not_see_each_others_mode():
    entered, looked = threading.Event(), threading.Event()
    seen = []

    def other():
        with tc.no_grad():
            entered.set()
            looked.wait(10)
            seen.append(tc.is_grad_enabled())

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    assert tc.is_grad_enabled()
    looked.set()
    thread.join()
    assert seen == [False]


def test_threads_differentiate_their_own_graphs():
    def work(seed: int):
        rng = np.random.default_rng(seed)
        x = tc.tensor(rng.normal(size=(5, 5)), requires_grad=True)
        s = tc.Scalar(rng.normal())
        for _ in range(30):
            y = x
            t = s
            for _ in range(20):
                y = (y @ x).tanh() + x
                t = (t * s).tanh() + s
            y.sum().backward()
            t.backward()
        return x.grad.numpy(), s.grad

    alone = [work(i) for i in range(4)]
    together: list = [None] * 4

    def run(i: int) -> None:
        together[i] = work(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for (g, s), (h, u) in zip(alone, together, strict=True):
        assert np.array_equal(g, h)
        assert s == u


# --- hooks ----------------------------------------------------------------------------------------


def test_hooks_see_and_replace_gradients():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    seen = []
    inner = y.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
    on_leaf = x.register_hook(lambda g: g + 1)
    (y * y).sum().backward()
    assert seen == [[6.0, 12.0]]
    assert x.grad.tolist() == [6 * 10 * 3 + 1, 12 * 10 * 3 + 1]
    inner.remove()
    on_leaf.remove()
    x.grad = None
    y = x * 3
    (y * y).sum().backward()
    assert x.grad.tolist() == [18.0, 36.0]


def test_hooks_on_scalars():
    x = tc.Scalar(2.0)
    y = x * 3.0
    y.register_hook(lambda g: g * 2.0)
    x.register_hook(lambda g: g + 1.0)
    (y * y).backward()
    assert x.grad == 12 * 2 * 3 + 1


def test_a_hook_may_not_change_the_shape():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(GradientError, match="hook on"):
        (x * x).sum().backward()
    with pytest.raises(GradientError, match="constant"):
        tc.tensor([1.0]).register_hook(print)


def test_retain_grad_fills_in_an_inner_gradient():
    x = tc.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.retain_grad()
    y.retain_grad()
    z = (y * y).sum()
    z.backward()
    assert y.grad.tolist() == [6.0, 12.0]
    assert z.grad is None


def test_inner_scalars_have_their_gradient():
    a, b = tc.Scalar(2.0), tc.Scalar(-3.0)
    c = a * b
    d = c + a
    (d * c).backward()
    assert d.grad == -6.0
    assert c.grad == -4.0 + -6.0


def test_retain_grad_on_an_inner_scalar_counts_once():
    x = tc.Scalar(2.0)
    y = x * 3
    y.retain_grad()
    (y * y).backward()
    assert y.grad == 12.0
    assert x.grad == 36.0


@pytest.mark.parametrize("size", [1, 4, 80])
@pytest.mark.parametrize("create_graph", [False, True])
def test_many_contributions_to_a_leaf(size, create_graph):
    x, other = (tc.tensor(np.ones((size, size)), requires_grad=True) for _ in range(2))
    numbers = np.arange(size * size, dtype=float).reshape(size, size)
    y = (x + other) * 1.0
    for i in range(150):  # contiguous, transposed, repeated and shared ones
        y = (y + x) + (x * float(i)).t() + x.sum()
    (y * tc.tensor(numbers)).sum().backward(create_graph=create_graph)
    want = 151 * numbers + sum(range(150)) * numbers.T + 150 * numbers.sum()
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-12)
    np.testing.assert_array_equal(other.grad.numpy(), numbers)


def test_an_inner_sum_is_not_made_in_an_array_that_a_leaf_holds():
    x, w = (tc.tensor(np.ones((2, 2)), requires_grad=True) for _ in range(2))
    y = x * 1.0
    g = tc.tensor(np.full((2, 2), 3.0))
    ((y + w) + y).backward(g)
    assert x.grad.tolist() == [[6.0, 6.0], [6.0, 6.0]]
    assert w.grad.tolist() == g.tolist() == [[3.0, 3.0], [3.0, 3.0]]
