"""Pictures of a training run, drawn with matplotlib and written whole."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import tinygrad_course as tc
from tinygrad_course.files import atomic_write

TRAIN, HELD_OUT, WRONG = "#7a7a7a", "#1769aa", "#b3261e"


def write(figure, path):
    """The figure as a PNG file."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    atomic_write(path, png.getvalue())


def curves(history, path):
    """Loss and accuracy of every epoch, while learning and on the held-out digits."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    epochs = history.column("epoch")
    for axes, name, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        learning = [scale * v for v in history.column(name)]
        held_out = [scale * v for v in history.column(f"val_{name}")]
        axes.plot(epochs, learning, ".-", color=TRAIN, label="training (shifted digits)")
        axes.plot(epochs, held_out, ".-", color=HELD_OUT, label="held out")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    loss.set(title="cross-entropy loss", yscale="log")
    accuracy.set(title="accuracy in %", ylim=(_lowest(history), 100.2))
    loss.legend(loc="upper right")
    write(figure, path)


def _lowest(history):
    """Where the axis starts: below all, but the first epochs of many would squeeze the rest."""
    row = history[1 if len(history) > 5 else 0]
    return min(90, 100 * row.accuracy - 1, 100 * row.val_accuracy - 1)


def filters(layer, image, path):
    """Each filter of a first convolution, and what it makes of one digit."""
    weight = layer.weight.detach().numpy()[:, 0]
    with tc.no_grad():
        seen = tc.tanh(layer(image)).numpy()[0]
    figure = Figure(figsize=(1.5 * (len(weight) + 1), 3.6), layout="constrained")
    grid = figure.subplots(2, len(weight) + 1)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    grid[0, 0].set_axis_off()
    grid[0, 0].text(0.5, 0.5, "red: ink adds\nblue: ink subtracts", ha="center", va="center")
    grid[1, 0].imshow(image.numpy()[0, 0], cmap="gray_r")
    grid[1, 0].set_xlabel("a held-out digit")
    for k, (window, response) in enumerate(zip(weight, seen, strict=True)):
        limit = np.abs(weight).max()
        grid[0, k + 1].imshow(window, cmap="RdBu_r", vmin=-limit, vmax=limit)
        grid[0, k + 1].set_title(f"filter {k}")
        grid[1, k + 1].imshow(response, cmap="RdBu_r", vmin=-1, vmax=1)
        grid[1, k + 1].set_xlabel("its response")
    write(figure, path)


def confusion(result, images, path, count=12):
    """Counts of true against predicted digits, beside the digits that were read worst."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.05))
    _matrix(left.subplots(), result.confusion)
    truth = result.probabilities[np.arange(len(images)), result.targets]
    right.suptitle("the worst mistakes (red), then the least certain digits")
    columns = 4
    for axes, i in zip(
        right.subplots(count // columns, columns).flat, np.argsort(truth)[:count], strict=True
    ):
        said = result.predictions[i]
        wrong = said != result.targets[i]
        axes.imshow(images[i, 0], cmap="gray_r")
        axes.set(xticks=[], yticks=[])
        sure = 100 * result.probabilities[i, said]
        text = f"{result.targets[i]} read as {said}" if wrong else f"{said}, rightly"
        axes.set_title(f"{text}\n({sure:.0f} % sure)", fontsize=9, color=WRONG if wrong else "k")
    write(figure, path)


def _matrix(axes, counts):
    """A square for each pair of digits: right ones in blue, mistakes in red."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    right = np.diag(np.diag(shares))
    axes.imshow(right - (shares > right) * (0.35 + shares), cmap="RdBu", vmin=-1.3, vmax=1.3)
    for (i, j), n in np.ndenumerate(counts):
        if n:
            axes.text(
                j, i, str(n), ha="center", va="center", color="w" if right[i, j] > 0.5 else "k"
            )
    labels = range(len(counts))
    axes.set(xticks=labels, yticks=labels, xlabel="read as", ylabel="true digit")
    axes.set_title(f"{np.trace(counts)} of {counts.sum()} right")
