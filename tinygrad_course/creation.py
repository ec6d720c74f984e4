"""Tensors made from nothing: filled, counted, and random ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import devices
from .arrays import as_array, checked_dtype, get_default_dtype
from .errors import DtypeError, OptionError, ShapeError
from .generator import Generator, default_generator, manual_seed, source
from .graph import wrap
from .ops.shape import normal_shape
from .tensor import Tensor, as_tensor

__all__ = [
    "Generator", "arange", "default_generator", "empty", "empty_like", "eye", "from_numpy",
    "full", "full_like", "is_tensor", "linspace", "logspace", "manual_seed", "normal", "ones",
    "ones_like", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm",
    "tensor", "tril_indices", "triu_indices", "zeros", "zeros_like",
]  # fmt: skip


def _made(array: Any, device: Any, requires_grad: bool) -> Tensor:
    out: Tensor = wrap(Tensor, devices.place(array, device), None)
    return out.requires_grad_() if requires_grad else out


def _new(how: str, size: Any, dtype: Any, device: Any, requires_grad: bool, *value: Any) -> Tensor:
    """An array of a size, made where it will live."""
    shape = normal_shape((size,) if how == "full" else size)
    with devices.on(device):
        array = getattr(devices.module(device), how)(shape, *value, dtype=dtype)
    return _made(array, None, requires_grad)


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
    """A Tensor of one value.

    Raises:
        OptionError: the dtype cannot hold the value.
    """
    dtype = as_array(fill_value).dtype if dtype is None else checked_dtype(dtype)
    fill_value = as_array(fill_value)
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= fill_value <= np.iinfo(dtype).max:
        raise OptionError(f"full: {fill_value} does not fit into {dtype}")
    return _new("full", size, dtype, device, requires_grad, fill_value.item())


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros.

    >>> import tinygrad_course as tc
    >>> tc.zeros(2, 3).shape
    (2, 3)
    """
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    return _new("zeros", size, dtype, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones."""
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    return _new("ones", size, dtype, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor whose elements are whatever the memory held."""
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    return _new("empty", size, dtype, device, requires_grad)


def _beside(input: Any, device: Any) -> Any:
    return input.device if device is None else device


def zeros_like(
    input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros with the shape, and unless said otherwise the dtype, of another Tensor."""
    dtype = input.dtype if dtype is None else dtype
    return zeros(
        tuple(input.shape), dtype=dtype, device=_beside(input, device), requires_grad=requires_grad
    )


def ones_like(
    input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones with the shape, and unless said otherwise the dtype, of another Tensor."""
    dtype = input.dtype if dtype is None else dtype
    return ones(
        tuple(input.shape), dtype=dtype, device=_beside(input, device), requires_grad=requires_grad
    )


def empty_like(
    input: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Whatever the memory held, with the shape and unless said otherwise the dtype of another."""
    dtype = input.dtype if dtype is None else dtype
    return empty(
        tuple(input.shape), dtype=dtype, device=_beside(input, device), requires_grad=requires_grad
    )


def full_like(
    input: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value with the shape, and unless said otherwise the dtype, of another Tensor."""
    how = {"dtype": input.dtype if dtype is None else dtype, "device": _beside(input, device)}
    return full(tuple(input.shape), fill_value, requires_grad=requires_grad, **how)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... up to but without `end`; integers give int64.

    Raises:
        OptionError: step is 0, or leads away from end.
    """
    start, end = (0, start) if end is None else (start, end)
    start, end, step = (v.item() if hasattr(v, "item") else v for v in (start, end, step))
    if step == 0 or (end - start) * step < 0:
        raise OptionError(f"arange: a step of {step} does not lead from {start} to {end}")
    whole = all(isinstance(v, int) for v in (start, end, step))
    if dtype is None:
        dtype = np.int64 if whole else get_default_dtype()
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    made = start + step * np.arange(count)  # np.arange's own step has a rounding error
    return _made(made.astype(checked_dtype(dtype)), device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers at equal distances, from start to end, both included."""
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    if steps < 0:
        raise OptionError(f"linspace: steps is {steps}; it must not be negative")
    start, end = float(start), float(end)
    return _made(np.linspace(start, end, steps).astype(dtype), device, requires_grad)


def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`base` to the powers from start to end, both included: equal ratios."""
    powers = linspace(start, end, steps, dtype=np.float64).numpy()
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    return _made(np.power(float(base), powers).astype(dtype), device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The identity matrix, n by m (square unless given)."""
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    if n < 0 or (m is not None and m < 0):
        raise ShapeError(f"eye: sizes must not be negative, got n={n} and m={m}")
    return _made(np.eye(n, m, dtype=dtype), device, requires_grad)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The places of the lower triangle of a matrix, rows above columns: (2, how many).

    >>> import tinygrad_course as tc
    >>> tc.tril_indices(2, 2).tolist()
    [[0, 1, 1], [0, 0, 1]]
    """
    return _triangle("tril_indices", row, col, offset, dtype, True)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The places of the upper triangle of a matrix, rows above columns: (2, how many)."""
    return _triangle("triu_indices", row, col, offset - 1, dtype, False)


def _triangle(name: str, row: int, col: int, offset: int, dtype: Any, lower: bool) -> Tensor:
    if row < 0 or col < 0:
        raise ShapeError(f"{name}: sizes must not be negative, got {row} and {col}")
    inside = np.tri(row, col, offset, dtype=bool)
    places = np.stack(np.nonzero(inside if lower else ~inside))
    return _made(places.astype(checked_dtype(dtype)), None, False)


def is_tensor(obj: Any) -> bool:
    """Whether this is a Tensor."""
    return isinstance(obj, Tensor)


# --- random ---------------------------------------------------------------------------------------


def _random(
    draw: Any, dtype: Any, device: Any, requires_grad: bool, bounded: bool = False
) -> Tensor:
    dtype = get_default_dtype() if dtype is None else checked_dtype(dtype)
    if dtype.kind != "f":
        raise DtypeError(f"these random numbers are fractions, not {dtype}; tc.randint makes those")
    wide = dtype if dtype in (np.float32, np.float64) else np.dtype("float32")
    drawn = draw(wide)
    if bounded and dtype != wide:  # rounding must not reach 1
        drawn = np.minimum(drawn, np.nextafter(dtype.type(1), dtype.type(0)))
    return _made(drawn.astype(dtype, copy=False), device, requires_grad)


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform random numbers in [0, 1)."""
    shape = normal_shape(size)
    draw = source(generator, device).random
    return _random(lambda d: draw(shape, dtype=d), dtype, device, requires_grad, bounded=True)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal random numbers with mean 0 and variance 1."""
    shape = normal_shape(size)
    draw = source(generator, device).standard_normal
    return _random(lambda d: draw(shape, dtype=d), dtype, device, requires_grad)


def rand_like(
    input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Uniform random numbers in [0, 1) with the shape and dtype of another Tensor."""
    how = {"dtype": input.dtype if dtype is None else dtype, "device": _beside(input, device)}
    return rand(tuple(input.shape), generator=generator, requires_grad=requires_grad, **how)


def randn_like(
    input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Normal random numbers with the shape and dtype of another Tensor."""
    how = {"dtype": input.dtype if dtype is None else dtype, "device": _beside(input, device)}
    return randn(tuple(input.shape), generator=generator, requires_grad=requires_grad, **how)


def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None,
    dtype: Any = np.int64, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Random integers from low (0 if left out) up to but without high.

    >>> import tinygrad_course as tc
    >>> tc.randint(3, (2, 2)).shape
    (2, 2)
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if high <= low:
        raise OptionError(f"randint: high must exceed low, got low={low} and high={high}")
    drawn = source(generator, device).integers(low, high, normal_shape((size,)))
    return _made(drawn.astype(checked_dtype(dtype)), device, requires_grad)


def randint_like(
    input: Any, low: int, high: Any = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Random integers with the shape and dtype of another Tensor."""
    low, high = (0, low) if high is None else (low, high)
    how = {"dtype": input.dtype if dtype is None else dtype, "device": _beside(input, device)}
    return randint(
        low, high, tuple(input.shape), generator=generator, requires_grad=requires_grad, **how
    )


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = np.int64, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers 0 to n − 1 in random order."""
    drawn = source(generator, device).permutation(n).astype(checked_dtype(dtype))
    return _made(drawn, device, requires_grad)


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None,
    dtype: Any = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal random numbers with the given mean and standard deviation.

    Args:
        mean, std: numbers, and then a `size`; or a Tensor and a number, or Tensors that broadcast.

    Raises:
        OptionError: a negative std.
        ShapeError: mean, std and size do not fit together.

    >>> import tinygrad_course as tc
    >>> tc.normal(tc.zeros(2, 3), 0.1).shape
    (2, 3)
    """
    places = [v.device for v in (mean, std) if isinstance(v, Tensor)]
    device = places[0] if device is None and places else device
    middle, spread = (devices.place(as_tensor(v)._data, device) for v in (mean, std))
    if (spread < 0).any():
        raise OptionError("normal: std must not be negative")
    try:
        shape = np.broadcast_shapes(middle.shape, spread.shape)
        shape = shape if size is None else normal_shape((size,))
        np.broadcast_to(middle, shape), np.broadcast_to(spread, shape)
    except ValueError as error:
        raise ShapeError(f"normal: mean and std do not fit size {size}: {error}") from error
    if dtype is None:
        floats = [v.dtype for v in (mean, std) if isinstance(v, Tensor) and v.dtype.kind == "f"]
        dtype = floats[0] if floats else get_default_dtype()
    drawn = randn(shape, generator=generator, dtype=dtype, device=device)._data
    made = devices.together(middle + spread * drawn, ()).astype(dtype, copy=False)
    return _made(made, device, requires_grad)
