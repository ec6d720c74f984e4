"""Tensors made from nothing: filled, counted, and random ones."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import devices
from .arrays import as_array, checked_dtype, get_default_dtype
from .errors import OptionError, ShapeError
from .graph import wrap
from .ops.shape import normal_shape
from .tensor import Tensor, as_tensor

__all__ = [
    "Generator", "arange", "empty", "eye", "from_numpy", "full", "full_like", "linspace",
    "manual_seed", "normal", "ones", "ones_like", "rand", "rand_like", "randint", "randn",
    "randn_like", "randperm", "tensor", "zeros", "zeros_like",
]  # fmt: skip


def _made(array: Any, device: Any, requires_grad: bool) -> Tensor:
    out: Tensor = wrap(Tensor, devices.place(array, device), None)
    return out.requires_grad_() if requires_grad else out


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor with a copy of the data.

    >>> import tinygrad_course as tc
    >>> tc.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    return Tensor(data, requires_grad, dtype, device)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A Tensor that shares memory with a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise OptionError(f"from_numpy takes a NumPy array, got {type(array).__name__}")
    return wrap(Tensor, as_array(array), None)


def full(
    size: Sequence[int], fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A Tensor of one value."""
    dtype = as_array(fill_value).dtype if dtype is None else checked_dtype(dtype)
    return _made(np.full(normal_shape((size,)), fill_value, dtype), device, requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros.

    >>> import tinygrad_course as tc
    >>> tc.zeros(2, 3).shape
    (2, 3)
    """
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    return _made(np.zeros(normal_shape(size), dtype), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones."""
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    return _made(np.ones(normal_shape(size), dtype), device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor whose elements are whatever the memory held."""
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    return _made(np.empty(normal_shape(size), dtype), device, requires_grad)


def zeros_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, and unless said otherwise the dtype, of another Tensor."""
    return zeros(tuple(x.shape), dtype=dtype or x.dtype, requires_grad=requires_grad)


def ones_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, and unless said otherwise the dtype, of another Tensor."""
    return ones(tuple(x.shape), dtype=dtype or x.dtype, requires_grad=requires_grad)


def full_like(x: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value with the shape, and unless said otherwise the dtype, of another Tensor."""
    return full(tuple(x.shape), fill_value, dtype=dtype or x.dtype, requires_grad=requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... up to but without `end`; integers give int64."""
    start, end = (0, start) if end is None else (start, end)
    if step == 0:
        raise OptionError("arange: step must not be 0")
    if dtype is None:
        whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
        dtype = np.int64 if whole else get_default_dtype()
    return _made(np.arange(start, end, step).astype(checked_dtype(dtype)), device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers at equal distances, from start to end, both included."""
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    return _made(np.linspace(start, end, steps).astype(dtype), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix, n by m (square unless given)."""
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    return _made(np.eye(n, m, dtype=dtype), None, requires_grad)


# --- random ---------------------------------------------------------------------------------------


class Generator:
    """A source of random numbers with a seed and a state that can be saved (NumPy's PCG64).

    >>> import tinygrad_course as tc
    >>> a = tc.rand(3, generator=tc.Generator().manual_seed(0))
    >>> b = tc.rand(3, generator=tc.Generator().manual_seed(0))
    >>> bool((a == b).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed

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


def _source(generator: Generator | None) -> np.random.Generator:
    return (default_generator if generator is None else generator).numpy


def _random(draw: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    wide = dtype if dtype in (np.float32, np.float64) else np.dtype("float32")
    return _made(np.asarray(draw(wide)).astype(dtype, copy=False), device, requires_grad)


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform random numbers in [0, 1)."""
    shape = normal_shape(size)
    draw = _source(generator).random
    return _random(lambda d: draw(shape, dtype=d), dtype, device, requires_grad)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal random numbers with mean 0 and variance 1."""
    shape = normal_shape(size)
    draw = _source(generator).standard_normal
    return _random(lambda d: draw(shape, dtype=d), dtype, device, requires_grad)


def rand_like(x: Any, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Uniform random numbers in [0, 1) with the shape and dtype of another Tensor."""
    return rand(tuple(x.shape), dtype=dtype or x.dtype, generator=generator)


def randn_like(x: Any, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Normal random numbers with the shape and dtype of another Tensor."""
    return randn(tuple(x.shape), dtype=dtype or x.dtype, generator=generator)


def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None,
    dtype: Any = np.int64, device: Any = None,
) -> Tensor:  # fmt: skip
    """Random integers from low (0 if left out) up to but without high."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if high <= low:
        raise OptionError(f"randint: high must exceed low, got low={low} and high={high}")
    drawn = _source(generator).integers(low, high, normal_shape((size,)))
    return _made(np.asarray(drawn).astype(checked_dtype(dtype)), device, False)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = np.int64) -> Tensor:
    """The numbers 0 to n − 1 in random order."""
    return _made(_source(generator).permutation(n).astype(checked_dtype(dtype)), None, False)


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None
) -> Tensor:
    """Normal random numbers with the given mean and standard deviation (numbers or Tensors)."""
    if size is None:
        size = np.broadcast_shapes(as_tensor(mean).shape, as_tensor(std).shape)
    try:
        return as_tensor(mean + std * randn(size, generator=generator))
    except ShapeError as error:
        raise ShapeError(f"normal: mean and std do not fit size {size}: {error}") from error
