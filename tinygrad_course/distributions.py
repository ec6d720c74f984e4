"""Probability distributions to draw from and to learn: Normal, Bernoulli, Categorical.

Parameters are Tensors: `log_prob`, `entropy` and `kl_divergence` are differentiable in them,
and so is what `rsample` draws. Random numbers come from the default generator.
"""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np

from . import creation
from .arrays import get_default_dtype
from .errors import OptionError, ShapeError
from .functions.loss import binary_cross_entropy_with_logits
from .graph import wrap
from .modes import no_grad
from .ops import elementwise as ops
from .ops import reduce, shape
from .ops.index import gather
from .ops.special import erf
from .tensor import Tensor, as_tensor

__all__ = ["Bernoulli", "Categorical", "Distribution", "Normal", "kl_divergence"]

Shape = tuple[int, ...]


class Distribution:
    """What all have: `batch_shape` distributions side by side, each of values of `event_shape`.

    Args:
        validate_args: check parameters when made, and values in `log_prob`; None means yes.
    """

    has_rsample: ClassVar[bool] = False
    batch_shape: Shape
    event_shape: Shape

    def _make(self, batch_shape: Shape, validate_args: bool | None, event: Shape = ()) -> None:
        self.batch_shape, self.event_shape = tuple(batch_shape), event
        self._validate = validate_args is not False

    def _must(self, what: str, good: Any, value: Any) -> None:
        """Raise unless every element is good."""
        if self._validate and not good.all():
            bad = value[~good] if good.shape == value.shape else value
            raise OptionError(
                f"{type(self).__name__}: {what}; got {np.asarray(bad).reshape(-1)[:3].tolist()} "
                "among its elements"
            )

    def _value(self, value: Any) -> Any:
        """A value to ask the probability of; its shape must broadcast with the batch."""
        value = as_tensor(value)
        try:
            np.broadcast_shapes(value.shape, self.batch_shape)
        except ValueError:
            raise ShapeError(
                f"{type(self).__name__}.log_prob: a value of shape {value.shape} does not "
                f"broadcast with the batch {self.batch_shape}"
            ) from None
        return value

    def _form(self, sample_shape: Any) -> Shape:
        return (*tuple(sample_shape), *self.batch_shape)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draws of shape (*sample_shape, *batch_shape), outside the graph."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draws that are functions of the parameters, so that gradients reach these.

        Raises:
            OptionError: a distribution of whole numbers, which has none.
        """
        raise OptionError(
            f"{type(self).__name__}.rsample: what it draws is not differentiable; use sample(), "
            "and log_prob for a gradient"
        )

    @property
    def stddev(self) -> Any:
        """√variance."""
        return ops.sqrt(self.variance)

    @property
    def variance(self) -> Any:
        """The mean squared distance from the mean."""
        raise NotImplementedError

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability, or of its density, of a value."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The mean of −log_prob."""
        raise NotImplementedError

    def perplexity(self) -> Any:
        """e to the entropy."""
        return ops.exp(self.entropy())


def _broadcast(*values: Any) -> list[Any]:
    """Numbers and Tensors as Tensors of one shape."""
    tensors = [as_tensor(v) for v in values]
    dtype = next((t.dtype for t, v in zip(tensors, values, strict=True) if hasattr(v, "dtype")),
                 get_default_dtype())  # fmt: skip
    tensors = [
        t if hasattr(v, "dtype") else t.to(dtype) for t, v in zip(tensors, values, strict=True)
    ]
    form = np.broadcast_shapes(*(t.shape for t in tensors))
    return [shape.broadcast_to_(t, form) for t in tensors]


class Normal(Distribution):
    """The normal distribution N(loc, scale²).

    ln p(x) = −(x − loc)² / (2 scale²) − ln scale − ln √(2π)

    Args:
        loc: the mean, a number or a Tensor.
        scale: the standard deviation, likewise; they broadcast.

    Raises:
        OptionError: a scale that is not positive, a loc or a value that is not a number.

    >>> import tinygrad_course as tc
    >>> round(tc.distributions.Normal(0.0, 1.0).log_prob(tc.tensor(0.0)).item(), 4)
    -0.9189
    """

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = _broadcast(loc, scale)
        self._make(self.loc.shape, validate_args)
        mean, deviation = self.loc._data, self.scale._data
        self._must("loc must be a number", mean == mean, mean)
        self._must("scale must be positive", deviation > 0, deviation)

    def __repr__(self) -> str:
        return f"Normal(loc: {_shown(self.loc)}, scale: {_shown(self.scale)})"

    @property
    def mean(self) -> Any:
        """loc."""
        return self.loc

    mode = mean

    @property
    def stddev(self) -> Any:
        """scale."""
        return self.scale

    @property
    def variance(self) -> Any:
        """scale²."""
        return ops.square(self.scale)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """loc + scale · ε, ε drawn from N(0, 1)."""
        noise = creation.randn(self._form(sample_shape), dtype=self.loc.dtype)
        return self.loc + noise * self.scale

    def log_prob(self, value: Any) -> Any:
        """ln p(x)."""
        value = self._value(value)
        self._must("a value must be a number", value._data == value._data, value._data)
        z = (value - self.loc) / self.scale
        return ops.square(z) * -0.5 - ops.log(self.scale) - math.log(math.sqrt(2 * math.pi))

    def cdf(self, value: Any) -> Any:
        """The probability of at most x: (1 + erf((x − loc) / (scale √2))) / 2."""
        value = self._value(value)
        return (erf((value - self.loc) / (self.scale * math.sqrt(2))) + 1) * 0.5

    def entropy(self) -> Any:
        """1/2 + ln √(2π) + ln scale."""
        return ops.log(self.scale) + (0.5 + 0.5 * math.log(2 * math.pi))


class _Discrete(Distribution):
    """Either probs or logits is given; the other is computed when asked for."""

    _given: Any

    def _take(self, probs: Any, logits: Any) -> Any:
        if (probs is None) == (logits is None):
            raise OptionError(f"{type(self).__name__}: give either probs or logits")
        given = as_tensor(logits if probs is None else probs)
        return given if given.dtype.kind == "f" else given.to(get_default_dtype())

    @property
    def param_shape(self) -> Shape:
        """The shape of probs and logits."""
        return tuple(self._given.shape)

    def __repr__(self) -> str:
        name = "probs" if "probs" in self.__dict__ else "logits"
        return f"{type(self).__name__}({name}: {_shown(getattr(self, name))})"


def _inside(probs: Any) -> Any:
    """Probabilities kept away from 0 and 1 by the dtype's rounding unit, for the logarithm."""
    eps = float(np.finfo(probs.dtype).eps)
    return ops.clamp(probs, min=eps, max=1 - eps)


class Bernoulli(_Discrete):
    """1 with probability p, else 0.

    Args:
        probs: p, a number or a Tensor; or
        logits: ln(p / (1 − p)).

    Raises:
        OptionError: both or neither given, a p outside 0 to 1, a value other than 0 and 1.

    >>> import tinygrad_course as tc
    >>> round(tc.distributions.Bernoulli(0.25).entropy().item(), 4)
    0.5623
    """

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._given = self._take(probs, logits)
        self._make(self._given.shape, validate_args)
        raw = self._given._data
        if logits is None:
            self.probs = self._given
            self._must("probs must be between 0 and 1", (raw >= 0) & (raw <= 1), raw)
        else:
            self.logits = self._given
            self._must("logits must be numbers", raw == raw, raw)

    @functools.cached_property
    def probs(self) -> Any:
        """p."""
        return ops.sigmoid(self.logits)

    @functools.cached_property
    def logits(self) -> Any:
        """ln(p / (1 − p))."""
        p = _inside(self.probs)
        return ops.log(p) - ops.log1p(-p)

    @property
    def mean(self) -> Any:
        """p."""
        return self.probs

    @property
    def variance(self) -> Any:
        """p (1 − p)."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Zeros and ones, in the parameter's dtype."""
        drawn = creation.default_generator.numpy.random(self._form(sample_shape))
        ones: Tensor = wrap(Tensor, np.asarray(drawn < self.probs._data), None)
        return ones.to(self._given.dtype)

    def log_prob(self, value: Any) -> Any:
        """ln p where the value is 1, ln(1 − p) where it is 0."""
        value, logits = _broadcast(self._value(value), self.logits)
        raw = value._data
        self._must("a value must be 0 or 1", (raw == 0) | (raw == 1), raw)
        return -binary_cross_entropy_with_logits(logits, value.to(logits.dtype), reduction="none")

    def entropy(self) -> Any:
        """−p ln p − (1 − p) ln(1 − p)."""
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Any:
        """0 and 1 along a new first dimension; expand: for the whole batch."""
        values = creation.arange(2).to(self._given.dtype).reshape(2, *(1,) * len(self.batch_shape))
        return shape.broadcast_to_(values, (2, *self.batch_shape)) if expand else values


class Categorical(_Discrete):
    """A choice among K classes, 0 to K − 1.

    Args:
        probs: weights (..., K), which are divided by their sum; or
        logits: their logarithms, up to a constant.

    Raises:
        OptionError: both or neither given, negative weights or none above 0, a value that is no
            class.
        ShapeError: a parameter without dimensions.

    >>> import tinygrad_course as tc
    >>> choice = tc.distributions.Categorical(probs=tc.tensor([1.0, 3.0]))
    >>> round(choice.log_prob(tc.tensor(1)).exp().item(), 4)
    0.75
    """

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._given = given = self._take(probs, logits)
        if given.ndim == 0:
            raise ShapeError("Categorical: probs or logits need a dimension of classes, got ()")
        self._make(given.shape[:-1], validate_args)
        raw = given._data
        if logits is None:
            good = (raw >= 0).all(-1) & (raw.sum(-1) > 0) & np.isfinite(raw).all(-1)
            self._must("probs must not be negative, and not all 0", good, raw)
            self.probs = given / reduce.sum(given, -1, keepdim=True)
        else:
            self._must("logits must be numbers", raw == raw, raw)
            self.logits = given - reduce.logsumexp(given, -1, keepdim=True)

    @functools.cached_property
    def probs(self) -> Any:
        """The probability of each class."""
        return reduce.softmax(self.logits, -1)

    @functools.cached_property
    def logits(self) -> Any:
        """Its logarithm."""
        return ops.log(_inside(self.probs))

    @property
    def mode(self) -> Any:
        """The most probable class."""
        return reduce.argmax(self.probs, -1)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Classes, as int64."""
        total = np.cumsum(self.probs.detach()._data, -1, dtype=np.float64)
        drawn = np.asarray(creation.default_generator.numpy.random(self._form(sample_shape)))
        passed = total / total[..., -1:] <= drawn[..., None]
        return wrap(Tensor, np.asarray(passed.sum(-1)), None)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability of each class in value."""
        raw, classes = self._value(value)._data, self._given.shape[-1]
        self._must(
            f"a value must be a class, 0 to {classes - 1}",
            (raw >= 0) & (raw < classes) & (raw == np.floor(raw)), raw,
        )  # fmt: skip
        form = np.broadcast_shapes(raw.shape, self.batch_shape)
        index = np.broadcast_to(raw, form)[..., None].astype(np.int64)
        logits = shape.broadcast_to_(self.logits, (*form, classes))
        return shape.squeeze(gather(logits, -1, wrap(Tensor, index, None)), -1)

    def entropy(self) -> Any:
        """−Σ p ln p."""
        logits = ops.clamp(self.logits, min=float(np.finfo(self._given.dtype).min))
        return -reduce.sum(logits * self.probs, -1)

    def enumerate_support(self, expand: bool = True) -> Any:
        """All classes along a new first dimension; expand: for the whole batch."""
        n = self._given.shape[-1]
        values = creation.arange(n).reshape(n, *(1,) * len(self.batch_shape))
        return shape.broadcast_to_(values, (n, *self.batch_shape)) if expand else values


def _shown(parameter: Any) -> str:
    return f"{parameter.item():g}" if parameter.ndim == 0 else f"shape {tuple(parameter.shape)}"


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """Σ p ln(p / q), how far q is from p: two distributions of one kind.

    Raises:
        OptionError: two of different kinds.

    >>> import tinygrad_course as tc
    >>> normal = tc.distributions.Normal
    >>> tc.distributions.kl_divergence(normal(1.0, 1.0), normal(0.0, 1.0)).item()
    0.5
    """
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = ops.square(p.scale / q.scale)
        return (ratio + ops.square((p.loc - q.loc) / q.scale) - 1 - ops.log(ratio)) * 0.5
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        one = p.probs * (ops.softplus(-q.logits) - ops.softplus(-p.logits))
        zero = (1 - p.probs) * (ops.softplus(q.logits) - ops.softplus(p.logits))
        return _weighed(one, p.probs, q.probs) + _weighed(zero, 1 - p.probs, 1 - q.probs)
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        each = p.probs * (p.logits - q.logits)
        return reduce.sum(_weighed(each, p.probs, q.probs), -1)
    raise OptionError(
        f"kl_divergence: two Normals, Bernoullis or Categoricals, not {type(p).__name__} and "
        f"{type(q).__name__}"
    )


def _weighed(term: Any, p: Any, q: Any) -> Any:
    """p ln(p / q) at the edges: 0 where p is 0, else infinite where q is 0."""
    return ops.where(ops.eq(p, 0), 0.0, ops.where(ops.eq(q, 0), math.inf, term))
