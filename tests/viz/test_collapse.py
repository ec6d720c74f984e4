"""What is folded on request, what is named on the way, and where a graph ends."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tinygrad_course_viz import draw_graph, watch

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import OptionError

from . import graphs


def line(text: str, name: str) -> str:
    return next(t for t in text.splitlines() if re.search(rf"^\s*#\d+ {re.escape(name)}\b", t))


def operations(text: str) -> list[str]:
    return re.findall(r"^\s*#\d+ (?:\w+ = )?(\w+)\(", text, re.MULTILINE)


def test_without_views_only_arithmetic_is_drawn() -> None:
    x, w = graphs.leaf(2, 3), graphs.leaf(4, 3)
    loss = ((x @ w.T).double().reshape(8).flip(0) * 2.0).sum()
    drawing = draw_graph(loss, {"x": x, "w": w}, collapse="views")
    assert operations(drawing.text) == ["matmul", "mul", "sum"]
    assert "#0 by way of permute" in line(drawing.text, "matmul")
    assert re.search(r"by way of cast, reshape, flip$|cast, reshape, flip;", drawing.text, re.M)
    assert "hidden on the edges: permute, cast, reshape, flip" in drawing.text
    assert "hidden on the edges: permute, cast, reshape, flip" in drawing.dot
    assert "via permute" in drawing.dot
    assert "4 nodes hidden" in drawing.text
    assert operations(draw_graph(loss).text) == [
        "permute", "matmul", "cast", "reshape", "flip", "mul", "sum"
    ]  # fmt: skip


def test_uses_by_way_of_views_are_uses() -> None:
    x = graphs.leaf(2, 2)
    y = x.T
    drawing = draw_graph((y * y + x).sum(), {"x": x}, collapse=["views"])
    assert "+= 3 gradients" in line(drawing.text, "x")
    assert drawing.dot.count("n0 -> ") == 3


def test_an_output_is_drawn_even_if_it_is_a_view() -> None:
    x = graphs.leaf(2, 3)
    text = draw_graph(x.exp().T, collapse="views").text
    assert operations(text) == ["exp", "permute"]
    assert "hidden" not in text


def encoder() -> tuple[Any, Any]:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 4)
    with watch(model) as calls:
        loss = model(tc.randn(1, 3, 8)).sum()
    return loss, calls


def test_modules_that_repeat_are_drawn_once() -> None:
    text = draw_graph(*encoder(), depth=0, collapse="repeats").text
    assert "block ×3, drawn once" in text
    assert len(re.findall("TransformerEncoderLayer", text)) == 2, "the first has no input to hold"


def test_frames_that_a_block_would_cross_are_left_out() -> None:
    loss, calls = encoder()
    opened = draw_graph(loss, calls, depth=1)
    both = draw_graph(loss, calls, depth=1, collapse=("views", "repeats"))
    assert opened.dot.count("subgraph cluster_module") == 4
    kept = both.dot.count("subgraph cluster_module")
    assert kept < 4
    assert both.dot.count("subgraph cluster_") - kept == 1
    pytest.importorskip("pygraphviz", reason="pictures need Graphviz")
    assert both.svg().startswith("<svg")


def test_every_node_is_drawn_or_counted() -> None:
    loss, calls = encoder()
    for depth in (None, 0, 1, 9):
        drawing = draw_graph(loss, calls, depth=depth, collapse="views")
        total = sum(map(int, re.findall(r"(\d+) (?:operations|leaves)", drawing.text)[:2]))
        boxes = re.findall(r"^  n\d+ \[", drawing.dot, re.MULTILINE)
        hidden = re.search(r"; (\d+) nodes hidden", drawing.text)
        folded = len(re.findall(r"\d+ nodes?: ", drawing.text))
        assert hidden
        assert int(hidden[1]) + len(boxes) - folded == total


def test_a_model_of_many_operations_is_drawn_by_its_modules() -> None:
    model = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2), nn.Softplus(3.0)) for _ in range(30)))
    with watch(model) as calls:
        loss = model(tc.ones(1, 2)).sum()
    closed, opened = draw_graph(loss, calls), draw_graph(loss, calls, depth=9)
    assert closed.text.count("\n") < 65 < opened.text.count("\n")
    assert "hidden in collapsed boxes" in closed.dot


@pytest.mark.parametrize("collapse", ["casts", ["views", "casts"]])
def test_a_collapse_that_there_is_not(collapse: Any) -> None:
    with pytest.raises(OptionError, match="of repeats, views; got 'casts'"):
        draw_graph(graphs.neuron()[0], collapse=collapse)


# --- where a graph ends ---------------------------------------------------------------------------


def test_constants_are_marked_where_the_graph_ends() -> None:
    x = graphs.leaf(2, 3)
    drawing = draw_graph((x * x.detach()).sum(), {"x": x})
    assert "mul(#0, constant)" in drawing.text
    assert "+= " not in drawing.text, "no gradient goes through detach()"
    assert "constant: the graph ends there" in drawing.dot
    assert "constant" not in draw_graph((x * x).sum(), {"x": x}).dot


def test_a_frozen_parameter_is_named() -> None:
    layer = nn.Linear(3, 2)
    layer.requires_grad_(False)
    drawing = draw_graph(layer(graphs.leaf(1, 3)), layer)
    assert "operand 2 is the constant weight" in drawing.text
    assert "operand 2 is the constant weight" in drawing.dot


def test_many_constants_are_counted() -> None:
    x = graphs.leaf(1)
    text = draw_graph(tc.cat([x, *[tc.ones(1)] * 9])).text
    assert "operand 2 is constant, operand 3 is constant, operand 4 is constant" in text
    assert "6 more are constant" in text
