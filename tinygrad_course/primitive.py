"""Primitives: the table of operations, and how one is applied.

A row of the table is the whole operation: a name, a forward, and one vector-Jacobian rule for each
array argument, each a line of mathematics::

    mul = binary("mul", "x · y", np.multiply, operator.mul,
                 lambda g, out, x, y: g * y,
                 lambda g, out, x, y: g * x)

`g` is the gradient that arrives, `out` the result, `x` and `y` the arguments. Array arguments are
positional, static parameters keyword-only. Rules are written in the table's own words and Python's
operators, so the same text runs on raw arrays (an ordinary backward pass), on floats (Scalars) and
on Tensors (`create_graph=True`, where it is recorded in its turn). Broadcasting is undone, dtypes
are restored and contributions are added up by the walk, never by a rule.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from . import errors
from .graph import SCALAR, Extra, Node, Value, boxed, tick, wrap
from .modes import is_grad_enabled

TABLE: dict[str, Primitive] = {}
NUMBERS = frozenset((float, int, bool))
_new: Any = object.__new__


class Primitive:
    """A row of the table: name, forward and rules. Calling it on values applies and records it.

    Args:
        name: the row's name in the table.
        formula: what it computes, in a line of mathematics.
        forward: arrays in, array out; complete in NumPy.
        rules: one per array argument. None instead of rules: `joint` gives all at once.
        scalar: the forward for Python floats, if Scalars have this operation.
        elementwise: arguments broadcast against each other and are promoted to one dtype.
        floating: integers are turned into the default floating dtype first.
        broadcasts: contributions may have to be summed down to an argument's shape.
        view: the result shares memory with its first argument.
        joint: `joint(g, out, *args, **params)` returns every argument's contribution in one call;
            what it reads has a name of its own.
    """

    def __init__(
        self,
        name: str,
        formula: str,
        forward: Callable[..., Any],
        *rules: Callable[..., Any],
        scalar: Callable[..., Any] | None = None,
        elementwise: bool = False,
        floating: bool = False,
        broadcasts: bool = False,
        view: bool = False,
        joint: Callable[..., Any] | None = None,
    ) -> None:
        self.name = self.__name__ = self.__qualname__ = name
        self.formula = formula
        self.forward = forward
        # a rule that hands g on as it is becomes None: the walk saves the call
        self.rules = None if joint else tuple([None if _is_identity(r) else r for r in rules])
        self.binary = len(rules) == 2
        self.scalar = None if scalar is None else _guarded(scalar, forward)
        self.elementwise = elementwise
        self.floating = floating
        self.broadcasts = broadcasts or elementwise
        self.view = view
        self.joint = joint
        self.differentiable = bool(rules) or joint is not None
        self.keeps = _Keeps((joint,) if joint else rules)
        self.picks = _Picks(self.keeps)
        self.__doc__ = f"{name}: {formula}"
        self.__annotations__: dict[str, Any] = {}
        if TABLE.setdefault(name, self) is not self:
            raise ValueError(f"the table has a row {name!r} already")

    def __repr__(self) -> str:
        return f"<row {self.name}: {self.formula}>"

    def __call__(self, *args: Any, **params: Any) -> Any:
        if self.scalar is not None and NUMBERS.issuperset(map(type, args)):
            return self.scalar(*args, **params)  # a rule at work on floats
        for a in args:
            if isinstance(a, Value):
                return apply(self, args, params)
        return self.forward(*args, **params)

    def fit(self, c: Any, parent: Node) -> Any:
        """Bring a contribution to its argument's shape and dtype: undo broadcast and promotion."""
        want = parent.kind
        if c.shape != want.shape:
            if not self.broadcasts:
                raise errors.wrong_gradient(f"the backward rule of {self.name}", c, parent)
            c = TABLE["sum_to"](c, shape=want.shape, source=c.shape)
        if c.dtype != want.dtype:
            c = TABLE["cast"](c, dtype=want.dtype, source=c.dtype)
        return c

    def pull(
        self, node: Node, g: Any, saved: tuple[Any, ...], face: type[Value], create_graph: bool
    ) -> Any:
        """The joint rule's contributions, one per argument, None where there is none."""
        assert self.joint is not None
        saved = boxed(node, saved, face) if create_graph else saved
        return self.joint(g, *saved, **node.params)


class _Keeps(dict[tuple[bool, ...], tuple[bool, ...]]):
    """Which of (out, x, y, ...) a node must keep, by which arguments want a gradient.

    A rule reads what its code names; a rule of an argument that wants no gradient is not run. A
    joint rule is: for it, ask by (True,).
    """

    def __init__(self, rules: Sequence[Callable[..., Any]]) -> None:
        self.rules = rules

    def __missing__(self, wants: tuple[bool, ...]) -> tuple[bool, ...]:
        every = [_reads(rule) for rule in self.rules]
        reads = [r for r, want in zip(every, wants, strict=False) if want]
        slots = max((len(r) for r in every), default=1)
        self[wants] = tuple(any(r[i] for r in reads) for i in range(slots))
        return self[wants]


class _Picks(dict[tuple[bool, ...], Callable[[Any], Any]]):
    """What picks from (out, x, y, ..., None) that which a node keeps, with None for the rest."""

    def __init__(self, keeps: _Keeps) -> None:
        self.keeps = keeps

    def __missing__(self, wants: tuple[bool, ...]) -> Callable[[Any], Any]:
        slots = [i if k else -1 for i, k in enumerate(self.keeps[wants])]
        # of one slot itemgetter would give the value itself
        self[wants] = itemgetter(*slots) if len(slots) > 1 else lambda saved: (saved[slots[0]],)
        return self[wants]


def _reads(rule: Callable[..., Any]) -> tuple[bool, ...]:
    """For each of a rule's positional parameters after g: does its code name it?"""
    code = getattr(rule, "__wrapped__", rule).__code__  # beneath a choice of kernels
    named: set[str] = set()
    for step in dis.get_instructions(code):
        if any(word in step.opname for word in ("FAST", "DEREF", "CLOSURE", "CELL")):
            named.update([step.argval] if isinstance(step.argval, str) else step.argval)
    return tuple(name in named for name in code.co_varnames[1 : code.co_argcount])


def _identity(g: Any) -> Any:
    return g


def _is_identity(rule: Callable[..., Any]) -> bool:
    code = rule.__code__
    return code.co_code == _identity.__code__.co_code and code.co_varnames[:1] == ("g",)


def _guarded(scalar: Callable[..., Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """Python's `math` raises where IEEE arithmetic has an answer (log 0, exp 1000): ask NumPy."""
    if getattr(scalar, "__module__", None) != "math":
        return scalar

    def guarded(*args: float) -> float:
        try:
            return scalar(*args)
        except (ValueError, OverflowError):
            with np.errstate(all="ignore"):
                return float(forward(*map(np.float64, args)))

    return guarded


# --- application ----------------------------------------------------------------------------------


def apply(prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    """Unbox the arguments, run the forward, box the result in its inputs' face, record a node."""
    face: Any = None
    raw: list[Any] = []
    parents: list[Node | None] = []
    for a in args:
        if isinstance(a, Value):
            if face is not a._face:
                if face is not None:
                    raise errors.mixed_faces(prim.name)
                face = a._face
            raw.append(a._data)
            parents.append(a._node)
        else:
            raw.append(a)
            parents.append(None)
    assert face is not None
    try:
        out = face._compute(prim, raw, params)
    except (ValueError, TypeError, IndexError) as error:
        raise errors.explain(prim.name, args, params, error) from error
    if type(out) is bool:  # a test of Scalars
        return out
    result = wrap(face, out, None)
    if any(parents) and prim.differentiable and is_grad_enabled():
        result._node = node = _new(Node)  # written out: a call takes half as long again
        node.prim = prim
        node.parents = tuple(parents)
        saved = (out, *raw, None)  # None for an optional argument left out
        wants = (True,) if prim.joint else tuple(map(bool, parents))
        node.saved = prim.picks[wants](saved)
        node.kind = SCALAR if type(out) is float else result._kind
        node.extra = Extra(params) if params else None
        node.seq = tick()
        if node.kind is SCALAR:
            node.grad = 0.0
    if prim.view:
        result._origin = False
    return result
