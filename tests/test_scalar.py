"""Scalar: micrograd's Value, and a little more."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import Scalar, dot
from tinygrad_course.errors import DtypeError, GradientError, ShapeError
from tinygrad_course.ops import elementwise, linalg
from tinygrad_course.primitive import Primitive
from tinygrad_course.scalar_walk import float_row


def test_the_example_that_micrograd_opens_with():
    a, b = Scalar(-4.0), Scalar(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert g.data == pytest.approx(24.7041, abs=1e-4)
    g.backward()
    assert a.grad == pytest.approx(138.8338, abs=1e-4)
    assert b.grad == pytest.approx(645.5773, abs=1e-4)


def test_data_and_grad_are_floats_that_can_be_assigned():
    p = Scalar(3)
    assert (p.data, p.grad) == (3.0, 0.0)
    assert type(p.data) is type(p.grad) is float
    (p * p).backward()
    p.data -= 0.1 * p.grad
    assert p.data == 3.0 - 0.6
    p.grad = 0
    assert p.grad == 0.0
    assert type(p.grad) is float
    assert not Scalar(1.0, requires_grad=False).requires_grad
    with pytest.raises(GradientError, match="constant"):
        Scalar(1.0, requires_grad=False).grad = 1.0


@pytest.mark.parametrize("value", ["1", [1, 2], None, np.ones(2), 1j])
def test_a_scalar_is_one_number(value):
    with pytest.raises(DtypeError, match="one number"):
        Scalar(value)


def test_mixed_arithmetic_and_comparison():
    x = Scalar(2.0)
    for y, value in (
        (1 + x, 3), (x + 1, 3), (1 - x, -1), (x - 1, 1), (3 * x, 6), (3 / x, 1.5), (x / 4, 0.5),
        (2**x, 4), (x**-1, 0.5), (x ** Scalar(3.0), 8), (-x, -2), (abs(-x), 2), (+x, 2),
        (sum([x, x, x]), 6), (np.float64(2) * x, 4),
    ):  # fmt: skip
        assert isinstance(y, Scalar)
        assert y.data == value
    assert x > 1
    assert x == 2.0
    assert x <= Scalar(2.0)
    assert float(x) == 2.0
    assert max([Scalar(1.0), x]) is x
    assert repr(x * 2) == "Scalar(data=4, grad=0, op=mul)"
    with pytest.raises(TypeError):
        x + "text"


def test_ieee_arithmetic_where_python_raises():
    zero, big = Scalar(0.0), Scalar(1e3)
    assert (1.0 / zero).data == math.inf
    assert zero.log().data == -math.inf
    assert math.isnan(Scalar(-1.0).sqrt().data)
    assert math.isnan((Scalar(-8.0) ** (1 / 3)).data)
    assert big.exp().data == math.inf
    y = (1.0 / zero) + zero.log() + zero.sqrt()
    y.backward()
    assert not math.isfinite(zero.grad)
    x = Scalar(0.0)
    x.sqrt().backward()
    assert x.grad == math.inf


def test_dot_is_one_node_and_equals_the_sum():
    rng = random.Random(0)
    ws = [Scalar(rng.random()) for _ in range(5)]
    xs = [Scalar(rng.random()) for _ in range(4)] + [2.0]
    y = dot(ws, xs)
    assert len(y.node.parents) == 10
    (y * y).backward()
    got = [v.grad for v in ws] + [v.grad for v in xs[:4]]
    for v in (*ws, *xs[:4]):
        v.grad = 0.0
    z = sum(w * x for w, x in zip(ws, xs, strict=True))
    assert z.data == pytest.approx(y.data)
    (z * z).backward()
    assert got == pytest.approx([v.grad for v in ws] + [v.grad for v in xs[:4]])
    assert dot([1.0], [2.0]).data == 2.0
    assert not dot([1.0], [2.0]).requires_grad
    with pytest.raises(ShapeError, match="2 weights and 1 inputs"):
        dot([1.0, 2.0], [1.0])
    with pytest.raises(DtypeError, match="@"):
        dot([tc.ones(2)], [tc.ones(2)])


def test_dot_is_differentiable_twice_and_refuses_stale_weights():
    w, x = Scalar(3.0), Scalar(2.0)
    (g,) = tc.grad(dot([w, w], [x, w]) ** 2, w, create_graph=True)  # (w x + w²)²
    assert g.data == 2 * (6 + 9) * (2 + 6)
    (h,) = tc.grad(g, w)
    assert h.data == 2 * (2 + 6) ** 2 + 2 * (6 + 9) * 2
    y = dot([w], [x])
    w.data = 1.0
    with pytest.raises(GradientError, match="written into since"):
        y.backward()


def plain_dot(ws, xs):
    return sum((w * x for w, x in zip(ws, xs, strict=True)), 0.0)


def sums_of_sums(seed, dot):
    """Layers of weighted sums, long and short, that share, repeat and shift their numbers."""
    rng = random.Random(seed)
    leaves = [Scalar(rng.uniform(-1, 1)) for _ in range(12)]
    known = list(leaves)
    heard = []
    leaves[rng.randrange(12)].register_hook(heard.append)
    for _ in range(rng.randrange(2, 6)):
        n = rng.choice([1, 3, 6, 9])
        inputs = [rng.choice(known[-14:]) for _ in range(n)]
        weights = [leaves[:n], leaves[1 : n + 1], inputs, [*leaves[: n - 1], 0.5], [2.0] * n]
        outs = [dot(rng.choice(weights), inputs) for _ in range(4)]
        known += [out.tanh() + rng.choice(leaves) for out in outs[1:]]
        known.append(outs[0].clamp(-1.0, 1.0))
    if rng.random() < 0.5:
        known[-3].register_hook(lambda g: g * 2.0)
    total = known[-1] * 2.0 + dot(known[-7:], leaves[:7]) + leaves[0]
    for again in (True, False):
        total.backward(retain_graph=again)
    with pytest.raises(GradientError, match="freed"):
        total.backward()
    return [total.data, *[v.grad for v in known], *[g.data for g in heard]]


@pytest.mark.parametrize("seed", range(60))
def test_weighted_sums_of_weighted_sums(seed):
    got, want = sums_of_sums(seed, dot), sums_of_sums(seed, plain_dot)
    assert got == pytest.approx(want, rel=1e-9, abs=1e-12)


def test_a_weight_written_into_between_sums_that_share_it():
    ws, h = [Scalar(0.1 * i) for i in range(8)], [Scalar(1.0).tanh() for _ in range(8)]
    first = dot(ws, h)
    ws[3].data = 5.0
    second = dot(ws, h)
    second.backward(retain_graph=True)
    with pytest.raises(GradientError, match="written into since"):
        (first + second).backward()


def test_a_gradient_of_zero_goes_through_weighted_sums():
    ws, h, heard = [Scalar(0.1 * i) for i in range(8)], [Scalar(1.0).tanh() for _ in range(8)], []
    ws[2].register_hook(heard.append)
    h[2].register_hook(heard.append)
    for sums in (1, 2, 3):  # gathered in the same place
        y = sum(dot(ws, h) * 0.0 for _ in range(sums))
        y.backward(retain_graph=True)
        assert [v.grad for v in ws + h] == [0.0] * 16
        assert [g.data for g in heard] == [0.0] * 2 * sums
    y = dot(ws, h)
    ws[3].data = math.inf
    with pytest.raises(GradientError, match="written into since"):
        (y * 0.0).backward(retain_graph=True)
    ((dot(ws, h) * 0.0) + dot(ws, h) * 0.0).backward()
    assert math.isnan(h[3].grad)
    assert [v.grad for v in ws + h[:3] + h[4:]] == [0.0] * 15


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_random_expressions_agree_with_tensors(seed):
    rng = random.Random(seed)
    numbers = [rng.uniform(-2, 2) for _ in range(3)]
    scalars = [Scalar(v) for v in numbers]
    tensors = [tc.tensor(np.float64(v), requires_grad=True) for v in numbers]
    a, b = list(scalars), list(tensors)
    for _ in range(15):
        i, j = rng.randrange(len(a)), rng.randrange(len(a))
        op = rng.choice(["add", "sub", "mul", "tanh", "sin", "relu", "sigmoid", "neg", "abs"])
        others = (a[j],), (b[j],)
        if op in ("add", "sub", "mul"):
            a.append(getattr(a[i], op)(*others[0]).tanh())
            b.append(getattr(b[i], op)(*others[1]).tanh())
        else:
            a.append(getattr(a[i], op)())
            b.append(getattr(b[i], op)())
    y, z = sum(a), sum(b)
    y.backward()
    z.backward()
    assert y.data == pytest.approx(z.item(), rel=1e-12)
    for s, t in zip(scalars, tensors, strict=True):
        assert s.grad == pytest.approx(t.grad.item(), rel=1e-9, abs=1e-12)


def test_an_operation_that_needs_arrays_says_so():
    with pytest.raises(DtypeError, match=r"matmul.*arrays"):
        linalg.matmul_rows(Scalar(1.0), Scalar(2.0))


@pytest.mark.parametrize(("a", "b"), [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (-1.0, -0.25)])
def test_whole_parts_and_rests(a, b):
    x, y = Scalar(a), Scalar(b)
    whole, rest = x // y, x % y
    assert (whole.data, rest.data) == (a // b, a % b)
    assert ((a // y).data, (a % y).data, (x // b).data, (x % b).data) == (a // b, a % b) * 2
    (whole + rest).backward()
    assert (x.grad, y.grad) == (1, -(a // b))


def float_rows():
    found = [r for n, r in vars(elementwise).items() if isinstance(r, Primitive) and r.name == n]
    return [float_row(r) for r in found if r.scalar and r.rules and len(r.rules) < 3]


def test_rules_on_floats_choose_no_kernels():
    rules = [r for _, first, second, _ in float_rows() for r in (first, second) if r]
    assert "devices.py" not in {r.__code__.co_filename.rpartition("/")[2] for r in rules}


@pytest.mark.parametrize("row", float_rows(), ids=lambda row: row[0].name)
def test_rules_on_floats_do_not_raise(row):
    _, first, second, binary = row
    numbers = [0.0, -0.0, 1.0, -1.5, 2.0, 1e-320, 1e308, -1e308, math.inf, -math.inf, math.nan]
    for saved in itertools.product(numbers, repeat=4 if binary else 3):
        for rule in filter(None, (first, second)):
            assert type(rule(*saved)) is float
