"""Clipping and vectors of parameters, against PyTorch."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import GradientError, OptionError, ShapeError

torch = pytest.importorskip("torch")
relaxed = settings(deadline=None, max_examples=30)
SHAPES = [(3, 4), (5,), (), (2, 1, 2)]


def both(seed):
    """The same parameters with the same gradients; one has none."""
    rng = np.random.default_rng(seed)
    ours, theirs = [], []
    for i, shape in enumerate(SHAPES):
        p, g = rng.normal(size=shape), rng.normal(size=shape)
        ours.append(tc.tensor(p, requires_grad=True))
        theirs.append(torch.tensor(p, requires_grad=True))
        if i != 1:
            ours[-1].grad, theirs[-1].grad = tc.tensor(g), torch.tensor(g)
    return ours, theirs


def same_grads(ours, theirs):
    for p, q in zip(ours, theirs, strict=True):
        if q.grad is None:
            assert p.grad is None
        else:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)


@relaxed
@given(st.integers(0, 999), st.sampled_from([0.0, 0.5, 3.0, 100.0]),
       st.sampled_from([1.0, 2.0, 3.5, math.inf]))  # fmt: skip
def test_clip_grad_norm(seed, limit, p):
    ours, theirs = both(seed)
    a = nn.utils.clip_grad_norm_(iter(ours), limit, p)
    b = torch.nn.utils.clip_grad_norm_(theirs, limit, p)
    np.testing.assert_allclose(a.item(), b.item(), rtol=1e-12)
    same_grads(ours, theirs)


@relaxed
@given(st.integers(0, 999), st.sampled_from([0.0, 0.5, 3.0]))
def test_clip_grad_value(seed, limit):
    ours, theirs = both(seed)
    nn.utils.clip_grad_value_(ours, limit)
    torch.nn.utils.clip_grad_value_(theirs, limit)
    same_grads(ours, theirs)


def test_parameters_with_one_gradient_array_are_each_clipped_once():
    a, b = tc.ones(2, requires_grad=True), tc.ones(2, requires_grad=True)
    (a + b).backward(tc.tensor([3.0, 0.0]))
    nn.utils.clip_grad_norm_([a, b], 3.0)
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy())
    np.testing.assert_allclose(a.grad.numpy(), [3 / math.sqrt(2), 0.0], rtol=1e-6)


def test_vectors():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (13,)
    (vector * tc.arange(13.0)).sum().backward()
    assert net[1].bias.grad.tolist() == [12.0]
    nn.utils.vector_to_parameters(tc.arange(13.0), net.parameters())
    assert net[0].bias.tolist() == [6.0, 7.0, 8.0]
    with pytest.raises(ShapeError, match="13 elements"):
        nn.utils.vector_to_parameters(tc.arange(12.0), net.parameters())


def test_errors():
    w = tc.ones(2, requires_grad=True)
    assert nn.utils.clip_grad_norm_(w, 1.0).item() == 0
    w.grad = tc.tensor([math.inf, 1.0])
    with pytest.raises(GradientError, match="is inf"):
        nn.utils.clip_grad_norm_(w, 1.0, error_if_nonfinite=True)
    with pytest.raises(OptionError, match="negative"):
        nn.utils.clip_grad_value_(w, -1.0)
