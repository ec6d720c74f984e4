"""What is searched: ranges of numbers, and choices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.errors import OptionError


@dataclass(frozen=True)
class Float:
    """Numbers between low and high, evenly spread; with `log`, their logarithms are.

    A learning rate from 0.0001 to 1 should have `log=True`: without it nine draws in ten are above
    0.1, with it a quarter are.

    Raises:
        OptionError: low above high, or not positive with `log`.

    Source: course: Hyperparameters tuning.

    >>> [round(v, 4) for v in Float(0.001, 0.1, log=True).grid(3)]
    [0.001, 0.01, 0.1]
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (self.low <= self.high and all(map(math.isfinite, (self.low, self.high)))):
            raise OptionError(f"a range goes from low to high, got {self.low} to {self.high}")
        if self.log and not self.low > 0:
            raise OptionError(f"a logarithmic range is above 0, got {self.low} to {self.high}")

    def grid(self, points: int) -> list[Any]:
        """So many numbers in equal steps, both ends among them; none twice."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        return [*dict.fromkeys(self._number(x) for x in np.linspace(low, high, points).tolist())]

    def near(self, centre: float, share: float) -> Float:
        """The part of the range around a number that is `share` as wide, moved inside."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        width = (high - low) * share
        start = min(max(self._scaled(centre) - width / 2, low), high - width)
        return type(self)(self._number(start), self._number(start + width), self.log)

    def distribution(self) -> Any:
        """The same for Optuna."""
        return optuna().distributions.FloatDistribution(self.low, self.high, log=self.log)

    def _scaled(self, x: float) -> float:
        return math.log(x) if self.log else x

    def _number(self, x: float) -> float:
        return float(min(max(math.exp(x) if self.log else x, self.low), self.high))


@dataclass(frozen=True)
class Int(Float):
    """Whole numbers from low to high, both included.

    >>> Int(8, 128, log=True).grid(5)
    [8, 16, 32, 64, 128]
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if int(self.low) != self.low or int(self.high) != self.high:
            raise OptionError(f"Int takes whole numbers, got {self.low} to {self.high}")

    def distribution(self) -> Any:
        """The same for Optuna."""
        return optuna().distributions.IntDistribution(self.low, self.high, log=self.log)

    def _number(self, x: float) -> int:
        return round(min(max(math.exp(x) if self.log else x, self.low), self.high))


@dataclass(frozen=True)
class Choice:
    """One of several values: numbers, text, True, False or None.

    Raises:
        OptionError: no values, or values of another kind.

    >>> Choice("relu", "tanh").values
    ('relu', 'tanh')
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        if not values or not all(isinstance(v, (int, float, str, type(None))) for v in values):
            raise OptionError(f"a choice is between numbers, text and None, got {values}")
        object.__setattr__(self, "values", values)

    def grid(self, points: int) -> list[Any]:
        """All of them."""
        return list(self.values)

    def near(self, centre: Any, share: float) -> Choice:
        """All of them: which is best may change when the rest does."""
        return self

    def distribution(self) -> Any:
        """The same for Optuna."""
        return optuna().distributions.CategoricalDistribution(self.values)


Space = Mapping[str, Float | Choice]


def optuna() -> Any:
    """The library, when it is first needed."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "hyperparameters are searched with Optuna; install it: "
            "pip install 'tinygrad_course[tune]'"
        ) from error
    return optuna
