"""Python's operators, and the fast way through them.

`primitive.apply` says what applying a row means, for any row and any arguments. The methods here
say it again for the commonest case (two values of one face and kind, or a value and a number), with
every call that can be saved written out; whatever they do not cover they leave to `apply`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from . import errors
from .arrays import KINDS, constant
from .graph import KEEP, SCALAR, BaseNode, Node, Value, check_stale, ieee, run_hooks, tick, wrap
from .modes import is_grad_enabled
from .ops import elementwise as ops
from .ops import linalg
from .primitive import Primitive, apply

NUMBERS = (float, int)
NOTHING = (None, None, None)
WANTS = ((True, False), (False, True), (True, True))  # which of two arguments want a gradient
TESTS = ("eq", "ne", "lt", "le", "gt", "ge")

Method = Callable[..., Any]


# --- Scalars --------------------------------------------------------------------------------------


def bind_scalar_operators(face: Any) -> None:
    """Give the Scalar class its operators, and the fast form of its one-argument methods."""
    rows = {
        "add": ops.add, "sub": ops.sub, "mul": ops.mul, "truediv": ops.div, "pow": ops.pow,
        "floordiv": ops.floor_divide, "mod": ops.remainder,
    }  # fmt: skip
    for name, prim in rows.items():
        method = _scalar_binary(prim, face)
        setattr(face, f"__{name}__", _square_first(method) if name == "pow" else method)
        commutes = name in ("add", "mul")
        setattr(face, f"__r{name}__", method if commutes else _scalar_reflected(method, face))
    for name in TESTS:
        setattr(face, f"__{name}__", _scalar_test(getattr(operator, name), face))
    for name, row in vars(ops).items():
        if isinstance(row, Primitive) and row.rules and len(row.rules) == 1 and row.name == name:
            setattr(face, name, _scalar_unary(row, face))
    face.__neg__, face.__abs__, face.__pos__ = face.neg, face.abs, lambda self: self
    face._walk_filling_in = partial(walk_scalars, face)


def _scalar_binary(prim: Primitive, face: Any) -> Method:
    forward, new = prim.scalar, object.__new__
    assert forward is not None
    FLOAT_RULES[prim] = _on_floats(prim)
    left_only, right_only, both = [prim.keeps[wants] for wants in WANTS]
    reads = any(both)

    def method(self: Any, other: Any) -> Any:
        if type(other) is face:
            y, right = other._data, other._node
        elif isinstance(other, NUMBERS):
            y, right = float(other), None
        else:
            return apply(prim, (self, other), {}) if isinstance(other, Value) else NotImplemented
        x, left = self._data, self._node
        result = new(face)
        result._data = out = forward(x, y)
        if (left is None and right is None) or not is_grad_enabled():
            result._node = None
            return result
        result._node = node = new(ScalarNode)
        node.prim = prim
        node.left = left
        node.right = right
        if reads:
            o, a, b = left_only if right is None else right_only if left is None else both
            node.out = out if o else None
            node.x = x if a else None
            node.y = y if b else None
        else:
            node.out = node.x = node.y = None
        node.extra = None
        node.seq = tick()
        node.grad = 0.0
        return result

    return method


def _scalar_reflected(method: Method, face: Any) -> Method:
    def reflected(self: Any, other: Any) -> Any:
        known = isinstance(other, NUMBERS)
        return method(wrap(face, float(other), None), self) if known else NotImplemented

    return reflected


def _scalar_unary(prim: Primitive, face: Any) -> Method:
    forward, new = prim.scalar, object.__new__
    assert forward is not None
    FLOAT_RULES[prim] = _on_floats(prim)
    keep_out, keep_x = prim.keeps[True,]

    def method(self: Any) -> Any:
        x, parent = self._data, self._node
        result = new(face)
        result._data = out = forward(x)
        if parent is None or not is_grad_enabled():
            result._node = None
            return result
        result._node = node = new(ScalarNode)
        node.prim = prim
        node.left = parent
        node.right = None
        node.out = out if keep_out else None
        node.x = x if keep_x else None
        node.y = None
        node.extra = None
        node.seq = tick()
        node.grad = 0.0
        return result

    method.__name__, method.__doc__ = prim.name, prim.__doc__
    return method


def _scalar_test(test: Method, face: Any) -> Method:
    def method(self: Any, other: Any) -> Any:
        known = isinstance(other, (face, *NUMBERS))
        return test(self._data, float(other)) if known else NotImplemented

    return method


# --- Scalars' backward() --------------------------------------------------------------------------

FREED: Any = "freed"
FLOAT_RULES: dict[Any, tuple[Any, Any, bool]] = {}  # of rows with one or two arguments


class ScalarNode(BaseNode):
    """The node of a Scalar: a `Node` of half the size, since it has slots in place of tuples.

    Graphs of Scalars soon outgrow the processor's cache, and then memory is time. A weighted sum
    has the tuple of its parents in `left`, and its numbers in `x` and `y`.
    """

    __slots__ = ("left", "out", "right", "x", "y")
    kind = SCALAR

    def __init__(self, prim: Any, left: Any, out: Any, x: Any, y: Any) -> None:
        self.prim = prim
        self.left = left
        self.right: Any = None
        self.out = out
        self.x = x
        self.y = y
        self.extra = None
        self.seq = tick()
        self.grad = 0.0

    @property
    def parents(self) -> tuple[Any, ...]:
        """The nodes of the arguments, in order, None for constants."""
        if self.prim is None:
            return ()
        if self.prim.rules is None:
            return self.left
        return (self.left, self.right) if self.prim.binary else (self.left,)

    @property
    def saved(self) -> tuple[Any, ...] | None:
        """The output and the arguments, None where no rule reads them; or None once freed."""
        if self.prim is None or self.out is FREED:
            return None
        unary = self.prim.rules and not self.prim.binary
        return (self.out, self.x) if unary else (self.out, self.x, self.y)

    @saved.setter
    def saved(self, nothing: None) -> None:
        self.out = FREED
        self.x = self.y = None


def walk_scalars(face: Any, roots: dict[Any, Any], retain_graph: bool) -> dict[Any, Any]:
    """`graph.walk` for the backward() of Scalars, which fills in the `.grad` of inner ones, too.

    A node's own `.grad` gathers its gradient, so `pending` need only hold the nodes by number.
    Leaves are met like all others, and left behind when the count passes them. Returned are the
    gradients of leaves with hooks, which want the whole sum.
    """
    meet = _Meeting(face, roots, retain_graph)
    pending, before, pop = meet.pending, meet.before, meet.pending.pop
    seq = max(pending, default=0) + 1
    while node := pop(seq - 1, None) or _below(pending, seq):
        seq, g, rules = node.seq, node.grad, FLOAT_RULES.get(node.prim)
        if before or node.extra is not None:
            g = _settle(node, g, before, face)
        if rules is None or node.__class__ is not ScalarNode:
            _walk_other(node, g, meet)
            continue
        left, right, out, x, y = node.left, node.right, node.out, node.x, node.y
        if out is FREED:
            raise errors.freed_graph(node)
        first, second, binary = rules
        try:  # no rule: it would hand g on as it is
            c = (first(g, out, x, y) if binary else first(g, out, x)) if first and left else g
            d = second(g, out, x, y) if second and right else g
        except ArithmeticError as error:
            c, d = _ieee_both(node, g, error)
        if left is not None:
            s = left.seq
            if s in pending:
                left.grad += c
            elif left.prim is None or left.grad:
                meet(left, c, node)
            else:
                pending[s], left.grad = left, c
        if right is not None:
            s = right.seq
            if s in pending:
                right.grad += d
            elif right.prim is None or right.grad:
                meet(right, d, node)
            else:
                pending[s], right.grad = right, d
        if not retain_graph:
            node.out, node.x, node.y = FREED, None, None
    return meet.hooked


def _walk_sum(node: Any, g: Any, meet: _Meeting) -> None:
    """The step at a weighted sum: ∂/∂wᵢ = xᵢ and ∂/∂xᵢ = wᵢ."""
    if node.out is FREED:
        raise errors.freed_graph(node)
    pending = meet.pending
    for parent, slope in zip(node.left, node.y + node.x):  # noqa: B905
        if parent is not None:
            if parent.seq in pending:
                parent.grad += g * slope
            else:
                meet(parent, g * slope, node)
    if not meet.retain_graph:
        node.saved = None


def _walk_other(node: Any, g: Any, meet: _Meeting) -> None:
    """The step at a leaf (none), a weighted sum, or a node that `primitive.apply` made."""
    prim, saved = node.prim, node.saved
    if prim is None:
        return
    if node.__class__ is ScalarNode:
        _walk_sum(node, g, meet)
        return
    if saved is None:
        raise errors.freed_graph(node)
    if prim.rules is None:
        contributions = prim.pull(node, g, saved, meet.face, False)
    else:
        contributions = []
        for parent, rule in zip(node.parents, prim.rules, strict=False):
            try:
                c = rule(g, *saved, **node.params) if rule and parent else g
            except ArithmeticError as error:
                c = ieee(partial(rule, **node.params), g, saved, error)
            contributions.append(c)
    for parent, c in zip(node.parents, contributions, strict=False):
        if parent is not None and c is not None:
            meet(parent, c, node)
    if not meet.retain_graph:
        node.saved = None


class _Meeting:
    """What a walk keeps of the nodes that it met; calling it adds a contribution to a node."""

    def __init__(self, face: Any, roots: dict[Any, Any], retain_graph: bool) -> None:
        self.face = face
        self.retain_graph = retain_graph
        self.pending: dict[int, Any] = {}
        self.before: dict[Any, Any] = {}  # what a .grad held when this walk met its node
        self.hooked: dict[Any, Any] = {}
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


def _below(pending: dict[int, Any], seq: int) -> Any:
    """The youngest node: a few numbers below, or else beyond a gap. Leaves need not wait there."""
    for below in range(seq - 2, seq - 2 - len(pending), -1):
        node = pending.pop(below, None)
        if node is not None:
            return node
    for leaf in [n for n in pending.values() if n.prim is None]:
        del pending[leaf.seq]
    return pending.pop(max(pending)) if pending else None


def _settle(node: Any, g: Any, before: dict[Any, Any], face: Any) -> Any:
    """The gradient of a node with hooks, or of one that had a gradient before."""
    if node.prim is None:
        return g
    hooks = () if node.extra is None else node.extra.hooks
    node.grad = old = before.pop(node, 0.0)
    if hooks:
        g = run_hooks(node, g, face)
    if KEEP not in hooks:
        node.grad = old + g
    return g


def _ieee_both(node: Any, g: Any, error: ArithmeticError) -> Any:
    """Both contributions, by rules on NumPy's floats."""
    pairs = zip(node.parents, node.prim.rules, strict=True)
    saved = node.saved
    both = [g if p is None or r is None else ieee(r, g, saved, error) for p, r in pairs]
    return (*both, g)[:2]


def _on_floats(row: Primitive) -> tuple[Any, Any, bool]:
    """The rules of a row, for floats, and whether there are two."""
    first, second = (*row.rules, None)[:2]  # type: ignore[misc]
    return first and _named_floats(first), second and _named_floats(second), row.binary


def _named_floats(rule: Any) -> Any:
    """A rule with the forwards for floats in the place of the rows that it names; no kernels."""
    rule = getattr(rule, "__wrapped__", rule)
    words = rule.__globals__
    rows = {n: words[n] for n in rule.__code__.co_names if isinstance(words.get(n), Primitive)}
    floats = {n: row.scalar for n, row in rows.items() if row.scalar is not None}
    if not floats:
        return rule
    words = {**words, **floats}
    return FunctionType(rule.__code__, words, rule.__name__, rule.__defaults__, rule.__closure__)


# --- Tensors --------------------------------------------------------------------------------------

SIGNS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "floordiv": "//",
         "mod": "%", "and": "&", "or": "|", "xor": "^"}  # fmt: skip
OPERANDS = (Value, *NUMBERS, np.ndarray, np.generic)


def bind_tensor_operators(face: Any) -> None:
    """Give the Tensor class its operators; `x += y` is `x = x + y` (`_in_place` says when not)."""
    rows = {"add": ops.add, "sub": ops.sub, "mul": ops.mul, "truediv": ops.div, "pow": ops.pow}
    for name, prim in rows.items():
        method = _tensor_binary(prim, face)
        commutes = name in ("add", "mul")
        setattr(face, f"__{name}__", _square_first(method) if name == "pow" else method)
        setattr(face, f"__r{name}__", method if commutes else _reflected(prim, OPERANDS))
        setattr(face, f"__i{name}__", _assigning(getattr(face, f"__{name}__"), name))
    for name, prim in {
        "floordiv": ops.floor_divide, "mod": ops.remainder, "and": ops.bitwise_and,
        "or": ops.bitwise_or, "xor": ops.bitwise_xor,
    }.items():  # fmt: skip
        setattr(face, f"__{name}__", _plain(prim))
        setattr(face, f"__r{name}__", _reflected(prim, OPERANDS))
        setattr(face, f"__i{name}__", _assigning(_plain(prim), name))
    for name in TESTS:
        setattr(face, f"__{name}__", _plain(getattr(ops, name)))
    face.__matmul__, face.__rmatmul__ = _matmul, _rmatmul
    face.__neg__, face.__abs__, face.__pos__ = face.neg, face.abs, lambda self: self
    face.__invert__ = face.bitwise_not


def _tensor_binary(prim: Primitive, face: Any) -> Method:
    forward, new = prim.forward, object.__new__
    left_only, right_only, both = [prim.keeps[wants] for wants in WANTS]
    reads, any_kind = any(both), prim in (ops.add, ops.mul)  # the others refuse some dtypes

    def method(self: Any, other: Any) -> Any:
        left, kind = self._node, self._kind
        if type(other) is face and kind is other._kind and (any_kind or kind.dtype.kind == "f"):
            y, right = other._data, other._node
        elif kind.takes_numbers and isinstance(other, NUMBERS):
            y, right = constant(other, kind.dtype), None
        else:
            return prim(self, other) if isinstance(other, OPERANDS) else NotImplemented
        x = self._data
        result = new(face)
        result._data = out = forward(x, y)
        result._kind = kind
        if (left is None and right is None) or not is_grad_enabled():
            result._node = None
            return result
        result._node = node = new(Node)
        node.prim = prim
        node.parents = (left, right)
        if reads:
            o, a, b = left_only if right is None else right_only if left is None else both
            node.saved = (out if o else None, x if a else None, y if b else None)
        else:
            node.saved = NOTHING
        node.kind = kind
        node.extra = None
        node.seq = tick()
        return result

    return method


def _plain(prim: Primitive) -> Method:
    def method(self: Any, other: Any) -> Any:
        return apply(prim, (self, other), {}) if isinstance(other, OPERANDS) else NotImplemented

    return method


def _assigning(method: Method, name: str) -> Method:
    def assign(self: Any, other: Any) -> Any:
        result = method(self, other)
        if result is NotImplemented:
            return result
        return self._in_place(_fitting(result, self, f"x {SIGNS[name]}= y"))

    return assign


def _fitting(result: Any, target: Any, name: str) -> Any:
    """The result of `x += y` in the dtype of x; an integer x takes no fractions."""
    if result._kind is target._kind or result.dtype == target.dtype:
        return result
    if KINDS[result.dtype.kind] > KINDS[target.dtype.kind]:
        raise errors.write_of_another_kind(name, result.dtype, target.dtype)
    return result.to(target.dtype)


def _matmul(self: Any, other: Any) -> Any:
    known = isinstance(other, OPERANDS)
    return linalg.matmul(self, self._constant(other)) if known else NotImplemented


def _rmatmul(self: Any, other: Any) -> Any:
    known = isinstance(other, OPERANDS)
    return linalg.matmul(self._constant(other), self) if known else NotImplemented


# --- both -----------------------------------------------------------------------------------------


def _reflected(prim: Primitive, operands: Any) -> Method:
    def method(self: Any, other: Any) -> Any:
        return apply(prim, (other, self), {}) if isinstance(other, operands) else NotImplemented

    return method


def _square_first(power: Method) -> Method:
    """x ** 2 is a multiplication, and by far the commonest power."""

    def method(self: Any, other: Any) -> Any:
        if isinstance(other, NUMBERS) and other == 2:
            return self.square()
        return power(self, other)

    return method
