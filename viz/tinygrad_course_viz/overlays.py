"""Measures laid over a picture: a tint for each box, and the number in words.

The tints are five steps of one hue from light to dark, so that they can be told apart by any eye
and in grey; what is not finite is outlined and said in words.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.errors import GradientError, OptionError
from tinygrad_course.graph import SCALAR
from tinygrad_course.primitive import Primitive

from .backward import replay
from .scalars import REFUSALS, fresh, known_arrays, operand_arrays
from .walk import MANY, Graph, spread

TINTS = ("#f3f8fd", "#d3e5f4", "#a9cde6", "#74b0d8", "#4a93c7")
WRONG = "#f6cdc9"


@dataclass(slots=True)
class Reading:
    """What was measured at a node: a size that gives the tint, words, and whether it is finite."""

    size: float
    text: str
    finite: bool = True
    first: bool = False


def measured(graph: Graph, overlay: str, start: Mapping[int, Any]) -> dict[int, Reading]:
    """A reading for each node that has one.

    Raises:
        OptionError: an overlay that there is not, or too large a graph.
        GradientError: gradients of a graph that a backward pass freed.
    """
    if overlay not in MEASURES:
        raise OptionError(
            f"draw_graph: overlay must be one of {', '.join(MEASURES)}; got {overlay!r}"
        )
    if len(graph) > MANY:
        raise OptionError(
            f"draw_graph: {len(graph):,} nodes are too many for an overlay ({MANY:,})"
        )
    readings = MEASURES[overlay](graph, start)
    wrong = [i for i in sorted(readings) if not readings[i].finite]
    if wrong:
        origin = wrong[-1] if overlay == "gradient" else wrong[0]
        readings[origin].first = True
        readings[origin].text += ", the first on the way"
    return readings


def _gradients(graph: Graph, start: Mapping[int, Any]) -> dict[int, Any]:
    found = dict(start)
    for step in replay(graph, start):
        for move in step.moves:
            found[move.source] = move.after
    return found


def _gradient(graph: Graph, start: Mapping[int, Any]) -> dict[int, Reading]:
    """The length of the gradient of the outputs with respect to each value."""
    readings = {}
    for i, g in _gradients(graph, start).items():
        size = float(np.linalg.norm(np.asarray(g, np.float64)))
        readings[i] = _reading(size, f"|gradient| {size:.3g}")
    return readings


def _ratio(graph: Graph, start: Mapping[int, Any]) -> dict[int, Reading]:
    """For each leaf, the length of its gradient over its own: a step of that part changes it."""
    readings = {}
    for i, g in _gradients(graph, start).items():
        value = graph.arrays.get(i, graph.values[i])
        if graph.ops[i] or value is None:
            continue
        own = float(np.linalg.norm(np.asarray(value, np.float64)))
        size = float(np.linalg.norm(np.asarray(g, np.float64))) / own if own else math.inf
        readings[i] = Reading(size, f"|gradient| / |value| {size:.3g}", finite=not math.isnan(size))
    return readings


def _value(graph: Graph, start: Mapping[int, Any]) -> dict[int, Reading]:
    """The range of each value that is at hand."""
    readings = {}
    for i, array in known_arrays(graph).items():
        size = float(np.abs(array).max(initial=0.0)) if array.dtype.kind in "fiu" else 0.0
        readings[i] = _reading(size, spread(array))
    for i, value in enumerate(graph.values):
        if value is not None:
            readings[i] = _reading(abs(value), "")
    return readings


def _bytes(graph: Graph, start: Mapping[int, Any]) -> dict[int, Reading]:
    """What the forward pass makes and the graph may have to keep."""
    return {
        i: Reading(float(graph.bytes_of(i)), "")
        for i in range(len(graph))
        if graph.ops[i] and graph.node(i).kind is not SCALAR
    }


def _time(graph: Graph, start: Mapping[int, Any]) -> dict[int, Reading]:
    """How long each forward takes by itself, where its operands are at hand: the best of three."""
    arrays, readings = known_arrays(graph), {}
    for i in range(len(graph)):
        operands, node = operand_arrays(graph, i, arrays), graph.node(i)
        if operands is None or not isinstance(node.prim, Primitive):
            continue
        try:
            seconds = min(_once(node.prim.forward, operands, fresh(node)) for _ in range(3))
        except REFUSALS:
            continue
        readings[i] = Reading(seconds, f"{1e6 * seconds:,.0f} µs")
    return readings


def _once(forward: Callable[..., Any], operands: list[Any], params: Mapping[str, Any]) -> float:
    start = time.perf_counter()
    forward(*operands, **params)
    return time.perf_counter() - start


MEASURES: dict[str, Callable[[Graph, Mapping[int, Any]], dict[int, Reading]]] = {
    "gradient": _gradient,
    "ratio": _ratio,
    "value": _value,
    "bytes": _bytes,
    "time": _time,
}
ADDED = ("bytes", "time")  # of the nodes in one box these are summed; of the others, the largest
MEANING = {
    "gradient": "tint: length of the gradient",
    "ratio": "tint: length of the gradient over that of the value",
    "value": "tint: largest absolute value",
    "bytes": "tint: bytes of the result",
    "time": "tint: seconds of the forward",
}


def together(overlay: str, readings: Iterable[Reading]) -> Reading | None:
    """One reading for a box of several nodes."""
    found = list(readings)
    if not found:
        return None
    if overlay in ADDED:
        total = sum(r.size for r in found)
        return Reading(total, f"{1e6 * total:,.0f} µs" if overlay == "time" else "")
    wrong = [r for r in found if not r.finite]
    return max(wrong or found, key=lambda r: (r.first, r.size if r.finite else 0.0))


def tint(size: float, sizes: Iterable[float]) -> str:
    """The tint of one size among all: equal ratios are equal steps."""
    edges = bounds(sizes)
    return TINTS[sum(size >= e for e in edges[1:-1])] if edges else TINTS[0]


def bounds(sizes: Iterable[float]) -> list[float]:
    """The six bounds of the five tints; none if there is nothing to tell apart."""
    positive = [s for s in sizes if 0 < s < math.inf]
    if not positive or min(positive) == max(positive):
        return []
    return [float(b) for b in np.geomspace(min(positive), max(positive), len(TINTS) + 1)]


def _reading(size: float, text: str) -> Reading:
    if math.isfinite(size):
        return Reading(size, text)
    return Reading(0.0, f"{text}, NOT FINITE" if text else "NOT FINITE", finite=False)


def seeds(graph: Graph, values: Iterable[Any]) -> dict[int, Any]:
    """Gradients of 1 at the outputs.

    Raises:
        GradientError: an output is a constant.
    """
    start: dict[int, Any] = {}
    for value in values:
        node = value.node
        if node is None:
            raise GradientError("an output is a constant: it has no gradient")
        one = 1.0 if node.kind is SCALAR else np.ones(node.shape, node.dtype)
        start[graph.number[node]] = one
    return start
