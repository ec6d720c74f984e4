"""Pictures from DOT text: with a system Graphviz, with pygraphviz alone, and with neither."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path

import pytest
from tinygrad_course_viz import RenderError, draw_backward, draw_graph, draw_scalars
from tinygrad_course_viz.__main__ import main
from tinygrad_course_viz.render import render

from tinygrad_course import Scalar, Tensor
from tinygrad_course.errors import OptionError

from . import graphs

MAGIC = {
    "svg": b"<?xml",
    "png": b"\x89PNG",
    "pdf": b"%PDF",
    "html": b"<!DOCTYPE html>",
    "dot": b"digraph",
    "txt": b"6 oper",
}


CURES = r"pip install 'tinygrad_course\[viz\]'.*apt install"


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A `dot` of our own on an otherwise empty PATH."""
    path = folder / "dot"
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.usefixtures("no_programs")
@pytest.mark.parametrize("form", MAGIC)
def test_every_format_without_a_system_graphviz(form: str, tmp_path: Path) -> None:
    pytest.importorskip("pygraphviz")
    path = draw_graph(*graphs.neuron()).save(tmp_path / f"graph.{form.upper()}")
    assert path.read_bytes().startswith(MAGIC[form])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.usefixtures("no_programs", "no_pygraphviz")
def test_neither_renderer(tmp_path: Path) -> None:
    drawing = draw_graph(*graphs.neuron())
    with pytest.raises(RenderError, match=CURES):
        drawing.save(tmp_path / "graph.svg")
    assert not list(tmp_path.iterdir())
    drawing.save(tmp_path / "graph.dot")
    drawing.save(tmp_path / "graph.txt")
    shown = drawing._repr_mimebundle_()
    assert list(shown) == ["text/plain"]
    assert "no picture" in shown["text/plain"]
    assert drawing._repr_svg_() is None
    with pytest.raises(RenderError, match=CURES):
        drawing.save(tmp_path / "graph.html")


@pytest.mark.usefixtures("no_programs", "no_pygraphviz")
def test_a_backward_pass_without_a_renderer(tmp_path: Path) -> None:
    drawing = draw_backward(*graphs.neuron())
    drawing.save(tmp_path / "steps.dot")
    drawing.save(tmp_path / "steps.txt")
    with pytest.raises(RenderError, match=CURES):
        drawing.save(tmp_path / "steps.html")
    with pytest.raises(RenderError, match=CURES):
        drawing.save_frames(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"steps.dot", "steps.txt"}
    shown = drawing._repr_mimebundle_()
    assert list(shown) == ["text/plain"]
    assert re.search(CURES, shown["text/plain"])


@pytest.mark.usefixtures("no_programs")
def test_a_backward_pass_with_pygraphviz_alone(tmp_path: Path) -> None:
    pytest.importorskip("pygraphviz")
    drawing = draw_backward(*graphs.neuron())
    page = drawing.save(tmp_path / "steps.html").read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script>") == 2
    assert not re.search(r"""(src|href|url)\s*[=(]""", page)
    assert drawing._repr_mimebundle_()["image/svg+xml"].startswith("<svg")
    assert draw_scalars(drawn_by_scalars()).svg().startswith("<svg")


def drawn_by_scalars() -> Tensor:
    x = graphs.leaf(2, 2)
    return x @ x


def test_the_system_program_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "print(sys.argv[1], sys.stdin.buffer.read().decode('utf-8'))")
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    assert render("digraph { a [label=λ] }", "png").decode() == "-Tpng digraph { a [label=λ] }\n"


def test_a_program_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "sys.exit('out of paper')")
    with pytest.raises(RenderError, match="status 1: out of paper"):
        render("digraph {}")


def test_a_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "time.sleep(30)")
    with pytest.raises(RenderError, match="longer than"):
        render("digraph {}", seconds=0.3)


@pytest.mark.usefixtures("no_programs")
def test_broken_dot_text(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pygraphviz")
    with pytest.raises(RenderError, match="Invalid Input"):
        render("digraph { a -> ")


def test_a_notebook_shows_svg() -> None:
    pytest.importorskip("pygraphviz")
    shown = draw_graph(*graphs.neuron())._repr_mimebundle_()
    assert shown["image/svg+xml"].startswith("<svg")
    assert shown["text/plain"].startswith("6 operations")


def test_a_page_is_whole_and_asks_nothing_of_a_network(tmp_path: Path) -> None:
    pytest.importorskip("pygraphviz")
    x = Scalar(2.0)
    drawing = draw_graph(x * x, {"</pre><script>\ud800": x})
    page = drawing.save(tmp_path / "graph.html").read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script>") == 2, "the page's own"
    assert "</pre><script>" not in page
    assert not re.search(r"""(src|href|url)\s*[=(]""", page)
    assert page.count("<svg") == page.count("</svg>") == 1
    assert "local derivatives 2, 2" in page


def test_a_suffix_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.svg, \.png, \.pdf, \.html, \.dot, \.txt"):
        draw_graph(Scalar(1.0) * 2.0).save(tmp_path / "graph.gif")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cannot save the drawing.*graph\.txt"):
        draw_graph(Scalar(1.0) * 2.0).save(tmp_path / "nowhere" / "graph.txt")


# --- the command ----------------------------------------------------------------------------------

SCRIPT = """
import tinygrad_course as tc
x = tc.Scalar(2.0)
def main():
    return x * x, {"side": x}
def network():
    model = tc.nn.Sequential(tc.nn.Linear(2, 3), tc.nn.Tanh(), tc.nn.Linear(3, 1))
    return model(tc.ones(1, 2)).sum(), model
def spent():
    y = x * x
    y.backward()
    return y
def both():
    return [x.sin(), x.cos()]
if __name__ == "__main__":
    raise SystemExit("the script must not train")
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "square.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return str(path)


def test_the_command_prints_and_saves(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([script]) == 0
    assert "#0 side; value 2" in capsys.readouterr().out
    assert main([f"{script}:both"]) == 0
    assert "output 1" in capsys.readouterr().out
    out = Path(script).with_suffix(".dot")
    assert main([f"{script}:x", "-o", str(out)]) == 0
    assert out.read_text(encoding="utf-8").startswith("digraph")


def test_the_command_takes_the_options_of_draw_graph(
    script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"{script}:network", "--depth", "0", "--overlay", "gradient"]) == 0
    closed = capsys.readouterr().out
    assert "0 Linear" in closed
    assert "|gradient|" in closed
    assert "bias" not in closed
    assert main([f"{script}:network", "--collapse", "views,repeats"]) == 0
    assert "1 Tanh" not in capsys.readouterr().out
    assert main([f"{script}:network", "--budget", "1"]) == 0
    assert "#" in (out := capsys.readouterr().out)
    assert len(out.splitlines()) == 2


def test_the_command_steps_backward(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([script, "--backward"]) == 0
    assert "1. mul (#1), gradient 1: 1 × 2 = 2 to side" in capsys.readouterr().out
    pytest.importorskip("pygraphviz", reason="pictures need Graphviz")
    page = Path(script).with_suffix(".html")
    assert main([script, "--backward", "-o", str(page)]) == 0
    assert 'id="slider"' in page.read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main([script, "--backward", "--depth", "1"])
    assert "--depth is not for it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.py"], "no such file"),
        (["SCRIPT:area"], "it has: both, main, network, spent, tc, x"),
        (["SCRIPT", "-o", "graph.gif"], "suffix"),
        (["SCRIPT", "--budget", "0"], "budget"),
        (["SCRIPT", "--depth", "1"], "depth needs modules"),
        (["SCRIPT", "--overlay", "heat"], "overlay must be one of"),
        (["SCRIPT", "--collapse", "casts"], "collapse must be of"),
        (["SCRIPT", "--backward", "-o", "graph.gif"], "suffix"),
        (["SCRIPT:spent", "--backward"], "freed this graph"),
    ],
)
def test_the_command_explains(
    arguments: list[str], said: str, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([a.replace("SCRIPT", script) for a in arguments]) == 2
    assert said in capsys.readouterr().err
