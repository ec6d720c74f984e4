"""Tensor: an array that remembers how it was made."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from . import devices
from .errors import DtypeError, GradientError, ShapeError
from .graph import Node, Value, accumulate, is_grad_enabled, kind_of, no_grad, tick, walk, wrap
from .methods import TensorMethods
from .ops import elementwise as ops
from .ops import index as indexing
from .ops import linalg, shape
from .primitive import Primitive, apply, constant, get_default_dtype, promote

DTYPES = ("float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")


class Tensor(TensorMethods, Value):
    """An n-dimensional array in a graph.

    Python floats become float32, ints int64, bools bool; a NumPy array keeps its dtype. The data
    are copied, so later writes into the source change nothing here.

    Args:
        data: a number, a nested sequence of numbers, a NumPy array or a Tensor.
        requires_grad: whether gradients flow to it; floating dtypes only.
        dtype: the NumPy dtype to convert to.
        device: "cpu".

    Raises:
        DtypeError: a dtype that is not one of `DTYPES`, or a gradient for integers.
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
    _origin: Tensor | bool

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
        if prim.elementwise:
            for i, a in enumerate(raw):
                if not isinstance(a, (np.ndarray, int, float)):
                    raw[i] = as_array(a)
            if prim is ops.where:
                raw[:] = [np.asarray(raw[0], dtype=bool), *promote(raw[1:])]
            else:
                raw[:] = promote(raw, prim.floating)
        out = prim.forward(*raw, **params)
        return np.asarray(out) if isinstance(out, np.generic) else out

    # --- what it is ---

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each dimension."""
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the elements."""
        return self._data.dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        """Where the elements live."""
        return devices.of(self._data)

    @property
    def nbytes(self) -> int:
        """The size of the elements in bytes."""
        return self._data.nbytes  # type: ignore[no-any-return]

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else self.shape[shape.normal_dim(dim, self.ndim)]

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._data.size  # type: ignore[no-any-return]

    @property
    def T(self) -> Tensor:
        """The transposed matrix; more dimensions are all reversed."""
        return shape.permute_(self, tuple(reversed(range(self.ndim))))  # type: ignore[no-any-return]

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        return shape.transpose(self, -2, -1)  # type: ignore[no-any-return]

    # --- values out ---

    def numpy(self) -> np.ndarray[Any, Any]:
        """The elements as a NumPy array that shares memory.

        Raises:
            GradientError: gradients flow through this tensor; use `.detach().numpy()`.
        """
        if self._node is not None:
            raise GradientError(
                "numpy() would leave the graph without a trace; use .detach().numpy()"
            )
        return devices.to_numpy(self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self._data.size != 1:
            raise ShapeError(f"item() needs one element, this tensor has shape {self.shape}")
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._data.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.item())

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ShapeError(
                f"a tensor of shape {self.shape} is neither true nor false; use .all() or .any()"
            )
        return bool(self._data.item())

    def __len__(self) -> int:
        if not self.ndim:
            raise ShapeError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, element: Any) -> bool:
        return bool((self._data == getattr(element, "_data", element)).any())

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise GradientError(
                "only a leaf can be copied or pickled; use .detach() for a value in a graph"
            )
        return type(self), (self._data, self.requires_grad)

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        rebuild, args = self.__reduce__()
        return memo.setdefault(id(self), rebuild(*args))  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="tensor(", threshold=1000)
        parts = [text]
        if self._data.dtype not in (get_default_dtype(), np.dtype("int64"), np.dtype(bool)):
            parts.append(f"dtype={self._data.dtype}")
        if self._data.size == 0 and self.shape != (0,):
            parts.append(f"size={self.shape}")
        if self._node is not None:
            leaf = self._node.prim is None
            parts.append("requires_grad=True" if leaf else f"op={self._node.name}")
        return f"tensor({', '.join(parts)})"

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
        roots = [(self._need_node(), self._seed(gradient, create_graph))]
        grads = walk(roots, Tensor, create_graph=create_graph, retain_graph=keep)
        accumulate(grads, Tensor)

    def _seed(self, gradient: Any, boxed: bool) -> Any:
        """The gradient that a backward pass starts with: 1 for one element, else the one given."""
        if gradient is None:
            if self._data.size != 1:
                raise GradientError(
                    f"backward() of a tensor of shape {self.shape} needs a gradient of that shape; "
                    "reduce it first, for example with .sum() or .mean()"
                )
            one = constant(1.0, self.dtype)
            one = one if self.ndim == 0 else one.reshape(self.shape)
            return wrap(Tensor, one, None) if boxed else one
        gradient = as_tensor(gradient)
        if gradient.shape != self.shape:
            raise ShapeError(
                f"the gradient has shape {gradient.shape}, the value {self.shape}; they must agree"
            )
        gradient = gradient.to(self.dtype)
        return gradient if boxed else gradient._data

    def _need_node(self) -> Node:
        if self._node is None:
            raise GradientError(
                "nothing to differentiate: this tensor is a constant; make an input with "
                "requires_grad=True, and compute outside no_grad()"
            )
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

    # --- other dtypes and devices ---

    def to(self, *args: Any, dtype: Any = None, device: Any = None) -> Tensor:
        """This tensor with another dtype, on another device, or like another tensor."""
        for a in args:
            if isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif devices.is_device(a):
                device = a
            else:
                dtype = a
        devices.check(device)
        dtype = self.dtype if dtype is None else checked_dtype(dtype)
        return self if dtype == self.dtype else shape.cast(self, dtype=dtype, source=self.dtype)

    def cpu(self) -> Tensor:
        """This tensor in the computer's main memory."""
        return self.to("cpu")

    def cuda(self) -> Tensor:
        """This tensor on the GPU."""
        return self.to("cuda")

    def half(self) -> Tensor:
        """This tensor as float16."""
        return self.to(np.float16)

    def float(self) -> Tensor:
        """This tensor as float32."""
        return self.to(np.float32)

    def double(self) -> Tensor:
        """This tensor as float64."""
        return self.to(np.float64)

    def int(self) -> Tensor:
        """This tensor as int32."""
        return self.to(np.int32)

    def long(self) -> Tensor:
        """This tensor as int64."""
        return self.to(np.int64)

    def bool(self) -> Tensor:
        """This tensor as truth values: everything but 0 is true."""
        return self.to(np.bool_)

    def type_as(self, other: Tensor) -> Tensor:
        """This tensor with the dtype of another."""
        return self.to(other.dtype)

    def contiguous(self) -> Tensor:
        """This tensor with its elements in row-major order in memory."""
        if self._data.flags.c_contiguous:
            return self
        return shape.clone(self)  # type: ignore[no-any-return]

    # --- writing in place: the tensor takes a new value; what was saved of the old one stays ---

    def _become(self, value: Any, method: str) -> Tensor:
        """Give this tensor the value (and the node) of another, of its own shape and dtype."""
        value = value if isinstance(value, Tensor) else Tensor(value, dtype=self.dtype)
        if value.shape != self.shape:
            raise ShapeError(
                f"{method}: the result has shape {value.shape}, the tensor {self.shape}; "
                "write the operation without the underscore"
            )
        if value.dtype != self.dtype:
            if KIND[value.dtype.kind] > KIND[self.dtype.kind]:
                raise DtypeError(
                    f"{method}: the result is {value.dtype}, the tensor {self.dtype}; convert the "
                    "tensor first, or write the operation without the underscore"
                )
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
            raise GradientError(
                f"{method}: this tensor is a view (a slice, reshape, transpose, detach ... of "
                "another), and the write would not reach the tensor that it came from; write "
                "base[index] = value on the base itself, or .clone() the view first"
            )
        if self._node is not None and self._node.prim is None and is_grad_enabled():
            raise GradientError(
                f"{method}: a leaf that requires grad is not written in place while operations "
                "are recorded; wrap the write in tc.no_grad()"
            )
        return origin

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check_writable("x[index] = value")
        index = indexing.plain_index(index)
        if isinstance(value, Tensor):
            value = value.to(self.dtype)
        else:
            value = wrap(Tensor, as_array(value).astype(self.dtype, copy=False), None)
        try:
            target = self._data[index].shape
            np.broadcast_to(value._data, target)
        except (ValueError, IndexError) as error:
            raise ShapeError(
                f"x[index] = value: a value of shape {value.shape} into a tensor of shape "
                f"{self.shape}: {error}"
            ) from error
        put = indexing.index_put(self, value, index=index, shape=target)
        self._become(put, "x[index] = value")

    def __getitem__(self, index: Any) -> Tensor:
        return indexing.get(self, index)  # type: ignore[no-any-return]

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, (int, float)) and other == 2:
            return ops.square(self)
        return apply(ops.pow, (self, other), {}) if _operand(other) else NotImplemented

    def __ipow__(self, other: Any) -> Any:
        return self._in_place(self**other)

    def _in_place(self, result: Any) -> Any:
        """`x += y` is `x = x + y`; only on a leaf outside recording does it write."""
        writes = self._node is not None and self._node.prim is None and not is_grad_enabled()
        return self._become(result, "x op= y") if writes else result

    def fill_(self, value: Any) -> Tensor:
        """Every element becomes `value`."""
        value = value if isinstance(value, Tensor) else Tensor(value, dtype=self.dtype)
        if value.ndim:
            raise ShapeError(f"fill_: one value is needed, got a tensor of shape {value.shape}")
        return self._become(shape.clone(shape.expand(value.to(self.dtype), self.shape)), "fill_")

    def zero_(self) -> Tensor:
        """Every element becomes 0."""
        return self.fill_(0)

    def copy_(self, source: Any) -> Tensor:
        """The elements become those of `source`, broadcast and converted."""
        source = as_tensor(source).to(self.dtype)
        return self._become(shape.clone(shape.broadcast_to_(source, self.shape)), "copy_")


KIND = {"b": 0, "u": 1, "i": 1, "f": 2}
Tensor._face = Tensor


# --- from Python and NumPy ------------------------------------------------------------------------


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """A NumPy dtype that Tensors can have."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(f"{dtype!r} is not a dtype; use one of {', '.join(DTYPES)}") from error
    if found.name not in DTYPES or not found.isnative:
        raise DtypeError(f"tensors cannot hold {found}; use one of {', '.join(DTYPES)}")
    return found


def as_array(data: Any, dtype: Any = None, copy: bool = False) -> Any:
    """Data as an array with one of the dtypes that Tensors can have, copied if asked or needed."""
    if isinstance(data, Tensor):
        data = data._data
    elif isinstance(data, Value):
        raise DtypeError("a Scalar does not become a Tensor; use its number: tc.tensor(s.data)")
    wanted = None if dtype is None else checked_dtype(dtype)
    if isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__array_interface__"):
        array = np.array(data, dtype=wanted, copy=True if copy else None)
    else:
        array = _from_python(data, wanted)
    checked_dtype(array.dtype)
    return array


def _from_python(data: Any, wanted: np.dtype[Any] | None) -> Any:
    data = _plain(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(f"the nested lists have different lengths: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"cannot make a tensor from {type(data).__name__} {str(data)[:60]!r}: "
            "numbers, bools, nested lists of them and NumPy arrays are understood"
        )
    if wanted is None and (array.size == 0 or array.dtype.kind == "f") and not _has_arrays(data):
        wanted = get_default_dtype()
    return array if wanted is None else array.astype(wanted, copy=False)


def _plain(data: Any) -> Any:
    """Nested sequences with the Tensors among them as arrays."""
    if isinstance(data, (list, tuple)):
        return [_plain(d) for d in data]
    return data.detach().numpy() if isinstance(data, Tensor) else data


def _has_arrays(data: Any) -> bool:
    if isinstance(data, list):
        return bool(data) and _has_arrays(data[0])
    return isinstance(data, (np.ndarray, np.generic))


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Data as a Tensor that shares memory with it where it can; a Tensor comes back itself."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    return wrap(Tensor, devices.place(as_array(data, dtype), device), None)  # type: ignore[no-any-return]


NOTHING = (None, None, None)

# --- operators ------------------------------------------------------------------------------------


def _operand(x: Any) -> bool:
    return isinstance(x, (Value, int, float, np.ndarray, np.generic))


def _operator(prim: Primitive) -> Any:
    """The operator method of a row of two arguments: `apply`, written out for speed."""
    forward, new = prim.forward, object.__new__
    _, left_only, right_only, both = [prim.keeps[mask] for mask in range(4)]
    reads, any_kind = any(both), not prim.floating

    def method(self: Tensor, other: Any) -> Any:
        left, kind = self._node, self._kind
        if type(other) is Tensor and kind is other._kind and (any_kind or kind.dtype.kind == "f"):
            y, right = other._data, other._node
        elif isinstance(other, (float, int)) and kind.dtype.kind == "f" and kind.shape:
            y, right = constant(other, kind.dtype), None
        else:
            return apply(prim, (self, other), {}) if _operand(other) else NotImplemented
        x = self._data
        result = new(Tensor)
        result._data = out = forward(x, y)
        result._kind = kind
        if right is None:
            if left is None:
                result._node = None
                return result
            keep_out, keep_x, keep_y = left_only
        else:
            keep_out, keep_x, keep_y = right_only if left is None else both
        if not is_grad_enabled():
            result._node = None
            return result
        result._node = node = new(Node)
        node.prim = prim
        node.parents = (left, right)
        node.saved = (
            (out if keep_out else None, x if keep_x else None, y if keep_y else None)
            if reads
            else NOTHING
        )
        node.kind = kind
        node.extra = None
        node.seq = tick()
        return result

    return method if prim.differentiable else _plain_operator(prim)


def _plain_operator(prim: Primitive) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        return apply(prim, (self, other), {}) if _operand(other) else NotImplemented

    return method


def _reflected(prim: Primitive) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        return apply(prim, (other, self), {}) if _operand(other) else NotImplemented

    return method


def _assigning(method: Any) -> Any:
    def assign(self: Tensor, other: Any) -> Any:
        result = method(self, other)
        return result if result is NotImplemented else self._in_place(result)

    return assign


def _matmul(x: Any, y: Any) -> Any:
    return (
        linalg.matmul(as_tensor(x), as_tensor(y)) if _operand(x) and _operand(y) else NotImplemented
    )


def _bind_operators() -> None:
    """Python's operators are a closed set; each is a row."""
    rows = {"add": ops.add, "sub": ops.sub, "mul": ops.mul, "truediv": ops.div, "pow": ops.pow,
            "floordiv": ops.floor_divide, "mod": ops.remainder}  # fmt: skip
    for name, prim in rows.items():
        method = _operator(prim) if name != "pow" else Tensor.__pow__
        setattr(Tensor, f"__{name}__", method)
        setattr(Tensor, f"__r{name}__", method if name in ("add", "mul") else _reflected(prim))
        setattr(Tensor, f"__i{name}__", _assigning(method))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Tensor, f"__{name}__", _plain_operator(getattr(ops, name)))
    for name, function in {
        "matmul": _matmul, "rmatmul": lambda y, x: _matmul(x, y),
        "neg": lambda x: ops.neg(x), "pos": lambda x: x, "abs": lambda x: ops.abs(x),
    }.items():  # fmt: skip
        setattr(Tensor, f"__{name}__", function)


_bind_operators()
