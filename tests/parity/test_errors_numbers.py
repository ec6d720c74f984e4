"""Wrong arguments of elementwise functions, reductions, scans and sorting: each is named."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_course as tc
from tinygrad_course.errors import DtypeError, OptionError, ShapeError

REDUCTIONS = (
    "sum mean var std var_mean std_mean amax amin argmax argmin max min all any prod nansum "
    "nanmean median logsumexp softmax log_softmax cumsum cumprod logcumsumexp cummax cummin sort "
    "argsort count_nonzero"
)
FLOATING = "mean var std var_mean std_mean nanmean softmax log_softmax logcumsumexp norm"


def message(error: type[Exception], f: Any) -> str:
    with pytest.raises(error) as caught:
        f()
    return str(caught.value)


@pytest.mark.parametrize("name", REDUCTIONS.split())
def test_a_dimension_that_is_not_there(name: str) -> None:
    x = tc.ones(2, 3)
    for wrong in (2, -3):
        said = message(ShapeError, lambda dim=wrong: getattr(tc, name)(x, dim=dim))
        assert said == f"{name}: dim {wrong} is out of range: use -2 to 1"
    if name not in ("max", "min"):  # which take a second tensor there
        said = message(ShapeError, lambda: getattr(tc, name)(x, dim="rows"))
        assert said.startswith(name)
        assert "'r" in said


@pytest.mark.parametrize("name", ["sum", "mean", "var", "amax", "all", "nansum", "count_nonzero"])
def test_a_dimension_named_twice(name: str) -> None:
    said = message(ShapeError, lambda: getattr(tc, name)(tc.ones(2, 3), dim=(0, -2)))
    assert said == f"{name}: dim (0, -2) names one dimension twice"


@pytest.mark.parametrize("name", FLOATING.split())
def test_integers_where_fractions_come_out(name: str) -> None:
    rest = (0,) if name in ("softmax", "log_softmax", "logcumsumexp") else ()
    said = message(DtypeError, lambda: getattr(tc, name)(tc.ones(2, dtype="int64"), *rest))
    assert said.startswith(name.removesuffix("_mean") if name != "nanmean" else name)
    assert "int64" in said
    assert "float()" in said


TWO = "add sub mul div pow maximum fmin atan2 hypot logaddexp xlogy fmod remainder eq logical_and"


@pytest.mark.parametrize("name", TWO.split())
def test_shapes_that_do_not_broadcast(name: str) -> None:
    said = message(ShapeError, lambda: getattr(tc, name)(tc.ones(2, 3), tc.ones(4)))
    assert said.startswith(f"{name}(float32[2, 3], float32[4])")


@pytest.mark.parametrize("name", [*TWO.split(), "bitwise_and"])
def test_something_that_is_no_number(name: str) -> None:
    said = message(DtypeError, lambda: getattr(tc, name)(tc.ones(2), "three"))
    assert said.startswith(name)
    assert "three" in said


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
def test_bits_of_fractions(name: str) -> None:
    said = message(DtypeError, lambda: getattr(tc, name)(tc.ones(2), tc.ones(2)))
    assert said.startswith(f"{name}(float32[2]")
    assert "(x > 0) & (y > 0)" in said


X, EMPTY = tc.ones(2, 3), tc.ones(0, 3)
WHOLE, TRUE = tc.tensor([1, 2]), tc.tensor([True])


@pytest.mark.parametrize(
    ("f", "error", "words"),
    [
        (lambda: tc.add(WHOLE, WHOLE, alpha=0.5), DtypeError, "add: alpha=0.5 integers"),
        (lambda: tc.div(X, X, rounding_mode="up"), OptionError, "div 'up' 'trunc' 'floor'"),
        (lambda: tc.clamp(X), OptionError, "clamp min max"),
        (lambda: tc.lerp(X, X.double(), 0.5), DtypeError, "lerp float32 float64 end.to("),
        (lambda: tc.lerp(X, X, X.double()), DtypeError, "lerp weight float64"),
        (lambda: tc.isclose(X, X.double()), DtypeError, "isclose float32 float64"),
        (lambda: tc.allclose(X, X.long()), DtypeError, "float32 int64"),
        (lambda: WHOLE**-1, DtypeError, "pow int64 float()"),
        (lambda: TRUE**TRUE, DtypeError, "pow bool x.int()"),
        (lambda: TRUE // TRUE, DtypeError, "floor_divide bool x.int()"),
        (lambda: TRUE % TRUE, DtypeError, "remainder bool"),
        (lambda: -TRUE, DtypeError, "neg bool"),
        (lambda: TRUE - TRUE, DtypeError, "sub bool ^"),
        (lambda: tc.relu(TRUE), DtypeError, "relu bool x.float()"),
        (lambda: WHOLE // 0, ZeroDivisionError, "floor_divide integers"),
        (lambda: WHOLE % tc.tensor([1, 0]), ZeroDivisionError, "remainder integers"),
        (lambda: tc.fmod(WHOLE, 0), ZeroDivisionError, "fmod integers"),
        (lambda: tc.div(WHOLE, 0, rounding_mode="trunc"), ZeroDivisionError, "integers"),
        (lambda: EMPTY.max(), ShapeError, "max (0, 3)"),
        (lambda: EMPTY.min(0), ShapeError, "min (0, 3)"),
        (lambda: EMPTY.amax(0), ShapeError, "amax (0, 3)"),
        (lambda: EMPTY.argmin(), ShapeError, "argmin (0, 3)"),
        (lambda: EMPTY.median(0), ShapeError, "median dim 0 (0, 3)"),
        (lambda: X.topk(4), ShapeError, "topk k is 4 (2, 3) 3"),
        (lambda: X.topk(-1), ShapeError, "topk k is -1"),
        (lambda: X.kthvalue(0), ShapeError, "kthvalue k is 0 1 to 3"),
        (lambda: X.norm("large"), OptionError, "norm 'large' 'fro'"),
        (lambda: tc.tensor(1.0).unique(dim=0), OptionError, "unique 0-d"),
        (lambda: X.sum(dtype="complex64"), DtypeError, "complex64"),
        (lambda: X.type("WideTensor"), DtypeError, "WideTensor float32"),
    ],
)
def test_the_message_says_what_was_given(f: Any, error: Any, words: str) -> None:
    said = message(error, f)
    for word in words.split(" "):
        assert word in said, said


def test_in_place_results_that_do_not_fit() -> None:
    x = tc.tensor([1, 2])
    for f, sign in ((lambda: x.__iadd__(0.5), "+="), (lambda: x.__itruediv__(2), "/=")):
        said = message(DtypeError, f)
        assert "float32" in said
        assert "int64" in said
        assert sign in said
    assert "add_" in message(DtypeError, lambda: x.add_(0.5))
    assert x.tolist() == [1, 2]
