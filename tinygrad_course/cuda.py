"""The GPU as PyTorch's `torch.cuda` shows it: is there one, which, how much memory, wait for it.

Everything here can be asked on a machine without a GPU; what needs one raises `DeviceError`.
"""

from __future__ import annotations

from typing import Any

from . import devices
from .generator import default_generator

__all__ = [
    "current_device", "device", "device_count", "empty_cache", "get_device_capability",
    "get_device_name", "is_available", "manual_seed", "manual_seed_all", "mem_get_info",
    "memory_allocated", "memory_reserved", "set_device", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether device="cuda" can be used: CuPy is installed and finds a GPU."""
    return not devices.find_cupy()[1]


def device_count() -> int:
    """The number of GPUs; 0 if none can be used."""
    return int(devices.cupy().cuda.runtime.getDeviceCount()) if is_available() else 0


def current_device() -> int:
    """The number of the GPU that "cuda" stands for."""
    return int(devices.cupy().cuda.runtime.getDevice())


def set_device(device: Any) -> None:
    """Let "cuda" stand for another GPU."""
    devices.on(device).use()


def device(device: Any) -> Any:
    """A context in which "cuda" stands for another GPU: `with tc.cuda.device(1): ...`."""
    return devices.on(device)


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all that it was asked to do; only then does a clock tell."""
    devices.on("cuda" if device is None else device).synchronize()


def get_device_name(device: Any = None) -> str:
    """The name of the card."""
    name = _properties(device)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability: what the card's processors can do, (9, 0) for an H100."""
    found = _properties(device)
    return int(found["major"]), int(found["minor"])


def _properties(device: Any) -> Any:
    name = devices.check("cuda" if device is None else device)
    return devices.cupy().cuda.runtime.getDeviceProperties(int(name.partition(":")[2]))


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes that are free on the card, and all of them."""
    free, total = devices.on("cuda" if device is None else device).mem_info
    return int(free), int(total)


def memory_allocated(device: Any = None) -> int:
    """Bytes that arrays hold."""
    with devices.on("cuda" if device is None else device):
        return int(devices.cupy().get_default_memory_pool().used_bytes())


def memory_reserved(device: Any = None) -> int:
    """Bytes that the pool of memory holds for arrays to come, those in use included."""
    with devices.on("cuda" if device is None else device):
        return int(devices.cupy().get_default_memory_pool().total_bytes())


def empty_cache() -> None:
    """Give the memory that no array holds back to the card."""
    devices.cupy().get_default_memory_pool().free_all_blocks()


def manual_seed(seed: int) -> None:
    """Seed the generator of numbers on GPUs, and no other."""
    default_generator.cuda.seed, default_generator.cuda.draws = int(seed), 0


manual_seed_all = manual_seed
