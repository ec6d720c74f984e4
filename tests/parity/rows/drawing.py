"""Random functions where chance has no say, and new tensors in the dtype of another.

`tests/test_creation.py` looks at what they draw.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import tinygrad_course as tc

from .row import ANY, TRUTH, Case, Maker, row

FLOATS = ("float64", "float32", "float16")


def certain_case(make: Maker) -> Case:
    """Probabilities 0 and 1."""
    make.kind = "mixed"
    return [make.array(make.shape(), TRUTH)], {}


def one_category_case(make: Maker) -> Case:
    """Rows with one weight that is not 0."""
    sizes = make.draw(st.sampled_from(((), (1,), (3,))))
    width = make.draw(st.integers(1, 4))
    chosen = np.array(make.draw(st.lists(st.integers(0, width - 1), min_size=3, max_size=3)))
    weights = np.eye(width)[chosen[: sizes[0]] if sizes else chosen[0]] * 2.5
    count = make.draw(st.integers(1, 3))
    how = {"num_samples": count, "replacement": True} if count > 1 else {"num_samples": 1}
    return [weights.astype(make.draw(st.sampled_from(FLOATS)))], how


def like_case(make: Maker) -> Case:
    make.kind = "mixed"
    dtype = make.draw(st.sampled_from((None, "float64", "int64", "bool")))
    return [make.array(make.shape())], {"dtype": dtype}


def named(f: Any) -> Any:
    """PyTorch's function, with its own dtype for a name."""
    return lambda *args, dtype, **how: f(
        *args, dtype=None if dtype is None else getattr(torch, dtype), **how
    )


row("bernoulli", tc.bernoulli, torch.bernoulli, certain_case, order=0, dtypes=FLOATS)
row("bernoulli, p", lambda x: x.bernoulli(1.0), lambda x: x.bernoulli(1.0), certain_case, order=0,
    dtypes=ANY)  # fmt: skip
row("multinomial", tc.multinomial, torch.multinomial, one_category_case, order=0)
row("normal_", lambda x: (x * 1).normal_(2.5, 0), lambda x: (x * 1).normal_(2.5, 0), certain_case,
    order=0, dtypes=FLOATS)  # fmt: skip
row("uniform_", lambda x: (x + 0).uniform_(0.5, 0.5), lambda x: (x + 0).uniform_(0.5, 0.5),
    certain_case, order=0, dtypes=FLOATS)  # fmt: skip
row("bernoulli_", lambda x: x.clone().bernoulli_(1.0), lambda x: x.clone().bernoulli_(1.0),
    certain_case, order=0, dtypes=ANY)  # fmt: skip
for name in ["new_zeros", "new_ones"]:
    row(name, lambda x, dtype, n=name: getattr(x, n)(2, 3, dtype=dtype),
        named(lambda x, dtype, n=name: getattr(x, n)(2, 3, dtype=dtype)),
        like_case, order=0, dtypes=ANY)  # fmt: skip
row("new_full", lambda x, dtype: x.new_full((2,), 1, dtype=dtype),
    named(lambda x, dtype: x.new_full((2,), 1, dtype=dtype)), like_case, order=0,
    dtypes=ANY)  # fmt: skip
row("new_tensor", lambda x, dtype: x.new_tensor([0, 1], dtype=dtype),
    named(lambda x, dtype: x.new_tensor([0, 1], dtype=dtype)), like_case, order=0,
    dtypes=ANY)  # fmt: skip
row("new_empty", lambda x, dtype: x.new_empty(2, 0, dtype=dtype),
    named(lambda x, dtype: x.new_empty(2, 0, dtype=dtype)), like_case, order=0,
    dtypes=ANY)  # fmt: skip
