"""What a row of the test table is, how its arguments are drawn, and the list of all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.testing import strategies as ts
from tinygrad_course.testing.strategies import (
    KINKS,
    REAL,
    SPECIAL,
    Domain,
)

Case = tuple[list[Any], dict[str, Any]]
TRUTH = Domain("0 and 1", (1.0, 0.0), distinct=False)
SMALL = Domain("between -3 and 3", tuple(v for v in REAL.numbers if abs(v) < 3))
NUMBERS = ("float64", "float32", "int64", "int32", "uint8", "bool")
SIGNED = ("float64", "float32", "int64", "int32")


class Maker:
    """Draws a row's arrays.

    Args:
        draw: Hypothesis's.
        kind: "smooth": each domain as the row gives it; "kinks": zeros and ties; "special": NaN
            and infinity too; "mixed": of any of the row's dtypes.
        dtypes: the dtypes to choose from.
    """

    def __init__(self, draw: Any, kind: str, dtypes: Sequence[str]) -> None:
        self.draw = draw
        self.kind = kind
        self.dtypes = dtypes
        self.empty = kind == "mixed"  # tensors without elements

    def dtype(self) -> str:
        return self.draw(st.sampled_from(self.dtypes)) if self.kind == "mixed" else "float64"

    def domain(self, domain: Domain, dtype: str) -> Domain:
        if dtype == "bool":
            return TRUTH
        if dtype.startswith(("int", "uint")):
            return Domain("positive whole", (1.0, 2.0, 3.0, 4.0, 5.0), distinct=False)
        if self.kind == "kinks":
            return KINKS
        return SPECIAL if self.kind == "special" else domain

    def shape(self, min_dims: int = 0, max_dims: int = 3) -> Any:
        side = 0 if self.empty else 1
        return self.draw(ts.shapes(min_dims, max_dims, min_side=side))

    def array(self, shape: Any, domain: Domain = REAL, dtype: str | None = None) -> Any:
        dtype = dtype or self.dtype()
        return self.draw(ts.arrays(shape, self.domain(domain, dtype), dtype))

    def broadcast(self, domains: Sequence[Domain]) -> list[Any]:
        dtypes = [self.dtype() for _ in domains]
        domains = [self.domain(d, t) for d, t in zip(domains, dtypes, strict=True)]
        side = 0 if self.empty else 1
        return list(self.draw(ts.broadcast_arrays(domains, dtypes, min_side=side)))

    def dim(self, ndim: int) -> int:
        return int(self.draw(ts.axis(ndim)))


@dataclass(frozen=True)
class Row:
    """One function under test.

    Args:
        name: unique; where it is the name of a row of the table or of a public function, this row
            covers both.
        ours, torch: the function on our Tensors, and PyTorch's on its own.
        case: draws (arguments, options).
        covers: further rows of the table and public functions that are tested here.
        order: how often it is differentiable; 0 for tests and whole numbers.
        kinks: whether zeros and ties are drawn too.
        special: whether the gradient equals PyTorch's at NaN and infinity too.
        dtypes: of the arguments whose values are compared.
        scalar: how many numbers it takes as an operation on Scalars; 0 if it is none.
    """

    name: str
    ours: Callable[..., Any]
    torch: Callable[..., Any]
    case: Callable[[Maker], Case]
    covers: tuple[str, ...] = ()
    order: int = 2
    kinks: bool = True
    special: bool = False
    dtypes: tuple[str, ...] = ("float64", "float32")
    scalar: int = 0
    domains: tuple[Domain, ...] = ()

    def __repr__(self) -> str:
        return f"<test row {self.name}>"

    def cases(self, kind: str) -> st.SearchStrategy[Case]:
        @st.composite
        def drawn(draw: Any) -> Case:
            return self.case(Maker(draw, kind, self.dtypes))

        return drawn()


ROWS: list[Row] = []


def row(name: str, ours: Any, oracle: Any, case: Any, **more: Any) -> None:
    ROWS.append(Row(name, ours, oracle, case, **more))


ANY = ("float64", "float32", "int64", "bool")


def shape_row(name: str, oracle: Any = None, **more: Any) -> Callable[[Any], Any]:
    """A decorator: the function draws a case for the row of that name."""

    def decorated(case: Any) -> Any:
        ours = more.pop("ours", None) or getattr(tc, name, None) or getattr(tc.Tensor, name)
        reference = oracle or getattr(torch, name, None) or getattr(torch.Tensor, name)
        row(name, ours, reference, case, **more)
        return case

    return decorated
