"""Memory for time: parts of the forward pass that are computed again when backward needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from . import trees
from .creation import default_generator
from .errors import DtypeError, GradientError, OptionError
from .graph import Node, Value, tick, wrap
from .modes import enable_grad, is_grad_enabled
from .tensor import Tensor


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None,
    preserve_rng_state: bool = True, **kwargs: Any,
) -> Any:  # fmt: skip
    """`function(*args, **kwargs)`, without keeping what its backward pass needs.

    The result hangs in the graph as usual, but nothing in between is stored: the first rule that
    needs a value runs the function again, and each of its values is dropped after use. Parameters
    that the function reads get their gradients, checkpoints nest, and higher derivatives work.

    The function must do the same each time. Random numbers are the same if they come from the
    default generator. What it changes elsewhere (running statistics), it changes twice.

    Args:
        function: gives a tensor, or a tuple, list or dict of tensors.
        args, kwargs: its arguments; those that are not tensors are passed on as they are.
        use_reentrant: False or left out; PyTorch's older form is not offered.
        preserve_rng_state: run again with the random state that it ran with.

    Raises:
        GradientError: in the backward pass, if the function did something else the second time.
        OptionError: use_reentrant=True.

    Source: Chen, Xu, Zhang and Guestrin, Training Deep Nets with Sublinear Memory Cost (2016).

    >>> import tinygrad_course as tc
    >>> x = tc.tensor([0.0, 1.0], requires_grad=True)
    >>> tc.autograd.checkpoint(lambda x: x.exp().sin(), x).sum().backward()
    >>> x.grad
    tensor([ 0.5403023, -2.4783502])
    """
    if use_reentrant:
        raise OptionError(
            "checkpoint: use_reentrant=True is not offered; False gives the same gradients, and "
            "those of parameters too"
        )
    if not is_grad_enabled():
        return function(*args, **kwargs)
    segment = _Segment(function, args, kwargs, preserve_rng_state)
    start = tick()
    result = function(*args, **kwargs)
    segment.take_over(_made_since(start, result))
    return result


class _Segment:
    """A call that can be made again: the function, and its arguments as they were."""

    def __init__(self, function: Any, args: Any, kwargs: Any, preserve_rng_state: bool) -> None:
        self.function = function
        self.args, self.kwargs = trees.mapped(_as_it_is, [args, kwargs])
        self.random_state = default_generator.get_state() if preserve_rng_state else None
        self.names: list[str] = []
        self.leaves: dict[Node, int] = {}  # what the function read, by its number at the time
        self.found: dict[int, Any] = {}  # saved values that were computed again, not yet used
        self.current: tuple[int, Any] = (-1, None)  # those in use: a node's rules read them in turn

    def take_over(self, nodes: list[Node]) -> None:
        """Put promises in the place of what the nodes saved."""
        self.names = [node.name for node in nodes]
        for place, node in enumerate(nodes):
            self.leaves |= {p: p.seq for p in node.parents if p is not None and p.prim is None}
            node.saved = _Promise(self, place)  # type: ignore[assignment]

    def saved(self, place: int) -> Any:
        """What the node in this place saved."""
        if place != self.current[0]:
            if place not in self.found:
                self.run_again()
            self.current = place, self.found.pop(place)
        return self.current[1]

    def run_again(self) -> None:
        for leaf, number in self.leaves.items():
            if leaf.seq != number:
                raise GradientError(
                    f"checkpoint: a leaf of shape {leaf.shape} that the function read was written "
                    "into since; run the forward pass again, or write after backward()"
                )
        now = default_generator.get_state()
        if self.random_state is not None:
            default_generator.set_state(self.random_state)
        args, kwargs = trees.mapped(_as_it_is, [self.args, self.kwargs])
        start = tick()
        try:
            with enable_grad():
                nodes = _made_since(start, self.function(*args, **kwargs))
        finally:
            if self.random_state is not None:
                default_generator.set_state(now)
        names = [node.name for node in nodes]
        if names != self.names:
            raise GradientError(
                f"checkpoint: the function ran again as {_counted(names)}, the first time as "
                f"{_counted(self.names)}; it must do the same each time"
            )
        self.found = {place: node.saved for place, node in enumerate(nodes)}


class _Promise:
    """Stands where a node keeps its saved values; whoever unpacks it has them computed again."""

    __slots__ = ("place", "segment")

    def __init__(self, segment: _Segment, place: int) -> None:
        self.segment = segment
        self.place = place

    def __iter__(self) -> Iterator[Any]:
        return iter(self.segment.saved(self.place))

    def __getitem__(self, index: Any) -> Any:
        return tuple(self)[index]


def _as_it_is(x: Any) -> Any:
    """A tensor that stays what it is when the other one is written into."""
    if isinstance(x, Value) and not isinstance(x, Tensor):
        raise DtypeError("checkpoint is for Tensors; a graph of Scalars has nothing to save")
    return wrap(Tensor, x._data, x._node) if isinstance(x, Tensor) else x


def _made_since(start: int, result: Any) -> list[Node]:
    """The nodes behind a result that are younger than `start` and keep something, oldest first."""
    seen: set[Node] = set()
    stack = [v._node for v in trees.values(result)]
    while stack:
        node = stack.pop()
        if node is not None and node.seq > start and node.prim is not None and node not in seen:
            seen.add(node)
            stack.extend(node.parents)
    made = sorted(seen, key=lambda node: node.seq)
    return [node for node in made if any(v is not None for v in _kept(node))]


def _kept(node: Node) -> Any:
    return (node,) if isinstance(node.saved, _Promise) else node.saved or ()


def _counted(names: list[str]) -> str:
    return f"{len(names)} operations ({', '.join(names[:8])}{', ...' if len(names) > 8 else ''})"
