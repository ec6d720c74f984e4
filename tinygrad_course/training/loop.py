"""The training loop: batches in, a history out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinygrad_course.errors import OptionError
from tinygrad_course.files import StrPath

from .callbacks import Callback, Function
from .evaluation import Evaluation
from .history import History
from .run import Run

NAMED: dict[str, Callable[[Evaluation], float]] = {
    "precision": Evaluation.precision, "recall": Evaluation.recall, "f1": Evaluation.f1,
}  # fmt: skip


def fit(
    model: Any,
    loss_fn: Callable[[Any, Any], Any],
    optimizer: Any,
    train_loader: Iterable[Any],
    validation: Iterable[Any] | None = None,
    epochs: int = 10,
    progress: bool = True,
    callbacks: Iterable[Any] = (),
    *,
    metrics: Iterable[str] | Mapping[str, Callable[[Evaluation], float]] = (),
    scheduler: Any = None,
    batch_scheduler: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    penalty: Callable[[Any], Any] | None = None,
    checkpoint: StrPath | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
) -> History:
    """Train a model: for each batch, forward, loss, backward, step.

    The model trains in train mode and is left in the mode in which it came. Ctrl-C ends training
    after the batch at hand: the model is whole, and the history of the epochs so far is returned,
    with `history.stopped == "interrupted"`. A second Ctrl-C raises KeyboardInterrupt at once.

    With `checkpoint=` the whole run is kept in a file after every epoch, and with `resume=True` a
    run that was killed goes on from it as if nothing had happened: make the same model, optimiser,
    schedules, loaders and callbacks again and call `fit` with the same arguments, and the weights
    end up the same to the last bit. A run that had ended is not trained again, unless `epochs` is
    larger now. Batches must depend on nothing but the seed: a DataLoader's do. Of a loader without
    `state_dict` the batches of the broken-off epoch are gone through again, unused. The last bit
    also depends on the machine and on how many threads it computes with.

    Args:
        model: a Module, or anything that maps a batch of inputs to outputs.
        loss_fn: maps outputs and targets to a mean loss, for example `nn.CrossEntropyLoss()`.
        optimizer: holds the model's parameters.
        train_loader: batches (inputs, targets), a new pass every epoch.
        validation: batches to measure on after every epoch; never trained on.
        epochs: passes over the training batches.
        progress: show a bar for each epoch (with tqdm installed) or print a line.
        callbacks: `Callback`s, or functions called with the history after every epoch; training
            ends when one returns True.
        metrics: what else to measure on the validation batches: "precision", "recall", "f1", or a
            dict of names and functions of an `Evaluation`. Columns `val_<name>` of the history.
        scheduler: a schedule, or several, stepped after every epoch (ReduceLROnPlateau with the
            validation loss, or the training loss if there is none).
        batch_scheduler: the same, stepped after every batch, as OneCycleLR wants it.
        clip_norm: bound the norm of all gradients together.
        clip_value: bound every element of the gradients.
        penalty: a function of the model, added to the loss that is minimised, such as
            `lambda model: l2_penalty(model, lam=0.1, m=len(train))`; losses shown are without it.
        checkpoint: a safetensors file for `resume`.
        checkpoint_every: also write it after so many batches.
        resume: go on from `checkpoint`, if that file exists.

    Returns:
        The history. Its loss and accuracy are means over the epoch, while the model learned.

    Raises:
        FloatingPointError: the loss is no longer finite.
        OptionError: `epochs` below 1, a loader without batches, options that do not fit together.
        ShapeError: a batch without examples.
        FormatError: the checkpoint is damaged.
    """
    if checkpoint is None and checkpoint_every is not None:
        raise OptionError("checkpoint_every needs checkpoint=, a file")
    run = Run(
        model, loss_fn, optimizer, train_loader, validation, epochs, progress,
        [c if isinstance(c, Callback) else Function(c) for c in callbacks],
        _measures(metrics, validation), _listed(scheduler), _listed(batch_scheduler),
        clip_norm, clip_value, penalty, checkpoint, checkpoint_every,
    )  # fmt: skip
    if resume:
        run.resume()
    return run.go()


# --- options --------------------------------------------------------------------------------------


def _listed(schedules: Any) -> list[Any]:
    if schedules is None:
        return []
    return list(schedules) if isinstance(schedules, (list, tuple)) else [schedules]


def _measures(metrics: Any, validation: Any) -> dict[str, Callable[[Evaluation], float]]:
    """The functions of an evaluation by column."""
    if not isinstance(metrics, Mapping):
        names = [metrics] if isinstance(metrics, str) else list(metrics)
        unknown = [name for name in names if name not in NAMED]
        if unknown:
            raise OptionError(
                f"no metric {', '.join(map(repr, unknown))}; there are {', '.join(NAMED)}; for "
                "another give a dict of names and functions of an Evaluation"
            )
        metrics = {name: NAMED[name] for name in names}
    if metrics and validation is None:
        raise OptionError("metrics are measured on validation batches; give validation=")
    return {f"val_{name}": measure for name, measure in metrics.items()}
