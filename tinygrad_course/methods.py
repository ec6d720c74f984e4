"""The table's operations as methods: every row and derived function whose first argument is `self`.

The stub beside this file (`methods.pyi`, written by `python -m tests.stub`) tells editors and type
checkers what is bound here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .ops import elementwise, index, linalg, reduce, shape
from .primitive import Primitive


class ScalarMethods:
    """The elementwise rows, as methods of a Scalar."""

    __slots__ = ()


class TensorMethods:
    """The rows and the derived functions, as methods of a Tensor."""

    __slots__ = ()


def _elementwise() -> dict[str, Any]:
    """The rows of numbers, by the name they have as methods."""
    rows = {name: row for name, row in vars(elementwise).items() if isinstance(row, Primitive)}
    del rows["where"], rows["clamp_to"]
    return {**rows, "clamp": elementwise.clamp, "clip": elementwise.clamp}


_DERIVED = {
    shape: "clone flatten unflatten unsqueeze squeeze transpose expand split chunk",
    reduce: "sum mean var std amax amin argmax argmin max min logsumexp softmax log_softmax cumsum "
    "all any norm",
    index: "gather take_along_dim",
    linalg: "matmul mm t",
}
_RENAMED = {
    "broadcast_to": shape.broadcast_to_,
    "permute": shape.permute_,
    "reshape": shape.reshape_,
    "view": shape.reshape_,
}

SCALAR_FUNCTIONS: dict[str, Any] = _elementwise()
TENSOR_FUNCTIONS: dict[str, Any] = {
    **_elementwise(),
    **{n: getattr(room, n) for room, names in _DERIVED.items() for n in names.split()},
    **_RENAMED,
}
WRITING = sorted(
    name for name, f in _elementwise().items() if getattr(f, "differentiable", True)
)  # x.exp_() for x.exp(): the tensor takes the result as its value


def _method(name: str, function: Callable[..., Any]) -> Any:
    def method(self: Any, *args: Any, **params: Any) -> Any:
        return function(self, *args, **params)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


def _writing_method(name: str, function: Callable[..., Any]) -> Any:
    def method(self: Any, *args: Any, **params: Any) -> Any:
        return self._become(function(self, *args, **params), name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"{name[:-1]}; this tensor takes the result as its value."
    return method


for _name, _function in SCALAR_FUNCTIONS.items():
    setattr(ScalarMethods, _name, _method(_name, _function))
for _name, _function in TENSOR_FUNCTIONS.items():
    setattr(TensorMethods, _name, _method(_name, _function))
for _name in WRITING:
    setattr(TensorMethods, _name + "_", _writing_method(_name + "_", TENSOR_FUNCTIONS[_name]))
