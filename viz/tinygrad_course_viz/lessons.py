"""Lesson pictures: what numbers look like while a model learns, drawn with matplotlib.

Every function returns a matplotlib Figure and writes nothing; `in_words` tells what it shows.
Lines differ in style and not only in colour, and numbers that matter are written out, so that a
picture can be read without colour.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course.errors import OptionError, ShapeError

from .describe import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))
MARKERS = "osD^vPX"


def new_figure(width: float, height: float) -> Figure:
    """An empty Figure, of inches, that keeps its labels apart."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "lesson pictures need matplotlib: pip install 'tinygrad_course[plots]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def png(figure: Figure) -> bytes:
    """The Figure as the bytes of a PNG file, with the picture in words as its description."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Description": in_words(figure)})
    return file.getvalue()


def array(values: Any) -> Any:
    """Numbers as a NumPy array, from a Tensor, a list or an array."""
    return values.detach().numpy() if hasattr(values, "detach") else np.asarray(values)


def curves(
    series: Mapping[str, Sequence[float]],
    *,
    x: Sequence[float] | None = None,
    xlabel: str = "epoch",
    ylabel: str = "",
    title: str = "",
    log: bool = False,
) -> Figure:
    """Lines over a common axis: losses, accuracies, anything that changes step by step.

    Args:
        series: a line for each name; `None` and NaN leave a gap.
        x: where the points lie; 1, 2, 3, ... by default.
        xlabel, ylabel, title: what is written at the axes and above.
        log: a logarithmic vertical axis.
    """
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    draw_curves(axes, series, x)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title, yscale="log" if log else "linear")
    return figure


def draw_curves(
    axes: Axes, series: Mapping[str, Sequence[float]], x: Sequence[float] | None = None
) -> None:
    """The lines of `curves` in axes that are there; each name stands in the legend."""
    styles = itertools.cycle(zip(COLOURS, LINES, MARKERS, strict=True))
    for (name, values), (colour, line, marker) in zip(series.items(), styles, strict=False):
        heights = [np.nan if v is None else float(v) for v in values]
        places = list(x) if x is not None else list(range(1, len(heights) + 1))
        points = marker if len(heights) <= 30 else None
        axes.plot(places, heights, color=colour, ls=line, marker=points, ms=4, label=name)
    axes.grid(alpha=0.3)
    if len(series) > 1:
        axes.legend()


def boundary(
    predict: Callable[[Any], Any],
    points: Any,
    labels: Any,
    *,
    title: str = "",
    axes: Axes | None = None,
) -> Figure | None:
    """What a model of two inputs says everywhere, and the examples that it learned from.

    Args:
        predict: maps points (n, 2) to scores (n,) between 0 and 1; the line is at 0.5.
        points, labels: the examples (n, 2), and their classes 0 and 1.
        title: what is written above.
        axes: axes to draw in; a new Figure is made and returned if there are none.
    """
    points, labels = array(points), array(labels).reshape(-1)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ShapeError(f"boundary: points must have shape (n, 2), got {points.shape}")
    figure = None
    if axes is None:
        figure = new_figure(5.2, 4.4)
        axes = figure.subplots()
    low, high = points.min(0), points.max(0)
    margin = 0.1 * (high - low)
    lines = [np.linspace(a, b, 160) for a, b in zip(low - margin, high + margin, strict=True)]
    u, v = np.meshgrid(*lines)
    scores = array(predict(np.stack([u.ravel(), v.ravel()], 1).astype(points.dtype)))
    axes.contourf(u, v, scores.reshape(u.shape), np.linspace(0, 1, 11), cmap="RdBu", alpha=0.6)
    axes.contour(u, v, scores.reshape(u.shape), [0.5], colors="k", linewidths=1.5)
    for k, marker in enumerate("ox"):
        chosen = points[labels == k]
        colour = (COLOURS[1], COLOURS[0])[k]
        u, v = chosen.T
        axes.scatter(u, v, 18, colour, marker=marker, linewidths=1, label=f"class {k}")
    axes.set(title=title, xlabel="$x_1$", ylabel="$x_2$")
    axes.legend(loc="upper right")
    return figure


def surface(
    f: Callable[[Any, Any], Any],
    paths: Mapping[str, Any],
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    xlabel: str = "$w_1$",
    ylabel: str = "$w_2$",
    title: str = "",
    log: bool = True,
) -> Figure:
    """A function of two numbers as a map with level lines, and ways that optimisers took on it.

    Args:
        f: maps two NumPy arrays of one shape to the heights.
        paths: a sequence of points (steps, 2) for each name; a ring marks the last.
        xlim, ylim: the part of the plane that is shown.
        xlabel, ylabel, title: what is written at the axes and above.
        log: level lines at equal ratios rather than equal distances, for steep valleys.
    """
    figure = new_figure(6.4, 4.6)
    axes = figure.subplots()
    u, v = np.meshgrid(np.linspace(*xlim, 160), np.linspace(*ylim, 160))
    z = np.asarray(f(u, v))
    levels = np.linspace(z.min(), z.max(), 24)
    if log:
        low = z.min() + 1e-4 * (z.max() - z.min())
        levels = z.min() + np.geomspace(low - z.min(), z.max() - z.min(), 24)
    axes.contour(u, v, z, levels, colors="0.75", linewidths=0.8)
    styles = itertools.cycle(zip(COLOURS, LINES, MARKERS, strict=True))
    for (name, path), (colour, line, marker) in zip(paths.items(), styles, strict=False):
        way = array(path)
        axes.plot(*way.T, color=colour, ls=line, lw=1.5, label=f"{name}, {len(way) - 1} steps")
        axes.plot(*way[-1], marker=marker, color=colour, ms=8, mfc="w", mew=2)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title, xlim=xlim, ylim=ylim)
    if paths:
        axes.legend()
    return figure


def images(
    pictures: Sequence[Any],
    titles: Sequence[str] = (),
    *,
    columns: int = 6,
    cmap: str = "gray",
    centred: bool = False,
    title: str = "",
) -> Figure:
    """Pictures in a grid: photographs, filters, feature maps.

    Args:
        pictures: arrays (H, W), (H, W, 3), (1, H, W) or (3, H, W).
        titles: what is written above each.
        columns: pictures in a row.
        cmap: the colours of one-channel pictures.
        centred: colours symmetric about 0, on one scale for all, with a colour bar.
        title: what is written above all.
    """
    shown = [_channels_last(array(p)) for p in pictures]
    if not shown:
        raise OptionError("images: expected at least one picture, got none")
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(1.6 * columns + 0.6 * centred, 1.75 * rows + 0.3 * bool(title))
    limit = max(float(np.abs(p).max()) for p in shown) if centred else None
    scale = {"vmin": -limit, "vmax": limit} if limit else {}
    grid = figure.subplots(rows, columns, squeeze=False)
    drawn = None
    for axes, picture in itertools.zip_longest(grid.flat, shown):
        axes.set(xticks=[], yticks=[])
        if picture is None:
            axes.set_axis_off()
        else:
            drawn = axes.imshow(picture, cmap=cmap, **scale)
    for axes, text in zip(grid.flat, titles, strict=False):
        axes.set_title(text, fontsize=9)
    if centred and drawn is not None:
        figure.colorbar(drawn, ax=grid, shrink=0.8)
    figure.suptitle(title)
    return figure


def _channels_last(picture: Any) -> Any:
    if picture.ndim == 3 and picture.shape[0] in (1, 3):
        picture = np.moveaxis(picture, 0, -1)
    if picture.ndim == 3 and picture.shape[-1] == 1:
        picture = picture[..., 0]
    if picture.ndim not in (2, 3):
        raise ShapeError(f"a picture has shape (H, W) or (C, H, W), got {picture.shape}")
    return picture


def filters(weight: Any, *, title: str = "filters") -> Figure:
    """The windows of a convolution's weight (out, in, kH, kW): a row of pictures per input channel.

    Only the first channel is shown where there are more than three; three are shown as colours.
    """
    weight = array(weight)
    if weight.ndim != 4:
        raise ShapeError(f"filters: the weight must have 4 dimensions, got shape {weight.shape}")
    if weight.shape[1] == 3:
        low, high = weight.min(), weight.max()
        return images(list((weight - low) / (high - low)), columns=8, title=title)
    names = [f"{i}" for i in range(len(weight))]
    return images(list(weight[:, 0]), names, columns=8, cmap="RdBu_r", centred=True, title=title)


def feature_maps(maps: Any, *, title: str = "feature maps", columns: int = 8) -> Figure:
    """What each channel of a layer's output (C, H, W) or (1, C, H, W) shows of one image."""
    maps = array(maps)
    maps = maps[0] if maps.ndim == 4 else maps
    names = [f"channel {i}" for i in range(len(maps))]
    return images(list(maps), names, columns=columns, cmap="viridis", title=title)


def histograms(values: Mapping[str, Any], *, title: str = "", xlabel: str = "value") -> Figure:
    """How numbers are spread, a panel for each name: activations or gradients, layer by layer."""
    columns = min(len(values), 5)
    rows = -(-len(values) // columns)
    figure = new_figure(2.4 * columns, 2.1 * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(values) :]:
        axes.set_axis_off()
    for axes, (name, numbers) in zip(grid.flat, values.items(), strict=False):
        numbers = array(numbers).ravel()
        axes.hist(numbers, bins=40, color=COLOURS[0])
        axes.set_title(f"{name}\nstd {numbers.std():.2g}", fontsize=9)
        axes.set_yticks([])
        axes.tick_params(labelsize=8)
    figure.supxlabel(xlabel, fontsize=9)
    figure.suptitle(title)
    return figure


def bars(groups: Mapping[str, float], *, ylabel: str = "", title: str = "") -> Figure:
    """A bar for each name, with its number above it."""
    figure = new_figure(max(4.0, 1.1 * len(groups)), 3.6)
    axes = figure.subplots()
    drawn = axes.bar(list(groups), list(groups.values()), color=COLOURS[0])
    axes.bar_label(drawn, fmt=_short, padding=2)
    axes.set(ylabel=ylabel, title=title)
    axes.margins(y=0.12)
    axes.tick_params(axis="x", labelrotation=0 if len(groups) < 6 else 20)
    return figure


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def confusion(
    counts: Any,
    names: Sequence[Any],
    *,
    examples: Sequence[tuple[Any, str, bool]] = (),
    title: str = "",
) -> Figure:
    """A square for each pair of true and predicted class, with its count.

    Args:
        counts: counts[i][j] examples of class i were taken for class j.
        names: what the classes are called.
        examples: pictures to show beside it: (picture, text, whether it was wrong).
        title: what is written above the squares.
    """
    figure = new_figure(5.2 + 5.6 * bool(examples), 5.0)
    if not examples:
        _squares(figure.subplots(), array(counts), names, title)
        return figure
    halves: Any = figure.subfigures(1, 2, width_ratios=(1, 1.05))
    left, right = halves
    _squares(left.subplots(), array(counts), names, title)
    grid = right.subplots(-(-len(examples) // 4), 4, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (picture, text, wrong) in zip(grid.flat, examples, strict=False):
        axes.imshow(_channels_last(array(picture)), cmap="gray_r")
        axes.set_title(text, fontsize=8, color="#b3261e" if wrong else "k")
    return figure


def _squares(axes: Axes, counts: Any, names: Sequence[Any], title: str) -> None:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    right = np.diag(np.diag(shares))
    axes.imshow(right - (shares > right) * (0.35 + shares), cmap="RdBu", vmin=-1.3, vmax=1.3)
    for (i, j), n in np.ndenumerate(counts):
        if n:
            colour = "w" if right[i, j] > 0.5 else "k"
            axes.text(j, i, str(n), ha="center", va="center", color=colour, fontsize=9)
    places = range(len(counts))
    turned = 0 if max(len(str(n)) for n in names) < 4 else 30
    axes.set_xticks(places, [str(n) for n in names], rotation=turned)
    axes.set_yticks(places, [str(n) for n in names])
    axes.set(xlabel="taken for", ylabel="true class")
    axes.set_title(title or f"{np.trace(counts)} of {counts.sum()} right")


def numbers(grids: Sequence[Any], titles: Sequence[str] = (), *, title: str = "") -> Figure:
    """Small matrices side by side, every number written out."""
    shown = [array(g) for g in grids]
    figure = new_figure(sum(max(0.55 * g.shape[1], 1.5) for g in shown) + 0.5, 3.9)
    names = [*titles, *[""] * len(shown)]
    for axes, grid, name in zip(
        np.ravel(figure.subplots(1, len(shown))), shown, names, strict=False
    ):
        _numbers(axes, grid, name)
    figure.suptitle(title)
    return figure


def sliding(
    image: Any, kernel: Any, *, stride: int = 1, padding: int = 0, step: int = 0, title: str = ""
) -> Figure:
    """A kernel at one of its places over an image, and the number that it makes there.

    The left grid is the padded image with the window framed, the middle one the kernel, the right
    one the result so far: Σ window · kernel at every place up to `step`.

    Args:
        image, kernel: arrays (H, W) and (h, w).
        stride: how far the window moves; the same in both directions.
        padding: zeros around the image.
        step: the window's place, counted row by row from 0.
        title: what is written above.
    """
    image, kernel = np.pad(array(image), padding), array(kernel)
    (h, w), (rows, columns) = kernel.shape, _places(image, kernel, stride)
    if not 0 <= step < rows * columns:
        raise OptionError(f"sliding: step must be from 0 to {rows * columns - 1}, got {step}")
    result = np.full((rows, columns), np.nan)
    for k in range(step + 1):
        i, j = divmod(k, columns)
        window = image[i * stride : i * stride + h, j * stride : j * stride + w]
        result[i, j] = (window * kernel).sum()
    figure = new_figure(10.5, 4.2)
    grids = figure.subplots(1, 3, width_ratios=(image.shape[1], w, columns))
    names = (f"image, padding {padding}", "kernel", f"result, place {step + 1}")
    for axes, numbers, name in zip(grids, (image, kernel, result), names, strict=True):
        _numbers(axes, numbers, name)
    i, j = divmod(step, columns)
    _frame(grids[0], j * stride, i * stride, w, h)
    _frame(grids[2], j, i, 1, 1)
    figure.suptitle(title)
    return figure


def _places(image: Any, kernel: Any, stride: int) -> tuple[int, int]:
    if stride < 1:
        raise OptionError(f"sliding: stride must be at least 1, got {stride}")
    sizes = [(n - k) // stride + 1 for n, k in zip(image.shape, kernel.shape, strict=True)]
    if min(sizes) < 1:
        raise ShapeError(
            f"sliding: the kernel {kernel.shape} does not fit in the padded image {image.shape}"
        )
    return sizes[0], sizes[1]


def _numbers(axes: Axes, numbers: Any, name: str) -> None:
    limit = np.nanmax(np.abs(numbers)) or 1.0
    axes.imshow(numbers, cmap="RdBu_r", vmin=-2 * limit, vmax=2 * limit)
    for (i, j), n in np.ndenumerate(numbers):
        if np.isfinite(n):
            axes.text(j, i, f"{n:g}", ha="center", va="center", fontsize=9)
    axes.set(xticks=[], yticks=[], title=name)


def _frame(axes: Axes, x: int, y: int, width: int, height: int) -> None:
    from matplotlib.patches import Rectangle

    corner = (x - 0.5, y - 0.5)
    axes.add_patch(Rectangle(corner, width, height, fill=False, lw=2.5, ec="k"))
