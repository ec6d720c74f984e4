"""Does `gradcheck` ever blame a right function? Kinks and ties, then every row of the test table.

python -m tests.testing.false_alarms --examples 10000 --rows 500
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

import tinygrad_course as tc
import tinygrad_course.nn.functional as F
from tinygrad_course.testing import GradientMismatch, gradcheck
from tinygrad_course.testing import strategies as ts

PRECISIONS = ("float64", "float32")
AT_BOUNDS = ts.Domain("at the bounds, between and beyond", (0.0, 1.0, 0.5, -1.0, 2.0), False)


@st.composite
def tied(draw: Any, ways: int, dtype: str) -> Any:
    """Numbers of which the largest is there `ways` times."""
    others = draw(st.lists(st.integers(-8, 8), max_size=4))
    top = max(others, default=0) + draw(st.integers(1, 3))
    values = draw(st.permutations([float(v) / 4 for v in (*others, *[top] * ways)]))
    return tc.tensor(values, dtype=dtype, requires_grad=True)


def at_kinks(dtype: str, domain: ts.Domain = ts.KINKS, least: int = 0) -> Any:
    return ts.tensors(ts.shapes(least), dtype=dtype, values=domain)


@st.composite
def pooled(draw: Any, dtype: str) -> Any:
    shape, how = draw(ts.pool_args())
    return draw(ts.tensors(shape, dtype=dtype, values=ts.KINKS)), how


KINKED: dict[str, tuple[Callable[..., Any], Callable[[str], Any]]] = {
    "relu at 0": (tc.relu, at_kinks),
    "abs at 0": (tc.abs, at_kinks),
    **{
        f"max of {n} equals": (lambda x: x.max(0)[0], lambda dtype, n=n: tied(n, dtype))
        for n in (2, 3, 4)
    },
    "sort with ties": (lambda x: x.sort(-1)[0], lambda dtype: at_kinks(dtype, least=1)),
    "median with ties": (lambda x: x.median(), at_kinks),
    "clamp at its bounds": (
        lambda x: x.clamp(0.0, 1.0), lambda dtype: at_kinks(dtype, AT_BOUNDS)
    ),
    "max_pool2d with ties": (lambda x, how: F.max_pool2d(x, **how), pooled),
    **{
        f"amax of {n} equals": (lambda x: x.amax(), lambda dtype, n=n: tied(n, dtype))
        for n in (2, 3, 4)
    },
    "max along": (lambda x: x.max(-1)[0], lambda dtype: at_kinks(dtype, least=1)),
}  # fmt: skip


def check(fn: Callable[..., Any], found: Any, order: int = 1) -> None:
    """gradcheck of a right function at drawn arguments, kinks or not."""
    inputs = [found] if isinstance(found, tc.Tensor) else list(found)
    gradcheck(fn, inputs, order=order, max_judged=1.0)


def alarms(fn: Callable[..., Any], args: Any, examples: int, start: int = 0) -> tuple[int, str]:
    """How many examples were looked at, and what was said of the first that was blamed."""
    count, said = 0, ""

    @seeded(start)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(args)
    def run(found: Any) -> None:
        nonlocal count
        count += 1
        check(fn, found)

    try:
        run()
    except GradientMismatch as error:
        said = str(error)
    return count, said


def converted(row: Any, kind: str, dtype: str) -> Any:
    """A row of the table as a function of one drawn case, its floats in this precision."""

    def run(case: Any) -> None:
        args, options = case
        inputs = []
        for x in args:
            if isinstance(x, np.ndarray):
                floating = x.dtype.kind == "f"
                tensor = tc.from_numpy(x.astype(dtype) if floating else x)
                x = tensor.requires_grad_() if floating else tensor
            inputs.append(x)
        gradcheck(
            lambda *xs: row.ours(*xs, **options), inputs, max_judged=1.0, name=row.name,
            order=row.order if kind == "smooth" else 1,
        )  # fmt: skip

    return run, row.cases(kind)


def row_alarms(row: Any, kind: str, dtype: str, examples: int) -> tuple[int, str]:
    run, cases = converted(row, kind, dtype)
    count, said = 0, ""

    @seeded(0)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases)
    def all_of(case: Any) -> None:
        nonlocal count
        count += 1
        run(case)

    try:
        all_of()
    except GradientMismatch as error:
        said = str(error)
    return count, said


def show(name: str, dtype: str, start: float, found: tuple[int, str]) -> bool:
    count, said = found
    verdict = "FALSE ALARM" if said else "none"
    seconds = time.perf_counter() - start
    print(f"{name:42} {dtype:8} {count:7} {seconds:8.1f} s  {verdict}", flush=True)
    if said:
        print(said, flush=True)
    return bool(said)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="at kinks, each precision")
    parser.add_argument("--rows", type=int, default=0, help="of every row of the table")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no new row after")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    begin, wrong, total = time.perf_counter(), 0, 0
    for name, (fn, args) in KINKED.items():
        for dtype in PRECISIONS if options.only in name else ():
            start = time.perf_counter()
            found = alarms(fn, args(dtype), options.examples)
            wrong += show(name, dtype, start, found)
            total += found[0]
    if options.rows:
        from tests.parity.rows import BY_NAME

        for row in (r for r in BY_NAME.values() if r.order):
            kinds = ("smooth", "kinks") if row.kinks else ("smooth",)
            for kind, dtype in ((k, d) for k in kinds for d in PRECISIONS):
                if time.perf_counter() - begin > options.seconds:
                    print(f"out of time before {row.name}")
                    break
                start = time.perf_counter()
                found = row_alarms(row, kind, dtype, options.rows)
                wrong += show(f"{row.name}, {kind}", dtype, start, found)
                total += found[0]
    print(f"{wrong} false alarms in {total} examples, {time.perf_counter() - begin:.0f} s")
    return min(wrong, 1)


if __name__ == "__main__":
    raise SystemExit(main())
