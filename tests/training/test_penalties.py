"""Penalties: the slides' formulas, and what weight decay does instead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import nn, optim
from tinygrad_course.errors import OptionError
from tinygrad_course.testing import strategies as ts
from tinygrad_course.training import l1_penalty, l2_penalty


def model():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2)).double()


@ts.profile(20)
@given(st.floats(0, 10), st.integers(1, 1000), st.integers(0, 99))
def test_the_slides_formulas(lam, m, seed):
    tc.manual_seed(seed)
    net = model()
    weights = [net[0].weight, net[3].weight]
    cost = l2_penalty(net, lam, m) + l1_penalty(net, lam, m)
    arrays = [w.detach().numpy() for w in weights]
    squares, sizes = (sum(f(w).sum() for w in arrays) for f in (np.square, np.abs))
    assert cost.item() == pytest.approx(lam / m / 2 * squares + lam / m * sizes)
    cost.backward()
    for w in weights:
        value = w.detach().numpy()
        np.testing.assert_allclose(w.grad.numpy(), lam / m * (value + np.sign(value)), atol=1e-12)
    assert net[0].bias.grad is None
    assert net[2].weight.grad is None


def steps(kind, penalty=None, **options):
    """The weights after ten steps, with λ = 3 and m = 20 in the cost or in the options."""
    tc.manual_seed(1)
    net, x = model(), tc.randn(20, 3).double()
    groups = [
        {"params": [p for p in net.parameters() if p.ndim == 2], **options},
        {"params": [p for p in net.parameters() if p.ndim == 1]},
    ]
    optimizer = kind(groups, lr=0.05)
    for _ in range(10):
        loss = (net(x) ** 2).mean()
        optimizer.zero_grad()
        (loss + penalty(net, 3, 20) if penalty else loss).backward()
        optimizer.step()
    return np.concatenate([p.detach().numpy().ravel() for p in net.parameters()])


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.Adagrad, optim.RMSprop])
def test_weight_decay_of_lambda_over_m_is_the_l2_penalty(kind):
    np.testing.assert_allclose(steps(kind, l2_penalty), steps(kind, weight_decay=3 / 20))


def test_decoupled_decay_is_not():
    by_penalty, plain = steps(optim.AdamW, l2_penalty, weight_decay=0), steps(optim.AdamW)
    decayed = steps(optim.AdamW, weight_decay=3 / 20)
    assert np.abs(by_penalty - decayed).max() > 0.1
    assert np.abs(plain - decayed).max() > 0.01


def test_l1_makes_more_weights_small_than_l2():
    small = [(np.abs(steps(optim.SGD, p)) < 0.05).sum() for p in (l1_penalty, l2_penalty)]
    assert small[0] > small[1]


def test_what_is_penalised_may_be_chosen():
    a, b = nn.Parameter([3.0]), nn.Parameter([[4.0]])
    assert l2_penalty([a, b], 2).item() == 25
    assert l1_penalty(iter([a]), 2, 3).item() == 2


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: l2_penalty(model(), -1), "lam=-1"),
        (lambda: l1_penalty(model(), 1, 0), "m=0"),
        (lambda: l1_penalty(nn.Tanh(), 1), "none of two"),
        (lambda: l2_penalty([], 1), "needs weights"),
    ],
)
def test_errors(call, text):
    with pytest.raises(OptionError, match=text):
        call()
