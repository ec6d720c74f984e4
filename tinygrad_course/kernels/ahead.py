"""Compiling ahead: a second process compiles what will be wanted next, while the first is busy.

The first training step on a machine compiles a dozen kernels, one after the other, on one core.
Where a kernel of the forward pass is not on disk its gradient's will not be either (`foresee`, in
`cpu_jit`), and will be asked for in seconds: until then another process compiles it, and it is
found on disk like all that was ever compiled.

It is a help and nothing more. Where no process can be started, where it ends, fails or takes too
long, a kernel is compiled by who needs it. The process is gone when nothing was asked of it for a
while, or when its parent is. There is none in children of a process, where there is one core or
thread, or with `TINYGRAD_COURSE_COMPILE_AHEAD=0`.
"""

from __future__ import annotations

import atexit
import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .threads import get_num_threads

VARIABLE = "TINYGRAD_COURSE_COMPILE_AHEAD"
PATIENCE = 60.0  # seconds that somebody waits for a kernel that is being compiled
IDLE = 20.0  # seconds without anything to do, after which the process ends


class Job(NamedTuple):
    """A kernel to compile: where it stands, and the types of its arguments."""

    module: str
    name: str
    types: Any


def ask(job: Job) -> None:
    """Have a kernel compiled by another process, if there can be one."""
    global _helper
    if _helper is None or _helper.over:
        if not _worthwhile():
            return
        with suppress(OSError):
            _helper = Helper()
    if _helper is not None and not _forked:
        _helper.ask(job)


def wait(job: Job) -> bool:
    """Whether a kernel was compiled by the other process, which is waited for if it is at it."""
    return _helper is not None and not _forked and _helper.wait(job)


def _worthwhile() -> bool:
    """Whether a second process may be started, and would have a core to run on."""
    if _forked or os.environ.get(VARIABLE, "1") == "0" or get_num_threads() == 1:
        return False
    parents = getattr(sys.modules.get("multiprocessing"), "parent_process", lambda: None)
    return parents() is None and "python" in Path(sys.executable or "").name.lower()


class Helper:
    """The other process, and a thread that hands it one job after the other."""

    def __init__(self) -> None:
        self.over = False
        # modules are found where this process finds them, and not in the current folder first
        code = f"import sys; sys.path[:] = {sys.path}; from {__name__} import serve; "
        self._process: Any = subprocess.Popen(
            [sys.executable, "-c", code + f"serve({os.getpid()})"],
            env={**os.environ, VARIABLE: "0"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._queue: list[Job] = []
        self._doing: Job | None = None
        self._done: set[Job] = set()
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._hand_over, name=__name__, daemon=True)
        self._thread.start()
        atexit.register(self.end)

    def ask(self, job: Job) -> None:
        """Add a job to those that wait for their turn."""
        with self._change:
            if job not in self._queue and job != self._doing and job not in self._done:
                self._queue.append(job)
                self._change.notify_all()

    def wait(self, job: Job) -> bool:
        """Whether the job is done; one that has not begun is given back to the caller."""
        end = time.monotonic() + PATIENCE
        with self._change:
            if job in self._queue:
                self._queue.remove(job)
            while self._doing == job and job not in self._done and not self.over:
                if not self._change.wait(end - time.monotonic()):
                    break
            return job in self._done

    def end(self) -> None:
        """Let the process end, whatever it is at."""
        with self._change:
            self.over = True
            self._change.notify_all()
        self._process.kill()
        self._thread.join()

    def forget(self) -> None:
        """In a forked child: the process is the parent's."""
        atexit.unregister(self.end)

    def _hand_over(self) -> None:
        """In a thread: hand over a job, wait for the answer; until there is none, or no job."""
        try:
            with suppress(OSError), self._process as process:
                while job := self._next():
                    pickle.dump(job, process.stdin)
                    process.stdin.flush()
                    if not process.stdout.readline():
                        break
                    with self._change:
                        self._done.add(job)
                        self._change.notify_all()
                process.kill()
        finally:
            with self._change:
                self.over = True
                self._change.notify_all()

    def _next(self) -> Job | None:
        with self._change:
            self._doing = None
            if not (self._queue or self.over):
                self._change.wait(IDLE)
            if self._queue and not self.over:
                self._doing = self._queue.pop(0)
            return self._doing


def serve(parent: int) -> None:
    """The other process: compile what is asked for, and say when; until nobody can ask any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    jobs, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, OSError):
        while True:
            job = pickle.load(jobs)
            with suppress(Exception):  # who asked will meet it, too
                getattr(importlib.import_module(job.module), job.name).compile(job.types)
            answers.write(b"\n")
            answers.flush()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


_helper: Helper | None = None
_forked = False


def _after_fork() -> None:
    """In a forked child, where the thread that hands jobs over is missing."""
    global _forked
    _forked = True
    if _helper is not None:
        _helper.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
