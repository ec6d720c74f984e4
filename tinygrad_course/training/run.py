"""A training run: what it was given, how far it is, and how it goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tinygrad_course.creation import default_generator
from tinygrad_course.errors import OptionError
from tinygrad_course.files import StrPath, remove_parts
from tinygrad_course.nn.utils import clip_grad_norm_, clip_grad_value_
from tinygrad_course.optim.lr_scheduler import ReduceLROnPlateau

from .callbacks import Callback
from .checkpoint import read_checkpoint, save_checkpoint
from .evaluation import Evaluation, Mean, Mode, evaluate, pair, threshold_of
from .history import Epoch, History
from .interrupts import Interrupts
from .progress import Bar


@dataclass(eq=False, repr=False)
class Run:
    """A training run: everything that `fit` was given, and how far it is.

    Attributes:
        epoch: the epoch at hand, from 1; batch: how many of its batches are done.
        loss: the last batch's.
        history: the rows of the whole epochs.
    """

    model: Any
    loss_fn: Callable[[Any, Any], Any]
    optimizer: Any
    train: Any
    validation: Any
    epochs: int
    progress: bool
    callbacks: list[Callback]
    measures: dict[str, Callable[[Evaluation], float]]
    schedules: list[Any]
    batch_schedules: list[Any]
    clip_norm: float | None
    clip_value: float | None
    penalty: Callable[[Any], Any] | None
    path: StrPath | None
    every: int | None
    history: History = field(default_factory=History)
    epoch: int = 1
    batch: int = 0
    loss: float = math.nan
    order: dict[str, Any] | None = None  # the random state before the epoch's first batch

    def __post_init__(self) -> None:
        self.mean = Mean(threshold_of(self.loss_fn))
        for name in ("clip_norm", "clip_value", "every"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"{name} must be positive, got {value}")
        if self.epochs < 1:
            raise OptionError(f"epochs is at least 1, got {self.epochs}")
        if self.path is not None:
            for name in ("model", "optimizer"):
                if not hasattr(getattr(self, name), "load_state_dict"):
                    raise OptionError(f"a checkpoint needs a {name} with a state_dict")
            remove_parts(self.path)

    # --- epochs and batches ---

    def go(self) -> History:
        """Every epoch that is left."""
        with Mode(self.model, training=True), Interrupts() as interrupts:
            for callback in self.callbacks:
                callback.on_train_begin(self)
            while self.epoch <= self.epochs and not self.history.stopped:
                self._one_epoch(interrupts)
            for callback in self.callbacks:
                callback.on_train_end(self)
        return self.history

    def _one_epoch(self, interrupts: Interrupts) -> None:
        start = time.perf_counter()
        name = f"epoch {self.epoch}/{self.epochs}"
        with Bar(self._batches(), name, self.progress, self.batch, _length(self.train)) as bar:
            for x, y in bar:
                self._one_batch(x, y, name)
                bar.show(self.mean)
                if interrupts.pressed:
                    self._interrupted(bar)
                    return
            self.mean.check()
            held_out = None
            if self.validation is not None:
                held_out = evaluate(self.model, self.validation, self.loss_fn)
            self.history.append(self._row(held_out, time.perf_counter() - start))
            bar.show(self.mean, held_out, last=True)
        for schedule in self.schedules:
            _step(schedule, self.mean.loss if held_out is None else held_out.loss)
        if True in [callback.on_epoch_end(self) for callback in self.callbacks]:
            self.history.stopped = "callback"
        self.epoch, self.batch, self.mean = self.epoch + 1, 0, Mean(self.mean.threshold)
        self.save()
        if interrupts.pressed and not self.history.stopped:
            self.history.stopped = "interrupted"

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        """What is left of this epoch's batches."""
        if self.batch == 0:
            self.order = default_generator.get_state()
        skipped = 0 if hasattr(self.train, "state_dict") else self.batch
        now = default_generator.get_state()
        if skipped:
            default_generator.set_state(self.order or now)
        for i, batch in enumerate(self.train):
            if i >= skipped:
                yield pair(batch, self.model)
            elif i == skipped - 1:
                default_generator.set_state(now)

    def _one_batch(self, x: Any, y: Any, name: str) -> None:
        out = self.model(x)
        loss = self.loss_fn(out, y)
        self.loss = loss.item()
        if not math.isfinite(self.loss):
            raise FloatingPointError(
                f"the loss became {self.loss} in {name}; try a smaller learning rate"
            )
        self.optimizer.zero_grad()
        (loss if self.penalty is None else loss + self.penalty(self.model)).backward()
        self._clip()
        self.optimizer.step()
        for schedule in self.batch_schedules:
            _step(schedule, self.loss)
        self.mean.add(loss, out, y)
        self.batch += 1
        for callback in self.callbacks:
            callback.on_batch_end(self)
        if self.every and self.batch % self.every == 0:
            self.save()

    def _clip(self) -> None:
        if self.clip_norm is None and self.clip_value is None:
            return
        learnt = [p for group in self.optimizer.param_groups for p in group["params"]]
        if self.clip_value is not None:
            clip_grad_value_(learnt, self.clip_value)
        if self.clip_norm is not None:
            clip_grad_norm_(learnt, self.clip_norm)

    def _row(self, held_out: Evaluation | None, seconds: float) -> Epoch:
        groups = getattr(self.optimizer, "param_groups", None)
        lr = groups[0]["lr"] if groups else None
        mean = self.mean
        if held_out is None:
            return Epoch(self.epoch, mean.loss, mean.accuracy, None, None, seconds, lr)
        extra = {name: float(measure(held_out)) for name, measure in self.measures.items()} or None
        seen = (held_out.loss, held_out.accuracy)
        return Epoch(self.epoch, mean.loss, mean.accuracy, *seen, seconds, lr, extra)

    def _interrupted(self, bar: Bar) -> None:
        self.save()
        self.history.stopped = "interrupted"
        kept = f"; {self.path} holds this moment" if self.path else ""
        bar.last_word = f"stopped by Ctrl-C in {bar.name} after {self.batch} batches{kept}"

    # --- checkpoints ---

    def resume(self) -> None:
        """Go on from the checkpoint, if it is there."""
        if self.path is None:
            raise OptionError("resume needs checkpoint=, a file")
        try:
            state = read_checkpoint(self.path)
        except FileNotFoundError:
            return
        self.load_state_dict(state)
        if self.progress:
            where = f"epoch {self.epoch}/{self.epochs}, after {self.batch} batches"
            ended = self.epoch > self.epochs or self.history.stopped
            text = "holds a run that has ended" if ended else f"is where it goes on: {where}"
            print(f"{self.path} {text}", flush=True)

    def save(self) -> None:
        """Write the checkpoint, if there is to be one."""
        if self.path is not None:
            save_checkpoint(self.path, **self.state_dict())

    def _stateful(self) -> dict[str, Any]:
        """Everything with a state of its own, by its name in the checkpoint."""
        loaders = {"loader": self.train, "validation": self.validation}
        if self.validation is self.train:
            del loaders["validation"]
        loaders = {name: v for name, v in loaders.items() if hasattr(v, "state_dict")}
        numbered = {"schedule": self.schedules, "batch_schedule": self.batch_schedules,
                    "callback": self.callbacks}  # fmt: skip
        listed = {f"{name}{i}": p for name, parts in numbered.items() for i, p in enumerate(parts)}
        return {"model": self.model, "optimizer": self.optimizer, **loaders, **listed}

    def state_dict(self) -> dict[str, Any]:
        """Everything that a checkpoint keeps."""
        mean = {k: getattr(self.mean, k) for k in ("samples", "correct", "total", "classes")}
        rows = [row._asdict() for row in self.history]
        return {
            **{name: part.state_dict() for name, part in self._stateful().items()},
            "epoch": self.epoch, "batch": self.batch, "mean": mean, "order": self.order,
            "history": rows, "stopped": self.history.stopped,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        parts = self._stateful()
        known = {*parts, "epoch", "batch", "mean", "order", "history", "stopped", "random"}
        if known != set(state):
            raise OptionError(
                f"{self.path}: from a run with other parts; only in the file: "
                f"{', '.join(sorted(set(state) - known)) or 'nothing'}; only in this run: "
                f"{', '.join(sorted(known - set(state))) or 'nothing'}"
            )
        for name, part in parts.items():
            part.load_state_dict(state[name])
        self.epoch, self.batch, self.order = state["epoch"], state["batch"], state["order"]
        self.mean.__dict__.update(state["mean"])
        self.history.extend(Epoch(**row) for row in state["history"])
        self.history.stopped = state["stopped"]
        default_generator.set_state(state["random"])


def _step(schedule: Any, loss: float) -> None:
    schedule.step(loss) if isinstance(schedule, ReduceLROnPlateau) else schedule.step()


def _length(loader: Any) -> int | None:
    return len(loader) if hasattr(loader, "__len__") else None
