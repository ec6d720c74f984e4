"""The Scalars' graph: small nodes, rules on floats, and the walk back of their `backward()`.

A graph of Scalars has thousands of nodes with next to no work in each, so what a node costs is all
that counts: its size, and the steps of Python that the walk takes at it.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from functools import partial
from math import isfinite
from operator import mul
from types import FunctionType
from typing import Any

from . import errors
from .graph import KEEP, SCALAR, BaseNode, Value, check_stale, ieee, run_hooks, tick, wrap
from .primitive import Primitive

FREED: Any = "freed"
FEW = 6  # terms of a weighted sum from which on it pays to gather it with others

# a row of the table, its rules on floats (None: g as it is), and whether it has two arguments
FloatRow = tuple[Primitive, Any, Any, bool]


class ScalarNode(BaseNode):
    """The node of a Scalar: a `Node` of half the size, since it has slots in place of tuples.

    Graphs of Scalars soon outgrow the processor's cache, and then memory is time. `row` is None for
    a leaf. A weighted sum has an empty `row`, the tuples of its parents in `left` and `right`, and
    its numbers in `x` and `y`.
    """

    __slots__ = ("left", "out", "right", "row", "x", "y")
    kind = SCALAR

    def __init__(self) -> None:
        self.row: Any = None  # a leaf's
        self.left: Any = None
        self.right: Any = None
        self.out = self.x = self.y = None
        self.extra = None
        self.seq = tick()
        self.grad = 0.0

    @property
    def prim(self) -> Any:
        """The row of the table; None for a leaf."""
        return self.row[0] if self.row else None if self.row is None else WEIGHTED_SUM

    @property
    def parents(self) -> tuple[Any, ...]:
        """The nodes of the arguments, in order, None for constants."""
        if self.row:
            return (self.left, self.right) if self.row[3] else (self.left,)
        return () if self.row is None else self.left + self.right

    @property
    def saved(self) -> tuple[Any, ...] | None:
        """The output and the arguments, None where no rule reads them; or None once freed."""
        if self.row is None or self.out is FREED:
            return None
        unary = self.row and not self.row[3]
        return (self.out, self.x) if unary else (self.out, self.x, self.y)

    @saved.setter
    def saved(self, nothing: None) -> None:
        self.out = FREED
        self.x = self.y = None


def walk_scalars(face: Any, roots: dict[Any, Any], retain_graph: bool) -> dict[Any, Any]:
    """`graph.walk` for the backward() of Scalars, which fills in the `.grad` of inner ones, too.

    A node's own `.grad` gathers its gradient, so `pending` need only hold the nodes by number; not
    even the node just below, which comes next. Leaves are met like all others, and left behind when
    the count passes them. Returned are the gradients of leaves with hooks: those want the sum.
    """
    meet = _Meeting(face, roots, retain_graph)
    pending, before, pop = meet.pending, meet.before, meet.pending.pop
    seq, following = max(pending, default=0) + 1, None
    while node := following or pop(seq - 1, None) or _below(pending, seq):
        seq, g, row = node.seq, node.grad, node.row
        following = None
        if before or node.extra is not None:
            g = meet.settle(node)
        if not row:
            following = (meet.step if row is None else meet.step_of_sum)(node, g)
            continue
        left, right, out, x = node.left, node.right, node.out, node.x
        if out is FREED:
            raise errors.freed_graph(node)
        _, first, second, binary = row
        if left is not None:
            s = left.seq
            # no rule: it would hand g on as it is
            c = g if not first else first(g, out, x, node.y) if binary else first(g, out, x)
            if s in pending:
                left.grad += c
            elif left.row is None or left.grad:
                meet(left, c, node)
            elif s == seq - 1:
                following, left.grad = left, c
            else:
                pending[s], left.grad = left, c
        if right is not None:
            s = right.seq
            d = second(g, out, x, node.y) if second else g
            if s in pending or right is following:
                right.grad += d
            elif right.row is None or right.grad:
                meet(right, d, node)
            else:
                pending[s], right.grad = right, d
        if not retain_graph:
            node.out, node.x, node.y = FREED, None, None
    return meet.end()


def _below(pending: dict[int, Any], seq: int) -> Any:
    """The youngest node: a few numbers below, or else beyond a gap. Leaves need not wait there."""
    for below in range(seq - 2, seq - 2 - len(pending), -1):
        node = pending.pop(below, None)
        if node is not None:
            return node
    for leaf in [n for n in pending.values() if n.prim is None and type(n) is not _Sums]:
        del pending[leaf.seq]
    return pending.pop(max(pending)) if pending else None


class _Meeting:
    """What a walk keeps of the nodes that it met; calling it adds a contribution to a node."""

    def __init__(self, face: Any, roots: dict[Any, Any], retain_graph: bool) -> None:
        self.face = face
        self.retain_graph = retain_graph
        self.pending: dict[int, Any] = {}
        self.before: dict[Any, Any] = {}  # what a .grad held when this walk met its node
        self.hooked: dict[Any, Any] = {}
        self.sums: dict[tuple[Any, ...], _Sums] = {}  # by the nodes whose sums they are
        self.of_leaves: list[_Sums] = []
        self.latest = _Sums(())
        for node, g in roots.items():
            self(node, g)

    def __call__(self, node: Any, g: Any, child: Any = None) -> None:
        if node.seq in self.pending:
            node.grad += g
        elif node.prim is not None:
            if node.grad:
                self.before[node] = node.grad
            node.grad = g
            self.pending[node.seq] = node
        else:
            late = child is not None and node.seq > child.seq
            if late:
                check_stale(child, node, child.saved)
            if node.extra is not None:
                self.hooked[node] = self.hooked[node] + g if node in self.hooked else g
            else:
                node.grad += g
                if not late:
                    self.pending[node.seq] = node

    def settle(self, node: Any) -> Any:
        """The gradient of a node with hooks, or of one that had a gradient before."""
        if node.prim is None:
            return node.grad
        g, hooks = node.grad, () if node.extra is None else node.extra.hooks
        node.grad = old = self.before.pop(node, 0.0)
        if hooks:
            g = run_hooks(node, g, self.face)
        if KEEP not in hooks:
            node.grad = old + g
        return g

    def step(self, node: Any, g: Any) -> Any:
        """The step at a leaf (none), at a node that `primitive.apply` made, or at gathered sums.

        Returned is the node that comes next, if that is known.
        """
        if type(node) is _Sums:
            self.pending[node.seq] = node.youngest
            self.pour(node)
            return self.pending.pop(node.seq)
        prim = node.prim
        if prim is None:
            return None
        saved = node.saved
        if saved is None:
            raise errors.freed_graph(node)
        if prim.rules is None:
            contributions = prim.pull(node, g, saved, self.face, False)
        else:
            rules = [r and partial(r, **node.params) for r in prim.rules]
            pairs = zip(node.parents, rules, strict=False)
            contributions = [_ieee(r, r)(g, *saved) if r and p else g for p, r in pairs]
        for parent, c in zip(node.parents, contributions, strict=False):
            if parent is not None and c is not None:
                self(parent, c, node)
        if not self.retain_graph:
            node.saved = None
        return None

    # --- weighted sums: ∂/∂wᵢ = xᵢ and ∂/∂xᵢ = wᵢ ---

    def step_of_sum(self, node: Any, g: Any) -> None:
        """The step at a weighted sum: what it contributes is gathered, if it is long enough."""
        left, right, w, x = node.left, node.right, node.x, node.y
        if node.out is FREED:
            raise errors.freed_graph(node)
        if len(w) < FEW:
            pending = self.pending
            for parent, slope in zip(left + right, x + w):  # noqa: B905
                if parent is None:
                    continue
                if parent.seq in pending:
                    parent.grad += g * slope
                else:
                    self(parent, g * slope, node)
        else:
            sums, also = self.sums.get(left) or self.open(left), self.latest
            if also.nodes != right:  # a layer's sums share their inputs
                self.latest = also = self.sums.get(right) or self.open(right)
            sums.oldest = also.oldest = node
            if g or not isfinite(node.out):  # 0 times numbers adds nothing, 0 times inf is NaN
                sums.gs.append(g)
                sums.rows.append(x)
                also.gs.append(g)
                also.rows.append(w)
        if not self.retain_graph:
            node.out, node.x, node.y = FREED, None, None

    def open(self, nodes: tuple[Any, ...]) -> _Sums:
        """A place for the sums of these nodes; it waits in the place of the youngest of them."""
        sums = self.sums[nodes] = _Sums(nodes)
        inner = {n.seq: n for n in nodes if n is not None and n.prim is not None}
        if not inner:
            self.of_leaves.append(sums)
            return sums
        sums.seq = seq = max(inner)
        sums.youngest = inner[seq]
        if type(self.pending.get(seq)) is _Sums:
            sums.others = self.pending[seq]
        else:
            self(sums.youngest, 0.0)
        self.pending[seq] = sums
        return sums

    def pour(self, sums: Any) -> None:
        """Hand on what was gathered for some nodes, and for others with the same youngest."""
        pending = self.pending
        while sums is not None:
            oldest = sums.oldest.seq
            for node, c in zip(sums.nodes, sums.contributions()):  # noqa: B905
                if node is None:
                    continue
                s = node.seq
                if s > oldest:
                    raise errors.stale_leaf(sums.oldest, node)
                if s in pending:
                    node.grad += c
                elif node.row is None or node.grad:
                    self(node, c)
                else:
                    pending[s], node.grad = node, c
            sums = sums.others

    def end(self) -> dict[Any, Any]:
        """The gradients of leaves with hooks, after what was gathered for leaves alone."""
        for sums in self.of_leaves:
            self.pour(sums)
        return self.hooked


class _Sums:
    """Weighted sums of the same nodes: a layer's, with its inputs, or a neuron's, with its weights.

    What flows to such nodes is a product of a matrix and a vector. To gather its rows takes a few
    steps for each sum, where walking from every sum to every node takes as many for each node. The
    walk finds what was gathered where it would find the youngest of the nodes, and takes it for a
    leaf there.
    """

    __slots__ = ("gs", "nodes", "oldest", "others", "rows", "seq", "youngest")
    prim = row = extra = None
    grad = 0.0

    def __init__(self, nodes: tuple[Any, ...]) -> None:
        self.nodes = nodes
        self.gs: list[float] = []
        self.rows: list[list[float]] = []
        self.oldest: Any = None  # of the sums
        self.youngest: Any = None  # of the inner nodes
        self.seq = 0  # the youngest's number
        self.others: _Sums | None = None

    def contributions(self) -> list[float]:
        gs = self.gs
        if len(gs) < 2:
            return [gs[0] * slope for slope in self.rows[0]] if gs else [0.0] * len(self.nodes)
        return [sum(map(mul, gs, column), 0.0) for column in zip(*self.rows, strict=True)]


class _WeightedSum(Primitive):
    """A weighted sum of numbers. It saves two lists instead of a value for each argument."""

    def pull(
        self, node: Any, g: Any, saved: tuple[Any, ...], face: type[Value], create_graph: bool
    ) -> Any:
        """∂/∂wᵢ = xᵢ and ∂/∂xᵢ = wᵢ, times g."""
        _, w, x = saved
        if create_graph:
            w = list(map(wrap, [face] * len(w), w, node.left))
            x = list(map(wrap, [face] * len(x), x, node.right))
        return [g * v for v in x] + [g * v for v in w]


WEIGHTED_SUM = _WeightedSum("dot_scalars", "Σ wᵢ xᵢ", mul, joint=mul)


# --- rules on floats ------------------------------------------------------------------------------


def float_row(row: Primitive) -> FloatRow:
    """A row of one or two arguments, with its rules for floats."""
    first, second = (*row.rules, None)[:2]  # type: ignore[misc]
    return row, first and _on_floats(first), second and _on_floats(second), row.binary


def _on_floats(rule: Any) -> Any:
    """A rule with the forwards for floats in the place of the rows that it names; no kernels."""
    rule = getattr(rule, "__wrapped__", rule)
    code, words = rule.__code__, rule.__globals__
    rows = {n: words[n] for n in code.co_names if isinstance(words.get(n), Primitive)}
    words = {**words, **{n: row.scalar for n, row in rows.items() if row.scalar is not None}}
    quick = FunctionType(code, words, rule.__name__, rule.__defaults__, rule.__closure__)
    quick.__kwdefaults__ = rule.__kwdefaults__
    return _ieee(quick, rule) if _divides(code) else quick


def _divides(code: Any) -> bool:
    """Whether a rule has one of the operators that raise where IEEE arithmetic has an answer."""
    steps = dis.get_instructions(code)
    return any(s.opname == "BINARY_OP" and s.argrepr in ("/", "//", "%", "**") for s in steps)


def _ieee(quick: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule that is asked again, on NumPy's floats, where Python's arithmetic raises."""

    def guarded(g: Any, *saved: Any) -> Any:
        try:
            return quick(g, *saved)
        except ArithmeticError as error:
            return ieee(rule, g, saved, error)

    return guarded
