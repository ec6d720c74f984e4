"""The graph: nodes, and the walk back over them.

A `Node` is one application of a primitive. It stands apart from the value that it made, so it keeps
only what its rules read. Every node takes the next number of one global sequence, and that number
is order and version in one:

* parents always have smaller numbers than their children, so the backward pass just counts down
  from the root: no recursion and no sort, and a chain of a million nodes is fine;
* writing into a leaf gives it a new number, so a node that saved the old value sees a parent
  younger than itself, and the backward pass raises instead of using a stale value.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np

from . import errors
from .kernels.memory import added, is_little, own

tick: Callable[[], int] = itertools.count(1).__next__


class Kind:
    """A shape, a dtype and a type of array, which tells NumPy's from a GPU's.

    Kinds are interned, so equal kinds are one object and `is` compares.
    """

    __slots__ = ("dtype", "many", "shape", "takes_numbers")

    def __init__(self, shape: tuple[int, ...], dtype: Any, array: type) -> None:
        self.shape = shape
        self.dtype = dtype
        # a Python number beside it is taken as a 0-d array of its dtype
        self.takes_numbers = bool(shape) and array is np.ndarray and dtype.kind == "f"
        # so many contributions to a leaf wait to be added up
        self.many = 64 if self.takes_numbers and is_little(shape, dtype) else 2


SCALAR = Kind((), float, float)
_kinds: dict[tuple[Any, Any, Any], Kind] = {}


def kind_of(array: Any) -> Kind:
    """The kind of an array. Those of 0-d arrays are new each time: NumPy's operators turn 0-d
    arrays into numbers, so they must not look alike to the fast path of the operators."""
    key = (array.shape, array.dtype, type(array))
    kind = _kinds.get(key)
    if kind is None:
        kind = Kind(*key)
        if array.ndim:
            if len(_kinds) > 4096:
                _kinds.clear()
            _kinds[key] = kind
    return kind


class BaseNode:
    """What all nodes have."""

    __slots__ = ("__weakref__", "extra", "grad", "seq")
    extra: Extra | None
    kind: Any
    prim: Any

    def touch(self) -> None:
        """Take a new number: the value of this leaf was written into."""
        self.seq = tick()

    @property
    def name(self) -> str:
        """The row's name."""
        return "leaf" if self.prim is None else self.prim.name

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value that this node made."""
        return self.kind.shape

    @property
    def dtype(self) -> Any:
        """The dtype of the value that this node made; float for a Scalar."""
        return self.kind.dtype

    @property
    def params(self) -> dict[str, Any]:
        """The static parameters of the operation."""
        return {} if self.extra is None else self.extra.params

    def __repr__(self) -> str:
        return f"<{self.name} {self.shape} #{self.seq}>"


class Node(BaseNode):
    """One application of a primitive, or a leaf (then `prim` is None).

    `parents` are the nodes of the arguments, in order, None for constants; `saved` is the output
    and the arguments, None where no rule reads them, and is itself None once freed. `extra` is
    None for an operation without static parameters, which most are.
    """

    __slots__ = ("kind", "parents", "prim", "saved")
    row: ClassVar[None] = None  # a Scalar's own node has its rules on floats here

    def __init__(
        self,
        prim: Any,
        parents: tuple[Node | None, ...],
        saved: tuple[Any, ...] | None,
        kind: Kind,
        extra: Extra | None = None,
    ) -> None:
        self.prim = prim
        self.parents = parents
        self.saved = saved
        self.kind = kind
        self.seq = tick()
        self.extra = extra
        if kind is SCALAR:
            self.grad: Any = 0.0


class Extra:
    """What most nodes have none of."""

    __slots__ = ("hooks", "params")

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.hooks: list[Any] = []


class Value:
    """What `Scalar` and `Tensor` have in common: a raw number or array, and perhaps a node."""

    __slots__ = ("__weakref__", "_data", "_kind", "_node")

    _face: ClassVar[type[Value]]
    _constant: ClassVar[Any]
    _keeps_inner_grads: ClassVar[bool]  # backward() fills in every inner value's .grad, too
    _walk_filling_in: ClassVar[Callable[..., Any]]  # the walk of such a face's backward()
    _data: Any
    _node: Node | None
    _kind: Kind

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this value."""
        return self._node is not None

    @property
    def is_leaf(self) -> bool:
        """Whether this value was made by hand and not by an operation in a graph."""
        return self._node is None or self._node.prim is None

    @property
    def node(self) -> Node | None:
        """The node that made this value, its leaf node, or None for a constant."""
        return self._node

    def register_hook(self, hook: Callable[[Any], Any]) -> Handle:
        """Call `hook(grad)` in each backward pass; what it returns, unless None, replaces grad.

        Raises:
            GradientError: the value requires no gradient.
        """
        if self._node is None:
            raise errors.not_tracked("register_hook()")
        return Handle.attach(self._node, hook)

    def retain_grad(self) -> None:
        """Let `.grad` be filled in for a value inside a graph too."""
        if self._node is None:
            raise errors.not_tracked("retain_grad()")
        extra = self._node.extra
        if not self.is_leaf and (extra is None or KEEP not in extra.hooks):
            Handle.attach(self._node, KEEP)


def wrap(face: type[Value], data: Any, node: Node | None) -> Any:
    """A value of class `face` around raw data."""
    value: Any = object.__new__(face)
    value._data = data
    value._node = node
    if type(data) is not float:
        value._kind = _kinds.get((data.shape, data.dtype, type(data))) or kind_of(data)
    return value


# --- hooks ----------------------------------------------------------------------------------------

KEEP: Any = "keep the gradient"


class Handle:
    """A registered hook; `remove()` takes it away again."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook

    @classmethod
    def attach(cls, node: Node, hook: Any) -> Handle:
        node.extra = Extra({}) if node.extra is None else node.extra
        node.extra.hooks.append(hook)
        return cls(node.extra.hooks, hook)

    def remove(self) -> None:
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


def run_hooks(node: Node, g: Any, face: type[Value]) -> Any:
    boxed = isinstance(g, Value)
    grad = g if boxed else wrap(face, g if node.kind is SCALAR else _array(g), None)
    assert node.extra is not None
    for hook in node.extra.hooks:
        if hook is KEEP:
            _deliver(node, grad if boxed else grad._data, face)
        else:
            grad = _replaced(grad, hook(grad), node)
    return grad if boxed else grad._data


def _replaced(grad: Any, new: Any, node: Node) -> Any:
    if new is None:
        return grad
    kind = node.kind
    if type(new) is not type(grad) or (
        kind is not SCALAR and (new.shape, new.dtype) != (kind.shape, kind.dtype)
    ):
        raise errors.wrong_gradient(f"a hook on {node!r}", new, node)
    return new


# --- the walk back --------------------------------------------------------------------------------


def walk(
    roots: dict[Node, Any], face: type[Value], *, create_graph: bool = False,
    retain_graph: bool = False, keep: Collection[Node] = (), only: Collection[Node] | None = None,
) -> dict[Node, Any]:  # fmt: skip
    """Gradients of the roots with respect to the leaves, and to the nodes in `keep`.

    Counts down the sequence numbers from the youngest root. A node's gradient is complete when the
    count reaches it, since all that uses it is younger. With `create_graph` the rules run on values
    of class `face` and are themselves recorded; otherwise on raw numbers and arrays. `only`, if
    given, are the nodes on a way to something wanted; nothing else is visited.

    This is the engine's inner loop, written out where a call would cost more than its work. An
    entry is [node, its gradient so far, whether this walk made that array]: a first contribution
    may be somebody else's array, and only a sum made here may be written into. What flows to a leaf
    is listed, and added up where the list is long enough for its kind.
    """
    if face._keeps_inner_grads and not create_graph and only is None:
        return face._walk_filling_in(roots, retain_graph)
    kept: dict[Node, Any] = {}
    leaves = defaultdict(list, {n: [g] for n, g in roots.items() if n.prim is None})
    pending = {n.seq: [n, g, False] for n, g in roots.items() if n.prim is not None}
    # the only pending node, and its gradient: a chain never needs the dict
    single: Any = None
    waiting: Any = None
    seq, plain = max(pending, default=0), not (create_graph or keep)
    while single or pending:
        if single:
            node, g, single = single, waiting, None
        else:
            node, g, _ = pending.pop(seq, None) or _next(pending, seq)
        seq = node.seq - 1
        prim, saved, extra = node.prim, node.saved, node.extra
        if saved is None:
            raise errors.freed_graph(node)
        if not retain_graph:
            node.saved = None
        rules, joint, kind = prim.rules, prim.rules is None, prim.elementwise and node.kind
        params = None if extra is None else extra.params
        if joint or not plain or (extra is not None and extra.hooks):
            rules, g, saved = _special(node, g, saved, face, create_graph, keep, kept)
        i = -1
        for parent in node.parents:
            i += 1
            if parent is None:
                continue
            if only is not None and parent not in only:
                check_stale(node, parent, saved)
                continue
            rule = rules[i]
            try:
                if joint:  # the rules are the contributions
                    if rule is None:
                        continue
                    c = rule
                elif rule is None:  # the rule hands g on as it is
                    c = g
                elif params:
                    c = rule(g, *saved, **params)
                elif prim.binary:  # written out: a call with * takes twice as long
                    out, x, y = saved
                    c = rule(g, out, x, y)
                else:
                    c = rule(g, *saved)
            except ArithmeticError as error:
                c = ieee(partial(rule, **params or {}), g, saved, error)
            if parent.kind is not kind:
                want = parent.kind
                if want is not SCALAR and (c.shape != want.shape or c.dtype is not want.dtype):
                    c = prim.fit(c, parent)
            if parent.prim is None:
                if parent.seq > seq:
                    check_stale(node, parent, saved)
                parts = leaves[parent]
                parts.append(c)
                if len(parts) == parent.kind.many:
                    parts[:] = [added(parts)]
                continue
            if single:
                pending[single.seq], single = [single, waiting, False], None
            elif not pending:
                single, waiting = parent, c
                continue
            entry = pending.get(parent.seq)
            if entry is None:
                pending[parent.seq] = [parent, c, False]
            elif entry[2]:
                entry[1] += c
            else:
                entry[1:] = entry[1] + c, True
    return {leaf: added(parts) for leaf, parts in leaves.items()} | kept


def _next(pending: dict[int, Any], seq: int) -> Any:
    """The youngest entry: a few numbers below, or else beyond a gap."""
    for below in range(seq - 1, seq - 1 - len(pending), -1):
        entry = pending.pop(below, None)
        if entry is not None:
            return entry
    return pending.pop(max(pending))


def _special(
    node: Node, g: Any, saved: tuple[Any, ...], face: type[Value], create_graph: bool,
    keep: Collection[Node], kept: dict[Node, Any],
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Rules, gradient and saved values where they are not simply the node's own.

    For a joint rule the rules are the contributions themselves.
    """
    if node.extra is not None and node.extra.hooks:
        g = run_hooks(node, g, face)
    if node in keep:
        kept[node] = g
    if node.prim.rules is None:
        return node.prim.pull(node, g, saved, face, create_graph), g, saved
    return node.prim.rules, g, boxed(node, saved, face) if create_graph else saved


def boxed(node: Node, saved: tuple[Any, ...], face: type[Value]) -> tuple[Any, ...]:
    """The saved values with their places in the graph, so that the rules' work is recorded."""
    # the last None is the place of an optional argument left out; Scalars' truth values stay bare
    pairs = zip(saved, (node, *node.parents, None))  # noqa: B905
    return tuple([v if v is None or type(v) is bool else wrap(face, v, p) for v, p in pairs])


def ieee(rule: Any, g: Any, saved: tuple[Any, ...], error: ArithmeticError) -> Any:
    """The rule on NumPy's floats: Python's own raise where IEEE has an answer (1 / 0 is inf)."""
    if not isinstance(g, float):
        raise error
    with np.errstate(all="ignore"):
        return float(rule(np.float64(g), *map(np.float64, saved)))


def check_stale(node: Node, parent: Node, saved: tuple[Any, ...]) -> int:
    """Raise if the node saved a leaf that was written into since; else a place for the leaf.

    A row with a joint rule may save arguments in its own way. A view saves nothing, but what
    was made from it may have saved the leaf's own memory.
    """
    leaf = parent
    while leaf.prim is not None and (leaf.prim.view or leaf.name == "getitem"):
        leaf = leaf.parents[0]  # type: ignore[assignment]
    anyway = node.prim.joint is not None or node.prim.view or node.name == "getitem"
    for v, p in zip(saved[1:], node.parents, strict=False):
        if leaf.seq > node.seq and (anyway or (p is parent and v is not None)):
            raise errors.stale_leaf(node, leaf)
    return -id(parent)  # below every number: reached last


# --- handing gradients over -----------------------------------------------------------------------


def _array(g: Any) -> Any:
    """An array, where NumPy's sums give a number."""
    return np.asarray(g) if isinstance(g, np.generic) else g


def _deliver(node: Node, g: Any, face: type[Value]) -> None:
    """Add `g` to the node's `.grad`."""
    old = getattr(node, "grad", None)
    if node.kind is SCALAR and old is not None and not isinstance(g, Value):
        node.grad = old + g
        return
    if not isinstance(g, Value):
        g = wrap(face, _array(g), None)
    node.grad = g if old is None or (node.kind is SCALAR and old == 0.0) else old + g


def accumulate(grads: dict[Node, Any], face: type[Value]) -> None:
    """Hand each leaf its gradient: through its hooks, then added to its `.grad`."""
    while grads:
        node, g = grads.popitem()
        if node.extra is not None and node.extra.hooks:
            g = run_hooks(node, g, face)
        if not isinstance(g, (Value, float)) and getattr(node, "grad", None) is None:
            g = own(g)
            node.grad = wrap(face, _array(g) if isinstance(g, np.generic) else g, None)
        else:
            _deliver(node, g, face)


def nodes(outputs: Iterable[Value]) -> Iterator[Node]:
    """Every node behind the outputs, oldest first, each once."""
    seen: set[Node] = set()
    stack = [v._node for v in outputs if v._node is not None]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(p for p in node.parents if p is not None)
    yield from sorted(seen, key=lambda n: n.seq)
