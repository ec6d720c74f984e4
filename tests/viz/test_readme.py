"""The README of viz tells the truth: its code prints what it shows; its pictures are there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

VIZ = Path(__file__).parents[2] / "viz"
TEXT = (VIZ / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", TEXT, re.DOTALL)


def test_the_code_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pygraphviz", reason="pictures need Graphviz")
    pytest.importorskip("matplotlib", reason="lesson pictures need matplotlib")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code, printed in BLOCKS:
        exec(code, names)
        assert capsys.readouterr().out.rstrip() == printed.rstrip()
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"neuron.svg", "model.html", "steps.html"}


def test_the_readme_covers_every_public_name() -> None:
    import tinygrad_course_viz
    from tinygrad_course_viz import lessons, overlays

    documented = [*tinygrad_course_viz.__all__, *overlays.MEASURES]
    documented += [n for n, f in vars(lessons).items() if f.__class__.__name__ == "function"
                   and f.__module__ == lessons.__name__ and n[0] != "_"]  # fmt: skip
    helpers = {"BackwardDrawing", "Calls", "Drawing", "RenderError"}
    helpers |= {"array", "draw_curves", "new_figure"}
    assert [n for n in documented if n not in helpers and not re.search(rf"\b{n}\b", TEXT)] == []


def test_pictures_are_there_and_small() -> None:
    linked = set(re.findall(r"\]\(gallery/([^)]+)\)", TEXT))
    kept = {path.name: path for path in (VIZ / "gallery").iterdir()}
    assert linked == set(kept) - {"xor.svg"}, "the front page shows the other one"
    assert sum(path.stat().st_size for path in kept.values()) < 1_500_000
    for name, path in kept.items():
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG") if name.endswith(".png") else b"<svg" in content


def test_every_picture_of_the_gallery_is_made_by_its_script(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for extra in ("pygraphviz", "matplotlib", "sklearn"):
        pytest.importorskip(extra, reason="the gallery needs the extras viz, plots and data")
    monkeypatch.syspath_prepend(str(VIZ))
    import gallery  # type: ignore[import-not-found]

    try:
        quick = [gallery.graphs, gallery.measures, gallery.steps, gallery.descent]
        monkeypatch.setattr(gallery, "PICTURES", quick)
        made = gallery.main(tmp_path)
    finally:
        sys.modules.pop("gallery", None)
    assert {path.name for path in made} < {path.name for path in (VIZ / "gallery").iterdir()}
    assert len(made) == 9
