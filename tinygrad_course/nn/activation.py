"""Nonlinearities as layers: each holds its options and calls the function of its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tinygrad_course import creation
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops import elementwise as ops

from . import functional as F
from . import init
from .module import Module, Parameter


class _Activation(Module):
    """Options in the order of `_options`, handed on to `_function` by name."""

    _function: ClassVar[Callable[..., Any]]
    _options: ClassVar[tuple[str, ...]] = ()

    def _keep(self, inplace: bool = False, **options: Any) -> None:
        super().__init__()
        self.__dict__.update(options)
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        if not self._options:
            return type(self)._function(input)
        return type(self)._function(input, **{n: getattr(self, n) for n in self._options})

    def extra_repr(self) -> str:
        named = self._options != ("lambd",)  # PyTorch leaves that name out
        parts = [f"{n}={getattr(self, n)!r}" if named else f"{self.lambd}" for n in self._options]
        return ", ".join(parts + ["inplace=True"] * self.inplace)


class ReLU(_Activation):
    """max(x, 0)."""

    _function = ops.relu

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace)


class ReLU6(_Activation):
    """x kept between 0 and 6."""

    _function = F.relu6

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace)


class LeakyReLU(_Activation):
    """x where positive, else negative_slope · x."""

    _function, _options = F.leaky_relu, ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self._keep(inplace, negative_slope=negative_slope)


class PReLU(Module):
    """x where positive, else weight · x, with one learnt slope, or one for each channel."""

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(creation.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every slope to its initial value."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(_Activation):
    """x where positive, else x times a slope drawn from [lower, upper]; in eval, times their mean.

    Source: Xu et al. 2015.
    """

    _function, _options = F.rrelu, ("lower", "upper")

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        self._keep(inplace, lower=lower, upper=upper)

    def forward(self, input: Any) -> Any:
        return F.rrelu(input, self.lower, self.upper, self.training)


class ELU(_Activation):
    """x where positive, else α (eˣ − 1)."""

    _function, _options = F.elu, ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self._keep(inplace, alpha=alpha)


class CELU(_Activation):
    """x where positive, else α (e^(x/α) − 1)."""

    _function, _options = F.celu, ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self._keep(inplace, alpha=alpha)


class SELU(_Activation):
    """s · elu(x, α), with s and α chosen so that mean 0 and variance 1 stay."""

    _function = F.selu

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace)


class GELU(_Activation):
    """x · Φ(x); `approximate="tanh"` for the usual approximation."""

    _function, _options = F.gelu, ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        self._keep(approximate=approximate)


class SiLU(_Activation):
    """x · σ(x)."""

    _function = F.silu

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace)


class Mish(_Activation):
    """x · tanh(softplus(x))."""

    _function = F.mish

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace)


class Softplus(_Activation):
    """ln(1 + e^(βx)) / β, and x itself where βx exceeds the threshold."""

    _function, _options = F.softplus, ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self._keep(beta=beta, threshold=threshold)


class Sigmoid(_Activation):
    """1 / (1 + e⁻ˣ)."""

    _function = ops.sigmoid

    def __init__(self) -> None:
        self._keep()


class LogSigmoid(_Activation):
    """ln σ(x)."""

    _function = F.logsigmoid

    def __init__(self) -> None:
        self._keep()


class Tanh(_Activation):
    """tanh x."""

    _function = ops.tanh

    def __init__(self) -> None:
        self._keep()


class Hardtanh(_Activation):
    """x kept between two bounds."""

    _function, _options = F.hardtanh, ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        self._keep(inplace, min_val=min_val, max_val=max_val)


class Hardsigmoid(_Activation):
    """x / 6 + 1 / 2, kept between 0 and 1."""

    _function = F.hardsigmoid

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace)


class Hardswish(_Activation):
    """x · hardsigmoid(x)."""

    _function = F.hardswish

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace)


class Softsign(_Activation):
    """x / (1 + |x|)."""

    _function = F.softsign

    def __init__(self) -> None:
        self._keep()


class Tanhshrink(_Activation):
    """x − tanh x."""

    _function = F.tanhshrink

    def __init__(self) -> None:
        self._keep()


class Softshrink(_Activation):
    """x moved by λ towards 0, and 0 where |x| ≤ λ."""

    _function, _options = F.softshrink, ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        self._keep(lambd=lambd)


class Hardshrink(_Activation):
    """x, and 0 where |x| ≤ λ."""

    _function, _options = F.hardshrink, ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        self._keep(lambd=lambd)


class Threshold(_Activation):
    """x where it exceeds the threshold, else `value`."""

    _function, _options = F.threshold, ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self._keep(inplace, threshold=threshold, value=value)


class GLU(_Activation):
    """a · σ(b), a and b the halves of the input along `dim` (Dauphin et al. 2017)."""

    _function, _options = F.glu, ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self._keep(dim=dim)


class Softmax(_Activation):
    """eˣ / Σ eˣ along `dim`; name it (a default is guessed, with a warning)."""

    _function, _options = F.softmax, ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        self._keep(dim=dim)


class Softmax2d(Module):
    """eˣ / Σ eˣ over the channels, at each place of images (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError: an input of other dimensions.
    """

    def forward(self, input: Any) -> Any:
        if input.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d: the input needs 3 or 4 dimensions, got {input.shape}")
        return F.softmax(input, -3)


class Softmin(_Activation):
    """e⁻ˣ / Σ e⁻ˣ along `dim`."""

    _function, _options = F.softmin, ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        self._keep(dim=dim)


class LogSoftmax(_Activation):
    """ln softmax(x) along `dim`."""

    _function, _options = F.log_softmax, ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        self._keep(dim=dim)
