"""Does the checker find bugs? Planted ones must be caught, and shrink to small examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.testing import GradientMismatch, gradcheck
from tinygrad_course.testing import strategies as ts


def function(forward: Any, *rules: Any) -> Any:
    """A function of arrays: each rule gives the gradient of one argument from (g, *args)."""

    class Planted(tc.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            ctx.save_for_backward(*xs)
            return tc.from_numpy(np.asarray(forward(*(x.detach().numpy() for x in xs))))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            xs = [x.detach().numpy() for x in ctx.saved_tensors]
            return tuple(tc.from_numpy(np.asarray(r(g.detach().numpy(), *xs))) for r in rules)

    return Planted.apply


def put(g: Any, i: Any, n: int) -> Any:
    """Each gradient written to its place: the last one stays where they should add up."""
    out = np.zeros(n)
    out[i] = g
    return out


def evenly(g: Any, x: Any, share: Callable[[Any], Any]) -> Any:
    hit = x == x.max(-1, keepdims=True)
    return g[..., None] * hit * share(hit.sum(-1, keepdims=True))


def windows(x: Any) -> Any:
    return np.stack([x[..., :-1], x[..., 1:]], -1)


def smooth(x: Any) -> Any:
    """Sums of neighbours."""
    return windows(x).sum(-1)


def back(g: Any, x: Any, shift: int = 0) -> Any:
    out = np.zeros_like(x)
    out[..., :-1] += g
    out[..., 1:] += np.roll(g, shift, -1)
    return out


def to_shape(g: Any, x: Any) -> Any:
    lead = g.ndim - x.ndim
    axes = tuple(i for i in range(g.ndim) if i < lead or x.shape[i - lead] == 1)
    return g.sum(axes, keepdims=True).reshape(x.shape)


@dataclass(frozen=True)
class Bug:
    """A planted bug.

    Args:
        inputs: draws the arguments.
        size: the most elements that a shrunk example may have in all.
        says: what the report must say.
        ties: whether the bug is at ties.
    """

    fn: Any
    inputs: Any
    size: int
    says: str
    ties: bool = False


ONE = ts.tensors().map(lambda x: (x,))
VECTOR = ts.tensors(ts.shapes(1, 1, max_side=6)).map(lambda x: (x,))
LONG = ts.tensors(ts.shapes(1, 1, min_side=3, max_side=6)).map(lambda x: (x,))
MATRIX = ts.tensors(ts.shapes(2, 2)).map(lambda x: (x,))
TIES = ts.tensors(ts.shapes(1, 2, max_side=4), values=ts.KINKS).map(lambda x: (x,))
TWO = ts.broadcasting(2)
SQUARES = st.integers(1, 2).flatmap(
    lambda n: st.tuples(ts.tensors((n, n)), ts.tensors((n, n)))
)  # fmt: skip
PLACES = np.array([0, 1, 1, 2, 0])

BUGS = {
    "sign": Bug(function(np.cos, lambda g, x: g * np.sin(x)), ONE, 1, "the sign"),
    "factor 2": Bug(function(np.exp, lambda g, x: 2 * g * np.exp(x)), ONE, 1, "factor 2"),
    "half": Bug(function(np.square, lambda g, x: g * x), ONE, 1, "factor 1/2"),
    "branch past 5": Bug(
        function(lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0) * np.where(x > 5, 2, 1)),
        ONE, 1, "input 0",
    ),
    "transposed product": Bug(
        function(np.matmul, lambda g, x, y: g @ y, lambda g, x, y: x.T @ g), SQUARES, 8, "input 0"
    ),
    "transposed": Bug(
        function(lambda x: 2 * x.T, lambda g, x: 2 * g.reshape(x.shape)), MATRIX, 4, "transposed"
    ),
    "missing un-broadcast": Bug(
        function(np.multiply, lambda g, x, y: g * y, lambda g, x, y: to_shape(g * x, y)),
        TWO, 3, "",
    ),
    "un-broadcast by mean": Bug(
        function(
            np.add, lambda g, x, y: to_shape(g, x),
            lambda g, x, y: to_shape(g, y) * y.size / max(g.size, 1),
        ),
        TWO, 3, "1/2",
    ),
    "= for +=": Bug(
        function(lambda x: x[PLACES], lambda g, x: put(g, PLACES, 3)),
        ts.tensors((3,)).map(lambda x: (x,)), 3, "= in place of +=",
    ),
    "mean with the rule of sum": Bug(
        function(np.mean, lambda g, x: np.broadcast_to(g, x.shape).copy()), VECTOR, 2, "a mean"
    ),
    "sum with the rule of mean": Bug(
        function(np.sum, lambda g, x: np.broadcast_to(g / x.size, x.shape).copy()),
        VECTOR, 2, "a sum",
    ),
    "each tie gets all": Bug(
        function(lambda x: x.max(-1), lambda g, x: evenly(g, x, lambda n: 1.0)),
        TIES, 2, "each of 2 tied elements gets the whole gradient", ties=True,
    ),
    "ties get nothing": Bug(
        function(lambda x: x.max(-1), lambda g, x: evenly(g, x, lambda n: n == 1)),
        TIES, 2, "no tied element", ties=True,
    ),
    "off by one": Bug(
        function(smooth, lambda g, x: back(g, x, shift=1)), LONG, 3, "input 0"
    ),
    "wrong place": Bug(
        function(lambda x: x * np.arange(1.0, x.size + 1),
                 lambda g, x: (g * np.arange(1.0, x.size + 1))[::-1].copy()),
        VECTOR, 2, "reversed",
    ),
    "forgotten chain": Bug(
        function(lambda x: np.sin(3 * x), lambda g, x: g * np.cos(3 * x)), ONE, 1, "factor 0.3333"
    ),
    "stale value": Bug(
        function(np.exp, lambda g, x: g * np.exp(np.round(x * 4) / 4)), ONE, 1, "input 0"
    ),
}  # fmt: skip


def fails(bug: Bug, inputs: Any) -> bool:
    try:
        gradcheck(bug.fn, inputs, max_judged=1.0)
    except GradientMismatch:
        return True
    return False


@pytest.mark.parametrize("name", BUGS)
def test_planted_bugs_are_caught_and_shrink(name: str) -> None:
    bug = BUGS[name]
    rules = settings(max_examples=100, deadline=None, derandomize=True, database=None)
    smallest = find(bug.inputs, lambda inputs: fails(bug, inputs), settings=rules)
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
    x, y = find(bug.inputs, lambda inputs: fails(bug, inputs), settings=settings(deadline=None))
    assert (x.numel(), y.numel()) in {(1, 1), (1, 2)}
    with pytest.raises(GradientMismatch, match="a missing sum over axis 0"):
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
