"""Gradients with random cotangents equal PyTorch's: at kinks, ties, NaN and infinity too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.testing import strategies as ts

from .common import assert_equal, listed, ours, theirs
from .rows import BY_NAME, Row, names


def gradients(row: Row, case: Any) -> None:
    args, params = case
    mine, others = [ours(x, grad=True) for x in args], [theirs(x, grad=True) for x in args]
    got = [o for o in listed(row.ours(*mine, **params)) if o.dtype.kind == "f"]
    want = [o for o in listed(row.torch(*others, **params)) if o.dtype.is_floating_point]
    rng = np.random.default_rng(0)
    weights = [np.asarray(rng.choice([-1.5, -0.5, 0.75, 1.0], o.shape)) for o in got]
    pairs = [(o, w) for o, w in zip(got, weights, strict=True) if o.requires_grad]
    if pairs:
        tc.autograd.backward([o for o, _ in pairs], [ours(w) for _, w in pairs])
    torch.autograd.backward(want, [theirs(w) for w in weights])
    for i, (a, b) in enumerate(zip(mine, others, strict=True)):
        if isinstance(b, torch.Tensor) and b.grad is not None:
            found = tc.zeros(a.shape, dtype=a.dtype) if a.grad is None else a.grad
            what = f"{row.name}: gradient of argument {i}"  # in a sum, parts may cancel
            assert_equal(found, b.grad, what, rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize("name", names(lambda r: r.order))
@ts.profile(15)
@given(data=st.data())
def test_gradients_equal_torch(name: str, data: Any) -> None:
    row = BY_NAME[name]
    kinds = ["smooth"] + (["kinks"] if row.kinks else [])
    gradients(row, data.draw(row.cases(data.draw(st.sampled_from(kinds)))))


def second_gradients(row: Row, case: Any) -> None:
    """The gradient of a weighted sum of the gradients."""
    args, params = case
    mine, others = [ours(x, grad=True) for x in args], [theirs(x, grad=True) for x in args]
    got = [o for o in listed(row.ours(*mine, **params)) if o.dtype.kind == "f"]
    want = [o for o in listed(row.torch(*others, **params)) if o.dtype.is_floating_point]
    rng = np.random.default_rng(1)
    weights = [np.asarray(rng.choice([-1.5, -0.5, 0.75, 1.0], o.shape)) for o in want]
    places = [i for i, x in enumerate(mine) if isinstance(x, tc.Tensor) and x.requires_grad]
    again = [np.asarray(rng.choice([-1.0, 0.5, 2.0], mine[i].shape)) for i in places]
    try:
        pull(torch.autograd, want, [others[i] for i in places], weights, again, theirs)
    except (RuntimeError, NotImplementedError):
        return  # PyTorch has no second derivative
    pull(tc.autograd, got, [mine[i] for i in places], weights, again, ours)
    for i in places:
        expected = others[i].grad
        if expected is not None:
            expected = (expected + torch.zeros(expected.shape)).numpy()
            found = np.zeros(expected.shape) if mine[i].grad is None else mine[i].grad.numpy()
            size = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-11 * size,
                                       err_msg=f"{row.name}: second gradient of {i}")  # fmt: skip


def pull(
    autograd: Any, out: list[Any], leaves: list[Any], weights: Any, again: Any, tensor: Any
) -> None:
    """Leave in the leaves' .grad the gradient of their weighted gradients."""
    pairs = [(o, tensor(w)) for o, w in zip(out, weights, strict=True) if o.requires_grad]
    if not pairs:
        return
    outs, cotangents = (list(v) for v in zip(*pairs, strict=True))
    first = autograd.grad(outs, leaves, cotangents, create_graph=True, allow_unused=True)
    pairs = [(g, tensor(w)) for g, w in zip(first, again, strict=True) if g is not None]
    pairs = [(g, w) for g, w in pairs if g.requires_grad]
    if pairs:
        autograd.backward([g for g, _ in pairs], [w for _, w in pairs])


@pytest.mark.parametrize("name", names(lambda r: r.order == 2))
@ts.profile(3)
@given(data=st.data())
def test_second_gradients_equal_torch(name: str, data: Any) -> None:
    row = BY_NAME[name]
    second_gradients(row, data.draw(row.cases("smooth")))


@pytest.mark.parametrize("name", names(lambda r: r.order and r.special))
@ts.profile(15)
@given(data=st.data())
def test_gradients_at_nan_and_infinity(name: str, data: Any) -> None:
    row = BY_NAME[name]
    gradients(row, data.draw(row.cases("special")))


POWERS = [(x, y) for x in (0.0, -0.0, 1.0, 2.0, -2.0) for y in (0.0, 1.0, 2.0, 3.0, -1.0, 0.5)]


@pytest.mark.parametrize(("x", "y"), [*POWERS, (np.inf, 2.0), (2.0, np.inf)])
def test_pow_at_the_edges(x: float, y: float) -> None:
    """0 to the power 0, negative numbers, and numbers without end."""
    gradients(BY_NAME["pow"], ([np.array(x), np.array(y)], {}))
