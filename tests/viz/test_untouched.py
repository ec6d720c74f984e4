"""Drawing changes no value, gradient, random number or graph; and it keeps nothing alive."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tinygrad_course_viz import draw_backward, draw_graph, draw_scalars, watch

import tinygrad_course as tc
from tinygrad_course import nn
from tinygrad_course.graph import nodes

OVERLAYS = ("gradient", "ratio", "value", "bytes", "time")


def network() -> tuple[Any, Any, Any]:
    """A model in training mode whose dropout draws random numbers, its calls and its loss."""
    tc.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
    with watch(model) as calls:
        loss = nn.functional.cross_entropy(model(tc.rand(4, 2)), tc.tensor([0, 1, 1, 0]))
    loss.backward(retain_graph=True)
    return model, calls, loss


DRAWN: dict[str, Callable[[Any, Any, Any], Any]] = {
    "plain": lambda model, calls, loss: draw_graph(loss, model),
    "depth": lambda model, calls, loss: draw_graph(loss, calls, depth=0),
    "collapse": lambda model, calls, loss: draw_graph(loss, calls, collapse=["views", "repeats"]),
    "small": lambda model, calls, loss: draw_graph(loss, budget=3),
    **{
        overlay: lambda model, calls, loss, o=overlay: draw_graph(loss, calls, overlay=o)
        for overlay in OVERLAYS
    },
    "backward": lambda model, calls, loss: draw_backward(loss, model),
    "scalars": lambda model, calls, loss: draw_scalars(model[0].weight.exp(), model),
}


def state(model: Any, loss: Any) -> list[Any]:
    """All that a drawing could have changed, arrays by their bytes and objects by themselves."""
    graph = [
        (id(n), n.seq, n.prim and n.prim.name, [id(p) for p in n.parents], list(map(id, n.saved)))
        for n in nodes([loss])
        if n.prim is not None
    ]
    kept = [(k, v.numpy().tobytes()) for k, v in model.state_dict().items()]
    grads = [p.grad.numpy().tobytes() for p in model.parameters()]
    modules = [(id(m), m.training, sorted(vars(m))) for _, m in model.named_modules()]
    return [graph, kept, grads, modules, loss.item(), np.random.get_state()[1].tobytes()]


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_changed(name: str) -> None:
    model, calls, loss = network()
    tc.manual_seed(5)
    coming = tc.rand(3).tolist()
    before = state(model, loss)
    tc.manual_seed(5)
    drawing = DRAWN[name](model, calls, loss)
    assert drawing.text
    assert tc.rand(3).tolist() == coming
    assert state(model, loss) == before
    first = [p.grad.numpy().copy() for p in model.parameters()]
    loss.backward()
    for p, g in zip(model.parameters(), first, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), 2 * g)


@pytest.mark.parametrize("name", DRAWN)
def test_memory_is_given_back(name: str) -> None:
    model, calls, loss = network()
    seen = [weakref.ref(thing) for thing in (model, loss.node, model[0].weight.node, loss)]
    drawing = DRAWN[name](model, calls, loss)
    del model, calls, loss
    gc.collect()
    assert [ref() for ref in seen] == [None] * 4
    assert drawing.text


def test_watching_changes_no_number() -> None:
    model, _, loss = network()
    tc.manual_seed(0)
    again = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
    other = nn.functional.cross_entropy(again(tc.rand(4, 2)), tc.tensor([0, 1, 1, 0]))
    assert loss.item() == other.item()
    assert all("forward" not in vars(m) for _, m in model.named_modules())


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_graph_gives_the_same_text(name: str) -> None:
    if name == "time":
        pytest.skip("times are never the same")
    one, two = (DRAWN[name](*network()) for _ in range(2))
    assert (one.text, one.dot) == (two.text, two.dot)
