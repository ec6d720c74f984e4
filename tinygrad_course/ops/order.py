"""Order: where the smallest is, the next, and so on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.primitive import Primitive

argsort_at = Primitive(
    "argsort", "the places of the elements in rising order, equals as they stand; NaN is largest",
    lambda x, *, dim, descending: _argsort(x, dim, descending),
)


def _argsort(x: Any, dim: int, descending: bool) -> Any:
    if not descending:
        return x.argsort(axis=dim, kind="stable")
    # sorted backwards and turned round: equals stay in their order, and NaN comes first
    back = np.flip(x, dim).argsort(axis=dim, kind="stable")
    return x.shape[dim] - 1 - np.flip(back, dim)
