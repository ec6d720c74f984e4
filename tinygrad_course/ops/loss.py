"""Loss rows: where the chain rule through the parts would be slower, or wrong at the edge."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.devices import faster
from tinygrad_course.kernels import cost
from tinygrad_course.primitive import Primitive

from .elementwise import binary, clamp, log, maximum
from .reduce import softmax_at

cross_entropy = Primitive(
    "cross_entropy", "−Σ ln softmax(x)[n, label[n]] / m over the m rows of x that count",
    faster("cross_entropy", cost.cross_entropy, least=1),
    faster("cross_entropy_back", cost.cross_entropy_back,
           lambda *args, **how: _recorded(*args, **how), by=2, least=1),
)
# the logarithms stop at −100 and the slope at 1e12: a prediction that is sure and wrong costs
# something finite
binary_cross_entropy = binary(
    "binary_cross_entropy", "−y ln x − (1 − y) ln(1 − x), logarithms cut off at −100",
    lambda x, y: (y - 1) * np.maximum(np.log1p(-x), -100) - y * np.maximum(np.log(x), -100),
    lambda x, y: float(binary_cross_entropy.forward(np.float64(x), np.float64(y))),
    lambda g, out, x, y: g * (x - y) / maximum(x * (1 - x), 1e-12),
    lambda g, out, x, y: g * (_log(1 - x) - _log(x)),
)


def _recorded(g: Any, out: Any, x: Any, labels: Any, *, ignore: int | None = None) -> Any:
    """The slope of the cross-entropy, to be differentiated again."""
    ones, share = cost.one_hot(x._data, labels._data, ignore)
    return (softmax_at(x, dim=1) - ones) * (g * share)


def _log(x: Any) -> Any:
    return clamp(log(x), min=-100.0, max=None)
