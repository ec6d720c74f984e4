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
            assert_equal(found, b.grad, f"{row.name}: gradient of argument {i}", rtol=1e-8)


@pytest.mark.parametrize("name", names(lambda r: r.order))
@ts.profile(15)
@given(data=st.data())
def test_gradients_equal_torch(name: str, data: Any) -> None:
    row = BY_NAME[name]
    kinds = ["smooth"] + (["kinks"] if row.kinks else [])
    gradients(row, data.draw(row.cases(data.draw(st.sampled_from(kinds)))))


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
