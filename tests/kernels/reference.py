"""Convolution and pooling by their definitions, window by window, and shapes that fit together.

Arrays hold small integers, so that sums are exact in every dtype and order of summation: results
must be equal, not close.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

Array = Any
Pair = tuple[int, int]


class Case(NamedTuple):
    """Shapes and options of a convolution, or of a pooling (then `w` is only a kernel size)."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    options: dict[str, Any]
    seed: int

    def arrays(self, dtype: Any, *shapes: tuple[int, ...]) -> list[Array]:
        rng = np.random.default_rng(self.seed)
        return [rng.integers(-4, 5, shape).astype(dtype) for shape in shapes]


@st.composite
def axes(draw: Any, halves: bool = False) -> tuple[int, ...]:
    """Sizes along one axis that fit: image, kernel, stride, padding, dilation."""
    kernel, stride, dilation = (draw(st.integers(1, most)) for most in (4, 3, 3))
    padding = draw(st.integers(0, kernel // 2 if halves else 3))
    windows, rest = draw(st.integers(1, 5)), draw(st.integers(0, stride - 1))
    reach = (windows - 1) * stride + (kernel - 1) * dilation + 1
    least = dilation if halves else 1  # a window that steps over the whole image is an error
    return max(reach + rest - 2 * padding, least), kernel, stride, padding, dilation


@st.composite
def convolutions(draw: Any) -> Case:
    height, width = draw(axes()), draw(axes())
    size, kernel, stride, padding, dilation = zip(height, width, strict=True)
    groups, inputs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    outputs, images = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x, w = (images, inputs * groups, *size), (outputs * groups, inputs, *kernel)
    return Case(x, w, options, draw(st.integers(0, 2**32 - 1)))


@st.composite
def max_pools(draw: Any) -> Case:
    height, width = draw(axes(halves=True)), draw(axes(halves=True))
    size, kernel, stride, padding, dilation = zip(height, width, strict=True)
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    options["ceil_mode"] = draw(st.booleans())
    x = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size)
    return Case(x, kernel, options, draw(st.integers(0, 2**32 - 1)))


@st.composite
def avg_pools(draw: Any) -> Case:
    case = draw(max_pools())
    options = dict(case.options)
    reach = [(k - 1) * d for k, d in zip(case.w, options.pop("dilation"), strict=True)]
    size = [max(n - r + k - 1, 1) for n, r, k in zip(case.x[2:], reach, case.w, strict=True)]
    options["count_include_pad"] = draw(st.booleans())
    options["divisor_override"] = draw(st.none() | st.integers(1, 7))
    return case._replace(x=(*case.x[:2], *size), options=options)


def conv2d(
    x: Array, w: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Every output pixel as the sum over its window."""
    (sh, sw), (ph, pw), (dh, dw), (kh, kw) = stride, padding, dilation, w.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    rows = (padded.shape[2] - (kh - 1) * dh - 1) // sh + 1
    columns = (padded.shape[3] - (kw - 1) * dw - 1) // sw + 1
    out = np.zeros((x.shape[0], w.shape[0], rows, columns), x.dtype)
    split, each = w.shape[0] // groups, w.shape[1]
    for r in range(rows):
        for c in range(columns):
            top, left = r * sh, c * sw
            window = padded[:, :, top : top + kh * dh : dh, left : left + kw * dw : dw][
                :, :, :kh, :kw
            ]
            for o in range(w.shape[0]):
                g = o // split
                out[:, o, r, c] = (window[:, g * each : (g + 1) * each] * w[o]).sum((1, 2, 3))
    return out
