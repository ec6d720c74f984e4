"""Loss rows: where the chain rule through the parts would be slower, or wrong at the edge."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.graph import Value
from tinygrad_course.primitive import Primitive

from .elementwise import binary, clamp, log, maximum
from .reduce import softmax_at

cross_entropy = Primitive(
    "cross_entropy", "−Σ ln softmax(x)[n, label[n]] / m, the mean over the m rows of x",
    lambda x, labels: _cross_entropy(x, labels),
    lambda g, out, x, labels: (softmax_at(x, dim=1) - _one_hot(labels, x)) * (g / len(x)),
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


def _cross_entropy(x: Any, labels: Any) -> Any:
    z = x - x.max(axis=1, keepdims=True)
    chosen = z[np.arange(len(z)), labels]
    total = np.exp(z, out=z).sum(axis=1)
    return (np.log(total, out=total) - chosen).mean()


def _one_hot(labels: Any, x: Any) -> Any:
    """1 at each row's label, else 0: a constant, whatever the rule runs on."""
    labels = labels._data if isinstance(labels, Value) else labels
    out = np.zeros(x.shape, x.dtype)
    out[np.arange(len(out)), labels] = 1
    return out


def _log(x: Any) -> Any:
    return clamp(log(x), min=-100.0, max=None)
