"""What can be done between batches and epochs: stop early, write event files, whatever you like."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tinygrad_course.errors import OptionError

from .history import History

if TYPE_CHECKING:
    from .run import Run


class Callback:
    """What `fit` calls; derive from it and write the methods that you need.

    `run` holds the `model`, the `optimizer`, the `history` so far, the number of the `epoch` (from
    1) and the `batch` (batches done in this epoch), and `loss`, the last batch's.

    >>> class Loud(Callback):
    ...     def on_epoch_end(self, run):
    ...         print("epoch", run.epoch)
    ...         return run.history[-1].loss < 0.1  # True ends training
    """

    def on_train_begin(self, run: Run) -> None:
        """Before the first batch, of a resumed run as well."""

    def on_batch_end(self, run: Run) -> None:
        """After each step of the optimiser."""

    def on_epoch_end(self, run: Run) -> Any:
        """After each epoch, when the history has its row. Training ends if this returns True."""

    def on_train_end(self, run: Run) -> None:
        """At the end, unless an error ended it."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep: numbers, text, tensors, and lists and dicts of them."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""


class Function(Callback):
    """A plain function of the history as a callback."""

    def __init__(self, function: Callable[[History], Any]) -> None:
        self.function = function

    def on_epoch_end(self, run: Run) -> Any:
        return self.function(run.history)


class EarlyStopping(Callback):
    """End training when a column of the history no longer improves, and go back to its best epoch.

    Args:
        monitor: the column; "val_loss" unless given.
        patience: training ends after so many epochs in a row that were no better.
        min_delta: by how much an epoch must be better than the best one to count.
        mode: "min" or "max"; None takes "min" for losses and "max" for everything else.
        restore_best: give the model the weights and buffers of its best epoch at the end, whether
            training ended early or not.

    Attributes:
        best: the best number; best_epoch: its epoch.

    Raises:
        OptionError: a patience below 1, a negative min_delta, an unknown mode, a column that is not
            there.

    Source: course: Solutions to manage variance.

    >>> stop = EarlyStopping(patience=3)
    >>> stop.mode
    'min'
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0,
        mode: str | None = None, restore_best: bool = True,
    ) -> None:  # fmt: skip
        if patience < 1 or not min_delta >= 0:
            raise OptionError(
                f"EarlyStopping: patience is at least 1 and min_delta not negative, got {patience} "
                f"and {min_delta}"
            )
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.mode, self.restore_best = mode_of(monitor, mode), restore_best
        self._forget()

    def _forget(self) -> None:
        self.best = math.inf if self.mode == "min" else -math.inf
        self.best_epoch = self.waited = 0
        self.weights: dict[str, Any] = {}

    def on_train_begin(self, run: Run) -> None:
        if run.epoch == 1 and run.batch == 0:  # another run than the one before
            self._forget()

    def on_epoch_end(self, run: Run) -> bool:
        value = measured(run.history, self.monitor)
        better = operator.lt if self.mode == "min" else operator.gt
        margin = -self.min_delta if self.mode == "min" else self.min_delta
        if better(value, self.best + margin):
            self.best, self.best_epoch, self.waited = value, run.epoch, 0
            if self.restore_best:
                state = run.model.state_dict()
                self.weights = {name: v.detach().clone() for name, v in state.items()}
        else:
            self.waited += 1
        return self.waited >= self.patience

    def on_train_end(self, run: Run) -> None:
        if self.weights:
            run.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        names = ("best", "best_epoch", "waited", "weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.__dict__.update(state_dict)


def mode_of(monitor: str, mode: str | None) -> str:
    """Whether small or large is good."""
    if mode not in ("min", "max", None):
        raise OptionError(f"mode is 'min', 'max' or None, not {mode!r}")
    return mode or ("min" if monitor.endswith("loss") else "max")


def measured(history: History, monitor: str) -> float:
    """The last epoch's number in a column."""
    value = history.column(monitor)[-1]
    if value is None:
        raise OptionError(
            f"the history has no {monitor!r} to watch; it has {', '.join(history.columns)}; give "
            "fit() validation batches, or watch another column"
        )
    return float(value)


class TensorBoard(Callback):
    """Write every column of the history as event files, for `tensorboard --logdir FOLDER`.

    Args:
        folder: the files' folder, one for each run; made if need be.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError(
                "event files are written by tensorboardX; install it: "
                "pip install 'tinygrad_course[tensorboard]'"
            ) from error
        self.folder, self._writer, self._open = folder, tensorboardX.SummaryWriter, None

    def on_train_begin(self, run: Run) -> None:
        # of a run that was killed after its last checkpoint, what came later is not shown
        step = len(run.history) + 1
        self._open = self._writer(os.fspath(self.folder), purge_step=step if step > 1 else None)

    def on_epoch_end(self, run: Run) -> None:
        writer: Any = self._open
        for name in run.history.columns[1:]:
            value = run.history.column(name)[-1]
            if value is not None:
                place = "validation" if name.startswith("val_") else "training"
                writer.add_scalar(f"{place}/{name.removeprefix('val_')}", value, run.epoch)
        writer.flush()

    def on_train_end(self, run: Run) -> None:
        writer: Any = self._open
        writer.close()
