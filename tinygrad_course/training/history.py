"""What happened in training, epoch by epoch: rows, columns, a table, a file."""

from __future__ import annotations

import csv
import io
from typing import Any, NamedTuple

from tinygrad_course.errors import OptionError
from tinygrad_course.files import StrPath, atomic_write


class Epoch(NamedTuple):
    """One row of a history. Accuracies are fractions; None where there is nothing to measure.

    `lr` is the learning rate that the epoch ended with, `metrics` what else was measured.
    """

    epoch: int
    loss: float
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    lr: float | None = None
    metrics: dict[str, float] | None = None


FIRST = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
LAST = ("lr", "seconds")


class History(list[Epoch]):
    """What happened, epoch by epoch: a list of `Epoch` rows.

    Attributes:
        stopped: why training ended before its last epoch: "interrupted" (Ctrl-C), "callback"
            (one returned True), or "" if it did not.

    >>> history = History([Epoch(1, 0.5, 0.75, None, None, 0.1, 0.01)])
    >>> history.column("loss")
    [0.5]
    >>> print(history)
    epoch  loss  accuracy    lr  seconds
        1   0.5    0.7500  0.01     0.10
    """

    stopped: str = ""

    @property
    def columns(self) -> list[str]:
        """The names of the columns that hold something."""
        found = dict.fromkeys(name for row in self for name in row.metrics or ())
        fixed = {n for n in (*FIRST, *LAST) if any(getattr(row, n) is not None for row in self)}
        return [*(n for n in FIRST if n in fixed), *found, *(n for n in LAST if n in fixed)]

    def column(self, name: str) -> list[Any]:
        """One number of every epoch; None where it was not measured.

        Raises:
            OptionError: no epoch has it.
        """
        if name in FIRST or name in LAST:
            return [getattr(row, name) for row in self]
        if not any(name in (row.metrics or ()) for row in self):
            raise OptionError(f"no column {name!r}; there are {', '.join(self.columns)}")
        return [(row.metrics or {}).get(name) for row in self]

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns by name.

        >>> History([Epoch(1, 0.5, None, None, None, 2.0)]).to_dict()
        {'epoch': [1], 'loss': [0.5], 'seconds': [2.0]}
        """
        return {name: self.column(name) for name in self.columns}

    def to_csv(self, path: StrPath) -> None:
        """Write the columns to a file, comma-separated, with every digit."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(zip(*self.to_dict().values(), strict=True))
        atomic_write(path, text.getvalue())

    def table(self) -> str:
        """The rows as text, columns aligned."""
        head = self.columns or list(FIRST)
        body = [[_text(name, self.column(name)[i]) for name in head] for i in range(len(self))]
        return aligned([head, *body])

    def __str__(self) -> str:
        return self.table()


def aligned(rows: list[list[str]], left: int = 0) -> str:
    """Rows of text with columns of one width; the first `left` columns start flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [str.ljust if i < left else str.rjust for i in range(len(widths))]
    return "\n".join(
        "  ".join(side(cell, w) for side, cell, w in zip(sides, row, widths, strict=True)).rstrip()
        for row in rows
    )


def _text(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name == "epoch":
        return str(value)
    if name == "seconds":
        return f"{value:.2f}"
    return f"{value:.4g}" if name == "lr" or name.endswith("loss") else f"{value:.4f}"
