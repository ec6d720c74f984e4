"""Which module made which operation: seen while the model runs, or inferred from its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tinygrad_course.errors import OptionError
from tinygrad_course.graph import tick

from .walk import Graph


@dataclass(slots=True, frozen=True)
class Scope:
    """One call of a module: the operations from `first` to `last` of a graph, both included."""

    path: str
    kind: str
    first: int
    last: int
    depth: int

    @property
    def title(self) -> str:
        """`features.3 Conv2d`."""
        return f"{self.path} {self.kind}".strip()


class Calls:
    """What `watch` saw: the model, and each call of each of its modules."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.seen: list[tuple[str, str, int, int]] = []

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """The model's parameters, so that these calls can stand where a module can."""
        return iter(self.model.named_parameters())

    def named_modules(self) -> Iterator[tuple[str, Any]]:
        """The model's modules."""
        return iter(self.model.named_modules())


@contextmanager
def watch(model: Any) -> Iterator[Calls]:
    """Note which operations each module of a model makes; give the result to `draw_graph`.

    Without it `draw_graph(loss, model)` knows only the operations on parameters, and infers what
    lies between them.

    Raises:
        OptionError: something without `named_modules()`.

    >>> import tinygrad_course as tc
    >>> from tinygrad_course import nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    >>> with watch(model) as calls:
    ...     loss = model(tc.ones(1, 2)).sum()
    >>> [(path, kind) for path, kind, _, _ in calls.seen]
    [('0', 'Linear'), ('1', 'Tanh'), ('', 'Sequential')]
    """
    if not hasattr(model, "named_modules"):
        raise OptionError(f"watch: give a module, not a {type(model).__name__}")
    calls = Calls(model)
    watched = [(path, module) for path, module in model.named_modules()]
    for path, module in watched:
        module.__dict__["forward"] = _noting(calls, path, module)
    try:
        yield calls
    finally:
        for _, module in watched:
            module.__dict__.pop("forward", None)


def _noting(calls: Calls, path: str, module: Any) -> Any:
    forward = module.forward

    def noted(*args: Any, **kwargs: Any) -> Any:
        first = tick()
        out = forward(*args, **kwargs)
        calls.seen.append((path, type(module).__name__, first, tick()))
        return out

    return noted


def scopes_of(graph: Graph, params: Any) -> list[Scope]:
    """The calls behind a graph, outer before inner; none if `params` is no module."""
    if isinstance(params, Calls):
        found = _seen(graph, params)
    elif hasattr(params, "named_modules"):
        found = _inferred(graph)
    else:
        return []
    found.sort(key=lambda s: (s.first, -s.last, len(s.path)))
    return _nested(found)


def _seen(graph: Graph, calls: Calls) -> list[Scope]:
    """Sequence numbers made into places in the graph."""
    ops = [i for i in range(len(graph)) if graph.ops[i]]
    found = []
    for path, kind, first, last in calls.seen:
        inside = [i for i in ops if first < graph.node(i).seq < last]
        if path and inside:
            found.append(Scope(path, kind, inside[0], inside[-1], 0))
    return found


def _inferred(graph: Graph) -> list[Scope]:
    """Runs of operations on parameters of one module, with what lies between them."""
    named = [(i, path.split(".")) for i, path in sorted(graph.paths.items())]
    deepest = max((len(parts) for _, parts in named), default=0)
    found = []
    for depth in range(1, deepest + 1):
        run: list[int] = []
        before = ""
        for i, parts in [*named, (0, [])]:
            here = ".".join(parts[:depth]) if len(parts) >= depth else ""
            if run and here != before:
                found.append(Scope(before, graph.classes.get(before, ""), run[0], run[-1], 0))
                run = []
            if here:
                run.append(i)
            before = here
    return found


def _nested(found: Sequence[Scope]) -> list[Scope]:
    """The same with their depths; one that only repeats the scope around it is left out."""
    stack: list[Scope] = []
    nested: list[Scope] = []
    for scope in found:
        while stack and scope.first > stack[-1].last:
            stack.pop()
        if stack and scope.last > stack[-1].last:
            continue  # not inside: a module called while another one ran on
        placed = Scope(scope.path, scope.kind, scope.first, scope.last, len(stack))
        stack.append(placed)
        nested.append(placed)
    return nested
