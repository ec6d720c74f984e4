"""Beside PyTorch's gradcheck, ours has no false alarm and misses nothing."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tests.testing.side_by_side import RIGHT, WRONG, compared, drawn, ours_alarms  # noqa: E402
from tinygrad_course.testing import strategies as ts  # noqa: E402


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_no_false_alarm(case) -> None:
    assert not any(ours_alarms(case, found) for found in drawn(case.args, ts.examples(5)))


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_no_bug_is_missed(case) -> None:
    assert any(ours_alarms(case, found) for found in drawn(case.args, ts.examples(30)))


def test_what_the_table_says_of_pytorch() -> None:
    """Three of four equals: PyTorch's checker blames its own right function."""
    (case,) = [c for c in RIGHT if c.name == "max of 3 equals"]
    line = compared(case, 5)
    assert (line.ours, line.theirs) == (0, 5)
