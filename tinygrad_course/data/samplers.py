"""Samplers: in which order a loader asks a dataset for its samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_course.creation import Generator, default_generator
from tinygrad_course.errors import OptionError


class Sampler:
    """An iterable of indices, a new order each time. Subclasses write `__iter__` and `__len__`.

    A sampler that draws from `tc.rand` and its kin inside a loader draws from the stream of that
    epoch, so the loader's seed decides what it gives.
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__: in which order?")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__: how many indices?")


class SequentialSampler(Sampler):
    """0, 1, 2 … len − 1.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Every index once in random order; or, with replacement, each draw from all of them.

    Args:
        data_source: anything with a length.
        replacement: whether an index may come again before all have come.
        num_samples: how many indices; the length of the data unless given.
        generator: the source of the order. Left out, it is the loader's stream of that epoch, or
            outside of a loader the global one (`tc.manual_seed`).

    Raises:
        OptionError: no whole number of samples, or nothing to draw from.

    >>> import tinygrad_course as tc
    >>> sorted(RandomSampler("abcd", generator=tc.Generator(0)))
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if num_samples is not None and (not _whole(num_samples) or num_samples < 1):
            raise OptionError(f"num_samples is a whole number of at least 1, got {num_samples!r}")
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = len(data_source) if num_samples is None else int(num_samples)
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        n, random = len(self.data_source), (self.generator or default_generator).numpy
        if self.replacement:
            return iter(random.integers(n, size=self.num_samples).tolist() if n else [])
        rounds = -(-self.num_samples // n) if n else 0  # the same index again only in a new round
        orders = [random.permutation(n) for _ in range(rounds)]
        return iter(np.concatenate(orders)[: self.num_samples].tolist() if orders else [])

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in random order.

    >>> sorted(SubsetRandomSampler([5, 7, 2]))
    [2, 5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        random = (self.generator or default_generator).numpy
        return (self.indices[i] for i in random.permutation(len(self.indices)).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Index i with probability wᵢ / Σ w: rare classes can be shown as often as frequent ones.

    Args:
        weights: one for each sample, not negative; they need not add up to 1.
        num_samples: how many indices to draw.
        replacement: whether an index may come again.
        generator: as for `RandomSampler`.

    Raises:
        OptionError: weights that are no chances, or more draws than can be made.

    >>> list(WeightedRandomSampler([0.0, 3.0, 0.0], 4))
    [1, 1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        if not _whole(num_samples) or num_samples < 1:
            raise OptionError(f"num_samples is a whole number of at least 1, got {num_samples!r}")
        good = np.isfinite(self.weights).all() and (self.weights >= 0).all()
        if self.weights.ndim != 1 or not good or not self.weights.any():
            raise OptionError(
                "weights are one number for each sample, none negative, not all of them 0"
            )
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise OptionError(
                f"{num_samples} draws without replacement need as many weights above 0; there are "
                f"{np.count_nonzero(self.weights)}"
            )
        self.num_samples = int(num_samples)
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        random, chances = (self.generator or default_generator).numpy, self.weights
        n = len(chances)
        drawn = random.choice(n, self.num_samples, self.replacement, chances / chances.sum())
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """The indices of another sampler, `batch_size` at a time.

    Raises:
        OptionError: a batch size below 1.

    >>> list(BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not _whole(batch_size) or batch_size < 1:
            raise OptionError(f"batch_size is a whole number of at least 1, got {batch_size!r}")
        self.sampler = sampler
        self.batch_size = int(batch_size)
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (rest > 0 and not self.drop_last)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
