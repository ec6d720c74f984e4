"""Numba, set up once: how kernels are compiled, kept on disk, announced and launched.

A kernel comes as several functions of its file. *Workers* do a range of the work, and are all
loops (`@worker`). Two functions are called from Python: one does the whole range on one thread
(`@entry`), the other gives each thread a part (`@parallel_entry`). `launch` chooses between them,
for a parallel launch has its price and is not always allowed. What they write to is allocated in
Python.

What is compiled is kept on disk, and counts as out of date when any of the kernels' files changes:
Numba looks at the file that a function stands in, but what it calls may stand in another.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numba as _numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering

from .memory import keep_freed
from .threads import spread
from .threads import threads_for as threads_for

numba: Any = _numba  # typed in part only

keep_freed()  # whoever uses kernels makes and frees large arrays over and over

Kernel = Callable[..., Any]

# NaN and infinity are kept: only the order of sums is free, and x·y + z may be rounded once.
_OPTIONS: dict[str, Any] = {
    "fastmath": {"contract", "reassoc"},
    "error_model": "numpy",
    "nogil": True,
}
# Nothing is allocated in a loop, and arrays are not reference-counted there: every slice handed on
# would count up and down with locked instructions, on a counter that all threads share. (Small
# images took twice the time.)
_LOOPS: dict[str, Any] = {"_nrt": False}

# Of what Numba can do in parallel we want explicit loops only; the rest costs time to compile.
_PRANGE_ONLY = dict.fromkeys(
    ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False
) | {"prange": True}


class _Wide(Lower):
    """Asks LLVM for vectors as wide as the processor has, function by function.

    For many processors LLVM prefers vectors of half the width, lest a few of them slow down the
    code around. Loops of products take twice the time that way.
    """

    def setup_function(self, fndesc: Any) -> None:
        parent: Any = super()
        parent.setup_function(fndesc)
        set.add(self.function.attributes, '"prefer-vector-width"="512"')


_registered: Any = register_pass


@_registered(mutates_CFG=True, analysis_only=False)
class _WideLowering(NativeLowering):
    _name = "lowering_to_wide_vectors"

    @property
    def lowering_class(self) -> Any:
        return _Wide


class _Apart(Compiler):
    """A compiler that promises LLVM that the arrays given to a function do not overlap.

    Without the promise a loop that reads four arrays and adds into four others runs at two thirds
    of its speed.
    """

    def define_pipelines(self) -> Any:
        parent: Any = super()
        pipelines = parent.define_pipelines()
        for pipeline in pipelines:
            steps = pipeline.passes
            pipeline.passes = [(_WideLowering if s is NativeLowering else s, n) for s, n in steps]
            pipeline.finalize()
        return pipelines

    def __init__(
        self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any,
        locals: Any,
    ) -> None:  # fmt: skip
        flags = flags.copy()
        flags.noalias = True
        parent: Any = super()
        parent.__init__(typingctx, targetctx, library, args, return_type, flags, locals)


@cache
def _sources() -> str:
    """What all of the kernels' files say, in short."""
    digest = sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


class _Cache(FunctionCache):
    """Numba's disk cache; one that cannot be read or written is as good as none."""

    def __init__(self, function: Any) -> None:
        parent: Any = super()
        parent.__init__(function)
        impl: Any = self._impl
        index: Any = IndexDataCacheFile
        stamp = (impl.locator.get_source_stamp(), _sources())
        self._cache_file = index(self._cache_path, impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        global _misses
        parent: Any = super()
        found = None
        try:
            found = parent.load_overload(sig, target_context)
        except Exception:  # whatever a damaged file leads to, compiling is the answer
            with suppress(OSError):
                parent.flush()
        _misses += found is None
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        parent: Any = super()
        with suppress(OSError):
            parent.save_overload(sig, data)


def worker(function: Kernel) -> Kernel:
    """Compile loops that other compiled functions call. Their arrays must not overlap."""
    bare = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # saves a third of compiling
    compiled: Kernel = numba.njit(pipeline_class=_Apart, **bare, **_LOOPS, **_OPTIONS)(function)
    return compiled


def exact(function: Kernel) -> Kernel:
    """Compile arithmetic in which the order of sums matters, to be called from loops."""
    options = {**_OPTIONS, "fastmath": {"contract"}, **_LOOPS}
    compiled: Kernel = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(
        function
    )
    return compiled


def entry(function: Kernel) -> Kernel:
    """Compile a kernel for one thread, to be called from Python."""
    return _cached(numba.njit(**_LOOPS, **_OPTIONS)(function))


def parallel_entry(function: Kernel) -> Kernel:
    """Compile a kernel that calls workers in a `prange`, to be called from Python."""
    return _cached(numba.njit(parallel=_PRANGE_ONLY, **_OPTIONS)(function))


def _cached(function: Any) -> Kernel:
    on_disk: Any = _Cache
    if not numba.config.DISABLE_JIT:
        with suppress(RuntimeError):  # no folder to write in: compile in every process
            function._cache = on_disk(function.py_func)
    return cast(Kernel, function)


# --- launching ------------------------------------------------------------------------------------


def launch(serial: Kernel, parallel: Kernel, threads: int, *args: Any) -> Any:
    """Run a kernel on many threads, or on one if the threads are not to be had."""
    if threads > 1:
        done, result = spread(_call, threads, parallel, *args)
        if done:
            return result
    return _call(serial, *args)


# --- the first compile ----------------------------------------------------------------------------

_compiled: set[tuple[int, Any]] = set()
_announced = False
_misses = 0  # kernels that were not found on disk


def _call(kernel: Kernel, *args: Any) -> Any:
    key = (id(kernel), args[0].dtype)
    if key in _compiled:
        return kernel(*args)
    known = len(getattr(kernel, "signatures", ()))
    timer = threading.Timer(1.0, _announce, (kernel, known, _misses))
    timer.daemon = True
    timer.start()
    try:
        return kernel(*args)
    finally:
        timer.cancel()
        _compiled.add(key)


def _announce(kernel: Any, known: int, misses: int) -> None:
    """Say why nothing happens, if the kernel is being compiled: not read from disk, not running."""
    global _announced
    running = len(getattr(kernel, "signatures", (None,) * (known + 1))) > known
    kept = isinstance(getattr(kernel, "_cache", None), _Cache)
    if _announced or running or (kept and _misses == misses):
        return
    _announced = True
    once = "once (they are cached on disk)" if kept else "as in every run (no cache can be written)"
    print(f"tinygrad_course: compiling kernels, {once}", file=sys.stderr, flush=True)
