"""The backward pass replayed: its numbers are the engine's, and it changes nothing."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from tinygrad_course_viz import draw_backward, draw_scalars
from tinygrad_course_viz.backward import replay
from tinygrad_course_viz.walk import read

import tinygrad_course as tc
from tinygrad_course import Scalar, nn
from tinygrad_course.errors import GradientError, OptionError

from . import graphs


def replayed(outputs: Any, params: dict[str, Any]) -> dict[str, Any]:
    """The gradients that the replay ends with, by name."""
    graph = read(outputs, params)
    seed = 1.0 if isinstance(outputs, Scalar) else np.ones(outputs.shape, outputs.dtype)
    final: dict[int, Any] = {}
    for step in replay(graph, {graph.number[outputs.node]: seed}):
        for move in step.moves:
            final[move.source] = move.after
    return {graph.names[i]: g for i, g in final.items() if i in graph.names}


def layers() -> tuple[Any, dict[str, Any]]:
    """Rows with one rule each, with a joint rule, with broadcasting and with shared values."""
    tc.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten())
    head = nn.Linear(8, 3)
    hidden = model(tc.randn(2, 1, 6, 6))
    scores = head(hidden) + hidden.sum(1, keepdim=True)
    loss = nn.functional.cross_entropy(scores, tc.tensor([0, 2])) + (scores * scores).mean()
    return loss, dict([*model.named_parameters(), *head.named_parameters()])


@pytest.mark.parametrize("make", [graphs.neuron, graphs.mlp, layers])
def test_its_gradients_are_the_engines(make: Any) -> None:
    loss, params = make()
    found = replayed(loss, params)
    loss.backward()
    for name, value in params.items():
        if name in found and value.is_leaf:
            want = value.grad if isinstance(value, Scalar) else value.grad.numpy()
            np.testing.assert_allclose(found[name], want, rtol=1e-6, err_msg=name)
    assert set(params) - set(found) <= {"y"}


def test_a_weighted_sum_and_a_custom_function() -> None:
    ws, xs = [Scalar(2.0), Scalar(-1.0)], [Scalar(0.5), Scalar(3.0)]
    out = tc.dot(ws, xs).tanh()
    names = {"w0": ws[0], "w1": ws[1], "x0": xs[0], "x1": xs[1]}
    found = replayed(out, names)
    out.backward()
    assert found == {name: value.grad for name, value in names.items()}

    class Double(tc.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * g

    x = tc.tensor([1.0, 2.0], requires_grad=True)
    total = Double.apply(x).sum()
    np.testing.assert_array_equal(replayed(total, {"x": x})["x"], [2.0, 2.0])
    total.backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_hooks_are_not_called_and_nothing_changes() -> None:
    x = Scalar(3.0)
    called = []
    y = x * x
    y.register_hook(called.append)
    before = (x.data, x.grad, y.data, y.grad)
    draw_backward(y, {"x": x})
    assert called == []
    assert (x.data, x.grad, y.data, y.grad) == before
    y.backward()
    assert x.grad == 6.0
    assert len(called) == 1


def test_the_words_tell_products_and_sums() -> None:
    x = Scalar(3.0)
    lines = draw_backward(x * x * x, {"x": x}).text.splitlines()
    assert lines[0] == "start: the gradient of mul (#2) is 1"
    assert lines[1] == "1. mul (#2), gradient 1: 1 × 3 = 3 to mul (#1); 1 × 9 = 9 to x (#0)"
    assert lines[2].endswith("3 × 3 = 9 to x (#0), 9 + 9 = 18; 3 × 3 = 9 to x (#0), 18 + 9 = 27")


def test_frames_show_the_gradients_so_far(tmp_path: Any) -> None:
    pytest.importorskip("pygraphviz", reason="pictures need Graphviz")
    loss, params = graphs.neuron()
    drawing = draw_backward(loss, params)
    paths = drawing.save_frames(tmp_path)
    assert len(paths) == drawing.steps + 1
    first, last = (path.read_text(encoding="utf-8") for path in (paths[0], paths[-1]))
    for svg in (first, last):
        ET.fromstring(svg)
        assert "«" not in svg
    assert first.count("grad ") == 1
    loss.backward()
    for name in "xwb":
        assert f"grad {params[name].grad:.4g}<" in last


def test_what_cannot_be_followed_is_refused() -> None:
    x = Scalar(2.0)
    with pytest.raises(OptionError, match=r"101 nodes are too many .* at most 60"):
        draw_backward(graphs.chain(100))
    y = x * x
    y.backward()
    with pytest.raises(GradientError, match="freed"):
        draw_backward(y)
    t = graphs.leaf(2, 3)
    with pytest.raises(GradientError, match=r"gradient has shape \(3,\), the output \(2, 3\)"):
        draw_backward(t * t, gradient=np.ones(3))
    with pytest.raises(OptionError, match=r"one of \.html, \.txt, \.dot, \.svg, \.png, \.pdf"):
        draw_backward(x * x).save("backward.gif")


def test_the_last_state_is_a_picture_too(tmp_path: Any) -> None:
    loss, params = graphs.neuron()
    drawing = draw_backward(loss, params)
    text = drawing.save(tmp_path / "steps.dot").read_text(encoding="utf-8")
    assert "«" not in text
    loss.backward()
    for name in "xwb":
        assert f"grad {params[name].grad:.4g}<" in text
    pytest.importorskip("pygraphviz", reason="pictures need Graphviz")
    for form, magic in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
        content = drawing.save(tmp_path / f"steps.{form}").read_bytes()
        assert content.startswith(magic)
        assert "«".encode() not in content


# --- number by number -----------------------------------------------------------------------------


def small(*shape: int) -> Any:
    rng = np.random.default_rng(sum(shape))
    return tc.tensor(rng.normal(size=shape).round(3), requires_grad=True)


OPERATIONS = {
    "matmul": (lambda x, w: x @ w, (2, 2), (2, 2)),
    "softmax": (lambda x: tc.softmax(x, 1), (2, 3)),
    "conv2d": (nn.functional.conv2d, (1, 1, 4, 4), (1, 1, 3, 3)),
    "tanh": (tc.tanh, (3,)),
    "sum": (lambda x: x.sum(0), (2, 3)),
    "amax": (lambda x: x.amax(0, keepdim=True), (3, 2)),
    "avg_pool2d": (lambda x: nn.functional.avg_pool2d(x, 2), (1, 1, 4, 4)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_scalar_graph_has_the_tensors_values_and_gradients(name: str) -> None:
    f, *shapes = OPERATIONS[name]
    inputs = dict(zip("xw", [small(*s) for s in shapes], strict=False))
    out = f(*inputs.values())
    text = draw_scalars(out, inputs).text
    out.backward(tc.ones_like(out))
    for key, value in inputs.items():
        for at in np.ndindex(value.shape):
            label = f"{key}[{', '.join(map(str, at))}]"
            line = next((t for t in text.splitlines() if f" {label};" in t), None)
            grad = value.grad[at].item()
            if line is None:  # an element that nothing was made of
                assert grad == 0
                continue
            assert f"value {value[at].item():.4g}" in line
            shown = float(line.split("grad ")[1].split(";")[0].split(",")[0])
            assert shown == pytest.approx(grad, rel=1e-3, abs=1e-12)
    for at in np.ndindex(out.shape):
        where = f"output out[{', '.join(map(str, at))}]" if at else "output out"
        line = next(t for t in text.splitlines() if where in t)
        shown = float(line.split("value ")[1].split(";")[0].split(",")[0])  # of four digits
        assert shown == pytest.approx(out[at].item() if at else out.item(), rel=1e-3)


def test_what_has_no_scalar_graph_says_why() -> None:
    x = graphs.leaf(10, 10)
    with pytest.raises(OptionError, match="200 numbers are too many"):
        draw_scalars(x @ x, {"x": x})
    y = graphs.leaf(2) + 1.0
    with pytest.raises(OptionError, match="values are not in the graph"):
        draw_scalars(y)
    with pytest.raises(OptionError, match="one Tensor"):
        draw_scalars([y * 1.0, y * 2.0])
