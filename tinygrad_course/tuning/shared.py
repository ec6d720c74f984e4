"""One study, and the processes that work on it."""

from __future__ import annotations

import contextlib
import itertools
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.errors import OptionError
from tinygrad_course.files import StrPath
from tinygrad_course.training.callbacks import measured
from tinygrad_course.training.history import History

from .locks import locks_of
from .result import Row, is_lost, kept, ranked, rows
from .space import Choice, Float, optuna

METHODS = ("random", "grid", "coarse-to-fine", "tpe")
PATIENCE = 0.2  # seconds between two looks at what other processes do


@dataclass
class Options:
    """What `tune` was given; for the meaning see there."""

    space: dict[str, Any]
    trials: int | None
    method: str
    direction: str
    points: int
    rounds: int
    narrowing: float
    prune: bool
    seed: int
    storage: StrPath | None
    name: str
    progress: bool

    def check(self) -> None:
        """Errors first, before anything is tried."""
        if self.method not in METHODS or self.direction not in ("minimize", "maximize"):
            raise OptionError(
                f"method is one of {', '.join(METHODS)}, direction minimize or maximize; got "
                f"{self.method!r} and {self.direction!r}"
            )
        wrong = [n for n, part in self.space.items() if not isinstance(part, (Float, Choice))]
        if wrong or not self.space:
            raise OptionError(
                "a space is a dict of names and Float, Int or Choice; "
                + (f"{wrong[0]} is {self.space[wrong[0]]!r}" if wrong else "this one is empty")
            )
        counts = {"points": self.points, "rounds": self.rounds, "trials": self.total()}
        small = [name for name, count in counts.items() if count < 1]
        if small or not 0 < self.narrowing < 1:
            raise OptionError(
                "points, rounds and trials are at least 1, narrowing is between 0 and 1; got "
                f"{counts} and {self.narrowing}"
            )

    def total(self) -> int:
        """How many trials there are to be."""
        whole = math.prod(len(part.grid(self.points)) for part in self.space.values())
        if self.method == "grid":
            return whole if self.trials is None else min(self.trials, whole)
        return 20 if self.trials is None else self.trials

    def ranges(self, place: int, done: list[Row]) -> dict[str, Any]:
        """What the trial in this place is drawn from."""
        each = math.ceil(self.total() / self.rounds)
        turn = place // each if self.method == "coarse-to-fine" else 0
        known = [row for row in done if row.place < turn * each and row.state == "complete"]
        if not known:
            return self.space
        best = ranked(known, self.direction)[0]
        share = self.narrowing**turn
        return {name: part.near(best.params[name], share) for name, part in self.space.items()}

    def corner(self, place: int) -> dict[str, Any]:
        """The point of the grid that the trial in this place takes."""
        grids = itertools.product(*(part.grid(self.points) for part in self.space.values()))
        values = next(itertools.islice(grids, place, None))
        return dict(zip(self.space, values, strict=True))

    def sampler(self, place: int) -> Any:
        """Optuna's sampler for the trial in this place."""
        samplers = optuna().samplers
        seed = int(np.random.SeedSequence((self.seed, place)).generate_state(1)[0])
        if self.method == "tpe":
            return samplers.TPESampler(seed=seed)
        return samplers.RandomSampler(seed=seed)


class Trial:
    """What an objective is given: hyperparameters by name, and a way to tell how it goes.

    Attributes:
        params: the hyperparameters; `trial["lr"]` is `trial.params["lr"]`.
        place: the how-manieth trial it is, from 0; a seed of its own, if you need one.
    """

    def __init__(self, trial: Any, place: int) -> None:
        self._trial, self.place = trial, place
        self.params: dict[str, Any] = dict(trial.params)

    def __getitem__(self, name: str) -> Any:
        return self.params[name]

    def report(self, value: float, step: int) -> None:
        """Tell the value so far; ends the trial if the median of the others was better by then."""
        self._trial.report(float(value), step)
        if self._trial.should_prune():
            raise optuna().TrialPruned(f"worse than the median in step {step}")

    def watch(self, monitor: str = "val_loss") -> Callable[[History], None]:
        """A callback for `fit` that reports a column of the history after every epoch."""

        def watch(history: History) -> None:
            self.report(measured(history, monitor), history[-1].epoch)

        return watch


class Shared:
    """A study that other processes may work on as well.

    Which trial is next is decided by one process at a time, under a lock that the system releases
    when its owner dies. A trial notes the process that runs it, which holds a lock of its own as
    long as it lives: so a trial without a living process is known, and given to somebody else.
    """

    def __init__(self, options: Options) -> None:
        library = optuna()
        self.options = options
        self.locks = None if options.storage is None else locks_of(options.storage)
        self.name = secrets.token_hex(8)
        storage = None
        if self.locks is not None:
            journal = library.storages.journal.JournalFileBackend(
                str(self.locks.path), lock_obj=self.locks
            )
            storage = library.storages.JournalStorage(journal)
        pruner = getattr(library.pruners, "MedianPruner" if options.prune else "NopPruner")()
        with self._claim():
            self.study = library.create_study(
                storage=storage, study_name=options.name, direction=options.direction,
                pruner=pruner, load_if_exists=True,
            )  # fmt: skip
            self._check()

    def _claim(self) -> Any:
        return contextlib.nullcontext() if self.locks is None else self.locks.claim()

    def _check(self) -> None:
        """An old study of this name must have had the same question."""
        asked = {"space": repr(self.options.space), "direction": self.options.direction}
        before = self.study.user_attrs
        for name, value in asked.items():
            if before.get(name, value) != value:
                raise OptionError(
                    f"{self.options.storage} has a study {self.options.name!r} with {name} "
                    f"{before[name]}, not {value}; give this one another name="
                )
            if name not in before:
                self.study.set_user_attr(name, value)

    def next(self) -> Trial | None:
        """The next trial that nobody has; None when all are done, by whomever."""
        while True:
            with self._claim():
                self._find_lost()
                found = kept(self.study)
                if any(trial.state.name == "WAITING" for trial in found):
                    return self._start(self.options.space, None)
                if len(found) < self.options.total():
                    taken = {trial.user_attrs["place"] for trial in found}
                    return self._begin(next(n for n in itertools.count() if n not in taken))
            if not any(trial.state.name == "RUNNING" for trial in found):
                return None
            time.sleep(PATIENCE)  # its process may die, and then it is ours

    def _begin(self, place: int) -> Trial:
        """A new trial."""
        options = self.options
        if options.method == "grid":
            self.study.enqueue_trial(options.corner(place), {"place": place})
            return self._start(options.space, None)
        return self._start(options.ranges(place, rows(self.study)), place)

    def _start(self, ranges: Mapping[str, Any], place: int | None) -> Trial:
        self.study.sampler = self.options.sampler(place or 0)
        trial = self.study.ask({name: part.distribution() for name, part in ranges.items()})
        trial.set_user_attr("owner", None if self.locks is None else self.locks.owner(self.name))
        if place is None:
            place = trial.user_attrs["place"]
        else:
            trial.set_user_attr("place", place)
        return Trial(trial, place)

    def _find_lost(self) -> None:
        """Trials without a living process fail, and wait again under the same number.

        Whoever dies in here leaves nothing that the next one would not find.
        """
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.name == "RUNNING" and not self._is_alive(trial):
                self.study.tell(trial.number, state=optuna().trial.TrialState.FAIL)
        there = {trial.user_attrs["place"] for trial in kept(self.study)}
        lost = [trial for trial in self.study.get_trials(deepcopy=False) if is_lost(trial)]
        for place in {trial.user_attrs.get("place") for trial in lost} - there - {None}:
            params = next(t.params for t in lost if t.user_attrs.get("place") == place)
            self.study.enqueue_trial(params, {"place": place})

    def _is_alive(self, trial: Any) -> bool:
        owner = trial.user_attrs.get("owner")
        if self.locks is None or owner is None or owner[2] == self.name:  # we are between trials
            return False
        return self.locks.is_alive(owner)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Inside, this is a worker that lives."""
        names = set() if self.locks is None else self.locks.working
        names.add(self.name)
        try:
            yield
        finally:
            names.remove(self.name)

    def run(self, objective: Callable[[Trial], float], trial: Trial) -> None:
        """Run one trial and note what came out."""
        library, asked = optuna(), trial._trial
        failed = library.trial.TrialState.FAIL
        try:
            value = float(objective(trial))
            if not math.isfinite(value):
                raise FloatingPointError(f"the objective returned {value}")
            self.study.tell(asked, value)
        except library.TrialPruned:
            self.study.tell(asked, state=library.trial.TrialState.PRUNED)
        except KeyboardInterrupt:  # without an error of its own it counts as lost
            self.study.tell(asked, state=failed)
            raise
        except BaseException as error:
            asked.set_user_attr("error", f"{type(error).__name__}: {error}")
            self.study.tell(asked, state=failed)
            if not isinstance(error, FloatingPointError):
                raise
