"""Sources of random numbers: one that is shared, and others with a seed of their own."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import devices
from .errors import OptionError


class Generator:
    """A source of random numbers with a seed and a state that can be saved (NumPy's PCG64).

    Args:
        seed: where to start; from the operating system's entropy unless given. The name of a
            device is understood here, too, as in PyTorch.

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

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed; returns the generator."""
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise OptionError(f"a seed is a non-negative integer, got {seed!r}")
        self._seed = int(seed)
        self.__dict__.pop("numpy", None)
        return self

    def get_state(self) -> dict[str, Any]:
        """The state, as plain Python data."""
        return dict(self.numpy.bit_generator.state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.numpy.bit_generator.state = state


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used where none is given."""
    return default_generator.manual_seed(seed)


def source(generator: Generator | None) -> np.random.Generator:
    """NumPy's generator behind this one, or behind the shared one."""
    if generator is not None and not isinstance(generator, Generator):
        raise OptionError(f"generator is {generator!r}; make one with tc.Generator(seed)")
    return (default_generator if generator is None else generator).numpy
