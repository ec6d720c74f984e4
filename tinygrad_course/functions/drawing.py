"""Random numbers whose chances a tensor holds, or that a tensor takes; and tensors like another."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.arrays import as_array, checked_dtype
from tinygrad_course.errors import DtypeError, OptionError, ShapeError
from tinygrad_course.generator import Generator, source
from tinygrad_course.graph import Value, wrap
from tinygrad_course.ops.shape import normal_shape

# --- draws ----------------------------------------------------------------------------------------


def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None) -> Any:
    """1 with the probability that stands at each place of input (or p everywhere), else 0.

    Raises:
        DtypeError: input holds integers, and p is not given.
        OptionError: a probability outside 0 to 1.
    """
    if p is None and input.dtype.kind != "f":
        raise DtypeError(f"bernoulli: probabilities are floating numbers, input is {input.dtype}")
    chance = input._data if p is None else np.float64(p)
    if not ((chance >= 0) & (chance <= 1)).all():
        raise OptionError("bernoulli: probabilities lie between 0 and 1")
    drawn = source(generator, input.device).random(tuple(input.shape)) < chance
    return _made(input, drawn.astype(input.dtype), None, False)


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Any:
    """Indices drawn with the weights that each row of input holds, as int64.

    Shapes: (categories,) to (num_samples,), or (rows, categories) to (rows, num_samples).

    Raises:
        DtypeError: input holds integers.
        OptionError: a weight that is negative, infinite or NaN, or a row that sums to 0.
        ShapeError: input has more dimensions, or without replacement fewer categories than samples.

    >>> import tinygrad_course as tc
    >>> tc.multinomial(tc.tensor([0.0, 1.0]), 3, replacement=True).tolist()
    [1, 1, 1]
    """
    _check_weights(input, num_samples, replacement)
    weights = input._data.astype(np.float64)
    draw, shape = source(generator, input.device), (*weights.shape[:-1], num_samples)
    if replacement:
        edges = weights.cumsum(-1)
        total = edges[..., -1:]
        at = np.minimum(draw.random(shape) * total, np.nextafter(total, 0.0))  # never the total
        found = (at[..., None] >= edges[..., None, :]).sum(-1)
    else:
        # the largest of log wᵢ + Gumbel noise are a draw without replacement (Efraimidis, Vieira)
        noise = draw.gumbel(size=weights.shape)
        with np.errstate(divide="ignore"):
            found = (-(np.log(weights) + noise)).argsort(-1, kind="stable")[..., :num_samples]
    return wrap(input._face, found.astype(np.int64).reshape(shape), None)


def _check_weights(input: Any, num_samples: int, replacement: bool) -> None:
    if input.dtype.kind != "f":
        raise DtypeError(f"multinomial: weights are floating numbers, input is {input.dtype}")
    if input.ndim not in (1, 2):
        raise ShapeError(f"multinomial: input has shape {tuple(input.shape)}; use 1 or 2 dims")
    if num_samples < 1 or (not replacement and num_samples > input.shape[-1]):
        raise ShapeError(
            f"multinomial: num_samples is {num_samples}, and there are {input.shape[-1]} "
            "categories; use 1 to that many, or replacement=True"
        )
    weights = input._data
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise OptionError("multinomial: weights must be finite and not negative")
    if not (weights.sum(-1) > 0).all():
        raise OptionError("multinomial: the weights of a row sum to 0")


# --- draws that a tensor takes as its values ------------------------------------------------------


def normal_(
    self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Any:
    """Every element becomes a normal random number."""
    if std < 0:
        raise OptionError(f"normal_: std is {std}; it must not be negative")
    _need_floating("normal_", self)
    return _become(self, source(generator, self.device).normal(mean, std, self.shape), "normal_")


def uniform_(
    self: Any, low: float = 0.0, to: float = 1.0, *, generator: Generator | None = None,
    **named: float,
) -> Any:  # fmt: skip
    """Every element becomes a uniform random number; the first bound is `from` in PyTorch."""
    low = named.pop("from", low)
    if named:
        raise OptionError(f"uniform_: unknown options {', '.join(named)}; use from=, to=")
    if to < low:
        raise OptionError(f"uniform_: from={low} is above to={to}")
    _need_floating("uniform_", self)
    drawn = low + (to - low) * source(generator, self.device).random(self.shape)
    below = np.nextafter(self.dtype.type(to), self.dtype.type(low))
    drawn = drawn.astype(self.dtype)  # which may round up to the bound, and that is left out
    return _become(self, np.where(drawn < to, drawn, below), "uniform_")


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Generator | None = None) -> Any:
    """Every element becomes 1 with probability p (a number or a tensor), else 0."""
    chance = p._data.astype(np.float64) if isinstance(p, Value) else np.float64(p)
    if not ((chance >= 0) & (chance <= 1)).all():
        raise OptionError("bernoulli_: probabilities lie between 0 and 1")
    return _become(self, source(generator, self.device).random(self.shape) < chance, "bernoulli_")


def _need_floating(name: str, x: Any) -> None:
    if x.dtype.kind != "f":
        raise DtypeError(f"{name}: the tensor must be floating, it is {x.dtype}")


def _become(self: Any, array: Any, name: str) -> Any:
    return self._become(
        wrap(self._face, devices.together(array, ()).astype(self.dtype), None), name
    )


# --- tensors with the dtype of another ------------------------------------------------------------


def new_tensor(
    self: Any, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor with a copy of the data, in the dtype of this one unless said otherwise."""
    dtype = self.dtype if dtype is None else checked_dtype(dtype)
    device = self.device if device is None else device
    return _made(self, as_array(data, dtype, copy=True), device, requires_grad)


def new_zeros(
    self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Zeros in the dtype of this tensor unless said otherwise."""
    return _filled(self, size, 0, dtype, device, requires_grad)


def new_ones(
    self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Ones in the dtype of this tensor unless said otherwise."""
    return _filled(self, size, 1, dtype, device, requires_grad)


def new_empty(
    self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor to be written into, in the dtype of this one unless said otherwise."""
    return _filled(self, size, 0, dtype, device, requires_grad)


def new_full(
    self: Any, size: Any, fill_value: Any, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """One value in the dtype of this tensor unless said otherwise."""
    return _filled(self, (size,), fill_value, dtype, device, requires_grad)


def _filled(self: Any, size: Any, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Any:
    dtype = self.dtype if dtype is None else checked_dtype(dtype)
    made = np.full_like(self._data, value, dtype, "C", shape=normal_shape(size))
    return _made(self, made, device, requires_grad)


def _made(self: Any, array: Any, device: Any, requires_grad: bool) -> Any:
    array = devices.place(devices.together(array, ()), device)
    out = wrap(self._face, array, None)
    return out.requires_grad_() if requires_grad else out
