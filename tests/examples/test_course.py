"""The course: every chapter runs as a notebook, is listed, and has its place in the table."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="chapters are turned into notebooks by jupytext")
nbclient = pytest.importorskip("nbclient", reason="notebooks are run by nbclient")
pytest.importorskip("ipykernel", reason="notebooks are run in ipykernel")
for name in ("matplotlib", "sklearn", "pygraphviz", "optuna", "PIL"):
    pytest.importorskip(name, reason="the chapters need the extra 'course'")

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
README = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "viz")]),
    "NUMBA_NUM_THREADS": "1",  # several run at once
    "OPENBLAS_NUM_THREADS": "1",
}


def course(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "examples", *map(str, arguments)],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_runs_as_a_notebook(path, tmp_path):
    notebook = jupytext.read(path)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds[0] == "markdown"
    assert "code" in kinds
    settings = {"TINYGRAD_COURSE_QUICK": "1", "TINYGRAD_COURSE_OUT": str(tmp_path)}
    client = nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {}})
    client.execute(env={**ENVIRONMENT, **settings}, cwd=str(tmp_path))
    pictures = [p for p in (tmp_path / path.stem).iterdir() if p.suffix in (".png", ".svg")]
    assert pictures, "a chapter draws something"
    shown = [o for c in notebook.cells for o in c.get("outputs", []) if o.output_type != "stream"]
    assert len(shown) >= len(pictures), "a notebook shows what a chapter writes"
    said = [o for o in notebook.cells[-1].outputs if o.output_type == "stream"]
    assert re.search(r"\d", said[-1].text), "the last cell prints a number"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_is_checked_short_and_in_the_table(path):
    text = path.read_text(encoding="utf-8")
    last = text[text.rindex("# %%") :]
    assert "assert " in last, "the claim is checked before it is printed"
    assert last[last.rindex("assert ") :].count("print(") == 1
    assert last.rstrip().endswith((")", "# fmt: skip"))
    code = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 130, f"{len(code)} lines of code"
    assert f"[{path.stem}]({path.name})" in README


def test_the_table_names_no_chapter_that_is_not_there():
    assert {f"{name}.py" for name in re.findall(r"\]\((\d\d_\w+)\.py\)", README)} == {
        p.name for p in CHAPTERS
    }
    numbers = re.findall(r"\b(\d\d)\b", README.split("## Where each part")[1])
    assert set(numbers) == {p.stem[:2] for p in CHAPTERS}


def test_the_list_and_one_chapter(tmp_path):
    listed = course()
    assert listed.returncode == 0, listed.stderr
    assert all(f"{p.stem[:2]} · " in listed.stdout for p in CHAPTERS)
    done = course("01", "--quick", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("01_neuron")
    assert (tmp_path / "01_neuron" / "neuron.svg").stat().st_size


def test_an_unknown_chapter_or_option_is_refused(tmp_path):
    unknown = course("99")
    assert unknown.returncode != 0
    assert "99" in unknown.stderr
    assert "01_neuron" in unknown.stderr
    chapter = subprocess.run(
        [sys.executable, ROOT / "examples" / "01_neuron.py", "--quik"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert chapter.returncode == 2
    assert "--quik" in chapter.stderr


def test_a_chapter_that_fails_is_named(tmp_path):
    blocked = tmp_path / "a file"
    blocked.touch()
    done = course("01", "--quick", "--out", blocked)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
