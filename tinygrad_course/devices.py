"""Devices: which array module computes, and where arrays live.

An array is on "cpu" if it is NumPy's and on "cuda" if it is CuPy's: nothing else is kept. Rows call
NumPy's functions, which hand CuPy's arrays over to CuPy; where there is no array yet to decide,
code asks here for the module. Nothing is copied between devices but by `place` and `to_numpy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from typing import Any

import numpy as np

from . import kernels
from .errors import DeviceError, OptionError
from .graph import Value

KINDS = ("cpu", "cuda", "mps", "meta", "xpu")
INSTALL = "pip install 'tinygrad_course[cuda]'"


class device(str):
    """A device by name: a string, so that it compares with one, that knows its two parts.

    Args:
        type: "cpu" or "cuda", with or without a number: "cuda:0".
        index: the number.

    Raises:
        OptionError: the name of no device.

    >>> from tinygrad_course import device
    >>> device("cuda", 1).type, device("cuda:1").index, device("cpu") == "cpu"
    ('cuda', 1, True)
    """

    __slots__ = ()

    def __new__(cls, type: str, index: int | None = None) -> device:
        kind, _, number = type.partition(":")
        known = kind in KINDS and (not _ or number.isdigit()) and (index is None or not _)
        if not known:
            raise OptionError(
                f"device: {type!r}{'' if index is None else f', {index!r}'} names no device; it is "
                "'cpu' or 'cuda', with a number like 'cuda:0' or none"
            )
        return super().__new__(cls, type if index is None else f"{type}:{index}")

    @property
    def type(self) -> str:
        """The kind of device."""
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """Which one of its kind, or None."""
        number = self.partition(":")[2]
        return int(number) if number else None


CPU = device("cpu")


def is_device(name: Any) -> bool:
    """Whether this looks like the name of a device."""
    return isinstance(name, str) and name.split(":")[0] in KINDS


def check(device: Any) -> str:
    """The device's name, with its number if it is a GPU, or an error that says what is missing.

    A number alone names a GPU, as in PyTorch.

    Raises:
        DeviceError: the device is not supported, or not there.
    """
    if device is None or device == "cpu":
        return "cpu"
    name = f"cuda:{device}" if type(device) is int else str(device)
    kind, _, number = name.partition(":")
    if kind != "cuda":
        raise DeviceError(f"device {device!r} is not supported; there are 'cpu' and 'cuda'")
    runtime = cupy(name).cuda.runtime
    index = int(number) if number else runtime.getDevice()
    if index >= runtime.getDeviceCount():
        raise DeviceError(f"{name!r} is not there: this machine has {runtime.getDeviceCount()} GPU")
    return f"cuda:{index}"


# --- array modules --------------------------------------------------------------------------------

_cupy: Any = None


def cupy(device: str = "cuda") -> Any:
    """CuPy, on a machine where it can compute; `device` is what was asked for.

    Raises:
        DeviceError: it is not installed, or finds no GPU.
    """
    global _cupy
    if _cupy is None:
        found, why = find_cupy()
        if why:
            raise DeviceError(f"device {device!r} cannot be used: {why}")
        _cupy = found
    return _cupy


def find_cupy() -> tuple[Any, str]:
    """CuPy if it is installed, and why it cannot compute: an empty text if it can."""
    if _cupy is not None:
        return _cupy, ""
    try:
        import cupy
    except ImportError as error:
        return None, f"CuPy is not installed ({error}); {INSTALL}"
    if cupy.is_available():
        return cupy, ""
    return cupy, "CuPy is installed but finds no NVIDIA GPU; see what `nvidia-smi` says"


def module(device: Any) -> Any:
    """The array module of a device: NumPy or CuPy."""
    return np if check(device) == "cpu" else cupy()


def module_of(array: Any) -> Any:
    """The array module that an array belongs to."""
    return np if isinstance(array, (np.ndarray, np.generic)) else cupy()


def is_array(value: Any) -> bool:
    """Whether this is an array of one of the devices."""
    return isinstance(value, np.ndarray) or is_cuda(value)


def is_writeable(array: Any) -> bool:
    """Whether an array can be written into; CuPy's always can."""
    return array.flags.writeable if isinstance(array, np.ndarray) else True


def is_cuda(value: Any) -> bool:
    """Whether this is a GPU's array."""
    return _cupy is not None and isinstance(value, _cupy.ndarray)


def on(device: Any) -> Any:
    """A context in which CuPy makes its arrays on this device."""
    name = check(device)
    return nullcontext() if name == "cpu" else cupy().cuda.Device(int(name.partition(":")[2]))


# --- arrays ---------------------------------------------------------------------------------------


def of(array: Any) -> device:
    """The device that an array lives on."""
    return CPU if isinstance(array, (np.ndarray, np.generic)) else _named(array.device.id)


def _named(index: int) -> device:
    if index not in _names:
        _names[index] = device("cuda", index)
    return _names[index]


_names: dict[int, device] = {}


def place(array: Any, device: Any) -> Any:
    """The array on a device, copied if it lives on another; where it is if device is None."""
    if device is None or (device == "cpu" and isinstance(array, np.ndarray)):
        return array
    name = check(device)
    if name == "cpu":
        return to_numpy(array)
    if of(array) == name:
        return array
    with on(name):
        return cupy().asarray(array)


def to_numpy(array: Any) -> np.ndarray[Any, Any]:
    """The array in the computer's main memory: a copy if it lives on a GPU."""
    return np.asarray(array) if isinstance(array, (np.ndarray, np.generic)) else array.get()


def like(array: Any, value: Any) -> Any:
    """An array, or what makes one, on the device of another array."""
    if isinstance(array, (np.ndarray, np.generic)):
        return to_numpy(value) if is_cuda(value) else np.asarray(value)
    return place(value if is_cuda(value) else np.asarray(value), of(array))


def together(out: Any, raw: Sequence[Any]) -> Any:
    """What a row computed from these values, as an array.

    Raises:
        TypeError: it lives on a GPU, and not all of them do.
    """
    if isinstance(out, np.generic):
        return np.asarray(out)
    if is_cuda(out) and len(raw) > 1 and any(isinstance(a, np.ndarray) for a in raw):
        raise TypeError("the result is on a GPU, and an argument is not")
    return out


def kernel(name: str, array: Any) -> Callable[..., Any]:
    """The fastest function for a row: the kernel of the array's device, else the plain forward."""
    kind = "cpu" if isinstance(array, np.ndarray) else "cuda"
    return kernels.lookup(kind, name) or getattr(kernels.plain, name)


def faster(
    name: str, plain: Callable[..., Any], recorded: Callable[..., Any] | None = None,
    least: int = 1 << 12, by: int = 0,
) -> Callable[..., Any]:  # fmt: skip
    """`plain`, or the device's kernel of that name where there is enough to do for it.

    For a forward, and for a rule. A rule that is being recorded works on Values, as `recorded` does
    (or else `plain` itself); one of Scalars, on floats.

    Args:
        least: so many floating elements are enough. Below, no compiler is imported.
        by: the place of the argument that has them.
    """

    @wraps(plain)
    def run(*args: Any, **how: Any) -> Any:
        x = args[by]
        host = type(x) is np.ndarray
        if x.size >= least if host else is_cuda(x):
            kernel = kernels.lookup("cpu" if host else "cuda", name)
            if kernel is not None and x.dtype.char in "fd":
                out = kernel(*args, **how)
                if out is not NotImplemented:  # the kernel does not take all arguments
                    return out
        elif recorded is not None and isinstance(x, Value):
            return recorded(*args, **how)
        return plain(*args, **how)

    return run


def use_winograd(on: bool) -> None:
    """Whether convolution with kernels of 3 × 3 may take fewer products, at the price of accuracy.

    It is on at first, unless the environment says `TINYGRAD_COURSE_WINOGRAD=0`. In float32, with
    many channels, it takes half the time; the errors are up to 2e-5 of the largest result, where
    the direct way's are 3e-6. float64 is always computed directly.
    """
    kernels.options.winograd = on
