"""Threads that share the parts of a kernel, and wait for the next one awake.

The threads of common pools fall asleep soon, or wait by turning in a loop. To wake one takes 40 µs,
more than many kernels do, and a training step has a kernel every 100 µs; one that turns takes the
core from whoever has work. Those of a team ask again and again too, but let everybody else go first
(`sched_yield`), and fall asleep when nothing has come for some milliseconds.

Nobody waits for a sleeper. A part is *offered* to the thread of its number and taken by whoever
comes first: that thread, or the one that offered it, once its own part is done. Beside other
programs that keep the cores busy a kernel takes as long as on one thread, and not until the last of
several threads has had its turn. The same part goes to the same thread in every kernel if it can,
for what it wrote last time is still in its core's cache.

A team lives in a table of int64, a line for each thread, known by its address::

    line 0     the task (a function's address), its other arguments' address, threads
    line t     what became of part t: DONE, OFFERED or TAKEN
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .arrays import aligned
from .cpu_jit import entry, worker

# mypy: disable-error-code="no-untyped-def,no-untyped-call"

DONE, OFFERED, TAKEN = 0, 1, 2
LINE = 64  # bytes: what two threads write to at the same time stands in different cache lines
_TASK, _DATA, _SIZE = 0, 8, 16  # bytes from the start of line 0
_PATIENCE = 10_000  # times that a thread asks before it falls asleep; a time takes 0.3 µs and more

_INT, _POINTER = ir.IntType(64), ir.IntType(8).as_pointer()
TASK = ir.FunctionType(ir.VoidType(), [_INT, _POINTER])  # called with a part's number and the data

_give_way = types.ExternalFunction(
    "SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32()
)


def emitted(function: Callable[..., Any]) -> Any:
    """Numba's `intrinsic`: in a kernel it takes one argument less than its definition says."""
    return intrinsic(function)


# --- memory that several threads read and write ---------------------------------------------------


def _word(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _INT.as_pointer())


@emitted
def _read(typing: Any, address: Any) -> Any:
    """The int64 at an address; what its writer wrote before is there, too."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_word(builder, args[0]), "acquire", 8)

    return types.int64(types.int64), emit


@emitted
def _write(typing: Any, address: Any, value: Any) -> Any:
    """Write an int64 to an address, after all that was written before."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], _word(builder, args[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@emitted
def _swap(typing: Any, address: Any, old: Any, new: Any) -> Any:
    """Write `new` to an address if `old` stands there, in one go; whether it did."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _word(builder, args[0])
        both = builder.cmpxchg(place, args[1], args[2], "acq_rel", "acquire")
        return builder.extract_value(both, 1)

    return types.boolean(types.int64, types.int64, types.int64), emit


@emitted
def _do(typing: Any, task: Any, part: Any, data: Any) -> Any:
    """Call a task by its address."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        task, part, data = args
        function = builder.inttoptr(task, TASK.as_pointer())
        builder.call(function, [part, builder.inttoptr(data, _POINTER)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


# --- one thread's view ----------------------------------------------------------------------------


@worker
def share(team, task, data, parts):
    """Have the team do a task's parts, number 0 (and those that no other has) in this thread."""
    offered = min(parts, _read(team + _SIZE))
    _write(team + _TASK, task)
    _write(team + _DATA, data)
    for t in range(1, offered):
        _write(team + t * LINE, OFFERED)
    for t in range(parts):
        if t < 1 or t >= offered:
            _do(task, t, data)
    for t in range(1, offered):
        if _swap(team + t * LINE, OFFERED, DONE):
            _do(task, t, data)
        while _read(team + t * LINE) != DONE:
            _give_way()


@entry
def _serve(team, t, patience):
    """Do what is offered to thread t, until nothing has come for a while."""
    place, turns = team + t * LINE, 0
    while turns < patience:
        turns += 1
        if _read(place) == OFFERED and _swap(place, OFFERED, TAKEN):
            _do(_read(team + _TASK), t, _read(team + _DATA))
            _write(place, DONE)
            turns = 0
        _give_way()


# --- the team -------------------------------------------------------------------------------------


class Team:
    """Python threads, one fewer than `size`: whoever offers work is one of the team, too.

    They compute without the interpreter's lock, and ask for it only to fall asleep. One kernel at a
    time may be shared out; `address` is what `share` wants to know.
    """

    def __init__(self, size: int) -> None:
        self._table = aligned((size, LINE // 8), np.dtype(np.int64), zeros=True)
        self.address = int(self._table.ctypes.data)
        self._table[0, _SIZE // 8] = size
        _serve(self.address, 0, 0)  # compiled here, once for all
        self.asleep = size > 1  # some of them, perhaps
        self._sleeps = [True] * size
        self._over = False
        self._calls = [threading.Event() for _ in range(1, size)]
        self._threads = [
            threading.Thread(target=self._stay, args=each, name="tinygrad_course", daemon=True)
            for each in enumerate(self._calls, 1)
        ]
        for thread in self._threads:
            thread.start()
        atexit.register(self.end)

    def _stay(self, t: int, call: threading.Event) -> None:
        while True:
            call.wait()
            if self._over:
                return
            call.clear()
            _serve(self.address, t, _PATIENCE)
            self._sleeps[t] = True
            self.asleep = True

    def wake(self, count: int) -> None:
        """Have the first `count` of the team ask for work again."""
        self.asleep = count < len(self._sleeps)
        for t, call in enumerate(self._calls[: count - 1], 1):
            if self._sleeps[t]:
                self._sleeps[t] = False
                call.set()

    def end(self) -> None:
        """Let the threads end, before the code that they run is taken away."""
        self._over = True
        for call in self._calls:
            call.set()
        for thread in self._threads:
            thread.join()

    def forget(self) -> None:
        """In a forked child, which has none of the threads: there is nobody to wait for."""
        atexit.unregister(self.end)
