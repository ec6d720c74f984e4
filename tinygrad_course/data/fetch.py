"""Reading a batch: the same in the process that trains and in a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.creation import default_generator

from .collate import default_collate, default_convert


class Job(NamedTuple):
    """A batch to be read: the seed of its epoch, its number there, and the samples."""

    seed: int
    number: int
    indices: Any


class Stream:
    """A stream of random numbers that takes the place of the global one while it is entered.

    Entered again, it goes on where it stopped. A loader gives each batch a stream of its own, made
    of the seed of the epoch and the number of the batch: what a dataset or a transform draws there
    does not depend on which process reads the batch, or when.

    >>> import tinygrad_course as tc
    >>> with Stream(1, 2):
    ...     first = tc.rand(1).item()
    >>> with Stream(1, 2):
    ...     first == tc.rand(1).item()
    True
    """

    def __init__(self, *seed: int) -> None:
        self._state: dict[str, Any] = {"_seed": seed}  # NumPy's generator is made when asked for

    def __enter__(self) -> Stream:
        self._swap()
        return self

    def __exit__(self, *_: object) -> None:
        self._swap()

    def _swap(self) -> None:
        state = vars(default_generator)
        kept = dict(state)
        state.clear()
        state.update(self._state)
        self._state = kept


class Fetcher:
    """Reads jobs from a dataset."""

    def __init__(
        self, dataset: Any, collate_fn: Callable[[Any], Any] | None, batched: bool
    ) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.batched = batched

    def __call__(self, job: Job) -> Any:
        """The batch of a job."""
        with Stream(job.seed, 1, job.number):
            if self.batched:
                return self._batch(job.indices)
            return (self.collate_fn or default_convert)(self._sample(job.indices))

    def _batch(self, indices: Any) -> Any:
        if self.collate_fn is None and hasattr(self.dataset, "take_batch"):
            try:
                return self.dataset.take_batch(np.asarray(indices, dtype=np.int64))
            except Exception as error:
                self._note(error, f"samples {_short(indices)}")
                raise
        if hasattr(self.dataset, "__getitems__"):
            samples = self.dataset.__getitems__(list(indices))
        else:
            samples = [self._sample(i) for i in indices]
        return (self.collate_fn or default_collate)(samples)

    def _sample(self, index: Any) -> Any:
        try:
            return self.dataset[index]
        except Exception as error:
            self._note(error, f"sample {index}")
            raise

    def _note(self, error: Exception, what: str) -> None:
        error.add_note(f"while reading {what} of {type(self.dataset).__name__}")


def _short(indices: Any) -> str:
    shown = ", ".join(map(str, indices[:8]))
    return f"{shown}, … ({len(indices)} in all)" if len(indices) > 8 else shown
