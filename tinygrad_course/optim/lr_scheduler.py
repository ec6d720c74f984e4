"""Learning-rate schedules: after each epoch (or batch) `scheduler.step()` sets the next rate.

A schedule starts by setting the rates of epoch 0; every `step()` goes one epoch on. The classes
whose formula stands in `get_lr` as a change of the present rate can be combined by stepping several
of them, as in PyTorch; `closed_form` is the same schedule as a function of the epoch.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tinygrad_course.errors import DtypeError, OptionError

from .optimizer import Optimizer


class LRScheduler:
    """What all schedules share: the epoch, the base rates, and the state that can be saved.

    Args:
        optimizer: the rates of its groups are set; what they are now are the base rates α₀.
        last_epoch: −1 to start; an epoch to go on after it, with an optimiser whose groups still
            have their "initial_lr".

    Raises:
        DtypeError: something that is no optimiser.
        OptionError: a last_epoch without "initial_lr" in the groups.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = _checked(optimizer)
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise OptionError(
                    f"last_epoch={last_epoch} goes on with an old schedule, but a group has no "
                    "'initial_lr'; load the optimiser's state first, or start with last_epoch=-1"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._redo()

    def get_lr(self) -> list[float]:
        """The rates of epoch `last_epoch`, one for each group, from those of the epoch before."""
        return self.closed_form()

    def closed_form(self) -> list[float]:
        """The rates of epoch `last_epoch`, from the base rates."""
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def step(self) -> None:
        """Go on to the next epoch; call it after the optimiser's steps."""
        self._advance()

    def _advance(self) -> None:
        self.last_epoch += 1
        self._set(self.get_lr())

    def _redo(self) -> None:
        """The first step, which sets the rates that the schedule starts with."""
        self._starting = True
        self._advance()
        self._starting = False

    def _undo(self) -> None:
        """Back to before the first step."""
        self.last_epoch -= 1

    def _restart(self) -> None:
        """Back to epoch 0."""
        self.last_epoch = 0
        self._set(self.closed_form())

    def _set(self, rates: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        """The present rates times a factor."""
        return [lr * factor for lr in self._rates()]

    def get_last_lr(self) -> list[float]:
        """The rates that this schedule set last."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser (and functions, which are no data)."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer" and not _is_code(v)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state of a schedule of this class; load the optimiser's state too."""
        self.__dict__.update(state_dict)


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise DtypeError(f"a schedule takes an optimiser, got {type(optimizer).__name__}")
    return optimizer


def _is_code(value: Any) -> bool:
    return callable(value) or (isinstance(value, list) and any(map(callable, value)))


def _for_groups(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value for each group, from one for all or from a list."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise OptionError(f"{name}: {groups} groups need as many values, got {len(value)}")
    return list(value)


def _positive(name: str, value: int) -> int:
    if not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} must be a positive int, got {value!r}")
    return value


class LambdaLR(LRScheduler):
    """α = α₀ · f(epoch), f any function, or one for each group.

    Raises:
        OptionError: as many functions as there are not groups.

    >>> import tinygrad_course as tc
    >>> opt = tc.optim.SGD([tc.ones(1, requires_grad=True)], lr=0.5)
    >>> schedule = tc.optim.lr_scheduler.LambdaLR(opt, lambda epoch: 0.5**epoch)
    >>> opt.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | list[Any],
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        self.lr_lambdas = _for_groups("lr_lambda", lr_lambda, _checked(optimizer))
        super().__init__(optimizer, last_epoch)

    def closed_form(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [lr * f(self.last_epoch) for lr, f in pairs]


class TimeBasedDecay(LRScheduler):
    """α = α₀ / (1 + decay_rate · epoch); with an interval, ⌊epoch / interval⌋ in epoch's place.

    The staircase holds the rate for `interval` epochs, so that it falls less quickly.

    Args:
        decay_rate: how fast the rate falls, not negative.
        interval: how many epochs one rate lasts; 1 for the plain form.

    Raises:
        OptionError: a negative decay_rate, an interval that is not a positive int.

    Source: course: Learning rate decay.

    >>> import tinygrad_course as tc
    >>> opt = tc.optim.SGD([tc.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = tc.optim.lr_scheduler.TimeBasedDecay(opt, 1.0, interval=2), []
    >>> for epoch in range(5):
    ...     rates += schedule.get_last_lr()
    ...     opt.step()
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.3333333333333333]
    """

    def __init__(
        self, optimizer: Optimizer, decay_rate: float, interval: int = 1, last_epoch: int = -1
    ) -> None:
        if not decay_rate >= 0:
            raise OptionError(f"TimeBasedDecay: decay_rate must not be negative, got {decay_rate}")
        self.decay_rate, self.interval = decay_rate, _positive("TimeBasedDecay: interval", interval)
        super().__init__(optimizer, last_epoch)

    def closed_form(self) -> list[float]:
        divisor = 1 + self.decay_rate * (self.last_epoch // self.interval)
        return [lr / divisor for lr in self.base_lrs]


class StepLR(LRScheduler):
    """α = α₀ · gamma^⌊epoch / step_size⌋.

    Raises:
        OptionError: a step_size that is not a positive int.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = _positive("StepLR: step_size", step_size), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        falls = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return self._scaled(self.gamma if falls else 1)

    def closed_form(self) -> list[float]:
        factor = self.gamma ** (self.last_epoch // self.step_size)
        return [lr * factor for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """α = α₀ · gammaⁿ, n the number of milestones that the epoch has reached."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._scaled(self.gamma ** self.milestones[self.last_epoch])

    def closed_form(self) -> list[float]:
        factor = self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [lr * factor for lr in self.base_lrs]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state of a schedule of this class; load the optimiser's state too."""
        # a file gives back a dict, in JSON with text for numbers, where a Counter was saved
        counts = {int(epoch): n for epoch, n in state_dict["milestones"].items()}
        super().load_state_dict({**state_dict, "milestones": Counter(counts)})


class ExponentialLR(LRScheduler):
    """α = α₀ · gamma^epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._scaled(1 if self._starting else self.gamma)

    def closed_form(self) -> list[float]:
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """α = α₀ · f, where f goes from start_factor to end_factor in total_iters epochs, and stays.

    Raises:
        OptionError: a start_factor outside (0, 1], an end_factor outside [0, 1].
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0,
        total_iters: int = 5, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise OptionError(
                f"LinearLR: factors are at most 1 and start_factor is positive, got {start_factor} "
                f"to {end_factor}"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = _positive("LinearLR: total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        share = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._scaled(self.start_factor)
        if self._starting or self.last_epoch > self.total_iters:
            return self._rates()
        return self._scaled(self._factor(self.last_epoch) / self._factor(self.last_epoch - 1))

    def closed_form(self) -> list[float]:
        return [lr * self._factor(self.last_epoch) for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """α = eta_min + (α₀ − eta_min) (1 + cos(π · epoch / T_max)) / 2 (Loshchilov and Hutter 2017).

    Half a wave down in T_max epochs; after them it rises again.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = _positive("CosineAnnealingLR: T_max", T_max), eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        epoch, turn, low = self.last_epoch, math.pi / self.T_max, self.eta_min
        if self._starting:
            return self._rates()
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the bottom no ratio leads up
            rise = (1 - math.cos(turn)) / 2
            pairs = zip(self._rates(), self.base_lrs, strict=True)
            return [lr + (base - low) * rise for lr, base in pairs]
        ratio = (1 + math.cos(turn * epoch)) / (1 + math.cos(turn * (epoch - 1)))
        return [ratio * (lr - low) + low for lr in self._rates()]

    def closed_form(self) -> list[float]:
        wave = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * wave for lr in self.base_lrs]


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to max_lr, and down far below the start (Smith and Topin 2018).

    Step it after every batch. The first pct_start of the steps rise, the others fall to
    max_lr / (div_factor · final_div_factor); with three_phase, first as long back to the start.
    Momentum (or β₁) goes the other way, from max_momentum to base_momentum and back.

    Args:
        max_lr: the top, or one for each group.
        total_steps: all steps; or give epochs and steps_per_epoch.
        anneal_strategy: "cos" (half a wave for each phase) or "linear".
        cycle_momentum: whether momentum changes too.

    Raises:
        OptionError: no number of steps, a pct_start outside 0 to 1, an unknown anneal_strategy, an
            optimiser without momentum, more steps than total_steps.
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: Any, total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: Any = 0.85,
        max_momentum: Any = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise OptionError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        self.total_steps = _positive("OneCycleLR: total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise OptionError(f"OneCycleLR: pct_start must be between 0 and 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise OptionError(
                f"OneCycleLR: anneal_strategy is 'cos' or 'linear', not {anneal_strategy!r}"
            )
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        self.ends = _phase_ends(self.total_steps, pct_start, three_phase)
        tops = _for_groups("max_lr", max_lr, _checked(optimizer))
        starts = [top / div_factor for top in tops]
        middle = [starts] if three_phase else []
        self.rates = [starts, tops, *middle, [lr / final_div_factor for lr in starts]]
        high = _for_groups("max_momentum", max_momentum, optimizer)
        low = _for_groups("base_momentum", base_momentum, optimizer)
        self.momenta = [high, low, high, *([high] if three_phase else [])]
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise OptionError(
                "OneCycleLR: this optimiser has no momentum; write cycle_momentum=False"
            )
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, starts, strict=True):
                group["initial_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def _at(self, corners: list[list[float]]) -> list[float]:
        """The values of this step, one for each group, on the way through the corners."""
        step = self.last_epoch
        phase = next((i for i, end in enumerate(self.ends) if step <= end), len(self.ends) - 1)
        first = self.ends[phase - 1] if phase else 0.0
        share = (step - first) / (self.ends[phase] - first)
        if self.anneal_strategy == "cos":
            share = (1 - math.cos(math.pi * share)) / 2
        pairs = zip(corners[phase], corners[phase + 1], strict=True)
        return [a + (b - a) * share for a, b in pairs]

    def closed_form(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise OptionError(
                f"OneCycleLR: step {self.last_epoch} of a cycle of {self.total_steps} steps"
            )
        if self.cycle_momentum:
            momenta = self._at(self.momenta)
            for group, momentum in zip(self.optimizer.param_groups, momenta, strict=True):
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return self._at(self.rates)


def _phase_ends(steps: int, share: float, three: bool) -> list[float]:
    """The last step of each phase."""
    return [share * steps - 1, *([2 * share * steps - 2] if three else []), steps - 1]


class SequentialLR(LRScheduler):
    """Several schedules one after the other: the next starts, at its epoch 0, at each milestone.

    Args:
        schedulers: schedules of this optimiser.
        milestones: the epochs at which the second, third, ... takes over.

    Raises:
        OptionError: not one milestone less than schedules, a schedule of another optimiser, or one
            that needs a metric.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int],
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise OptionError(
                f"SequentialLR: {len(schedulers)} schedules need one milestone less, got "
                f"{len(milestones)}"
            )
        for schedule in schedulers:
            if schedule.optimizer is not optimizer:
                raise OptionError("SequentialLR: a schedule belongs to another optimiser")
            if isinstance(schedule, ReduceLROnPlateau):
                raise OptionError("SequentialLR: ReduceLROnPlateau needs a metric at each step")
        self._schedulers, self._milestones = schedulers, milestones
        self.optimizer, self.last_epoch = optimizer, last_epoch + 1
        self._set([group["initial_lr"] for group in optimizer.param_groups])
        for schedule in schedulers:
            schedule._undo()
        schedulers[bisect_right(milestones, 0)]._redo()
        self._last_lr = self._rates()

    def _undo(self) -> None:
        super()._undo()
        for schedule in self._schedulers:
            schedule._undo()

    def _redo(self) -> None:
        self.last_epoch += 1
        self._schedulers[bisect_right(self._milestones, 0)]._redo()

    def _restart(self) -> None:
        self.last_epoch = 0
        self._schedulers[bisect_right(self._milestones, 0)]._restart()
        self._last_lr = self._rates()

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            self._schedulers[i]._restart()
        else:
            self._schedulers[i].step()
        self._last_lr = self._rates()

    def state_dict(self) -> dict[str, Any]:
        """The state of each schedule, and of the sequence."""
        own = {k: v for k, v in super().state_dict().items() if k != "_schedulers"}
        return {**own, "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state of a sequence of the same schedules."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for schedule, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            schedule.load_state_dict(state)


class ReduceLROnPlateau(LRScheduler):
    """α ← max(α · factor, min_lr) when a metric has not improved for more than `patience` epochs.

    `step(metric)` after each validation. Better means below best · (1 − threshold), or best −
    threshold in mode "abs"; for mode "max" above best · (1 + threshold) or best + threshold.

    Args:
        mode: "min" for a loss, "max" for an accuracy.
        cooldown: epochs after a reduction in which nothing counts as bad.
        min_lr: the smallest rate, or one for each group.
        eps: changes not larger than this are left out.

    Raises:
        OptionError: a factor not below 1, an unknown mode or threshold_mode.
    """

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0, min_lr: Any = 0.0,
        eps: float = 1e-8,
    ) -> None:  # fmt: skip
        if factor >= 1:
            raise OptionError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise OptionError(
                "ReduceLROnPlateau: mode is 'min' or 'max', threshold_mode 'rel' or 'abs', got "
                f"{mode!r} and {threshold_mode!r}"
            )
        self.optimizer = _checked(optimizer)
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.min_lrs = _for_groups("min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = self._rates()

    def _is_better(self, metric: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bound = self.best * (1 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return sign * metric > sign * bound

    def step(self, metrics: Any = None) -> None:
        """Take note of the epoch's metric, and reduce the rates if it is time."""
        if metrics is None:
            raise OptionError("ReduceLROnPlateau: step(metric) needs the epoch's metric")
        metric = float(metrics)
        self.last_epoch += 1
        better = self._is_better(metric)
        self.best = metric if better else self.best
        self.num_bad_epochs = 0 if better else self.num_bad_epochs + 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            pairs = zip(self._rates(), self.min_lrs, strict=True)
            lower = [(lr, max(lr * self.factor, least)) for lr, least in pairs]
            self._set([new if lr - new > self.eps else lr for lr, new in lower])
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()
