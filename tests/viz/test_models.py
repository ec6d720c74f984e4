"""Well-known networks: drawn in time, in few boxes, and no wider than a screen."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from tinygrad_course_viz import draw_graph, watch

import tinygrad_course as tc
from tinygrad_course import nn


def lenet() -> tuple[nn.Module, Any]:
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84),
        nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    return model, tc.rand(1, 1, 28, 28)


def alexnet() -> tuple[nn.Module, Any]:
    def stage(inputs: int, outputs: int, kernel: int, **options: Any) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, kernel, **options), nn.ReLU()]

    norm, pool = nn.LocalResponseNorm(5, k=2.0), nn.MaxPool2d(3, 2)
    model = nn.Sequential(
        *stage(3, 8, 7, stride=2, padding=3), norm, pool, *stage(8, 16, 5, padding=2), norm, pool,
        *stage(16, 24, 3, padding=1), *stage(24, 24, 3, padding=1), *stage(24, 16, 3, padding=1),
        pool, nn.Flatten(), nn.Dropout(), nn.Linear(144, 32), nn.ReLU(), nn.Dropout(),
        nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5),
    )  # fmt: skip
    return model, tc.rand(1, 3, 64, 64)


def transformer() -> tuple[nn.Module, Any]:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, 12), tc.randn(1, 4, 8)


class Unrolled(nn.Module):
    """An LSTM's cell over a hundred steps."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 8)

    def forward(self, steps: Any) -> Any:
        h = c = tc.zeros(1, 8)
        for x in steps:
            h, c = self.cell(x, (h, c))
        return h


def lstm() -> tuple[nn.Module, Any]:
    return Unrolled(), tc.randn(100, 1, 4)


@pytest.mark.parametrize("make", [lenet, alexnet, transformer, lstm])
def test_networks_are_drawn_in_time_and_readable(make: Callable[[], Any]) -> None:
    model, x = make()
    with watch(model) as calls:
        loss = model(x).sum()
    draw_graph(loss * 1.0, calls, budget=1)  # what is imported and looked up once
    start = time.process_time()
    drawing = draw_graph(loss, calls)
    assert time.process_time() - start < 2.0
    boxes = re.findall(r"^  n\d+ \[", drawing.dot, re.MULTILINE)
    assert len(boxes) <= 60
    if "hidden" not in drawing.text:
        assert len(boxes) == len(drawing.text.splitlines()) - 1
    pytest.importorskip("pygraphviz", reason="pictures need Graphviz")
    start = time.perf_counter()
    width = re.search(r'<svg width="(\d+)pt"', drawing.svg())
    assert time.perf_counter() - start < 2.0
    assert width
    assert int(width[1]) < 1200  # points; a screen has 1,920
