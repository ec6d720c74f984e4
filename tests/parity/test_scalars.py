"""Elementwise operations on Scalars give what they give on Tensors of one element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.testing import gradcheck
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import KINKS, SPECIAL

from .rows import BY_NAME, Row, names
from .rows.row import TRUTH

ON_SCALARS = names(lambda r: r.scalar)


def both_faces(row: Row, values: list[float]) -> None:
    scalars = [tc.Scalar(v) for v in values]
    tensors = [tc.tensor(v, dtype=tc.float64, requires_grad=True) for v in values]
    a, b = row.ours(*scalars), row.ours(*tensors)
    assert type(a) is (tc.Scalar if b.dtype.kind == "f" else bool)
    np.testing.assert_allclose(float(a), float(b), rtol=1e-14, err_msg=row.name)
    if row.order:
        a.backward(0.75)
        b.backward(tc.tensor(0.75, dtype=tc.float64))
        for s, t in zip(scalars, tensors, strict=True):
            np.testing.assert_allclose(
                s.grad, t.grad.item(), rtol=1e-13, err_msg=f"gradient of {row.name}"
            )


@pytest.mark.parametrize("name", ON_SCALARS)
@ts.profile(15)
@given(data=st.data())
def test_scalars_equal_tensors(name: str, data: Any) -> None:
    row = BY_NAME[name]
    both_faces(row, [data.draw(ts.numbers(d, 1))[0] for d in row.domains])


@pytest.mark.parametrize("name", ON_SCALARS)
@ts.profile(20)
@given(data=st.data())
def test_scalars_at_kinks_nan_and_infinity(name: str, data: Any) -> None:
    domain = data.draw(st.sampled_from((KINKS, SPECIAL)))
    row = BY_NAME[name]
    values = [data.draw(ts.numbers(domain, 1))[0] for _ in row.domains]
    if name == "pow" and values == [-np.inf, 0.5]:
        return  # C says inf; NumPy takes the square root there, which is nan
    both_faces(row, values)


@pytest.mark.parametrize("name", names(lambda r: r.scalar and r.order))
@ts.profile(5)
@given(data=st.data())
def test_gradients(name: str, data: Any) -> None:
    row = BY_NAME[name]
    values = [data.draw(ts.numbers(d, 1))[0] for d in row.domains]
    gradcheck(row.ours, [tc.Scalar(v) for v in values], order=row.order, max_judged=1.0)


@ts.profile(20)
@given(st.sampled_from((0.0, 1.0)), *[st.sampled_from((1.0, -2.0, 0.5))] * 2)
def test_where_and_clamp(c: float, x: float, y: float) -> None:
    a, b = tc.Scalar(x), tc.Scalar(y)
    chosen = tc.where(tc.Scalar(c, requires_grad=False), a, b)
    chosen.backward()
    assert (chosen.data, a.grad, b.grad) == ((x, 1.0, 0.0) if c else (y, 0.0, 1.0))
    a = tc.Scalar(x)
    kept = a.clamp(-1.0, 0.5)
    kept.backward()
    assert (kept.data, a.grad) == (max(min(x, 0.5), -1.0), float(-1 <= x <= 0.5))
    assert TRUTH.numbers == (1.0, 0.0)


@ts.profile(20)
@given(st.integers(1, 5).flatmap(lambda n: ts.numbers(ts.REAL, 2 * n)))
def test_dot(values: list[float]) -> None:
    n = len(values) // 2
    gradcheck(
        lambda *xs: tc.dot(xs[:n], xs[n:]), [tc.Scalar(v) for v in values], name="dot"
    )  # fmt: skip
    ws, xs = values[:n], values[n:]
    assert tc.dot([tc.Scalar(w) for w in ws], xs).data == pytest.approx(float(np.dot(ws, xs)))


class Both(tc.autograd.Function):
    """x² and x³ at once."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x, x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * g * x + 3 * h * x * x


@ts.profile(10)
@given(ts.tensors())
def test_several_outputs(x: Any) -> None:
    gradcheck(Both.apply, x, order=2)
    gradcheck(lambda x: Both.apply(x)[1], x, order=2)
