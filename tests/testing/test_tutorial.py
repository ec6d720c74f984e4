"""The tutorial's code runs and prints what it says."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import tinygrad_course.testing
from tinygrad_course.testing import strategies as ts

README = Path(tinygrad_course.testing.__file__).with_name("README.md")


def test_the_tutorial_runs() -> None:
    result = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert result.attempted > 40
    assert result.failed == 0


def test_the_table_of_strategies_names_what_is_there() -> None:
    text = README.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    named = [n for row in rows for n in re.findall(r"`(\w+)\(", row)]
    assert len(named) > 15
    assert all(callable(getattr(ts, name)) for name in named)
