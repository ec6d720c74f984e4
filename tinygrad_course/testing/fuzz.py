"""A machine that grows random programs and looks for one that the engine gets wrong.

`GraphMachine` is a Hypothesis state machine: leaves, operations, reuse, views, writing in place,
`detach`, `no_grad`, backward passes once and twice, gradients of gradients, deletions. What must
come out is known from `brute`, an engine too slow and too simple to share a bug with another. A
program that fails is shrunk, and printed as Python that can be run and as a graph.

>>> from tinygrad_course.testing.fuzz import fuzz
>>> fuzz(steps=50) >= 50
True
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np

try:
    from hypothesis import HealthCheck, Phase, Verbosity, settings
    from hypothesis import strategies as st
    from hypothesis.stateful import (
        RuleBasedStateMachine,
        initialize,
        rule,
        run_state_machine_as_test,
    )
except ImportError as error:
    raise ImportError(
        "tinygrad_course.testing.fuzz needs Hypothesis: pip install 'tinygrad_course[testing]'"
    ) from error

from . import brute
from .brute import Array
from .programs import Known, Program, ProgramMismatch

__all__ = ["GraphMachine", "ProgramMismatch", "fuzz"]

MOST_NAMES = 9
MOST_ELEMENTS = 9
LARGEST = 50.0
VALUES = tuple(s * k / 4 for k in (4, 8, 2, 6, 12, 3, 5) for s in (1, -1))
SHAPES: tuple[tuple[int, ...], ...] = ((), (2,), (1,), (2, 2), (2, 1), (1, 2), (3,), (2, 3))


class Form(NamedTuple):
    """An expression: its text, what it means on arrays of Numbers, and the kind of its event."""

    text: str
    meaning: Callable[..., Any]
    kind: str


def forms_of_one(x: str, values: Array) -> Iterator[Form]:
    """What can be done with one value."""
    shape = values.shape
    yield Form(f"{x} * {x}", lambda v: v * v, "curved")
    yield Form(f"-{x}", lambda v: -v, "linear")
    yield Form(f"{x}.sin()", brute.each(brute.sin), "curved")
    yield Form(f"{x}.tanh()", brute.each(brute.tanh), "curved")
    if np.abs(values).min(initial=1.0) > 1e-3:  # at its kink, rounding decides
        yield Form(f"{x}.relu()", brute.each(brute.relu), "curved")
    yield Form(f"{x} / ({x} * {x} + 1)", lambda v: v / (v * v + 1.0), "curved")
    yield Form(f"{x}.sum()", lambda v: np.sum(v), "linear")
    yield Form(f"{x}.mean()", lambda v: np.sum(v) * (1 / v.size), "linear")
    yield Form(f"{x}.reshape(-1)", lambda v: v.reshape(-1), "view")
    yield Form(f"{x}.unsqueeze(0)", lambda v: v[None], "view")
    for d in range(len(shape)):
        yield Form(f"{x}.sum({d})", lambda v, d=d: np.sum(v, axis=d), "linear")
        yield Form(f"{x}.cumsum({d})", lambda v, d=d: np.cumsum(v, axis=d), "linear")
        yield Form(f"{x}.flip({d})", lambda v, d=d: np.flip(v, d), "linear")
        yield Form(f"{x}.mean({d}, keepdim=True)",
                   lambda v, d=d: np.sum(v, axis=d, keepdims=True) * (1 / v.shape[d]),
                   "linear")  # fmt: skip
    if shape:
        yield Form(f"{x}[0]", lambda v: v[0], "view")
        yield Form(f"{x}[..., -1:]", lambda v: v[..., -1:], "view")
        yield Form(f"{x}[[0, 0]]", lambda v: v[[0, 0]], "curved")  # no view, but counted as one
        yield Form(f"{x}.expand(2, {', '.join(map(str, shape))})",
                   lambda v: np.broadcast_to(v, (2, *v.shape)), "view")  # fmt: skip
    if len(shape) == 2:
        yield Form(f"{x}.transpose(0, 1)", lambda v: v.T, "view")


def forms_of_two(x: str, y: str, a: Array, b: Array) -> Iterator[Form]:
    """What can be done with two values."""
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        pass
    else:
        yield Form(f"{x} * {y}", lambda v, w: v * w, "curved")
        yield Form(f"{x} + {y}", lambda v, w: v + w, "linear")
        yield Form(f"{x} - {y}", lambda v, w: v - w, "linear")
        yield Form(f"{x} / ({y} * {y} + 1)", lambda v, w: v / (w * w + 1.0), "curved")
    if a.ndim and b.ndim and a.shape[-1] == b.shape[-2 if b.ndim > 1 else -1]:
        yield Form(f"{x} @ {y}", lambda v, w: v @ w, "curved")
    if a.shape == b.shape:  # rows of any number of arguments keep them all, though linear
        yield Form(f"tc.stack([{x}, {y}])", lambda v, w: np.stack([v, w]), "curved")
        if a.ndim:
            yield Form(f"tc.cat([{x}, {y}])", lambda v, w: np.concatenate([v, w]), "curved")


class GraphMachine(RuleBasedStateMachine):
    """Random programs on Tensors, each line compared with brute force and with PyTorch.

    In a test file, `TestGraph = GraphMachine.TestCase` is a whole test; `fuzz(steps)` runs it
    without a test runner. A failing program raises `ProgramMismatch`, whose text can be run.

    A leaf that a detached value or a living view shares memory with is not written into here.
    """

    program: Program
    lines_run = 0  # by all machines
    actions: ClassVar[dict[str, tuple[int, Callable[[Any], Any]]]] = {
        "leaf": (2, lambda self: self._room() and len(self._leaves()) < 4),
        "one": (5, lambda self: self._room() and self._names()),
        "two": (7, lambda self: self._room() and self._names()),
        "detach": (1, lambda self: self._room() and self._tracked()),
        "multiply_in_place": (1, lambda self: self._inner()),
        "assign": (1, lambda self: self._inner(1)),
        "write": (1, lambda self: self._writable()),
        "interrupt": (1, lambda self: len(self.program.lines) % 10 == 9),
        "delete": (2, lambda self: len(self._names()) > 4),
        "backward": (4, lambda self: self._clear()),
        "gradient": (3, lambda self: self._room() and self._roots()),
        "zero_grad": (1, lambda self: self._filled()),
        "retain_grad": (1, lambda self: self._clear()),
    }

    @initialize()
    def start(self) -> None:
        self.program = Program()
        self._fresh = (f"{a}{b}" for b in ("", *range(1, 99)) for a in "abcdefghpqrstuvw")

    def teardown(self) -> None:
        GraphMachine.lines_run += len(self.program.lines) if hasattr(self, "program") else 0

    # --- what there is to choose from ---

    def _names(self, fits: Callable[[Known], bool] = lambda known: True) -> list[str]:
        return [n for n, known in self.program.known.items() if fits(known)]

    def _tracked(self) -> list[str]:
        return self._names(lambda known: known.event is not None)

    def _leaves(self) -> list[str]:
        return self._names(lambda known: known.event is not None and known.event.kind == "leaf")

    def _room(self) -> bool:
        return len(self.program.known) < MOST_NAMES

    def _chosen(self, data: Any, forms: Iterator[Form], args: list[str]) -> Form | None:
        """One of the forms, if its result is neither large nor of large numbers."""
        form: Form = data.draw(st.sampled_from(list(forms)))
        given = [self.program.known[a].values for a in args]
        found = brute.floats(form.meaning(*map(brute.array, given)))
        return form if found.size <= MOST_ELEMENTS and np.abs(found).max() <= LARGEST else None

    @rule(data=st.data())
    def line(self, data: Any) -> None:
        """One more line: an action that is possible, by the weights in `actions`."""
        possible = [
            a for a, (weight, fits) in self.actions.items() if fits(self) for _ in range(weight)
        ]
        getattr(self, data.draw(st.sampled_from(possible)))(data)

    # --- values ---

    def leaf(self, data: Any) -> None:
        shape = data.draw(st.sampled_from(SHAPES))
        tracked = data.draw(st.sampled_from((True, True, False)))
        count = int(np.prod(shape))
        drawn = data.draw(st.lists(st.sampled_from(VALUES), min_size=count, max_size=count))
        self.program.leaf(next(self._fresh), np.array(drawn).reshape(shape), tracked)

    def one(self, data: Any) -> None:
        recorded = data.draw(st.sampled_from((True, True, True, True, False)))
        x = data.draw(st.sampled_from(self._names()))
        form = self._chosen(data, forms_of_one(x, self.program.known[x].values), [x])
        if form is not None:
            self.program.make(next(self._fresh), form.text, [x], form.meaning, form.kind, recorded)

    def two(self, data: Any) -> None:
        recorded = data.draw(st.sampled_from((True, True, True, True, False)))
        x, y = (data.draw(st.sampled_from(self._names())) for _ in range(2))
        known = self.program.known
        forms = list(forms_of_two(x, y, known[x].values, known[y].values))
        form = self._chosen(data, iter(forms), [x, y]) if forms else None
        if form is not None:
            self.program.make(
                next(self._fresh), form.text, [x, y], form.meaning, form.kind, recorded
            )

    def detach(self, data: Any) -> None:
        self.program.detach(next(self._fresh), data.draw(st.sampled_from(self._tracked())))

    # --- writing ---

    def _inner(self, ndim: int = 0) -> list[str]:
        known = self.program.known
        return [n for n in known if self.program.inner(n) and known[n].values.ndim >= ndim]

    def multiply_in_place(self, data: Any) -> None:
        known = self.program.known
        x, y = data.draw(st.sampled_from(self._inner())), data.draw(st.sampled_from(self._names()))
        a, b = known[x].values, known[y].values
        if b.shape in ((), a.shape) and np.abs(a * b).max(initial=0.0) <= LARGEST:
            self.program.update(
                x, f"{x}.mul_({y})", [x, y], lambda v, w: v * w, theirs=f"{x} = {x} * {y}"
            )

    def assign(self, data: Any) -> None:
        known = self.program.known
        x = data.draw(st.sampled_from(self._inner(1)))
        y = data.draw(st.sampled_from(self._names()))
        if known[y].values.shape in ((), known[x].values.shape[1:]):

            def meaning(v: Array, w: Array) -> Array:
                out = v.copy()
                out[-1] = w[()] if w.ndim == 0 else w
                return out

            line = f"{x}[-1] = {y}"
            self.program.update(x, line, [x, y], meaning, theirs=f"{x} = {x}.clone()\n{line}")

    def _writable(self) -> list[str]:
        return [n for n in self._names() if self.program.writable(n)]

    def write(self, data: Any) -> None:
        factor = data.draw(st.sampled_from((0.5, -1.0, 2.0)))
        x = data.draw(st.sampled_from(self._writable()))
        if np.abs(self.program.known[x].values).max(initial=0.0) < LARGEST / 2:
            self.program.write(x, factor)

    def interrupt(self, data: Any) -> None:
        self.program.interrupt()

    def delete(self, data: Any) -> None:
        self.program.delete(data.draw(st.sampled_from(self._names())))

    # --- going back ---

    def _weights(self, data: Any, x: str) -> Any:
        shape = self.program.known[x].values.shape
        count = int(np.prod(shape))
        if count == 1:
            return None
        drawn = data.draw(st.lists(st.sampled_from(VALUES), min_size=count, max_size=count))
        return np.array(drawn).reshape(shape)

    def _clear(self) -> list[str]:
        """Values made by operations, from which it is known what a backward pass must do."""
        made = set(self._tracked()) - set(self._leaves())
        return [x for x in self._names() if x in made and self.program.status(x) != "unclear"]

    def backward(self, data: Any) -> None:
        retain = data.draw(st.booleans())
        x = data.draw(st.sampled_from(self._clear()))
        self.program.backward(x, self._weights(data, x), retain)

    def _roots(self, record: bool = False) -> list[str]:
        return [x for x in self._tracked() if self.program.inputs(x, record)]

    def gradient(self, data: Any) -> None:
        retain, record = data.draw(st.booleans()), data.draw(st.booleans())
        roots = self._roots(record)
        if roots:
            x = data.draw(st.sampled_from(roots))
            inputs = st.sampled_from(self.program.inputs(x, record))
            wanted = data.draw(st.lists(inputs, min_size=1, max_size=2, unique=True))
            names = list(itertools.islice(self._fresh, len(wanted)))
            self.program.gradient(names, x, wanted, self._weights(data, x), retain, record)

    def _filled(self) -> list[str]:
        known = self.program.known
        return [n for n in self._leaves() if (e := known[n].event) and e.grad is not None]

    def zero_grad(self, data: Any) -> None:
        self.program.zero_grad(data.draw(st.sampled_from(self._filled())))

    def retain_grad(self, data: Any) -> None:
        self.program.retain_grad(data.draw(st.sampled_from(self._clear())))


def fuzz(
    machine: type[GraphMachine] = GraphMachine,
    *,
    steps: int = 2000,
    length: int = 50,
    seed: int | None = 0,
) -> int:
    """Grow programs until they have this many lines in all; returns how many there were.

    Args:
        machine: the state machine.
        steps: how many lines.
        length: of one program, at most.
        seed: of the first program; None for others each time.

    Raises:
        ProgramMismatch: a program that the engine gets wrong, without lines that it can do without.
    """
    before = GraphMachine.lines_run
    while (done := GraphMachine.lines_run - before) < steps:
        rules = settings(
            max_examples=max((steps - done) // length, 1),
            stateful_step_count=length,
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[Phase.generate],
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(_seeded(machine, seed), settings=rules)
        except ProgramMismatch as mismatch:
            short = mismatch.program.reduced()
            raise (short.mismatch if short is not None and short.mismatch else mismatch) from None
        seed = None if seed is None else seed + 1
    return GraphMachine.lines_run - before


def _seeded(machine: type[GraphMachine], seed: int | None) -> type[GraphMachine]:
    if seed is None:
        return machine
    chosen = type(machine.__name__, (machine,), {})
    chosen._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined]
    return chosen
