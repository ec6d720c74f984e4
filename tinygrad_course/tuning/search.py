"""tune: try hyperparameters, in this process or in several."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_course.errors import OptionError
from tinygrad_course.files import StrPath

from .result import Search
from .shared import Options, Shared, Trial
from .space import Space, optuna


def tune(
    objective: Callable[[Trial], float], space: Space, trials: int | None = None, *,
    method: str = "random", direction: str = "minimize", points: int = 4, rounds: int = 3,
    narrowing: float = 0.3, prune: bool = True, seed: int = 0, storage: StrPath | None = None,
    name: str = "study", processes: int = 1, progress: bool = True,
) -> Search:  # fmt: skip
    """Try hyperparameters, and find out which are best.

    Several processes share one study if they name the same `storage`: start the same script as
    often as you like, or give `processes`. Each takes the next trial that nobody has, and all of
    them return the whole result. A trial whose process was killed is tried again by another one, or
    by the next call; a call over a study that is complete returns it. Ctrl-C ends the search with
    what there is; the trial at hand is tried again by the next call.

    Args:
        objective: trains with the hyperparameters of a `Trial` and returns what counts. With
            FloatingPointError, which `fit` raises when the loss explodes, the trial has failed;
            other errors end the search.
        space: a `Float`, `Int` or `Choice` for each hyperparameter.
        trials: how many; 20 unless given, the whole grid for "grid".
        method: "random" draws from the whole space. "grid" takes every combination of `points`
            values of each range. "coarse-to-fine" draws at random in `rounds` rounds, each from
            ranges around the best trial so far that are `narrowing` times as wide as before.
            "tpe" is Optuna's tree-structured Parzen estimator, which draws more where it was good.
        direction: "minimize" or "maximize".
        points: how many values of each range a grid has.
        rounds: of coarse-to-fine.
        narrowing: of coarse-to-fine, between 0 and 1.
        prune: end trials that report worse values than the median of the earlier ones at the same
            step; never one of the first five.
        seed: decides the draws of random and coarse-to-fine; trials at the same time may see
            different rounds' results.
        storage: a file (Optuna's journal) that keeps the study; Linux and macOS.
        name: of the study in the file.
        processes: how many work at once; then the objective is a function of a module.
        progress: print a line for each trial.

    Raises:
        OptionError: an option that does not fit.
        ImportError: Optuna is not installed.

    Source: course: Hyperparameters tuning.

    >>> from tinygrad_course.tuning import Float
    >>> found = tune(lambda trial: (trial["x"] - 2) ** 2, {"x": Float(0, 5)}, 30,
    ...              method="coarse-to-fine", progress=False)
    >>> abs(found.best["x"] - 2) < 0.1
    True
    """
    options = Options(dict(space), trials, method, direction, points, rounds, narrowing, prune,
                      seed, storage, name, progress)  # fmt: skip
    options.check()
    if processes < 1:
        raise OptionError(f"processes is at least 1, got {processes}")
    if processes == 1:
        return _work(objective, options)
    return _together(objective, options, processes)


def _work(objective: Callable[[Trial], float], options: Options) -> Search:
    """Trials until there are no more, in this process."""
    with _quiet():
        shared = Shared(options)
        search = Search(shared.study, options.space, options.direction)
        try:
            with _plain_interrupts(), shared.working():
                while (trial := shared.next()) is not None:
                    shared.run(objective, trial)
                    if options.progress:
                        print(search.line(trial.place, options.total()), flush=True)
        except KeyboardInterrupt:
            print("stopped by Ctrl-C; the trial at hand has no result", file=sys.stderr)
    return search


def _together(objective: Callable[[Trial], float], options: Options, processes: int) -> Search:
    """The same in several processes, of which this is one."""
    try:
        pickle.dumps(objective)
    except Exception as error:
        raise OptionError(
            f"processes={processes} hands the objective to other processes, and this one cannot be "
            f"handed over ({error}); define it with def at the top of a module"
        ) from error
    kept = options.storage is not None
    with contextlib.ExitStack() as stack:
        if not kept:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            options.storage = os.path.join(folder, "study.log")
        with _quiet():
            Shared(options)  # the study is there before they come
        spawn = multiprocessing.get_context("spawn")
        workers = [spawn.Process(target=_work, args=(objective, options))
                   for _ in range(processes - 1)]  # fmt: skip
        for worker in workers:
            worker.start()
        search = _work(objective, options)
        for worker in workers:
            worker.join()
        failed = [worker.exitcode for worker in workers if worker.exitcode]
        if failed:
            print(f"processes ended with {failed}; the others did their trials", file=sys.stderr)
        return search if kept else search.in_memory()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna speaks only when something is wrong."""
    logging = optuna().logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextlib.contextmanager
def _plain_interrupts() -> Iterator[None]:
    """Ctrl-C interrupts at once, in `fit` as well, which would else end the epoch's batch first."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupt) if ours else None
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
