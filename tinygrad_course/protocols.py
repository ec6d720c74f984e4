"""A Tensor as Python and NumPy see it: numbers, iteration, text, copies, dtypes, devices."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import devices
from .arrays import checked_dtype, get_default_dtype
from .errors import DeviceError, GradientError, ShapeError
from .graph import Value
from .ops import shape
from .ops.index import index_put

if TYPE_CHECKING:
    from .tensor import Tensor

_TYPES = {"float16": "HalfTensor", "float32": "FloatTensor", "float64": "DoubleTensor",
          "uint8": "ByteTensor", "int8": "CharTensor", "int16": "ShortTensor",
          "int32": "IntTensor", "int64": "LongTensor", "bool": "BoolTensor"}  # fmt: skip
_Bool = bool  # in the class, bool is the method


class TensorProtocols(Value):
    """The part of Tensor that has nothing to do with gradients."""

    __slots__ = ()
    _become: Any
    requires_grad_: Any
    __getitem__: Any

    # --- what it is ---

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each dimension."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the elements."""
        return self._data.dtype

    @property
    def device(self) -> devices.device:
        """Where the elements live."""
        return devices.of(self._data)

    @property
    def requires_grad(self) -> builtins.bool:
        """Whether gradients flow to this tensor; assigning is what `requires_grad_` does."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: builtins.bool) -> None:
        self.requires_grad_(value)

    @property
    def nbytes(self) -> int:
        """The size of the elements in bytes."""
        return self._data.nbytes

    @property
    def itemsize(self) -> int:
        """The size of one element in bytes."""
        return self._data.itemsize

    def element_size(self) -> int:
        """The size of one element in bytes."""
        return self._data.itemsize

    def is_contiguous(self) -> builtins.bool:
        """Whether the elements lie in row-major order in memory."""
        return self._data.flags.c_contiguous

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else self.shape[shape.normal_dim(dim, self.ndim)]

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._data.size

    def nelement(self) -> int:
        """The number of elements."""
        return self._data.size

    @property
    def T(self) -> Tensor:
        """The transposed matrix; more dimensions are all reversed."""
        return shape.permute_(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        return shape.transpose(self, -2, -1)

    # --- values out ---

    def numpy(self, *, force: builtins.bool = False) -> np.ndarray[Any, Any]:
        """The elements as a NumPy array: shared memory, or a copy of a GPU's.

        force: of a tensor in a graph, too.

        Raises:
            GradientError: gradients flow through this tensor; use `.detach().numpy()`.
        """
        if self._node is not None and not force:
            raise GradientError(
                "numpy() would leave the graph without a trace; use .detach().numpy()"
            )
        return devices.to_numpy(self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if devices.is_cuda(self._data):
            raise DeviceError(
                f"a tensor on {self.device} becomes no NumPy array by itself; write x.cpu() first"
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        there = self._node is None and devices.is_cuda(self._data)
        return (self._data if there else self.numpy()).__dlpack__(**options)

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

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        rebuild, args = self.__reduce__()
        return memo.setdefault(id(self), rebuild(*args))

    def __repr__(self) -> str:
        host = devices.to_numpy(self._data)
        text = np.array2string(host, separator=", ", prefix="tensor(", threshold=1000)
        parts = [text]
        if self._data.dtype not in (get_default_dtype(), np.dtype("int64"), np.dtype(bool)):
            parts.append(f"dtype={self._data.dtype}")
        if self._data.size == 0 and self.shape != (0,):
            parts.append(f"size={self.shape}")
        if self.is_cuda:
            parts.append(f"device='{self.device}'")
        if self._node is not None:
            leaf = self._node.prim is None
            parts.append("requires_grad=True" if leaf else f"op={self._node.name}")
        return f"tensor({', '.join(parts)})"

    # --- other dtypes and devices ---

    def to(
        self, *args: Any, dtype: Any = None, device: Any = None, other: Any = None,
        non_blocking: builtins.bool = False, copy: builtins.bool = False,
    ) -> Tensor:  # fmt: skip
        """This tensor with another dtype, on another device, or like another tensor.

        Args:
            args: the dtype, the device or the other tensor, without their names.
            dtype, device, other: what to be like.
            non_blocking: do not wait for a copy between devices; within one there is none.
            copy: give a copy even where nothing changes.
        """
        for a in (*args, *([] if other is None else [other])):
            if isinstance(a, TensorProtocols):
                dtype, device = a.dtype, a.device
            elif devices.is_device(a):
                device = a
            else:
                dtype = a
        moved: Any = self
        if device is not None and (place := devices.check(device)) != self.device:
            moved = shape.move(self, device=place, source=self.device)
        dtype = self.dtype if dtype is None else checked_dtype(dtype)
        if dtype == self.dtype:
            return shape.clone(self) if copy and moved is self else moved
        return shape.cast(moved, dtype=dtype, source=self.dtype)

    def cpu(self) -> Tensor:
        """This tensor in the computer's main memory."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Tensor:
        """This tensor on the GPU, or on the one with this number."""
        return self.to("cuda" if device is None else devices.device("cuda", device))

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

    def short(self) -> Tensor:
        """This tensor as int16."""
        return self.to(np.int16)

    def byte(self) -> Tensor:
        """This tensor as uint8."""
        return self.to(np.uint8)

    def type(self, dtype: Any = None) -> Any:
        """This tensor in another dtype (or "DoubleTensor"); without one, the name of its own."""
        if dtype is None:
            place = "cuda." if self.is_cuda else ""
            return f"tinygrad_course.{place}{_TYPES[self.dtype.name]}"
        named = {v: k for k, v in _TYPES.items()}
        if isinstance(dtype, str) and dtype.split(".")[-1] in named:
            dtype = named[dtype.split(".")[-1]]
        return self.to(checked_dtype(dtype))

    def is_floating_point(self) -> _Bool:
        """Whether the elements are floating numbers."""
        return self.dtype.kind == "f"

    @property
    def is_cuda(self) -> _Bool:
        """Whether the elements live on a GPU."""
        return self.device.startswith("cuda")

    def type_as(self, other: Any) -> Tensor:
        """This tensor with the dtype and on the device of another."""
        return self.to(other)

    def contiguous(self) -> Tensor:
        """This tensor with its elements in row-major order in memory."""
        same: Any = self
        return same if self._data.flags.c_contiguous else shape.clone(self)

    def fill_(self, value: Any) -> Tensor:
        """Every element becomes `value`."""
        value = self._constant(value).to(self)
        if value.ndim:
            raise ShapeError(f"fill_: one value is needed, got a tensor of shape {value.shape}")
        return self._become(index_put(self, value, index=..., shape=self.shape), "fill_")

    def zero_(self) -> Tensor:
        """Every element becomes 0."""
        return self.fill_(0)

    def copy_(self, source: Any) -> Tensor:
        """The elements become those of `source`, broadcast and converted."""
        source = self._constant(source).to(self)
        return self._become(index_put(self, source, index=..., shape=self.shape), "copy_")
