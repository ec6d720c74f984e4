"""Several processes and one study: every trial once, whoever is killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tuning.worker import SPACE, TRIALS, work
from tinygrad_course.errors import OptionError
from tinygrad_course.testing import strategies as ts
from tinygrad_course.tuning import tune

pytest.importorskip("optuna", reason="tune needs Optuna")
pytest.importorskip("fcntl", reason="a shared study needs file locks")
ROOT = Path(__file__).parents[2]


def start(folder, *stuck):
    """A process that works on the folder's study, once it has imported everything."""
    command = [sys.executable, "-m", "tests.tuning.worker", str(folder), *stuck]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    with process.stdout as said:
        assert said.readline() == b"begins\n"
    return process


def begun(folder):
    """(process, place) of every trial that was begun."""
    path = folder / "begun"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [tuple(map(int, line.split())) for line in lines]


def drawn(found):
    return [row.params for row in found.trials]


def complete(found):
    return [(row.place, row.state) for row in found.trials] == [
        (i, "complete") for i in range(TRIALS)
    ]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """What one process alone draws."""
    return drawn(work(tmp_path_factory.mktemp("alone")))


def test_two_processes_share_a_study_and_lose_no_trial_when_one_is_killed(tmp_path, wanted):
    first = start(tmp_path, "stuck")
    wait_for(lambda: begun(tmp_path) == [(first.pid, 0), (first.pid, 1)])
    second = start(tmp_path)
    wait_for(lambda: begun(tmp_path)[-1] == (second.pid, TRIALS - 1))
    time.sleep(0.5)
    assert second.poll() is None  # it waits for the first one's trial
    first.kill()
    first.wait()
    assert second.wait(60) == 0
    assert [pid for pid, place in begun(tmp_path) if place == 1] == [first.pid, second.pid]
    found = work(tmp_path)  # nothing is left to do
    assert len(begun(tmp_path)) == TRIALS + 1
    assert complete(found)
    assert drawn(found) == wanted


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_killed_at_random_moments_and_started_again(tmp_path, wanted):
    """Whatever the process was doing: choosing a trial, writing the journal, working on one."""
    for number in range(ts.examples(1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for _ in range(3):
            process = start(folder)
            time.sleep(random.random() * 0.35)
            process.kill()
            process.wait()
        found = work(folder)
        assert complete(found)
        assert drawn(found) == wanted


def test_a_grid_in_two_processes_at_once(tmp_path):
    from tests.tuning import worker

    space = {name: SPACE[name] for name in ("x", "n")}
    worker.os.environ["STUDY"] = str(tmp_path)
    found = tune(worker.objective, space, method="grid", points=3, prune=False, processes=2,
                 progress=False)  # fmt: skip
    assert len({tuple(row.params.values()) for row in found.trials}) == len(found.trials) == 9
    assert sorted(place for _, place in begun(tmp_path)) == list(range(9))


def test_a_line_that_was_cut_off_is_left_out(tmp_path, wanted):
    work(tmp_path)
    journal = tmp_path / "study.log"
    content = journal.read_bytes()
    journal.write_bytes(content[: content.rindex(b"\n", 0, len(content) // 2) + 40])
    found = work(tmp_path)
    assert complete(found)
    assert drawn(found) == wanted


def test_more_trials_may_be_asked_for_but_not_another_question(tmp_path):
    how = {"storage": tmp_path / "study.log", "progress": False}
    space = {"x": SPACE["x"]}
    first = drawn(tune(lambda trial: trial["x"], space, 3, **how))
    more = tune(lambda trial: trial["x"], space, 5, **how)
    assert drawn(more)[:3] == first
    assert len(more.trials) == 5
    with pytest.raises(OptionError, match=r"with space .*another name="):
        tune(lambda trial: trial["n"], {"n": SPACE["n"]}, 3, **how)
    with pytest.raises(OptionError, match="with direction minimize, not maximize"):
        tune(lambda trial: trial["x"], space, 3, direction="maximize", **how)
    assert len(tune(lambda t: t["n"], {"n": SPACE["n"]}, 3, name="other", **how).trials) == 3
