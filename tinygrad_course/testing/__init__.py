"""Testing gradients: a checker that is right at kinks, and Hypothesis strategies for tensors.

`gradcheck` compares the backward rules of a function, a module or a `Function` with differences of
its values. `strategies` draws tensors of every shape and layout, `check` makes whole property tests
and marks for a student's function, `fuzz` grows random programs. These three need Hypothesis, the
extra `testing`, and are imported when they are first named. README.md beside this file teaches all
of it.

>>> import tinygrad_course as tc
>>> from tinygrad_course.testing import gradcheck
>>> x = tc.tensor([0.5, 2.0], dtype=tc.float64, requires_grad=True)
>>> bool(gradcheck(lambda x: (x * x).tanh(), x, order=2))
True
"""

from __future__ import annotations

import importlib
from typing import Any

from .gradcheck import GradientMismatch, Report, gradcheck

__all__ = ["GradientMismatch", "Report", "check", "fuzz", "gradcheck", "strategies"]


def __getattr__(name: str) -> Any:
    if name in ("check", "fuzz", "strategies"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
