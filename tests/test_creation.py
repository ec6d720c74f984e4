"""Tensors made from nothing."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_course as tc
from tinygrad_course.errors import DeviceError, DtypeError, OptionError, ShapeError


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


@pytest.mark.parametrize(
    "draw",
    [
        lambda **g: tc.rand(4, **g), lambda **g: tc.randn(2, 2, **g),
        lambda **g: tc.randint(0, 99, (9,), **g), lambda **g: tc.randperm(9, **g),
        lambda **g: tc.normal(1.0, 2.0, (4,), **g),
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
