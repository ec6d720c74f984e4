"""Modules as boxes: which operations belong to which call, watched or inferred."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tinygrad_course_viz import draw_graph, watch
from tinygrad_course_viz.scopes import scopes_of
from tinygrad_course_viz.walk import read

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.errors import OptionError


class Small(nn.Module):
    """Functions between its layers, and one layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
        self.head = nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        x = self.body(x).tanh().flatten(1)
        return self.head(self.head(x))


def run(model: Any) -> Any:
    return model(tc.ones(1, 1, 6, 6)).sum()


def test_watched_calls_hold_exactly_their_operations() -> None:
    model = Small()
    with watch(model) as calls:
        loss = run(model)
    graph = read(loss, calls)
    found = {(s.title, s.depth): graph.ops[s.first : s.last + 1] for s in scopes_of(graph, calls)}
    assert found["body.1 ReLU", 1] == ["relu"]
    assert "conv2d" in found["body.0 Conv2d", 1]
    assert found["body Sequential", 0].count("conv2d") == 2
    assert "tanh" not in found["body Sequential", 0]
    heads = [s for s in scopes_of(graph, calls) if s.path == "head"]
    assert len(heads) == 2


def test_watching_leaves_nothing_behind() -> None:
    model = Small()
    with pytest.raises(RuntimeError, match="stop"), watch(model):
        raise RuntimeError("stop")
    assert all("forward" not in vars(m) for _, m in model.named_modules())
    with pytest.raises(OptionError, match="give a module, not a Tensor"), watch(tc.ones(2)):
        pass


def test_without_watching_modules_are_inferred_from_parameters() -> None:
    model = Small()
    graph = read(run(model), model)
    titles = [s.title for s in scopes_of(graph, model)]
    assert titles == ["body Sequential", "body.0 Conv2d", "body.2 Conv2d", "head Linear"]


@pytest.mark.parametrize("watched", [True, False])
def test_depth_opens_modules_from_the_outside(watched: bool) -> None:
    model = Small()
    with watch(model) as calls:
        loss = run(model)
    params = calls if watched else model
    closed, open_, all_ = (draw_graph(loss, params, depth=d) for d in (0, 1, 2))
    assert "body Sequential" in closed.text
    assert "body.0 Conv2d" not in closed.text
    assert re.search(r"^#\d+ body.0 Conv2d\(", open_.text, re.MULTILINE)
    assert re.search(r"<B>body Sequential</B>", open_.dot), "it is a frame now"
    assert "conv2d(" in all_.text
    sizes = [d.text.count("\n") for d in (closed, open_, all_)]
    assert sizes == sorted(sizes)
    nodes = sum(int(n) for n in re.findall(r"; (\d+) nodes?: ", closed.text))
    rest = sum("nodes: " not in t and "node: " not in t for t in closed.text.splitlines()[1:])
    plain = draw_graph(loss, params)
    assert nodes + rest == plain.text.count("\n") - 1, "every node is in one box"


def test_depth_needs_modules() -> None:
    x = tc.ones(2).requires_grad_()
    with pytest.raises(OptionError, match="depth needs modules"):
        draw_graph(x * x, {"x": x}, depth=1)
    with pytest.raises(OptionError, match="whole number from 0, got -1"):
        draw_graph(run(model := Small()), model, depth=-1)


def test_a_deep_model_is_drawn_by_its_modules() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 12)
    with watch(model) as calls:
        loss = model(tc.randn(1, 3, 8)).sum()
    text = draw_graph(loss, calls).text
    assert all(f"layers.{k} TransformerEncoderLayer" in text for k in range(12))
    assert len(text.splitlines()) < 20
