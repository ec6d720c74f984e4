"""Scalar: a Python float that remembers how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from . import errors
from .errors import DtypeError, ShapeError
from .graph import Value, accumulate, tick, walk, wrap
from .methods import TENSOR_FUNCTIONS, ScalarMethods
from .modes import is_grad_enabled
from .operators import NUMBERS, bind_scalar_operators
from .primitive import Primitive
from .scalar_walk import ScalarNode

_new: Any = object.__new__


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
    >>> x, y = Scalar(2.0), Scalar(3.0)
    >>> z = x * y + x**2
    >>> z.backward()
    >>> z.data, x.grad, y.grad
    (10.0, 7.0, 2.0)
    """

    __slots__ = ()
    _keeps_inner_grads: ClassVar[bool] = True

    def __init__(self, value: float, requires_grad: bool = True) -> None:
        self._data = _number(value)
        self._node = None
        if requires_grad:
            self._node = ScalarNode()  # type: ignore[assignment]

    @staticmethod
    def _compute(prim: Primitive, raw: list[Any], params: dict[str, Any]) -> Any:
        if prim.scalar is None:
            raise DtypeError("this operation needs arrays; Scalars have the elementwise ones")
        raw[:] = [a if isinstance(a, bool) else _number(a) for a in raw]
        return prim.scalar(*raw, **params)

    @property
    def data(self) -> float:
        """The number itself. Assigning to a leaf makes later backward passes through it raise."""
        return self._data

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
            raise errors.not_tracked("grad")
        self._node.grad = _number(value)

    def backward(
        self, gradient: float = 1.0, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add d(self)/d(leaf) · gradient to the `.grad` of every leaf (and inner Scalar)."""
        if self._node is None:
            raise errors.not_tracked("backward()")
        roots = {self._node: self._seed(gradient, create_graph)}
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
        return wrap(Scalar, self._data, None)

    def item(self) -> float:
        return self._data

    def zero_grad(self) -> None:
        if self._node is not None:
            self._node.grad = 0.0

    def __float__(self) -> float:
        return self._data

    def __bool__(self) -> bool:
        return bool(self._data)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        made = "" if self.is_leaf or self._node is None else f", op={self._node.name}"
        return f"Scalar(data={self._data:g}, grad={float(self.grad):g}{made})"


def _number(value: Any) -> float:
    if isinstance(value, NUMBERS) or (
        hasattr(value, "__float__") and not hasattr(value, "__len__")
    ):
        return float(value)
    raise DtypeError(f"a Scalar holds one number, got {value!r} of type {type(value).__name__}")


def dot(ws: Sequence[Any], xs: Sequence[Any]) -> Any:
    """Σ wᵢ xᵢ as one node of the graph.

    Args:
        ws, xs: equally long sequences of Scalars or Python numbers, or two 1-d Tensors.

    >>> from tinygrad_course import Scalar, dot
    >>> dot([Scalar(1.0), Scalar(2.0)], [3.0, 4.0]).data
    11.0
    """
    if isinstance(ws, Value):
        return TENSOR_FUNCTIONS["dot"](ws, xs)
    if len(ws) != len(xs):
        raise ShapeError(f"dot: {len(ws)} weights and {len(xs)} inputs; the lengths must agree")
    w: list[float] = []
    x: list[float] = []
    left: list[Any] = []
    right: list[Any] = []
    out = 0.0
    try:
        for a, b in zip(ws, xs):  # noqa: B905 (strict=True takes a tenth longer)
            w.append(p := a._data)
            x.append(q := b._data)
            left.append(a._node)
            right.append(b._node)
            out += p * q
    except AttributeError:  # plain numbers among them
        return dot([_constant(w) for w in ws], [_constant(x) for x in xs])
    if type(out) is not float:
        raise DtypeError("dot: Scalars and numbers are multiplied here; for Tensors use @")
    result = _new(Scalar)
    result._data = out
    result._node = None
    if (any(left) or any(right)) and is_grad_enabled():
        result._node = node = _new(ScalarNode)  # written out: a call takes half as long again
        node.row = ()
        node.left, node.right = tuple(left), tuple(right)
        node.x, node.y = w, x
        node.out, node.extra = out, None
        node.seq = tick()
        node.grad = 0.0
    return result


def _constant(x: Any) -> Scalar:
    return x if isinstance(x, Value) else Scalar(x, requires_grad=False)  # type: ignore[return-value]


Scalar._face = Scalar
bind_scalar_operators(Scalar)
