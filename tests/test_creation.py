"""Tensors made from nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.errors import DeviceError, DtypeError, GradientError, OptionError, ShapeError
from tinygrad_course.testing import strategies as ts


def test_filled_and_counted():
    assert tc.zeros(2, 3).tolist() == [[0] * 3] * 2
    assert tc.ones((2,), dtype=tc.int64).dtype == "int64"
    assert tc.full((2,), 7).dtype == "int64"
    assert tc.full((2,), 7.0).dtype == "float32"
    assert tc.empty(2, 0).shape == (2, 0)
    assert tc.zeros(()).shape == tc.zeros([]).shape == ()
    assert tc.arange(3).dtype == "int64"
    assert tc.arange(0, 1, 0.25).tolist() == [0, 0.25, 0.5, 0.75]
    assert tc.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    assert tc.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    x = tc.ones(2, dtype="float64")
    assert tc.zeros_like(x).dtype == tc.ones_like(x).dtype == tc.full_like(x, 2).dtype == "float64"
    assert tc.ones(2, requires_grad=True).requires_grad


OPTIONS = [{}, {"dtype": "float64"}, {"dtype": "int64"}, {"dtype": "float16"}]
MAKERS = {
    "zeros": ((2, 3),), "ones": ((2,),), "full": ((2, 2), 3), "empty": ((0, 2),), "eye": (3, 2),
    "arange": (5,), "linspace": (0, 10, 4), "logspace": (0, 2, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("how", OPTIONS, ids=str)
def test_filled_tensors_are_torchs(name, how):
    theirs = {k: getattr(torch, v) for k, v in how.items()}
    same(getattr(tc, name)(*MAKERS[name], **how), getattr(torch, name)(*MAKERS[name], **theirs))


@pytest.mark.parametrize("how", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "bool"])
def test_tensors_like_others_are_torchs(dtype, how):
    theirs = {k: getattr(torch, v) for k, v in how.items()}
    x, y = tc.ones(2, 3, dtype=dtype), torch.ones(2, 3, dtype=getattr(torch, dtype))
    for name in ["zeros_like", "ones_like"]:
        same(getattr(tc, name)(x, **how), getattr(torch, name)(y, **theirs))
    same(tc.full_like(x, 1, **how), torch.full_like(y, 1, **theirs))
    assert tc.empty_like(x, **how).shape == (2, 3)


@ts.profile(60)
@given(st.data())
def test_arange_and_linspace_are_torchs(data):
    numbers = st.integers(-20, 20) | st.sampled_from((0.1, 0.25, -1.3, 2.7, 1e-3))
    start, end = data.draw(numbers), data.draw(numbers)
    step = data.draw(numbers.filter(bool))
    try:
        theirs = torch.arange(start, end, step)
    except RuntimeError:
        with pytest.raises(OptionError, match="arange"):
            tc.arange(start, end, step)
    else:
        same(tc.arange(start, end, step), theirs)
    steps = data.draw(st.integers(0, 9))
    same(tc.linspace(start, end, steps, dtype="float64"),
         torch.linspace(start, end, steps, dtype=torch.float64))  # fmt: skip


def same(ours, theirs):
    assert str(theirs.dtype) == f"torch.{ours.dtype}"
    assert tuple(theirs.shape) == ours.shape
    rtol = {"float16": 1e-3, "float32": 1e-6}.get(ours.dtype.name, 1e-13)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=rtol, atol=rtol)


def test_what_is_wrong_is_named():
    with pytest.raises(ShapeError, match="ints"):
        tc.zeros(2.5)
    with pytest.raises(DtypeError, match="complex"):
        tc.ones(2, dtype="complex128")
    with pytest.raises(DeviceError, match="'gpu'"):
        tc.ones(2, device="gpu")
    with pytest.raises(OptionError, match="low=5 and high=5"):
        tc.randint(5, 5, (2,))
    with pytest.raises(OptionError, match="-1"):
        tc.manual_seed(-1)
    with pytest.raises(OptionError, match="step"):
        tc.arange(0, 1, 0)
    with pytest.raises(OptionError, match="list"):
        tc.from_numpy([1.0])
    with pytest.raises(OptionError, match="300 does not fit into uint8"):
        tc.full((2,), 300, dtype="uint8")
    with pytest.raises(OptionError, match="steps is -1"):
        tc.linspace(0, 1, -1)
    with pytest.raises(ShapeError, match="eye"):
        tc.eye(-1)
    for make in (tc.rand, tc.randn):
        with pytest.raises(DtypeError, match="int64"):
            make(2, dtype="int64")
    with pytest.raises(DtypeError, match="int64"):
        tc.zeros(2, dtype="int64", requires_grad=True)
    with pytest.raises(OptionError, match="generator is 3"):
        tc.rand(2, generator=3)
    with pytest.raises(OptionError, match="std"):
        tc.normal(0.0, -1.0, (2,))
    with pytest.raises(ShapeError, match="normal"):
        tc.normal(tc.zeros(3), 1.0, (2,))
    with pytest.raises(OptionError, match="std is -1"):
        tc.zeros(2).normal_(0, -1)
    with pytest.raises(OptionError, match="above"):
        tc.zeros(2).uniform_(1, 0)
    with pytest.raises(OptionError, match="until"):
        tc.zeros(2).uniform_(0, until=1)
    with pytest.raises(DtypeError, match="int64"):
        tc.zeros(2, dtype="int64").uniform_()
    with pytest.raises(GradientError, match="no_grad"):
        tc.zeros(2, requires_grad=True).normal_()
    for chance in (-0.1, 1.5, float("nan")):
        with pytest.raises(OptionError, match=r"0 (to|and) 1"):
            tc.bernoulli(tc.tensor([chance]))
        with pytest.raises(OptionError, match="0 and 1"):
            tc.zeros(2).bernoulli_(chance)
    with pytest.raises(DtypeError, match="int64"):
        tc.bernoulli(tc.tensor([1]))


@pytest.mark.parametrize(
    ("weights", "how", "error", "match"),
    [
        ([1, 2], {"num_samples": 1}, DtypeError, "int64"),
        ([[[1.0]]], {"num_samples": 1}, ShapeError, "1 or 2 dims"),
        ([1.0, 2.0], {"num_samples": 3}, ShapeError, "replacement=True"),
        ([1.0, 2.0], {"num_samples": 0}, ShapeError, "num_samples is 0"),
        ([1.0, -2.0], {"num_samples": 1}, OptionError, "negative"),
        ([1.0, float("inf")], {"num_samples": 1}, OptionError, "finite"),
        ([0.0, 0.0], {"num_samples": 1}, OptionError, "sum to 0"),
    ],
)
def test_wrong_weights_are_named(weights, how, error, match):
    with pytest.raises(error, match=match):
        tc.multinomial(tc.tensor(weights), **how)


@pytest.mark.parametrize(
    "draw",
    [
        lambda **g: tc.rand(4, **g), lambda **g: tc.randn(2, 2, **g),
        lambda **g: tc.randint(0, 99, (9,), **g), lambda **g: tc.randperm(9, **g),
        lambda **g: tc.normal(1.0, 2.0, (4,), **g),
        lambda **g: tc.bernoulli(tc.full((40,), 0.5), **g),
        lambda **g: tc.multinomial(tc.ones(40), 20, **g),
        lambda **g: tc.multinomial(tc.ones(40), 20, replacement=True, **g),
        lambda **g: tc.zeros(5).normal_(**g), lambda **g: tc.zeros(5).uniform_(**g),
        lambda **g: tc.zeros(40).bernoulli_(**g), lambda **g: tc.randint_like(tc.ones(20), 99, **g),
    ],
)  # fmt: skip
def test_the_same_seed_gives_the_same_numbers(draw):
    tc.manual_seed(3)
    a, b = draw(), draw()
    tc.manual_seed(3)
    assert draw().tolist() == a.tolist() != b.tolist()
    g = tc.Generator().manual_seed(3)
    assert draw(generator=g).tolist() == a.tolist()
    state = g.get_state()
    c = draw(generator=g).tolist()
    g.set_state(state)
    assert draw(generator=g).tolist() == c


def test_the_distributions():
    tc.manual_seed(0)
    u, n = tc.rand(20_000, dtype="float64").numpy(), tc.randn(20_000).numpy()
    assert n.dtype == "float32"
    assert 0 <= u.min() < 0.01 < 0.99 < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.01
    assert abs(n.mean()) < 0.03
    assert abs(n.std() - 1) < 0.03
    assert sorted(tc.randperm(50).tolist()) == list(range(50))
    assert set(np.unique(tc.randint(3, size=(500,)).numpy())) == {0, 1, 2}
    assert tc.rand_like(tc.ones(2, dtype="float16")).dtype == "float16"
    assert abs(tc.normal(tc.full((5000,), 3.0), 0.1).mean().item() - 3) < 0.01


def chi_squared(drawn, chances):
    """Σ (seen − expected)² / expected, over its expectation: near 1 if the chances are right."""
    seen = np.bincount(drawn.numpy().reshape(-1).astype(int), minlength=len(chances))
    expected = np.array(chances) / np.sum(chances) * seen.sum()
    assert seen[expected == 0].sum() == 0
    there = expected > 0
    return (((seen - expected)[there] ** 2) / expected[there]).sum() / (there.sum() - 1)


def test_draws_follow_their_weights():
    tc.manual_seed(0)
    weights = [1.0, 0.0, 4.0, 2.5, 0.5]
    rows = tc.tensor([weights, weights[::-1]])
    for how in ({"replacement": True}, {"replacement": False}):
        # without replacement, the first of each draw has the weights' chances
        count = 4000 if how["replacement"] else 1
        many = tc.multinomial(rows if count > 1 else tc.tensor([weights] * 4000), count, **how)
        assert chi_squared(many[0] if count > 1 else many, weights) < 3
    pairs = tc.multinomial(tc.tensor([[1.0, 1.0, 2.0]] * 6000), 2)
    first, second = pairs[:, 0], pairs[:, 1]
    assert not (first == second).any()
    assert chi_squared(second[first == 2], [1, 1, 0]) < 5
    assert chi_squared(second[first == 0], [0, 1, 2]) < 5
    coins = tc.bernoulli(tc.tensor([0.0, 0.2, 0.9, 1.0]).expand(5000, 4)).mean(0)
    np.testing.assert_allclose(coins.numpy(), [0, 0.2, 0.9, 1], atol=0.02)
    assert chi_squared(tc.zeros(5000).bernoulli_(0.3), [0.7, 0.3]) < 5
    assert chi_squared(tc.randint(2, 7, (6000,)) - 2, [1] * 5) < 3


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_draws_written_in_place(dtype):
    tc.manual_seed(1)
    x = tc.zeros(20_000, dtype=dtype)
    assert x.normal_(3.0, 2.0) is x
    z = (x.numpy().astype(float) - 3) / 2
    # mean, variance, skewness and kurtosis of the normal distribution
    np.testing.assert_allclose([z.mean(), z.var(), (z**3).mean(), (z**4).mean()], [0, 1, 0, 3],
                               atol=0.15)  # fmt: skip
    assert x.uniform_(-1, to=3) is x
    u = x.numpy().astype(float)
    assert u.min() >= -1
    assert u.max() < 3
    np.testing.assert_allclose(np.histogram(u, 4, (-1, 3))[0] / 5000, np.ones(4), atol=0.06)
    assert x.uniform_(**{"from": 5, "to": 6}).numpy().min() >= 5
    assert tc.rand(50_000, dtype=dtype).max() < 1


def test_no_two_draws_are_related():
    tc.manual_seed(2)
    for draw in (tc.rand, tc.randn):
        x = draw(20_000).numpy().astype(float)
        assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.03
    orders = tc.stack([tc.randperm(3) for _ in range(3000)])
    number = orders[:, 0] * 2 + (orders[:, 1] > orders[:, 2]).long()
    assert chi_squared(number, [1] * 6) < 3


def test_normal_takes_tensors():
    tc.manual_seed(3)
    mean = tc.tensor([0.0, 100.0], dtype="float64")
    x = tc.normal(mean.expand(4000, 2), tc.tensor([1.0, 0.0], dtype="float64"))
    assert x.dtype == "float64"
    assert (x[:, 1] == 100).all()
    assert abs(x[:, 0].std().item() - 1) < 0.05
    assert tc.normal(0.0, tc.ones(3)).shape == (3,)
    assert not tc.normal(tc.zeros(2, requires_grad=True), 1.0).requires_grad
