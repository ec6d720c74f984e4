"""Kill training runs at random moments, resume them, and compare the weights bit for bit.

    python -m tests.kill_and_resume --kills 50

Each round starts a run in a process of its own, sends it SIGKILL (in a batch, or while it writes a
checkpoint), checks that what is on the disk loads, goes on from it in a new process, and compares
the final weights with those of a run that nobody killed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EPOCHS, EVERY = 10, 3
WRITING = b"W"


def train(folder: Path) -> None:
    """The run: everything that has state, and a checkpoint after every few batches."""
    from tests.training.common import parts, run, weights
    from tinygrad_course import files
    from tinygrad_course.optim import lr_scheduler
    from tinygrad_course.training import EarlyStopping

    write, note = files.atomic_write, os.open(folder / "state", os.O_CREAT | os.O_WRONLY)

    def noted(path: Any, data: Any) -> None:
        os.pwrite(note, WRITING, 0)
        write(path, data)
        os.pwrite(note, b"B", 0)

    files.atomic_write = noted
    model, optimizer = parts()
    warm = lr_scheduler.OneCycleLR(optimizer, 0.1, 4 * EPOCHS)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    run(
        model, optimizer, EPOCHS, noise=2.0, scheduler=plateau, batch_scheduler=warm,
        callbacks=[EarlyStopping("val_loss", EPOCHS)], checkpoint=folder / "run.safetensors",
        checkpoint_every=EVERY, resume=True,
    )  # fmt: skip
    whole = b"".join(name.encode() + data for name, data in sorted(weights(model).items()))
    (folder / "weights").write_text(hashlib.sha256(whole).hexdigest())


def start(folder: Path) -> subprocess.Popen[bytes]:
    """A training process; it says on its output when training begins."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.kill_and_resume", "--train", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])


def finish(folder: Path) -> str:
    """Run to the end; what the weights are then."""
    process = start(folder)
    process.communicate()
    assert process.returncode == 0, f"a run ended with {process.returncode}"
    return (folder / "weights").read_text()


def kill(folder: Path, seconds: float, while_writing: bool) -> bool:
    """Start a run and kill it after a while; False if it was quicker."""
    process = start(folder)
    assert process.stdout is not None
    process.stdout.readline()  # it begins
    until = time.perf_counter() + random.random() * seconds
    while time.perf_counter() < until:
        time.sleep(0.0002)
    while while_writing and process.poll() is None and state(folder) != WRITING:
        pass
    for _ in range(random.randrange(3000)):  # anywhere in the write: up to 0.1 ms
        pass
    process.kill()
    process.communicate()
    return not (folder / "weights").exists()


def state(folder: Path) -> bytes:
    """What the run is doing."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / "state").read_bytes()
    return b""


def rounds(kills: int, folder: Path, show: Any = None) -> dict[str, int]:
    """Kill and resume so many times; how many of the kills came in which moment."""
    wanted = finish(folder / "whole")
    seconds = duration(folder / "timed")
    counts = {"writing a checkpoint": 0, "in a batch": 0, "before the first checkpoint": 0}
    for number in range(kills):
        here = folder / f"{number}.0"
        tries = 0
        while not kill(here, seconds, while_writing=number % 2 == 1):
            tries += 1
            here = folder / f"{number}.{tries}"
        writing, epoch, batch = state(here) == WRITING, *moment(here)
        counts["writing a checkpoint" if writing else "in a batch"] += 1
        counts["before the first checkpoint"] += epoch == 0
        found = finish(here)
        assert found == wanted, f"kill {number}, from epoch {epoch}, batch {batch}: other weights"
        assert not list(here.glob(".*.part")), "half-written files are left"
        if show:
            what = "writing" if writing else "training"
            show(f"kill {number + 1}: {what}; resumed from epoch {epoch}, batch {batch}: equal")
    return counts


def duration(folder: Path) -> float:
    """How long a run takes, without the start of its process."""
    process = start(folder)
    assert process.stdout is not None
    process.stdout.readline()
    begun = time.perf_counter()
    process.communicate()
    return time.perf_counter() - begun


def moment(folder: Path) -> tuple[int, int]:
    """Epoch and batch of the checkpoint, which must load; zeros if none was written yet."""
    from tinygrad_course.training import read_checkpoint

    path = folder / "run.safetensors"
    if not path.exists():
        return 0, 0
    checkpoint = read_checkpoint(path)
    return checkpoint["epoch"], checkpoint["batch"]


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.train:
        import tests.training.common  # noqa: F401
        import tinygrad_course.training  # noqa: F401

        print("begins", flush=True)
        os.close(sys.stdout.fileno())
        train(given.train)
    else:
        with tempfile.TemporaryDirectory() as place:
            print(rounds(given.kills, Path(place), print))
