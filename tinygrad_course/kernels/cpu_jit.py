"""Numba, set up once: how kernels are compiled, kept on disk, announced and launched.

A kernel comes as several functions of its file. *Workers* are its loops (`@worker`). One function
is called from Python (`@entry`, by `launch`): it has a worker do each thread's part of the work
(`cpu_spread`), in the threads of a team or one after the other. What they write to is allocated in
Python.

What is compiled is kept on disk, and counts as out of date when any of the kernels' files changes:
Numba looks at the file that a function stands in, but what it calls may stand in another.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numba as _numba
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering

from . import ahead
from .memory import keep_freed
from .threads import spread

numba: Any = _numba  # typed in part only

keep_freed()  # whoever uses kernels makes and frees large arrays over and over

Kernel = Callable[..., Any]
Calls = Sequence[tuple[Kernel, tuple[Any, ...]]]  # of kernels, with all of their arguments

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


class _Ingredient(JITCodeLibrary):
    """A worker's code, which becomes part of the kernels that call it and is optimised there.

    Numba's own libraries are each optimised and made machine code of, although nobody runs it: a
    loop five calls deep would be optimised six times, and took half of the time to compile.
    """

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        if not self._finalized:
            self.finalize()  # type: ignore[no-untyped-call]
        return 0

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, env: Any) -> None:
        """There is no machine code that has an environment."""


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
        if flags.no_cpython_wrapper:
            ingredient: Any = _Ingredient
            library = ingredient(targetctx.codegen(), "worker")
        parent: Any = super()
        parent.__init__(typingctx, targetctx, library, args, return_type, flags, locals)


@cache
def _sources() -> str:
    """What all of the kernels' files say, in short."""
    digest = sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


class _Files(IndexDataCacheFile):
    """Where a function's machine code is kept, a file for each signature.

    Numba numbers the files; of two processes that save other signatures at the same time, one
    would find the other's code in the file of its number.
    """

    def save(self, key: Any, data: Any) -> None:
        self._key = sha256(repr(key).encode()).hexdigest()
        parent: Any = super()
        parent.save(key, data)

    def _data_name(self, number: int) -> str:
        return str(self._data_name_pattern).format(number=int(self._key[:8], 16) + number)


class _Cache(FunctionCache):
    """Numba's disk cache; one that cannot be read or written is as good as none.

    What is not there is announced, if it takes long to compile, and followed by requests to compile
    `next`: kernels, each with the arguments that it will be called with.
    """

    def __init__(self, function: Any) -> None:
        parent: Any = super()
        parent.__init__(function)
        impl: Any = self._impl
        index: Any = _Files
        stamp = (impl.locator.get_source_stamp(), _sources())
        self._cache_file = index(self._cache_path, impl.filename_base, stamp)
        self._kernel = function
        self._word: threading.Timer | None = None
        self.next: Calls = ()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = self._load(sig, target_context)
        if found is None:
            self._word = _Word("once (they are cached on disk)")
            for kernel, args in self.next:
                ahead.ask(_job(kernel, tuple(map(numba.typeof, args))))
            if ahead.wait(_job(self._kernel, tuple(sig))):
                found = self._load(sig, target_context)
                self._word.cancel()
        return found

    def _load(self, sig: Any, target_context: Any) -> Any:
        parent: Any = super()
        try:
            return parent.load_overload(sig, target_context)
        except Exception:  # whatever a damaged file leads to, compiling is the answer
            with suppress(OSError):
                parent.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        parent: Any = super()
        with suppress(OSError):
            parent.save_overload(sig, data)
        if self._word:
            self._word.cancel()


class _Nowhere(NullCache):
    """In place of the disk cache where there is no folder to write in."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        self._word = _Word("as in every run (no cache can be written)")

    def save_overload(self, sig: Any, data: Any) -> None:
        self._word.cancel()


def _job(kernel: Any, types: tuple[Any, ...]) -> ahead.Job:
    return ahead.Job(kernel.__module__, kernel.__qualname__, types)


class _Word(threading.Timer):
    """Says why nothing happens, if it is not cancelled in time, and nobody said so before."""

    said = False
    after = 1.0  # seconds

    def __init__(self, how: str) -> None:
        super().__init__(self.after, self._say, (how,))
        self.daemon = True
        self.start()

    @staticmethod
    def _say(how: str) -> None:
        if not _Word.said:
            _Word.said = True
            text = f"tinygrad_course: compiling kernels, {how}"
            print(text, file=sys.stderr, flush=True)


_INGREDIENT: dict[str, Any] = {
    "pipeline_class": _Apart, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **_LOOPS,
}  # fmt: skip


def worker(function: Kernel) -> Kernel:
    """Compile loops that other compiled functions call. Their arrays must not overlap."""
    compiled: Kernel = numba.njit(**_INGREDIENT, **_OPTIONS)(function)
    return compiled


def exact(function: Kernel) -> Kernel:
    """Compile arithmetic in which the order of sums matters, to be called from loops."""
    options = {**_OPTIONS, "fastmath": {"contract"}}
    compiled: Kernel = numba.njit(**_INGREDIENT, **options)(function)
    return compiled


def entry(function: Kernel) -> Kernel:
    """Compile a kernel that is called from Python, by `launch`."""
    compiled = numba.njit(pipeline_class=_Apart, **_LOOPS, **_OPTIONS)(function)
    if not numba.config.DISABLE_JIT:
        on_disk, nowhere = cast("tuple[Any, Any]", (_Cache, _Nowhere))
        try:
            compiled._cache = on_disk(compiled.py_func)
        except RuntimeError:  # no folder to write in: compile in every process
            compiled._cache = nowhere()
    return cast(Kernel, compiled)


def foresee(kernel: Kernel, then: Callable[..., Calls]) -> None:
    """Where a kernel is compiled, others will be wanted soon: `then(team, *args)` are the calls.

    Only the types of their arguments count.
    """
    _foreseen[kernel] = then


_foreseen: dict[Kernel, Callable[..., Calls]] = {}


# --- launching ------------------------------------------------------------------------------------


def launch(kernel: Kernel, threads: int, *args: Any) -> Any:
    """Call a kernel, with the team that its parts are given to if they are more than one."""
    if (kernel, args[0].dtype) not in _compiled:
        return spread(_first, threads, kernel, *args)
    return kernel(0, *args) if threads == 1 else spread(kernel, threads, *args)


_compiled: set[tuple[Kernel, Any]] = set()


def _first(team: int, kernel: Kernel, *args: Any) -> Any:
    cache: Any = getattr(kernel, "_cache", None)
    if isinstance(cache, _Cache) and kernel in _foreseen:
        cache.next = _foreseen[kernel](team, *args)
    collecting = gc.isenabled()
    gc.disable()  # what the compiler makes stays: looking through it over and over takes a tenth
    try:
        return kernel(team, *args)
    finally:
        if collecting:
            gc.enable()
        _compiled.add((kernel, args[0].dtype))
