"""Blocks of few threads, for the simulator: each thread of the GPU is one of Python's there."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from tinygrad_course.kernels import (
    cuda_elementwise,
    cuda_jit,
    cuda_norm,
    cuda_pool,
    cuda_step,
)


def linear(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """So many threads in a block of the kernels with a thread for each number."""
    for room in (cuda_jit, cuda_elementwise, cuda_norm, cuda_pool, cuda_step):
        monkeypatch.setattr(room, "LINEAR", threads)


def rows(lanes: int, rows: int) -> Any:
    """So many threads along a row, and so many rows in a block: powers of two, as on a GPU."""
    return mock.patch.object(cuda_jit, "layout", return_value=(lanes, rows))
