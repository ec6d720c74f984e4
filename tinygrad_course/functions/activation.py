"""Nonlinearities, made of rows. `inplace=True` is accepted and changes no result.

At kinks the derivative is the one that PyTorch takes.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import reduce, shape, special


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0)."""
    return ops.relu(input)


def sigmoid(input: Any) -> Any:
    """1 / (1 + e⁻ˣ)."""
    return ops.sigmoid(input)


def tanh(input: Any) -> Any:
    """tanh x."""
    return ops.tanh(input)


def logsigmoid(input: Any) -> Any:
    """ln(1 / (1 + e⁻ˣ)), without overflow."""
    return ops.logsigmoid(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where positive, else negative_slope · x."""
    return ops.where(input > 0, input, input * negative_slope)


def prelu(input: Any, weight: Any) -> Any:
    """x where positive, else weight · x: one learnt slope, or one for each channel (dimension 1).

    Raises:
        ShapeError: several weights that are not as many as the channels.
    """
    if weight.numel() != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if weight.shape != (channels,):
            raise ShapeError(f"prelu: {channels} channels need as many weights, not {weight.shape}")
        weight = shape.reshape_(weight, (-1, *(1,) * (input.ndim - 2)))
    return ops.where(input > 0, input, input * weight)


def _exponential(input: Any, scale: float, slope: float) -> Any:
    """scale · (eˣ − 1) below 0, slope · x above; the branch not taken sees 0, never an overflow.

    At 0 itself the slope is `scale` and the second derivative 0, as in PyTorch.
    """
    below = ops.expm1(ops.where(input < 0, input, 0.0)) * scale
    above = input if slope == 1 else input * slope
    if slope != scale:
        above = ops.where(ops.eq(input, 0), input * scale, above)
    return ops.where(input < 0, below, above)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where positive, else α (eˣ − 1)."""
    return _exponential(input, alpha, 1.0)


def selu(input: Any, inplace: bool = False) -> Any:
    """s · elu(x, α), with s and α chosen so that mean 0 and variance 1 stay (Klambauer 2017)."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return _exponential(input, alpha * scale, scale)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where positive, else α (e^(x/α) − 1)."""
    if alpha == 0:
        raise OptionError("celu: alpha must not be 0")
    return ops.where(input < 0, ops.expm1(ops.where(input < 0, input / alpha, 0.0)) * alpha, input)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x · Φ(x), Φ the normal distribution's cumulative function; "tanh" is its approximation."""
    if approximate == "none":
        return special.gelu(input)
    if approximate != "tanh":
        raise OptionError(f"gelu: approximate is 'none' or 'tanh', not {approximate!r}")
    inner = (input + input * input * input * 0.044715) * math.sqrt(2 / math.pi)
    return input * 0.5 * (ops.tanh(inner) + 1.0)


def silu(input: Any, inplace: bool = False) -> Any:
    """x · σ(x), also called swish."""
    return input * ops.sigmoid(input)


def mish(input: Any, inplace: bool = False) -> Any:
    """x · tanh(softplus(x))."""
    return input * ops.tanh(ops.softplus(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(βx)) / β, and x itself where βx exceeds the threshold."""
    scaled = input if beta == 1 else input * beta
    soft = ops.softplus(scaled)
    return ops.where(scaled > threshold, input, soft if beta == 1 else soft / beta)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x kept between two bounds; at the bounds the gradient is 0."""
    if min_val > max_val:
        raise OptionError(f"hardtanh: min_val {min_val} exceeds max_val {max_val}")
    return ops.where(input <= min_val, min_val, ops.where(input >= max_val, max_val, input))


def relu6(input: Any, inplace: bool = False) -> Any:
    """x kept between 0 and 6."""
    return hardtanh(input, 0.0, 6.0)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """x / 6 + 1 / 2, kept between 0 and 1."""
    return hardtanh(input + 3.0, 0.0, 6.0) / 6.0


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x · hardsigmoid(x)."""
    inside = input * (input + 3.0) / 6.0
    return ops.where(input <= -3, 0.0, ops.where(input >= 3, input, inside))


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return input / (ops.abs(input) + 1.0)


def tanhshrink(input: Any) -> Any:
    """x − tanh x."""
    return input - ops.tanh(input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved by λ towards 0, and 0 where |x| ≤ λ."""
    if lambd < 0:
        raise OptionError(f"softshrink: lambd must not be negative, got {lambd}")
    moved = ops.where(input > 0, input - lambd, input + lambd)
    return ops.where(ops.abs(input) <= lambd, 0.0, moved)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, and 0 where |x| ≤ λ."""
    return ops.where(ops.abs(input) <= lambd, 0.0, input)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where it exceeds the threshold, else `value`."""
    return ops.where(input <= threshold, value, input)


def glu(input: Any, dim: int = -1) -> Any:
    """a · σ(b), a and b the halves of the input along a dimension (Dauphin et al. 2017).

    Raises:
        ShapeError: a dimension of odd size.
    """
    dim = shape.normal_dim(dim, input.ndim)
    if input.ndim == 0 or input.shape[dim] % 2:
        raise ShapeError(
            f"glu: the input is halved along dimension {dim}, which needs an even size; got "
            f"{tuple(input.shape)}"
        )
    a, b = shape.split(input, [input.shape[dim] // 2] * 2, dim)
    return a * ops.sigmoid(b)


# --- shares of one --------------------------------------------------------------------------------


def _along(name: str, input: Any, dim: int | None) -> int:
    """The dimension; left out, PyTorch guesses one, and so do we, with a warning."""
    if dim is not None:
        return dim
    guess = 0 if input.ndim in (0, 1, 3) else 1
    warnings.warn(f"{name}: dim is not given; taking {guess}: say which you mean", stacklevel=3)
    return guess


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """eˣ / Σ eˣ along a dimension; name it (a default is guessed, with a warning).

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.softmax(tc.tensor([0.0, 0.0]), dim=0).tolist()
    [0.5, 0.5]
    """
    return reduce.softmax(input, _along("softmax", input, dim), dtype=dtype)


def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """e⁻ˣ / Σ e⁻ˣ along a dimension."""
    return reduce.softmax(-input, _along("softmin", input, dim), dtype=dtype)


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """x − ln Σ eˣ along a dimension."""
    return reduce.log_softmax(input, _along("log_softmax", input, dim), dtype=dtype)
