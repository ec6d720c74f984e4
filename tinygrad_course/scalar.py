"""Scalar: a Python float that remembers how it was made."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, ClassVar

from .errors import DtypeError, GradientError, ShapeError
from .graph import SCALAR, Node, Value, accumulate, is_grad_enabled, tick, walk, wrap
from .methods import ScalarMethods
from .ops import elementwise as ops
from .primitive import Primitive, apply

NUMBERS = (float, int)
NOTHING = (None, None, None)


class Scalar(ScalarMethods, Value):
    """One number in a graph: code written for micrograd's `Value` runs with the name changed.

    `.data` and `.grad` are plain floats that can be read and assigned; `.grad` is 0.0 before any
    backward pass. Every elementwise row of the table is a method, and `dot(ws, xs)` makes a
    weighted sum in one node.

    Args:
        value: a Python or NumPy number.
        requires_grad: whether gradients flow to it; True unless said otherwise.

    Raises:
        DtypeError: value is not a single number.

    >>> from tinygrad_course import Scalar
    >>> x, y = Scalar(3.0), Scalar(-2.0)
    >>> z = (x * y).tanh() + x ** 2
    >>> z.backward()
    >>> round(x.grad, 4), round(y.grad, 4)
    (5.9999, 0.0001)
    """

    __slots__ = ()
    _keeps_inner_grads: ClassVar[bool] = True

    def __init__(self, value: float, requires_grad: bool = True) -> None:
        self._data = _number(value)
        self._node = None
        if requires_grad:
            self._node = Node(None, (), None, SCALAR)

    @staticmethod
    def _compute(prim: Primitive, raw: list[Any], params: dict[str, Any]) -> Any:
        if prim.scalar is None:
            raise DtypeError("this operation needs arrays; Scalars have the elementwise ones")
        raw[:] = [a if isinstance(a, bool) else _number(a) for a in raw]
        return prim.scalar(*raw, **params)

    @property
    def data(self) -> float:
        """The number itself. Assigning to a leaf makes later backward passes through it raise."""
        return self._data  # type: ignore[no-any-return]

    @data.setter
    def data(self, value: float) -> None:
        self._data = _number(value)
        if self._node is not None and self._node.prim is None:
            self._node.touch()

    @property
    def grad(self) -> Any:
        """The sum of the gradients of all backward passes so far; 0.0 before the first."""
        return 0.0 if self._node is None else self._node.grad

    @grad.setter
    def grad(self, value: float) -> None:
        if self._node is None:
            raise GradientError("this Scalar is a constant (requires_grad=False): it has no grad")
        self._node.grad = _number(value)

    def backward(
        self, gradient: float = 1.0, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add d(self)/d(leaf) · gradient to the `.grad` of every leaf (and inner Scalar)."""
        if self._node is None:
            raise GradientError("backward() needs a value in a graph; this Scalar is a constant")
        roots = [(self._node, self._seed(gradient, create_graph))]
        keep = retain_graph or create_graph
        accumulate(walk(roots, Scalar, create_graph=create_graph, retain_graph=keep), Scalar)

    def _seed(self, gradient: Any, boxed: bool) -> Any:
        """The gradient that a backward pass starts with: 1 unless given."""
        if boxed and isinstance(gradient, Scalar):
            return gradient  # it may be tracked itself
        g = 1.0 if gradient is None else _number(gradient)
        return Scalar(g, requires_grad=False) if boxed else g

    def detach(self) -> Scalar:
        """The same number as a constant."""
        return wrap(Scalar, self._data, None)  # type: ignore[no-any-return]

    def item(self) -> float:
        return self._data  # type: ignore[no-any-return]

    def zero_grad(self) -> None:
        if self._node is not None:
            self._node.grad = 0.0

    def __float__(self) -> float:
        return self._data  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        return bool(self._data)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        made = "" if self.is_leaf or self._node is None else f", op={self._node.name}"
        return f"Scalar(data={self._data:g}, grad={float(self.grad):g}{made})"

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, NUMBERS) and other == 2:
            return self.square()
        return _pow(self, other)


def _number(value: Any) -> float:
    if isinstance(value, NUMBERS) or (
        hasattr(value, "__float__") and not hasattr(value, "__len__")
    ):
        return float(value)
    raise DtypeError(f"a Scalar holds one number, got {value!r} of type {type(value).__name__}")


def _operator(prim: Primitive) -> Any:
    """The operator method of a row of two numbers: `apply`, written out for speed."""
    forward, new = prim.scalar, object.__new__
    assert forward is not None
    _, left_only, right_only, both = [prim.keeps[mask] for mask in range(4)]
    reads = any(both)

    def method(self: Scalar, other: Any) -> Any:
        if type(other) is Scalar:
            y, right = other._data, other._node
        elif isinstance(other, NUMBERS):
            y, right = float(other), None
        else:
            return apply(prim, (self, other), {}) if isinstance(other, Value) else NotImplemented
        x, left = self._data, self._node
        result = new(Scalar)
        result._data = out = forward(x, y)
        if (left is None and right is None) or not is_grad_enabled():
            result._node = None
            return result
        result._node = node = new(Node)
        node.prim = prim
        node.parents = (left, right)
        if reads:
            if right is None:
                o, a, b = left_only
            else:
                o, a, b = right_only if left is None else both
            node.saved = (out if o else None, x if a else None, y if b else None)
        else:
            node.saved = NOTHING
        node.kind = SCALAR
        node.extra = None
        node.seq = tick()
        node.grad = 0.0
        return result

    return method


def _function(prim: Primitive) -> Any:
    """The method of a row of one number: `apply`, written out for speed."""
    forward, new = prim.scalar, object.__new__
    assert forward is not None
    keep_out, keep_x = prim.keeps[1]

    def method(self: Scalar) -> Scalar:
        x, parent = self._data, self._node
        result = new(Scalar)
        result._data = out = forward(x)
        result._node = node = None
        if parent is not None and is_grad_enabled():
            result._node = node = new(Node)
            node.prim = prim
            node.parents = (parent,)
            node.saved = (out if keep_out else None, x if keep_x else None)
            node.kind = SCALAR
            node.extra = None
            node.seq = tick()
            node.grad = 0.0
        return result

    return method


def _reflected(prim: Primitive) -> Any:
    def method(self: Scalar, other: Any) -> Any:
        return apply(prim, (other, self), {}) if isinstance(other, NUMBERS) else NotImplemented

    return method


def _compare(forward: Any) -> Any:
    def method(self: Scalar, other: Any) -> Any:
        if isinstance(other, (Scalar, *NUMBERS)):
            return forward(self._data, float(other))
        return NotImplemented

    return method


_pow = _operator(ops.pow)


def dot(ws: Sequence[Any], xs: Sequence[Any]) -> Any:
    """Σ wᵢ xᵢ as one node of the graph.

    Args:
        ws, xs: equally long sequences of Scalars or Python numbers.

    >>> from tinygrad_course import Scalar, dot
    >>> dot([Scalar(1.0), Scalar(2.0)], [3.0, 4.0]).data
    11.0
    """
    if len(ws) != len(xs):
        raise ShapeError(f"dot: {len(ws)} weights and {len(xs)} inputs; the lengths must agree")
    try:
        w, x = [v._data for v in ws], [v._data for v in xs]
        nodes = [v._node for v in ws] + [v._node for v in xs]
    except AttributeError:  # plain numbers among them
        return dot([_constant(w) for w in ws], [_constant(x) for x in xs])
    out = sum(map(operator.mul, w, x), 0.0)
    if type(out) is not float:
        raise DtypeError("dot: Scalars and numbers are multiplied here; for Tensors use @")
    result = object.__new__(Scalar)
    result._data, result._node = out, None
    if is_grad_enabled() and nodes.count(None) < len(nodes):
        result._node = Node(_dot, tuple(nodes), (None, w, x), SCALAR)
    return result


def _constant(x: Any) -> Scalar:
    return x if isinstance(x, Value) else Scalar(x, requires_grad=False)  # type: ignore[return-value]


class _Dot(Primitive):
    """A weighted sum of numbers. It saves two lists instead of a value for each argument."""

    def pull(
        self, node: Node, g: Any, saved: tuple[Any, ...], face: type[Value], create_graph: bool
    ) -> Any:
        """∂/∂wᵢ = xᵢ and ∂/∂xᵢ = wᵢ, times g."""
        _, w, x = saved
        if create_graph:
            n = len(w)
            w = list(map(wrap, [face] * n, w, node.parents[:n]))
            x = list(map(wrap, [face] * n, x, node.parents[n:]))
        return [g * v for v in x] + [g * v for v in w]


_dot = _Dot("dot_scalars", "Σ wᵢ xᵢ", operator.mul, joint=operator.mul)


def _bind_operators() -> None:
    rows = {"add": ops.add, "sub": ops.sub, "mul": ops.mul, "truediv": ops.div}
    for name, prim in rows.items():
        method = _operator(prim)
        setattr(Scalar, f"__{name}__", method)
        setattr(Scalar, f"__r{name}__", method if name in ("add", "mul") else _reflected(prim))
    setattr(Scalar, "__rpow__", _reflected(ops.pow))  # noqa: B010 (the stub declares it)
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Scalar, f"__{name}__", _compare(getattr(operator, name)))
    for name, row in vars(ops).items():
        if isinstance(row, Primitive) and row.rules and len(row.rules) == 1 and row.name == name:
            setattr(Scalar, name, _function(row))
    setattr(Scalar, "__neg__", _function(ops.neg))  # noqa: B010
    setattr(Scalar, "__abs__", _function(ops.abs))  # noqa: B010
    setattr(Scalar, "__pos__", lambda self: self)  # noqa: B010


Scalar._face = Scalar
_bind_operators()
