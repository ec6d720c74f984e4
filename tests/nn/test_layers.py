"""Layers against PyTorch in float64, with the same weights; their errors; their initial values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import OptionError, ShapeError

torch = pytest.importorskip("torch")
relaxed = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def follow(ours, theirs, x):
    """Same weights in, same result and gradients out."""
    ours, theirs = ours.double(), theirs.double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    a, b = tc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    p, q = ours(a), theirs(b)
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-9, atol=1e-9)
    g = np.random.default_rng(0).normal(size=p.shape)
    p.backward(tc.tensor(g))
    q.backward(torch.tensor(g))
    pairs = [(a, b), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    for u, v in pairs:
        np.testing.assert_allclose(u.grad.numpy(), v.grad.numpy(), rtol=1e-9, atol=1e-9)
    assert repr(ours) == repr(theirs)


@relaxed
@given(seeds, st.booleans(), st.sampled_from([(3,), (2, 3), (2, 4, 3)]))
def test_linear(seed, bias, shape):
    x = np.random.default_rng(seed).normal(size=shape)
    follow(nn.Linear(3, 5, bias=bias), torch.nn.Linear(3, 5, bias=bias), x)


def test_arrangements():
    x = np.random.default_rng(0).normal(size=(2, 6, 4))
    follow(nn.Flatten(), torch.nn.Flatten(), x)
    follow(nn.Flatten(0, 1), torch.nn.Flatten(0, 1), x)
    follow(nn.Unflatten(1, (2, 3)), torch.nn.Unflatten(1, (2, 3)), x)
    follow(nn.Identity(54, unused=1), torch.nn.Identity(), x)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Linear(2.5, 3), "in_features"),
        (lambda: nn.Linear(2, -3), "out_features"),
        (lambda: nn.Dropout(2.0), "between 0 and 1"),
    ],
)
def test_wrong_options_are_refused_when_the_layer_is_made(make, text):
    with pytest.raises((OptionError, ShapeError), match=text):
        make()


# --- initial values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [lambda n: n.Linear(64, 500), lambda n: n.Conv2d(16, 300, (2, 4), groups=2)]
)
def test_default_initial_values_have_pytorchs_distribution(make):
    tc.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = make(nn), make(torch.nn)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        p, q = p.detach().numpy(), q.detach().numpy()
        assert p.dtype == q.dtype
        assert np.abs(p).max() <= 1 / 8
        levels = np.linspace(0.05, 0.95, 10)
        np.testing.assert_allclose(np.quantile(p, levels), np.quantile(q, levels), atol=0.015)


def test_the_same_seed_gives_the_same_layer():
    tc.manual_seed(7)
    a = nn.Linear(3, 4)
    tc.manual_seed(7)
    b = nn.Linear(3, 4)
    assert (a.weight == b.weight).all()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("uniform_", (-1.0, 2.0)), ("normal_", (1.0, 0.5)), ("xavier_uniform_", (1.5,)),
        ("xavier_normal_", ()), ("kaiming_uniform_", (0.2, "fan_out")),
        ("kaiming_normal_", (0.0, "fan_in", "relu")), ("trunc_normal_", ()),
        ("trunc_normal_", (0.0, 1.0, 0.5, 3.0)), ("trunc_normal_", (0.0, 1.0, 2.5, 3.5)),
        ("trunc_normal_", (1.0, 2.0, -0.5, 0.5)), ("trunc_normal_", (0.0, 1.0, -9.0, -2.0)),
        ("constant_", (3.0,)), ("zeros_", ()), ("ones_", ()),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_init_draws_from_pytorchs_distribution(name, args):
    tc.manual_seed(0)
    torch.manual_seed(0)
    p = nn.Parameter(tc.empty(30, 200, 2, 2))
    assert getattr(nn.init, name)(p, *args) is p
    q = getattr(torch.nn.init, name)(torch.empty(30, 200, 2, 2), *args).numpy()
    p = p.detach().numpy()
    levels = np.linspace(0.02, 0.98, 13)
    scale = q.std() + 1e-3
    np.testing.assert_allclose(np.quantile(p, levels), np.quantile(q, levels), atol=0.08 * scale)
    assert p.min() >= q.min() - 0.5 * scale


def test_orthogonal():
    for shape in ((4, 6), (6, 4), (3, 2, 5)):
        w = nn.init.orthogonal_(tc.empty(*shape, dtype=tc.float64), gain=2.0).numpy()
        flat = w.reshape(shape[0], -1)
        gram = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_gains_and_errors():
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert math.isclose(nn.init.calculate_gain(name), torch.nn.init.calculate_gain(name))
    assert nn.init.calculate_gain("leaky_relu", 0.2) == torch.nn.init.calculate_gain(
        "leaky_relu", 0.2
    )
    with pytest.raises(OptionError, match="'swish' is none of linear"):
        nn.init.calculate_gain("swish")
    with pytest.raises(ShapeError, match="2 dimensions"):
        nn.init.xavier_uniform_(tc.empty(3))
    with pytest.raises(OptionError, match="mode"):
        nn.init.kaiming_normal_(tc.empty(3, 3), mode="fan")
    with pytest.raises(tc.errors.GradientError, match="leaf"):
        nn.init.zeros_(tc.ones(2, requires_grad=True) * 2)
