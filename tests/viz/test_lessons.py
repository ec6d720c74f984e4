"""Lesson pictures: what is drawn are the numbers that were given, read back from the artists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinygrad_course_viz import draw_backward, draw_graph

import tinygrad_course as tc
from tinygrad_course.errors import OptionError, ShapeError

from . import graphs

matplotlib = pytest.importorskip("matplotlib", reason="lesson pictures need matplotlib")

from tinygrad_course_viz import chapter as chapters  # noqa: E402
from tinygrad_course_viz import lessons  # noqa: E402
from tinygrad_course_viz.chapter import Chapter  # noqa: E402
from tinygrad_course_viz.describe import in_words  # noqa: E402

RNG = np.random.default_rng(0)
HERE = Path(__file__).parents[2]


def drawn(axes: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The points of each line by its name."""
    return {str(line.get_label()): line.get_xydata() for line in axes.lines}


def written(axes: Any) -> dict[tuple[int, int], str]:
    """The texts at the squares of a grid, by row and column."""
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text()
            for t in axes.texts}  # fmt: skip


# --- curves and bars ------------------------------------------------------------------------------


def test_curves_are_the_numbers_and_gaps_stay_gaps() -> None:
    given = {"train": [1.0, 0.5, 0.25], "test": [2.0, None, float("nan")]}
    figure = lessons.curves(given, xlabel="step", ylabel="loss", title="learning", log=True)
    (axes,) = figure.axes
    lines = drawn(axes)
    np.testing.assert_array_equal(lines["train"], [[1, 1.0], [2, 0.5], [3, 0.25]])
    np.testing.assert_array_equal(lines["test"][:, 1], [2.0, np.nan, np.nan])
    assert axes.get_yscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("step", "loss", "learning")
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["train", "test"]
    styles = {(line.get_linestyle(), line.get_marker()) for line in axes.lines}
    assert len(styles) == 2, "told apart without colour"


def test_curves_over_given_places() -> None:
    (axes,) = lessons.curves({"a": [3.0, 4.0]}, x=[10, 100]).axes
    np.testing.assert_array_equal(drawn(axes)["a"], [[10, 3.0], [100, 4.0]])
    assert axes.get_legend() is None, "one line needs none"


def test_bars_are_as_high_as_their_numbers() -> None:
    (axes,) = lessons.bars({"one": 1.5, "many": 2345.0}, ylabel="µs").axes
    assert [bar.get_height() for bar in axes.patches] == [1.5, 2345.0]
    assert [t.get_text() for t in axes.texts] == ["1.5", "2,345"]
    assert in_words(axes.figure) == "µs up\n  bars: one 1.5, many 2345"


def test_histograms_count_every_number() -> None:
    values = {"first": tc.tensor(RNG.normal(size=300)), "second": 3 * RNG.normal(size=(10, 20))}
    figure = lessons.histograms(values, title="activations")
    for axes, (name, numbers) in zip(figure.axes, values.items(), strict=True):
        numbers = lessons.array(numbers)
        assert sum(bar.get_height() for bar in axes.patches) == numbers.size
        assert axes.get_title() == f"{name}\nstd {numbers.std():.2g}"
    assert "300 numbers in 40 bins" in in_words(figure)


# --- planes ---------------------------------------------------------------------------------------


def test_a_boundary_shows_each_example_in_its_class() -> None:
    points, labels = RNG.normal(size=(30, 2)), RNG.integers(0, 2, 30)
    seen = []

    def predict(x: Any) -> Any:
        seen.append(x)
        return 1 / (1 + np.exp(-x[:, 0]))

    figure = lessons.boundary(predict, tc.tensor(points), tc.tensor(labels), title="two classes")
    assert figure is not None
    (axes,) = figure.axes
    clouds = {str(c.get_label()): np.asarray(c.get_offsets()) for c in axes.collections}
    for k in (0, 1):
        np.testing.assert_array_equal(clouds[f"class {k}"], points[labels == k])
    line = next(c for c in axes.collections if list(getattr(c, "levels", [])) == [0.5])
    across = np.concatenate([path.vertices for path in line.get_paths()])[:, 0]
    np.testing.assert_allclose(across, 0.0, atol=1e-3)
    assert (seen[0].min(0) < points.min(0)).all()
    assert (seen[0].max(0) > points.max(0)).all()


def test_a_boundary_in_axes_that_are_there() -> None:
    axes = lessons.new_figure(2, 2).subplots()
    assert lessons.boundary(lambda x: 0.5 + 0 * x[:, 0], np.eye(2), [0, 1], axes=axes) is None
    assert axes.collections
    with pytest.raises(ShapeError, match=r"\(n, 2\), got \(3, 3\)"):
        lessons.boundary(lambda x: x[:, 0], np.eye(3), [0, 1, 1])


@pytest.mark.parametrize("log", [True, False])
def test_a_surface_shows_the_ways_and_the_heights(log: bool) -> None:
    way = [(-1.0, 1.0), (-0.5, 0.25), (0.0, 0.0)]
    figure = lessons.surface(
        lambda u, v: u * u + v * v, {"descent": way}, xlim=(-1, 1), ylim=(-2, 2), log=log
    )
    (axes,) = figure.axes
    np.testing.assert_array_equal(drawn(axes)["descent, 2 steps"], way)
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [way[-1]])
    levels = axes.collections[0].levels
    steps = np.diff(levels)
    assert (steps[-1] > 2 * steps[1]) == log
    assert axes.get_xlim() == (-1, 1)
    assert axes.get_ylim() == (-2, 2)


# --- pictures -------------------------------------------------------------------------------------


def shown(axes: Any) -> Any:
    return np.asarray(axes.images[0].get_array())


def test_images_are_the_arrays() -> None:
    pictures = [RNG.random((4, 5)), RNG.random((1, 4, 5)), RNG.random((3, 4, 5))]
    figure = lessons.images([pictures[0], tc.tensor(pictures[1]), pictures[2]], ["a", "b"])
    np.testing.assert_array_equal(shown(figure.axes[0]), pictures[0])
    np.testing.assert_array_equal(shown(figure.axes[1]), pictures[1][0])
    np.testing.assert_array_equal(shown(figure.axes[2]), np.moveaxis(pictures[2], 0, -1))
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", ""]


def test_filters_have_one_scale_about_zero() -> None:
    weight = RNG.normal(size=(5, 1, 3, 3))
    weight[3, 0, 1, 1] = -7.0
    figure = lessons.filters(weight)
    for axes, window in zip(figure.axes, weight[:, 0], strict=False):
        np.testing.assert_array_equal(shown(axes), window)
        assert axes.images[0].get_clim() == (-7.0, 7.0)
    coloured = lessons.filters(RNG.normal(size=(2, 3, 4, 4)))
    assert all(0 <= shown(axes).min() <= shown(axes).max() <= 1 for axes in coloured.axes[:2])


def test_feature_maps_are_the_channels() -> None:
    maps = RNG.random((1, 9, 4, 4))
    figure = lessons.feature_maps(maps)
    for k in range(9):
        np.testing.assert_array_equal(shown(figure.axes[k]), maps[0, k])
        assert figure.axes[k].get_title() == f"channel {k}"


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: lessons.images([]), "at least one picture"),
        (lambda: lessons.images([np.zeros(3)]), r"\(H, W\) or \(C, H, W\), got \(3,\)"),
        (lambda: lessons.filters(np.zeros((2, 2))), r"4 dimensions, got shape \(2, 2\)"),
        (lambda: lessons.sliding(np.eye(3), np.eye(2), step=4), "from 0 to 3, got 4"),
        (lambda: lessons.sliding(np.eye(3), np.eye(2), stride=0), "at least 1, got 0"),
        (lambda: lessons.sliding(np.eye(2), np.eye(3)), r"\(3, 3\) does not fit .* \(2, 2\)"),
    ],
)
def test_what_cannot_be_drawn(draw: Any, said: str) -> None:
    with pytest.raises((OptionError, ShapeError), match=said):
        draw()


# --- numbers --------------------------------------------------------------------------------------


def test_a_confusion_matrix_is_the_counts() -> None:
    counts = np.array([[5, 1, 0], [0, 4, 2], [1, 0, 7]])
    examples = [(RNG.random((4, 4)), "cat, taken for dog", True)]
    figure = lessons.confusion(counts, ["cat", "dog", "cow"], examples=examples)
    axes = figure.axes[0]
    assert written(axes) == {(i, j): str(n) for (i, j), n in np.ndenumerate(counts) if n}
    assert axes.get_title() == "16 of 20 right"
    assert [t.get_text() for t in axes.get_xticklabels()] == ["cat", "dog", "cow"]
    np.testing.assert_array_equal(shown(figure.axes[1]), examples[0][0])
    assert "numbers: cat: 5 1 · | dog: · 4 2 | cow: 1 · 7" in in_words(figure)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (1, 2)])
def test_a_sliding_kernel_makes_the_engines_numbers(stride: int, padding: int) -> None:
    image, kernel = RNG.integers(-3, 4, (5, 6)), RNG.integers(-2, 3, (3, 2))
    batch = [tc.tensor(a[None, None].astype(np.float64)) for a in (image, kernel)]
    result = tc.nn.functional.conv2d(*batch, stride=stride, padding=padding).numpy()[0, 0]
    for step in (0, result.size // 2, result.size - 1):
        figure = lessons.sliding(image, kernel, stride=stride, padding=padding, step=step)
        told = written(figure.axes[2])
        assert told == {divmod(k, result.shape[1]): f"{result.flat[k]:g}" for k in range(step + 1)}
        window, place = (axes.patches[0].get_xy() for axes in figure.axes[::2])
        i, j = divmod(step, result.shape[1])
        assert window == (j * stride - 0.5, i * stride - 0.5)
        assert place == (j - 0.5, i - 0.5)


def test_grids_of_numbers() -> None:
    grids = [np.arange(6.0).reshape(2, 3), np.eye(2)]
    figure = lessons.numbers(grids, ["a", "b"])
    for axes, grid in zip(figure.axes, grids, strict=True):
        assert written(axes) == {at: f"{n:g}" for at, n in np.ndenumerate(grid)}
    assert in_words(figure) == "a\n  numbers: 0 1 2 | 3 4 5\nb\n  numbers: 1 0 | 0 1"


def test_words_tell_the_ends_and_the_extremes() -> None:
    words = in_words(lessons.curves({"a": [3.0, 1.0, 2.0], "none": [None]}, title="t"))
    assert "line a: 3 points, first 3 at 1, last 2 at 3, lowest 1 at 2, highest 3 at 1" in words
    assert "line none: no point" in words
    words = in_words(lessons.filters(np.ones((2, 1, 3, 3))))
    assert words.count("image 3 × 3, from 1 to 1") == 2
    assert len(words.splitlines()) == 5, "no word of the colour bar"


def test_a_png_says_what_it_shows() -> None:
    content = lessons.png(lessons.curves({"train": [1.0, 0.5]}, title="learning"))
    assert content.startswith(b"\x89PNG")
    assert b"line train: 2 points" in content


def test_no_backend_is_chosen() -> None:
    code = (
        "import sys; from tinygrad_course_viz import lessons as L; "
        "L.png(L.curves({'a': [1.0]})); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=HERE / "viz", check=True)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"tinygrad_course\[plots\]"):
        lessons.curves({"a": [1.0]})


# --- chapters -------------------------------------------------------------------------------------


def made(monkeypatch: pytest.MonkeyPatch, *arguments: str, **folders: str) -> Chapter:
    monkeypatch.setattr(sys, "argv", ["chapter.py", *arguments])
    return Chapter("01_test", "A chapter.", **folders)


def test_a_chapter_reads_its_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYGRAD_COURSE_QUICK", raising=False)
    monkeypatch.delenv("TINYGRAD_COURSE_OUT", raising=False)
    plain = made(monkeypatch)
    assert (plain.quick, plain.out) == (False, Path("outputs/01_test"))
    given = made(monkeypatch, "--quick", "--out", str(tmp_path / "o"), photos="your own")
    assert (given.quick, given.out, given.given) == (True, tmp_path / "o/01_test", {"photos": None})
    assert given.out.is_dir()
    with pytest.raises(SystemExit):
        made(monkeypatch, "--fast")
    assert "unrecognized arguments: --fast" in capsys.readouterr().err
    photos = made(monkeypatch, "--photos", "here", photos="your own").given["photos"]
    assert photos == Path("here")


@pytest.mark.parametrize(("value", "quick"), [("1", True), ("0", False), ("", False)])
def test_a_notebook_reads_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, quick: bool
) -> None:
    monkeypatch.setattr(chapters, "in_notebook", lambda: True)
    monkeypatch.setenv("TINYGRAD_COURSE_QUICK", value)
    monkeypatch.setenv("TINYGRAD_COURSE_OUT", str(tmp_path))
    chapter = made(monkeypatch, "-f", "kernel.json")
    assert (chapter.quick, chapter.out) == (quick, tmp_path / "01_test")


def test_a_kernel_is_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not chapters.in_notebook()
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert not chapters.in_notebook(), "a script may import ipykernel"
    monkeypatch.setattr(sys.modules["__main__"], "get_ipython", None, raising=False)
    assert chapters.in_notebook()


def test_a_chapter_saves_figures_and_drawings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chapter = made(monkeypatch, "--out", str(tmp_path))
    figure = chapter.save(lessons.bars({"a": 1.0}), "bars.png")
    graph = chapter.save(draw_graph(*graphs.neuron()), "graph.txt")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert graph.read_text(encoding="utf-8").startswith("6 operations")
    assert capsys.readouterr().out == f"wrote {figure}\nwrote {graph}\n"
    shown_files: list[Path] = []
    monkeypatch.setattr(chapters, "in_notebook", lambda: True)
    monkeypatch.setattr(chapters, "show", shown_files.append)
    chapter.save(lessons.bars({"a": 1.0}), "bars.png")
    steps = chapter.save(draw_backward(*graphs.neuron()), "steps.txt")
    assert steps.read_text(encoding="utf-8").startswith("start: the gradient")
    assert shown_files == [figure], "a page and a text are only written"
