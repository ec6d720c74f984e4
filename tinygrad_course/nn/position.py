"""Positional encodings: attention sees a set of vectors; these tell it where each one stands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course import creation
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.ops import shape

from . import init
from .dropout import Dropout
from .linear import check_size
from .module import Module, Parameter


class _Added(Module):
    """dropout(x + the table's rows for the places 0 to L − 1)."""

    def __init__(self, d_model: int, max_len: int, dropout: float, batch_first: bool) -> None:
        super().__init__()
        self.d_model = check_size("d_model", d_model)
        self.max_len = check_size("max_len", max_len)
        self.batch_first = batch_first
        self.dropout = Dropout(dropout)

    def _table(self) -> Any:
        """(max_len, d_model)."""
        raise NotImplementedError

    def forward(self, input: Any) -> Any:
        lone, name = input.ndim == 2, type(self).__name__
        if input.ndim not in (2, 3) or input.shape[-1] != self.d_model:
            raise ShapeError(
                f"{name}: the input needs 2 or 3 dimensions, the last of {self.d_model}, got "
                f"{input.shape}"
            )
        steps = input.shape[-2 if lone or self.batch_first else 0]
        if steps > self.max_len:
            raise ShapeError(f"{name}: made for {self.max_len} places, the input has {steps}")
        places = self._table()[:steps]
        places = places if lone or self.batch_first else shape.unsqueeze(places, 1)
        return self.dropout(input + places)

    def extra_repr(self) -> str:
        return f"{self.d_model}, max_len={self.max_len}, batch_first={self.batch_first}"


class SinusoidalEncoding(_Added):
    """x + p, with p[t, 2i] = sin(t / 10000^(2i / d)) and p[t, 2i + 1] the cosine of the same.

    A place further on is a rotation of each pair, so that distances are the same everywhere.

    Shapes: x (L, N, d_model), with batch_first (N, L, d_model), or (L, d_model); result the same.
    The table is a buffer that the state dict leaves out; nothing is learnt.

    Args:
        max_len: the longest sequence.
        dropout: the probability of dropout behind the sum.

    Raises:
        ShapeError: another d_model, or a sequence that is longer.

    Source: Vaswani et al. 2017, section 3.5.

    >>> import tinygrad_course as tc
    >>> tc.nn.SinusoidalEncoding(4)(tc.zeros(2, 4))[0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self, d_model: int, max_len: int = 5000, dropout: float = 0.0, batch_first: bool = False
    ) -> None:
        super().__init__(d_model, max_len, dropout, batch_first)
        pair = np.arange(d_model) // 2
        angle = np.arange(max_len)[:, None] / 10000.0 ** (2 * pair / max(d_model, 1))
        table = np.where(np.arange(d_model) % 2, np.cos(angle), np.sin(angle))
        kept = creation.tensor(table, creation.empty(0).dtype)
        self.register_buffer("table", kept, persistent=False)

    def _table(self) -> Any:
        return self.table


class LearnedEncoding(_Added):
    """x + weight[t]: a learnt vector for each place.

    Shapes, arguments and errors: as `SinusoidalEncoding`; `weight` (max_len, d_model).
    Initial values: N(0, 0.02²), as in GPT-2.

    Source: Gehring et al. 2017.

    >>> import tinygrad_course as tc
    >>> tc.nn.LearnedEncoding(4, max_len=10)(tc.zeros(7, 2, 4)).shape
    (7, 2, 4)
    """

    def __init__(
        self, d_model: int, max_len: int, dropout: float = 0.0, batch_first: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(d_model, max_len, dropout, batch_first)
        self.weight = Parameter(creation.empty(max_len, d_model, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.normal_(self.weight, 0.0, 0.02)

    def _table(self) -> Any:
        return self.weight


class RotaryEncoding(Module):
    """Each pair (xᵢ, xᵢ₊ₕ), h = dim / 2, turned by the angle t / base^(i / h) at place t.

    For queries and keys before their product: this then depends on their distance only.

    Shapes: x (..., L, dim), result the same.

    Raises:
        OptionError: an odd dim.
        ShapeError: an input that does not end in (L, dim).

    Source: Su et al. 2021.

    >>> import tinygrad_course as tc
    >>> turned = tc.nn.RotaryEncoding(2)(tc.tensor([[1.0, 0.0], [1.0, 0.0]]))
    >>> [[round(v, 3) for v in row] for row in turned.tolist()]  # cos 1, sin 1
    [[1.0, 0.0], [0.54, 0.841]]
    """

    def __init__(self, dim: int, base: float = 10000.0) -> None:
        super().__init__()
        if check_size("dim", dim) % 2:
            raise OptionError(f"RotaryEncoding: dim is halved into pairs, and {dim} is odd")
        self.dim, self.base = dim, base

    def forward(self, input: Any, start: int = 0) -> Any:
        """Turn; `start` is the place of the first step."""
        if input.ndim < 2 or input.shape[-1] != self.dim:
            raise ShapeError(
                f"RotaryEncoding: the input is (..., L, {self.dim}), got {input.shape}"
            )
        half = self.dim // 2
        speed = np.exp(-math.log(self.base) * np.arange(half) / max(half, 1))
        angle = np.arange(start, start + input.shape[-2])[:, None] * speed
        cos, sin = (creation.tensor(f(angle), input.dtype, input.device) for f in (np.cos, np.sin))
        a, b = shape.split(input, half, -1) if half else (input, input)
        return shape.cat([a * cos - b * sin, a * sin + b * cos], -1)

    def extra_repr(self) -> str:
        return f"{self.dim}, base={self.base}"
