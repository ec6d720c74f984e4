"""The house: imports go down, the front door is honest, the core stays small."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import tinygrad_course as tc
from tests import stub

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tinygrad_course"

# A room may import rooms of a lower level, and its own.
LEVELS = {
    "errors": 0,
    "kernels": 1,
    "modes": 1,
    "spelling": 1,
    "devices": 2,
    "generator": 3,
    "cuda": 4,
    "doctor": 9,
    "__main__": 9,
    "graph": 2,
    "arrays": 3,
    "primitive": 3,
    "trees": 3,
    "ops": 4,
    "functions": 5,
    "methods": 5,
    "operators": 5,
    "scalar_walk": 5,
    "protocols": 5,
    "scalar": 5,
    "tensor": 5,
    "creation": 5,
    "recompute": 5,
    "autograd": 5,
    "func": 5,
    "linalg": 5,
    "distributions": 6,
    "nn": 6,
    "optim": 7,
    "data": 7,
    "files": 7,
    "training": 8,
    "testing": 8,
    "utils": 8,
    "tuning": 9,
}
BUDGETS = {
    ("graph.py", "primitive.py", "scalar.py", "tensor.py"): 700,
    ("ops/*.py",): 1500,
}
LONGEST = 40  # lines of a function, without its docstring
LONGER = {
    "kernels": 80,  # a kernel is one loop nest
    "graph.walk": 80,  # the engine's inner loop: a call would cost more than its work
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == depth:
                names = [module] if module else [a.name for a in node.names]
            elif module.split(".")[0] == "tinygrad_course":
                rest = module.removeprefix("tinygrad_course").lstrip(".")
                names = [rest] if rest else [a.name for a in node.names]
            else:
                continue
            found |= {name.split(".")[0] for name in names}
    return found & LEVELS.keys()


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    here = room(path)
    if here == "__init__":
        return
    assert here in LEVELS, f"{here} is a new room: give it a level"
    up = {r for r in imported_rooms(path) if r != here and LEVELS[r] > LEVELS[here]}
    assert not up, f"{path.name} (level {LEVELS[here]}) imports upward: {up}"


def test_functions_are_made_of_rows():
    for path in (PACKAGE / "functions").glob("*.py"):
        assert "Primitive(" not in path.read_text(encoding="utf-8"), f"{path}: rows live in ops"


def test_the_engine_never_names_the_viewer():
    """Only a program that failed under test asks for its picture, if there is a viewer."""
    for path in set(modules()) - {PACKAGE / "testing" / "programs.py"}:
        assert "tinygrad_course_viz" not in path.read_text(encoding="utf-8"), path


def test_a_fresh_import_is_light():
    heavy = "numba llvmlite cupy graphviz pygraphviz matplotlib sklearn torch tqdm hypothesis"
    code = (
        "import sys, tinygrad_course; "
        f"print([m for m in '{heavy} tinygrad_course_viz'.split() if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_front_door_is_honest():
    assert len(set(tc.__all__)) == len(tc.__all__)
    for name in tc.__all__:
        assert getattr(tc, name) is not None
    public = {name for name in vars(tc) if not name.startswith("_")}
    rooms = LEVELS.keys() | {"load", "save"}
    rooms |= {"annotations", "importlib", "np", "warnings", "Any", "TYPE_CHECKING"}
    assert public - rooms == set(tc.__all__) - rooms
    with pytest.raises(AttributeError, match="no_such_name"):
        tc.no_such_name  # noqa: B018


def test_the_stub_is_what_the_generator_writes():
    def plain(text: str) -> str:
        return "".join(text.split()).replace(",)", ")")

    assert plain(stub.TARGET.read_text(encoding="utf-8")) == plain(stub.text()), (
        "run: python -m tests.stub"
    )


def code_lines(path: Path) -> int:
    """Lines with code: no blank lines, comments or docstrings."""
    text = path.read_text(encoding="utf-8")
    skipped = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                skipped |= set(range(value.lineno, (value.end_lineno or 0) + 1))
    quiet = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in quiet and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - skipped)


@pytest.mark.parametrize(("patterns", "most"), BUDGETS.items())
def test_the_core_stays_small(patterns, most):
    files = [path for pattern in patterns for path in PACKAGE.glob(pattern)]
    counts = {path.name: code_lines(path) for path in files}
    assert sum(counts.values()) <= most, counts


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            doc = ast.get_docstring(node, clean=False)
            length = (node.end_lineno or 0) - node.lineno + 1 - len((doc or "").splitlines())
            most = LONGER.get(f"{path.stem}.{node.name}", LONGER.get(room(path), LONGEST))
            assert length <= most, f"{path.name}: {node.name} has {length} lines"
