"""The loader: a dataset in batches, in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_course.creation import Generator, default_generator, tensor
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.graph import Value
from tinygrad_course.tensor import as_tensor


class DataLoader:
    """Go through a dataset in batches.

    Each pass draws a new order from the generator, so a seed decides the order of every epoch:
    the same seed gives the same batches again.

    Args:
        dataset: anything with a length and samples.
        batch_size: samples in a batch; the last one may be smaller.
        shuffle: whether each pass takes the samples in a new random order.
        drop_last: leave out a last batch that is not full.
        collate_fn: makes a batch from a list of samples; `default_collate` unless given.
        generator: the source of the order; the global one (`tc.manual_seed`) if left out.
        num_workers: 0. Batches are made in the thread that asks for them.

    Raises:
        OptionError: a batch size below 1, or workers.

    >>> import tinygrad_course as tc
    >>> loader = DataLoader([(i, i % 2) for i in range(5)], batch_size=2)
    >>> len(loader)
    3
    >>> next(iter(loader))
    (tensor([0, 1]), tensor([0, 1]))
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        generator: Generator | None = None,
        num_workers: int = 0,
    ) -> None:
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise OptionError(f"batch_size is a whole number of at least 1, got {batch_size!r}")
        if num_workers != 0:
            raise OptionError(
                f"num_workers={num_workers} is not supported; use 0: batches are made in the "
                "thread that asks for them"
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.generator = generator

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        n = len(self.dataset)
        order = np.arange(n)
        if self.shuffle:
            order = (self.generator or default_generator).numpy.permutation(n)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield self._batch(order[start : start + self.batch_size])

    def _batch(self, indices: np.ndarray[Any, Any]) -> Any:
        if self.collate_fn is None and hasattr(self.dataset, "take_batch"):
            return self.dataset.take_batch(indices)
        return (self.collate_fn or default_collate)([self.dataset[int(i)] for i in indices])


def default_collate(samples: list[Any]) -> Any:
    """Stack samples into a batch: Tensors, arrays and numbers into Tensors with a first dimension.

    Tuples, lists and dicts of these become tuples, lists and dicts of batches; text stays a list.

    Raises:
        OptionError: no samples, or a sample of another type.
        ShapeError: samples of different shapes or lengths.

    >>> default_collate([{"x": 1.0, "name": "a"}, {"x": 2.0, "name": "b"}])
    {'x': tensor([1., 2.]), 'name': ['a', 'b']}
    """
    if not samples:
        raise OptionError("a batch needs at least one sample")
    first = samples[0]
    if isinstance(first, (Value, np.ndarray, np.generic)):
        return _stacked(samples)
    if isinstance(first, (bool, int, float)):
        return tensor(samples)
    if isinstance(first, (str, bytes)):
        return list(samples)
    if isinstance(first, Mapping):
        return {key: default_collate([s[key] for s in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        return _side_by_side(samples)
    raise OptionError(
        f"cannot make a batch of {type(first).__name__} samples; Tensors, arrays, numbers, text "
        "and tuples, lists and dicts of them are understood; otherwise pass collate_fn"
    )


def _stacked(samples: list[Any]) -> Any:
    arrays = [np.asarray(as_tensor(s).detach().numpy()) for s in samples]
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1:
        raise ShapeError(
            f"samples of one batch must have one shape, got {sorted(shapes)}; bring them to one "
            "size, or pass collate_fn"
        )
    return as_tensor(np.stack(arrays))


def _side_by_side(samples: list[Any]) -> Any:
    first = samples[0]
    if len({len(s) for s in samples}) > 1:
        raise ShapeError("samples of one batch must have the same number of parts")
    parts = [default_collate(list(column)) for column in zip(*samples, strict=True)]
    if hasattr(first, "_fields"):  # a named tuple
        return type(first)(*parts)
    return type(first)(parts)
