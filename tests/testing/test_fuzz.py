"""The graph machine finds nothing in the engine, and finds every bug that is planted in it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import tinygrad_course as tc
from tinygrad_course import autograd, graph, modes, primitive
from tinygrad_course.testing import brute
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.fuzz import GraphMachine, fuzz
from tinygrad_course.testing.programs import Program, ProgramMismatch, Undefined

Plant = Callable[[pytest.MonkeyPatch], None]


def rewritten(function: Any, old: str, new: str) -> Any:
    """The function compiled again with another text in one place."""
    source = inspect.cleandoc("\n" + inspect.getsource(function))
    assert old in source, f"{function.__qualname__} no longer says {old!r}: plant this bug anew"
    names: dict[str, Any] = {}
    code = "from __future__ import annotations\n" + source.replace(old, new)
    exec(code, function.__globals__, names)
    return names[function.__name__]


def in_walk(old: str, new: str) -> Plant:
    """A bug in the engine's inner loop."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        walk = rewritten(graph.walk, old, new)
        for module in (graph, importlib.import_module("tinygrad_course.tensor"), autograd):
            patch.setattr(module, "walk", walk)

    return plant


def in_place_of(owner: Any, name: str, new: Callable[[Any], Any]) -> Plant:
    """A function replaced by another, made from it."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, name, new(getattr(owner, name)))

    return plant


def first_of_many(fit: Any) -> Any:
    """Takes the first of several contributions where it should add them up."""

    def wrong(self: Any, c: Any, parent: Any) -> Any:
        if c.shape != parent.shape and isinstance(c, np.ndarray):
            while c.ndim > len(parent.shape):
                c = c[0]
            c = c[tuple(slice(n) for n in parent.shape)]
        return fit(self, c, parent)

    return wrong


def writes_memory(become: Any) -> Any:
    """Writes into the old array, which others may have saved or may show."""

    def wrong(self: Any, value: Any, method: str) -> Any:
        old = self._data
        become(self, value, method)
        if old.flags.writeable and old.shape == self._data.shape:
            np.copyto(old, self._data)
        return self

    return wrong


def forgets_constants(boxed: Any) -> Any:
    """Saved values of a recorded backward pass have lost their places in the graph."""

    def wrong(node: Any, saved: Any, face: Any) -> Any:
        return tuple(
            v if v is None or type(v) is bool else graph.wrap(face, v, None) for v in saved
        )

    return wrong


def delivers_only_the_last(deliver: Any) -> Any:
    def wrong(node: Any, g: Any, face: Any) -> None:
        node.grad = None
        deliver(node, g, face)

    return wrong


def adds_into_the_first(added: Any) -> Any:
    """What flows to a leaf is added up in an array that others may hold."""

    def wrong(parts: Any) -> Any:
        total = parts[0]
        for part in parts[1:]:
            if isinstance(total, np.ndarray) and total.flags.writeable:
                total += part
            else:
                total = total + part
        return total

    return wrong


BUGS: dict[str, Plant] = {
    "a second use replaces the first": in_walk("entry[1:] = entry[1] + c, True",
                                               "entry[1:] = c, True"),
    "a second use counts twice": in_walk("entry[1:] = entry[1] + c, True",
                                         "entry[1:] = entry[1] + c + c, True"),
    "a second pass replaces the first": in_place_of(graph, "_deliver", delivers_only_the_last),
    "freed too early": in_walk("if not retain_graph:", "if True:"),
    "never freed": in_walk("if not retain_graph:", "if False:"),
    "wrong order": in_walk("pending.pop(seq, None) or _next(pending, seq)",
                           "pending.pop(min(pending))"),
    "sums in somebody else's array": in_place_of(graph, "added", adds_into_the_first),
    "a stale value is used": in_place_of(graph.BaseNode, "touch", lambda right: lambda self: None),
    "broadcasting is not undone": in_place_of(primitive.Primitive, "fit", first_of_many),
    "writing in place reaches saved values": in_place_of(tc.Tensor, "_become", writes_memory),
    "no_grad leaks": in_place_of(
        modes.no_grad, "__exit__",
        lambda right: lambda self, *error: error[0] and right(self, *error),
    ),
    "detach keeps the graph": in_place_of(
        tc.Tensor, "detach", lambda right: lambda self: self * 1
    ),
    "second order forgets what it depends on": in_place_of(graph, "boxed", forgets_constants),
}  # fmt: skip


FIRST = {"sums in somebody else's array": 15}  # a seed that gets there soon


def test_the_engine_is_right() -> None:
    assert fuzz(steps=ts.examples(400), seed=1) >= 400


@pytest.mark.parametrize("name", BUGS)
def test_planted_bugs_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        BUGS[name](patch)
        with pytest.raises(ProgramMismatch) as caught:
            fuzz(steps=20_000, seed=FIRST.get(name, 0))
        program = str(caught.value.program)
        assert len(caught.value.program.lines) <= 12, program
        assert fails(program), program
    assert not fails(program), program


TestGraphs = GraphMachine.TestCase
TestGraphs.settings = settings(
    max_examples=5, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_failing_program_comes_with_its_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS["a second pass replaces the first"](monkeypatch)
    program = Program()
    program.leaf("a", [1.0, 2.0])
    program.make("b", "a * a", ["a"], lambda a: a * a)
    program.backward("b", [1.0, 1.0], retain=True)
    with pytest.raises(ProgramMismatch) as caught:
        program.backward("b", [1.0, 1.0])
    text = str(caught.value)
    assert "np.testing.assert_allclose(a.grad.detach().numpy(), [4.0, 8.0]" in text
    assert "#1 mul(#0, #0)" in text
    assert "digraph tinygrad_course" in text


def test_programs_without_pytorch_and_lines_that_are_not_defined() -> None:
    program = Program(compare=False)
    assert program.theirs is None
    program.leaf("a", [1.0, 2.0])
    program.detach("b", "a")
    with pytest.raises(Undefined, match="share its memory"):
        program.write("a", 2.0)
    with pytest.raises(Undefined, match=r"what b\.backward"):
        program.backward("b")
    with pytest.raises(Undefined, match="a leaf or a view"):
        program.update("a", "a.mul_(b)", ["a", "b"], lambda a, b: a * b, theirs="a = a * b")


def test_brute_force_has_no_opinion_of_its_own() -> None:
    """Slopes of every row equal differences, and those of slopes do."""
    for name, (forward, partials) in brute.ROWS.items():
        xs = [brute.Number(0.7), brute.Number(1.3)][: len(partials)]
        y = brute.apply(name, *xs)
        for x in xs:
            first = brute.slope(y, x, record=True)

            def f(h: float, x: Any = x, xs: Any = xs, forward: Any = forward) -> float:
                return forward(*[v.value + (h if v is x else 0) for v in xs])

            h = 1e-4
            slope = getattr(first, "value", first)
            assert slope == pytest.approx((f(h) - f(-h)) / (2 * h), abs=1e-6)
            assert brute.slope(y, x) == slope
            second = brute.slope(first, x)
            assert second == pytest.approx((f(h) - 2 * f(0) + f(-h)) / h**2, abs=1e-5)


def fails(program: str) -> bool:
    """Whether the text of a program, run by itself, raises."""
    try:
        exec(program, {})
    except SystemExit:
        return False
    except Exception:
        return True
    finally:
        tc.set_grad_enabled(True)
    return False
