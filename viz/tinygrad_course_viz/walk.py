"""The engine's graph read into plain records. The only file here that sees the engine."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_course.errors import GradientError
from tinygrad_course.graph import SCALAR, Node, Value, nodes
from tinygrad_course.primitive import Primitive

MANY = 20_000  # in a larger graph values are not worked out
ARRANGING = frozenset(("cast", "clone", "flip", "getitem", "roll"))  # and every view
WIDE = 64  # of an operation with more operands the local derivatives are not shown

# static parameters that repeat a shape which the picture shows anyway
_SHAPES = frozenset(("image", "size", "sizes", "source", "window"))
_PAIRS = frozenset(("dilation", "kernel_size", "padding", "stride"))
_USUAL: tuple[tuple[str, Any], ...] = (("dilation", (1, 1)), ("groups", 1))


@dataclass(slots=True)
class Record:
    """One node of the graph: an operation, or a leaf (then `op` is empty).

    `parents` has an entry for every operand, in order: its number, or None for a constant.
    `sums` names, operand by operand, the axes that broadcasting repeated and that the backward pass
    sums over. `frozen` names constant operands by their places. `value` and `grad` are numbers of
    Scalars, None where they are not known. `shape` is None for an operation with several results.
    """

    op: str
    parents: tuple[int | None, ...]
    shape: tuple[int, ...] | None
    dtype: str
    nbytes: int
    params: Mapping[str, Any]
    scalar: bool = False
    view: bool = False
    has_grad: bool = False
    sums: tuple[tuple[int, ...], ...] = ()
    value: float | None = None
    grad: float | None = None
    constants: tuple[float | None, ...] = ()
    frozen: Mapping[int, str] = field(default_factory=dict)
    slopes: tuple[float | None, ...] = ()
    name: str = ""
    module: str = ""
    output: str = ""
    stats: str = ""

    def settings(self) -> str:
        """The static parameters in a short line: `stride=2, padding=0`."""
        shown = []
        for name, value in self.params.items():
            same = name == "shape" and value == self.shape
            quiet = name in _SHAPES or same or (name, value) in _USUAL
            if not (quiet or value is None or value is False):
                shown.append(f"{name}={_short(_once(name, value))}")
        return ", ".join(shown)


class Graph:
    """The graph as plain lists; a node's number is its place in them, parents before children.

    `ops` holds names, empty for a leaf; `parents` numbers, None for constants; `alike` equal marks
    for nodes that do the same with equal shapes. `record(i)` tells all about one node.
    """

    def __init__(self, found: Iterable[Node]) -> None:
        self._nodes = list(found)
        self.number = number = {node: i for i, node in enumerate(self._nodes)}
        self.ops = ["" if node.prim is None else node.prim.name for node in self._nodes]
        self.parents = [
            tuple([None if p is None else number[p] for p in node.parents]) for node in self._nodes
        ]
        self.outputs: dict[int, str] = {}
        self.names: dict[int, str] = {}
        self.classes: dict[str, str] = {}
        self.paths: dict[int, str] = {}
        self.arrays: dict[int, Any] = {}
        self.constants: dict[int, str] = {}
        self.values: list[float | None] = []
        self.nbytes = sum(_made(n) for n in self._nodes if n.kind is not SCALAR)
        self.freed = any(n.saved is None for n in self._nodes if n.prim is not None)
        seen: dict[Any, int] = {}
        self.alike = [
            seen.setdefault((n.prim, n.kind.shape, n.kind.dtype, len(n.parents)), len(seen))
            for n in self._nodes
        ]

    def __len__(self) -> int:
        return len(self._nodes)

    def node(self, i: int) -> Node:
        """The engine's node, to be read and not to be kept."""
        return self._nodes[i]

    def record(self, i: int) -> Record:
        """All that can be said about node `i`."""
        record = _record(self._nodes[i], self.parents[i])
        record.output, record.name = self.outputs.get(i, ""), self.names.get(i, "")
        record.module = self._module(i)
        record.stats = spread(self.arrays.get(i))
        record.frozen = self._frozen(i)
        if record.scalar:
            record.value = self.values[i]
            if record.op:
                _fill_numbers(self._nodes[i], record, self.values)
        return record

    def bytes_of(self, i: int) -> int:
        """What a node's result takes in memory; a view makes none."""
        return _made(self._nodes[i])

    def arranges(self, i: int) -> bool:
        """Whether an operation only moves, takes or casts the numbers of one operand."""
        prim = self._nodes[i].prim
        return prim is not None and (prim.view or prim.name in ARRANGING)

    def fill_paths(self) -> None:
        """An operation on `features.3.weight` belongs to the module `features.3`.

        So does one on what was made of that parameter alone: the bias that a layer reshapes first.
        """
        if not any("." in name for name in self.names.values()):
            return
        of_parameters: dict[int, str] = {}  # leaves with a name, and what is made of them alone
        for i, parents in enumerate(self.parents):
            if not self.ops[i]:
                of_parameters[i] = self.names.get(i, "").rpartition(".")[0]
                continue
            given = [of_parameters.get(p) for p in parents if p is not None]
            found = {path for path in given if path}
            if len(found) == 1:
                self.paths[i] = found.pop()
                if all(given) and None not in parents:
                    of_parameters[i] = self.paths[i]

    def _module(self, i: int) -> str:
        path = self.paths.get(i, "")
        return f"{path} {self.classes.get(path, '')}".strip() if path else ""

    def _frozen(self, i: int) -> dict[int, str]:
        """The names of constant operands: those whose arrays the node saved for its rules."""
        if not self.constants:
            return {}
        saved = (self._nodes[i].saved or ())[1:]
        pairs = enumerate(zip(self.parents[i], saved, strict=False))
        return {
            place: self.constants[id(array)]
            for place, (p, array) in pairs
            if p is None and id(array) in self.constants
        }

    def fill_arrays(self, known: Iterable[Value]) -> None:
        """The arrays of Tensors that are at hand: those given, and what nodes saved."""
        for value in known:
            i = self.number.get(_node(value))
            if i is not None and isinstance(value._data, np.ndarray):
                self.arrays[i] = value._data
        for i, node in enumerate(self._nodes):
            if node.kind is SCALAR or not node.saved or not isinstance(node.prim, Primitive):
                continue
            for place, array in zip((i, *self.parents[i]), node.saved, strict=False):
                if place is not None and isinstance(array, np.ndarray):
                    self.arrays.setdefault(place, array)

    def fill_values(self, known: Iterable[Value]) -> None:
        """Find the values of Scalars, as far as they can be had.

        A node does not hold its value. It is taken from the values given (outputs, parameters),
        from what the nodes saved for their rules, or else computed again from the operands. After a
        backward pass that freed the graph, what the nodes saved is gone. In a large graph only the
        values given are shown.
        """
        values = self.values = [None] * len(self)
        for value in known:
            i = self.number.get(_node(value))
            if i is not None and value.node is not None and value.node.kind is SCALAR:
                values[i] = value._data
        if len(self) > MANY:
            return
        for i, node in enumerate(self._nodes):
            if node.kind is SCALAR and node.saved:
                _read_saved(node, i, self.parents[i], values)
        for i, node in enumerate(self._nodes):
            if values[i] is None and isinstance(node.prim, Primitive) and node.kind is SCALAR:
                values[i] = _computed(node, _operands(node, self.parents[i], values))


def read(outputs: Any, params: Any = None) -> Graph:
    """Read what lies behind the outputs.

    Args:
        outputs: a Tensor or Scalar, a sequence of them, or a dict of names to them.
        params: names for nodes: a dict of names to values, or a module with `named_parameters()`.

    Raises:
        GradientError: an output is a constant: nothing was recorded.
        TypeError: outputs or params of another type.
    """
    ends = ends_of(outputs)
    named = dict(names_of(params))
    given = {name: value for name, value in named.items() if value.node is not None}
    order: dict[Node, None] = {}
    for node in nodes(value for _, value in ends):
        if node.prim is not None:  # a leaf may be rewritten and so be young: its user places it
            for parent in node.parents:
                if parent is not None:
                    order.setdefault(parent)
            order.setdefault(node)
    for _, value in ends:
        order.setdefault(_node(value))
    graph = Graph(order)
    graph.classes = _classes(params)
    for name, value in ends:
        i = graph.number[_node(value)]
        graph.outputs[i] = f"{graph.outputs[i]}, {name}" if i in graph.outputs else name
    for name, value in given.items():
        if _node(value) in graph.number:
            graph.names.setdefault(graph.number[_node(value)], name)
    constants = {k: v._data for k, v in named.items() if v.node is None}
    graph.constants = {id(a): k for k, a in constants.items() if isinstance(a, np.ndarray)}
    known = [*given.values(), *(value for _, value in ends)]
    graph.fill_paths()
    graph.fill_values(known)
    graph.fill_arrays(known)
    return graph


def _node(value: Value) -> Any:
    return value.node


def ends_of(outputs: Any) -> list[tuple[str, Value]]:
    """The outputs with their names, checked."""
    if isinstance(outputs, Value):
        ends = [("output", outputs)]
    elif isinstance(outputs, Mapping):
        ends = [(f"output {name}", value) for name, value in outputs.items()]
    elif isinstance(outputs, Iterable):
        ends = [(f"output {i}", value) for i, value in enumerate(outputs)]
    else:
        ends = [("output", outputs)]
    for name, value in ends:
        if not isinstance(value, Value):
            raise TypeError(
                f"draw_graph: {name} is a {type(value).__name__}; give a Tensor or a Scalar, a "
                "sequence of them, or a dict of names to them"
            )
        if value.node is None:
            raise GradientError(
                f"draw_graph: {name} is a constant, so no graph was recorded for it; make an input "
                "with requires_grad=True, and compute outside no_grad()"
            )
    if not ends:
        raise TypeError("draw_graph: no outputs were given")
    return ends


def names_of(params: Any) -> Iterator[tuple[str, Value]]:
    """The values that `params` names."""
    if params is None:
        return
    if hasattr(params, "named_parameters"):
        pairs = params.named_parameters()
    elif isinstance(params, Mapping):
        pairs = params.items()
    else:
        raise TypeError(
            f"draw_graph: params is a {type(params).__name__}; give a dict of names to Tensors or "
            "Scalars, or a module with named_parameters()"
        )
    for name, value in pairs:
        if not isinstance(value, Value):
            raise TypeError(f"draw_graph: params[{name!r}] is a {type(value).__name__}")
        yield str(name), value


def _classes(params: Any) -> dict[str, str]:
    if not hasattr(params, "named_modules"):
        return {}
    return {path: type(module).__name__ for path, module in params.named_modules()}


# --- one record -----------------------------------------------------------------------------------


def _record(node: Node, parents: tuple[int | None, ...]) -> Record:
    prim, kind = node.prim, node.kind
    several = kind is SCALAR and prim is not None and not isinstance(prim, Primitive)
    scalar = kind is SCALAR and not several
    grad: Any = getattr(node, "grad", None)
    return Record(
        op="" if prim is None else prim.name,
        parents=parents,
        shape=None if several else kind.shape,
        dtype="float" if kind is SCALAR else str(kind.dtype),
        nbytes=0 if kind is SCALAR else _nbytes(node),
        params=node.params,
        scalar=scalar,
        view=prim is not None and prim.view,
        has_grad=bool(grad) if scalar else grad is not None,
        sums=() if kind is SCALAR or prim is None else _summed(node),
        grad=float(grad) if scalar else None,
    )


def _nbytes(node: Node) -> int:
    return math.prod(node.kind.shape) * int(node.kind.dtype.itemsize)


def _made(node: Node) -> int:
    return 0 if node.prim is not None and node.prim.view else _nbytes(node)


def _summed(node: Node) -> tuple[tuple[int, ...], ...]:
    """For each operand, the axes of the result that its gradient is summed over."""
    prim = node.prim
    if not getattr(prim, "broadcasts", False) or all(
        p is None or p.kind is node.kind for p in node.parents
    ):
        return ()
    sums: list[tuple[int, ...]] = []
    for i, parent in enumerate(node.parents):
        if parent is None:
            sums.append(())
        elif prim.elementwise or (prim.rules is not None and prim.rules[i] is None):
            sums.append(_repeated(parent.shape, node.shape))
        elif prim.name == "matmul":
            sums.append(_repeated(parent.shape[:-2], node.shape[:-2]))
        else:
            sums.append(())
    return tuple(sums)


def _repeated(small: tuple[int, ...], large: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `large` along which broadcasting repeated `small`."""
    lead = len(large) - len(small)
    return tuple(i for i, n in enumerate(large) if i < lead or (small[i - lead] == 1 != n))


# --- numbers of Scalars ---------------------------------------------------------------------------


Values = list[float | None]


def flat_saved(node: Node) -> tuple[Any, ...]:
    """The output and the operands as the node saved them; a weighted sum saves two lists."""
    saved = node.saved or ()
    if node.prim is not None and node.prim.name == "dot_scalars" and saved:
        return (saved[0], *saved[1], *saved[2])
    return saved


def _read_saved(node: Node, i: int, parents: tuple[int | None, ...], values: Values) -> None:
    out, *operands = flat_saved(node)
    if out is not None:
        values[i] = out
    for parent, value in zip(parents, operands, strict=False):
        if parent is not None and value is not None and values[parent] is None:
            values[parent] = value


def _operands(node: Node, parents: tuple[int | None, ...], values: Values) -> list[float] | None:
    """The numbers that the operation worked on, if all of them are known."""
    saved = flat_saved(node)[1:]
    known = [*saved, *[None] * (len(parents) - len(saved))]
    for place, (p, parent) in enumerate(zip(parents, node.parents, strict=True)):
        # a leaf with a younger number was written into since: its value is another one now
        if p is not None and parent is not None and (parent.prim or parent.seq < node.seq):
            known[place] = values[p]
    return None if None in known else known[: len(parents)]


def _computed(node: Node, operands: list[float] | None) -> float | None:
    if operands is None:
        return None
    if node.prim.scalar is not None:
        return float(node.prim.scalar(*operands, **node.params))
    if node.prim.name == "dot_scalars":
        half = len(operands) // 2
        return sum(map(operator.mul, operands[:half], operands[half:]), 0.0)
    return None


def _fill_numbers(node: Node, record: Record, values: Values) -> None:
    """Constant operands and local derivatives: by the rules, on what the backward pass reads."""
    operands = _operands(node, record.parents, values)
    saved = flat_saved(node)
    if saved:
        record.constants = tuple(
            v if p is None else None for p, v in zip(record.parents, saved[1:], strict=False)
        )
    elif record.value is not None and operands is not None:
        saved = (record.value, *operands)
    if saved and len(record.parents) <= WIDE:
        record.slopes = _slopes(node, saved)


def _slopes(node: Node, saved: tuple[Any, ...]) -> tuple[float | None, ...]:
    """What each rule makes of a gradient of 1."""
    prim, params = node.prim, node.params
    if prim.name == "dot_scalars":
        half = len(node.parents) // 2
        slopes = (*saved[half + 1 :], *saved[1 : half + 1])
        return tuple(None if p is None else s for p, s in zip(node.parents, slopes, strict=True))
    if prim.rules is None:
        return ()
    try:
        return tuple(
            None if p is None else 1.0 if rule is None else rule(1.0, *saved, **params)
            for p, rule in zip(node.parents, prim.rules, strict=False)
        )
    except ArithmeticError:
        return ()  # at a pole: no number to show


def spread(array: Any) -> str:
    """The range of an array's numbers in words; empty if it is not known or very large."""
    if array is None or not 0 < array.size <= 1_000_000 or array.dtype.kind not in "fiu":
        return ""
    finite = array[np.isfinite(array)]
    wrong = array.size - finite.size
    said = [f"{wrong:,} not finite"] if wrong else []
    if finite.size:
        ends = (finite.min(), finite.mean(dtype=np.float64), finite.max())
        said.append("min {:.4g}, mean {:.4g}, max {:.4g}".format(*map(float, ends)))
    return "; ".join(said)


def _once(name: str, value: Any) -> Any:
    """A setting that is the same in both directions, once."""
    if name in _PAIRS and isinstance(value, tuple) and len(set(value)) == 1:
        return value[0]
    return value


def _short(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        items = list(value)
        text = f"({', '.join(map(_short, items[:8]))}{', …' if len(items) > 8 else ''})"
        text = text if len(items) != 1 else f"({_short(items[0])},)"
    elif isinstance(value, slice):
        text = ":".join("" if v is None else str(v) for v in (value.start, value.stop))
        text += "" if value.step is None else f":{value.step}"
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        text = f"{value.dtype}{list(value.shape)}"
    elif value is Ellipsis:
        text = "…"
    else:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
