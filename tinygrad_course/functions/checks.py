"""What several functions ask of their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import DtypeError, ShapeError


def need_floating(name: str, *arrays: Any) -> None:
    """Raise unless all hold floats."""
    for x in arrays:
        if x.dtype.kind != "f":
            raise DtypeError(f"{name}: needs a floating dtype, got {x.dtype}; use .float()")


def must_broadcast(name: str, **arrays: Any) -> None:
    """Raise unless the shapes broadcast against each other; None, and numbers, fit anything."""
    shapes = {what: tuple(x.shape) for what, x in arrays.items() if hasattr(x, "shape")}
    if len(set(shapes.values())) < 2:
        return
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        given = ", ".join(f"{what} {form}" for what, form in shapes.items())
        raise ShapeError(
            f"{name}: the shapes do not broadcast against each other: {given}; each dimension "
            "must be equal or 1, counted from the last"
        ) from None
