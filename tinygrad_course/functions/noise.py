"""Functions that draw: dropout and its kin, noisy choices. They use the default generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_course import devices
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.generator import source
from tinygrad_course.graph import wrap
from tinygrad_course.ops import elementwise as ops
from tinygrad_course.ops import reduce
from tinygrad_course.tensor import Tensor

from .checks import need_floating

_NEGATIVE_END = 1.7580993408473766  # selu(−∞) is minus this


def check_probability(name: str, p: float) -> float:
    """p, if it is between 0 and 1."""
    if not 0 <= p <= 1:
        raise OptionError(f"{name}: the probability p must be between 0 and 1, got {p}")
    return p


def _kept(name: str, form: tuple[int, ...], p: float, x: Any) -> Any:
    """1 with probability 1 − p, else 0, as a Tensor of x's dtype."""
    need_floating(name, x)
    drawn = source(None, x.device).random(form, dtype=np.float32)
    return wrap(Tensor, (drawn >= p).astype(x.dtype), None)


def _dropped(name: str, input: Any, p: float, training: bool, form: Any = None) -> Any:
    """Zeros with probability p in the shape `form`, which is broadcast; the rest over 1 − p."""
    check_probability(name, p)
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0.0
    kept = _kept(name, tuple(input.shape if form is None else form), p, input)
    kept._data *= input.dtype.type(1 / (1 - p))
    return input * kept


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element is 0 with probability p, else divided by 1 − p, so that the mean stays.

    This is inverted dropout: evaluation needs no correction (Srivastava et al. 2014).

    Raises:
        OptionError: p outside 0 to 1.
        DtypeError: integers.

    >>> import tinygrad_course as tc
    >>> sorted(set(tc.nn.functional.dropout(tc.ones(1000), p=0.5).tolist()))
    [0.0, 2.0]
    """
    return _dropped("dropout", input, p, training)


def _channels(name: str, input: Any, places: int, alone: bool = True) -> tuple[int, ...]:
    """(N, C, 1, ...) or (C, 1, ...): one draw for each channel."""
    if input.ndim not in (places + 1, places + 2):
        raise ShapeError(
            f"{name}: the input needs {places + 1} or {places + 2} dimensions, (C, ...) or "
            f"(N, C, ...), got {tuple(input.shape)}"
        )
    lead = 1 if alone and input.ndim == places + 1 else 2
    return (*input.shape[:lead], *(1,) * (input.ndim - lead))


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of signals (N, C, L) or (C, L) are 0 with probability p.

    Source: Tompson et al. 2015.

    Raises:
        OptionError: p outside 0 to 1.
        ShapeError: an input of other dimensions.
    """
    return _dropped("dropout1d", input, p, training, _channels("dropout1d", input, 1))


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of images (N, C, H, W) are 0 with probability p; see `dropout1d`.

    Three dimensions are taken as (N, C, L), as in PyTorch.
    """
    return _dropped("dropout2d", input, p, training, _channels("dropout2d", input, 2, False))


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of volumes (N, C, D, H, W) or (C, D, H, W) are 0 with probability p."""
    return _dropped("dropout3d", input, p, training, _channels("dropout3d", input, 3))


def _alpha(name: str, input: Any, p: float, training: bool, form: Any) -> Any:
    """a · (x where kept, else selu(−∞)) + b, with a and b so that mean 0, variance 1 stay."""
    check_probability(name, p)
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0.0
    low, a = -_NEGATIVE_END, 1 / math.sqrt((_NEGATIVE_END**2 * p + 1) * (1 - p))
    kept = _kept(name, form, p, input)
    return input * (kept * a) + ((1 - kept) * (a * low) - a * low * p)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout for networks of `selu`: what is dropped goes to its lower end, and mean and variance
    stay (Klambauer et al. 2017).

    Raises:
        OptionError: p outside 0 to 1.
    """
    return _alpha("alpha_dropout", input, p, training, tuple(input.shape))


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """`alpha_dropout` of whole channels of (N, C, ...)."""
    if input.ndim < 2:
        raise ShapeError(
            f"feature_alpha_dropout: the input needs at least 2 dimensions (N, C, ...), got "
            f"{tuple(input.shape)}"
        )
    form = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _alpha("feature_alpha_dropout", input, p, training, form)


def rrelu(
    input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
    inplace: bool = False,
) -> Any:  # fmt: skip
    """x where positive, else x times a slope drawn from [lower, upper]; their mean in evaluation.

    Raises:
        OptionError: lower exceeds upper.

    Source: Xu et al. 2015.
    """
    if lower > upper:
        raise OptionError(f"rrelu: lower {lower} exceeds upper {upper}")
    slope: Any = (lower + upper) / 2
    if training:
        drawn = source(None, input.device).uniform(lower, upper, input.shape)
        slope = wrap(Tensor, devices.together(drawn, ()).astype(input.dtype), None)
    return ops.where(input > 0, input, input * slope)


def gumbel_softmax(
    logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """softmax((x + noise) / tau): nearly a choice with probabilities softmax(x), differentiable.

    Args:
        tau: the smaller, the closer to a choice of one.
        hard: give exactly one 1; the gradient is still that of the soft result.
        eps: takes no part, as in PyTorch.

    Raises:
        OptionError: tau is not positive.

    Source: Jang, Gu and Poole 2017.

    >>> import tinygrad_course as tc
    >>> tc.nn.functional.gumbel_softmax(tc.zeros(5, 3), hard=True).sum(-1).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    if tau <= 0:
        raise OptionError(f"gumbel_softmax: tau must be positive, got {tau}")
    drawn = source(None, logits.device).gumbel(size=logits.shape)
    noise = wrap(Tensor, devices.together(drawn, ()).astype(logits.dtype), None)
    soft = reduce.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    chosen = soft._data == soft._data.max(axis=dim, keepdims=True)
    return wrap(Tensor, chosen.astype(soft.dtype), None) + (soft - soft.detach())
