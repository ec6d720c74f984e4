"""Backward rules equal differences, in first and second order, for every differentiable row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.testing import gradcheck
from tinygrad_course.testing import strategies as ts

from .common import ours
from .rows import BY_NAME, Row, names


def check(row: Row, case: Any, **how: Any) -> None:
    args, params = case
    inputs = [ours(x, grad=True) for x in args]
    gradcheck(lambda *xs: row.ours(*xs, **params), inputs, name=row.name, **how)


@pytest.mark.parametrize("name", names(lambda r: r.order))
@ts.profile(12)
@given(data=st.data())
def test_gradients(name: str, data: Any) -> None:
    row = BY_NAME[name]
    check(row, data.draw(row.cases("smooth")), order=row.order)


@pytest.mark.parametrize("name", names(lambda r: r.order and r.kinks))
@ts.profile(8)
@given(data=st.data())
def test_gradients_at_kinks(name: str, data: Any) -> None:
    row = BY_NAME[name]
    check(row, data.draw(row.cases("kinks")), max_judged=1.0)


def test_pow_to_the_zero() -> None:
    """The mixed second derivative of xʸ is 1 / x at y = 0."""
    x, y = ours(np.array([2.0, -3.0]), grad=True), ours(np.array([0.0]), grad=True)
    gradcheck(lambda x: tc.pow(x, tc.zeros(2, dtype=tc.float64)), x, order=2)
    gradcheck(tc.pow, [x.detach().abs().requires_grad_(), y], order=2)
