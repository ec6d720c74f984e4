"""Two contestants, one process: warmed up, bursts of each in turn, medians.

Their thread pools spin and disturb each other, so a short pause follows each burst. The cyclic
garbage collector is off during a burst and runs between bursts, for both.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PAUSE = 0.06  # seconds
BURSTS = 15
BURST_SECONDS = 0.05


Contest = tuple[Callable[[], Any], Callable[[], Any]]


@dataclass
class Case:
    """One thing to time: `make` gives the two functions, peer first."""

    name: str
    peer: str
    make: Callable[[], Contest]
    per_call: int = 1  # units of work in a call
    unit: str = "call"
    goal: float | None = None  # the least ratio that we want
    family: str = ""  # cases that are summed up together


@dataclass
class Result:
    """Medians in microseconds (or what `measure` says) per unit, with the spread of the middle
    half, and their ratio."""

    name: str
    peer: str
    unit: str
    peer_us: float
    ours_us: float
    peer_spread: float
    ours_spread: float
    ratio: float
    goal: float | None = None
    family: str = ""
    measure: str = "µs"

    def row(self) -> str:
        """A line of the table."""
        goal = "" if self.goal is None else f"{self.goal:.2f}"
        short = self.goal is not None and self.ratio < self.goal
        return (
            f"| {self.name} | {self.peer} {self.peer_us:,.2f} ± {self.peer_spread:.0%} "
            f"| {self.ours_us:,.2f} ± {self.ours_spread:.0%} | {self.measure}/{self.unit} "
            f"| **{self.ratio:.2f}** | {goal}{' (short)' * short} |"
        )


HEADER = "| case | peer | ours | unit | peer / ours | goal |\n|---|---|---|---|---|---|"


def families(results: list[Result]) -> list[str]:
    """A line for each family of results: the geometric mean of their ratios, and the worst."""
    ratios: dict[str, list[float]] = {}
    for r in results:
        if r.family:
            ratios.setdefault(r.family, []).append(r.ratio)
    return [
        f"{family}: geometric mean {statistics.geometric_mean(found):.2f}, worst {min(found):.2f}"
        for family, found in ratios.items()
    ]


def run(case: Case) -> Result:
    """Time a case."""
    functions = case.make()
    counts = [_calibrated(f) for f in functions]
    times: list[list[float]] = [[], []]
    for _ in range(BURSTS):
        for i, (function, count) in enumerate(zip(functions, counts, strict=True)):
            times[i].append(_burst(function, count) / case.per_call * 1e6)
            time.sleep(PAUSE)
    (peer, peer_spread), (ours, ours_spread) = map(_summary, times)
    return Result(
        case.name, case.peer, case.unit, peer, ours, peer_spread, ours_spread, peer / ours,
        case.goal, case.family,
    )  # fmt: skip


def _calibrated(function: Callable[[], Any]) -> int:
    """How many calls make a burst; warms the function up on the way."""
    for _ in range(3):
        function()
    return max(1, int(BURST_SECONDS / max(_burst(function, 1), 1e-9)))


def _burst(function: Callable[[], Any], count: int) -> float:
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    for _ in range(count):
        function()
    seconds = time.perf_counter() - start
    gc.enable()
    return seconds / count


def _summary(values: list[float]) -> tuple[float, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, (high - low) / middle / 2


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "gc": "off in bursts",
        **{name: _version(name) for name in ("numpy", "numba", "torch", "micrograd")},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def as_json(results: list[Result]) -> dict[str, Any]:
    """Results and machine, to be compared over time."""
    return {"machine": machine(), "results": [asdict(r) for r in results]}
