"""One pool of threads for the kernels: how many it has, when work is spread over it, and who else
must be quiet meanwhile.

The pool is Numba's. Threads of several pools that wait for work by spinning take the cores from
each other, so when the first kernel is spread over threads, NumPy's matrix products are held to one
thread, and GNU OpenMP's threads are told to fall asleep soon. Large products are then shared out
among Python threads, which wait asleep (`products`).
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tinygrad_course.errors import OptionError

VARIABLE = "TINYGRAD_COURSE_NUM_THREADS"


def set_num_threads(n: int) -> None:
    """Let kernels use up to `n` threads from here on, in every Python thread; default: all cores.

    With 1, all work stays on the thread that asks for it; before the first kernel that is spread
    over threads, that leaves NumPy's matrix products the threads of their own. The environment
    variable `TINYGRAD_COURSE_NUM_THREADS` does the same for a whole process. Results are the same
    bit for bit from run to run with the same number of threads; sums made by other numbers of
    threads differ in their last digits.

    Raises:
        OptionError: not a whole number, or more threads than this process has cores.

    >>> import tinygrad_course as tc
    >>> before = tc.get_num_threads()
    >>> tc.set_num_threads(1)
    >>> tc.get_num_threads()
    1
    >>> tc.set_num_threads(before)
    """
    global _wanted
    _wanted = _checked(n, "set_num_threads")


def get_num_threads() -> int:
    """How many threads kernels may use: as set, else as the environment says, else all cores."""
    global _wanted
    if _wanted is None:
        given = os.environ.get(VARIABLE, "").strip()
        _wanted = _checked(int(given) if given.isdigit() else given, VARIABLE) if given else _most()
    return _wanted


_wanted: int | None = None


def _checked(n: Any, name: str) -> int:
    most = _most()
    if type(n) is not int or not 1 <= n <= most:
        raise OptionError(
            f"{name}: {n!r} threads; this process may have 1 to {most}. That is one for each core "
            "that it may use, unless NUMBA_NUM_THREADS says otherwise before Python starts"
        )
    return n


def _most() -> int:
    """The size of Numba's pool, whether Numba is loaded yet or not."""
    if "numba" in sys.modules:
        return int(sys.modules["numba"].config.NUMBA_NUM_THREADS)
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdigit():
        return max(1, int(given))
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


# --- spreading work -------------------------------------------------------------------------------


def threads_for(work: int, least: int) -> int:
    """How many threads some work deserves; 1 means: stay on this one.

    Args:
        work: how much there is to do, in units of the caller's choice.
        least: below this much work a parallel launch costs more than it gains.
    """
    if work < least or _forked:
        return 1
    threads = get_num_threads()
    if threads > 1 and _gate is None:
        _start()
    return 1 if _alone or work < least * _dearer else threads


def spread(kernel: Callable[..., Any], threads: int, *args: Any) -> Any:
    """Call `kernel(pool, *args)`: `pool` is what has the pool's threads do something, by its
    address, or 0 where this thread is to do it all, because others have the pool."""
    if threads == 1 or not _gate.acquire(blocking=False):
        return kernel(0, *args)
    try:
        return kernel(_pool, *args)
    finally:
        _gate.release()


def share_products() -> bool:
    """Whether NumPy's products are held to one thread, and there are others to share them with."""
    return _gate is not None and not (_alone or _forked) and get_num_threads() > 1


def side_by_side(function: Callable[..., Any], parts: list[tuple[Any, ...]]) -> None:
    """Call a function with each part; the first on this thread, the others on sleeping ones."""
    global _helpers
    if _helpers is None:
        from concurrent.futures import ThreadPoolExecutor  # it takes 10 ms to import

        _helpers = ThreadPoolExecutor(_most(), "tinygrad_course")
    waiting = [_helpers.submit(function, *part) for part in parts[1:]]
    function(*parts[0])
    for one in waiting:
        one.result()


_helpers: Any = None  # a ThreadPoolExecutor, when first needed


class _Open:
    """A gate for threading layers that several Python threads may enter at once."""

    def acquire(self, blocking: bool = True) -> bool:
        return True

    def release(self) -> None:
        pass


_gate: Any = None  # set when threads are first wanted
_pool = 0  # the address of what has threads do something
_dearer = 1  # how much more work a parallel launch must bring on this threading layer
_forked = False
_alone = False  # NumPy's matrix products keep their threads, so the kernels stay on one


def _start() -> None:
    """Start Numba's threads and learn which layer they are of.

    The layer `workqueue`, Numba's last resort, ends the process when two Python threads enter it at
    once; whoever finds it taken computes on its own thread instead. A launch costs it 60 µs and
    more, where the others take 2.
    """
    global _gate, _dearer, _alone, _pool
    numba: Any = importlib.import_module("numba")  # typed in part only
    _alone = not _one_pool()
    with _soon_asleep():
        numba.get_num_threads()
    _pool = importlib.import_module("llvmlite.binding").address_of_symbol("numba_parallel_for")
    if numba.threading_layer() == "workqueue":
        _dearer = 16
        _gate = threading.Lock()
    else:
        _gate = _Open()


def _one_pool() -> bool:
    """Hold NumPy's matrix products to one thread from here on; False if that cannot be done.

    The threads of two pools wait for work by spinning, and take the cores from each other: a
    training step that alternates products and kernels took fifty times as long on two cores.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return False
    threadpool_limits(limits=1, user_api="blas")
    return True


@contextmanager
def _soon_asleep() -> Iterator[None]:
    """GNU OpenMP, if loaded inside, lets idle threads sleep after 10,000 turns of a loop, 0.1 ms.

    By default they turn for milliseconds. On cores that others use too, those turns are taken from
    the threads that have work: a training step of 3 ms took 100. But to wake a thread takes a tenth
    of a millisecond too, and in a training step the next kernel is seldom further away.
    """
    if "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = "10000"
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def _after_fork() -> None:
    """In a forked child: stay on one thread if the parent had started Numba's.

    No thread survives a fork. Numba ends a child that asks for those of GNU OpenMP.
    """
    global _forked, _helpers
    _helpers = None
    if "numba" in sys.modules:
        with suppress(ValueError):  # raised where no threads were started
            sys.modules["numba"].threading_layer()
            _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
