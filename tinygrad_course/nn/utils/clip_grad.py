"""Gradients kept small."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_course.errors import GradientError, OptionError
from tinygrad_course.tensor import Tensor


def _with_grads(parameters: Iterable[Tensor] | Tensor) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in listed if p.grad is not None]


def _length(values: list[Any], p: float) -> float:
    """The p-norm of all numbers together."""
    sizes = [float(np.linalg.norm(np.asarray(v, np.float64).reshape(-1), p)) for v in values]
    return float(np.linalg.norm(sizes, p)) if sizes else 0.0


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:  # fmt: skip
    """g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)), ‖g‖ the norm of all gradients as one vector.

    The direction of the step stays; only its length is bounded (Pascanu et al. 2013).

    Args:
        norm_type: p of the p-norm; `math.inf` or "inf" for the largest element.
        error_if_nonfinite: raise when ‖g‖ is inf or nan.

    Returns:
        ‖g‖ before clipping.

    Raises:
        GradientError: a norm that is not finite, if asked for.

    >>> import tinygrad_course as tc
    >>> w = tc.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> tc.nn.utils.clip_grad_norm_([w], max_norm=5.0).item()
    10.0
    >>> [round(x, 3) for x in w.grad.tolist()]
    [3.0, 4.0]
    """
    try:
        norm_type = float(norm_type)
    except ValueError:
        raise OptionError(
            f"clip_grad_norm_: norm_type is a number or 'inf', not {norm_type!r}"
        ) from None
    params = _with_grads(parameters)
    total = _length([p.grad._data for p in params if p.grad is not None], norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise GradientError(f"clip_grad_norm_: the norm of the gradients is {total}")
    factor = min(1.0, max_norm / (total + 1e-6)) if total == total else total
    for p in params:
        # a new array: the old one may belong to another parameter's gradient as well
        p.grad = p.grad.detach() * factor  # type: ignore[union-attr]
    return Tensor(total, dtype=params[0].dtype if params else None)


def clip_grad_value_(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Every element of every gradient is kept between −clip_value and clip_value.

    Raises:
        OptionError: a negative clip_value.
    """
    if clip_value < 0:
        raise OptionError(f"clip_grad_value_: clip_value must not be negative, got {clip_value}")
    for p in _with_grads(parameters):
        p.grad = p.grad.detach().clamp(-clip_value, clip_value)  # type: ignore[union-attr]
