"""The backward pass, replayed step by step on a graph that is only read.

A step takes the youngest node whose gradient is complete and hands to each operand what the rule
makes of that gradient: upstream gradient × local derivative. What several users hand to one node
is added up. The engine does the same; hooks, which belong to the user, are not called here.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.errors import GradientError
from tinygrad_course.graph import Node, Value
from tinygrad_course.primitive import Primitive

from .walk import Graph, flat_saved


@dataclass(slots=True)
class Move:
    """What goes back along one edge, and what the operand has after it.

    `slope` is the local derivative of a Scalar; between Tensors it is a linear map and is not shown
    as a number.
    """

    source: int
    place: int
    slope: float | None
    contribution: Any
    before: Any
    after: Any


@dataclass(slots=True)
class Step:
    """One node's turn: its complete gradient, and what each operand gets."""

    node: int
    gradient: Any
    moves: list[Move]


def replay(graph: Graph, start: Mapping[int, Any]) -> list[Step]:
    """The steps of a backward pass from the outputs, whose gradients are given.

    Raises:
        GradientError: an earlier backward pass freed the graph.
    """
    gradients: dict[int, Any] = dict(start)
    waiting = [-i for i in gradients if graph.ops[i]]
    heapq.heapify(waiting)
    steps: list[Step] = []
    done: set[int] = set()
    while waiting:
        i = -heapq.heappop(waiting)
        if i in done:
            continue
        done.add(i)
        moves = []
        for place, contribution, slope in _handed(graph.node(i), gradients[i]):
            p = graph.parents[i][place]
            assert p is not None
            before = gradients.get(p)
            gradients[p] = contribution if before is None else before + contribution
            moves.append(Move(p, place, slope, contribution, before, gradients[p]))
            if graph.ops[p]:
                heapq.heappush(waiting, -p)
        steps.append(Step(i, gradients[i], moves))
    return steps


def _handed(node: Node, g: Any) -> list[tuple[int, Any, float | None]]:
    """(operand, contribution, local derivative) for every operand in the graph."""
    prim = node.prim
    saved = node.saved
    if saved is None:
        raise GradientError(
            "a backward pass freed this graph: replay it before backward(), or call "
            "backward(retain_graph=True)"
        )
    places = [i for i, p in enumerate(node.parents) if p is not None]
    if prim.name == "dot_scalars":
        flat = flat_saved(node)
        half = len(node.parents) // 2
        slopes = (*flat[half + 1 :], *flat[1 : half + 1])
        return [(i, g * slopes[i], slopes[i]) for i in places]
    if prim.rules is None:
        given = prim.pull(node, g, saved, Value, False)
        return [(i, _fitted(node, i, given[i]), None) for i in places if given[i] is not None]
    handed = []
    for i in places:
        rule = prim.rules[i]
        c = g if rule is None else rule(g, *saved, **node.params)
        slope = None
        if isinstance(g, float):
            slope = 1.0 if rule is None else rule(1.0, *saved, **node.params)
        handed.append((i, _fitted(node, i, c), slope))
    return handed


def _fitted(node: Node, i: int, c: Any) -> Any:
    """Broadcasting undone, as the engine's walk does it."""
    parent = node.parents[i]
    if isinstance(c, float) or parent is None or not isinstance(node.prim, Primitive):
        return c
    return node.prim.fit(np.asarray(c), parent)
