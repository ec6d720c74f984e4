"""One small tensor operation as a graph of Scalars: the same forward, number by number.

A row's forward is NumPy code, and NumPy computes on arrays of objects with the objects' own
operators and methods. Given Scalars it leaves behind the graph that a reader would draw by hand:
nothing here knows what a matrix product or a softmax is.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from tinygrad_course import Scalar, autograd
from tinygrad_course.errors import OptionError
from tinygrad_course.graph import SCALAR
from tinygrad_course.primitive import Primitive

from .walk import Graph

NUMBERS = 40  # of an operation with more numbers in it the scalar graph is not drawn
REFUSALS = (TypeError, ValueError, AttributeError, KeyError, NotImplementedError)


def known_arrays(graph: Graph) -> dict[int, Any]:
    """The arrays of a small graph's nodes, as far as they can be had: given, saved or computed."""
    arrays = dict(graph.arrays)
    for i in range(len(graph)):
        operands = operand_arrays(graph, i, arrays)
        if i not in arrays and operands is not None:
            node = graph.node(i)
            try:
                with np.errstate(all="ignore"):
                    arrays[i] = np.asarray(node.prim.forward(*operands, **fresh(node)))
            except REFUSALS:
                continue
    return arrays


def fresh(node: Any) -> dict[str, Any]:
    """Copies of a node's parameters: what a forward notes there for its rules stays as it was."""
    return {name: copy(value) for name, value in node.params.items()}


def operand_arrays(graph: Graph, i: int, arrays: dict[int, Any]) -> list[Any] | None:
    """The arrays that operation `i` worked on, if all of them are known."""
    node = graph.node(i)
    if not isinstance(node.prim, Primitive) or node.kind is SCALAR:
        return None
    saved = [*(node.saved or ())[1:], *[None] * len(node.parents)]
    found = [
        arrays.get(p) if p is not None else saved[place] for place, p in enumerate(graph.parents[i])
    ]
    return None if any(a is None for a in found) else found


def expanded(
    graph: Graph, i: int, arrays: dict[int, Any], gradient: Any = None
) -> tuple[dict[str, Scalar], dict[str, Scalar]]:
    """Operation `i` on Scalars: its outputs and its inputs, by name, after a backward pass.

    Args:
        graph, i: the operation.
        arrays: what `known_arrays` found.
        gradient: what arrives at its result; ones if it is None.

    Raises:
        OptionError: it is too large, its operands are not known, or it has no form on numbers.
    """
    name, operands = graph.ops[i], operand_arrays(graph, i, arrays)
    if operands is None:
        raise OptionError(
            f"{name}: its operands' values are not in the graph; name them in params, and draw "
            "before a backward pass frees the graph"
        )
    count = sum(np.size(a) for a in operands)
    if count > NUMBERS:
        raise OptionError(f"{name}: {count} numbers are too many to draw one by one ({NUMBERS})")
    inputs: dict[str, Scalar] = {}
    boxed = []
    for place, (p, array) in enumerate(zip(graph.parents[i], operands, strict=True)):
        label = graph.names.get(p, "xyzuvw"[place % 6]) if p is not None else ""
        boxed.append(array if p is None else _boxed(np.asarray(array), label, inputs))
    node = graph.node(i)
    try:
        with np.errstate(all="ignore"):
            out = np.asarray(node.prim.forward(*boxed, **fresh(node)), dtype=object)
    except REFUSALS as error:
        raise OptionError(f"{name} has no form on single numbers: {error}") from error
    outputs = {f"out{_at(j, out.ndim)}": v for j, v in np.ndenumerate(out)}
    tracked = {k: v for k, v in outputs.items() if isinstance(v, Scalar) and v.requires_grad}
    if not tracked or len(outputs) > NUMBERS:
        raise OptionError(f"{name} has no form on single numbers")
    given = np.broadcast_to(np.float64(1.0 if gradient is None else gradient), out.shape)
    grads = [
        float(g) for (_, g), k in zip(np.ndenumerate(given), outputs, strict=True) if k in tracked
    ]
    autograd.backward(list(tracked.values()), grads, retain_graph=True)
    return tracked, inputs


def _boxed(array: Any, label: str, inputs: dict[str, Scalar]) -> Any:
    boxes = np.empty(array.shape, dtype=object)
    for j, value in np.ndenumerate(array):
        boxes[j] = inputs[f"{label}{_at(j, array.ndim)}"] = Scalar(float(value))
    return boxes


def _at(index: tuple[int, ...], ndim: int) -> str:
    return f"[{', '.join(map(str, index))}]" if ndim else ""
