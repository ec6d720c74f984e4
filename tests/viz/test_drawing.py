"""What the pictures say: by the text form, by the DOT text, and against the engine's numbers."""

from __future__ import annotations

import gc
import re
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinygrad_course_viz import draw_graph

import tinygrad_course as tc
from tinygrad_course import Scalar, Tensor
from tinygrad_course.errors import GradientError, OptionError

from . import graphs

HERE = Path(__file__).parent
GOLDEN = {
    "neuron": graphs.neuron,
    "mlp": graphs.mlp,
    "recurrent": graphs.recurrent,
    "stack": graphs.stack,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_snapshot(name: str) -> None:
    """To renew a snapshot after a change that is meant: delete its files and run the test."""
    drawing = draw_graph(*GOLDEN[name]())
    kept = [HERE / "golden" / f"{name}.{form}" for form in ("dot", "txt")]
    if not all(path.exists() for path in kept):
        for path in kept:
            drawing.save(path)
        pytest.fail(f"wrote {kept[0].name} and {kept[1].name}: look at them, then run again")
    assert [path.read_text(encoding="utf-8") for path in kept] == [drawing.dot, drawing.text]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_same_graph_gives_the_same_bytes(name: str) -> None:
    one, two = (draw_graph(*GOLDEN[name]()) for _ in range(2))
    assert (one.dot, one.text) == (two.dot, two.text)


def test_a_rewritten_leaf_keeps_its_place() -> None:
    loss, p = graphs.mlp()
    before = draw_graph(loss, p).dot
    with tc.no_grad():
        p["hidden.weight"].mul_(1.0)
    assert draw_graph(loss, p).dot == before


# --- operands -------------------------------------------------------------------------------------


def test_a_square_has_two_edges() -> None:
    x = Scalar(3.0)
    drawing = draw_graph(x * x)
    assert drawing.dot.count("n0 -> n1") == 2
    assert "mul(#0, #0)" in drawing.text
    assert "+= 2 gradients" in drawing.text


def test_the_order_of_operands_is_kept() -> None:
    x, y = Scalar(1.0), Scalar(2.0)
    assert "sub(#0, #1)" in draw_graph(x - y, {"x": x, "y": y}).text
    assert "sub(#1, #0)" in draw_graph(2.0 * x + (y - x), {"x": x, "y": y}).text.replace("#2", "#1")
    drawing = draw_graph(1.0 - y)
    assert "sub(constant, #0)" in drawing.text
    assert re.search(r'n0 -> n1 \[label="  2', drawing.dot)


def test_a_broadcast_is_dashed_and_names_the_axes_it_sums() -> None:
    x, b = graphs.leaf(5, 3, 4), graphs.leaf(3, 1)
    loss = (x + b).sum()
    drawing = draw_graph(loss, {"x": x, "b": b})
    assert "gradient of #1 summed over axes 0, 2" in drawing.text
    assert re.search(r'n1 -> n2 \[label="  2 · Σ axes 0, 2  " style=dashed\]', drawing.dot)
    assert drawing.dot.count("style=dashed") == 1


def test_batches_of_a_matmul_are_summed() -> None:
    x, w = graphs.leaf(7, 2, 3), graphs.leaf(1, 3, 4)
    assert "gradient of #1 summed over axis 0" in draw_graph(x @ w).text
    square = graphs.leaf(4, 4)  # no batch: as large as the result, and not summed
    assert "summed" not in draw_graph(square @ square).text


def test_many_operands_become_one_edge() -> None:
    x = graphs.leaf(2)
    drawing = draw_graph(tc.cat([x] * 1000), budget=10)
    assert drawing.dot.count("->") == 1
    assert "×1,000" in drawing.dot
    assert "992 more" in drawing.text


# --- numbers --------------------------------------------------------------------------------------


def test_values_gradients_and_local_derivatives_are_the_engines() -> None:
    loss, p = graphs.neuron()
    loss.backward(retain_graph=True)
    drawing = draw_graph(loss, p)
    for name in p:
        line = next(t for t in drawing.text.splitlines() if re.match(rf"#\d+ {name}\b", t))
        assert f"value {p[name].data:.4g}, grad {p[name].grad:.4g}" in line
    slope = 1 - p["y"].data ** 2
    assert f"local derivatives {slope:.4g}" in drawing.text
    assert f"∂ {slope:.4g}" in drawing.dot


def test_local_derivatives_times_upstream_gradients_are_the_gradients() -> None:
    x, y = Scalar(1.5), Scalar(-2.0)
    z = (x * y).exp() / y
    z.backward(retain_graph=True)
    text = draw_graph(z, {"x": x, "y": y}).text
    grads = {int(i): float(g) for i, g in re.findall(r"^#(\d+) .*?grad (\S+?)[;\n]", text, re.M)}
    total = dict.fromkeys(grads, 0.0)
    pattern = r"^#(\d+) \w+\((.*?)\);.*local derivatives (.*)$"
    for node, operands, slopes in re.findall(pattern, text, re.M):
        for p, slope in zip(operands.split(", "), slopes.split(", "), strict=True):
            total[int(p[1:])] += grads[int(node)] * float(slope)
    assert total[0] == pytest.approx(x.grad, rel=2e-3)
    assert total[1] == pytest.approx(y.grad, rel=2e-3)


def test_a_value_that_was_not_saved_is_computed_from_those_that_were() -> None:
    x, y = Scalar(2.0), Scalar(5.0)
    assert "add(#0, #1); value 7" in draw_graph((x + y) + x * y, {"x": x, "y": y}).text
    assert "value 23, grad 0" in draw_graph(tc.dot([x, y], [4.0, 3.0]) * 1.0).text


def test_a_freed_graph_is_drawn_and_says_so() -> None:
    loss, p = graphs.neuron()
    loss.backward()
    text = draw_graph(loss, p).text
    assert "freed the graph" in text
    assert f"grad {p['w'].grad:.4g}" in text


def test_a_leaf_written_since_is_not_taken_for_its_old_value() -> None:
    x = Scalar(2.0)
    y = (x + 1.0) * 3.0
    x.data = 100.0
    text = draw_graph(y, {"x": x}).text
    assert "x; value 100" in text
    assert "value 101" not in text


def test_bytes_are_the_arrays() -> None:
    x = Tensor(np.ones((10, 20)), requires_grad=True)
    y = x.exp()
    assert f"(10, 20) float64, {y.nbytes / 1024:.3g} KiB" in draw_graph(y).text
    total = x.nbytes + y.nbytes
    assert f"1 leaf, {total / 1024:.3g} KiB" in draw_graph(y.T).text, "a view makes none"


def test_settings_are_shown_once() -> None:
    x = graphs.leaf(2, 6)
    y = x.reshape(3, 4)
    text = draw_graph(y.sum(1, keepdim=True)).text
    assert "reshape(#0); (3, 4) float32" in text
    assert "sum(#1); dim=(1,), keepdim=True; (3, 1)" in text


# --- names ----------------------------------------------------------------------------------------


class Layer:
    def __init__(self) -> None:
        self.weight = graphs.leaf(3, 2)


class Model:
    """What `draw_graph` asks of a module."""

    def __init__(self) -> None:
        self.layer = Layer()

    def named_parameters(self) -> Any:
        yield "features.3.weight", self.layer.weight

    def named_modules(self) -> Any:
        yield "", self
        yield "features.3", self.layer


def test_a_module_names_leaves_and_operations() -> None:
    model = Model()
    drawing = draw_graph((model.layer.weight * 2.0).sum(), model)
    assert "features.3.weight; (3, 2)" in drawing.text
    assert "in features.3 Layer" in drawing.text


@pytest.mark.parametrize(
    "name",
    [
        '"',
        "<b>&amp;</b>",
        "a\\nb\\",
        "]]>",
        "]} -> [",
        "日本語 ∂λ 🜛",
        "line\nbreak",
        "\0\x1b\ud800\uffff",
        "",
    ],
)
def test_names_are_escaped(name: str) -> None:
    x = Scalar(1.0)
    drawing = draw_graph(x * x, {name: x})
    svg = drawing.svg()
    assert drawing.text.count("\n") == 3
    if name.isprintable() and "<" not in name:
        assert name in drawing.text
    assert svg.count('class="node"') == 2
    assert svg.count('class="edge"') == 2


def test_a_long_name_is_shortened() -> None:
    x = Scalar(1.0)
    drawing = draw_graph(x * x, {"a" * 5000 + "z" * 5000: x})
    assert "aaa…zzz" in drawing.text
    assert len(drawing.dot) < 3000
    drawing.svg()


def test_names_of_outputs_are_escaped_too() -> None:
    x = Scalar(1.0)
    drawing = draw_graph({"<b>\n": x * x, "z" * 10_000: x + x})
    drawing.svg()
    assert drawing.text.count("\n") == 4
    assert len(drawing.dot) < 3500


def test_several_outputs() -> None:
    x = Scalar(1.0)
    text = draw_graph({"sin": x.sin(), "cos": x.cos()}).text
    assert "output sin" in text
    assert "output cos" in text
    assert "output 0, output 1" in draw_graph([x, x]).text


def test_a_function_of_ones_own() -> None:
    class Split(tc.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return g * 2 + h * 3

    a, b = Split.apply(graphs.leaf(2))
    text = draw_graph((a * b).sum()).text
    assert "Split(#0); several results" in text
    assert "pick(#1); index=1" in text


# --- refusals -------------------------------------------------------------------------------------


def test_a_constant_cannot_be_drawn() -> None:
    with pytest.raises(GradientError, match=r"constant.*requires_grad"):
        draw_graph(tc.ones(2) * 2)


@pytest.mark.parametrize("outputs", [3.0, [], "ab", None, [Scalar(1.0), 2.0]])
def test_other_things_cannot_be_drawn(outputs: Any) -> None:
    with pytest.raises(TypeError, match="draw_graph"):
        draw_graph(outputs)


@pytest.mark.parametrize("params", [3, {"x": 3.0}])
def test_other_things_are_no_names(params: Any) -> None:
    with pytest.raises(TypeError, match="params"):
        draw_graph(Scalar(1.0) * 2.0, params)


@pytest.mark.parametrize("budget", [0, -1, 2.5])
def test_a_budget_is_a_positive_number(budget: Any) -> None:
    with pytest.raises(OptionError, match="budget"):
        draw_graph(Scalar(1.0) * 2.0, budget=budget)


# --- drawing changes nothing ----------------------------------------------------------------------


def test_drawing_changes_nothing() -> None:
    loss, p = graphs.mlp()
    (loss * 1.0).backward(retain_graph=True)
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    values = {
        k: (
            v.numpy().copy() if v.node is None else v.detach().numpy().copy(),
            v.grad.numpy().copy(),
            v.node.seq,
        )
        for k, v in p.items()
    }
    drawing = draw_graph(loss, p)
    drawing.svg()
    assert draw_graph(loss, p).dot == drawing.dot
    for k, (value, grad, seq) in values.items():
        assert (p[k].detach().numpy() == value).all()
        assert (p[k].grad.numpy() == grad).all()
        assert p[k].node.seq == seq
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]
    loss.backward()  # not freed by the drawing
    assert (p["out.bias"].grad.numpy() == 2 * values["out.bias"][1]).all()


def test_memory_is_given_back() -> None:
    loss, p = graphs.mlp()
    node = weakref.ref(loss.node)
    drawing = draw_graph(loss, p)
    del loss, p
    gc.collect()
    assert node() is None
    assert "output" in drawing.text


# --- large graphs ---------------------------------------------------------------------------------


def test_diamonds_are_visited_once() -> None:
    drawing = draw_graph(*graphs.diamonds(100))
    assert drawing.dot.count("->") == 200
    assert "100 operations, 1 leaf" in drawing.text


def test_a_budget_collapses_chains() -> None:
    x, y = graphs.leaf(2), graphs.leaf(2)
    loss = (x.exp().log().sin() * y).sum()
    text = draw_graph(loss, budget=5).text
    assert "3 nodes(#0); exp, log, sin" in text
    assert "5 nodes hidden" in text


def test_a_repeat_is_drawn_once_with_its_own_leaves() -> None:
    text = draw_graph(*graphs.stack()).text
    assert "block ×40, drawn once" in text
    assert text.count("weight; (4, 4)") == 1
    assert "of the copy before" in text


def test_a_shared_leaf_stays_outside_the_repeat() -> None:
    text = draw_graph(*graphs.recurrent()).text
    assert "\n#0 cell.W" in text
    assert "+= 100 gradients" in text


@pytest.mark.parametrize("budget", [1, 2, 7, 40, 300])
@pytest.mark.parametrize("make", [lambda: graphs.tangle(500), lambda: graphs.stack()[0]])
def test_the_budget_is_kept_and_no_node_is_lost(make: Any, budget: int) -> None:
    drawing = draw_graph(make(), budget=budget)
    boxes = re.findall(r"^  n(\d+) \[", drawing.dot, re.M)
    assert 1 <= len(boxes) <= budget
    assert set(re.findall(r"-> n(\d+)", drawing.dot)) <= set(boxes)
    assert "hidden" in drawing.text


@pytest.mark.parametrize("make", [graphs.chain, graphs.tangle])
def test_twenty_thousand_nodes(make: Any) -> None:
    start = time.process_time()
    drawing = draw_graph(make(20_000))
    assert time.process_time() - start < 2.0
    assert drawing.dot.count("\n") < 1500


@pytest.mark.slow
def test_a_million_nodes() -> None:
    y = graphs.chain(1_000_000)
    start = time.process_time()
    drawing = draw_graph(y)
    assert time.process_time() - start < 10.0
    assert "block ×999,999, drawn once" in drawing.text
