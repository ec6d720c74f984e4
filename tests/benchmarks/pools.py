"""Two pools of threads in one process: do NumPy's products and the kernels disturb each other?"""

from __future__ import annotations

from typing import Any

import numpy as np

from .harness import Case, Contest

ROUNDS = 20


def cases() -> list[Case]:
    """The cases of this file."""
    name = "512³ product and a convolution in turn, beside 20 of each"
    return [Case(name, "each apart", _in_turn, per_call=ROUNDS, unit="pair", goal=1 / 1.2)]


def _in_turn() -> Contest:
    import tinygrad_course as tc

    a = tc.tensor(np.ones((512, 512), np.float32))
    x = tc.tensor(np.ones((32, 6, 14, 14), np.float32))
    w = tc.tensor(np.ones((16, 6, 5, 5), np.float32))

    def product() -> Any:
        return a @ a

    def convolution() -> Any:
        return tc.nn.functional.conv2d(x, w)

    def apart() -> None:
        for function in (product, convolution):
            for _ in range(ROUNDS):
                function()

    def in_turn() -> None:
        for _ in range(ROUNDS):
            product()
            convolution()

    return apart, in_turn
