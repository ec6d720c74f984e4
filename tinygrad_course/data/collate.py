"""Samples into batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_course.creation import tensor
from tinygrad_course.errors import OptionError, ShapeError
from tinygrad_course.graph import Value
from tinygrad_course.tensor import as_tensor


def default_collate(samples: list[Any]) -> Any:
    """Stack samples into a batch: Tensors, arrays and numbers into Tensors with a first dimension.

    Tuples, lists and dicts of these become tuples, lists and dicts of batches; text stays a list.
    Python's floats get the default dtype, so that they fit the parameters of a model (PyTorch makes
    float64 of them); arrays keep theirs.

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
    return _like(first, parts)


def default_convert(sample: Any) -> Any:
    """One sample without a batch dimension: arrays become Tensors, all else stays what it is.

    >>> default_convert((np.ones(2, np.float32), "a", 3))
    (tensor([1., 1.]), 'a', 3)
    """
    if isinstance(sample, (np.ndarray, np.generic)):
        return as_tensor(sample)
    if isinstance(sample, Mapping):
        return {key: default_convert(value) for key, value in sample.items()}
    if isinstance(sample, (tuple, list)):
        return _like(sample, [default_convert(part) for part in sample])
    return sample


def _like(first: Any, parts: list[Any]) -> Any:
    """The parts in the same kind of sequence, named tuples too."""
    return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
