"""Tensor: an array that remembers how it was made."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from . import devices, errors
from .arrays import KINDS, as_array, one_like, promote, truth
from .errors import DtypeError, GradientError, ShapeError
from .graph import Node, Value, accumulate, kind_of, walk, wrap
from .kernels.memory import is_shared
from .methods import TensorMethods
from .modes import is_grad_enabled, no_grad
from .operators import bind_tensor_operators
from .ops import elementwise as ops
from .ops import index as indexing
from .primitive import Primitive
from .protocols import TensorProtocols


class Tensor(TensorMethods, TensorProtocols):
    """An n-dimensional array in a graph.

    Python floats become float32, ints int64, bools bool; a NumPy array keeps its dtype. The data
    are copied, so later writes into the source change nothing here.

    Args:
        data: a number, a nested sequence of numbers, a NumPy array or a Tensor.
        requires_grad: whether gradients flow to it; floating dtypes only.
        dtype: the NumPy dtype to convert to.
        device: "cpu" or "cuda"; where the data are, unless given.

    Raises:
        DtypeError: a dtype that is not one of `DTYPES`, or a gradient for integers.
        DeviceError: a device that is not there.
        ShapeError: rows of different lengths.

    >>> import tinygrad_course as tc
    >>> x = tc.Tensor([[1.0, 2.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([[2., 4.]])
    """

    __slots__ = ("_origin",)
    __array_priority__ = 1000  # NumPy's operators leave `array * tensor` to the Tensor
    _keeps_inner_grads: ClassVar[bool] = False
    _face: ClassVar[type[Value]]
    # Unset for ordinary values; False for a view; for `.data` of a leaf or a constant, that tensor.
    _origin: Tensor | bool | None

    def __init__(
        self, data: Any, requires_grad: bool = False, dtype: Any = None, device: Any = None
    ) -> None:
        self._data = devices.place(as_array(data, dtype, copy=True), device)
        self._kind = kind_of(self._data)
        self._node = None
        if requires_grad:
            self.requires_grad_()

    # --- what primitive.apply asks of a face: the forward, on raw values made ready for it ---

    @staticmethod
    def _compute(prim: Primitive, raw: list[Any], params: dict[str, Any]) -> Any:
        if prim is ops.where:
            raw[:] = [truth(raw[0]), *promote(raw[1:])]
        elif prim.elementwise and (len(raw) > 1 or (prim.floating and raw[0].dtype.kind != "f")):
            raw[:] = promote(raw, prim.floating)
        out = prim.forward(*raw, **params)
        return out if type(out) is np.ndarray else devices.together(out, raw)

    @staticmethod
    def _constant(data: Any) -> Tensor:
        return as_tensor(data)

    # --- the graph ---

    @property
    def grad(self) -> Tensor | None:
        """The sum of the gradients of all backward passes so far, or None before the first."""
        return getattr(self._node, "grad", None)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and (
            not isinstance(value, Tensor) or (value.shape, value.dtype) != (self.shape, self.dtype)
        ):
            raise GradientError(
                f"a gradient must be None or a Tensor like its own ({self.dtype}{self.shape}), "
                f"got {value!r}"
            )
        if self._node is None:
            if value is not None:
                raise GradientError("this tensor does not require grad; it can have no gradient")
            return
        self._node.grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Let gradients flow to this leaf, or not; returns the tensor itself."""
        if not self.is_leaf:
            if not requires_grad:
                raise GradientError(
                    "only a leaf can stop requiring grad; use .detach() for a value in a graph"
                )
        elif not requires_grad:
            self._node = None
        elif self._node is None:
            if self._data.dtype.kind != "f":
                raise DtypeError(
                    f"only floating tensors can require grad, this one is {self.dtype}"
                )
            self._node = Node(None, (), None, self._kind)
        return self

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add the gradient of this value to the `.grad` of every leaf it was made from.

        Args:
            gradient: d(result)/d(self), of this shape; 1 for a tensor of one element.
            retain_graph: keep what the backward pass needs, for another one.
            create_graph: record the backward pass itself, for higher derivatives.

        Raises:
            GradientError: no graph, a freed graph, a leaf written into since the forward pass, or
                several elements and no `gradient`.
        """
        keep = create_graph if retain_graph is None else retain_graph
        roots = {self._need_node(): self._seed(gradient, create_graph)}
        grads = walk(roots, Tensor, create_graph=create_graph, retain_graph=keep)
        accumulate(grads, Tensor)

    def _seed(self, gradient: Any, boxed: bool) -> Any:
        """The gradient that a backward pass starts with: 1 for one element, else the one given."""
        if gradient is None:
            if self._data.size != 1:
                raise errors.several_elements(self.shape)
            one = one_like(self._data)
            return wrap(Tensor, one, None) if boxed else one
        gradient = as_tensor(gradient)
        if gradient.shape != self.shape:
            raise ShapeError(
                f"the gradient has shape {gradient.shape}, the value {self.shape}; they must agree"
            )
        gradient = gradient.to(self.device, self.dtype)
        return gradient if boxed else gradient._data

    def _need_node(self) -> Node:
        if self._node is None:
            raise errors.not_tracked("backward()")
        return self._node

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    @property
    def data(self) -> Tensor:
        """The same memory without the graph; writes reach a leaf and make stale graphs raise."""
        alias: Tensor = wrap(Tensor, self._data, None)
        alias._origin = self if self.is_leaf else False
        return alias

    @data.setter
    def data(self, value: Any) -> None:
        self._data = as_array(value)
        self._kind = kind_of(self._data)
        if self._node is not None and self._node.prim is None:
            self._node.kind = self._kind
            self._node.touch()

    def detach(self) -> Tensor:
        """The same memory as a constant, outside the graph."""
        return self.data

    def detach_(self) -> Tensor:
        """Make this tensor itself a constant."""
        self._node = None
        return self

    # --- writing in place: the tensor takes a new value; what was saved of the old one stays ---

    def _become(self, value: Any, method: str) -> Tensor:
        """Give this tensor the value (and the node) of another, of its own shape and dtype."""
        value = value if isinstance(value, Tensor) else Tensor(value, dtype=self.dtype)
        if value.shape != self.shape:
            raise errors.write_of_another_shape(method, value.shape, self.shape)
        if value.dtype != self.dtype:
            if KINDS[value.dtype.kind] > KINDS[self.dtype.kind]:
                raise errors.write_of_another_kind(method, value.dtype, self.dtype)
            value = value.to(self.dtype)
        origin = self._check_writable(method)
        if self._node is not None and self._node.prim is None:
            np.copyto(self._data, value._data)
            self._node.touch()
        else:
            self._data, self._node, self._kind = value._data, value._node, value._kind
            if isinstance(origin, Tensor):
                with no_grad():
                    origin._become(value, method)
                self._data = origin._data
        return self

    def _check_writable(self, method: str) -> Any:
        origin = getattr(self, "_origin", None)
        if origin is False:
            if is_shared(self._data):
                raise errors.write_through_view(method)
            self._origin = origin = None  # nobody holds what it is a view of
        if self._node is not None and self._node.prim is None and is_grad_enabled():
            raise errors.write_while_recording(method)
        return origin

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check_writable("x[index] = value")
        changed = indexing.put(self, index, as_tensor(value).to(self))
        if changed is not None:
            self._become(changed, "x[index] = value")

    def __getitem__(self, index: Any) -> Tensor:
        return indexing.get(self, index)

    def _in_place(self, result: Any) -> Any:
        """`x += y` is `x = x + y`; only on a leaf outside recording does it write."""
        writes = self._node is not None and self._node.prim is None and not is_grad_enabled()
        return self._become(result, "x op= y") if writes else result


Tensor._face = Tensor
bind_tensor_operators(Tensor)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Data as a Tensor that shares memory with it where it can; a Tensor comes back itself."""
    if isinstance(data, Tensor):
        return data if dtype is device is None else data.to(dtype=dtype, device=device)
    return wrap(Tensor, devices.place(as_array(data, dtype), device), None)
