"""The README tells the truth: its example prints what it says, and its map names what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)
    assert found
    return found[1]


def test_the_example_prints_what_the_readme_shows(tmp_path):
    pytest.importorskip("pygraphviz")
    code = block("python")
    assert len(code.splitlines()) <= 22
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == block("text")
    assert (tmp_path / "xor.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_the_map_names_every_room_and_no_other():
    rooms = {
        path.stem if path.suffix == ".py" else path.name + "/"
        for path in (ROOT / "tinygrad_course").iterdir()
        if (path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists()))
        and path.name != "__init__.py"
    }
    plan = TEXT.split("tinygrad_course/\n", 1)[1].split("viz/tinygrad_course_viz/", 1)[0]
    named = {m.removesuffix(".py") for m in re.findall(r"(?<![\w/.])(\w+(?:\.py|/))(?=\s)", plan)}
    assert named == rooms


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / target).exists(), target
