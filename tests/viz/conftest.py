"""Finds the package in a checkout that is not installed, and keeps Graphviz's choice in hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

VIZ = str(Path(__file__).parents[2] / "viz")
if VIZ not in sys.path:
    sys.path.append(VIZ)


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A PATH with nothing on it."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def no_pygraphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    """`import pygraphviz` fails."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
