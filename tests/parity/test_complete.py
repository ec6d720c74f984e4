"""Every operation has a row in the test table, and every row of it an operation."""

from __future__ import annotations

from typing import Any

import tinygrad_course as tc
from tinygrad_course.nn import functional as F
from tinygrad_course.primitive import TABLE, Primitive

from .rows import ELSEWHERE, ROWS

HOMES = ("tinygrad_course.ops.", "tinygrad_course.functions.", "tinygrad_course.nn.functional")


def public_functions() -> set[str]:
    """The operations at the front door, those that are methods, and those that layers call."""
    front = {n for n in tc.__all__ if is_operation(getattr(tc, n, None))}
    layers = {n for n in F.__all__ if is_operation(getattr(F, n))}
    matrices = {f"linalg.{n}" for n in tc.linalg.__all__ if is_operation(getattr(tc.linalg, n))}
    return front | layers | matrices | set(tc.methods.TENSOR_FUNCTIONS)


def is_operation(f: Any) -> bool:
    home = getattr(f, "__module__", None) or ""
    return isinstance(f, Primitive) or (callable(f) and home.startswith(HOMES))


def all_tested() -> set[str]:
    return {n for row in ROWS for n in (row.name, *row.covers)} | set(ELSEWHERE)


def test_every_row_is_tested() -> None:
    missing = set(TABLE) - all_tested()
    assert not missing, f"add to tests/parity/rows a row for: {', '.join(sorted(missing))}"


def test_every_public_function_is_tested() -> None:
    missing = public_functions() - all_tested()
    assert not missing, f"add to tests/parity/rows a row for: {', '.join(sorted(missing))}"


def test_every_test_row_is_there_for_something() -> None:
    known = set(TABLE) | public_functions() | set(dir(tc.Tensor))
    for row in ROWS:
        base = row.name.split(",")[0].split(" of ")[0].split(" between ")[0]
        assert base in known or set(row.covers) & known, f"no operation is called {row.name!r}"
        unknown = set(row.covers) - known
        assert not unknown, f"{row.name}: no operation is called {', '.join(unknown)}"
    assert set(ELSEWHERE) <= set(TABLE)


def test_names_are_unique() -> None:
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
