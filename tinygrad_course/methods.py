"""The table's operations as methods: every row and derived function whose first argument is `self`.

The stub beside this file (`methods.pyi`, written by `python -m tests.stub`) tells editors and type
checkers what is bound here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .functions import arranging, choosing, drawing, matrices, products, sorting, statistics
from .functions import elementwise as composed
from .ops import elementwise, index, linalg, reduce, scan, shape, special
from .primitive import Primitive
from .spelling import with_dim


class ScalarMethods:
    """The elementwise rows, as methods of a Scalar."""

    __slots__ = ()


class TensorMethods:
    """The rows and the derived functions, as methods of a Tensor."""

    __slots__ = ()


_COMPOSED = (
    "add sub div lerp addcmul addcdiv multiply subtract divide true_divide absolute negative"
)


def _elementwise() -> dict[str, Any]:
    """The rows of numbers, by the name they have as methods."""
    every = {**vars(elementwise), "erf": special.erf, "erfc": special.erfc}
    rows = {name: row for name, row in every.items() if isinstance(row, Primitive)}
    for name in ("where", "clamp_between", "nan_to_num_with", "isclose_within"):
        del rows[name]
    rows |= {"clamp": elementwise.clamp, "clip": elementwise.clamp}
    rows["nan_to_num"] = elementwise.nan_to_num
    return rows | {name: getattr(composed, name) for name in _COMPOSED.split()}


_DERIVED = {
    composed: "isclose allclose equal",
    statistics: "var std nansum nanmean count_nonzero norm dist",
    drawing: "bernoulli multinomial normal_ uniform_ bernoulli_ new_tensor new_zeros new_ones "
    "new_empty new_full",
    sorting: "sort argsort topk kthvalue median unique",
    scan: "cumsum cumprod prod logcumsumexp cummax cummin",
    shape: "clone flatten unflatten unsqueeze squeeze transpose expand split chunk",
    arranging: "expand_as view_as reshape_as movedim moveaxis swapaxes swapdims flip fliplr flipud "
    "roll rot90 repeat tile repeat_interleave diagonal diag_embed diag tril triu select narrow "
    "unbind tensor_split hsplit vsplit unfold diff",
    choosing: "nonzero argwhere index_select take masked_select masked_fill index_fill index_copy "
    "index_add index_put scatter scatter_add",
    products: "vdot inner outer cross bmm mv addmm addmv addr baddbmm addbmm trace kron",
    matrices: "det slogdet logdet inverse cholesky",
    reduce: "sum mean amax amin argmax argmin max min logsumexp softmax log_softmax all any",
    index: "gather take_along_dim",
    linalg: "matmul mm t",
}
_RENAMED = {
    "broadcast_to": shape.broadcast_to_,
    "permute": shape.permute_,
    "reshape": shape.reshape_,
    "view": shape.reshape_,
    "where": choosing.kept_where,
    "dot": products.vector_dot,
}

SCALAR_FUNCTIONS: dict[str, Any] = {
    name: f for name, f in _elementwise().items() if not name.startswith("bitwise_")
}
TENSOR_FUNCTIONS: dict[str, Any] = {
    **_elementwise(),
    **{n: getattr(room, n) for room, names in _DERIVED.items() for n in names.split()},
    **_RENAMED,
}
WRITING = sorted(
    name for name, f in _elementwise().items() if getattr(f, "differentiable", True)
)  # x.exp_() for x.exp(): the tensor takes the result as its value
WRITING_PARTS = [
    "masked_fill", "index_fill", "index_copy", "index_add", "index_put", "scatter", "scatter_add",
    "tril", "triu", "addmm", "addmv", "addr", "baddbmm", "addbmm",
]  # fmt: skip


def _method(name: str, function: Callable[..., Any]) -> Any:
    def method(self: Any, *args: Any, **params: Any) -> Any:
        return function(self, *args, **(with_dim(params) if params else params))

    if isinstance(function, Primitive) and function.binary:

        def method(self: Any, other: Any) -> Any:
            return function(self, other)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


def _writing_method(name: str, function: Callable[..., Any]) -> Any:
    def method(self: Any, *args: Any, **params: Any) -> Any:
        self._check_writable(name)
        return self._become(function(self, *args, **params), name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"{name[:-1]}; this tensor takes the result as its value."
    return method


for _name, _function in SCALAR_FUNCTIONS.items():
    setattr(ScalarMethods, _name, _method(_name, _function))
for _name, _function in TENSOR_FUNCTIONS.items():
    setattr(TensorMethods, _name, _method(_name, _function))
for _name in (*WRITING, *WRITING_PARTS):
    setattr(TensorMethods, _name + "_", _writing_method(_name + "_", TENSOR_FUNCTIONS[_name]))
