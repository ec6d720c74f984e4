"""Losses."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from hypothesis import strategies as st

from tinygrad_course.ops import loss
from tinygrad_course.testing.strategies import UNIT

from .row import Case, Maker, row


def labels_case(make: Maker) -> Case:
    rows, classes = make.draw(st.integers(1, 3)), make.draw(st.integers(1, 3))
    labels = st.integers(0, classes - 1)
    chosen = np.array([make.draw(labels) for _ in range(rows)], dtype=np.int64)
    return [make.array((rows, classes)), chosen], {}


def probabilities_case(make: Maker) -> Case:
    shape, dtype = make.shape(), make.dtype()
    return [make.array(shape, UNIT, dtype), make.array(shape, UNIT, dtype)], {}


row("cross_entropy", loss.cross_entropy, F.cross_entropy, labels_case)
row("binary_cross_entropy", loss.binary_cross_entropy,
    lambda x, y: F.binary_cross_entropy(x, y, reduction="none"),
    probabilities_case, kinks=False)  # fmt: skip
