"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.nn.module import write
from tinygrad_course.ops import shape
from tinygrad_course.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters one after the other, as a vector in the graph."""
    return shape.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy a vector, as `parameters_to_vector` makes it, into the parameters.

    Raises:
        ShapeError: a vector that is longer or shorter than the parameters; nothing is written.
    """
    params, data = list(parameters), vec.detach().numpy()
    ends = np.cumsum([0, *[p.numel() for p in params]]).tolist()
    if data.shape != (ends[-1],):
        raise ShapeError(
            f"vector_to_parameters: the parameters have {ends[-1]} elements, the vector has shape "
            f"{data.shape}"
        )
    for p, start, end in zip(params, ends[:-1], ends[1:], strict=True):
        write(p, data[start:end].reshape(p.shape))
