"""What a search has found: a table, the best, a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from tinygrad_course.errors import OptionError
from tinygrad_course.files import StrPath
from tinygrad_course.training.history import aligned

from .space import Choice, optuna


class Row(NamedTuple):
    """One trial.

    `place` counts from 0; `state` is "complete", "pruned", "failed" or "running"; `value` is that
    of a complete trial, the last that a pruned one reported, else None; `steps` are all values that
    it reported.
    """

    place: int
    state: str
    value: float | None
    params: dict[str, Any]
    seconds: float | None
    steps: dict[int, float]


STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


def rows(study: Any) -> list[Row]:
    """The trials that were begun, by their places."""
    found = [t for t in kept(study) if t.state.name in STATES and "place" in t.user_attrs]
    return sorted(
        Row(
            t.user_attrs["place"], STATES[t.state.name], t.value if t.values else None, t.params,
            t.duration.total_seconds() if t.duration else None, dict(t.intermediate_values),
        )
        for t in found
    )  # fmt: skip


def ranked(found: list[Row], direction: str) -> list[Row]:
    """The best one first; only rows with a value."""
    sign = 1 if direction == "minimize" else -1
    values = [(sign * row.value, row.place, row) for row in found if row.value is not None]
    return [row for _, _, row in sorted(values)]


@dataclass(frozen=True)
class Search:
    """What a search has found; printed, it is a table of its trials, the best one first.

    Attributes:
        study: Optuna's study, for all that it can do besides.
        space: what was searched.
        direction: "minimize" or "maximize".
    """

    study: Any
    space: dict[str, Any]
    direction: str

    @property
    def trials(self) -> list[Row]:
        """All trials that were begun, in order."""
        return rows(self.study)

    @property
    def ranking(self) -> list[Row]:
        """The complete trials, the best one first."""
        complete = [row for row in self.trials if row.state == "complete"]
        return ranked(complete, self.direction)

    @property
    def best(self) -> dict[str, Any]:
        """The best trial's hyperparameters."""
        return self._best().params

    @property
    def best_value(self) -> float:
        """The best trial's value."""
        value = self._best().value
        assert value is not None
        return value

    def _best(self) -> Row:
        if not self.ranking:
            raise OptionError("no trial is complete, so none is best; see the trials' states")
        return self.ranking[0]

    def __str__(self) -> str:
        others = [row for row in self.trials if row.state != "complete"]
        head = ["trial", "state", "value", *self.space, "seconds"]
        body = [
            [str(row.place + 1), row.state, _short(row.value),
             *(_short(row.params.get(name)) for name in self.space), _seconds(row.seconds)]
            for row in self.ranking + others
        ]  # fmt: skip
        return aligned([head, *body])

    def in_memory(self) -> Search:
        """The same without a file."""
        study = optuna().create_study(direction=self.direction)
        study.add_trials(self.study.get_trials())
        return Search(study, self.space, self.direction)

    def line(self, place: int, total: int) -> str:
        """How one trial went, and the best so far."""
        row = next(row for row in self.trials if row.place == place)
        what = _short(row.value) if row.state == "complete" else row.state
        best = f"best {_short(self.best_value)}" if self.ranking else "none complete"
        params = ", ".join(f"{name}={_short(value)}" for name, value in row.params.items())
        return f"trial {place + 1:{len(str(total))}}/{total}: {what:8} ({best})  {params}"

    def plot(self, path: StrPath | None = None) -> Any:
        """The values over each hyperparameter, as a matplotlib figure.

        A point is a trial, darker the later it came; a ring one that was pruned, at the last value
        that it reported; the star is the best.

        Args:
            path: also save the figure there; its ending decides the format.

        Raises:
            ImportError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                "plots are drawn by matplotlib; install it: pip install 'tinygrad_course[plots]'"
            ) from error
        figure = Figure(figsize=(3.6 * len(self.space) + 0.6, 3.6), layout="constrained")
        axes = figure.subplots(1, len(self.space), sharey=True, squeeze=False)[0]
        for ax, (name, part) in zip(axes, self.space.items(), strict=True):
            self._draw(ax, name, part)
        values = [row.value for row in self.trials if row.value is not None]
        if values and min(values) > 0 and max(values) > 20 * min(values):
            axes[0].set_yscale("log")
        found = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
        figure.legend(
            found.values(), found.keys(), loc="outside upper right", ncols=3, frameon=False
        )
        axes[0].set_ylabel("value" + (" (less is better)" if self.direction == "minimize" else ""))
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def _draw(self, ax: Any, name: str, part: Any) -> None:
        """One hyperparameter's picture."""
        as_x = (lambda v: str(v)) if isinstance(part, Choice) else (lambda v: v)
        if isinstance(part, Choice):
            ax.plot([str(v) for v in part.values], [math.nan] * len(part.values))  # in their order
            ax.margins(x=0.2)
        elif part.log:
            ax.set_xscale("log")
        complete = self.ranking
        pruned = [row for row in self.trials if row.state == "pruned" and row.steps]
        ax.scatter(
            [as_x(row.params[name]) for row in pruned],
            [row.steps[max(row.steps)] for row in pruned],
            facecolors="none", edgecolors="0.6", label="pruned",
        )  # fmt: skip
        ax.scatter(
            [as_x(row.params[name]) for row in complete], [row.value for row in complete],
            c=[row.place for row in complete], cmap="Blues", vmin=-len(self.trials) / 2,
            edgecolors="0.3", linewidths=0.5, label="complete; the later, the darker",
        )  # fmt: skip
        if complete:
            ax.scatter(
                as_x(complete[0].params[name]), complete[0].value, marker="*", s=220,
                color="tab:orange", edgecolors="black", zorder=3, label="best",
            )  # fmt: skip
        ax.set_xlabel(name)
        ax.grid(alpha=0.3)


def _short(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "–" if value is None else str(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def is_lost(trial: Any) -> bool:
    """Whether a trial has no result because its process ended."""
    return trial.state.name == "FAIL" and "error" not in trial.user_attrs


def kept(study: Any) -> list[Any]:
    """All trials that count: not the lost ones."""
    return [trial for trial in study.get_trials(deepcopy=False) if not is_lost(trial)]
