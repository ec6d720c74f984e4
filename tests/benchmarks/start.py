"""What a fresh process pays: the time to import."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from .harness import Result

RUNS = 21


def results() -> list[Result]:
    """`import tinygrad_course` beside `import numpy`, medians over fresh processes.

    Both from compiled bytecode, as an installed package has it.
    """
    times: dict[str, list[float]] = {"numpy": [], "tinygrad_course": []}
    for name in times:
        _seconds(f"import {name}")
    for _ in range(RUNS):
        for name, taken in times.items():
            taken.append(_seconds(f"import {name}"))
    (peer, ours), spread = (
        [statistics.median(t) * 1e6 for t in times.values()],
        [(max(t) - min(t)) / statistics.median(t) / 2 for t in times.values()],
    )
    return [
        Result("import in a fresh process", "NumPy", "import", peer, ours, *spread, peer / ours)
    ]


def _seconds(code: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - start
