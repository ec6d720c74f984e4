"""Sorting: values and gradients; where equal elements come from is not compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import tinygrad_course as tc
from tinygrad_course.testing.strategies import KINKS, REAL

from .row import NUMBERS, SIGNED, Case, Maker, row


def line_case(**options: Any) -> Any:
    """An array with a dimension to sort along, and options."""

    def case(make: Maker) -> Case:
        make.empty = False
        x = make.array(make.shape(0, 3), REAL)
        drawn = {n: make.draw(st.sampled_from(values)) for n, values in options.items()}
        return [x], {"dim": make.dim(x.ndim), **drawn}

    return case


def values(f: Any) -> Any:
    return lambda *args, **how: f(*args, **how)[0]


def stable(f: Any) -> Any:
    return lambda x, **how: f(x, stable=True, **how)


def part_case(name: str, least: int, **options: Any) -> Any:
    """An array, `dim`, and a number of elements that there are along it."""

    def case(make: Maker) -> Case:
        args, how = line_case(**options)(make)
        (x,) = args
        size = x.shape[how["dim"]] if x.ndim else 1
        return args, {**how, name: make.draw(st.integers(least if x.ndim else 1, size))}

    return case


BOTH = (True, False)
row("sort", stable(tc.sort), stable(torch.sort), line_case(descending=BOTH), dtypes=NUMBERS,
    special=True)  # fmt: skip
row("argsort", stable(tc.argsort), stable(torch.argsort), line_case(descending=BOTH), order=0,
    dtypes=NUMBERS)  # fmt: skip
row("topk", values(tc.topk), values(torch.topk),
    part_case("k", 0, largest=BOTH, sorted=(True,)), dtypes=SIGNED, kinks=False)  # fmt: skip
row("topk of different numbers", tc.topk, torch.topk, part_case("k", 0, largest=BOTH),
    dtypes=("float64",), kinks=False)  # fmt: skip
row("kthvalue", values(tc.kthvalue), values(torch.kthvalue), part_case("k", 1, keepdim=BOTH),
    dtypes=SIGNED, kinks=False)  # fmt: skip
row("median", values(tc.median), values(torch.median), line_case(keepdim=BOTH), dtypes=SIGNED,
    kinks=False)  # fmt: skip
row("median, and where it is", tc.median, torch.median, line_case(keepdim=BOTH),
    dtypes=("float64",), kinks=False)  # fmt: skip
row("median of all", tc.median, torch.median, lambda make: (line_case()(make)[0], {}),
    dtypes=SIGNED, kinks=False, special=True)  # fmt: skip
OPTIONS = {"return_inverse": BOTH, "return_counts": BOTH}


def unique_case(make: Maker) -> Case:
    x = make.array(make.shape(0, 3), KINKS)
    return [x], {n: make.draw(st.booleans()) for n in OPTIONS}


def unique_rows_case(make: Maker) -> Case:
    make.empty = False
    make.kind = "kinks" if make.kind == "special" else make.kind  # PyTorch leaves NaN unsorted
    x = make.array(make.shape(1, 3), KINKS)
    return [np.ascontiguousarray(x)], {n: make.draw(st.booleans()) for n in OPTIONS} | {
        "dim": make.dim(x.ndim)
    }


row("unique", tc.unique, torch.unique, unique_case, order=0, dtypes=NUMBERS)
row("unique, dim", tc.unique, torch.unique, unique_rows_case, order=0, dtypes=SIGNED)
