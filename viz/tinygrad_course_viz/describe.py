"""A lesson picture in words, read back from what was drawn: for terminals and screen readers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def in_words(figure: Figure) -> str:
    """What a Figure shows, a line for each thing that is drawn.

    >>> from tinygrad_course_viz.lessons import curves
    >>> print(in_words(curves({"train": [1.0, 0.5, 0.25]}, ylabel="loss", title="learning")))
    learning; epoch across, loss up
      line train: 3 points, first 1 at 1, last 0.25 at 3, lowest 0.25 at 3, highest 1 at 1
    """
    whole = figure.get_suptitle()
    lines = [whole] if whole else []
    for axes in figure.axes:
        if (axes.axison or axes.images) and axes.get_label() != "<colorbar>":
            lines += _axes(axes)
    return "\n".join(lines)


def _axes(axes: Axes) -> Iterator[str]:
    across = [f"{axes.get_xlabel()} across" if axes.get_xlabel() else ""]
    across += [f"{axes.get_ylabel()} up" if axes.get_ylabel() else ""]
    head = [axes.get_title().replace("\n", ", "), ", ".join(filter(None, across))]
    yield "; ".join(filter(None, head)) or "a picture"
    for line in axes.lines:
        if not str(line.get_label()).startswith("_"):
            yield f"  line {line.get_label()}: {_line(line.get_xydata())}"
    for points in axes.collections:
        if not str(points.get_label()).startswith("_"):
            yield f"  points {points.get_label()}: {len(np.asarray(points.get_offsets()))}"
    for bars in axes.containers:
        yield f"  {_bars(axes, bars)}"
    for image in axes.images:
        yield f"  {_image(axes, np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan))}"


def _line(points: Any) -> str:
    known = points[np.isfinite(points[:, 1])]
    if not len(known):
        return "no point"
    low, high = known[known[:, 1].argmin()], known[known[:, 1].argmax()]
    ends = zip(
        ("first", "last", "lowest", "highest"), (known[0], known[-1], low, high), strict=True
    )
    said = ", ".join(f"{name} {y:.4g} at {x:.4g}" for name, (x, y) in ends)
    return f"{len(known)} points, {said}"


def _bars(axes: Axes, bars: Any) -> str:
    heights = [patch.get_height() for patch in bars]
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    if any(names) and len(names) == len(heights):
        return "bars: " + ", ".join(f"{n} {h:.4g}" for n, h in zip(names, heights, strict=True))
    edges = [patch.get_x() for patch in bars]
    return (
        f"{sum(heights):,.0f} numbers in {len(heights)} bins from {min(edges):.4g} to "
        f"{max(edges) + bars[-1].get_width():.4g}, most at {edges[int(np.argmax(heights))]:.4g}"
    )


def _image(axes: Axes, pixels: Any) -> str:
    """The numbers that are written over an image, row by row; else its size and its range."""
    places = {tuple(map(round, text.get_position())): text.get_text() for text in axes.texts}
    if places:
        rows, columns = pixels.shape[:2]
        names = [f"{tick.get_text()}: " for tick in axes.get_yticklabels()]
        names = names if len(names) == rows else [""] * rows
        said = (
            name + " ".join(places.get((column, row), "·") for column in range(columns))
            for row, name in enumerate(names)
        )
        return "numbers: " + " | ".join(said)
    size = " × ".join(map(str, pixels.shape[:2]))
    return f"image {size}, from {np.nanmin(pixels):.4g} to {np.nanmax(pixels):.4g}"
