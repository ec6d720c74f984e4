"""Whole property tests in one line, and marks for a student's function.

>>> from tinygrad_course.testing import check, strategies as ts
>>> @check.gradients(lambda x, y: x * y, args=ts.broadcasting(2), order=2, examples=10)
... def test_product(): ...
>>> test_product()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.creation import from_numpy
from tinygrad_course.errors import OptionError
from tinygrad_course.graph import Value
from tinygrad_course.scalar import Scalar
from tinygrad_course.tensor import Tensor

from . import diagnosis
from . import strategies as ts
from .gradcheck import GradientMismatch, gradcheck
from .problem import name_of

try:
    from hypothesis import HealthCheck, find, given, note, settings
    from hypothesis import strategies as st
    from hypothesis.errors import NoSuchExample
except ImportError as error:
    raise ImportError(
        "tinygrad_course.testing.check needs Hypothesis: pip install 'tinygrad_course[testing]'"
    ) from error

__all__ = ["Mark", "Marks", "gradients", "report"]


# --- a property test ------------------------------------------------------------------------------


def gradients(
    fn: Callable[..., Any],
    args: Any = None,
    *,
    order: int = 1,
    examples: int = 100,
    **options: Any,
) -> Callable[[Any], Callable[[], None]]:
    """A decorator that makes a property test of fn's gradients from the function under it.

    Each example is drawn from `args` and given to `gradcheck`; a failing one is shrunk, and the
    report is about the smallest. The body of the decorated function is run first, once: it may
    skip the test, or be empty.

    Args:
        fn: takes and returns Tensors or Scalars; a module is checked with its parameters.
        args: a strategy for one value or for a tuple of arguments, or a sequence of strategies,
            one per argument; one tensor of any shape unless given. A dict at the end of a tuple
            is passed as keyword arguments.
        order: 2 checks the gradient of the gradient as well.
        examples: how many, before TINYGRAD_COURSE_EXAMPLES multiplies it.
        options: further arguments of `gradcheck`.

    Raises:
        OptionError: args is not made of strategies.
        GradientMismatch: from the test, if fn's gradient is wrong.
    """
    drawn = _strategy(args)

    def decorate(body: Any) -> Callable[[], None]:
        @ts.profile(examples)
        @given(drawn)
        def run(found: Any) -> None:
            inputs, keywords = _split(found)
            note(diagnosis.call(name_of(fn), inputs, keywords))
            gradcheck(_bound(fn, keywords), inputs, order=order,
                      **{"name": name_of(fn), **options})  # fmt: skip

        def test() -> None:
            body()
            run()

        test.__name__ = test.__qualname__ = getattr(body, "__name__", "test_gradients")
        test.__doc__ = body.__doc__ or f"The gradients of {name_of(fn)} are right."
        test.__module__ = body.__module__
        return test

    return decorate


def _strategy(args: Any) -> Any:
    if args is None:
        return ts.tensors()
    if isinstance(args, st.SearchStrategy):
        return args
    parts = list(args) if isinstance(args, (list, tuple)) else [args]
    if not parts or not all(isinstance(a, st.SearchStrategy) for a in parts):
        raise OptionError(f"args is a strategy or a sequence of strategies, got {args!r}")
    return st.tuples(*parts)


def _split(found: Any) -> tuple[list[Any], dict[str, Any]]:
    """A drawn example as positional and keyword arguments."""
    if isinstance(found, Value) or not isinstance(found, (tuple, list)):
        return [found], {}
    inputs = list(found)
    keywords = inputs.pop() if inputs and isinstance(inputs[-1], dict) else {}
    return inputs, keywords


def _bound(fn: Callable[..., Any], keywords: dict[str, Any]) -> Callable[..., Any]:
    return (lambda *xs: fn(*xs, **keywords)) if keywords else fn


# --- marks ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """What one property of a function is worth.

    Args:
        name: the property.
        passed: True or False; None where it does not apply, with the reason in `hint`.
        examples: how many were looked at.
        hint: the smallest counter-example, and what is wrong there.
    """

    name: str
    passed: bool | None
    examples: int
    hint: str = ""

    def __str__(self) -> str:
        word = {True: "pass", False: "FAIL", None: "none"}[self.passed]
        first, *rest = self.hint.rstrip().splitlines() or [""]
        if self.passed:
            return f"{word}  {self.name} ({self.examples} examples)"
        lines = [f"{word}  {self.name}: {first}", *(f"      {line}".rstrip() for line in rest)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Marks:
    """The marks of one function; true if it has earned them all."""

    name: str
    marks: tuple[Mark, ...]

    @property
    def earned(self) -> int:
        """How many properties hold."""
        return sum(m.passed is True for m in self.marks)

    @property
    def possible(self) -> int:
        """How many properties apply."""
        return sum(m.passed is not None for m in self.marks)

    def __bool__(self) -> bool:
        return self.earned == self.possible

    def __getitem__(self, name: str) -> Mark:
        """The mark of this name."""
        for mark in self.marks:
            if mark.name == name:
                return mark
        raise OptionError(f"no mark {name!r}; there are {', '.join(m.name for m in self.marks)}")

    def __str__(self) -> str:
        head = f"{self.name}: {self.earned} of {self.possible} marks"
        return "\n".join([head, *map(str, self.marks)])


def report(
    student_fn: Callable[..., Any],
    reference_fn: Callable[..., Any],
    args: Any = None,
    *,
    order: int = 2,
    kinks: Any = None,
    empty: Any = None,
    examples: int = 100,
    name: str | None = None,
) -> Marks:
    """Marks per property for a student's function, with the smallest counter-example as a hint.

    "value" and "shape and dtype" compare with the reference; "gradient" and "second order"
    with differences of the student's own values, so that each mistake costs its own mark only.
    "layouts" gives transposed, strided and reversed inputs, "broadcasting" arguments of different
    shapes, "kinks" zeros and ties, "empty" tensors without elements, "inputs untouched" looks
    for writes into them.

    Args:
        student_fn, reference_fn: take and return the same.
        args: as for `gradients`: what a right function must accept.
        order: 1 leaves the mark "second order" out.
        kinks: a strategy for arguments with zeros and ties, or False for none; zeros and ties of
            the shapes drawn from `args` unless given.
        empty: a strategy for arguments without elements; left out unless given.
        examples: how many for each mark.
        name: what to call the function.

    >>> import tinygrad_course as tc
    >>> from tinygrad_course.testing import check, strategies as ts
    >>> print(check.report(lambda x: x + x.abs(), lambda x: 2 * x.relu(), examples=20))
    <lambda>: 7 of 7 marks
    pass  value (20 examples)
    pass  shape and dtype (20 examples)
    pass  inputs untouched (20 examples)
    pass  gradient (20 examples)
    pass  second order (20 examples)
    none  broadcasting: the arguments drawn never differ in shape
    pass  layouts (20 examples)
    pass  kinks (20 examples)
    """
    exam = _Exam(student_fn, reference_fn, _strategy(args), examples, name or name_of(student_fn))
    return Marks(exam.name, tuple(exam.marks(order, kinks, empty)))


class _Exam:
    """One function being marked."""

    def __init__(self, student: Any, reference: Any, args: Any, examples: int, name: str) -> None:
        self.student = student
        self.reference = reference
        self.args = args
        self.examples = examples
        self.name = name

    def marks(self, order: int, kinks: Any, empty: Any) -> Iterator[Mark]:
        yield self.mark("value", self.value)
        yield self.mark("shape and dtype", self.kind)
        yield self.mark("inputs untouched", self.untouched)
        yield self.mark("gradient", self.gradient)
        if order == 2:
            yield self.mark("second order", lambda xs, kw: self.gradient(xs, kw, order=2))
        yield self.broadcasting()
        yield self.mark("layouts", self.layouts)
        if kinks is not False:
            args = self.args.map(_at_kinks) if kinks is None else _strategy(kinks)
            yield self.mark("kinks", lambda xs, kw: self.gradient(xs, kw, max_judged=1.0), args)
        if empty is not None:
            yield self.mark("empty", self.empty, _strategy(empty))

    def mark(self, name: str, check: Callable[..., str], args: Any = None) -> Mark:
        """Look for the smallest example for which `check` has something to say."""
        said: dict[str, str] = {}

        def wrong(found: Any) -> bool:
            inputs, keywords = _split(found)
            before = [_copied(x) for x in inputs]
            try:
                what = check([_copied(x) for x in inputs], keywords)
            except GradientMismatch as error:
                what = str(error)
            except Exception as error:
                what = f"raises {type(error).__name__}: {error}"
            said["hint"] = f"{what}\n\nat {diagnosis.call(self.name, before, keywords)}"
            return bool(what)

        rules = settings(
            max_examples=self.examples, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        try:
            smallest = find(self.args if args is None else args, wrong, settings=rules)
        except NoSuchExample:
            return Mark(name, True, self.examples)
        wrong(smallest)
        return Mark(name, False, self.examples, said["hint"])

    # --- properties: each says what is wrong, or "" ---

    def value(self, inputs: list[Any], keywords: dict[str, Any]) -> str:
        got, want = self._both(inputs, keywords)
        for g, w in zip(got, want, strict=False):
            a, b = _numbers(g), _numbers(w)
            if a.shape == b.shape and not _close(a, b):
                return f"gives {a.tolist()}, should give {b.tolist()}"
        return ""

    def kind(self, inputs: list[Any], keywords: dict[str, Any]) -> str:
        got, want = self._both(inputs, keywords)
        if len(got) != len(want):
            return f"gives {len(got)} results, should give {len(want)}"
        for g, w in zip(got, want, strict=True):
            if type(g) is not type(w):
                return f"gives a {type(g).__name__}, should give a {type(w).__name__}"
            if isinstance(w, Tensor) and (g.shape, g.dtype) != (w.shape, w.dtype):
                return f"gives {g.dtype} of shape {g.shape}, should give {w.dtype} of {w.shape}"
        return ""

    def untouched(self, inputs: list[Any], keywords: dict[str, Any]) -> str:
        before = [_numbers(x).copy() if isinstance(x, Value) else x for x in inputs]
        self.student(*inputs, **keywords)
        for i, (x, old) in enumerate(zip(inputs, before, strict=True)):
            if isinstance(x, Value) and not np.array_equal(_numbers(x), old, equal_nan=True):
                return f"writes into input {i}: {_numbers(x).tolist()} afterwards"
        return ""

    def gradient(self, inputs: list[Any], keywords: dict[str, Any], **how: Any) -> str:
        gradcheck(_bound(self.student, keywords), inputs, name=self.name, **how)
        return ""

    def layouts(self, inputs: list[Any], keywords: dict[str, Any]) -> str:
        """The same numbers in other layouts give the same."""
        plain = [_numbers(r) for r in _listed(self.student(*inputs, **keywords))]
        for layout in ("transposed", "strided", "reversed"):
            moved = [_relaid(x, layout) for x in inputs]
            for a, b in zip(_listed(self.student(*moved, **keywords)), plain, strict=True):
                if not _close(_numbers(a), b):
                    return f"gives {_numbers(a).tolist()} for {layout} inputs, else {b.tolist()}"
            gradcheck(_bound(self.student, keywords), moved, name=self.name)
        return ""

    def empty(self, inputs: list[Any], keywords: dict[str, Any]) -> str:
        return self.kind(inputs, keywords) or self.value(inputs, keywords)

    def broadcasting(self) -> Mark:
        """Value, shape and gradient where the arguments differ in shape."""
        differing = self.args.filter(_shapes_differ)
        try:
            find(self.args, _shapes_differ, settings=settings(
                max_examples=50, deadline=None, derandomize=True, database=None,
                suppress_health_check=list(HealthCheck)))  # fmt: skip
        except NoSuchExample:
            reason = "the arguments drawn never differ in shape"
            return Mark("broadcasting", None, 0, reason)

        def check(inputs: list[Any], keywords: dict[str, Any]) -> str:
            wrong = self.kind(inputs, keywords) or self.value(inputs, keywords)
            return wrong or self.gradient(inputs, keywords)

        return self.mark("broadcasting", check, differing)

    def _both(self, inputs: list[Any], keywords: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        return (
            _listed(self.student(*map(_copied, inputs), **keywords)),
            _listed(self.reference(*map(_copied, inputs), **keywords)),
        )


# --- values ---------------------------------------------------------------------------------------


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _numbers(x: Any) -> Any:
    if isinstance(x, Scalar):
        return np.asarray(x.data)
    return x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)


def _close(a: Any, b: Any) -> bool:
    if a.shape != b.shape:
        return False
    if "f" not in (a.dtype.kind, b.dtype.kind):
        return bool(np.array_equal(a, b))
    eps = max(float(np.finfo(v.dtype).eps) for v in (a, b) if v.dtype.kind == "f")
    size = float(np.abs(b[np.isfinite(b)]).max(initial=1.0))
    return bool(np.allclose(a, b, rtol=64 * eps, atol=64 * eps * size, equal_nan=True))


def _copied(x: Any) -> Any:
    """A fresh leaf with the same numbers, in the same layout."""
    if isinstance(x, Scalar):
        return Scalar(x.data, x.requires_grad)
    return _leaf(x, _numbers(x).copy(order="K")) if isinstance(x, Tensor) else x


def _relaid(x: Any, layout: str) -> Any:
    return _leaf(x, ts.laid_out(_numbers(x), layout)) if isinstance(x, Tensor) else _copied(x)


def _leaf(like: Tensor, array: Any) -> Tensor:
    made = from_numpy(np.asarray(array))
    return made.requires_grad_() if like.requires_grad else made


def _at_kinks(found: Any) -> Any:
    """The same shapes with zeros and ties: each number as its place modulo a short row of them."""
    inputs, keywords = _split(found)
    out: list[Any] = []
    for x in inputs:
        if isinstance(x, Tensor) and x.dtype.kind == "f":
            old = _numbers(x)
            row = np.array(ts.KINKS.numbers)
            array = row[np.abs(np.rint(old * 7)).astype(int) % row.size].astype(old.dtype)
            out.append(_leaf(x, array.reshape(old.shape)))
        else:
            out.append(_copied(x))
    return (*out, keywords) if keywords else tuple(out)


def _shapes_differ(found: Any) -> bool:
    inputs: Sequence[Any] = _split(found)[0]
    return len({x.shape for x in inputs if isinstance(x, Tensor)}) > 1
