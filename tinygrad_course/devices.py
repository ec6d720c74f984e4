"""Devices: which array module computes, and where arrays live."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from . import kernels
from .errors import DeviceError, OptionError
from .graph import Value

KINDS = ("cpu", "cuda", "mps", "meta", "xpu")


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
    """The device's name, or an error that says which there are.

    Raises:
        DeviceError: the device is not supported.
    """
    if device is None or device == "cpu":
        return "cpu"
    raise DeviceError(f"device {device!r} is not supported; this version computes on 'cpu'")


def kernel(name: str) -> Callable[..., Any]:
    """The fastest function for a row: the device's kernel, else the plain NumPy forward."""
    return kernels.lookup("cpu", name) or getattr(kernels.plain, name)


def faster(
    name: str, plain: Callable[..., Any], recorded: Callable[..., Any] | None = None,
    least: int = 1 << 12,
) -> Callable[..., Any]:  # fmt: skip
    """`plain`, or the device's kernel of that name where there is enough to do for it.

    For a forward, and for a rule: a rule that is being recorded works on Values, as `recorded` does
    (or else `plain` itself).

    Args:
        least: so many floating elements of the first argument are enough. Below, no compiler is
            imported.
    """

    @wraps(plain)
    def run(x: Any, *args: Any, **how: Any) -> Any:
        for a in (x, *args):
            if isinstance(a, Value):
                return (recorded or plain)(x, *args, **how)
        if type(x) is np.ndarray and x.size >= least and x.dtype.char in "fd":
            kernel = kernels.lookup("cpu", name)
            out = NotImplemented if kernel is None else kernel(x, *args, **how)
            if out is not NotImplemented:  # the kernel does not take all arguments
                return out
        return plain(x, *args, **how)

    return run


def place(array: Any, device: Any) -> Any:
    """The array on a device."""
    check(device)
    return array


def of(array: Any) -> device:
    """The device that an array lives on."""
    return CPU


def to_numpy(array: Any) -> np.ndarray[Any, Any]:
    """The array in the computer's main memory."""
    return np.asarray(array)
