"""Measures over the picture: the numbers are the engine's, and colour is never alone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from tinygrad_course_viz import draw_graph
from tinygrad_course_viz.overlays import TINTS, bounds, tint

import tinygrad_course as tc
from tinygrad_course import Scalar, nn
from tinygrad_course.errors import GradientError, OptionError

from . import graphs


def line(text: str, name: str) -> str:
    return next(t for t in text.splitlines() if re.search(rf"^\s*#\d+ {re.escape(name)}\b", t))


def test_gradient_lengths_are_the_engines() -> None:
    loss, params = graphs.mlp()
    text = draw_graph(loss, params, overlay="gradient").text
    loss.backward()
    for name, p in params.items():
        size = float(np.linalg.norm(p.grad.numpy().astype(np.float64)))
        assert f"|gradient| {size:.3g}" in line(text, name)


def test_ratios_are_those_of_leaves() -> None:
    loss, params = graphs.mlp()
    text = draw_graph(loss, params, overlay="ratio").text
    loss.backward()
    for name, p in params.items():
        ratio = np.linalg.norm(p.grad.numpy()) / np.linalg.norm(p.detach().numpy())
        assert f"|gradient| / |value| {ratio:.3g}" in line(text, name)
    assert text.count("|value|") == len(params)


def test_values_are_ranges() -> None:
    x = tc.tensor([[1.0, -4.0], [0.5, 2.0]], requires_grad=True)
    text = draw_graph((x * x).sum(), {"x": x}, overlay="value").text
    assert "min -4, mean -0.125, max 2" in line(text, "x")
    assert "min 0.25, mean 5.312, max 16" in line(text, "mul")


def test_bytes_and_times_stand_for_all_operations() -> None:
    loss, params = graphs.mlp()
    assert draw_graph(loss, params, overlay="time").text.count("µs") == 9
    assert "tint: bytes of the result" in draw_graph(loss, params, overlay="bytes").dot


def test_the_first_that_is_not_finite_is_outlined() -> None:
    x = tc.tensor([1.0, 0.0], requires_grad=True)
    drawing = draw_graph(((x.log() * x).sum() + 1.0), {"x": x}, overlay="value")
    assert "the first on the way" in line(drawing.text, "log")
    assert drawing.text.count("NOT FINITE") == 4
    assert drawing.text.count("the first on the way") == 1
    assert drawing.dot.count("penwidth=5") == 1
    back = draw_graph((x.sqrt()).sum(), {"x": x}, overlay="gradient").text
    assert "NOT FINITE, the first on the way" in line(back, "x")


def test_boxes_of_several_nodes_have_one_reading() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    loss = model(tc.ones(2, 3)).sum()
    drawing = draw_graph(loss, model, depth=0, overlay="gradient")
    readings = re.findall(r"\|gradient\| ([\d.e+-]+)", drawing.text)
    assert len(readings) == len(drawing.text.splitlines()) - 1, "one for each box"
    assert all(np.isfinite(float(r)) for r in readings)


def test_scalars_have_overlays_too() -> None:
    x = Scalar(3.0)
    text = draw_graph(x * x, {"x": x}, overlay="gradient").text
    assert "|gradient| 6" in line(text, "x")


def test_tints_go_from_light_to_dark_in_equal_ratios() -> None:
    sizes = [10.0**k for k in range(6)]
    assert [tint(s, sizes) for s in sizes] == [*TINTS, TINTS[-1]]
    assert bounds(sizes) == pytest.approx(sizes)
    assert bounds([2.0, 2.0, 0.0]) == []
    light = [sum(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in TINTS]
    assert light == sorted(light, reverse=True), "in grey they can be told apart too"


def test_what_cannot_be_measured_is_refused() -> None:
    x = Scalar(2.0)
    y: Any = x * x
    with pytest.raises(OptionError, match=r"gradient, ratio, value, bytes, time; got 'heat'"):
        draw_graph(y, overlay="heat")
    with pytest.raises(OptionError, match="too many for an overlay"):
        draw_graph(graphs.chain(30_000), overlay="gradient")
    y.backward()
    with pytest.raises(GradientError, match="freed this graph"):
        draw_graph(y, overlay="gradient")


def test_measuring_changes_nothing() -> None:
    loss, params = graphs.mlp()
    before = tc.rand(1).item()
    tc.manual_seed(3)
    expected = tc.rand(1).item()
    tc.manual_seed(3)
    for overlay in ("gradient", "ratio", "value", "bytes", "time"):
        draw_graph(loss, params, overlay=overlay)
    assert tc.rand(1).item() == expected != before
    assert all(p.grad is None for p in params.values())
    loss.backward()
