"""Wrong backward rules of many kinds, for the checker to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tinygrad_course as tc
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

    Planted.parts = (forward, rules)
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


# --- forwards and rules that several bugs share ---------------------------------------------------


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def normal(x: Any) -> Any:
    """Mean 0 and variance 1 along the last axis."""
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def convolve(x: Any, w: Any) -> Any:
    """out[i] = Σ w[k] x[i + k - 1], with a border of one 0."""
    padded = np.pad(x, 1)
    return sum(w[k] * padded[k : k + x.size + 3 - w.size] for k in range(w.size))


def convolve_back(g: Any, x: Any, w: Any, start: int = 1) -> Any:
    padded = np.zeros(x.size + 2)
    for k in range(w.size):
        padded[k : k + g.size] += w[k] * g
    return padded[start : start + x.size].copy()


def convolve_weight(g: Any, x: Any, w: Any) -> Any:
    padded = np.pad(x, 1)
    return np.array([(g * padded[k : k + g.size]).sum() for k in range(w.size)])


def pairs(x: Any) -> Any:
    """The larger of each two neighbours."""
    return windows(x).max(-1)


def pairs_back(g: Any, x: Any) -> Any:
    """Each gradient written to its place, where two windows may share one."""
    out = np.zeros_like(x)
    for i in range(x.size - 1):
        out[i + int(x[i + 1] > x[i])] = g[i]
    return out


class Buffer:
    """A rule that keeps its last gradient and forgets to clear it."""

    def __init__(self) -> None:
        self.sums: dict[Any, Any] = {}

    def __call__(self, g: Any, x: Any) -> Any:
        self.sums[x.shape] = self.sums.get(x.shape, 0) + 2 * g * x
        return self.sums[x.shape].copy()


def in_single(x: Any, wrong: float) -> float:
    """A factor that is wrong in float32 alone."""
    return wrong if x.dtype == np.float32 else 1.0


def in_half(x: Any) -> Any:
    """Rounded to float16, if in float32."""
    return x.astype(np.float16).astype(x.dtype) if x.dtype == np.float32 else x


def doubled_in_place(x: Any) -> Any:
    if x.flags.writeable:
        x *= 2
        return x.copy()
    return 2 * x


def first_of(g: Any, x: Any) -> Any:
    """The first of the contributions that should be added up."""
    lead = g.ndim - x.ndim
    return g[(0,) * lead + tuple(slice(n) for n in x.shape)].copy()


def packed(x: Any) -> Any:
    """What is in memory from the first element on, whatever the strides."""
    return np.lib.stride_tricks.as_strided(x, x.shape, (x.itemsize,)).copy()


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
PACKED = ts.tensors(ts.shapes(1, 1, min_side=2, max_side=6), layout="contiguous").map(
    lambda x: (x,)
)
MATRIX = ts.tensors(ts.shapes(2, 2)).map(lambda x: (x,))
TIES = ts.tensors(ts.shapes(1, 2, max_side=4), values=ts.KINKS).map(lambda x: (x,))
TWO = ts.broadcasting(2)
SQUARES = st.integers(1, 2).flatmap(
    lambda n: st.tuples(ts.tensors((n, n)), ts.tensors((n, n)))
)  # fmt: skip
PLACES = np.array([0, 1, 1, 2, 0])

COLUMN = ts.tensors(ts.shapes(2, 2, min_side=2)).map(lambda x: (x,))
POSITIVE = ts.tensors(values=ts.POSITIVE).map(lambda x: (x,))
SINGLE = ts.tensors(dtype="float32").map(lambda x: (x,))
SINGLE_LINE = ts.tensors(ts.shapes(1, 1, min_side=2, max_side=5), dtype="float32").map(
    lambda x: (x,)
)
LINE = ts.tensors(ts.shapes(1, 1, min_side=2, max_side=5)).map(lambda x: (x,))
SAME = ts.shapes(0, 1).flatmap(lambda s: st.tuples(ts.tensors(s), ts.tensors(s)))
FILTER = st.tuples(ts.tensors(ts.shapes(1, 1, min_side=2, max_side=5)), ts.tensors((3,)))
TIED_PAIR = ts.shapes(1, 1).flatmap(
    lambda s: st.tuples(ts.tensors(s, values=ts.KINKS), ts.tensors(s, values=ts.KINKS))
)
PRODUCT = ts.signature("(n,k),(k,m)->(n,m)", layout="contiguous").filter(
    lambda xs: all(x.ndim == 2 for x in xs)
)

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
        function(
            np.multiply, lambda g, x, y: first_of(g * y, x), lambda g, x, y: to_shape(g * x, y)
        ),
        TWO, 3, "a missing sum",
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
    # elementwise
    "tanh by 1 - out": Bug(
        function(np.tanh, lambda g, x: g * (1 - np.tanh(x))), ONE, 1, "input 0"
    ),
    "sigmoid's rule on its argument": Bug(
        function(lambda x: 1 / (1 + np.exp(-x)), lambda g, x: g * x * (1 - x)), ONE, 1, "input 0"
    ),
    "sqrt without its half": Bug(
        function(np.sqrt, lambda g, x: g / np.sqrt(x)), POSITIVE, 1, "factor 2"
    ),
    "log by 1 / x²": Bug(function(np.log, lambda g, x: g / x**2), POSITIVE, 1, "input 0"),
    "abs without the sign": Bug(function(np.abs, lambda g, x: g * 1), ONE, 1, "the sign"),
    "relu from -1 on": Bug(
        function(lambda x: np.maximum(x, 0), lambda g, x: g * (x > -2)), ONE, 1, "input 0 = -"
    ),
    "clamp lets all through": Bug(
        function(lambda x: np.clip(x, -3, 3), lambda g, x: g * 1), ONE, 1, "input 0"
    ),
    "a power too many": Bug(
        function(lambda x: x**3, lambda g, x: g * 3 * x**3), ONE, 1, "input 0"
    ),
    "quotient: the second sign": Bug(
        function(np.divide, lambda g, x, y: to_shape(g / y, x),
                 lambda g, x, y: to_shape(g * x / y**2, y)),
        TWO, 2, "the sign",
    ),
    "quotient: not squared": Bug(
        function(np.divide, lambda g, x, y: to_shape(g / y, x),
                 lambda g, x, y: to_shape(-g * x / y, y)),
        TWO, 2, "input 1",
    ),
    "difference: the second sign": Bug(
        function(np.subtract, lambda g, x, y: to_shape(g, x), lambda g, x, y: to_shape(g, y)),
        TWO, 2, "the sign (input 1)",
    ),
    "maximum: both get all at a tie": Bug(
        function(np.maximum, lambda g, x, y: g * (x >= y), lambda g, x, y: g * (y >= x)),
        TIED_PAIR, 2, "each of 2 tied elements gets the whole gradient", ties=True,
    ),
    "maximum: the wrong one": Bug(
        function(np.maximum, lambda g, x, y: g * (x < y), lambda g, x, y: g * (y <= x)),
        SAME, 2, "input",
    ),
    # reductions
    "mean along an axis, by the whole size": Bug(
        function(lambda x: x.mean(0), lambda g, x: np.broadcast_to(g / x.size, x.shape).copy()),
        COLUMN, 4, "1/2",
    ),
    "variance by n": Bug(
        function(lambda x: x.var(ddof=1), lambda g, x: g * 2 * (x - x.mean()) / x.size),
        LINE, 2, "factor 1/2",
    ),
    "softmax without its sum": Bug(
        function(softmax, lambda g, x: g * softmax(x)), LINE, 2, "input 0"
    ),
    "log-softmax without softmax": Bug(
        function(lambda x: np.log(softmax(x)), lambda g, x: g * 1), LINE, 2, "input 0"
    ),
    "cross entropy without 1 / m": Bug(
        function(lambda x: -np.log(softmax(x)[:, 0]).mean(),
                 lambda g, x: g * (softmax(x) - np.eye(x.shape[1])[0])),
        COLUMN, 4, "factor 2",
    ),
    "normalised without the mean's share": Bug(
        function(normal, lambda g, x: g / x.std(-1, keepdims=True)), LINE, 2, "input 0"
    ),
    "norm without its division": Bug(
        function(lambda x: np.sqrt((x * x).sum()), lambda g, x: g * x), VECTOR, 2, "factor 2"
    ),
    "running sum, not turned round": Bug(
        function(np.cumsum, lambda g, x: np.cumsum(g)), LINE, 2, "input 0"
    ),
    "product by itself": Bug(
        function(np.prod, lambda g, x: g * np.prod(x) * np.ones_like(x)), VECTOR, 2, "input 0"
    ),
    "sorted, not put back": Bug(function(np.sort, lambda g, x: g.copy()), LINE, 2, "wrong"),
    # shapes and places
    "roll the wrong way": Bug(
        function(lambda x: np.roll(x, 1), lambda g, x: np.roll(g, 1)), LONG, 3, "shifted by"
    ),
    "repeat: only the first copy": Bug(
        function(lambda x: np.tile(x, 2), lambda g, x: g[: x.size].copy()), VECTOR, 1, "only one"
    ),
    "matrix product, arguments exchanged": Bug(
        function(np.matmul, lambda g, x, y: (y @ g.T).T, lambda g, x, y: (g.T @ x).T * 2),
        PRODUCT, 2, "factor 2",
    ),
    "a gradient of another shape": Bug(
        function(lambda x: 2 * x, lambda g, x: 2 * g.reshape(-1)), MATRIX, 1, "reshape"
    ),
    # windows
    "padding off by one": Bug(
        function(convolve, lambda g, x, w: convolve_back(g, x, w, start=2), convolve_weight),
        FILTER, 5, "input 0",
    ),
    "filter not turned round": Bug(
        function(convolve, lambda g, x, w: convolve_back(g, x, w[::-1]), convolve_weight),
        FILTER, 5, "input 0",
    ),
    "pooling writes where it should add": Bug(
        function(pairs, lambda g, x: pairs_back(g, x)), LONG, 3, "= in place of +="
    ),
    # bookkeeping
    "a buffer that is not cleared": Bug(
        function(np.square, Buffer()), ONE, 1, "two runs"
    ),
    "memory read as if it were contiguous": Bug(
        function(np.square, lambda g, x: 2 * g * packed(x)), PACKED, 2, "depends on the layout"
    ),
    "only half of what is negative": Bug(
        function(np.square, lambda g, x: 2 * x * np.where(g < 0, g / 2, g)), ONE, 1, "not linear"
    ),
    # in one precision
    "float32: a constant of few digits": Bug(
        function(np.sin, lambda g, x: g * np.cos(x) * in_single(x, 1.01)),
        SINGLE, 1, "a factor 1.01 everywhere",
    ),
    "float32: a branch past 5": Bug(
        function(np.square, lambda g, x: 2 * g * x * np.where(x > 5, in_single(x, 0.99), 1)),
        SINGLE, 1, "input 0",
    ),
    "float32: the sum of softmax, nearly": Bug(
        function(softmax, lambda g, x: softmax(x) * (
            g - (g * softmax(x)).sum(-1, keepdims=True) * in_single(x, 1.02))),
        SINGLE_LINE, 2, "input 0",
    ),
    "float32: taken through float16": Bug(
        function(softmax, lambda g, x: in_half(softmax(x) * (
            g - in_half((g * softmax(x)).sum(-1, keepdims=True))))),
        SINGLE_LINE, 2, "not linear",
    ),
    "the input is overwritten": Bug(
        function(doubled_in_place, lambda g, x: 2 * g), ONE, 1, "wrote into input 0"
    ),
}  # fmt: skip
