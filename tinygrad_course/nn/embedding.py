"""Embedding: a learnt vector for each word of a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course import creation
from tinygrad_course.errors import ShapeError

from . import functional as F
from . import init
from .linear import check_size
from .module import Module, Parameter, write


class Embedding(Module):
    """y = weight[x]: the rows of a table, chosen by integers.

    Shapes: x (...) of integers, result (..., embedding_dim); `weight` (num_embeddings,
    embedding_dim).
    Initial values: N(0, 1); the row padding_idx 0.

    Args:
        padding_idx: a row that stays as it is: its gradient is 0. It may count from the end.

    Raises:
        OptionError: a padding_idx, or an integer in x, that is not a row; max_norm,
            scale_grad_by_freq and sparse, which are not supported.
        DtypeError: x holds no integers.

    >>> import tinygrad_course as tc
    >>> words = tc.nn.Embedding(5, 3, padding_idx=0)
    >>> words(tc.tensor([[1, 4, 0]])).shape
    (1, 3, 3)
    >>> words(tc.tensor(0)).tolist()
    [0.0, 0.0, 0.0]
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
        max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
        sparse: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        F.refuse_table_options("Embedding", max_norm, scale_grad_by_freq, sparse)
        self.num_embeddings = check_size("num_embeddings", num_embeddings)
        self.embedding_dim = check_size("embedding_dim", embedding_dim)
        self.padding_idx = F.row_number("Embedding: padding_idx", padding_idx, num_embeddings)
        made = creation.empty(num_embeddings, embedding_dim, device=device, dtype=dtype)
        self.weight = Parameter(made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values again."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            values = self.weight._data.copy()
            values[self.padding_idx] = 0
            write(self.weight, values)

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A layer with this table, (num_embeddings, embedding_dim); frozen: it does not learn."""
        if embeddings.ndim != 2:
            raise ShapeError(f"from_pretrained: the table has 2 dimensions, not {embeddings.shape}")
        rows, size = embeddings.shape
        layer = cls(rows, size, padding_idx, dtype=embeddings.dtype)
        write(layer.weight, np.asarray(embeddings.detach().numpy()))
        layer.weight.requires_grad_(not freeze)
        return layer

    def forward(self, input: Any) -> Any:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
