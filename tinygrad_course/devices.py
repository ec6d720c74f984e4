"""Devices: which array module computes, and where arrays live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import kernels
from .errors import DeviceError


def is_device(name: Any) -> bool:
    """Whether this looks like the name of a device."""
    return isinstance(name, str) and name.split(":")[0] in ("cpu", "cuda", "mps", "meta", "xpu")


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


def place(array: Any, device: Any) -> Any:
    """The array on a device."""
    check(device)
    return array


def of(array: Any) -> str:
    """The device that an array lives on."""
    return "cpu"


def to_numpy(array: Any) -> np.ndarray[Any, Any]:
    """The array in the computer's main memory."""
    return np.asarray(array)
