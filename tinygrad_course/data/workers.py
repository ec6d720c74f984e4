"""Worker processes that read batches ahead, and what happens when one of them fails.

Each worker has a pipe of its own. Batch i goes to worker i mod n and is taken from there in its
turn, so batches come in the order of the jobs whatever the workers do. While one is waited for, all
are watched: a worker that is killed is an error within moments, not a wait without end.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.errors import OptionError

from .fetch import Fetcher, Job

GRACE = 1.0  # seconds that a worker has to stop by itself


class WorkerInfo(NamedTuple):
    """What `get_worker_info` tells inside a worker."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class Plan(NamedTuple):
    """How workers are to run."""

    workers: int
    prefetch: int
    timeout: float
    init: Callable[[int], Any] | None
    context: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Which worker this process is; None in the process that trains.

    >>> get_worker_info() is None
    True
    """
    return _info


def context_for(given: Any) -> Any:
    """The way to start processes: a multiprocessing context, or the name of one.

    Unless given it is "fork" on Linux: nothing has to be pickled, so datasets of a notebook work,
    and a script needs no `if __name__ == "__main__"`. Threads are what makes a fork unsafe; the
    kernels of a forked process stay on one. Elsewhere it is "spawn".
    """
    if given is None:
        given = "fork" if sys.platform == "linux" else "spawn"
    if isinstance(given, str):
        if given not in (known := multiprocessing.get_all_start_methods()):
            raise OptionError(f"multiprocessing_context is one of {known} here, got {given!r}")
        return multiprocessing.get_context(given)
    if not hasattr(given, "Process"):
        raise OptionError(f"multiprocessing_context is a context or its name, got {given!r}")
    return given


# --- in the process that trains -------------------------------------------------------------------


class Pool:
    """Workers, until they are closed."""

    def __init__(self, fetch: Fetcher, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.owner = os.getpid()
        self.workers: list[tuple[Any, Connection]] = []
        try:
            for number in range(plan.workers):
                self._start(number, fetch, seed)
        except BaseException:
            self.close()
            raise

    def _start(self, number: int, fetch: Fetcher, seed: int) -> None:
        ours, theirs = self.plan.context.Pipe()
        forked = self.plan.context.get_start_method() == "fork"
        inherited = [ours, *(c for _, c in self.workers)] if forked else []
        info = (number, self.plan.workers, seed)
        arguments = (theirs, fetch, self.plan.init, info, inherited)
        process = self.plan.context.Process(target=_work, args=arguments, daemon=True)
        self.workers.append((process, ours))
        try:
            with warnings.catch_warnings():  # of threads, which a forked worker does not use
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise OptionError(
                f"the dataset cannot be sent to a new process: {error}; define what it is made of "
                'at the top of a module, or pass multiprocessing_context="fork" where there is fork'
            ) from error
        finally:
            theirs.close()  # the worker alone holds this end: when it dies, the pipe ends

    def __del__(self) -> None:
        self.close()

    def run(self, jobs: Iterator[Job]) -> Iterator[Any]:
        """The batches of the jobs, in their order."""
        ahead: deque[tuple[int, Job]] = deque()  # given out and not yet taken
        turn = 0
        while True:
            while len(ahead) < self.plan.workers * self.plan.prefetch:
                job = next(jobs, None)
                if job is None:
                    break
                self._give(turn, job)
                ahead.append((turn, job))
                turn = (turn + 1) % self.plan.workers
            if not ahead:
                return
            yield self._take(*ahead.popleft())

    def _give(self, number: int, job: Job) -> None:
        try:
            self.workers[number][1].send(job)
        except OSError as error:
            raise self._died(number) from error

    def _take(self, number: int, job: Job) -> Any:
        while True:
            key, done, result = self._answer(number)
            if key == (job.seed, job.number):  # else: of a pass that was left early
                break
        if done:
            return result
        error, text = result
        raise error from _Traceback(text)

    def _answer(self, number: int) -> Any:
        pipe = self.workers[number][1]
        sentinels = {process.sentinel: i for i, (process, _) in enumerate(self.workers)}
        ready = wait([pipe, *sentinels], self.plan.timeout or None)
        if not ready:
            raise RuntimeError(
                f"DataLoader timed out after {self.plan.timeout} seconds: worker {number} has not "
                "finished its batch; is a sample slow to read, or locked? pass a longer timeout"
            )
        if pipe not in ready:
            raise self._died(next(i for s, i in sentinels.items() if s in ready))
        try:
            return pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._died(number) from error

    def _died(self, number: int) -> RuntimeError:
        process = self.workers[number][0]
        process.join(10)
        code = process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            if -code == getattr(signal, "SIGKILL", None):
                how += " (did the machine run out of memory?)"
        hint = (
            ""
            if self.plan.context.get_start_method() == "fork"
            else (
                "; a script that starts processes this way keeps what it does under "
                "`if __name__ == '__main__':`"
            )
        )
        return RuntimeError(f"DataLoader worker {number} (pid {process.pid}) {how}{hint}")

    def close(self) -> None:
        """Ask the workers to stop, and stop those that do not."""
        if os.getpid() != self.owner:  # a copy in a forked process
            return
        for _, pipe in self.workers:
            with suppress(OSError):  # it is gone already
                pipe.send(None)
            pipe.close()
        last = time.monotonic() + GRACE
        for process, _ in self.workers:
            if process.pid is None:
                continue  # it never started
            for end in (lambda: None, process.terminate, process.kill):
                end()
                process.join(max(0.0, last - time.monotonic()))
                if process.exitcode is not None:
                    break
                last = max(last, time.monotonic() + GRACE / 2)
            process.close()
        self.workers = []


class _Traceback(Exception):
    """The traceback of an error in a worker, shown as its cause."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n\n{self.text}"


# --- in a worker ----------------------------------------------------------------------------------


def _work(
    pipe: Connection, fetch: Fetcher, init: Any, info: tuple[int, int, int], inherited: list[Any]
) -> None:
    """A worker's life: settle in, then job after job until there is no more."""
    global _info
    for other in inherited:  # a copy of the other end would keep this pipe open for ever
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that trains
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if "numba" not in sys.modules:  # once loaded, it refuses another number
        os.environ["NUMBA_NUM_THREADS"] = "1"
    number, _, seed = info
    random.seed(seed + number)
    np.random.seed((seed + number) % 2**32)
    _info = WorkerInfo(*info, fetch.dataset)
    failed = None
    if init is not None:
        try:
            init(number)
        except BaseException as error:
            failed = error
    jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, jobs), daemon=True).start()
    while (job := jobs.get()) is not None:
        try:
            pipe.send_bytes(_answer(fetch, job, number, failed))
        except OSError:  # nobody listens any more
            break


def _listen(pipe: Connection, jobs: queue.SimpleQueue[Job | None]) -> None:
    """Take jobs as they come, so that who gives them never waits for a worker that is busy."""
    try:
        while True:
            job = pipe.recv()
            jobs.put(job)
            if job is None:
                return
    except (EOFError, OSError):
        jobs.put(None)


def _answer(fetch: Fetcher, job: Job, number: int, failed: BaseException | None) -> bytes:
    key = (job.seed, job.number)
    try:
        if failed is not None:
            raise failed
        return pickle.dumps((key, True, fetch(job)), protocol=5)
    except BaseException as error:
        text = "".join(traceback.format_exception(error))
        where = "in its worker_init_fn" if failed else f"for batch {job.number}"
        return _packed(key, error, text, f"in DataLoader worker {number}, {where}")


def _packed(key: Any, error: BaseException, text: str, where: str) -> bytes:
    """The error as it was raised if it can travel, and else another that says the same."""
    try:
        error.add_note(where)
        packed = pickle.dumps((key, False, (error, text)), protocol=5)
        pickle.loads(packed)
    except Exception:
        message = f"{type(error).__name__} {where}: {error}"
        packed = pickle.dumps((key, False, (RuntimeError(message), text)), protocol=5)
    return packed
