"""The pages in a real browser: by mouse and by keyboard, without a network and without an error."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tinygrad_course_viz import draw_backward, draw_graph, watch
from tinygrad_course_viz.walk import read
from tinygrad_course_viz.words import shortened

import tinygrad_course as tc
from tinygrad_course import nn

from . import graphs

sync_api = pytest.importorskip("playwright.sync_api", reason="pages are tested with Playwright")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
if BROWSER is None:
    pytest.skip("pages are tested in Chromium, and none is installed", allow_module_level=True)
pytest.importorskip("pygraphviz", reason="pictures need Graphviz")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """A function that opens a file; at the end the page must have asked for it and nothing else."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    errors, requests, opened = [], [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text))
    page.on("request", lambda request: requests.append(request.url))

    def open_file(path: Path) -> Any:
        opened.append(path.as_uri())
        page.goto(path.as_uri())
        return page

    yield open_file
    assert errors == []
    assert requests == opened, "the files themselves, and nothing else"
    page.close()


def network() -> tuple[Any, Any]:
    """A loss, and the calls behind it: a block in a block."""
    inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    model = nn.Sequential(inner, nn.Sequential(inner[0], nn.ReLU(), nn.Linear(4, 2)))
    with watch(model) as calls:
        loss = model(tc.ones(3, 4)).sum()
    return loss, calls


def visible(page: Any) -> list[str]:
    return page.locator(".view:visible .node").evaluate_all("all => all.map(n => n.ariaLabel)")


def test_modules_open_and_close(opened: Any, tmp_path: Path) -> None:
    page = opened(draw_graph(*network(), depth=0).save(tmp_path / "graph.html"))
    named = [said.split("; ")[0].split(" ", 1)[1] for said in visible(page)]
    assert {"0 Sequential", "1 Sequential", "0.0.weight"} < set(named), "two modules share it"
    page.locator('.view:visible .node[aria-label*="1 Sequential"]').click()
    assert any("1.2 Linear" in said for said in visible(page))
    assert page.locator(".view:visible .cluster").count() == 1
    page.locator('.view:visible .node[aria-label*="1.2 Linear"]').focus()
    page.keyboard.press("Enter")
    assert page.locator(".view:visible .cluster").count() == 2
    assert any("1.2.weight" in said for said in visible(page))
    page.locator('.view:visible .cluster >> text="1.2 Linear"').click()
    assert page.locator(".view:visible .cluster").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".view:visible .cluster").count() == 0


def test_hover_tells_values(opened: Any, tmp_path: Path) -> None:
    loss, calls = network()
    page = opened(draw_graph(loss, calls).save(tmp_path / "graph.html"))
    weight = dict(calls.named_parameters())["0.0.weight"].detach().numpy()
    page.locator('.view:visible .node[aria-label*="0.0.weight"]').hover()
    told = page.text_content("#about")
    assert f"min {weight.min():.4g}" in told
    assert f"max {weight.max():.4g}" in told


def test_search_finds_what_is_hidden(opened: Any, tmp_path: Path) -> None:
    page = opened(draw_graph(*network(), depth=0).save(tmp_path / "graph.html"))
    assert not any("1.2.bias" in said for said in visible(page))
    page.keyboard.press("/")
    page.keyboard.type("1.2.BIAS")
    page.click("#found button")
    assert any("1.2.bias" in said for said in visible(page))
    assert "1.2.bias" in page.text_content("#about")
    assert page.locator(".view:visible .hit").count() == 1


def test_zoom_and_pan(opened: Any, tmp_path: Path) -> None:
    page = opened(draw_graph(*network()).save(tmp_path / "graph.html"))

    def box() -> list[float]:
        found = page.locator(".view:visible svg").get_attribute("viewBox")
        return [float(n) for n in found.split()]

    first = box()
    page.keyboard.press("+")
    assert box()[2] < first[2]
    page.keyboard.press("ArrowDown")
    assert box()[1] > first[1]
    page.click("#fit")
    page.mouse.move(600, 500)
    before = box()
    page.mouse.wheel(0, 300)
    page.wait_for_function(
        f"document.querySelector('.view:not([hidden]) svg').viewBox.baseVal.width > {before[2]}"
    )
    before = box()
    page.mouse.down()
    page.mouse.move(500, 400)
    page.mouse.up()
    assert box()[0] > before[0]
    assert box()[1] > before[1]


def test_a_collapsed_chain_opens(opened: Any, tmp_path: Path) -> None:
    page = opened(draw_graph(graphs.tangle(60), budget=20).save(tmp_path / "graph.html"))
    count = len(visible(page))
    page.locator(".view:visible .opens").first.click()
    assert len(visible(page)) > count
    page.click("#back")
    assert len(visible(page)) == count


def test_stepping_through_a_backward_pass_by_keyboard(opened: Any, tmp_path: Path) -> None:
    loss, params = graphs.neuron()
    drawing = draw_backward(loss, params)
    page = opened(drawing.save(tmp_path / "steps.html"))
    places = {
        name: next(
            line.split(f" {name} (#")[1].split(")")[0]
            for line in drawing.text.splitlines()
            if f" {name} (#" in line
        )
        for name in "xwb"
    }
    assert page.text_content("#count") == f"0 of {drawing.steps}"
    assert page.text_content(f"#g{places['x']}") == ""
    page.keyboard.press("ArrowRight")
    assert page.text_content("#words").startswith("1. mul")
    assert page.locator(".now").count() == 3, "the node and its two edges"
    page.keyboard.press("ArrowLeft")
    assert page.text_content("#count").startswith("0 of")
    page.keyboard.press("End")
    loss.backward()
    for name, place in places.items():
        assert page.text_content(f"#g{place}") == f"grad {params[name].grad:.4g}"
    page.keyboard.press("Home")
    assert page.text_content(f"#g{places['w']}") == ""


def test_stepping_by_buttons_and_slider(opened: Any, tmp_path: Path) -> None:
    drawing = draw_backward(*graphs.neuron())
    page = opened(drawing.save(tmp_path / "steps.html"))
    page.click("#next")
    page.click("#next")
    assert page.text_content("#count").startswith("2 of")
    page.click("#previous")
    assert page.text_content("#count").startswith("1 of")
    page.fill("#slider", "3")
    assert page.text_content("#words").startswith("3. ")
    page.click("#last")
    assert page.text_content("#count") == f"{drawing.steps} of {drawing.steps}"
    page.click("#first")
    assert page.text_content("#count").startswith("0 of")


def test_zooming_into_a_matrix_product_and_back(opened: Any, tmp_path: Path) -> None:
    x = tc.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    w = tc.tensor([[0.5, -1.0], [2.0, 0.25]], requires_grad=True)
    loss = (tc.softmax(x @ w, 1) ** 2).sum()
    page = opened(draw_backward(loss, {"x": x, "w": w}).save(tmp_path / "steps.html"))
    page.click("#n2")
    assert page.is_visible("#zoom")
    assert page.locator("#zoom-n2 .node").count() == 20, "8 inputs, 8 products, 4 sums"
    assert page.locator(".zoom:visible").count() == 1
    page.keyboard.press("Escape")
    assert not page.is_visible("#zoom")
    page.focus("#n3")
    page.keyboard.press("Enter")
    assert page.is_visible("#zoom-n3")
    page.click("#back")
    assert not page.is_visible("#zoom")


# --- by keyboard alone ----------------------------------------------------------------------------


def focused(page: Any) -> str:
    return page.evaluate("(({ ariaLabel, id }) => ariaLabel || id)(document.activeElement)")


def tab_to(page: Any, wanted: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if wanted in focused(page):
            return
    pytest.fail(f"Tab does not reach {wanted}")


def test_the_graph_page_by_keyboard_alone(opened: Any, tmp_path: Path) -> None:
    page = opened(draw_graph(*network(), depth=0).save(tmp_path / "graph.html"))
    tab_to(page, "1 Sequential")
    assert "1 Sequential" in page.text_content("#about"), "what is focused is told"
    page.keyboard.press("Enter")
    assert page.locator(".view:visible .cluster").count() == 1
    inside = focused(page)
    assert inside in visible(page)
    assert "1 Sequential" not in inside, "the focus has moved into the module"
    page.keyboard.press("Escape")
    assert page.locator(".view:visible .cluster").count() == 0
    assert "1 Sequential" in focused(page), "and goes back to where it was"
    page.keyboard.press("/")
    page.keyboard.type("1.2.bias")
    page.keyboard.press("Enter")
    assert "1.2.bias" in focused(page)
    assert "1.2.bias" in page.text_content("#about")
    tab_to(page, "back")
    page.keyboard.press("Enter")
    tab_to(page, "where")
    page.keyboard.press("End")
    assert page.locator(".view:visible").get_attribute("id") != "view-0"


def test_the_stepping_page_by_keyboard_alone(opened: Any, tmp_path: Path) -> None:
    x = tc.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    drawing = draw_backward((x @ x).sum(), {"x": x})
    page = opened(drawing.save(tmp_path / "steps.html"))
    for wanted, key, count in [
        ("next", "Enter", 1), ("last", "Enter", 2), ("first", "Enter", 0), ("step", "End", 2),
    ]:  # fmt: skip
        tab_to(page, wanted)
        page.keyboard.press(key)
        assert page.text_content("#count") == f"{count} of 2"
    tab_to(page, "number by number")
    page.keyboard.press("Enter")
    assert page.is_visible("#zoom")
    page.keyboard.press("Escape")
    assert not page.is_visible("#zoom")
    assert "number by number" in focused(page)


# --- what is shown --------------------------------------------------------------------------------


def test_every_product_on_the_way_back_is_the_engines(opened: Any, tmp_path: Path) -> None:
    loss, params = graphs.neuron()
    drawing = draw_backward(loss, params)
    page = opened(drawing.save(tmp_path / "steps.html"))
    page.keyboard.press("End")
    told = dict(
        page.locator("tspan").evaluate_all("all => all.map(t => [t.id, t.textContent])"),
    )
    loss.backward(retain_graph=True)
    graph = read(loss, params)
    products: dict[int, float] = {}
    for edge, text in told.items():
        if edge.startswith("te"):
            source, target, place = map(int, edge[2:].split("_"))
            g, slope, product = (float(n) for n in re.split("[×=]", text))
            record = graph.record(target)
            assert g == pytest.approx(record.grad, rel=1e-3)
            assert slope == pytest.approx(record.slopes[place], rel=1e-3)
            assert product == pytest.approx(record.grad * record.slopes[place], rel=1e-3)
            products[source] = products.get(source, 0.0) + product
    assert len(products) == len(graph) - 1
    for i, total in products.items():
        assert total == pytest.approx(graph.record(i).grad, rel=5e-3)
        assert float(told[f"g{i}"].split()[1]) == pytest.approx(graph.record(i).grad, rel=1e-3)


NAMES = {
    "quotes": """a"b'c`""",
    "markup": "</script><img src=x onerror=alert(1)>&amp;<!--",
    "brackets": "]]> {} [] \\n \\",
    "unicode": "日本語 ∂λ 🜛 \u202e",
    "control": "a\0b\x1b\ud800\u2028c",
    "long": "long" + "z" * 10_000,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_are_text_and_nothing_else(opened: Any, tmp_path: Path, name: str) -> None:
    x, y = tc.Scalar(2.0), tc.Scalar(3.0)
    names, shown = {name: x, "y": y}, shortened(name)
    page = opened(draw_graph({name: x * y}, names, overlay="value").save(tmp_path / "graph.html"))
    assert any(shown in said for said in visible(page))
    page = opened(draw_backward(x * y, names).save(tmp_path / "steps.html"))
    page.keyboard.press("ArrowRight")
    assert shown in page.text_content("#words")
    assert shown in page.text_content("#graph").replace("\u00a0", " ")
    assert page.locator("img").count() == 0


def test_titles_of_modules_are_text(opened: Any, tmp_path: Path) -> None:
    evil = type('<b>&"</script>', (nn.Linear,), {})
    model = nn.Sequential(evil(2, 2), nn.Sequential(evil(2, 2), nn.Tanh()))
    with watch(model) as calls:
        loss = model(tc.ones(1, 2)).sum()
    page = opened(draw_graph(loss, calls, depth=0).save(tmp_path / "graph.html"))
    assert any('<b>&"</script>' in said for said in visible(page))
    assert '<b>&"</script>' in page.text_content("#where")
