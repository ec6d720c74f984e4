"""Values, shapes and dtypes equal PyTorch's, for every row, over shapes, layouts and dtypes."""

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
from .rows import BY_NAME, ROWS, Row, names


def check(row: Row, case: Any) -> None:
    args, params = case
    got = listed(row.ours(*map(ours, args), **params))
    want = listed(row.torch(*map(theirs, args), **params))
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert_equal(a, b, row.name)


@pytest.mark.parametrize("name", names())
@ts.profile(20)
@given(data=st.data())
def test_values_and_dtypes(name: str, data: Any) -> None:
    row = BY_NAME[name]
    kinds = ["mixed"] + (["kinks"] if row.kinks else [])
    check(row, data.draw(row.cases(data.draw(st.sampled_from(kinds)))))


@pytest.mark.parametrize("name", names(lambda r: r.special or not r.order))
@ts.profile(10)
@given(data=st.data())
def test_nan_and_infinity(name: str, data: Any) -> None:
    row = BY_NAME[name]
    check(row, data.draw(row.cases("special")))


DTYPES = ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")


# PyTorch's take no numbers
TENSORS_ONLY = {"maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "logaddexp",
                "logical_and", "logical_or", "logical_xor"}  # fmt: skip


@pytest.mark.parametrize("name", names(lambda r: r.scalar == 2))
def test_promotion(name: str) -> None:
    """Tensors, 0-d tensors and Python numbers of every pair of dtypes."""
    row = BY_NAME[name]
    usable = [d for d in DTYPES if d == "float16" or d in row.dtypes]
    operands = [np.ones(s, d) for d in usable for s in ((), (2,))]
    for x in operands:
        for y in operands:
            assert_equal(
                row.ours(ours(x), ours(y)), row.torch(theirs(x), theirs(y)),
                f"{row.name} of {x.dtype}{x.shape} and {y.dtype}{y.shape}",
            )  # fmt: skip
        for number in (2, 2.0, True)[: 3 if "bool" in row.dtypes else 2]:
            what = f"{row.name} of {x.dtype}{x.shape} and {number!r}"
            if row.name in TENSORS_ONLY:
                continue
            assert_equal(row.ours(ours(x), number), row.torch(theirs(x), number), what)


@pytest.mark.parametrize("name", sorted(tc.methods.WRITING))
def test_in_place(name: str) -> None:
    """x.exp_() makes x what x.exp() is, and the gradient with it."""
    row = next(r for r in ROWS if name in (r.name, *r.covers))
    x = np.array([0.25, 0.5])
    rest = [tc.tensor([0.75, 0.125], dtype=tc.float64)] * (max(row.scalar, 1) - 1)
    if name in {"clamp", "clip"}:
        rest = [0.3, 1.0]
    if name == "acosh":
        x = x + 2
    a, b = ours(x, grad=True), ours(x, grad=True)
    written = a * 1
    assert getattr(written, name + "_")(*rest) is written
    expected = getattr(b * 1, name)(*rest)
    assert written.tolist() == expected.tolist()
    written.sum().backward()
    expected.sum().backward()
    assert a.grad.tolist() == b.grad.tolist()


def test_rows_call_the_public_functions() -> None:
    """An elementwise row is the front door's function and the method."""
    x = tc.tensor([0.5])
    for row in ROWS:
        if row.scalar == 1 and hasattr(x, row.name):
            assert str(getattr(x, row.name)()) == str(row.ours(x))
        if row.scalar and hasattr(tc, row.name):
            assert row.ours is getattr(tc, row.name)
    assert torch.tensor([0.5]).tolist() == x.tolist()
