"""Derivatives asked for: `grad`, `backward`, grad modes, and functions with their own rule."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from .errors import GradientError, OptionError
from .graph import SCALAR, Extra, Kind, Node, Value, accumulate, walk, wrap
from .kernels.memory import own
from .modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .primitive import TABLE, Primitive
from .recompute import checkpoint
from .tensor import Tensor

__all__ = [
    "Function",
    "backward",
    "checkpoint",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
]


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """d(outputs)/d(inputs), weighted by `grad_outputs`; nobody's `.grad` changes.

    Args:
        outputs: a Tensor or Scalar, or a sequence of them.
        inputs: the values to differentiate with respect to; leaves or values inside the graph.
        grad_outputs: one gradient per output; 1 for outputs of one element.
        retain_graph: keep what the backward pass needs; by default only with `create_graph`.
        create_graph: record the backward pass too, so that its results can be differentiated.
        only_inputs: True; PyTorch, too, has no other way any more.
        allow_unused: give None, instead of an error, for inputs that no output depends on.
        materialize_grads: give zeros for them.

    Raises:
        GradientError: an input that requires no gradient or is not used, a freed graph.

    >>> import tinygrad_course as tc
    >>> x = tc.tensor(2.0, requires_grad=True)
    >>> (first,) = tc.autograd.grad(x**3, x, create_graph=True)
    >>> (second,) = tc.autograd.grad(first, x)
    >>> first.item(), second.item()
    (12.0, 12.0)
    """
    if materialize_grads and allow_unused is False:
        raise OptionError("grad(): materialize_grads=True allows unused inputs; leave allow_unused")
    if not only_inputs:
        raise OptionError("grad(): only_inputs=False is not offered; call backward() for leaves")
    wanted = [_tracked(v, "input") for v in _listed(inputs)]
    face, roots = _roots(outputs, grad_outputs, create_graph)
    grads = walk(
        roots,
        face,
        create_graph=create_graph,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        keep=frozenset(node for node in wanted if node.prim is not None),
        only=ancestors(roots, wanted),
    )
    if not (allow_unused or materialize_grads) and any(node not in grads for node in wanted):
        missing = [i for i, node in enumerate(wanted) if node not in grads]
        raise GradientError(
            f"grad(): no output depends on input {missing[0]}; pass allow_unused=True to get None"
        )
    found = tuple(_result(grads.get(node), face) for node in wanted)
    if not materialize_grads:
        return found
    inputs = _listed(inputs)
    return tuple(0 * v.detach() if g is None else g for v, g in zip(inputs, found, strict=True))


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


def _result(g: Any, face: type[Value]) -> Any:
    if g is None or isinstance(g, Value):
        return g
    if isinstance(g, (float, np.generic)):
        return _boxed(g, face)
    return wrap(face, own(g), None)


def _boxed(g: Any, face: type[Value]) -> Any:
    if isinstance(g, Value):
        return g
    return wrap(face, np.asarray(g) if isinstance(g, np.generic) else g, None)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of several outputs at once to the `.grad` of their leaves.

    Args:
        tensors: a Tensor or Scalar, or a sequence of them.
        grad_tensors: one gradient per output; 1 for outputs of one element.
        retain_graph: keep what the backward pass needs; by default only with `create_graph`.
        create_graph: record the backward pass too.
        inputs: the leaves whose `.grad` is meant; all others are left alone.

    Raises:
        GradientError: an output that requires no gradient, a freed graph.
    """
    face, roots = _roots(tensors, grad_tensors, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    only = None
    if inputs is not None:
        wanted = [_tracked(v, "input") for v in _listed(inputs)]
        if not all(node.prim is None for node in wanted):
            raise GradientError("backward(): inputs must be leaves; use grad() for inner values")
        only = ancestors(roots, wanted)
    accumulate(walk(roots, face, create_graph=create_graph, retain_graph=keep, only=only), face)


def _listed(values: Any) -> Sequence[Any]:
    return [values] if isinstance(values, Value) else list(values)


def _tracked(value: Any, what: str) -> Node:
    if not isinstance(value, Value) or value._node is None:
        raise GradientError(
            f"grad(): an {what} must be a Tensor or Scalar that requires grad, got {value!r}"
        )
    return value._node


def _roots(outputs: Any, gradients: Any, boxed: bool) -> tuple[Any, dict[Node, Any]]:
    outputs = _listed(outputs)
    gradients = [None] * len(outputs) if gradients is None else _gradients(gradients)
    if not outputs or len(gradients) != len(outputs):
        raise GradientError(
            f"grad(): {len(outputs)} outputs and {len(gradients)} gradients; there must be one "
            "gradient (or None) for each output, and at least one output"
        )
    roots: dict[Node, Any] = {}
    for output, gradient in zip(outputs, gradients, strict=True):
        node, g = _tracked(output, "output"), output._seed(gradient, boxed)
        roots[node] = roots[node] + g if node in roots else g
    return outputs[0]._face, roots


def _gradients(gradients: Any) -> Sequence[Any]:
    single = isinstance(gradients, (Value, float, int, np.ndarray))
    return [gradients] if single else list(gradients)


# --- functions with a rule of their own -----------------------------------------------------------


class Context:
    """What `forward` hands over to `backward`: saved tensors, and attributes of your own."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[Any, ...] = ()
        self._constants: tuple[Any, ...] = ()
        self._materializes = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs or outputs of `forward`; they are freed with the graph."""
        self._saved = tensors

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Outputs that carry no gradient."""
        self._constants = outputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default), or None, for outputs that were not used."""
        self._materializes = value

    def mark_dirty(self, *tensors: Any) -> None:
        """Not offered: writing in place gives a tensor a new value here, so return a new tensor."""
        raise GradientError(
            "mark_dirty: a Function does not write into its inputs here; return a new tensor"
        )

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given."""
        return self._saved


class Function:
    """A differentiable function with its own backward, as in PyTorch.

    Subclass it, write `forward(ctx, *args)` and `backward(ctx, *grads)` as static methods, and call
    `apply`. `backward` returns one gradient (or None) per argument of `forward`. It is written in
    Tensor operations, so with `create_graph=True` it is differentiated in its turn. In the other
    style that PyTorch knows, `forward(*args)` only computes, and `setup_context(ctx, inputs,
    output)` saves.

    >>> import tinygrad_course as tc
    >>> class Double(tc.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return 2 * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return 2 * g
    >>> x = tc.tensor(3.0, requires_grad=True)
    >>> Double.apply(x).backward()
    >>> x.grad
    tensor(2.)
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the result; save what `backward` needs in `ctx`."""
        raise GradientError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The gradient of each argument, given the gradient of each result."""
        raise GradientError("a Function needs a static method backward(ctx, *grads)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save what `backward` needs, for a `forward` that takes no ctx."""
        raise GradientError("setup_context(ctx, inputs, output) must be a static method of yours")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, and record `backward` if an argument requires grad."""
        parents = tuple(a._node if isinstance(a, Value) else None for a in args)
        ctx = Context(tuple(p is not None for p in parents))
        with no_grad():
            if cls.setup_context is Function.setup_context:
                results = cls.forward(ctx, *args, **kwargs)
            else:
                results = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, results)
        if not is_grad_enabled() or not any(ctx.needs_input_grad):
            return results
        several = isinstance(results, tuple)
        if not several and not isinstance(results, Value):
            return results
        outputs = results if several else (results,)
        recorded = _record(cls, ctx, args, parents, outputs, several)
        return recorded if several else recorded[0]


def _record(
    cls: Any, ctx: Context, args: Any, parents: Any, outputs: tuple[Any, ...], several: bool
) -> tuple[Any, ...]:
    """The outputs with nodes. Several outputs hang on one node, each through a `pick`."""
    prim = _Custom(cls, several)
    kind = SCALAR if several else outputs[0]._kind
    hub = Node(prim, parents, (), kind)
    results = []
    for i, output in enumerate(outputs):
        constant = not isinstance(output, Value) or any(output is c for c in ctx._constants)
        if constant or output.dtype.kind != "f":
            results.append(output)
            continue
        node = hub
        if several:
            node = _pick_node(hub, i, output._kind)
        results.append(wrap(Tensor, output._data, node))
    _save(ctx, prim, hub, args, outputs, results)
    return tuple(results)


def _save(
    ctx: Context, prim: _Custom, hub: Node, args: Any, outputs: tuple[Any, ...], results: list[Any]
) -> None:
    """Move what was saved to the hub, where it is freed; an output by its place, not by a cycle."""
    saved: list[Any] = []
    for value in ctx._saved:
        at = [i for i, output in enumerate(outputs) if output is value]
        saved.append((at[0], value._data) if at else value)
    ctx._saved = ()
    prim.outputs = [r._kind if isinstance(r, Value) else None for r in results]
    prim.tracked = [isinstance(r, Value) and r._node is not None for r in results]
    hub.saved = (ctx, saved)


class _Custom:
    """What the walk asks of a primitive, answered by a `Function`."""

    rules = None
    binary = elementwise = False
    view = False

    def __init__(self, function: Any, several: bool) -> None:
        self.function = function
        self.name = function.__name__
        self.several = several
        self.outputs: list[Kind | None] = []  # None for what is no tensor
        self.tracked: list[bool] = []
        self.joint = function.backward

    def pull(self, node: Node, g: Any, saved: Any, face: type[Value], create_graph: bool) -> Any:
        """`backward` of the function, on Tensors; recorded only with `create_graph`."""
        ctx, values = saved
        ctx._saved = tuple(self._unpacked(v, node) for v in values)
        parts = [g.get(i) for i in range(len(self.outputs))] if self.several else [g]
        with set_grad_enabled(create_graph):
            given = self.function.backward(
                ctx, *[self._gradient(i, p, ctx._materializes) for i, p in enumerate(parts)]
            )
        ctx._saved = ()
        given = given if isinstance(given, tuple) else (given,)
        count = len(node.parents)
        if len(given) < count or any(c is not None for c in given[count:]):
            raise GradientError(
                f"{self.name}.backward returned {len(given)} gradients for {count} "
                "arguments of forward; return None where there is no gradient"
            )
        found = [self._plain(c, create_graph) for c in given]
        if create_graph and hasattr(self.function.backward, "once_differentiable"):
            return [c if c is None else _not_again(c, node) for c in found]
        return found

    def fit(self, c: Any, parent: Node) -> Any:
        """A gradient of a shape that its argument broadcasts to is summed; dtypes are converted."""
        if c.shape != parent.shape:
            try:
                np.broadcast_to(np.empty(parent.shape), c.shape)
            except ValueError:
                raise GradientError(
                    f"{self.name}.backward gave a gradient of shape {c.shape} for an argument of "
                    f"shape {parent.shape}"
                ) from None
            c = TABLE["sum_to"](c, shape=parent.shape, source=c.shape)
        return c if c.dtype == parent.dtype else TABLE["cast"](
            c, dtype=parent.dtype, source=c.dtype
        )  # fmt: skip

    def _unpacked(self, value: Any, node: Node) -> Any:
        if not isinstance(value, tuple):
            return value
        index, data = value
        kind = self.outputs[index]
        if kind is None or not self.tracked[index]:
            return wrap(Tensor, data, None)
        return wrap(Tensor, data, _pick_node(node, index, kind) if self.several else node)

    def _gradient(self, index: int, g: Any, materializes: bool) -> Any:
        if g is None:  # this output was not used: zeros, as in PyTorch
            kind = self.outputs[index]
            if kind is None or not materializes:
                return None
            return Tensor(np.zeros(kind.shape, kind.dtype))
        return _boxed(g, Tensor)

    def _plain(self, c: Any, create_graph: bool) -> Any:
        if c is None or (create_graph and isinstance(c, Tensor)):
            return c
        data = c._data if isinstance(c, Tensor) else np.asarray(c)
        return wrap(Tensor, data, None) if create_graph else data


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """For a `backward` whose own derivative would be wrong: differentiating it raises.

    >>> import tinygrad_course as tc
    >>> class Square(tc.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.x = x.detach()
    ...         return x * x
    ...
    ...     @staticmethod
    ...     @tc.autograd.once_differentiable
    ...     def backward(ctx, g):
    ...         return 2 * g * ctx.x
    >>> x = tc.tensor([3.0], requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor([6.])
    """

    @functools.wraps(backward)
    def once(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            return backward(ctx, *grads)

    once.once_differentiable = True  # type: ignore[attr-defined]
    return once


class _Once(Function):
    """What the gradients of a once differentiable function hang on."""

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise GradientError(
            "a second derivative of a Function whose backward is marked once_differentiable; write "
            "backward in Tensor operations, without the mark"
        )


def _not_again(c: Tensor, node: Node) -> Any:
    """A gradient that hangs on what it depends on by a node that refuses to be differentiated."""
    prim = _Custom(_Once, several=False)
    prim.outputs = [c._kind]
    stop = Node(prim, node.parents, (Context(()), []), c._kind)
    return wrap(Tensor, c._data, stop)


class _Parts(dict[int, Any]):
    """Gradients of several outputs of one node, by the output's place; they add up place by place.

    Takes the place of an array in `graph.walk`.
    """

    def __add__(self, other: _Parts) -> _Parts:
        both = {i: self[i] + other[i] for i in self.keys() & other.keys()}
        return _Parts({**self, **other, **both})


_pick = Primitive(
    "pick", "one of several results",
    lambda x, *, index: x,
    lambda g, out, x, *, index: _Parts({index: g}),
)  # fmt: skip


def _pick_node(hub: Node, index: int, kind: Kind) -> Node:
    return Node(_pick, (hub,), (None, None), kind, Extra({"index": index}))
