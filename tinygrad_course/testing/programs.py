"""Programs on Tensors that know, line by line, what must come out.

A `Program` is Python text. Every line runs on this engine, on the brute-force engine of `brute`,
and on PyTorch where it is installed; the names and the gradients are compared after each line.

>>> program = Program()
>>> program.leaf("a", [1.0, 2.0])
>>> program.make("b", "a * a", ["a"], lambda a: a * a)
>>> program.backward("b", [1.0, 1.0])
>>> print(program)
import numpy as np
import tinygrad_course as tc
<BLANKLINE>
a = tc.tensor([1.0, 2.0], dtype=tc.float64, requires_grad=True)
b = a * a
b.backward(tc.tensor([1.0, 1.0], dtype=tc.float64))
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import tinygrad_course as tc
from tinygrad_course.errors import GradientError

from . import brute
from .brute import Array

HEAD = "import numpy as np\nimport tinygrad_course as tc\n\n"
MAKERS = ("make", "detach")
STALE = "raise SystemExit('right: a leaf was written into since')"
_tick = itertools.count(1).__next__


class ProgramMismatch(AssertionError):
    """A program whose result is not the right one; the text is the program.

    Args:
        message: the text.
        program: the program.
    """

    def __init__(self, message: str, program: Program) -> None:
        super().__init__(message)
        self.program = program


class Undefined(ValueError):
    """A line that a program may not have, since what it must do is not defined."""


def step(method: Any) -> Any:
    """A method that adds a line: the call is noted, so that it can be repeated."""

    @functools.wraps(method)
    def noted(self: Program, *args: Any, **kwargs: Any) -> None:
        self.calls.append((method.__name__, args, kwargs))
        method(self, *args, **kwargs)

    return noted


class Event:
    """What there is to know of one node of the graph.

    Args:
        numbers: the value that it made.
        parents: the events of the arguments, without constants.
        kind: "leaf"; "view" of a parent's memory; "linear", whose derivative reads no value;
            "curved", whose derivative does; "gradient", made by a recorded backward pass, whose
            parents are all that it may depend on.
    """

    def __init__(self, numbers: Array, parents: Sequence[Event], kind: str) -> None:
        self.versions = [numbers]
        self.parents = parents
        self.kind = kind
        self.made = _tick()
        self.written = 0  # when a leaf was last written into
        self.state = "fresh"  # or "freed" by a backward pass, or "doubtful" after an error
        self.grad: Array | None = None
        self.keeps = kind == "leaf"  # a gradient is filled in
        self.aliased = False  # a constant shares its memory
        self.node: Callable[[], Any] = lambda: None

    def reach(self) -> list[Event]:
        """This event and all that it was made from."""
        seen, todo = {self: None}, [self]
        while todo:
            for parent in todo.pop().parents:
                if parent not in seen:
                    seen[parent] = None
                    todo.append(parent)
        return list(seen)

    def memory(self) -> Event:
        """The event whose memory a view shows."""
        return self.parents[0].memory() if self.kind == "view" else self

    def may_be_stale(self) -> bool:
        """Whether a leaf was written into after its old value was read here."""
        return any(p.memory().written > self.made for p in self.parents)


class Known:
    """What a name stands for: numbers, and an event or, for a constant, None."""

    def __init__(self, numbers: Array, event: Event | None) -> None:
        self.numbers = numbers
        self.event = event
        self.values = brute.floats(numbers)


class Program:
    """Lines of Python, run as they are added.

    Args:
        compare: whether PyTorch runs them as well, if it is installed.

    Raises:
        ProgramMismatch: by every method, if the engine's result is not the expected one.
    """

    def __init__(self, compare: bool = True) -> None:
        tc.set_grad_enabled(True)  # an engine that leaks the mode starts anew
        self.lines: list[str] = []
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.known: dict[str, Known] = {}
        self.ours: dict[str, Any] = {"tc": tc, "np": np}
        self.bound: dict[str, tuple[Array, bool]] = {}
        self.compare = compare
        self.mismatch: ProgramMismatch | None = None
        self.theirs: dict[str, Any] | None = None
        if compare and importlib.util.find_spec("torch"):
            self.theirs = {"tc": importlib.import_module("torch"), "np": np}
        self._events: weakref.WeakSet[Event] = weakref.WeakSet()

    def __str__(self) -> str:
        return HEAD + "\n".join(self.lines)

    # --- lines that make values ---

    @step
    def leaf(self, name: str, values: Any, tracked: bool = True) -> None:
        """name = a tensor of these numbers."""
        numbers = brute.array(values)
        wanted = ", requires_grad=True" if tracked else ""
        self._run(f"{name} = tc.tensor({_text(values)}, dtype=tc.float64{wanted})")
        self._bind(name, Known(numbers, Event(numbers, (), "leaf") if tracked else None))

    @step
    def make(
        self,
        name: str,
        text: str,
        args: Sequence[str],
        meaning: Callable[..., Any],
        kind: str = "curved",
        recorded: bool = True,
        theirs: str | None = None,
    ) -> None:
        """name = an expression of other names.

        Args:
            name, text, args: the line, and the names in it.
            meaning: the same on arrays of Numbers.
            kind: as of an `Event`.
            recorded: False puts the line under `no_grad`.
            theirs: PyTorch's text for it, if not the same.
        """
        parents = [e for a in args if (e := self.known[a].event)] if recorded else []
        given = [self.known[a] for a in args]
        if kind == "view" and not recorded and given[0].event is not None:
            given[0].event.memory().aliased = True
        numbers = meaning(*[k.numbers if recorded and k.event else _still(k) for k in given])
        numbers = brute.each(lambda n: brute.apply("add", _number(n), 0.0))(numbers)
        line = f"{name} = {text}"
        self._run(line if recorded else f"with tc.no_grad():\n    {line}", theirs)
        self._bind(name, Known(numbers, Event(numbers, parents, kind) if parents else None))

    @step
    def detach(self, name: str, x: str) -> None:
        """name = x.detach()"""
        event = self.known[x].event
        if event is not None:
            event.memory().aliased = True
        self._run(f"{name} = {x}.detach()")
        self._bind(name, Known(brute.array(self.known[x].values), None))

    @step
    def update(
        self, x: str, line: str, args: Sequence[str], meaning: Callable[..., Any], theirs: str
    ) -> None:
        """A line that gives the tensor x, which is no leaf, another value in place."""
        if not self.inner(x):
            raise Undefined(f"{x} is a leaf or a view")
        parents = [e for a in args if (e := self.known[a].event)]
        given = [self.known[a] for a in args]
        numbers = meaning(*[k.numbers if k.event else _still(k) for k in given])
        numbers = brute.each(lambda n: brute.apply("add", _number(n), 0.0))(numbers)
        self._run(line, theirs)
        self._bind(x, Known(numbers, Event(numbers, parents, "curved") if parents else None))

    @step
    def write(self, x: str, factor: float) -> None:
        """Multiply a leaf that requires grad under `no_grad`, as an optimiser would."""
        known = self.known[x]
        event = known.event
        if event is None or not self.writable(x):
            raise Undefined(f"{x}: not a leaf, or others share its memory")
        numbers = brute.array(known.values * factor)
        self._run(f"with tc.no_grad():\n    {x}.mul_({factor})", f"{x}.data = {x}.data * {factor}")
        event.versions.append(numbers)
        event.written = _tick()
        self.known[x] = Known(numbers, event)
        self.check()

    @step
    def interrupt(self) -> None:
        """Leave a `no_grad` block by an exception."""
        self._run(
            "try:\n    with tc.no_grad():\n        raise KeyError\nexcept KeyError:\n    pass"
        )

    @step
    def delete(self, x: str) -> None:
        """del x"""
        self._run(f"del {x}")
        del self.known[x]
        self.check()

    @step
    def zero_grad(self, x: str) -> None:
        """x.grad = None"""
        event = self.known[x].event
        if event is None:
            raise Undefined(f"{x} is a constant")
        event.grad = None
        self._run(f"{x}.grad = None")
        self.check()

    @step
    def retain_grad(self, x: str) -> None:
        """x.retain_grad()"""
        event = self.known[x].event
        if event is None or event.state == "doubtful":
            raise Undefined(f"{x} is a constant, or a backward pass failed here")
        event.keeps = True
        self._run(f"{x}.retain_grad()")

    def writable(self, x: str) -> bool:
        """Whether x is a leaf in a graph, and no other name or saved constant has its memory."""
        event = self.known[x].event
        if event is None or event.kind != "leaf" or event.aliased:
            return False
        views = (k.event for k in self.known.values() if k.event and k.event.kind == "view")
        return all(v.memory() is not event for v in views)

    def inner(self, x: str) -> bool:
        """Whether x is in a graph, and neither a leaf nor a view."""
        event = self.known[x].event
        return event is not None and event.kind in ("linear", "curved")

    # --- lines that go back ---

    def status(self, x: str) -> str:
        """What a backward pass from x must do: "works", "raises"; or "unclear", so leave it."""
        event = self.known[x].event
        if event is None:
            return "unclear"
        reached = event.reach()
        states = {e.state for e in reached}
        loose = any(e.kind == "gradient" for e in reached)
        if "doubtful" in states or (loose and "freed" in states):
            return "unclear"
        return "raises" if "freed" in states else "works"

    @step
    def backward(self, x: str, weights: Any = None, retain: bool = False) -> None:
        """x.backward(weights); `weights` None for one element."""
        known = self.known[x]
        if known.event is None or self.status(x) == "unclear":
            raise Undefined(f"what {x}.backward() must do is not known")
        args = [] if weights is None else [f"tc.tensor({_text(weights)}, dtype=tc.float64)"]
        line = f"{x}.backward({', '.join(args + ['retain_graph=True'] * retain)})"
        reached = known.event.reach()
        if not self._goes(line, reached, self.status(x)):
            return
        root = _weighted(known, weights)
        for event in reached:
            if event.keeps:
                g = _slopes(root, event)
                if any(e.kind == "gradient" for e in reached) and not g.any():
                    event.keeps = False  # perhaps not reached at all: its gradient is left alone
                    continue
                event.grad = g if event.grad is None else event.grad + g
        if not retain:
            self._free(known.event, reached)
        self.check()

    @step
    def gradient(
        self, names: Sequence[str], x: str, wanted: Sequence[str], weights: Any = None,
        retain: bool = False, record: bool = False,
    ) -> None:  # fmt: skip
        """names = tc.autograd.grad(x, wanted, weights)"""
        known, events = self.known[x], [self.known[w].event for w in wanted]
        if known.event is None or not set(wanted) <= set(self.inputs(x, record)):
            raise Undefined(f"what the gradient of {x} by {wanted} must be is not known")
        given = "" if weights is None else f", tc.tensor({_text(weights)}, dtype=tc.float64)"
        options = ", retain_graph=True" * retain + ", create_graph=True" * record
        left = ", ".join(names) + ("," if len(names) == 1 else "")
        line = f"{left} = tc.autograd.grad({x}, [{', '.join(wanted)}]{given}{options})"
        way = [e for e in known.event.reach() if set(e.reach()) & set(events)]
        if not self._goes(line, way, "works"):
            return
        root = _weighted(known, weights)
        for name, event in zip(names, events, strict=True):
            assert event is not None
            numbers = _slopes(root, event, record)
            tracked = record and self.ours[name].requires_grad
            made = Event(numbers, known.event.reach(), "gradient") if tracked else None
            if record and not tracked:
                self._must_be_constant(name, numbers, known.event)
            self.known[name] = Known(numbers if record else brute.array(numbers), made)
        for event in way:  # as in PyTorch, values that retain theirs get it here, too
            if event.keeps and event.kind != "leaf":
                g = _slopes(root, event)
                event.grad = g if event.grad is None else event.grad + g
        for name in names:
            self._bind(name, self.known[name])
        if not retain and not record:
            for event in way:
                event.state = event.state if event.kind == "leaf" else "doubtful"

    def inputs(self, x: str, record: bool = False) -> list[str]:
        """The names that `gradient` may be asked for."""
        root = self.known[x].event
        if root is None or self.status(x) != "works":
            return []
        reached = root.reach()
        # what a recorded pass leaves in `.grad` is in the graph itself
        if any(e.kind == "gradient" or (record and e.keeps and e.kind != "leaf") for e in reached):
            return []
        return [n for n, k in self.known.items() if k.event is not root and k.event in reached]

    def _goes(self, line: str, reached: Sequence[Event], status: str) -> bool:
        """Run a backward pass; whether it went through. It must raise, or must not, or may."""
        if status == "works":
            stale = any(e.may_be_stale() for e in reached if e.kind in ("curved", "gradient"))
            stale |= any(e.may_be_stale() for e in reached if e.kind == "view")
            if not stale:
                self._run(line)
                return True
        try:
            exec(line, self.ours)
        except GradientError:
            self.lines.append(f"try:\n    {line}\nexcept tc.errors.GradientError:\n    pass")
            for event in reached:
                if event.kind != "leaf":
                    event.keeps = False  # it may have got a gradient before the error
                    event.state = "doubtful" if event.state == "fresh" else event.state
            self.check()
            return False
        if status == "raises":
            self._fail([line, "assert False, 'the graph was freed: this must raise'"])
        self.lines.append(f"try:\n    {line}\nexcept tc.errors.GradientError:\n    {STALE}")
        self.theirs = None  # PyTorch would take the new value, since `.data = ...` is not seen
        return True

    def _free(self, root: Event, reached: Sequence[Event]) -> None:
        loose = any(e.kind == "gradient" for e in reached)
        for event in reached:
            if event.kind != "leaf":
                event.state = "doubtful" if loose and event is not root else "freed"

    # --- comparisons ---

    def check(self) -> None:
        """Compare every name, every gradient, and what is kept in memory."""
        for name, known in self.known.items():
            value = self.ours[name]
            self._equal(name, name, value, known.values, known.event)
            if known.event is not None and known.event.keeps:
                self._equal(f"{name}.grad", name, value.grad, known.event.grad, known.event)
        self._check_memory()

    def _equal(self, text: str, name: str, value: Any, want: Any, event: Event | None) -> None:
        if want is None or value is None:
            if value is not want:
                self._fail([f"assert {text} is {want}"] if want is None else _assertion(text, want))
            return
        tracked = event is not None and text == name
        if value.requires_grad != tracked:
            self._fail([f"assert {text}.requires_grad is {tracked}"])
        # the engine's own detach() may be what is wrong
        got = np.asarray(value.tolist(), np.float64)
        if value.shape != want.shape or not _near(got, want):
            self._fail(_assertion(text, want))
        if self.theirs is not None:
            theirs = eval(text, self.theirs)
            if theirs is not None and not _near(theirs.detach().numpy(), want):
                raise AssertionError(f"PyTorch has {text} = {theirs}, brute force {want}\n{self}")

    def _check_memory(self) -> None:
        """Nodes that no name leads to are gone, and passed ones have let go of what they saved."""
        alive: set[Event] = set()
        for known in self.known.values():
            if known.event is not None and known.event not in alive:
                alive.update(known.event.reach())
        for event in list(self._events):
            node = event.node()
            if event not in alive and node is not None:
                self._fail([f"# {node} is kept alive, though no name leads to it"])
        for name, known in self.known.items():
            freed = known.event is not None and known.event.state == "freed"
            if freed and self.ours[name].node.saved is not None:
                self._fail([f"assert {name}.node.saved is None"])

    def _must_be_constant(self, name: str, numbers: Array, root: Event) -> None:
        for leaf in (e for e in root.reach() if e.kind == "leaf"):
            if any(_slopes(n, leaf).any() for n in numbers.flat if isinstance(n, brute.Number)):
                self._fail([f"assert {name}.requires_grad"])

    # --- running ---

    def _run(self, ours: str, theirs: str | None = None) -> None:
        self.lines.append(ours)
        try:
            exec(ours, self.ours)
        except Exception as error:
            self._fail([f"# raises {type(error).__name__}: {error}"], error)
        if self.theirs is not None:
            exec(theirs or ours, self.theirs)

    def _bind(self, name: str, known: Known) -> None:
        self.known[name] = known
        self.bound[name] = (known.values, known.event is not None)
        node = self.ours[name].node
        if known.event is not None and node is not None:
            known.event.node = weakref.ref(node)
            self._events.add(known.event)
        if self.theirs is not None and self.theirs[name].requires_grad != (known.event is not None):
            # PyTorch records some gradients that are constants, and leaves out others
            self.theirs = None
        self.check()

    def _fail(self, lines: Iterable[str], cause: Exception | None = None) -> None:
        self.lines.extend(lines)
        self.mismatch = ProgramMismatch(
            f"the engine is wrong at the last line of this program:\n\n{self}\n{self.picture()}",
            self,
        )
        raise self.mismatch from cause

    def reduced(self) -> Program | None:
        """A failing program without the lines that it does not need; None if it does not fail.

        Lines are left out, or give way to a leaf with the numbers that they made.
        """
        best = replayed(self.calls, self.compare)
        i = len(best.calls) if best else 0
        while best and i > 0:
            i -= 1
            call = best.calls[i]
            instead_of: list[list[Any]] = [[]]
            if call[0] in MAKERS:
                instead_of.append([("leaf", (call[1][0], *self.bound[call[1][0]]), {})])
            for instead in instead_of:
                shorter = replayed([*best.calls[:i], *instead, *best.calls[i + 1 :]], self.compare)
                if shorter is not None:
                    best, i = shorter, len(shorter.calls) if not instead else i
                    break
        return best

    def picture(self) -> str:
        """The graph behind the program's values, as text and as DOT; "" without a renderer."""
        drawn = [v for n in self.known if (v := self.ours.get(n)) is not None and v.requires_grad]
        if not drawn or not importlib.util.find_spec("tinygrad_course_viz"):
            return ""
        try:
            drawing = importlib.import_module("tinygrad_course_viz").draw_graph(drawn)
        except Exception as error:  # the graph is that of a broken engine
            return f"\nno picture: {error}"
        return f"\nits graph:\n\n{drawing.text}\n{drawing.dot}"


def replayed(calls: Sequence[Any], compare: bool) -> Program | None:
    """The program of these calls, if it is one and the engine gets it wrong."""
    program = Program(compare)
    try:
        for name, args, kwargs in calls:
            getattr(program, name)(*args, **kwargs)
    except ProgramMismatch:
        return program
    except (Undefined, KeyError, NameError, ValueError):
        return None
    return None


def _still(known: Known) -> Array:
    return brute.array(known.values)


def _number(n: Any) -> brute.Number:
    return n if isinstance(n, brute.Number) else brute.Number(float(n))


def _weighted(known: Known, weights: Any) -> Any:
    """Σ weight · number"""
    given = np.ones(known.values.shape) if weights is None else np.asarray(weights)
    return sum(float(w) * n for w, n in zip(given.flat, known.numbers.flat, strict=True))


def _slopes(root: Any, event: Event, record: bool = False) -> Array:
    """d root/d value, for each number of the event's value, old ones included."""
    out = np.zeros(event.versions[0].shape, dtype=object if record else float)
    for numbers in event.versions:
        for i in np.ndindex(numbers.shape):
            number: Any = numbers[i]
            out[i] = out[i] + brute.slope(root, number, record)
    return brute.each(_number)(out) if record else out


def _text(values: Any) -> str:
    return repr(np.asarray(values, dtype=np.float64).tolist())


def _near(got: Array, want: Array) -> bool:
    size = float(np.abs(want).max(initial=1.0))
    return got.shape == want.shape and bool(np.allclose(got, want, rtol=1e-7, atol=1e-9 * size))


def _assertion(text: str, want: Array) -> list[str]:
    size = float(np.abs(want).max(initial=1.0))
    return [
        f"assert {text} is not None",
        f"assert {text}.shape == {want.shape}",
        f"np.testing.assert_allclose({text}.detach().numpy(), {want.tolist()}, rtol=1e-7, "
        f"atol={1e-9 * size:.0e})  # by brute force",
    ]
