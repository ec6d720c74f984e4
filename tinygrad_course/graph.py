"""The graph: nodes, the walk back over them, and whether anything is being recorded.

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
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ContextDecorator
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, ClassVar

import numpy as np

from .errors import GradientError

tick: Callable[[], int] = itertools.count(1).__next__

_recording: ContextVar[bool] = ContextVar("recording", default=True)
is_grad_enabled: Callable[[], bool] = _recording.get


class Kind:
    """A shape and a dtype. Kinds are interned, so equal kinds are one object and `is` compares."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype


SCALAR = Kind((), float)
_kinds: dict[tuple[Any, Any], Kind] = {}


def kind_of(array: Any) -> Kind:
    """The kind of an array. Those of 0-d arrays are new each time: NumPy's operators turn 0-d
    arrays into numbers, so they must not look alike to the fast path of the operators."""
    key = (array.shape, array.dtype)
    kind = _kinds.get(key)
    if kind is None:
        kind = Kind(*key)
        if array.ndim:
            if len(_kinds) > 4096:
                _kinds.clear()
            _kinds[key] = kind
    return kind


class Node:
    """One application of a primitive, or a leaf (then `prim` is None).

    `parents` are the nodes of the arguments, in order, None for constants; `saved` is the output
    and the arguments, None where no rule reads them, and is itself None once freed. `extra` is
    None for a plain elementwise operation, which most are.
    """

    __slots__ = ("__weakref__", "extra", "grad", "kind", "parents", "prim", "saved", "seq")

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


class Extra:
    """What most nodes have none of.

    `fits`: every argument has the result's shape and dtype, so contributions need no fitting.
    """

    __slots__ = ("fits", "hooks", "params")

    def __init__(self, params: dict[str, Any], fits: bool) -> None:
        self.params = params
        self.fits = fits
        self.hooks: list[Any] = []


class Value:
    """What `Scalar` and `Tensor` have in common: a raw number or array, and perhaps a node."""

    __slots__ = ("__weakref__", "_data", "_kind", "_node")

    _face: ClassVar[type[Value]]
    _keeps_inner_grads: ClassVar[bool]  # every inner value has its .grad filled in
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
            raise GradientError("a hook needs a value that requires grad; this one is a constant")
        return Handle.attach(self._node, hook)

    def retain_grad(self) -> None:
        """Let `.grad` be filled in for a value inside a graph too."""
        if self._node is None:
            raise GradientError("retain_grad() needs a value that requires grad")
        extra = self._node.extra
        if not self.is_leaf and (extra is None or KEEP not in extra.hooks):
            Handle.attach(self._node, KEEP)


def wrap(face: type[Value], data: Any, node: Node | None) -> Any:
    """A value of class `face` around raw data."""
    value: Any = object.__new__(face)
    value._data = data
    value._node = node
    if type(data) is not float:
        value._kind = kind_of(data)
    return value


# --- grad mode ------------------------------------------------------------------------------------


class _grad_mode(ContextDecorator):
    """A mode that may be entered again and again; it belongs to the running thread or task."""

    mode: bool

    def __init__(self, mode: bool | None = None) -> None:
        self.mode = self.mode if mode is None else mode
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(is_grad_enabled())
        _recording.set(self.mode)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _recording.set(self._before.pop())

    def _recreate_cm(self) -> _grad_mode:
        return _grad_mode(self.mode)


class no_grad(_grad_mode):
    """Record nothing inside a `with` block or a decorated function, in this thread only.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([1.0], requires_grad=True)
    >>> with tc.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    mode = False


class enable_grad(_grad_mode):
    """Record again inside a `no_grad` block, in this thread only."""

    mode = True


class set_grad_enabled(_grad_mode):
    """Record, or not, from here on; as a context or a decorator, only inside.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([1.0], requires_grad=True)
    >>> with tc.set_grad_enabled(False):
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self._before.append(is_grad_enabled())
        _recording.set(self.mode)

    def __enter__(self) -> None:
        _recording.set(self.mode)

    def __call__(self, function: Any) -> Any:
        self.__exit__(None, None, None)
        return _grad_mode(self.mode)(function)


# --- hooks ----------------------------------------------------------------------------------------

KEEP: Any = "keep the gradient"


class Handle:
    """A registered hook; `remove()` takes it away again."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook

    @classmethod
    def attach(cls, node: Node, hook: Any) -> Handle:
        node.extra = Extra({}, fits=True) if node.extra is None else node.extra
        node.extra.hooks.append(hook)
        return cls(node.extra.hooks, hook)

    def remove(self) -> None:
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


def _run_hooks(node: Node, g: Any, face: type[Value]) -> Any:
    boxed = isinstance(g, Value)
    grad = g if boxed else wrap(face, g if node.kind is SCALAR else np.asarray(g), None)
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
    fits = type(new) is type(grad) and (
        kind is SCALAR or (new.shape, new.dtype) == (kind.shape, kind.dtype)
    )
    if not fits:
        raise GradientError(
            f"a hook on {node!r} returned {new!r}; return None, or a {type(grad).__name__} of the "
            f"gradient's own shape {kind.shape} and dtype {kind.dtype}"
        )
    return new


# --- the walk back --------------------------------------------------------------------------------


def walk(
    roots: Iterable[tuple[Node, Any]],
    face: type[Value],
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
    keep: Collection[Node] = (),
    only: Collection[Node] | None = None,
) -> dict[Node, Any]:
    """Gradients of the roots with respect to the leaves, and to the nodes in `keep`.

    Counts down the sequence numbers from the youngest root. A node's gradient is complete when the
    count reaches it, since all that uses it is younger. With `create_graph` the rules run on values
    of class `face` and are themselves recorded; otherwise on raw numbers and arrays. `only`, if
    given, are the nodes on a way to something wanted; nothing else is visited.

    This is the engine's inner loop, written out where a call would cost more than its work. An
    entry is [node, its gradient so far, whether this walk made that array]: a first contribution
    may be somebody else's array, and only a sum made here may be written into.
    """
    kept: dict[Node, Any] = {}
    leaves: dict[Node, list[Any]] = {}
    pending: dict[int, list[Any]] = {}
    entry: list[Any] | None
    single: list[Any] | None = None  # the only pending entry: a chain never needs the dict
    for node, g in roots:
        _add_root(leaves if node.prim is None else pending, node, g)
    plain = not (create_graph or keep)
    direct = face._keeps_inner_grads and not create_graph and only is None  # Scalars' backward()
    seq = max(pending, default=0)
    misses = 0
    while pending or single:
        if single is not None:
            entry, single = single, None
            seq = entry[0].seq
        else:
            entry = pending.pop(seq, None)
        seq -= 1
        if entry is None:
            misses += 1
            if misses > len(pending):  # a long gap: jump over it
                seq, misses = max(pending), 0
            continue
        node, g, _ = entry
        prim, saved, extra = node.prim, node.saved, node.extra
        if saved is None:
            raise _freed(node)
        if not retain_graph:
            node.saved = None
        rules, fits, joint = prim.rules, True, False
        if extra is not None or rules is None or not plain:
            fits, joint = extra is None or extra.fits, rules is None
            rules, g, saved = _special(node, g, saved, face, create_graph, keep, kept)
        if direct:
            node.grad += g
        i = -1
        for parent in node.parents:
            i += 1
            if parent is None or (only is not None and parent not in only):
                continue
            rule = rules[i]
            try:
                if joint:  # the rules are the contributions
                    if rule is None:
                        continue
                    c = rule
                elif rule is None:  # the rule hands g on as it is
                    c = g
                elif prim.binary:  # written out: a call with * takes twice as long
                    out, x, y = saved
                    c = rule(g, out, x, y)
                else:
                    c = rule(g, *saved)
            except ArithmeticError as error:
                c = _ieee(rule, g, saved, error)
            if not fits:
                c = prim.fit(c, parent)
            if parent.prim is None:
                if parent.seq > seq:
                    _check_stale(node, parent, saved)
                if direct and parent.extra is None:
                    parent.grad += c
                    continue
                entry = leaves.get(parent)
                if entry is None:
                    leaves[parent] = [parent, c, False]
                    continue
            else:
                if single is not None:
                    pending[single[0].seq], single = single, None
                elif not pending:
                    single = [parent, c, False]
                    continue
                entry = pending.get(parent.seq)
                if entry is None:
                    pending[parent.seq] = [parent, c, False]
                    continue
            if entry[2]:
                entry[1] += c
            else:
                entry[1:] = entry[1] + c, True
    return {node: g for node, g, _ in leaves.values()} | kept


def _add_root(entries: dict[Any, list[Any]], node: Node, g: Any) -> None:
    key = node if node.prim is None else node.seq
    entries[key] = [node, entries[key][1] + g if key in entries else g, False]


def _special(
    node: Node, g: Any, saved: tuple[Any, ...], face: type[Value], create_graph: bool,
    keep: Collection[Node], kept: dict[Node, Any],
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Rules, gradient and saved values where they are not simply the node's own.

    For a joint rule the rules are the contributions themselves.
    """
    extra, rules = node.extra, node.prim.rules
    if extra is not None and extra.hooks:
        g = _run_hooks(node, g, face)
    if node in keep:
        kept[node] = g
    if rules is None:
        return node.prim.pull(node, g, saved, face, create_graph), g, saved
    if create_graph:
        saved = boxed(node, saved, face)
    if extra is not None and extra.params:
        rules = [rule and partial(rule, **extra.params) for rule in rules]
    return rules, g, saved


def _freed(node: Node) -> GradientError:
    return GradientError(
        f"the graph was freed by an earlier backward pass (reached {node!r}); pass "
        "retain_graph=True to the first backward() to go over it twice, or run the forward pass "
        "again"
    )


def boxed(node: Node, saved: tuple[Any, ...], face: type[Value]) -> tuple[Any, ...]:
    """The saved values with their places in the graph, so that the rules' work is recorded."""
    return tuple(
        v if v is None else wrap(face, v, n)
        for v, n in zip(saved, (node, *node.parents), strict=True)
    )


def _ieee(rule: Any, g: Any, saved: tuple[Any, ...], error: ArithmeticError) -> Any:
    """The rule on NumPy's floats: Python's own raise where IEEE has an answer (1 / 0 is inf)."""
    if not isinstance(g, float):
        raise error
    with np.errstate(all="ignore"):
        return float(rule(np.float64(g), *map(np.float64, saved)))


def _check_stale(node: Node, parent: Node, saved: tuple[Any, ...]) -> int:
    """Raise if the node saved a leaf that was written into since; else a place for the leaf."""
    joint = node.prim.joint is not None  # saves all its arguments, in its own way
    for v, p in zip(saved[1:], node.parents, strict=False):
        if joint or (p is parent and v is not None):
            raise GradientError(
                f"{node.name} saved a leaf of shape {parent.shape} for its backward pass, "
                "and the leaf was written into since; run the forward pass again after the "
                "write, or write after backward()"
            )
    return -id(parent)  # below every number: reached last


def ancestors(outputs: Iterable[Node], inputs: Collection[Node]) -> set[Node]:
    """The nodes that lie on a way from an output back to one of the inputs, those included."""
    seen: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(p for p in node.parents if p is not None)
    on_the_way = {node for node in inputs if node in seen}
    for node in sorted(seen, key=lambda n: (n.prim is not None, n.seq)):  # parents before children
        if any(parent in on_the_way for parent in node.parents):
            on_the_way.add(node)
    return on_the_way


# --- handing gradients over -----------------------------------------------------------------------


def _references() -> int:
    alone = object()
    return sys.getrefcount(alone)


_ALONE = _references()  # what getrefcount says of an object that only one local variable holds


def own(g: Any) -> Any:
    """`g` itself if nobody else can reach its memory, else a copy."""
    # +1: the caller's variable holds it too
    return g if g.base is None and sys.getrefcount(g) <= _ALONE + 1 else g.copy()


def _deliver(node: Node, g: Any, face: type[Value]) -> None:
    """Add `g` to the node's `.grad`."""
    old = getattr(node, "grad", None)
    if node.kind is SCALAR and not isinstance(g, Value):
        node.grad = old + g
    elif node.kind is SCALAR or isinstance(g, Value):
        node.grad = g if old is None else old + g
    else:
        data = np.asarray(g) if isinstance(g, np.generic) else g
        node.grad = wrap(face, data.copy() if old is None else old._data + data, None)


def accumulate(grads: dict[Node, Any], face: type[Value]) -> None:
    """Hand each leaf its gradient: through its hooks, then added to its `.grad`."""
    while grads:
        node, g = grads.popitem()
        if node.extra is not None and node.extra.hooks:
            g = _run_hooks(node, g, face)
        if node.kind is SCALAR or isinstance(g, Value) or getattr(node, "grad", None) is not None:
            _deliver(node, g, face)
        else:
            g = np.asarray(g) if isinstance(g, np.generic) else g
            node.grad = wrap(face, own(g), None)


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
