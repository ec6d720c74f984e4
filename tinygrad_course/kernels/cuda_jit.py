"""numba.cuda, set up once: the one import of `cuda`, how kernels are compiled, kept and launched.

Numba compiles a kernel to PTX, CuPy loads and launches it. Numba's own launch takes every array
apart in Python; CuPy's hands pointers over in compiled code, goes to CuPy's current stream, in
order with all that CuPy does, and waits for nothing. The PTX is kept on disk, so that a later
process compiles nothing.

Kernels are written in what Numba's built-in target and the package numba-cuda have in common. Their
arrays are flat and contiguous; every index is worked out in the kernel. Nothing is allocated there.

Under `NUMBA_ENABLE_CUDASIM=1` kernels run in Numba's simulator, on NumPy arrays: a Python thread
for each thread of the GPU.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Array = Any
THREADS = 256  # in a block of the matrix kernels
LINEAR = 256  # in a block of the kernels with a thread for each number
SLOTS = 16  # arrays in a tuple: 7 numbers of 8 bytes each, of the 4,096 bytes that a launch takes

CODES = {"i": np.dtype(np.int32), "l": np.dtype(np.int64), "u": np.dtype(np.uint32)}


class Kernel:
    """A kernel for one dtype.

    Args:
        function: the Python function, made for the dtype.
        kinds: a letter for each argument: "x" an array of the dtype, "i", "l" and "u" arrays of
            int32, int64 and uint32, "n" a whole number, "r" a number of the dtype, "t" a tuple of
            `SLOTS` arrays "x".
        dtype: of the arrays "x" and the numbers "r".
    """

    def __init__(self, function: Callable[..., Any], kinds: str, dtype: np.dtype[Any]) -> None:
        self.function = function
        self.kinds = kinds.split()
        self.dtype = np.dtype(dtype)
        self.way = ""  # how it came to the GPU: "ptx", "cubin" or "numba", the slowest to launch
        self.loaded: dict[int, Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<kernel {self.function.__qualname__} of {self.dtype}>"

    def __call__(self, grid: tuple[int, ...], threads: int, *args: Any) -> None:
        """Launch: `grid` blocks of `threads` threads. Arrays must be C-contiguous."""
        first = args[0]
        device = -1 if isinstance(first, np.ndarray) else first.device.id
        launch = self.loaded.get(device)
        if launch is None:
            launch = self.loaded[device] = self._load(device)
        launch(grid, threads, args)

    def each(self, count: int, *args: Any) -> None:
        """Launch a thread for each of `count` numbers."""
        if count:
            self((blocks(count, LINEAR),), LINEAR, *args)

    def signature(self) -> Any:
        """The types of the arguments, for Numba."""
        import numba

        nb: Any = numba

        def typed(kind: str) -> Any:
            if kind in "nr":
                return nb.int64 if kind == "n" else nb.from_dtype(self.dtype)
            array = nb.types.Array(nb.from_dtype(CODES.get(kind, self.dtype)), 1, "C")
            return nb.types.UniTuple(array, SLOTS) if kind == "t" else array

        return nb.void(*map(typed, self.kinds))

    def ptx(self, capability: tuple[int, int]) -> str:
        """The kernel in the assembly language of cards with a compute capability."""
        cuda = numba_cuda()
        text, _ = cuda.compile_ptx(self.function, self.signature(), cc=capability)
        return str(text)

    def _load(self, device: int) -> Callable[..., Any]:
        if device < 0:
            return self._simulated()
        import cupy

        text = cupy.cuda.Device(device).compute_capability
        capability = int(text[:-1]), int(text[-1])
        for way, find in (("ptx", self._compiled), ("cubin", self._linked)):
            self.way = way
            try:
                path, name = find(capability)
                return self._by_cupy(cupy.RawModule(path=str(path)).get_function(name))
            except Exception:  # whatever keeps CuPy from loading it, Numba can launch it, too
                continue
        self.way = "numba"
        return self._by_numba()

    def _compiled(self, capability: tuple[int, int]) -> tuple[Path, str]:
        """A file of PTX, which the driver assembles, and the kernel's name in it."""
        path = self._kept(_known(capability))
        name = re.search(r"\.entry\s+([\w$]+)", path.read_text(encoding="ascii"))
        assert name is not None
        return path, name.group(1)

    def _linked(self, capability: tuple[int, int]) -> tuple[Path, str]:
        """The same assembled by Numba's linker: a driver takes no PTX that is newer than itself."""
        compiled = numba_cuda().jit(self.signature())(self.function)
        (overload,) = compiled.overloads.values()
        code = overload._codelibrary.get_cubin(cc=capability)
        path = Path(tempfile.mkdtemp(prefix="tinygrad_course-")) / "kernel.cubin"
        path.write_bytes(bytes(getattr(code, "code", code)))
        return path, overload.entry_name

    def _kept(self, capability: tuple[int, int]) -> Path:
        """The file of the kernel's PTX, written if it is not there."""
        source = inspect.getsource(inspect.getmodule(self.function))  # type: ignore[arg-type]
        constants = inspect.getclosurevars(self.function).nonlocals
        parts = (source, self.function.__qualname__, sorted(map(str, constants.items())),
                 self.kinds, self.dtype.str, capability, _compiler())  # fmt: skip
        key = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
        path = _folder() / f"{self.function.__name__}-{key}.ptx"
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_text(self.ptx(capability), encoding="ascii")
            part.replace(path)
        return path

    def _by_cupy(self, function: Any) -> Callable[..., Any]:
        kinds = self.kinds

        def launch(grid: tuple[int, ...], threads: int, args: Any) -> None:
            given: list[Any] = []
            for kind, a in zip(kinds, args, strict=True):
                if kind in "nr":
                    given.append(a)
                    continue
                for x in a if kind == "t" else (a,):
                    # as Numba hands it over: owner, parent, count, item size, address, shape, step
                    given += (0, 0, x.size, x.itemsize, x, x.size, x.itemsize)
            function(grid, (threads,), given)

        return launch

    def _by_numba(self) -> Callable[..., Any]:
        """Numba's launch, which links the kernel itself, on CuPy's current stream."""
        import cupy

        cuda = numba_cuda()
        os.environ.setdefault("NUMBA_CUDA_ARRAY_INTERFACE_SYNC", "0")
        compiled = cuda.jit(self.function)

        def launch(grid: tuple[int, ...], threads: int, args: Any) -> None:
            stream = cuda.external_stream(cupy.cuda.get_current_stream().ptr)
            arrays = [tuple(map(cuda.as_cuda_array, a)) if isinstance(a, tuple) else a
                      for a in map(_flat, args)]  # fmt: skip
            compiled[grid, threads, stream](*arrays)

        return launch

    def _simulated(self) -> Callable[..., Any]:
        cuda = numba_cuda()
        from numba.core import config

        settings: Any = config
        if not settings.ENABLE_CUDASIM:
            raise RuntimeError(f"{self!r} was given NumPy arrays, which only the simulator takes")
        compiled = cuda.jit(self.function)

        def launch(grid: tuple[int, ...], threads: int, args: Any) -> None:
            compiled[grid, threads](*map(_flat, args))

        return launch


def numba_cuda() -> Any:
    """Numba's `cuda`: the built-in target, the package numba-cuda, or the simulator."""
    from numba import cuda

    return cuda


def number_type(dtype: Any) -> Any:
    """Numba's type of the numbers of a dtype; called, it makes one."""
    from numba import from_dtype

    return from_dtype(np.dtype(dtype))


def _flat(a: Any) -> Any:
    if isinstance(a, tuple):
        return tuple(map(_flat, a))
    return a.reshape(-1) if hasattr(a, "shape") and a.shape else a


def _known(capability: tuple[int, int]) -> tuple[int, int]:
    """The newest capability that both compilers know and that runs on such a card."""
    return min(capability, (9, 0))


@cache
def _compiler() -> tuple[str, ...]:
    import importlib.metadata

    found = []
    for package in ("numba", "numba-cuda"):
        try:
            found.append(importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            found.append("none")
    return tuple(found)


@cache
def _folder() -> Path:
    """A folder to keep PTX in: beside the kernels, Numba's cache, or one for this process."""
    for name in (os.environ.get("NUMBA_CACHE_DIR"), Path(__file__).with_name("__pycache__")):
        if name is None:
            continue
        folder = Path(name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".{os.getpid()}.probe"
            probe.touch()
            probe.unlink()
        except OSError:
            continue
        return folder
    return Path(tempfile.mkdtemp(prefix="tinygrad_course-"))


def blocks(count: int, size: int) -> int:
    """How many blocks of `size` hold `count`."""
    return -(-count // size)


def layout(length: int) -> tuple[int, int]:
    """How many threads go along a row of numbers, and how many such rows a block has."""
    lanes = 32 if length <= 1024 else THREADS
    return lanes, THREADS // lanes
