"""Derivatives of functions: in goes a function, out comes the one that computes its derivative.

Nothing here touches a `.grad`. Each transformation gives the function inputs of its own, so they
nest: `grad(grad(f))` is f″. A result is part of a graph where the arguments are, or where the
function reads other tensors that require grad; otherwise it is a constant.

Arguments and results may be tuples, lists and dicts of tensors. Source: the definitions in Griewank
and Walther, Evaluating Derivatives, chapter 3; forward mode is reverse mode applied twice.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import autograd, trees
from .errors import DtypeError, GradientError, OptionError, ShapeError
from .graph import Node, Value, kind_of, nodes, wrap
from .modes import enable_grad, is_grad_enabled, no_grad
from .ops.shape import clone, reshape_, stack
from .scalar import Scalar
from .tensor import Tensor

__all__ = ["grad", "hessian", "hvp", "jacfwd", "jacrev", "jvp", "value_and_grad", "vjp"]

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]


def grad(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The gradient ∇f of a function whose result is one number.

    Args:
        func: gives a tensor of shape (); with `has_aux`, the pair (tensor, anything else).
        argnums: the argument to differentiate by, or a tuple of them for a tuple of gradients.
        has_aux: give (gradient, anything else).

    Raises:
        GradientError: a result that is not one number.
        OptionError: an argument that is not there.

    >>> import tinygrad_course as tc
    >>> tc.func.grad(tc.sin)(tc.tensor(0.0))
    tensor(1.)
    >>> tc.func.grad(tc.func.grad(lambda x: x**3))(tc.tensor(2.0))
    tensor(12.)
    """

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        value, grads = value_and_grad(func, argnums, has_aux)(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return differentiated


def value_and_grad(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that gives (f, ∇f); with `has_aux`, ((f, anything else), ∇f).

    Args and errors are those of `grad`.

    >>> import tinygrad_course as tc
    >>> tc.func.value_and_grad(lambda x: (x * x).sum())(tc.tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))
    """

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        trace = _Trace("grad", func, args, kwargs, argnums, has_aux)
        value = trace.number()
        grads = trace.like_inputs(trace.pull([(value, None)], trace.live, last=True))
        value = trace.cut(value)
        return ((value, trace.cut(trace.aux)) if has_aux else value), grads

    return differentiated


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """(f(x), v ↦ vᵀJ): the value, and the function that pulls a cotangent back to the arguments.

    Args:
        func: gives a tensor, or a tree of tensors.
        primals: the arguments.
        has_aux: func gives (result, anything else), and the answer is a triple.

    The function returned takes one cotangent, of the result's form, and gives a tuple with one
    entry for each argument. It may be called as often as one likes.

    >>> import tinygrad_course as tc
    >>> value, pull = tc.func.vjp(lambda x, y: x * y, tc.tensor([1.0, 2.0]), tc.tensor([3.0, 4.0]))
    >>> pull(tc.tensor([1.0, 1.0]))
    (tensor([3., 4.]), tensor([1., 2.]))
    """
    trace = _Trace("vjp", func, primals, {}, tuple(range(len(primals))), has_aux)

    def pull(cotangents: Any) -> Any:
        pairs = _paired("vjp", "cotangents", trace.output, cotangents)
        create = is_grad_enabled() and (trace.live or any(_tracked(c) for _, c in pairs))
        return trace.like_inputs(trace.pull(pairs, create))

    return (trace.cut(trace.output), pull, *([trace.cut(trace.aux)] if has_aux else []))


def jvp(func: Function, primals: Any, tangents: Any, *, has_aux: bool = False) -> Any:
    """(f(x), J t): the value, and its derivative in the direction of the tangents.

    Args:
        func: gives a tensor, or a tree of tensors.
        primals: a tuple of the arguments.
        tangents: a direction for each argument, of its form and shape.
        has_aux: func gives (result, anything else), and the answer is a triple.

    >>> import tinygrad_course as tc
    >>> tc.func.jvp(lambda x: x**3, (tc.tensor(2.0),), (tc.tensor(1.0),))
    (tensor(8.), tensor(12.))
    """
    trace = _Trace("jvp", func, primals, {}, tuple(range(len(primals))), has_aux)
    pairs = _paired("jvp", "tangents", primals, tangents)
    create = trace.live or (trace.outer and any(_tracked(t) for _, t in pairs))
    pushed = trace.push(trace.results, [t for _, t in pairs], create)
    pushed = trees.refilled(trace.output, pushed)
    value = trace.cut(trace.output)
    return (value, pushed, *([trace.cut(trace.aux)] if has_aux else []))


def jacrev(func: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """The Jacobian J[i, j] = ∂fᵢ/∂xⱼ, one backward pass for each number in the result.

    Its shape is the result's followed by the argument's; for trees, a tree of results of trees of
    arguments. Args and errors are those of `grad`, except that the result may have any shape.

    >>> import tinygrad_course as tc
    >>> tc.func.jacrev(lambda x: x * x)(tc.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        trace = _Trace("jacrev", func, args, kwargs, argnums, has_aux)
        jacobians = trees.mapped(lambda y: trace.like_inputs(trace.rows(y)), trace.output)
        return (jacobians, trace.cut(trace.aux)) if has_aux else jacobians

    return differentiated


def jacfwd(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The Jacobian as `jacrev` gives it, one pass for each number in the arguments.

    The cheaper of the two where a function has fewer inputs than outputs.

    >>> import tinygrad_course as tc
    >>> tc.func.jacfwd(lambda t: tc.stack([t.cos(), t.sin()]))(tc.tensor(0.0))
    tensor([0., 1.])
    """

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        trace = _Trace("jacfwd", func, args, kwargs, argnums, has_aux)
        jacobians = trees.mapped(lambda y: trace.like_inputs(trace.columns(y)), trace.output)
        return (jacobians, trace.cut(trace.aux)) if has_aux else jacobians

    return differentiated


def hessian(func: Function, argnums: Argnums = 0) -> Function:
    """The second derivatives H[i, j] = ∂²f/∂xᵢ∂xⱼ: the Jacobian of the gradient.

    >>> import tinygrad_course as tc
    >>> tc.func.hessian(lambda x: (x**3).sum())(tc.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)


def hvp(func: Function, inputs: Any, v: Any = None) -> tuple[Any, Any]:
    """(f(x), H v): the value, and the Hessian times a vector, at the price of two backward passes.

    Args:
        func: gives a tensor of one element.
        inputs: its argument, or a tuple of its arguments.
        v: the vector, of the form of `inputs`; may be left out for an input of one element.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([1.0, 2.0])
    >>> tc.func.hvp(lambda x: (x**3).sum(), x, tc.tensor([1.0, 0.0]))
    (tensor(9.), tensor([6., 0.]))
    """
    several = isinstance(inputs, tuple)
    args = inputs if several else (inputs,)
    trace = _Trace("hvp", func, args, {}, tuple(range(len(args))), False)
    if v is None:
        v = trees.mapped(_one, inputs)
    pairs = _paired("hvp", "v", inputs, v)
    create = trace.live or (trace.outer and any(_tracked(t) for _, t in pairs))
    gradient = trace.pull([(trace.number(any_shape=True), None)], create=True, cut=False)
    weighted = [(g, t) for g, (_, t) in zip(gradient, pairs, strict=True)]
    product = trees.refilled(inputs, trace.pull(weighted, create))
    return trace.cut(trace.output), product


# --- one call of a function, with inputs of its own -----------------------------------------------


class _Trace:
    """A function called on fresh copies of its arguments, and what can be asked about the call.

    A copy of an argument inside a graph hangs on it, so that what is computed here can be
    differentiated from outside; a copy of a constant is a leaf that nobody else knows.
    """

    def __init__(
        self, name: str, func: Function, args: Sequence[Any], kwargs: dict[str, Any],
        argnums: Argnums, has_aux: bool,
    ) -> None:  # fmt: skip
        self.name = name
        self.outer = is_grad_enabled()
        self.form, places = _chosen(name, args, argnums)
        fresh = trees.mapped(lambda x: _fresh(x, name, self.outer), [args[i] for i in places])
        self.inputs = trees.leaves(fresh)
        own = dict(zip(places, fresh, strict=True))
        with enable_grad():
            result = func(*(own.get(i, a) for i, a in enumerate(args)), **kwargs)
        self.output: Any
        self.aux: Any
        self.output, self.aux = _parted(name, result) if has_aux else (result, None)
        self.results = trees.leaves(self.output)
        for y in self.results:
            if not isinstance(y, Value):
                raise DtypeError(
                    f"{name}: the function must give tensors, got {type(y).__name__}; return other "
                    "things with has_aux=True"
                )
        self.private = {x._node for x in self.inputs if x.is_leaf}
        # whether what is computed here is part of a graph that was there before
        self.live = self.outer and bool(_reaching_out(self.results, self.private))

    def number(self, any_shape: bool = False) -> Any:
        """The result, if it is one number."""
        y = self.output
        shape = getattr(y, "shape", ())
        if not isinstance(y, Value) or (shape and not (any_shape and math.prod(shape) == 1)):
            raise GradientError(
                f"{self.name}: the function must give one number, a tensor of shape (), got "
                f"{type(y).__name__} {shape or ''}; reduce it, or use vjp or jacrev"
            )
        return y

    def like_inputs(self, found: list[Any]) -> Any:
        """A value for each input, in the form of the arguments that were asked about."""
        return trees.refilled(self.form, found)

    def pull(
        self, pairs: list[tuple[Any, Any]], create: bool, last: bool = False, cut: bool = True
    ) -> list[Any]:
        """The gradient of Σ y · c over the pairs (y, c), for each input."""
        pairs = [(y, c) for y, c in pairs if _tracked(y)]
        found: Sequence[Any] = [None] * len(self.inputs)
        if pairs:
            ys, cs = zip(*pairs, strict=True)
            with enable_grad() if create else no_grad():
                found = autograd.grad(
                    ys, self.inputs, cs, not last or create, create, allow_unused=True
                )
        filled = [_zero(x) if g is None else g for x, g in zip(self.inputs, found, strict=True)]
        return self.cut(filled) if cut else filled

    def push(self, ys: list[Any], tangents: list[Any], create: bool) -> list[Any]:
        """J t for each of the results: what multiplies u in the gradient of (uᵀ J) t."""
        return self.pushed(*self.transposed(ys), tangents, create)

    def transposed(self, ys: list[Any]) -> tuple[list[Any], list[Any]]:
        """Fresh u, and uᵀJ as a function of it."""
        us = [_fresh(_zero(y), self.name, False) for y in ys]
        self.private |= {u._node for u in us}
        return us, self.pull(list(zip(ys, us, strict=True)), create=True, cut=False)

    def pushed(
        self, us: list[Any], rows: list[Any], tangents: list[Any], create: bool
    ) -> list[Any]:
        """The gradient of rows · tangents with respect to u."""
        pairs = [(r, t) for r, t in zip(rows, tangents, strict=True) if _tracked(r)]
        found: Sequence[Any] = [None] * len(us)
        if pairs:
            rs, ts = zip(*pairs, strict=True)
            with enable_grad() if create else no_grad():
                found = autograd.grad(rs, us, ts, True, create, allow_unused=True)
        filled = [_zero(u) if g is None else g for u, g in zip(us, found, strict=True)]
        cut: list[Any] = self.cut(filled)
        return cut

    def rows(self, y: Any) -> list[Any]:
        """The Jacobian of one result, for each input, by a pass for each number in the result."""
        passes = [self.pull([(y, e)], self.live) for e in _basis(y)]
        return [_stacked([p[i] for p in passes], 0, y, x) for i, x in enumerate(self.inputs)]

    def columns(self, y: Any) -> list[Any]:
        """The Jacobian of one result, for each input, by a pass for each number in the input."""
        us, rows = self.transposed([y])
        jacobians = []
        for x, row in zip(self.inputs, rows, strict=True):
            passes = [self.pushed(us, [row], [e], self.live)[0] for e in _basis(x)]
            jacobians.append(_stacked(passes, -1, y, x))
        return jacobians

    def cut(self, tree: Any) -> Any:
        """The tree with constants in place of values that depend on nothing outside this call."""
        out = _reaching_out(trees.values(tree), self.private) if self.outer else set()
        return trees.mapped(lambda v: _constant(v, out), tree)


def _chosen(name: str, args: Sequence[Any], argnums: Argnums) -> tuple[Any, list[int]]:
    """The arguments to differentiate by, as they were asked for, and their places."""
    several = isinstance(argnums, (tuple, list))
    asked: Sequence[Any] = argnums if isinstance(argnums, (tuple, list)) else [argnums]
    for i in asked:
        if not isinstance(i, int) or not -len(args) <= i < len(args):
            raise OptionError(f"{name}: argnums {argnums!r}, but there are {len(args)} arguments")
    places = [i % len(args) for i in asked]
    if len(set(places)) != len(places) or not places:
        raise OptionError(f"{name}: argnums must name one or more arguments, each once: {argnums}")
    form = tuple(args[i] for i in places)
    return (form if several else form[0]), places


def _parted(name: str, result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise GradientError(
            f"{name}: with has_aux=True the function must give a pair (result, anything else), "
            f"got {type(result).__name__}"
        )
    return result[0], result[1]


def _fresh(x: Any, name: str, attached: bool) -> Any:
    """A value of its own: hanging on `x` if that is in a graph, else a leaf."""
    if not isinstance(x, Value):
        raise DtypeError(
            f"{name}: arguments to differentiate by are tensors, got {type(x).__name__}"
        )
    if isinstance(x, Tensor) and x.dtype.kind != "f":
        raise DtypeError(f"{name}: only floating tensors can be differentiated by, got {x.dtype}")
    if not isinstance(x, Tensor):
        with enable_grad():
            scalar: Any = x
            return scalar * 1.0 if attached and x._node is not None else Scalar(x._data)
    kind = kind_of(x._data)
    if attached and x._node is not None:
        return wrap(Tensor, x._data, Node(clone, (x._node,), (None, None), kind))
    return wrap(Tensor, x._data, Node(None, (), None, kind))


def _reaching_out(values: list[Any], private: set[Any]) -> set[Any]:
    """The nodes behind the values that depend on a leaf outside `private`."""
    found: set[Any] = set()
    for node in sorted(nodes(values), key=lambda n: (n.prim is not None, n.seq)):
        outside = node.prim is None and node not in private
        if outside or any(parent in found for parent in node.parents):
            found.add(node)
    return found


def _constant(v: Any, reaching_out: set[Any]) -> Any:
    inside = isinstance(v, Value) and v._node is not None and v._node not in reaching_out
    return wrap(v._face, v._data, None) if inside else v


def _tracked(v: Any) -> bool:
    return isinstance(v, Value) and v._node is not None


def _zero(x: Any) -> Any:
    if isinstance(x, Tensor):
        return wrap(Tensor, np.zeros_like(x._data), None)
    return Scalar(0.0, requires_grad=False)


def _one(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return Scalar(1.0, requires_grad=False)
    if x._data.size != 1:
        raise ShapeError(f"hvp: v is needed, of the input's shape {x.shape}")
    return wrap(Tensor, np.ones_like(x._data), None)


def _basis(x: Any) -> Iterator[Any]:
    """The unit vectors of the shape of `x`."""
    if not isinstance(x, Tensor):
        yield _one(x)
        return
    for i in range(x._data.size):
        e = np.zeros_like(x._data)
        e.flat[i] = 1
        yield wrap(Tensor, e, None)


def _stacked(passes: list[Any], dim: int, y: Any, x: Any) -> Any:
    """Rows (dim 0) or columns (dim -1) as a tensor of the result's and the argument's shape."""
    if not isinstance(x, Tensor):
        return passes[0]
    if not passes:
        return wrap(Tensor, np.zeros((*y.shape, *x.shape), x.dtype), None)
    return reshape_(stack(passes, dim), (*y.shape, *x.shape))


def _paired(name: str, what: str, tree: Any, given: Any) -> list[tuple[Any, Any]]:
    """The leaves of two trees of one form side by side."""
    if trees.form(tree) != trees.form(given):
        raise GradientError(
            f"{name}: the {what} must have the form {trees.form(tree)}, with a tensor for each "
            f"None; got {trees.form(given)}"
        )
    pairs = list(zip(trees.leaves(tree), trees.leaves(given), strict=True))
    for x, t in pairs:
        if isinstance(x, Tensor) and (not isinstance(t, Tensor) or t.shape != x.shape):
            shape = t.shape if isinstance(t, Tensor) else type(t).__name__
            raise ShapeError(f"{name}: the {what} need shape {x.shape}, got {shape}")
    return pairs
