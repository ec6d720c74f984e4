"""The training loop: batches in, a history out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .autograd import no_grad
from .errors import OptionError, ShapeError
from .nn.functional import cross_entropy, softmax
from .tensor import Tensor


class Epoch(NamedTuple):
    """One row of a history. Accuracies are fractions; None where there is nothing to measure."""

    epoch: int
    loss: float
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float


class History(list[Epoch]):
    """What happened, epoch by epoch: a list of `Epoch` rows.

    >>> history = History([Epoch(1, 0.5, 0.75, None, None, 0.1)])
    >>> history.column("loss")
    [0.5]
    >>> print(history.table())
    epoch   loss  accuracy  val_loss  val_accuracy  seconds
        1  0.500     0.750         –             –    0.100
    """

    def column(self, name: str) -> list[Any]:
        """One number of every epoch."""
        return [getattr(row, name) for row in self]

    def table(self) -> str:
        """The rows as text, columns aligned."""
        rows = [Epoch._fields, *[[_text(v) for v in row] for row in self]]
        widths = [max(len(row[i]) for row in rows) for i in range(len(Epoch._fields))]
        return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)


def _text(value: float | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"


def fit(
    model: Any,
    loss_fn: Callable[[Any, Any], Any],
    optimizer: Any,
    train_loader: Iterable[Any],
    validation: Iterable[Any] | None = None,
    epochs: int = 10,
    progress: bool = True,
    callbacks: Iterable[Callable[[History], Any]] = (),
) -> History:
    """Train a model: for each batch, forward, loss, backward, step.

    The model trains in train mode and is left in the mode in which it came.

    Args:
        model: a Module, or anything that maps a batch of inputs to outputs.
        loss_fn: maps outputs and targets to a mean loss, for example `nn.CrossEntropyLoss()`.
        optimizer: holds the model's parameters.
        train_loader: batches (inputs, targets), a new pass every epoch.
        validation: batches to measure on after every epoch; never trained on.
        epochs: passes over the training batches.
        progress: show a bar for each epoch (with tqdm installed) or print a line.
        callbacks: called with the history after every epoch; training ends when one returns True.

    Returns:
        The history. Its loss and accuracy are means over the epoch, while the model learned.

    Raises:
        FloatingPointError: the loss is no longer finite.
        OptionError: `epochs` below 1, or a loader without batches.
        ShapeError: a batch without examples.
    """
    if epochs < 1:
        raise OptionError(f"epochs is at least 1, got {epochs}")
    history, callbacks = History(), tuple(callbacks)
    with _mode(model, training=True):
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            with _bar(train_loader, f"epoch {epoch}/{epochs}", progress) as bar:
                mean = _train_epoch(model, loss_fn, optimizer, bar)
                held_out = None if validation is None else evaluate(model, validation, loss_fn)
                seconds = time.perf_counter() - start
                history.append(_row(epoch, mean, held_out, seconds))
                bar.show(mean, held_out)
            if True in [callback(history) for callback in callbacks]:
                break
    return history


def _train_epoch(model: Any, loss_fn: Any, optimizer: Any, bar: _Bar) -> _Mean:
    mean = _Mean()
    for batch in bar:
        x, y = _pair(batch)
        out = model(x)
        loss = loss_fn(out, y)
        if not math.isfinite(loss.item()):
            raise FloatingPointError(
                f"the loss became {loss.item()} in {bar.name}; try a smaller learning rate"
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean.add(loss, out, y)
        bar.show(mean)
    mean.check()
    return mean


def _row(epoch: int, mean: _Mean, held_out: Evaluation | None, seconds: float) -> Epoch:
    if held_out is None:
        return Epoch(epoch, mean.loss, mean.accuracy, None, None, seconds)
    return Epoch(epoch, mean.loss, mean.accuracy, held_out.loss, held_out.accuracy, seconds)


# --- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evaluation:
    """What a model does on a set of batches.

    Attributes:
        loss: the mean loss over all samples.
        accuracy: the fraction of right predictions; None where targets are not classes.
        outputs: the model's outputs, in the loader's order.
        targets: the targets, in the same order.
    """

    loss: float
    accuracy: float | None
    outputs: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]

    @property
    def predictions(self) -> np.ndarray[Any, Any]:
        """The class with the largest output."""
        return np.asarray(self.outputs.argmax(1))

    @property
    def probabilities(self) -> np.ndarray[Any, Any]:
        """The softmax of the outputs."""
        return softmax(Tensor(self.outputs), dim=1).numpy()

    @property
    def correct(self) -> int:
        """How many predictions are right."""
        return int((self.predictions == self.targets).sum())

    @property
    def confusion(self) -> np.ndarray[Any, Any]:
        """Counts; row: the true class, column: the predicted one."""
        counts = np.zeros((self.outputs.shape[1],) * 2, dtype=np.int64)
        np.add.at(counts, (self.targets, self.predictions), 1)
        return counts


def evaluate(
    model: Any, loader: Iterable[Any], loss_fn: Callable[[Any, Any], Any] = cross_entropy
) -> Evaluation:
    """Run a model over batches in eval mode, recording nothing, and measure it.

    The model is left in the mode in which it came.

    Raises:
        OptionError: a loader without batches.
    """
    mean = _Mean()
    outputs, targets = [], []
    with _mode(model, training=False), no_grad():
        for batch in loader:
            x, y = _pair(batch)
            out = model(x)
            mean.add(loss_fn(out, y), out, y)
            outputs.append(out.numpy())
            targets.append(y.numpy())
    mean.check()
    return Evaluation(mean.loss, mean.accuracy, np.concatenate(outputs), np.concatenate(targets))


class _Mean:
    """Loss and accuracy so far, every sample with the same weight."""

    def __init__(self) -> None:
        self.samples = self.correct = 0
        self.total = 0.0
        self.classes = True

    def add(self, loss: Any, out: Any, y: Any) -> None:
        self.samples += len(y)
        self.total += loss.item() * len(y)
        self.classes &= out.ndim == 2 and y.ndim == 1 and y.dtype.kind in "iu"
        if self.classes:
            self.correct += int((out.detach().numpy().argmax(1) == y.numpy()).sum())

    def check(self) -> None:
        if not self.samples:
            raise OptionError("the loader gave no batches; is its dataset empty?")

    @property
    def loss(self) -> float:
        return self.total / self.samples

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.samples if self.classes else None


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise OptionError("a batch is a pair (inputs, targets); give a collate_fn that makes pairs")
    if 0 in getattr(batch[0], "shape", ())[:1]:
        raise ShapeError(
            f"an empty batch: the inputs have shape {batch[0].shape}; a mean over no examples is "
            "not a number, so leave empty batches out"
        )
    return batch[0], batch[1]


class _mode:
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


# --- showing --------------------------------------------------------------------------------------


class _Bar:
    """The batches of an epoch behind a progress bar; without tqdm, a printed line at the end."""

    def __init__(self, batches: Iterable[Any], name: str, bar: Any, printed: bool) -> None:
        self.batches, self.name, self.bar, self.printed = batches, name, bar, printed
        self.text = ""

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.printed and kind is None:
            print(f"{self.name}: {self.text}", flush=True)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            yield batch
            if self.bar is not None:
                self.bar.update()

    def show(self, mean: _Mean, held_out: Evaluation | None = None) -> None:
        """Bring the numbers up to date."""
        parts = [f"loss {mean.loss:.3f}"]
        if mean.accuracy is not None:
            parts.append(f"accuracy {mean.accuracy:.1%}")
        if held_out is not None:
            measure = held_out.accuracy
            shown = f"loss {held_out.loss:.3f}" if measure is None else f"{measure:.1%}"
            parts.append(f"held-out {shown}")
        self.text = ", ".join(parts)
        if self.bar is not None:
            self.bar.set_postfix_str(self.text, refresh=held_out is not None)


def _bar(batches: Iterable[Any], name: str, progress: bool) -> _Bar:
    bar = None
    if progress:
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            total = len(batches) if isinstance(batches, Sized) else None
            bar = tqdm(total=total, desc=name, unit="batch", dynamic_ncols=True)
    return _Bar(batches, name, bar, printed=progress)
