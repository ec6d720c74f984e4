"""How good predictions are: counts of right and wrong, class by class.

Arguments, averages and edge cases are scikit-learn's, without its warnings: a class that was never
predicted has precision 0, one that never occurs has recall 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.tensor import Tensor

Array = np.ndarray[Any, Any]
AVERAGES = ("binary", "macro", "micro", "weighted", None)


def accuracy(targets: Any, predictions: Any) -> float:
    """The share of right predictions.

    >>> accuracy([0, 1, 2, 2], [0, 1, 1, 2])
    0.75
    """
    y, p = _labels(targets, predictions)
    return float((y == p).mean())


def confusion_matrix(targets: Any, predictions: Any, labels: Any = None) -> Array:
    """Counts; row: the true class, column: the predicted one.

    Args:
        targets: the true classes, (N,).
        predictions: the predicted ones, (N,).
        labels: the classes of the rows, in order; all that occur, sorted, unless given. Samples
            with another class are left out.

    Raises:
        ShapeError: not two vectors of one length, or empty ones.
        DtypeError: values that are no classes.

    >>> confusion_matrix([0, 1, 2, 2], [0, 1, 1, 2]).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    """
    y, p = _labels(targets, predictions)
    names = np.union1d(y, p) if labels is None else np.asarray(labels).reshape(-1)
    order = np.argsort(names, kind="stable")
    kept = np.isin(y, names) & np.isin(p, names)
    rows, columns = (order[np.searchsorted(names, v[kept], sorter=order)] for v in (y, p))
    counts = np.zeros((len(names),) * 2, np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts


def precision(
    targets: Any, predictions: Any, average: str | None = "binary", pos_label: Any = 1
) -> Any:
    """Of those predicted to be of a class, the share that is: TP / (TP + FP).

    Args:
        targets: the true classes, (N,).
        predictions: the predicted ones, (N,).
        average: "binary": of the class `pos_label`, where there are two. "macro": the mean over
            classes. "weighted": the same by how often each occurs. "micro": of all classes
            together. None: one number for each class, in order.
        pos_label: the class that counts as positive.

    Raises:
        OptionError: an unknown average, "binary" for more than two classes.
        ShapeError: not two vectors of one length, or empty ones.

    >>> precision([0, 1, 1, 1], [1, 1, 1, 0])
    0.6666666666666666
    """
    hits, predicted, _, weights = _counts(targets, predictions, average, pos_label)
    return _averaged(ratio(hits, predicted), average, weights)


def recall(
    targets: Any, predictions: Any, average: str | None = "binary", pos_label: Any = 1
) -> Any:
    """Of those of a class, the share that was found: TP / (TP + FN). Arguments as `precision`.

    >>> recall([0, 1, 1, 1], [1, 1, 1, 0])
    0.6666666666666666
    """
    hits, _, occurring, weights = _counts(targets, predictions, average, pos_label)
    return _averaged(ratio(hits, occurring), average, weights)


def f1(targets: Any, predictions: Any, average: str | None = "binary", pos_label: Any = 1) -> Any:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN). Arguments as `precision`.

    >>> f1([0, 1, 2, 2], [0, 1, 1, 2], average=None).round(3).tolist()
    [1.0, 0.667, 0.667]
    """
    hits, predicted, occurring, weights = _counts(targets, predictions, average, pos_label)
    return _averaged(ratio(2 * hits, predicted + occurring), average, weights)


def _counts(
    targets: Any, predictions: Any, average: str | None, pos_label: Any
) -> tuple[Array, Array, Array, Array]:
    """Hits, predictions, occurrences and weights, class by class (one class for one number)."""
    if average not in AVERAGES:
        raise OptionError(f"average is one of {', '.join(map(repr, AVERAGES))}, not {average!r}")
    y, p = _labels(targets, predictions)
    names = np.union1d(y, p)
    if average == "binary" and (len(names) > 2 or (len(names) == 2 and pos_label not in names)):
        raise OptionError(
            f"average='binary' needs two classes, one of them pos_label={pos_label!r}; there are "
            f"{names.tolist()}; choose 'macro', 'micro', 'weighted' or None"
        )
    table = confusion_matrix(y, p, [pos_label] if average == "binary" else names)
    hits, predicted, occurring = np.diag(table), table.sum(0), table.sum(1)
    if average == "binary":
        predicted, occurring = np.array([[(v == pos_label).sum()] for v in (p, y)])
    if average == "micro":
        hits, predicted, occurring = (v.sum(keepdims=True) for v in (hits, predicted, occurring))
    return hits, predicted, occurring, occurring if average == "weighted" else np.ones(len(hits))


def ratio(part: Array, whole: Array) -> Array:
    """Shares, class by class; 0 of nothing is 0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0)


def _averaged(values: Array, average: str | None, weights: Array) -> Any:
    return values if average is None else float(np.average(values, weights=weights))


def _labels(targets: Any, predictions: Any) -> tuple[Array, Array]:
    y, p = (np.asarray(v.detach().numpy() if isinstance(v, Tensor) else v)
            for v in (targets, predictions))  # fmt: skip
    if y.shape != p.shape or y.ndim != 1 or not y.size:
        raise ShapeError(
            f"targets and predictions are vectors of classes, as many of the one as of the other, "
            f"at least one; got shapes {y.shape} and {p.shape}; of scores take .argmax(1) first"
        )
    if not {y.dtype.kind, p.dtype.kind} <= set("iubUS"):
        raise DtypeError(f"classes are whole numbers or text, got {y.dtype} and {p.dtype}")
    return y, p
