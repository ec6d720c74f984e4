"""Does the checker find bugs? Planted ones must be caught, and shrink to small examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tests.testing.planted import BUGS, Bug
from tinygrad_course.testing import GradientMismatch, gradcheck
from tinygrad_course.testing import strategies as ts


def fails(bug: Bug, inputs: Any) -> bool:
    try:
        gradcheck(bug.fn, inputs, max_judged=1.0)
    except GradientMismatch:
        return True
    return False


def smallest_example(bug: Bug, shrink: bool = True) -> Any:
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    rules = settings(
        max_examples=200, deadline=None, derandomize=True, database=None, phases=phases,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    return find(bug.inputs, lambda inputs: fails(bug, inputs), settings=rules)


@pytest.mark.parametrize("name", BUGS)
def test_planted_bugs_are_caught(name: str) -> None:
    smallest_example(BUGS[name], shrink=False)


SHRUNK = [n for i, n in enumerate(BUGS) if i % 4 == 0 or ts.examples(2) > 2]


@pytest.mark.parametrize("name", SHRUNK)
def test_counterexamples_are_small_and_say_what_is_wrong(name: str) -> None:
    """Of every fourth bug, or with TINYGRAD_COURSE_EXAMPLES=2 of each."""
    bug = BUGS[name]
    smallest = smallest_example(bug)
    assert sum(x.numel() for x in smallest) <= bug.size, smallest
    with pytest.raises(GradientMismatch) as caught:
        gradcheck(bug.fn, smallest, max_judged=1.0)
    assert bug.says in str(caught.value), caught.value


def test_a_bug_past_5_shrinks_to_just_past_5() -> None:
    bug = BUGS["branch past 5"]
    rules = settings(max_examples=500, deadline=None, derandomize=True, database=None)
    (smallest,) = find(bug.inputs, lambda inputs: fails(bug, inputs), settings=rules)
    assert smallest.tolist() in (6.0, [6.0])


def test_zeros_do_not_hide_a_bug_elsewhere() -> None:
    """The same bug among numbers that are often 0: it is the bug that is found, not the kink."""
    bug = BUGS["branch past 5"]
    domain = ts.Domain("zeros and more", (0.0, *range(1, 9)), distinct=False)
    rules = settings(max_examples=500, deadline=None, derandomize=True, database=None)
    (smallest,) = find(
        ts.tensors(values=domain).map(lambda x: (x,)), lambda xs: fails(bug, xs), settings=rules
    )
    assert smallest.tolist() in (6.0, [6.0])


def test_a_missing_sum_shrinks_to_the_smallest_broadcast() -> None:
    bug = BUGS["missing un-broadcast"]
    x, y = smallest_example(bug)
    assert (x.numel(), y.numel()) in {(1, 1), (1, 2)}
    with pytest.raises(GradientMismatch, match="a missing sum"):
        gradcheck(bug.fn, [x, y])


KINKED: dict[str, Callable[[Any], Any]] = {
    "relu": tc.relu,
    "abs": tc.abs,
    "amax": lambda x: x.amax(),
    "amin along": lambda x: x.amin(-1) if x.ndim else x,
    "max along": lambda x: x.max(-1)[0] if x.ndim else x,
    "clamp": lambda x: x.clamp(0.0, 1.0),
    "maximum": lambda x: tc.maximum(x, x.flip(0) if hasattr(x, "flip") else x * 1),
}


@pytest.mark.parametrize("name", KINKED)
@ts.profile(30)
@given(ts.tensors(values=ts.KINKS, dtype=st.sampled_from(("float64", "float32"))))
def test_right_functions_raise_no_alarm_at_kinks(name: str, x: Any) -> None:
    gradcheck(KINKED[name], x, max_judged=1.0)
