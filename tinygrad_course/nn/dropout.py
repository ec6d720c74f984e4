"""Dropout: noise in training that makes units less dependent on each other (Srivastava 2014)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tinygrad_course.functions.noise import check_probability

from . import functional as F
from .module import Module


class _Dropout(Module):
    """Holds p, and hands it to `_function` with whether the module is training."""

    _function: ClassVar[Callable[..., Any]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p, self.inplace = check_probability(type(self).__name__, p), inplace

    def forward(self, input: Any) -> Any:
        return type(self)._function(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training each element is 0 with probability p, else divided by 1 − p; in eval nothing.

    Raises:
        OptionError: p outside 0 to 1.

    >>> import tinygrad_course as tc
    >>> tc.nn.Dropout(0.5).eval()(tc.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    _function = F.dropout


class Dropout1d(_Dropout):
    """In training whole channels of signals (N, C, L) or (C, L) are 0 with probability p.

    Neighbours in a signal say much the same, so that dropping single ones hides little (Tompson et
    al. 2015). Errors as `Dropout`, and ShapeError for other dimensions.
    """

    _function = F.dropout1d


class Dropout2d(_Dropout):
    """`Dropout1d` for images (N, C, H, W)."""

    _function = F.dropout2d


class Dropout3d(_Dropout):
    """`Dropout1d` for volumes (N, C, D, H, W) or (C, D, H, W)."""

    _function = F.dropout3d


class AlphaDropout(_Dropout):
    """Dropout for networks of `SELU`: mean and variance stay (Klambauer et al. 2017)."""

    _function = F.alpha_dropout


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of (N, C, ...)."""

    _function = F.feature_alpha_dropout
