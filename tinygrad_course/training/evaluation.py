"""Measuring a model on a set of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.loss import BCELoss, BCEWithLogitsLoss
from tinygrad_course.nn.module import Module
from tinygrad_course.tensor import Tensor

from . import metrics
from .history import aligned

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Evaluation:
    """What a model does on a set of batches.

    Attributes:
        loss: the mean loss over all samples.
        accuracy: the fraction of right predictions; None where targets are not classes.
        outputs: the model's outputs, in the loader's order.
        targets: the targets, in the same order.
        threshold: the output from which on a sample counts as class 1, for losses of two classes
            with one output: 0 for BCEWithLogitsLoss, 1/2 for BCELoss. None for other losses.
    """

    loss: float
    accuracy: float | None
    outputs: Array
    targets: Array
    threshold: float | None = None

    @property
    def predictions(self) -> Array:
        """The class with the largest output; with one output, whether it reaches the threshold."""
        return predicted(self.outputs, self.threshold)

    @property
    def classes(self) -> Array:
        """The targets as a vector of whole numbers."""
        return _flat(self.targets) if self.threshold is not None else self.targets

    @property
    def probabilities(self) -> Array:
        """The softmax of the outputs."""
        return F.softmax(Tensor(self.outputs), dim=1).numpy()

    @property
    def correct(self) -> int:
        """How many predictions are right."""
        return int((self.predictions == self.classes).sum())

    @property
    def confusion(self) -> Array:
        """Counts; row: the true class, column: the predicted one."""
        n = 2 if self.threshold is not None else self.outputs.shape[1]
        return metrics.confusion_matrix(self.classes, self.predictions, range(n))

    def precision(self, average: str | None = "auto") -> Any:
        """`metrics.precision`; "auto" is "binary" for two classes and "macro" for more."""
        return metrics.precision(self.classes, self.predictions, self._average(average))

    def recall(self, average: str | None = "auto") -> Any:
        """`metrics.recall`; averages as `precision`."""
        return metrics.recall(self.classes, self.predictions, self._average(average))

    def f1(self, average: str | None = "auto") -> Any:
        """`metrics.f1`; averages as `precision`."""
        return metrics.f1(self.classes, self.predictions, self._average(average))

    def table(self, names: Sequence[str] | None = None) -> str:
        """Precision, recall and F1 of each class, how often it occurs, and their means, as text.

        Args:
            names: the classes' names, in order; their numbers unless given.

        Raises:
            OptionError: as many names as there are not classes.

        >>> print(Evaluation(0.5, 0.75, np.eye(2)[[0, 1, 1, 1]], np.array([0, 0, 1, 1])).table())
        class  precision  recall      f1  samples
        0         1.0000  0.5000  0.6667        2
        1         0.6667  1.0000  0.8000        2
        mean      0.8333  0.7500  0.7333        4
        """
        counts = self.confusion
        if names is not None and len(names) != len(counts):
            raise OptionError(f"{len(counts)} classes need as many names, got {len(names)}")
        hits, predicted, occurring = np.diag(counts), counts.sum(0), counts.sum(1)
        columns = [
            metrics.ratio(hits, predicted), metrics.ratio(hits, occurring),
            metrics.ratio(2 * hits, predicted + occurring),
        ]  # fmt: skip
        rows = [["class", "precision", "recall", "f1", "samples"]]
        for i, count in enumerate(occurring):
            name = str(i) if names is None else names[i]
            rows.append([name, *(f"{column[i]:.4f}" for column in columns), str(count)])
        means = [f"{column.mean():.4f}" for column in columns]
        return aligned([*rows, ["mean", *means, str(occurring.sum())]], left=1)

    def _average(self, average: str | None) -> str | None:
        two = self.threshold is not None or self.outputs.shape[1] == 2
        return average if average != "auto" else "binary" if two else "macro"


def evaluate(
    model: Any, loader: Iterable[Any], loss_fn: Callable[[Any, Any], Any] = F.cross_entropy
) -> Evaluation:
    """Run a model over batches in eval mode, recording nothing, and measure it.

    The model is left in the mode in which it came.

    Raises:
        OptionError: a loader without batches.
        ShapeError: a batch without examples.

    >>> import tinygrad_course as tc
    >>> batches = [(tc.tensor([[2.0, 0.0], [0.0, 1.0]]), tc.tensor([0, 0]))]
    >>> evaluate(tc.nn.Identity(), batches).accuracy
    0.5
    """
    mean = Mean(threshold_of(loss_fn))
    outputs, targets = [], []
    with Mode(model, training=False), no_grad():
        for batch in loader:
            x, y = pair(batch, model)
            out = model(x)
            mean.add(loss_fn(out, y), out, y)
            outputs.append(on_cpu(out))
            targets.append(on_cpu(y))
    mean.check()
    found = np.concatenate(outputs), np.concatenate(targets)
    return Evaluation(mean.loss, mean.accuracy, *found, mean.threshold)


def threshold_of(loss_fn: Any) -> float | None:
    """Where an output begins to mean class 1, for losses that take one output for two classes."""
    if isinstance(loss_fn, BCEWithLogitsLoss) or loss_fn is F.binary_cross_entropy_with_logits:
        return 0.0
    return 0.5 if isinstance(loss_fn, BCELoss) or loss_fn is F.binary_cross_entropy else None


def predicted(outputs: Array, threshold: float | None) -> Array:
    """The class of each row of outputs; of each output, where several may be class 1 at once."""
    if threshold is None:
        return np.asarray(outputs.argmax(1))
    single = outputs.size == len(outputs)
    return ((outputs.reshape(-1) if single else outputs) >= threshold).astype(np.int64)


def _flat(targets: Array) -> Array:
    return targets.reshape(-1).astype(np.int64)


def on_cpu(tensor: Any) -> Array:
    """The numbers of a tensor, wherever it lives."""
    return devices.to_numpy(tensor.detach()._data)


class Mean:
    """Loss and accuracy so far, every sample with the same weight."""

    def __init__(self, threshold: float | None = None) -> None:
        self.samples = self.correct = 0
        self.total = 0.0
        self.classes = True
        self.threshold = threshold

    def add(self, loss: Any, out: Any, y: Any) -> None:
        self.samples += len(y)
        self.total += loss.item() * len(y)
        self.classes &= self._are_classes(out, y)
        if self.classes:
            truth = on_cpu(y) if self.threshold is None else _flat(on_cpu(y))
            self.correct += int((predicted(on_cpu(out), self.threshold) == truth).sum())

    def _are_classes(self, out: Any, y: Any) -> bool:
        if self.threshold is None:
            return out.ndim == 2 and y.ndim == 1 and y.dtype.kind in "iu"
        single = out.numel() == len(out) and out.shape == y.shape
        return single and bool(np.isin(on_cpu(y), (0, 1)).all())

    def check(self) -> None:
        if not self.samples:
            raise OptionError("the loader gave no batches; is its dataset empty?")

    @property
    def loss(self) -> float:
        return self.total / self.samples

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.samples if self.classes else None


def pair(batch: Any, model: Any = None) -> tuple[Any, Any]:
    """Inputs and targets of a batch, which must not be empty, on the device of a model."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise OptionError("a batch is a pair (inputs, targets); give a collate_fn that makes pairs")
    if 0 in getattr(batch[0], "shape", ())[:1]:
        raise ShapeError(
            f"an empty batch: the inputs have shape {batch[0].shape}; a mean over no examples is "
            "not a number, so leave empty batches out"
        )
    return beside(model, batch[0]), beside(model, batch[1])


def beside(model: Any, values: Any) -> Any:
    """A tensor on the device of a module's parameters; anything else as it is."""
    first = next(model.parameters(), None) if isinstance(model, Module) else None
    movable = first is not None and isinstance(values, Tensor)
    return values.to(first.device) if movable else values  # type: ignore[union-attr]


class Mode:
    """Train or eval mode inside a `with` block, and each module's own mode again after it."""

    def __init__(self, model: Any, training: bool) -> None:
        self.modules = list(model.modules()) if hasattr(model, "modules") else []
        self.training = training

    def __enter__(self) -> None:
        self.before = [module.training for module in self.modules]
        for module in self.modules:
            module.training = self.training

    def __exit__(self, *_: object) -> None:
        for module, before in zip(self.modules, self.before, strict=True):
            module.training = before
