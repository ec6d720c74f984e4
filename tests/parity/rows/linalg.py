"""Products of matrices."""

from __future__ import annotations

import torch.nn.functional as F
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_course.ops import linalg
from tinygrad_course.testing.strategies import REAL

from .row import Case, Maker, shape_row


@shape_row("matmul", covers=("__matmul__",))
def matmul_case(make: Maker) -> Case:
    found = make.draw(
        hnp.mutually_broadcastable_shapes(
            signature="(n?,k),(k,m?)->(n?,m?)", max_dims=2, max_side=3, min_side=not make.empty
        )
    )
    dtype = make.dtype()
    return [make.array(s, REAL, dtype) for s in found.input_shapes], {}


@shape_row("mm")
def mm_case(make: Maker) -> Case:
    n, k, m = (make.draw(st.integers(1, 3)) for _ in range(3))
    dtype = make.dtype()
    return [make.array((n, k), REAL, dtype), make.array((k, m), REAL, dtype)], {}


@shape_row("linear", ours=linalg.linear, oracle=F.linear)
def linear_case(make: Maker) -> Case:
    lead = make.shape(0, 2)
    n, m = make.draw(st.integers(1, 3)), make.draw(st.integers(1, 3))
    dtype = make.dtype()
    bias = [make.array((m,), REAL, dtype)] if make.draw(st.booleans()) else []
    return [make.array((*lead, n), REAL, dtype), make.array((m, n), REAL, dtype), *bias], {}
