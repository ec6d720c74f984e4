"""One-line property tests, and marks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import OptionError
from tinygrad_course.testing import GradientMismatch, check
from tinygrad_course.testing import strategies as ts

from .planted import BUGS, function, softmax


@check.gradients(
    lambda x, y: (x @ y).tanh(), args=ts.signature("(n?,k),(k,m?)->(n?,m?)"), order=2, examples=10
)
def test_a_whole_property_test() -> None: ...


@check.gradients(
    lambda x, dim: x.softmax(dim=dim),
    args=ts.tensors(ts.shapes(1)).map(lambda x: (x, {"dim": -1})),
    examples=5,
)
def test_keyword_arguments_are_drawn_at_the_end() -> None:
    """Kept as it is."""


def test_the_decorated_function_keeps_its_name_and_runs_once() -> None:
    runs = []

    @check.gradients(tc.exp, examples=3)
    def test_exp() -> None:
        """Of a number."""
        runs.append(1)

    test_exp()
    assert runs == [1]
    assert (test_exp.__name__, test_exp.__doc__) == ("test_exp", "Of a number.")


def test_a_wrong_gradient_fails_at_its_smallest_example() -> None:
    @check.gradients(BUGS["branch past 5"].fn, examples=300, name="relu5")
    def test_relu() -> None: ...

    with pytest.raises(GradientMismatch, match=r"the gradient of relu5 is wrong at input 0.* = 6"):
        test_relu()


def test_a_module_and_several_strategies() -> None:
    @check.gradients(
        nn.Bilinear(2, 3, 2).double(), args=[ts.tensors((2,)), ts.tensors((3,))], examples=3
    )
    def test_bilinear() -> None: ...

    test_bilinear()
    with pytest.raises(OptionError, match="args is a strategy"):
        check.gradients(tc.exp, args=[3.0])


# --- marks ----------------------------------------------------------------------------------------


def wrong_marks(marks: Any) -> set[str]:
    return {m.name for m in marks.marks if m.passed is False}


SMALL = ts.tensors(st.sampled_from(((), (2,))), layout="contiguous")


def report(student: Any, reference: Any, args: Any = SMALL, **how: Any) -> Any:
    return check.report(student, reference, args, examples=25, **how)


def test_a_right_function_has_all_marks() -> None:
    marks = report(lambda x, y: x * y, tc.mul, ts.broadcasting(2), empty=ts.tensors((0, 2)).map(
        lambda x: (x, x)
    ))  # fmt: skip
    assert marks
    assert marks.earned == marks.possible == 9
    assert str(marks).splitlines()[0] == "<lambda>: 9 of 9 marks"


@pytest.mark.parametrize(
    ("student", "reference", "wrong"),
    [
        (lambda x: x * 2 + 1, lambda x: x * 2, {"value"}),
        (lambda x: (x * 2).float(), lambda x: x * 2, {"shape and dtype"}),
        (BUGS["factor 2"].fn, tc.exp, {"gradient", "kinks"}),
        (BUGS["the input is overwritten"].fn, lambda x: 2 * x, {"inputs untouched"}),
        (lambda x: x.reshape(1, -1)[0], lambda x: x, {"shape and dtype"}),
    ],
    ids=["value", "dtype", "gradient", "writes", "reshaped"],
)
def test_a_mistake_costs_its_own_marks(student: Any, reference: Any, wrong: set[str]) -> None:
    marks = report(student, reference, order=1)
    assert not marks
    assert wrong <= wrong_marks(marks)
    if len(wrong) == 1 and "untouched" not in min(wrong):
        assert wrong_marks(marks) == wrong


def test_layout_and_ties_have_marks_of_their_own() -> None:
    def strided(x: Any) -> Any:
        raw = x.detach().numpy()
        flat = np.lib.stride_tricks.as_strided(raw, (raw.size,), (raw.itemsize,)).copy()
        return x * 0 + tc.from_numpy(flat.reshape(raw.shape)) * 2

    line = ts.tensors(ts.shapes(1, 1, min_side=2), layout="contiguous")
    marks = report(lambda x: strided(x) - 2 * x.detach() + 2 * x, lambda x: 2 * x, line, order=1)
    assert wrong_marks(marks) == {"layouts"}
    marks = report(BUGS["each tie gets all"].fn, lambda x: x.amax(-1), line, order=1)
    assert wrong_marks(marks) == {"kinks"}
    assert "each of 2 tied elements gets the whole gradient" in marks["kinks"].hint


def test_the_hint_is_the_smallest_counterexample() -> None:
    softmax_student = function(softmax, lambda g, x: g * softmax(x))
    line = ts.tensors((2,), layout="contiguous")
    marks = report(softmax_student, lambda x: x.softmax(-1), line, order=1, name="softmax")
    mark = marks["gradient"]
    assert not mark.passed
    assert "the gradient of softmax is wrong at input 0[" in mark.hint
    assert "at softmax(tc.tensor([" in mark.hint
    assert "FAIL  gradient: the gradient of softmax is wrong" in str(marks)
    with pytest.raises(OptionError, match="no mark 'speed'"):
        marks["speed"]


def test_an_error_is_a_lost_mark() -> None:
    def student(x: Any, y: Any) -> Any:
        if x.shape != y.shape:
            raise ValueError("shapes differ")
        return x + y

    args = st.tuples(ts.tensors((2,), layout="contiguous"), SMALL)
    marks = report(student, tc.add, args, order=1, kinks=False, name="sum")
    assert not marks["broadcasting"].passed
    assert "raises ValueError: shapes differ" in marks["broadcasting"].hint
    none = report(tc.exp, tc.exp, st.builds(lambda: tc.Scalar(1.0)), kinks=False)
    assert none
    assert none["broadcasting"].passed is None
