"""Distributions against PyTorch's, and what they draw against what they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tests.parity.common import assert_equal
from tinygrad_course import distributions as ours
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.testing import strategies as ts

torch = pytest.importorskip("torch")
theirs = torch.distributions
KINDS = ("Normal", "Bernoulli", "Bernoulli of logits", "Categorical", "Categorical of logits")


def parameters(kind, rng, batch):
    """The keyword arguments of a distribution, as arrays."""
    if kind == "Normal":
        return {"loc": rng.normal(size=batch), "scale": rng.uniform(0.3, 2, batch)}
    form = (*batch, 4) if kind.startswith("Cat") else batch
    if kind.endswith("logits"):
        return {"logits": rng.normal(size=form) * 3}
    return {"probs": rng.uniform(0.05, 0.95, form)}


def made(module, kind, arrays):
    """The distribution and its parameters, as one of the libraries has them."""
    turn = tc.tensor if module is ours else torch.tensor
    leaves = {k: turn(v, requires_grad=True) for k, v in arrays.items()}
    return getattr(module, kind.split()[0])(**leaves), list(leaves.values())


def values(kind, rng, shape):
    if kind == "Normal":
        return rng.normal(size=shape)
    if kind.startswith("Bern"):
        return rng.integers(0, 2, shape).astype(float)
    return rng.integers(0, 4, shape)


def same(a, b, left, right, what):
    """Two results and the gradients of their sums."""
    assert_equal(a, b, what)
    if a.requires_grad:
        for t in (*left, *right):
            t.grad = None
        a.sum().backward()
        b.sum().backward()
        for p, q in zip(left, right, strict=True):
            p = np.zeros(p.shape) if p.grad is None else p.grad.numpy()
            q = np.zeros(tuple(q.shape)) if q.grad is None else q.grad.numpy()
            np.testing.assert_allclose(p, q, rtol=1e-9, atol=1e-12, err_msg=what)


@pytest.mark.parametrize("kind", KINDS)
@ts.profile(10)
@given(
    st.integers(0, 999), st.sampled_from([(), (3,), (2, 3)]), st.sampled_from([(), (1,), (5, 1)])
)
def test_log_prob_and_entropy(kind, seed, batch, extra):
    rng = np.random.default_rng(seed)
    arrays = parameters(kind, rng, batch)
    x = values(kind, rng, extra if extra and not batch else (*extra, *batch))
    for of in ("log_prob", "entropy", "perplexity"):
        a, left = made(ours, kind, arrays)
        b, right = made(theirs, kind, arrays)
        assert (a.batch_shape, a.event_shape) == (tuple(b.batch_shape), tuple(b.event_shape))
        given_x = ([tc.tensor(x)], [torch.tensor(x)]) if of == "log_prob" else ([], [])
        p, q = getattr(a, of)(*given_x[0]), getattr(b, of)(*given_x[1])
        same(p, q, left, right, f"{kind}.{of}")


@pytest.mark.parametrize("kind", KINDS)
@ts.profile(6)
@given(st.integers(0, 999), st.sampled_from([(), (3,), (2, 3)]))
def test_kl_divergence(kind, seed, batch):
    rng = np.random.default_rng(seed)
    first, second = (parameters(kind, rng, batch) for _ in range(2))
    a, left = made(ours, kind, first)
    b, right = made(theirs, kind, first)
    c, more = made(ours, kind, second)
    d, others = made(theirs, kind, second)
    p, q = ours.kl_divergence(a, c), theirs.kl_divergence(b, d)
    same(p, q, left + more, right + others, f"KL of {kind}")


def test_kl_at_the_edges():
    p = np.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5]])
    q = np.array([[0.2, 0.4, 0.4], [0.0, 0.5, 0.5], [0.25, 0.25, 0.5]])
    for name in ("Categorical", "Bernoulli"):
        a = ours.kl_divergence(*(getattr(ours, name)(tc.tensor(v)) for v in (p, q)))
        b = theirs.kl_divergence(*(getattr(theirs, name)(torch.tensor(v)) for v in (p, q)))
        assert_equal(a, b, name)
    with pytest.raises(OptionError, match="Normal and Bernoulli"):
        ours.kl_divergence(ours.Normal(0.0, 1.0), ours.Bernoulli(0.5))


@pytest.mark.parametrize("kind", KINDS)
def test_draws(kind):
    tc.manual_seed(0)
    arrays = parameters(kind, np.random.default_rng(1), (2,))
    a, _ = made(ours, kind, arrays)
    b, _ = made(theirs, kind, arrays)
    drawn, like = a.sample((20_000,)), b.sample((1,))
    assert drawn.shape == (20_000, 2)
    assert not drawn.requires_grad
    assert str(drawn.dtype) == str(like.dtype).removeprefix("torch.")
    x = drawn.numpy()
    if kind == "Normal":
        np.testing.assert_allclose(x.mean(0), arrays["loc"], atol=0.05)
        np.testing.assert_allclose(x.std(0), arrays["scale"], rtol=0.03)
    for value in range(4 if kind != "Normal" else 0):
        share, want = (x == value).mean(0), np.zeros(2)
        if value < 2 or kind.startswith("Cat"):
            want = b.log_prob(torch.tensor(float(value))).exp().detach().numpy()
        np.testing.assert_allclose(share, want, atol=0.015)


def test_no_class_without_probability_is_drawn():
    choice = ours.Categorical(probs=tc.tensor([0.0, 1.0, 0.0, 2.0, 0.0]))
    assert set(choice.sample((2000,)).tolist()) == {1, 3}


def test_rsample_reaches_the_parameters():
    loc, scale = tc.tensor([1.0, 2.0], requires_grad=True), tc.tensor(3.0, requires_grad=True)
    normal = ours.Normal(loc, scale)
    drawn = normal.rsample((4,))
    drawn.sum().backward()
    assert loc.grad.tolist() == [4.0, 4.0]
    noise = (drawn.detach() - loc.detach()) / 3.0
    assert scale.grad.item() == pytest.approx(noise.sum().item(), rel=1e-5)
    for other in (ours.Bernoulli(0.5), ours.Categorical(tc.ones(2))):
        assert not other.has_rsample
        with pytest.raises(OptionError, match="not differentiable"):
            other.rsample()


def test_moments_and_supports():
    normal, coin = ours.Normal(1.0, 2.0), ours.Bernoulli(0.25)
    assert (normal.mean.item(), normal.mode.item(), normal.variance.item()) == (1.0, 1.0, 4.0)
    assert normal.stddev.item() == 2.0
    assert normal.cdf(tc.tensor(1.0)).item() == 0.5
    assert (coin.mean.item(), coin.variance.item()) == (0.25, 0.1875)
    assert coin.stddev.item() == pytest.approx(math.sqrt(0.1875))
    assert ours.Bernoulli(tc.ones(2) / 2).enumerate_support().tolist() == [[0, 0], [1, 1]]
    choice = ours.Categorical(tc.tensor([[1.0, 3.0], [3.0, 1.0]]))
    assert choice.mode.tolist() == [1, 0]
    assert choice.enumerate_support().tolist() == [[0, 0], [1, 1]]
    assert choice.enumerate_support(expand=False).tolist() == [[0], [1]]
    assert choice.param_shape == (2, 2)
    assert repr(normal) == "Normal(loc: 1, scale: 2)"
    assert repr(choice) == "Categorical(probs: shape (2, 2))"


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (
            lambda: ours.Normal(0.0, 0.0),
            OptionError,
            r"Normal: scale must be positive; got \[0.0\]",
        ),
        (lambda: ours.Normal(math.nan, 1.0), OptionError, "loc must be a number"),
        (lambda: ours.Normal(0.0, 1.0).log_prob(tc.tensor(math.nan)), OptionError, "a number"),
        (lambda: ours.Normal(tc.zeros(2), 1.0).log_prob(tc.zeros(3)), ShapeError, r"batch \(2,\)"),
        (lambda: ours.Bernoulli(), OptionError, "either probs or logits"),
        (lambda: ours.Bernoulli(0.5, 0.5), OptionError, "either probs or logits"),
        (lambda: ours.Bernoulli(1.5), OptionError, r"between 0 and 1; got \[1.5\]"),
        (lambda: ours.Bernoulli(0.5).log_prob(tc.tensor(0.3)), OptionError, "must be 0 or 1"),
        (lambda: ours.Categorical(tc.tensor(1.0)), ShapeError, "a dimension of classes"),
        (lambda: ours.Categorical(tc.tensor([-1.0, 2.0])), OptionError, "not be negative"),
        (lambda: ours.Categorical(tc.zeros(2)), OptionError, "not all 0"),
        (lambda: ours.Categorical(tc.ones(2)).log_prob(tc.tensor(2)), OptionError, "0 to 1"),
    ],
)
def test_errors(make, kind, text):
    with pytest.raises(kind, match=text):
        make()


def test_checks_can_be_left_out():
    assert math.isnan(ours.Normal(0.0, -1.0, validate_args=False).entropy().item())
