"""The table's operations as methods: every row and derived function whose first argument is `self`.

The stub beside this file (`methods.pyi`) tells editors and type checkers what is bound here.
"""

from __future__ import annotations

from typing import Any

from .ops import elementwise, index, linalg, reduce, shape
from .primitive import TABLE, Primitive


class ScalarMethods:
    """The elementwise rows, as methods of a Scalar."""

    __slots__ = ()


class TensorMethods:
    """The rows and the derived functions, as methods of a Tensor."""

    __slots__ = ()


DERIVED = {
    shape: "flatten unflatten unsqueeze squeeze transpose expand split chunk",
    reduce: "sum mean var std amax amin argmax argmin max min logsumexp softmax log_softmax cumsum "
    "all any norm",
    index: "gather take_along_dim",
    linalg: "matmul mm t",
}
RENAMED = {"reshape": shape.reshape_, "view": shape.reshape_, "permute": shape.permute_,
           "broadcast_to": shape.broadcast_to_, "clone": shape.clone}  # fmt: skip


def _method(name: str, function: Any) -> Any:
    def method(self: Any, *args: Any, **params: Any) -> Any:
        return function(self, *args, **params)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


def _writing(name: str, function: Any) -> Any:
    def method(self: Any, *args: Any, **params: Any) -> Any:
        return self._become(function(self, *args, **params), name + "_")

    method.__name__ = method.__qualname__ = name + "_"
    method.__doc__ = f"`{name}`, and this tensor takes the result as its value."
    return method


def _bind() -> None:
    for name, row in vars(elementwise).items():
        if isinstance(row, Primitive) and TABLE[row.name] is row:
            if name != "where":
                setattr(ScalarMethods, name, _method(name, row))
            setattr(TensorMethods, name, _method(name, row))
            if row.differentiable:
                setattr(TensorMethods, name + "_", _writing(name, row))
    for module, names in DERIVED.items():
        for name in names.split():
            setattr(TensorMethods, name, _method(name, getattr(module, name)))
    for name, function in RENAMED.items():
        setattr(TensorMethods, name, _method(name, function))


_bind()
