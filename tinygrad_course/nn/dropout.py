"""Dropout: noise in training that makes units less dependent on each other (Srivastava 2014)."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module


class Dropout(Module):
    """In training each element is 0 with probability p, else divided by 1 − p; in eval nothing.

    Raises:
        OptionError: p outside 0 to 1.

    >>> import tinygrad_course as tc
    >>> tc.nn.Dropout(0.5).eval()(tc.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p, self.inplace = F.check_probability("Dropout", p), inplace

    def forward(self, input: Any) -> Any:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
