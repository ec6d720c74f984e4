"""The pages in a real browser: by mouse and by keyboard, without a network and without an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tinygrad_course_viz import draw_backward

import tinygrad_course as tc

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
    errors, requests = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text))
    page.on("request", lambda request: requests.append(request.url))

    def open_file(path: Path) -> Any:
        page.goto(path.as_uri())
        return page

    yield open_file
    assert errors == []
    assert len(requests) == 1
    assert requests[0].startswith("file:")
    page.close()


def gradients(page: Any, graph_names: dict[str, str]) -> dict[str, str]:
    return {name: page.text_content(f"#{place}") for name, place in graph_names.items()}


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
