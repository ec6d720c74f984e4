"""Arrays as kernels take them."""

from __future__ import annotations

from typing import Any

import numpy as np


def ready(x: Any) -> Any:
    """The array as kernels take it: contiguous, aligned, of NumPy's own type.

    Numba compiles once more for a read-only array; a copy is cheaper.
    """
    return x if x.flags.carray and type(x) is np.ndarray else np.array(x, order="C", subok=False)
