"""One team of threads for the kernels: how many it has, when work is spread over it, and who else
must be quiet meanwhile.

Threads of several pools that wait for work by spinning take the cores from each other, so NumPy's
matrix products are held to one thread, and large ones are shared out among the threads of the
kernels (`cpu_team`, `products`). That is decided before the first product or kernel whose last
digits depend on it: what a process did before must not show in its results, or a run that goes on
from a checkpoint would not be the run that was not interrupted.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from tinygrad_course.errors import OptionError

VARIABLE = "TINYGRAD_COURSE_NUM_THREADS"


def set_num_threads(n: int) -> None:
    """Let kernels use up to `n` threads from here on, in every Python thread; default: all cores.

    With 1, all work stays on the thread that asks for it; before the first kernel on several
    threads, or product of some size, that leaves NumPy's products the threads of their own. The
    environment variable `TINYGRAD_COURSE_NUM_THREADS` does the same for a whole process. Results
    are the same bit for bit from run to run with the same number of threads; sums made by other
    numbers of threads differ in their last digits.

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
    """How many threads Numba would have, whether it is loaded yet or not."""
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
        least: below this much work a second thread costs more than it gains, and so on.
    """
    if work < least or _forked:
        return 1
    threads = get_num_threads()
    if threads > 1 and _team is None and settle():
        _start()
    return 1 if _alone else min(threads, 1 + work // least)


def spread(kernel: Callable[..., Any], threads: int, *args: Any) -> Any:
    """Call `kernel(team, *args)`: `team` is the address of the team that is to do its parts, or 0
    where this thread is to do them all, because another Python thread has the team."""
    if threads == 1 or not _gate.acquire(blocking=False):
        return kernel(0, *args)
    try:
        if _team.asleep:
            _team.wake(threads)
        return kernel(_team.address, *args)
    finally:
        _gate.release()


def share_products() -> bool:
    """Whether large products are shared out among the team, which is made if there is none."""
    if _forked or get_num_threads() == 1:
        return False
    if _team is None and settle():
        _start()
    return not _alone


def settle() -> bool:
    """Decide, once, whether there will be a team; if so, NumPy's products are held to one thread.

    Where nothing is compiled, or products cannot be held, kernels stay on one thread.
    """
    global _alone
    if _alone is None and get_num_threads() > 1 and not _forked:
        _alone = importlib.util.find_spec("threadpoolctl") is None
        if not _alone:
            _hold_products()
    return _alone is False


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
_team: Any = None  # a cpu_team.Team, when threads are first wanted
_gate = threading.Lock()  # one kernel at a time has the team
_forked = False
_alone: bool | None = None  # whether kernels stay on one thread, when threads are first wanted


def _start() -> None:
    """Make a team, unless nothing is compiled."""
    global _team, _alone
    _alone = bool(importlib.import_module("numba").config.DISABLE_JIT)
    if not _alone:
        _team = importlib.import_module("tinygrad_course.kernels.cpu_team").Team(_most())


def _hold_products() -> None:
    """Hold NumPy's matrix products to one thread from here on, and SciPy's if it is there.

    The threads of two pools wait for work by spinning, and take the cores from each other: a
    training step that alternated products and kernels took fifty times as long on two cores.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")


def _after_fork() -> None:
    """In a forked child: stay on one thread if the parent had a team. No thread survives a fork."""
    global _forked, _helpers
    _helpers = None
    if _team is not None:
        _team.forget()
        _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
