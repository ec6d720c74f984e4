"""A process that works on a study: `python -m tests.tuning.worker FOLDER [STUCK]`.

With a third argument it never gets further than its second trial.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tinygrad_course.tuning import Choice, Float, Int, Search, tune

SPACE = {"x": Float(0, 1), "rate": Float(1e-4, 1, log=True), "n": Int(1, 9), "c": Choice("a", "b")}
TRIALS = 12
STUCK = __name__ == "__main__" and len(sys.argv) > 2


def objective(trial):
    """Slow enough to be killed in the middle; says when it is there."""
    folder = Path(os.environ["STUDY"])
    with (folder / "begun").open("a") as file:
        file.write(f"{os.getpid()} {trial.place}\n")
    while trial.place and STUCK:
        time.sleep(1)
    for step in range(1, 6):
        time.sleep(0.004)
        trial.report(trial["x"] + 1 / step, step)
    return trial["x"]


def work(folder: Path, **how) -> Search:
    """This process's part."""
    os.environ["STUDY"] = str(folder)
    storage = folder / "study.log"
    return tune(objective, SPACE, TRIALS, storage=storage, prune=False, progress=False, **how)


if __name__ == "__main__":
    print("begins", flush=True)
    work(Path(sys.argv[1]))
