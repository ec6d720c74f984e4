"""The test table: one row for every row of the table and for every function made of them.

A row says how to call the function, which PyTorch function it must equal, and how to draw its
arguments. Three tests go over the rows: values (`test_forward`), gradients against differences
(`test_gradients`) and gradients against PyTorch (`test_torch`). A new operation needs a row here,
in its family's file; `test_complete` names the one that is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    activation,
    drawing,
    elementwise,
    index,
    linalg,
    loss,
    normalization,
    reduce,
    shape,
    sorting,
    window,
)
from .row import ROWS, Row

__all__ = ["BY_NAME", "ELSEWHERE", "ROWS", "Row", "names"]

FAMILIES = (
    activation, drawing, elementwise, index, linalg, loss, normalization, reduce, shape, sorting,
    window,
)  # fmt: skip

# Rows of the table that no Tensor function reaches by itself, and the test that has them.
ELSEWHERE = {
    "dot_scalars": "test_scalars.test_dot",
    "pick": "test_scalars.test_several_outputs",
    "to": "tests.device.test_devices.test_gradients_cross_over",
}

BY_NAME = {row.name: row for row in ROWS}


def names(chosen: Callable[[Row], Any] = lambda row: True) -> list[str]:
    """Names for a parametrized test; they read better than rows."""
    return [row.name for row in ROWS if chosen(row)]
