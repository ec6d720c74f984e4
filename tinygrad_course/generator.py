"""Sources of random numbers: one that is shared, and others with a seed of their own."""

from __future__ import annotations

import functools
import math
import secrets
from typing import Any

import numpy as np

from . import devices
from .errors import OptionError


class Generator:
    """A source of random numbers with a seed and a state that can be saved (NumPy's PCG64).

    On a GPU numbers come from the same seed by a counter (Philox), so they are other numbers than
    the CPU's; they do not depend on the model of the GPU.

    Args:
        seed: where to start; from the operating system's entropy unless given. The name of a
            device is understood here, too, as in PyTorch: a generator serves all of them.

    >>> import tinygrad_course as tc
    >>> a = tc.rand(3, generator=tc.Generator().manual_seed(0))
    >>> b = tc.rand(3, generator=tc.Generator().manual_seed(0))
    >>> bool((a == b).all())
    True
    """

    def __init__(self, seed: int | str | None = None, device: Any = None) -> None:
        devices.check(seed if isinstance(seed, str) else device)
        self._seed = None if isinstance(seed, str) else seed

    @functools.cached_property
    def numpy(self) -> np.random.Generator:
        """The NumPy generator, made when first needed (numpy.random is slow to import)."""
        return np.random.Generator(np.random.PCG64(self._seed))

    @functools.cached_property
    def cuda(self) -> Counter:
        """The generator of numbers on GPUs, made when first needed."""
        return Counter(secrets.randbits(63) if self._seed is None else self._seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed; returns the generator."""
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise OptionError(f"a seed is a non-negative integer, got {seed!r}")
        self._seed = int(seed)
        self.__dict__.pop("numpy", None)
        self.__dict__.pop("cuda", None)
        return self

    def get_state(self) -> dict[str, Any]:
        """The state, as plain Python data."""
        state = dict(self.numpy.bit_generator.state)
        if "cuda" in self.__dict__:
            state["cuda"] = {"seed": self.cuda.seed, "draws": self.cuda.draws}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        state = dict(state)
        cuda = state.pop("cuda", None)
        self.numpy.bit_generator.state = state
        if cuda is not None:
            self.cuda.seed, self.cuda.draws = int(cuda["seed"]), int(cuda["draws"])
        elif "cuda" in self.__dict__:  # nothing had been drawn there
            self.cuda.draws = 0


class Counter:
    """Random arrays on a device, under the names of NumPy's generator; the state is a count."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.draws = 0

    def at(self, device: Any) -> Draws:
        """The same source for arrays on one device."""
        return Draws(self, devices.module(device), devices.check(device))


class Draws:
    """What NumPy's generator does, in another array module."""

    def __init__(self, counter: Counter, module: Any, device: str) -> None:
        self.counter = counter
        self.module = module
        self.device = device

    def _bits(self, count: int) -> Any:
        with devices.on(self.device):
            out = self.module.empty(count, np.uint32)
            devices.kernel("philox", out)(out, self.counter.seed, self.counter.draws)
        self.counter.draws += 1
        return out

    def random(self, size: Any = (), dtype: Any = np.float64) -> Any:
        """Uniform numbers in [0, 1): 24 random bits in single precision, 53 in double."""
        shape = tuple(size) if np.iterable(size) else (size,)
        count = math.prod(shape)
        if np.dtype(dtype) == np.float32:
            return ((self._bits(count) >> 8).astype(np.float32) * 2.0**-24).reshape(shape)
        high, low = self._bits(2 * count).reshape(2, count)
        wide = (high >> 5).astype(np.float64) * 2.0**26 + (low >> 6).astype(np.float64)
        return (wide * 2.0**-53).reshape(shape)

    def standard_normal(self, size: Any = (), dtype: Any = np.float64) -> Any:
        """Normal numbers, two at a time: √(−2 ln u) times cos and sin of 2π v (Box, Muller)."""
        shape = tuple(size) if np.iterable(size) else (size,)
        half = -(-math.prod(shape) // 2)
        u, v = self.random((2, half), dtype)
        radius, angle = np.sqrt(np.log(1 - u) * -2), v * (2 * math.pi)
        both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        return both[: math.prod(shape)].reshape(shape)

    def normal(self, mean: float, std: float, size: Any) -> Any:
        """Normal numbers with a mean and a standard deviation."""
        return self.standard_normal(size) * std + mean

    def uniform(self, low: float, high: float, size: Any) -> Any:
        """Uniform numbers in [low, high)."""
        return self.random(size) * (high - low) + low

    def gumbel(self, size: Any) -> Any:
        """−ln(−ln u)."""
        return -np.log(-np.log1p(-self.random(size)))

    def standard_exponential(self, size: Any) -> Any:
        """−ln u."""
        return -np.log1p(-self.random(size))

    def integers(self, low: int, high: int, size: Any) -> Any:
        """Whole numbers from low up to but without high."""
        return np.floor(self.random(size) * (high - low)).astype(np.int64) + low

    def permutation(self, count: int) -> Any:
        """The numbers 0 to count − 1 in random order."""
        return self.random(count).argsort()


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used where none is given, on every device."""
    return default_generator.manual_seed(seed)


def source(generator: Generator | None, device: Any = None) -> Any:
    """What draws arrays on a device for this generator, or for the shared one."""
    if generator is not None and not isinstance(generator, Generator):
        raise OptionError(f"generator is {generator!r}; make one with tc.Generator(seed)")
    generator = default_generator if generator is None else generator
    if device is None or device == "cpu":
        return generator.numpy
    return generator.cuda.at(device)
